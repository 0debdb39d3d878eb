//! Goes on in another language.

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Map, Value, json};

use super::{Tool, failed};
use crate::{
    conversation::{Effect, ToolResult},
    prompt::ToolDefinition,
};

/// The tool, for an agent of several languages. Its effect is the conversation's to bring about.
pub struct SwitchLanguage {
    languages: Vec<String>,
}

impl SwitchLanguage {
    /// For an agent with these languages, BCP 47.
    pub fn new(languages: &[String]) -> Self {
        Self { languages: languages.to_vec() }
    }
}

impl Tool for SwitchLanguage {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "switch_language",
            description: "Changes the language of the call, and with it your voice and what the caller is listened to \
                          with. You are told when the caller changes it by speaking another language: use this only \
                          where you are asked for a language in any other way, or are understood badly.",
            input_schema: json!({
                "properties": {
                    "language": {
                        "description": "What to speak from your next word on, as a BCP 47 tag.",
                        "enum": self.languages,
                        "type": "string"
                    }
                },
                "required": ["language"],
                "type": "object"
            }),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Language
    }

    fn run(&self, arguments: Map<String, Value>, _idempotency_key: &str) -> BoxFuture<'static, ToolResult> {
        let asked = arguments.get("language").and_then(Value::as_str).unwrap_or_default();
        let result = if self.languages.iter().any(|language| language == asked) {
            let text = format!("Speak {asked} from your next word on, in its own script.");
            ToolResult { text, is_error: false }
        } else {
            failed(format!("language must be one of {}", self.languages.join(", ")))
        };
        std::future::ready(result).boxed()
    }
}
