//! What a conversation must look like.

use serde_json::{Map, Value, json};

use super::check::{Refusal, Version, invalid, known};
use super::models::Model;

/// Neighbouring messages of one role, as one.
pub(super) struct Turn {
    pub(super) role: String,
    pub(super) blocks: Vec<Value>,
}

impl Turn {
    /// Its text blocks, with spaces between them.
    pub(super) fn text(&self) -> String {
        let texts: Vec<&str> = self.of_type("text").filter_map(|block| block["text"].as_str()).collect();
        texts.join(" ")
    }

    pub(super) fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.blocks.iter().filter(move |block| block["type"] == kind)
    }
}

/// Every rule for `messages`.
pub(super) fn check(messages: &Value, model: &Model, version: Version) -> Result<Vec<Turn>, Refusal> {
    let messages = messages.as_array().ok_or_else(|| invalid("messages: Input should be a valid list"))?;
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    let mut turns: Vec<Turn> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages.{index}");
        let fields =
            message.as_object().ok_or_else(|| invalid(format!("{path}: Input should be an object")))?;
        known(fields, &format!("{path}."), &["role", "content"])?;
        let role = role(fields, index, turns.last(), model)?;
        let last = index + 1 == messages.len();
        let blocks = blocks(fields.get("content"), &path, last && role == "assistant")?;
        for (position, block) in blocks.iter().enumerate() {
            check_block(block, role, &format!("{path}.content.{position}"), version)?;
        }
        match turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.extend(blocks),
            _ => turns.push(Turn { role: role.to_owned(), blocks }),
        }
    }
    pairs(&turns)?;
    ending(&turns, model)?;
    Ok(turns)
}

fn role<'a>(
    fields: &'a Map<String, Value>,
    index: usize,
    before: Option<&Turn>,
    model: &Model,
) -> Result<&'a str, Refusal> {
    match fields.get("role").and_then(Value::as_str) {
        Some("user") => Ok("user"),
        Some("assistant") if index == 0 => Err(invalid("messages: first message must use the \"user\" role")),
        Some("assistant") => Ok("assistant"),
        Some("system") if !model.older && before.is_some_and(|turn| turn.role == "user") => Ok("system"),
        Some("system") => {
            Err(invalid("messages: a system message must follow a user message, on newer models"))
        }
        _ => Err(invalid(format!("messages.{index}.role: Input should be 'user' or 'assistant'"))),
    }
}

fn blocks(content: Option<&Value>, path: &str, may_be_empty: bool) -> Result<Vec<Value>, Refusal> {
    let blocks = match content {
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(Value::String(text)) => vec![json!({"type": "text", "text": text})],
        Some(Value::Array(blocks)) => blocks.clone(),
        _ => return Err(invalid(format!("{path}.content: Input should be a string or a list of blocks"))),
    };
    if blocks.is_empty() && !may_be_empty {
        return Err(invalid(format!(
            "{path}: all messages must have non-empty content except for the optional final assistant message"
        )));
    }
    Ok(blocks)
}

fn check_block(block: &Value, role: &str, path: &str, version: Version) -> Result<(), Refusal> {
    let fields = block.as_object().ok_or_else(|| invalid(format!("{path}: Input should be an object")))?;
    let only = |known_fields: &[&str]| known(fields, &format!("{path}."), known_fields);
    let misplaced =
        |kind: &str| Err(invalid(format!("{path}: `{kind}` blocks are not allowed in {role} messages")));
    match (block["type"].as_str(), role) {
        (Some("text"), _) => {
            only(&["type", "text", "cache_control", "citations"])?;
            if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) {
                return Err(invalid(format!("{path}: text content blocks must contain non-whitespace text")));
            }
            let cites = block["citations"].as_array().is_some_and(|citations| !citations.is_empty());
            if cites && role == "user" && version == Version::Of2026 {
                return Err(invalid(format!("{path}.citations: not allowed in user messages")));
            }
            Ok(())
        }
        (Some("tool_use"), "assistant") => {
            only(&["type", "id", "name", "input", "cache_control"])?;
            identifier(&block["id"], &format!("{path}.id"))?;
            match block["name"].as_str().is_some_and(|name| !name.is_empty()) && block["input"].is_object() {
                true => Ok(()),
                false => Err(invalid(format!("{path}: tool_use needs a name and an input object"))),
            }
        }
        (Some("tool_result"), "user") => {
            only(&["type", "tool_use_id", "content", "is_error", "cache_control"])?;
            identifier(&block["tool_use_id"], &format!("{path}.tool_use_id"))
        }
        (Some("thinking"), "assistant") => match block["signature"].as_str().is_some_and(|s| !s.is_empty()) {
            true => Ok(()),
            false => Err(invalid(format!("{path}.signature: Field required"))),
        },
        (Some("redacted_thinking"), "assistant") | (Some("image" | "document" | "search_result"), "user") => {
            Ok(())
        }
        (Some("document"), "assistant") if version == Version::Of2023 => Ok(()),
        (Some(kind), _) => misplaced(kind),
        (None, _) => Err(invalid(format!("{path}.type: Field required"))),
    }
}

fn identifier(id: &Value, path: &str) -> Result<(), Refusal> {
    let right =
        |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match id.as_str().is_some_and(right) {
        true => Ok(()),
        false => Err(invalid(format!("{path}: String should match pattern '^[a-zA-Z0-9_-]+$'"))),
    }
}

/// Each `tool_use` has its `tool_result` in the very next user turn, first in it, and no result is left over.
fn pairs(turns: &[Turn]) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        let asked: Vec<&str> = match index.checked_sub(1).map(|before| &turns[before]) {
            Some(before) if turn.role == "user" => ids(before, "tool_use", "id"),
            _ => Vec::new(),
        };
        let answered = ids(turn, "tool_result", "tool_use_id");
        if let Some(extra) = answered.iter().find(|id| !asked.contains(id)) {
            return Err(invalid(format!(
                "messages: unexpected `tool_use_id` found in `tool_result` blocks: {extra}. Each `tool_result` block \
                 must have a corresponding `tool_use` block in the previous message"
            )));
        }
        if answered.iter().enumerate().any(|(position, id)| answered[..position].contains(id)) {
            return Err(invalid("messages: each tool_use must have a single result"));
        }
        if turn.blocks.iter().take(answered.len()).any(|block| block["type"] != "tool_result") {
            return Err(invalid("messages: `tool_result` blocks must come first in their message"));
        }
        for id in ids(turn, "tool_use", "id") {
            if seen.contains(&id) {
                return Err(invalid(format!("messages: `tool_use` ids must be unique, {id} is not")));
            }
            seen.push(id);
            let next =
                turns.get(index + 1).map(|next| ids(next, "tool_result", "tool_use_id")).unwrap_or_default();
            if !next.contains(&id) {
                return Err(invalid(format!(
                    "messages: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
                )));
            }
        }
    }
    Ok(())
}

fn ids<'a>(turn: &'a Turn, kind: &'a str, field: &'a str) -> Vec<&'a str> {
    turn.of_type(kind).filter_map(|block| block[field].as_str()).collect()
}

fn ending(turns: &[Turn], model: &Model) -> Result<(), Refusal> {
    let Some(last) = turns.last().filter(|turn| turn.role == "assistant") else { return Ok(()) };
    if !model.older {
        return Err(invalid("messages: prefilling the assistant's message is not supported by this model"));
    }
    let text = last.blocks.last().and_then(|block| block["text"].as_str()).unwrap_or_default();
    if text.ends_with(char::is_whitespace) {
        return Err(invalid("messages: final assistant content cannot end with trailing whitespace"));
    }
    Ok(())
}
