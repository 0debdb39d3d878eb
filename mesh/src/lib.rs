//! What every hop needs, and nothing about voice: transport, layers, identity, errors, drain, the clock.

pub mod auth;
pub mod circuit;
pub mod clock;
pub mod directory;
pub mod drain;
pub mod error;
pub mod hop;
pub mod inactive;
pub mod layers;
pub mod lease;
pub mod pii;
pub mod serve;
pub mod tls;

#[cfg(test)]
mod testing;

pub use directory::{Directory, Routes};
pub use drain::Drain;
pub use error::ServiceError;
pub use layers::{ClientStack, Limits, Stack};
pub use pii::Pii;
pub use tls::Tls;

/// The error of a transport.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The error of a hop. A type of its own, because with a boxed one the compiler cannot prove that a generated client's
/// future is `Send`.
#[derive(Debug, thiserror::Error)]
#[error("the hop failed")]
pub struct HopError(#[source] pub BoxError);

/// One role calling another, in this process or over a network: the transport that every generated client takes.
/// Made by [`hop::local`] and [`hop::remote`]; a clone is cheap and shares the connection.
pub type Hop = tower::util::BoxCloneSyncService<
    http::Request<tonic::body::Body>,
    http::Response<tonic::body::Body>,
    HopError,
>;
