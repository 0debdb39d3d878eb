//! CORE: an agent and a history to the body of a model request, laid out so that all of it but the newest words is read
//! from the vendor's prompt cache.
//!
//! The cache matches a prefix byte by byte, so nothing here depends on the clock, the caller's number or the order of a
//! map. Four breakpoints: the last tool, the last system block, the block before the newest ones, the newest block.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::conversation::{Block, CALL_ANSWERED, CUT_MARK, History, Role};

/// What of an agent the model is told.
#[derive(Clone)]
pub struct Profile {
    /// The tenant's words.
    pub prompt: String,
    /// BCP 47.
    pub language: String,
    /// Sorted by name.
    pub tools: Vec<ToolDefinition>,
    /// The most tokens of one reply.
    pub max_tokens: u32,
}

/// A tool as the model sees it.
#[derive(Clone, Serialize)]
pub struct ToolDefinition {
    /// Letters, digits, `_` and `-`, up to 64.
    pub name: &'static str,
    /// What it does and when to use it.
    pub description: &'static str,
    /// A JSON schema of type object.
    pub input_schema: serde_json::Value,
}

/// The body of a request, without what depends on the model.
#[derive(Serialize)]
pub struct Request {
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice>,
    system: Vec<Content>,
    messages: Vec<Message>,
    metadata: Metadata,
}

#[derive(Serialize)]
struct Tool {
    #[serde(flatten)]
    definition: ToolDefinition,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
struct ToolChoice {
    r#type: &'static str,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: Vec<Content>,
}

#[derive(Serialize)]
struct Content {
    #[serde(flatten)]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    Text { text: String },
    ToolUse { id: String, name: String, input: serde_json::Map<String, serde_json::Value> },
    ToolResult { tool_use_id: String, content: String, is_error: bool },
}

#[derive(Serialize)]
struct CacheControl {
    r#type: &'static str,
}

const EPHEMERAL: CacheControl = CacheControl { r#type: "ephemeral" };

#[derive(Serialize)]
struct Metadata {
    user_id: String,
}

/// How long a reply may take to speak before it is a lecture; the rules tell the model.
const REPLY_SPEECH: Duration = Duration::from_secs(20);

/// Lays out a request. `call_id` is an opaque name that says nothing about the caller. Without `may_use_tools` the
/// model must answer in words.
pub fn request(profile: &Profile, history: &History, call_id: &str, may_use_tools: bool) -> Request {
    let mut tools: Vec<_> = profile
        .tools
        .iter()
        .map(|definition| Tool { definition: definition.clone(), cache_control: None })
        .collect();
    if let Some(last) = tools.last_mut() {
        last.cache_control = Some(EPHEMERAL);
    }
    let tool_choice = (!tools.is_empty() && !may_use_tools).then_some(ToolChoice { r#type: "none" });
    Request {
        max_tokens: profile.max_tokens,
        tools,
        tool_choice,
        system: system(profile),
        messages: messages(history),
        metadata: Metadata { user_id: call_id.to_owned() },
    }
}

fn system(profile: &Profile) -> Vec<Content> {
    let mut blocks = vec![text(voice_rules(&profile.language))];
    if !profile.prompt.trim().is_empty() {
        blocks.push(text(profile.prompt.trim().to_owned()));
    }
    if let Some(last) = blocks.last_mut() {
        last.cache_control = Some(EPHEMERAL);
    }
    blocks
}

fn voice_rules(language: &str) -> String {
    let seconds = REPLY_SPEECH.as_secs();
    format!(
        "You are the agent in a telephone call. What you write is spoken aloud as you write it, and what you read is a \
         transcript of the caller's speech, which may contain mistakes of hearing.\n\
         - Speak the language with the BCP 47 tag {language}, unless you are told otherwise below.\n\
         - Use short spoken sentences. Begin with a short clause. Answer first, explain only if asked. Never speak for \
         more than {seconds} seconds.\n\
         - Write no Markdown, lists, headings, emoji, tags or web addresses: nobody sees your text.\n\
         - Write numbers, dates, times, amounts and symbols as they are spoken, in words.\n\
         - Ask one question at a time. If you did not understand, say so and ask again.\n\
         - A message of yours that ends with {CUT_MARK} was cut off there by the caller, who heard nothing after it. Do \
         not write that mark at the end yourself.\n\
         - {CALL_ANSWERED} means that the call began and the caller has said nothing yet.\n\
         - Before you use a tool that looks something up, say in a few words that you will. Say goodbye before you end \
         the call."
    )
}

fn messages(history: &History) -> Vec<Message> {
    let mut messages: Vec<Message> = history
        .messages()
        .into_iter()
        .map(|(role, blocks)| Message {
            role: match role {
                Role::User => "user",
                Role::Assistant => "assistant",
            },
            content: blocks.into_iter().map(content).collect(),
        })
        .collect();
    // From the end: the newest block, and the one that was the newest block's place in the request before.
    let newest = history.newest_block_count();
    let blocks = messages.iter_mut().rev().flat_map(|message| message.content.iter_mut().rev());
    for (from_end, block) in blocks.enumerate().take(newest + 1) {
        if from_end == 0 || from_end == newest {
            block.cache_control = Some(EPHEMERAL);
        }
    }
    messages
}

fn content(block: Block<'_>) -> Content {
    let kind = match block {
        Block::Text(words) => return text(words.to_owned()),
        Block::ToolUse(call) => Kind::ToolUse {
            id: call.id.clone(),
            name: call.name.clone(),
            input: call.arguments.clone().unwrap_or_default(),
        },
        Block::ToolResult(id, result) => Kind::ToolResult {
            tool_use_id: id.to_owned(),
            content: result.text.clone(),
            is_error: result.is_error,
        },
    };
    Content { kind, cache_control: None }
}

fn text(text: String) -> Content {
    Content { kind: Kind::Text { text }, cache_control: None }
}
