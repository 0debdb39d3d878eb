//! What a request must look like: headers, fields, thinking, tools, cache breakpoints.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::messages::{self, Turn};
use super::models::{self, Model, Thinking};

/// An error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal { status: 400, kind: "invalid_request_error", message: message.into() }
}

/// Who asks, and in which version of the API.
pub(super) struct Caller {
    pub(super) version: Version,
    /// Caches are not shared between keys.
    pub(super) key_hash: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Of2023,
    Of2026,
}

/// An accepted request.
pub(super) struct Request {
    pub(super) model: &'static Model,
    /// As the client wrote it.
    pub(super) model_name: String,
    pub(super) max_tokens: u64,
    pub(super) stream: bool,
    /// Whether the model thinks before this answer.
    pub(super) thinks: bool,
    pub(super) user_id: Option<String>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    /// Neighbours of the same role merged.
    pub(super) turns: Vec<Turn>,
    pub(super) stop_sequences: Vec<String>,
    pub(super) body: Map<String, Value>,
}

impl Request {
    /// As sent, before merging.
    pub(super) fn message_count(&self) -> usize {
        self.body.get("messages").and_then(Value::as_array).map_or(0, Vec::len)
    }

    pub(super) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name && self.choice != Choice::None)
    }
}

pub(super) struct Tool {
    pub(super) name: String,
    pub(super) schema: Value,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Choice {
    Auto,
    Any,
    Tool(String),
    None,
}

/// Key and version.
pub(super) fn headers(headers: &HeaderMap, only_key: Option<&str>) -> Result<Caller, Refusal> {
    let unauthorised =
        |message: &str| Refusal { status: 401, kind: "authentication_error", message: message.to_owned() };
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().trim().to_owned();
    let bearer = headers.get(header::AUTHORIZATION).map(text);
    let key = match (headers.get("x-api-key").map(text), bearer) {
        (Some(_), Some(_)) => return Err(unauthorised("send one of x-api-key and Authorization, not both")),
        (Some(key), None) => key,
        (None, Some(value)) => value.strip_prefix("Bearer ").unwrap_or_default().to_owned(),
        (None, None) => return Err(unauthorised("x-api-key header is required")),
    };
    if key.is_empty() || only_key.is_some_and(|only| only != key) {
        return Err(unauthorised("invalid x-api-key"));
    }
    let version = match headers.get("anthropic-version").map(text).as_deref() {
        Some("2023-01-01" | "2023-06-01") => Version::Of2023,
        Some("2026-10-21") => Version::Of2026,
        Some(other) => return Err(invalid(format!("anthropic-version: \"{other}\" is not a valid version"))),
        None => return Err(invalid("anthropic-version: header is required")),
    };
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Ok(Caller { version, key_hash: hasher.finish() })
}

/// The whole body.
pub(super) fn body(body: &[u8], version: Version) -> Result<Request, Refusal> {
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the request body is not valid JSON: {error}")))?;
    known(&body, "", TOP_LEVEL)?;
    let model_name =
        required(&body, "model")?.as_str().ok_or_else(|| invalid("model: Input should be a string"))?;
    let model = models::find(model_name).ok_or_else(|| Refusal {
        status: 404,
        kind: "not_found_error",
        message: format!("model: {model_name}"),
    })?;
    let stream = flag(&body, "stream")?;
    sampling(&body, model, version)?;
    let max_tokens = required(&body, "max_tokens")?
        .as_u64()
        .filter(|tokens| *tokens <= model.max_output_tokens)
        .ok_or_else(|| {
            invalid(format!("max_tokens: must be an integer of 0..={}", model.max_output_tokens))
        })?;
    let thinks = thinking(&body, model, max_tokens)?;
    let tools = tools(body.get("tools"))?;
    let choice = choice(body.get("tool_choice"), &tools, model, thinks)?;
    let forced = matches!(choice, Choice::Any | Choice::Tool(_));
    if max_tokens == 0 && (stream || forced || body.get("thinking").is_some_and(|t| t["type"] == "enabled")) {
        return Err(invalid(
            "max_tokens: 0 cannot be combined with stream, enabled thinking or a forced tool",
        ));
    }
    system(body.get("system"))?;
    cache_controls(&body)?;
    let turns = messages::check(required(&body, "messages")?, model, version)?;
    let user_id = user_id(body.get("metadata"))?;
    let stop_sequences = stop_sequences(body.get("stop_sequences"))?;
    let model_name = model_name.to_owned();
    Ok(Request {
        model,
        model_name,
        max_tokens,
        stream,
        thinks,
        user_id,
        tools,
        choice,
        turns,
        stop_sequences,
        body,
    })
}

const TOP_LEVEL: &[&str] = &[
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "metadata",
    "service_tier",
    "speed",
    "inference_geo",
    "container",
    "diagnostics",
    "temperature",
    "top_p",
    "top_k",
];

/// Refuses fields that the API does not know; `path` ends in a dot or is empty.
pub(super) fn known(fields: &Map<String, Value>, path: &str, known: &[&str]) -> Result<(), Refusal> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(invalid(format!("{path}{unknown}: Extra inputs are not permitted"))),
        None => Ok(()),
    }
}

