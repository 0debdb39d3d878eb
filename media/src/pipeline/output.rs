//! What the core of a call wants done.

use std::time::Duration;

use bytes::Bytes;
use proto::types::v1::{CarrierAction, CarrierOutcome, EndReason, call_event::Event};

use crate::tts::Take;

/// What the core of a call wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Play a frame of 20 ms.
    Frame {
        /// Whose.
        epoch: i64,
        /// In the call's format.
        payload: Bytes,
    },
    /// A mark after the frames before it.
    Mark {
        /// Whose.
        epoch: i64,
        /// Its name.
        name: String,
    },
    /// Drop what was not yet played.
    Clear {
        /// Whose.
        epoch: i64,
    },
    /// End the call.
    HangUp {
        /// Why.
        reason: EndReason,
    },
    /// Let the carrier do this, and wait until it is over.
    Act {
        /// The newest epoch then.
        epoch: i64,
        /// What.
        action: CarrierAction,
    },
    /// The carrier's action is over: ask for what is to be said to it.
    ActionEnded {
        /// Of what is said.
        epoch: i64,
        /// What came of it.
        outcome: CarrierOutcome,
    },
    /// Ask the transcriber for what it has.
    Finalize,
    /// Words suggest that this language of the agent's may be spoken next: be ready to synthesise in it.
    Prepare {
        /// Its place.
        language: usize,
    },
    /// The caller speaks this language of the agent's from here on.
    Listen {
        /// Its place.
        language: usize,
    },
    /// Synthesise in this language of the agent's from the next take on.
    Voice {
        /// Its place.
        language: usize,
    },
    /// Whoever stands in for the transcriber listens from here on.
    FallBackListening,
    /// Whoever stands in for the synthesizer speaks from here on.
    FallBackVoice,
    /// Synthesise this.
    Speak {
        /// In this take.
        take: Take,
        /// The words.
        text: String,
    },
    /// The take has no more text.
    SpeakEnd {
        /// Which.
        take: Take,
    },
    /// Stop the take.
    SpeakCancel {
        /// Which.
        take: Take,
    },
    /// Ask for a reply.
    UserTurn {
        /// Its epoch.
        epoch: i64,
        /// What the caller said.
        text: String,
        /// The place of the language to answer in.
        language: usize,
        /// The turn is likely over, not certainly.
        tentative: bool,
    },
    /// The tentative turn of this epoch is certain.
    Confirm {
        /// Which.
        epoch: i64,
    },
    /// Tell what was heard.
    Heard {
        /// Of this epoch.
        epoch: i64,
        /// The words.
        text: String,
        /// It was cut.
        interrupted: bool,
    },
    /// Stop making the reply.
    CancelReply {
        /// Which.
        epoch: i64,
    },
    /// Something happened.
    Event {
        /// The newest epoch then.
        epoch: i64,
        /// From the start of the media stream.
        offset: Duration,
        /// What.
        event: Event,
    },
}
