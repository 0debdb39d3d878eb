//! Puts the call through to somebody else.

use futures_util::{FutureExt, future::BoxFuture};
use proto::{
    tenancy::v1::TransferTarget,
    types::v1::{CarrierAction, Transfer, carrier_action::Action},
};
use serde_json::{Map, Value, json};

use super::{Tool, failed};
use crate::{
    conversation::{Effect, ToolResult},
    prompt::ToolDefinition,
};

/// The tool, for one agent. The model knows names; the numbers stay here.
pub struct TransferCall {
    targets: Vec<TransferTarget>,
}

impl TransferCall {
    /// For those whom the agent may put a call through to.
    pub fn new(targets: &[TransferTarget]) -> Self {
        Self { targets: targets.to_vec() }
    }

    fn target(&self, arguments: &Map<String, Value>) -> Option<&TransferTarget> {
        let name = arguments.get("to")?.as_str()?;
        self.targets.iter().find(|target| target.name == name)
    }
}

impl Tool for TransferCall {
    fn definition(&self) -> ToolDefinition {
        let names: Vec<_> = self.targets.iter().map(|target| &target.name).collect();
        ToolDefinition {
            name: "transfer_call",
            description: "Puts the caller through to somebody else, after the words of this message were heard. Say in the \
                          same message, before you call it, to whom you put the caller through. If they cannot be reached, \
                          you get the result, and the caller is with you again: tell them what happened.",
            input_schema: json!({
                "properties": {"to": {"description": "Who is to be called.", "enum": names, "type": "string"}},
                "required": ["to"],
                "type": "object"
            }),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Irrevocable
    }

    fn run(&self, arguments: Map<String, Value>, _idempotency_key: &str) -> BoxFuture<'static, ToolResult> {
        let result = match self.target(&arguments) {
            Some(_) => {
                let text = "The caller is put through when these words were heard.".to_owned();
                ToolResult { text, is_error: false }
            }
            None => {
                failed("to must be one of the names in the tool's schema; this agent can reach nobody else")
            }
        };
        std::future::ready(result).boxed()
    }

    fn action(&self, arguments: &Map<String, Value>) -> Option<CarrierAction> {
        let to_number = self.target(arguments)?.number.clone();
        Some(CarrierAction { action: Some(Action::Transfer(Transfer { to_number })) })
    }
}
