//! Ends the call, once the goodbye was heard.

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Map, Value, json};

use super::Tool;
use crate::{
    conversation::{Effect, ToolResult},
    prompt::ToolDefinition,
};

/// The tool. Its effect is the conversation's to bring about: the reply that called it ends the call when it was heard.
pub struct EndCall;

impl Tool for EndCall {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "end_call",
            description: "Ends the telephone call after the words of this message were heard. Say goodbye in the same \
                          message, before you call it. Use it when the caller says goodbye or wants nothing more.",
            input_schema: json!({"properties": {}, "type": "object"}),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Irrevocable
    }

    fn run(&self, _arguments: Map<String, Value>, _idempotency_key: &str) -> BoxFuture<'static, ToolResult> {
        let text = "The call ends when these words were heard.".to_owned();
        std::future::ready(ToolResult { text, is_error: false }).boxed()
    }
}
