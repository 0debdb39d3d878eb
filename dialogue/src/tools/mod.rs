//! PORT: what the model can do besides speak, and the built-in tools.

mod end_call;
mod search_knowledge;
mod send_digits;
mod switch_language;
mod transfer_call;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use mesh::Hop;
use proto::{
    retrieval::v1::retrieval_service_client::RetrievalServiceClient, tenancy::v1::TransferTarget,
    types::v1::CarrierAction,
};
use serde_json::{Map, Value};

pub use end_call::EndCall;
pub use search_knowledge::SearchKnowledge;
pub use send_digits::SendDigits;
pub use switch_language::SwitchLanguage;
pub use transfer_call::TransferCall;

use crate::{
    conversation::{Effect, ToolCall, ToolResult},
    prompt::ToolDefinition,
};

/// Something the model can do.
pub trait Tool: Send + Sync + 'static {
    /// What the model is told.
    fn definition(&self) -> ToolDefinition;
    /// What it changes in the world.
    fn effect(&self) -> Effect;
    /// Does it. Ends within a few seconds; failures are results for the model to speak about. Dropping the future
    /// cancels it; one that writes is dropped only when it takes too long.
    ///
    /// `idempotency_key` is the same when the same request is made again in the call: what writes passes it on to
    /// whoever keeps the books.
    fn run(&self, arguments: Map<String, Value>, idempotency_key: &str) -> BoxFuture<'static, ToolResult>;
    /// Of an irrevocable tool that ran: what the carrier is to do once the reply was heard. `None`: end the call.
    fn action(&self, _arguments: &Map<String, Value>) -> Option<CarrierAction> {
        None
    }
}

/// The tools of one call, by name.
#[derive(Clone, Default)]
pub struct Toolbox(BTreeMap<&'static str, Arc<dyn Tool>>);

impl Toolbox {
    /// Those that an agent with these languages names, of the built-in tools and `more`; `transfers` is whom it may put a call
    /// through to. A name that is none is passed over: the agent may be newer than this node.
    pub fn new(
        names: &[String],
        languages: &[String],
        transfers: &[TransferTarget],
        tenant: &str,
        retrieval: &RetrievalServiceClient<Hop>,
        more: &[Arc<dyn Tool>],
    ) -> Self {
        let built_in: [Arc<dyn Tool>; 5] = [
            Arc::new(EndCall),
            Arc::new(SearchKnowledge::new(tenant, retrieval.clone())),
            Arc::new(SendDigits),
            Arc::new(SwitchLanguage::new(languages)),
            Arc::new(TransferCall::new(transfers)),
        ];
        let tools =
            built_in.into_iter().chain(more.iter().cloned()).map(|tool| (tool.definition().name, tool));
        let toolbox: BTreeMap<_, _> = tools.filter(|(name, _)| names.iter().any(|n| n == name)).collect();
        for name in names.iter().filter(|name| !toolbox.contains_key(name.as_str())) {
            tracing::warn!(tool = name, "the agent names a tool that this node does not have");
        }
        Self(toolbox)
    }

    /// What the model is told, sorted by name.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        self.0.values().map(|tool| tool.definition()).collect()
    }

    /// What each tool changes in the world.
    pub fn effects(&self) -> BTreeMap<&'static str, Effect> {
        self.0.iter().map(|(name, tool)| (*name, tool.effect())).collect()
    }

    /// What the carrier is to do for an irrevocable call.
    pub fn action(&self, call: &ToolCall) -> Option<CarrierAction> {
        self.0.get(call.name.as_str())?.action(call.arguments.as_ref()?)
    }

    /// The tool of this name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.0.get(name).cloned()
    }
}

fn failed(text: impl Into<String>) -> ToolResult {
    ToolResult { text: text.into(), is_error: true }
}
