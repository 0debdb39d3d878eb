//! Voice activity: how likely a caller is speaking, 32 ms at a time, and where speech starts and ends.
//!
//! [`Pool`] runs an engine on threads of its own; a call submits its audio through a [`VadStream`] without ever
//! waiting. Its [`Ear`], which is [`Edges`], turns the [`Reading`] of each chunk into edges of speech, which it receives.

pub mod edges;
mod error;
mod inbox;
pub mod onnx;
mod outbox;
mod pool;
pub mod port;
#[cfg(test)]
mod reference;
pub mod silero;
mod stream;
#[cfg(test)]
mod tests;
mod worker;

use std::path::PathBuf;

use serde::Deserialize;

pub use edges::{Edge, Edges};
pub use error::Error;
pub use outbox::{Ear, Reading};
pub use pool::Pool;
pub use stream::VadStream;

/// Settings of voice activity detection, the section `vad`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which engine tells speech from other sound.
    pub engine: Engine,
    /// The file of ONNX Runtime 1.22 or newer (`libonnxruntime.so...`); needed by the engine `onnx`, unused by the
    /// other.
    pub onnx_library: Option<PathBuf>,
    /// When speech counts as started and as ended, unless an agent says otherwise.
    pub edges: edges::Config,
}

/// The engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Silero VAD at 8 kHz in plain Rust.
    #[default]
    Silero,
    /// The crate `voice_activity_detector` at 16 kHz on ONNX Runtime.
    Onnx,
}
