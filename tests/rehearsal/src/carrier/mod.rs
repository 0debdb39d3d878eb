//! The carrier's side of a call, whichever carrier: the media WebSocket and the caller behind it.
//!
//! [`Call::place`] is the carrier of one call. It asks the server's webhook, dials the media WebSocket, lets a scripted
//! caller speak in 20 ms frames of wall time, plays out what comes back at 8,000 bytes a second, echoes marks when they
//! were played and honours `clear`. What it measured is a [`Report`]; what was said and heard is a [`Recording`]. The
//! caller's telephone speaks mu-law at 8 kHz, as the telephone network does; what a carrier makes of that on its stream
//! is its [`Dialect`](dialect::Dialect)'s.
//!
//! The rules are cores without sockets or clocks ([`playout`], [`script`], [`pacing`], `room`, [`ear`]); `call` and `stream` are
//! their shells. Time in the cores is the time since the call was answered.

mod call;
mod dial;
pub mod dialect;
pub mod ear;
mod many;
pub mod mulaw;
mod outbound;
pub mod pacing;
mod plan;
pub mod playout;
mod recording;
mod report;
mod room;
pub mod script;
pub mod socket;
pub(crate) mod stream;
mod switchboard;
pub mod webhook;

pub use call::{Call, Outcome};
pub(crate) use call::{Leg, or_end, sid};
pub use dial::{DialReport, Dialled, Then};
pub use many::run_many;
pub use outbound::{Callbacks, Callee, Exchange, Pickup};
pub(crate) use outbound::{Created, TOLD};
pub use pacing::{Link, Stalls};
pub use plan::{Carrier, Goodbye, Origin, Plan};
pub use recording::{Recording, WavError, read_wav};
pub use report::{
    CallEvent, Close, ClosedBy, Document, Ended, LateFrame, LineReport, MarkOutcome, MarkReport, Playback,
    Report, Stamp, StreamReport, Turn, Utterance, Warning, What,
};
pub use room::{Echo, Room};
pub use script::{Line, Step, When};
pub use switchboard::{Switchboard, Update};
