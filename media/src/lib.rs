//! The media role: listens, decides whose turn it is, and speaks.

pub mod audio;
mod circuits;
pub mod config;
mod conversation;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
pub mod language;
pub mod latency;
mod listening;
mod meter;
mod phrases;
pub mod pipeline;
pub mod playout;
mod service;
mod session;
mod socket;
mod spoken;
pub mod stt;
pub mod tts;
pub mod turn;
pub mod vad;
mod voices;

use std::sync::Arc;

use mesh::{Directory, Drain, Hop};
use proto::{
    dialogue::v1::dialogue_service_client::DialogueServiceClient,
    tenancy::v1::{agent_service_client::AgentServiceClient, routing_service_client::RoutingServiceClient},
};

pub use config::Config;
pub use service::Service;

use phrases::Phrases;
use stt::Transcriber;
use tts::Synthesizer;

/// What all sessions of the node share.
pub(crate) struct Inner {
    config: Config,
    dialogue: DialogueServiceClient<Hop>,
    directory: Directory,
    stt: Arc<dyn Transcriber>,
    tts: Arc<dyn Synthesizer>,
    phrases: Phrases,
    vad: vad::Pool,
    drain: Drain,
}

/// The role.
#[derive(Clone)]
pub struct Media(Arc<Inner>);

impl Media {
    /// Starts the role: its VAD threads run from here on.
    ///
    /// # Errors
    /// The VAD engine that the configuration asks for cannot be loaded.
    pub fn new(
        config: Config,
        dialogue: DialogueServiceClient<Hop>,
        routing: RoutingServiceClient<Hop>,
        agents: AgentServiceClient<Hop>,
        drain: Drain,
    ) -> Result<Self, vad::Error> {
        meter::describe();
        let tts: Arc<dyn Synthesizer> = Arc::new(tts::ByVendor);
        Ok(Self(Arc::new(Inner {
            vad: vad::Pool::start(&config.vad, config.vad_threads)?,
            dialogue,
            directory: Directory::new(routing, agents),
            stt: Arc::new(stt::ByModel),
            phrases: Phrases::new(tts.clone()),
            tts,
            drain,
            config,
        })))
    }

    /// The gRPC service of the role.
    pub fn service(&self) -> Service {
        Service(self.0.clone())
    }
}

/// The WebSocket form of a vendor's origin: `http` and `ws` mean the same in a setting, and so do `https` and `wss`.
pub(crate) fn ws_origin(base: &url::Url) -> url::Url {
    let scheme = if matches!(base.scheme(), "https" | "wss") { "wss" } else { "ws" };
    let text = base.as_str().replacen(base.scheme(), scheme, 1);
    url::Url::parse(&text).unwrap_or_else(|_| base.clone())
}