fn required<'a>(body: &'a Map<String, Value>, field: &str) -> Result<&'a Value, Refusal> {
    body.get(field).ok_or_else(|| invalid(format!("{field}: Field required")))
}

fn flag(body: &Map<String, Value>, field: &str) -> Result<bool, Refusal> {
    match body.get(field) {
        None => Ok(false),
        Some(value) => {
            value.as_bool().ok_or_else(|| invalid(format!("{field}: Input should be a valid boolean")))
        }
    }
}

fn sampling(body: &Map<String, Value>, model: &Model, version: Version) -> Result<(), Refusal> {
    let sent: Vec<&str> =
        ["temperature", "top_p", "top_k"].into_iter().filter(|name| body.contains_key(*name)).collect();
    let Some(first) = sent.first() else { return Ok(()) };
    if version == Version::Of2026 || !model.older {
        return Err(invalid(format!(
            "{first}: sampling parameters are not supported by this version or model"
        )));
    }
    if sent.contains(&"temperature") && sent.contains(&"top_p") {
        return Err(invalid("`temperature` and `top_p` cannot both be specified for this model"));
    }
    match body.get("temperature") {
        Some(value) if !value.as_f64().is_some_and(|t| (0.0..=1.0).contains(&t)) => {
            Err(invalid("temperature: must be a number of 0..=1"))
        }
        _ => Ok(()),
    }
}

/// Whether the model will think, if the combination is allowed.
fn thinking(body: &Map<String, Value>, model: &Model, max_tokens: u64) -> Result<bool, Refusal> {
    let effort = match body.get("output_config").and_then(|config| config.get("effort")) {
        None => None,
        Some(_) if model.older => return Err(invalid("output_config.effort: not supported by this model")),
        Some(value) => match value.as_str() {
            Some(effort @ ("low" | "medium" | "high" | "xhigh" | "max")) => Some(effort),
            _ => return Err(invalid("output_config.effort: should be low, medium, high, xhigh or max")),
        },
    };
    let Some(thinking) = body.get("thinking") else { return Ok(model.thinking != Thinking::OnRequest) };
    let refuse = |why: &str| Err(invalid(format!("thinking: {why}")));
    match (thinking.get("type").and_then(Value::as_str), model.thinking) {
        (Some("disabled"), Thinking::OnRequest) => Ok(false),
        (Some("disabled"), Thinking::ByDefault) if matches!(effort, Some("xhigh" | "max")) => {
            refuse("cannot be disabled at effort xhigh or max")
        }
        (Some("disabled"), Thinking::ByDefault) => Ok(false),
        (Some("disabled"), _) => refuse("cannot be disabled on this model; lower output_config.effort"),
        (Some("between_tools"), Thinking::BetweenTools) => Ok(false),
        (Some("between_tools"), _) => refuse("between_tools is not supported by this model"),
        (Some("adaptive"), Thinking::OnRequest) => refuse("adaptive is not supported by this model"),
        (Some("adaptive"), _) => Ok(true),
        (Some("enabled"), _) => match thinking.get("budget_tokens").and_then(Value::as_u64) {
            Some(budget) if budget >= 1024 && budget < max_tokens => Ok(true),
            _ => refuse("budget_tokens must be at least 1024 and less than max_tokens"),
        },
        _ => refuse("type should be adaptive, between_tools, disabled or enabled"),
    }
}

