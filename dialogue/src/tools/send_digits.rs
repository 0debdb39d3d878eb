//! Presses keys in the call.

use futures_util::{FutureExt, future::BoxFuture};
use proto::types::v1::{CarrierAction, SendDigits as Keys, carrier_action::Action};
use serde_json::{Map, Value, json};

use super::{Tool, failed};
use crate::{
    conversation::{Effect, ToolResult},
    prompt::ToolDefinition,
};

/// What the carriers take at once.
const DIGITS_MAX: usize = 32;

/// The tool.
pub struct SendDigits;

impl Tool for SendDigits {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "send_digits",
            description: "Presses keys of the telephone, for a machine at the other end that asks for them, after the words \
                          of this message were heard. You get the result when they were pressed.",
            input_schema: json!({
                "properties": {
                    "digits": {
                        "description": "Up to 32 of 0-9, * and #; w waits half a second.",
                        "pattern": "^[0-9*#w]{1,32}$",
                        "type": "string"
                    }
                },
                "required": ["digits"],
                "type": "object"
            }),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Irrevocable
    }

    fn run(&self, arguments: Map<String, Value>, _idempotency_key: &str) -> BoxFuture<'static, ToolResult> {
        let result = match digits(&arguments) {
            Some(_) => {
                let text = "The keys are pressed when these words were heard.".to_owned();
                ToolResult { text, is_error: false }
            }
            None => failed("digits must be 1 to 32 of 0-9, *, # and w"),
        };
        std::future::ready(result).boxed()
    }

    fn action(&self, arguments: &Map<String, Value>) -> Option<CarrierAction> {
        let digits = digits(arguments)?.to_owned();
        Some(CarrierAction { action: Some(Action::SendDigits(Keys { digits })) })
    }
}

fn digits(arguments: &Map<String, Value>) -> Option<&str> {
    let digits = arguments.get("digits")?.as_str()?;
    let allowed = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#' | 'w');
    ((1..=DIGITS_MAX).contains(&digits.len()) && digits.chars().all(allowed)).then_some(digits)
}
