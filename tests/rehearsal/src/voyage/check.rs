//! What a request must look like.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::Host;

/// An accepted request.
pub(super) struct Embeddings {
    pub(super) model: &'static Model,
    pub(super) texts: Vec<String>,
    pub(super) input_type: Option<String>,
    pub(super) dimension: usize,
    pub(super) base64: bool,
    /// Of all texts together, prompts included.
    pub(super) tokens: usize,
}

pub(super) struct Model {
    pub(super) name: &'static str,
    /// Models of one family share a vector space.
    pub(super) family: &'static str,
    max_request_tokens: usize,
    /// First the default.
    dimensions: &'static [usize],
}

const fn model(name: &'static str, family: &'static str, max_request_tokens: usize) -> Model {
    Model { name, family, max_request_tokens, dimensions: &[1024, 256, 512, 2048] }
}

const MODELS: [Model; 7] = [
    model("voyage-4-large", "voyage-4", 120_000),
    model("voyage-4", "voyage-4", 320_000),
    model("voyage-4-lite", "voyage-4", 1_000_000),
    model("voyage-3.5", "voyage-3.5", 320_000),
    model("voyage-3.5-lite", "voyage-3.5", 1_000_000),
    model("voyage-3-large", "voyage-3-large", 120_000),
    Model {
        name: "voyage-finance-2",
        family: "voyage-finance-2",
        max_request_tokens: 120_000,
        dimensions: &[1024],
    },
];

const MAX_TEXTS: usize = 1000;
const MAX_TEXT_TOKENS: usize = 32_000;

/// Status and detail.
type Refusal = (u16, String);

/// The key, and whether it belongs to this host.
pub(super) fn key(headers: &HeaderMap, host: Host) -> Result<(), Refusal> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key =
        authorization.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim).unwrap_or_default();
    let issuer = match key.split_once('-') {
        Some(("pa", rest)) if !rest.is_empty() => Host::Voyage,
        Some(("al", rest)) if !rest.is_empty() => Host::Atlas,
        _ => return Err((401, "Provided API key is invalid.".to_owned())),
    };
    if issuer == host { Ok(()) } else { Err((403, "This API key is not valid on this host.".to_owned())) }
}

/// The fields and limits of `POST /v1/embeddings`.
pub(super) fn body(body: &[u8]) -> Result<Embeddings, Refusal> {
    let fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| bad(format!("The request body is not valid JSON: {error}")))?;
    known_fields(&fields)?;
    let name =
        fields.get("model").and_then(Value::as_str).ok_or_else(|| bad("Argument 'model' is required."))?;
    let model = MODELS
        .iter()
        .find(|model| model.name == name)
        .ok_or_else(|| bad(format!("Model {name} is not supported.")))?;
    let texts = texts(fields.get("input"))?;
    let input_type = match fields.get("input_type") {
        None | Some(Value::Null) => None,
        Some(Value::String(kind)) if kind == "query" || kind == "document" => Some(kind.clone()),
        Some(_) => return Err(bad("Argument 'input_type' must be null, 'query' or 'document'.")),
    };
    let truncation = match fields.get("truncation") {
        None | Some(Value::Null) => true,
        Some(value) => value.as_bool().ok_or_else(|| bad("Argument 'truncation' must be a boolean."))?,
    };
    let tokens = count_tokens(&texts, input_type.as_deref(), truncation, model)?;
    let dimension = match fields.get("output_dimension") {
        None | Some(Value::Null) => model.dimensions[0],
        Some(value) => {
            *model.dimensions.iter().find(|allowed| value.as_u64() == Some(**allowed as u64)).ok_or_else(
                || bad(format!("Argument 'output_dimension' must be one of {:?}.", model.dimensions)),
            )?
        }
    };
    let base64 = match fields.get("encoding_format") {
        None | Some(Value::Null) => false,
        Some(value) if value == "base64" => true,
        Some(_) => return Err(bad("Argument 'encoding_format' must be null or 'base64'.")),
    };
    match fields.get("output_dtype") {
        None | Some(Value::Null) => {}
        Some(value) if value == "float" => {}
        Some(_) => return Err(bad("Argument 'output_dtype': the rehearsal makes 'float' only.")),
    }
    Ok(Embeddings { model, texts, input_type, dimension, base64, tokens })
}

fn bad(detail: impl Into<String>) -> Refusal {
    (400, detail.into())
}

fn known_fields(fields: &Map<String, Value>) -> Result<(), Refusal> {
    const KNOWN: [&str; 7] =
        ["input", "model", "input_type", "truncation", "output_dimension", "output_dtype", "encoding_format"];
    match fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        Some(unknown) => Err(bad(format!("Argument '{unknown}' is not supported by our API."))),
        None => Ok(()),
    }
}

fn texts(input: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let texts: Vec<String> = match input {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| bad("Argument 'input' must be a string or a list of strings."))?,
        _ => return Err(bad("Argument 'input' must be a string or a list of strings.")),
    };
    if texts.is_empty() || texts.len() > MAX_TEXTS {
        return Err(bad(format!("The batch size limit is {MAX_TEXTS}. Your batch size is {}.", texts.len())));
    }
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(bad("Input cannot contain empty strings or empty lists."));
    }
    Ok(texts)
}

fn count_tokens(
    texts: &[String],
    input_type: Option<&str>,
    truncation: bool,
    model: &Model,
) -> Result<usize, Refusal> {
    // "Represent the query for retrieving supporting documents: " and its like are counted too.
    let prompt = match input_type {
        Some("query") => 9,
        Some(_) => 6,
        None => 0,
    };
    let mut total = 0;
    for text in texts {
        let tokens = prompt + text.chars().count().div_ceil(4);
        if tokens > MAX_TEXT_TOKENS && !truncation {
            return Err(bad(format!("A text has {tokens} tokens; the model's limit is {MAX_TEXT_TOKENS}.")));
        }
        total += tokens.min(MAX_TEXT_TOKENS);
    }
    if total > model.max_request_tokens {
        return Err(bad(format!(
            "The max allowed tokens per submitted batch is {}. Your batch has {total} tokens after truncation.",
            model.max_request_tokens
        )));
    }
    Ok(total)
}
