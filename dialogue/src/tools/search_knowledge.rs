//! Looks something up in the tenant's documents.

use std::{fmt::Write, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use mesh::Hop;
use proto::retrieval::v1::{Passage, SearchRequest, retrieval_service_client::RetrievalServiceClient};
use serde_json::{Map, Value, json};
use tonic::Request;

use super::{Tool, failed};
use crate::{
    conversation::{Effect, ToolResult},
    prompt::ToolDefinition,
};

const DEADLINE: Duration = Duration::from_secs(2);
/// The longest query that the retrieval role takes.
const QUERY_CHARS_MAX: usize = 2000;
const PASSAGES: i32 = 4;

/// The tool, for one tenant.
pub struct SearchKnowledge {
    tenant: String,
    retrieval: RetrievalServiceClient<Hop>,
}

impl SearchKnowledge {
    /// For a tenant, `tenants/{tenant}`.
    pub fn new(tenant: &str, retrieval: RetrievalServiceClient<Hop>) -> Self {
        Self { tenant: tenant.to_owned(), retrieval }
    }
}

impl Tool for SearchKnowledge {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "search_knowledge",
            description: "Finds passages in the documents of the company that you speak for. Use it for every question \
                          about its products, prices, rules, places or opening hours that you cannot answer from your \
                          instructions. Say only what the passages say.",
            input_schema: json!({
                "properties": {
                    "query": {
                        "description": "What to look for: a whole question in plain words.",
                        "type": "string"
                    }
                },
                "required": ["query"],
                "type": "object"
            }),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn run(&self, arguments: Map<String, Value>, _idempotency_key: &str) -> BoxFuture<'static, ToolResult> {
        let query = arguments.get("query").and_then(Value::as_str).unwrap_or_default().trim();
        if query.is_empty() {
            return std::future::ready(failed("query is missing: say what to look for")).boxed();
        }
        let query = query.chars().take(QUERY_CHARS_MAX).collect();
        let mut request =
            Request::new(SearchRequest { parent: self.tenant.clone(), query, page_size: PASSAGES });
        request.set_timeout(DEADLINE);
        let mut retrieval = self.retrieval.clone();
        async move {
            match tokio::time::timeout(DEADLINE, retrieval.search(request)).await {
                Ok(Ok(response)) => {
                    ToolResult { text: describe(&response.into_inner().passages), is_error: false }
                }
                Ok(Err(status)) => {
                    tracing::warn!(code = ?status.code(), "the search failed");
                    failed("the documents cannot be searched at the moment")
                }
                Err(_) => {
                    tracing::warn!("the search took too long");
                    failed("the search took too long")
                }
            }
        }
        .boxed()
    }
}

fn describe(passages: &[Passage]) -> String {
    let mut text = String::new();
    for (number, passage) in (1..).zip(passages) {
        let separator = if number == 1 { "" } else { "\n\n" };
        let _ = write!(text, "{separator}[{number}] {}\n{}", passage.title, passage.text.trim());
    }
    if text.is_empty() { "No passage was found.".to_owned() } else { text }
}
