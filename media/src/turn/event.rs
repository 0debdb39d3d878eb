//! What the core is told, and what it decides.

use std::time::{Duration, Instant};

use super::level::Strength;
use crate::stt::Transcript;

/// What the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Nothing: the floor is the caller's.
    Silent,
    /// It has been asked and nothing of its answer was played yet.
    Thinking,
    /// The caller hears it.
    Audible,
    /// The caller hears a line that must finish.
    Uninterruptible,
    /// The caller hears a filler, and what they said has still to be heard by the transcriber.
    Filling,
}

impl Agent {
    pub(super) fn is_heard(self) -> bool {
        matches!(self, Self::Audible | Self::Uninterruptible | Self::Filling)
    }
}

/// What the core is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The caller began to speak.
    SpeechStarted {
        /// The onset.
        at: Instant,
        /// The same point on the audio clock.
        offset: Duration,
    },
    /// The caller stopped.
    SpeechEnded {
        /// The end of the last speech.
        at: Instant,
        /// The same point on the audio clock.
        offset: Duration,
    },
    /// How the sound since the onset compares with the caller's usual voice and with what we play.
    Sound(Sound),
    /// Words.
    Transcript(Transcript),
    /// The transcriber has seen no word for a while.
    UtteranceEnd,
    /// The transcriber decides turns, and this one is over with these words, up to here on the audio clock.
    VendorEndOfTurn {
        /// The whole turn.
        text: String,
        /// On the audio clock.
        end: Duration,
    },
    /// The transcriber decides turns, and this one is likely over.
    VendorLikelyEndOfTurn {
        /// The turn so far.
        text: String,
        /// On the audio clock.
        end: Duration,
    },
    /// It is not.
    VendorTurnResumed,
    /// The transcriber lost its socket: what was not settled it will hear again, and its words come late.
    TranscriberLost {
        /// How long after the end of speech they are waited for.
        patience: Duration,
    },
    /// It was sent everything that it missed.
    TranscriberCaughtUp,
    /// The agent's state changed.
    Agent(Agent),
    /// Time passed.
    Tick,
}

/// What an overlapping sound is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// As strong as the caller, or much weaker.
    Voice(Strength),
    /// Our own voice coming back.
    Echo,
}

impl Sound {
    /// A voice that is not too far away to be the caller's.
    pub(super) fn may_be_callers(self) -> bool {
        matches!(self, Self::Voice(Strength::Strong | Strength::Weak))
    }

    pub(super) fn strength(self) -> Strength {
        match self {
            Self::Voice(strength) => strength,
            Self::Echo => Strength::Weak,
        }
    }
}

/// What it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask the transcriber for what it has.
    Finalize,
    /// The caller's turn is likely over: the reply may be begun.
    LikelyEndOfTurn {
        /// What was said.
        text: String,
    },
    /// It is not: what was begun is stale.
    TurnResumed,
    /// The caller's turn is over.
    EndOfTurn(Turn),
    /// The caller seems to take the floor from an audible agent: be silent. Words will confirm it or not.
    BargeIn {
        /// Start of the overlap.
        onset: Instant,
    },
    /// Words confirm the barge-in.
    BargeInConfirmed,
    /// No words came: go on with what was being said.
    FalseBargeIn,
    /// The caller goes on although the turn had ended and the answer is being made: what is made is stale.
    TurnContinues,
    /// The caller spoke, and no words could be made out.
    NoWords,
}

/// A finished turn of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What was said. Never empty.
    pub text: String,
    /// The end of the last speech.
    pub end_of_speech: Instant,
    /// When the last piece of its transcript came.
    pub transcript_at: Option<Instant>,
}
