//! Twilio's side of a call: the webhook, the media WebSocket and the caller behind it.
//!
//! [`Call::place`] is the carrier of one call. It posts the signed voice webhook, runs the TwiML it gets, dials the
//! media WebSocket, lets a scripted caller speak in 20 ms frames of wall time, plays out what comes back at 8,000
//! bytes a second, echoes marks when they were played and honours `clear`. What it measured is a [`Report`]; what
//! was said and heard is a [`Recording`].
//!
//! The rules are cores without sockets or clocks ([`playout`], [`script`], [`pacing`], `room`, [`ear`], [`twiml`], [`wire`],
//! [`signature`]); `call` and `stream` are their shells. Time in the cores is the time since the call was answered.

pub mod abuse;
mod call;
pub mod ear;
mod many;
pub mod mulaw;
pub mod pacing;
mod plan;
pub mod playout;
mod recording;
mod report;
mod room;
pub mod script;
pub mod signature;
pub mod socket;
mod stream;
pub mod twiml;
pub mod webhook;
pub mod wire;

pub use call::{Call, Outcome};
pub use many::run_many;
pub use pacing::{Link, Stalls};
pub use plan::{Goodbye, Plan};
pub use recording::{Recording, WavError, read_wav};
pub use report::{
    CallEvent, Close, ClosedBy, Document, Ended, LateFrame, LineReport, MarkOutcome, MarkReport, Playback,
    Report, Stamp, StreamReport, Turn, Utterance, Warning, What,
};
pub use room::{Echo, Room};
pub use script::{Line, Step, When};

#[cfg(test)]
mod tests;
