//! The gateway to the carriers: webhooks and media WebSockets on one side, the media role on the other.
//!
//! Reading order is call order: `webhooks` (admission) -> `listener` (the socket) -> `session` (the shell of a call)
//! around the cores `wire`, `framing`, `playout` and `call`, which are public so that whole calls can be simulated with them.

mod admission;
mod arrival;
pub mod call;
mod config;
mod dialling;
mod events;
mod exotel;
pub mod framing;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod link;
mod listener;
mod place;
pub mod playout;
mod requests;
mod rest;
mod service;
mod session;
mod shared;
mod twilio;
mod watch;
mod webhooks;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use mesh::{Drain, Hop};
use proto::{
    media::v1::media_service_client::MediaServiceClient,
    tenancy::v1::{agent_service_client::AgentServiceClient, routing_service_client::RoutingServiceClient},
};

pub use config::{Config, ExotelAccount, Network, TwilioAccount};
pub use service::CallService;
use shared::Shared;

/// The largest body of a webhook.
const WEBHOOK_BYTES_MAX: usize = 64 * 1024;

/// The role cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client to the carrier has no usable TLS configuration.
    #[error("the http client to the carrier cannot be built; check the certificate store")]
    HttpClient(#[source] reqwest::Error),
}

/// The role.
#[derive(Clone)]
pub struct TelephonyGw {
    shared: Arc<Shared>,
}

impl TelephonyGw {
    /// A gateway that hands calls to `media`, and asks `routing` who owns a number and `agents` for an agent's live version.
    /// Needs a Tokio runtime around it:
    /// one task of its own ends admissions that nobody used.
    ///
    /// # Errors
    /// If the HTTP client to the carrier cannot be built.
    pub fn new(
        config: Config,
        media: MediaServiceClient<Hop>,
        routing: RoutingServiceClient<Hop>,
        agents: AgentServiceClient<Hop>,
        drain: Drain,
    ) -> Result<Self, Error> {
        let shared = Shared::new(config, media, (routing, agents), drain).map_err(Error::HttpClient)?;
        Ok(Self { shared })
    }

    /// What carriers call, to be served at the public URL.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/twilio/voice", post(webhooks::voice))
            .route("/twilio/after/{token}", post(webhooks::after))
            .route("/twilio/status", post(webhooks::status))
            .route("/twilio/status/{call_id}", post(webhooks::dial_status))
            .route("/twilio/stream/{token}", post(webhooks::stream_status))
            .route("/twilio/media/{node}/{token}", get(listener::twilio))
            .route("/twilio/media/{node}/", get(listener::media_without_token))
            .route("/twilio/media/{node}", get(listener::media_without_token))
            .route("/exotel/{secret}/voice", get(exotel::voice).post(exotel::voice))
            .route("/exotel/{secret}/passthru", get(exotel::passthru).post(exotel::passthru))
            .route("/exotel/{secret}/transfer", get(exotel::transfer).post(exotel::transfer))
            .route("/exotel/{secret}/connect", get(exotel::connect).post(exotel::connect))
            .route("/exotel/{secret}/status", post(exotel::status))
            .route("/exotel/{secret}/status/{call_id}", post(exotel::dial_status))
            .route("/exotel/media/{node}/{token}", get(listener::exotel))
            .route("/exotel/media/{node}/", get(listener::media_without_token))
            .layer(DefaultBodyLimit::max(WEBHOOK_BYTES_MAX))
            .with_state(Arc::clone(&self.shared))
    }

    /// `CallService` over gRPC.
    pub fn call_service(&self) -> CallService {
        CallService::new(Arc::clone(&self.shared))
    }
}
