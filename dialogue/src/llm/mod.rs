//! PORT: a language model that streams its answer.

pub mod anthropic;
mod attempts;
mod breakers;
mod budget;
mod meter;
mod sse;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::stream::BoxStream;
use mesh::Pii;

use crate::{
    conversation::{Stop, ToolCall},
    prompt,
};

pub use attempts::complete;
pub use breakers::Breakers;
pub use meter::{Meter, Usage};

/// A request to a model.
#[derive(Clone)]
pub struct Completion {
    /// The vendor's model id.
    pub model: String,
    /// The tenant's key with the vendor.
    pub key: Pii<String>,
    /// Whose conversation it is of.
    pub call_id: String,
    /// What to send.
    pub request: Arc<prompt::Request>,
    /// Counts what it costs, however it ends.
    pub meter: Arc<Meter>,
    /// Models that are not asked for a while, and how many may be asked twice at once.
    pub breakers: Arc<Breakers>,
}

#[cfg(test)]
impl Completion {
    /// A request that says nothing of importance.
    fn example() -> Self {
        let profile = prompt::Profile {
            prompt: String::new(),
            language: "en".into(),
            tools: Vec::new(),
            max_tokens: 9,
        };
        let conversation = crate::conversation::Conversation::new(Default::default(), 0);
        Self {
            model: "m".into(),
            key: Pii::new("k".into()),
            call_id: "call".into(),
            request: Arc::new(prompt::request(&profile, conversation.history(), "call", true)),
            meter: Arc::new(Meter::new(true)),
            breakers: Arc::default(),
        }
    }
}

/// What comes back, in order; `Finished` is last.
pub enum Event {
    /// Words.
    Text(Pii<String>),
    /// The model does not answer, and another one does, here and for the rest of the call.
    FellBack {
        /// The vendor's id of the other one.
        model: String,
        /// What was wrong.
        detail: String,
    },
    /// A tool call begins; it comes whole with `Finished`.
    ToolStarted,
    /// The message is complete: run its tool calls if it stopped for them.
    Finished(Stop, Vec<ToolCall>),
}

/// Why a completion failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// What happened, in a few words without personal data.
    pub detail: String,
}

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Ask again, not before the vendor's wish if it has one.
    Transient(Option<Duration>),
    /// Ask another model: this one does not begin in time.
    TooSlow,
    /// Ask another model: the vendor does not serve this one.
    NoSuchModel,
    /// Nothing: the same request would fail again.
    Permanent,
}

/// Completes prompts. Dropping the stream cancels the request at the vendor.
pub trait LanguageModel: Send + Sync + 'static {
    /// Starts a completion whose answer must begin before `first_byte_by`.
    fn complete(
        &self,
        completion: Completion,
        first_byte_by: Instant,
    ) -> BoxStream<'static, Result<Event, Failure>>;
}

impl From<Failure> for crate::conversation::Failure {
    fn from(failure: Failure) -> Self {
        let is_fatal = matches!(failure.kind, FailureKind::NoSuchModel | FailureKind::Permanent);
        Self { detail: failure.detail, is_fatal }
    }
}
