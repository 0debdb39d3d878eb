//! Thinks: from the caller's words to the agent's.
//!
//! Cores, without sockets or clocks: [`segment`] cuts a reply into speakable pieces, [`conversation`] keeps the history
//! and the epochs, [`prompt`] lays out the model's request. Shells: one session a `Converse` stream, one adapter for
//! the language model behind the port in [`llm`].

mod config;
pub mod conversation;
mod events;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
pub mod llm;
pub mod prompt;
pub mod segment;
mod service;
mod session;
pub mod tools;

use std::sync::Arc;

use mesh::{Directory, Drain, Hop};
use proto::{
    retrieval::v1::retrieval_service_client::RetrievalServiceClient,
    tenancy::v1::{agent_service_client::AgentServiceClient, routing_service_client::RoutingServiceClient},
};

pub use config::Config;
pub use service::Service;

use crate::{llm::anthropic::Anthropic, tools::Tool};

/// The role cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client to the language model has no usable TLS configuration.
    #[error("the http client to the language model cannot be built; check the certificate store")]
    HttpClient(#[source] reqwest::Error),
}

/// The dialogue role.
pub struct Dialogue {
    service: Service,
}

impl Dialogue {
    /// Puts the role together; opens no connection.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(
        config: Config,
        routing: RoutingServiceClient<Hop>,
        agents: AgentServiceClient<Hop>,
        retrieval: RetrievalServiceClient<Hop>,
        drain: Drain,
    ) -> Result<Self, Error> {
        events::describe();
        let model = Anthropic::new(&config).map_err(Error::HttpClient)?;
        let directory = Directory::new(routing, agents);
        Ok(Self { service: Service::new(config, Arc::new(model), directory, retrieval, drain) })
    }

    /// Adds a tool to the built-in ones, for the agents that name it. Services given out before do not have it.
    #[must_use]
    pub fn with_tool(mut self, tool: Arc<dyn Tool>) -> Self {
        self.service.add_tool(tool);
        self
    }

    /// The gRPC service; clones are cheap and share everything.
    pub fn service(&self) -> Service {
        self.service.clone()
    }
}