fn tools(tools: Option<&Value>) -> Result<Vec<Tool>, Refusal> {
    const KNOWN: &[&str] = &[
        "name",
        "description",
        "input_schema",
        "strict",
        "eager_input_streaming",
        "input_examples",
        "defer_loading",
        "cache_control",
        "type",
    ];
    let Some(tools) = tools else { return Ok(Vec::new()) };
    let tools = tools.as_array().ok_or_else(|| invalid("tools: Input should be a valid list"))?;
    let mut checked: Vec<Tool> = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let fields =
            tool.as_object().ok_or_else(|| invalid(format!("tools.{index}: Input should be an object")))?;
        known(fields, &format!("tools.{index}."), KNOWN)?;
        let name = tool["name"].as_str().unwrap_or_default();
        let in_alphabet = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !(1..=64).contains(&name.len()) || !in_alphabet {
            return Err(invalid(format!("tools.{index}.name: should match ^[a-zA-Z0-9_-]{{1,64}}$")));
        }
        if checked.iter().any(|earlier| earlier.name == name) {
            return Err(invalid(format!("tools: Tool names must be unique, {name} is not")));
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(invalid(format!("tools.{index}.input_schema.type: Input should be 'object'")));
        }
        checked.push(Tool { name: name.to_owned(), schema: tool["input_schema"].clone() });
    }
    Ok(checked)
}

fn choice(choice: Option<&Value>, tools: &[Tool], model: &Model, thinks: bool) -> Result<Choice, Refusal> {
    let Some(choice) = choice else { return Ok(Choice::Auto) };
    if tools.is_empty() {
        return Err(invalid("tool_choice: may only be specified while providing tools"));
    }
    let forced = match choice.get("type").and_then(Value::as_str) {
        Some("auto") => return Ok(Choice::Auto),
        Some("none") => return Ok(Choice::None),
        Some("any") => Choice::Any,
        Some("tool") => {
            let name = choice.get("name").and_then(Value::as_str).unwrap_or_default();
            if !tools.iter().any(|tool| tool.name == name) {
                return Err(invalid(format!("tool_choice: Tool '{name}' not found in provided tools")));
            }
            Choice::Tool(name.to_owned())
        }
        _ => return Err(invalid("tool_choice.type: should be auto, any, tool or none")),
    };
    if !model.forced_tool_choice || thinks {
        return Err(invalid(
            "tool_choice: forcing a tool is not supported by this model, or while it thinks",
        ));
    }
    Ok(forced)
}

fn system(system: Option<&Value>) -> Result<(), Refusal> {
    match system {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => {
            for (index, block) in blocks.iter().enumerate() {
                if block["type"] != "text" {
                    return Err(invalid(format!("system.{index}: Input should be a text block")));
                }
                if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) {
                    return Err(invalid("system: text content blocks must be non-empty"));
                }
            }
            Ok(())
        }
        Some(_) => Err(invalid("system: Input should be a string or a list of text blocks")),
    }
}

/// Every breakpoint in the order of the prefix: tools, system, messages, and the one for the whole request.
fn cache_controls(body: &Map<String, Value>) -> Result<(), Refusal> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut blocks = list(body.get("tools"));
    blocks.extend(list(body.get("system")));
    blocks.extend(list(body.get("messages")).iter().flat_map(|message| list(message.get("content"))));
    let top_level = body.get("cache_control").map(|control| serde_json::json!({"cache_control": control}));
    let mut count = 0;
    let mut shorter_seen = false;
    for block in blocks.iter().chain(&top_level) {
        let Some(control) = block.get("cache_control").filter(|control| !control.is_null()) else { continue };
        count += 1;
        if block["type"] == "thinking" {
            return Err(invalid("cache_control: cannot be set on thinking blocks"));
        }
        if control["type"] != "ephemeral" {
            return Err(invalid("cache_control.type: Input should be 'ephemeral'"));
        }
        match control.get("ttl").and_then(Value::as_str) {
            None | Some("5m") => shorter_seen = true,
            Some("1h") if shorter_seen => {
                return Err(invalid(
                    "cache_control.ttl: a ttl='1h' block must not come after a ttl='5m' block",
                ));
            }
            Some("1h") => {}
            Some(_) => return Err(invalid("cache_control.ttl: Input should be '5m' or '1h'")),
        }
    }
    if count > 4 {
        return Err(invalid(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {count}."
        )));
    }
    Ok(())
}

fn user_id(metadata: Option<&Value>) -> Result<Option<String>, Refusal> {
    match metadata.and_then(|metadata| metadata.get("user_id")) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if id.len() <= 256 => Ok(Some(id.clone())),
        Some(_) => Err(invalid("metadata.user_id: should be a string of at most 256 characters")),
    }
}

fn stop_sequences(sequences: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let Some(sequences) = sequences else { return Ok(Vec::new()) };
    sequences
        .as_array()
        .and_then(|list| {
            let text =
                |value: &Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
            list.iter().map(text).collect()
        })
        .ok_or_else(|| invalid("stop_sequences: each stop sequence must contain non-whitespace"))
}
