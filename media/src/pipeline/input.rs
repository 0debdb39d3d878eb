//! What the core of a call is told.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::types::v1::{CarrierAction, CarrierOutcome, EndReason};

use crate::{
    stt::Transcript,
    tts::{Take, Word},
    vad::Edge,
};

/// Speech that was synthesised before it is needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    /// The words.
    pub text: String,
    /// mu-law, 8 kHz.
    pub audio: Bytes,
    /// Word times.
    pub words: Vec<Word>,
}

/// What a phrase is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Said when the call is answered.
    Greeting,
    /// Said when the conversation cannot go on.
    Apology,
    /// Said while the caller waits: the first, the second.
    Filler(usize),
    /// Said when the caller is silent: the first, the second.
    IdlePrompt(usize),
    /// Said before a silent caller's call is ended.
    IdleGoodbye,
    /// Said when no words could be made out.
    Reprompt,
    /// Said before the maximum duration.
    DurationWarning,
    /// Said at the maximum duration.
    DurationGoodbye,
}

/// What comes when everything that must be heard was heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// The call ends.
    HangUp(EndReason),
    /// The carrier does something with it.
    Act(CarrierAction),
}

/// What the core is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// An edge of the caller's speech, on the audio clock.
    Speech(Edge),
    /// Words of the caller.
    Transcript(Transcript),
    /// No word for a while.
    UtteranceEnd,
    /// The transcriber decided that the caller's turn is over.
    EndOfTurn {
        /// The whole turn.
        text: String,
        /// On the audio clock.
        end: Duration,
    },
    /// The transcriber holds the turn for likely over.
    LikelyEndOfTurn {
        /// The turn so far.
        text: String,
        /// On the audio clock.
        end: Duration,
    },
    /// It is not.
    TurnResumed,
    /// The caller pressed a key: one of 0-9, *, #, A-D.
    Key(char),
    /// The transcriber's socket was lost, and is dialled again.
    SttLost(String),
    /// It is back and was sent everything that it missed.
    SttCaughtUp,
    /// The transcriber is gone for good.
    SttUnavailable(String),
    /// A phrase is there. The greeting is said at once, unless the caller has taken the floor.
    ///
    /// The number is the place of its language among the agent's.
    Phrase(usize, Purpose, Arc<Phrase>),
    /// A piece of the reply.
    Segment {
        /// Whose.
        epoch: i64,
        /// The words.
        text: String,
    },
    /// The reply is complete.
    ReplyDone {
        /// Whose.
        epoch: i64,
        /// What comes when it was heard.
        then: Option<Then>,
    },
    /// The reply broke off.
    ReplyFailed {
        /// Whose.
        epoch: i64,
        /// What to say instead.
        apology: String,
        /// What failed.
        detail: String,
        /// Hang up after it.
        fatal: bool,
    },
    /// The model goes on in another language.
    Language {
        /// Whose.
        epoch: i64,
        /// BCP 47.
        tag: String,
    },
    /// The model's first token came.
    FirstToken {
        /// Whose.
        epoch: i64,
    },
    /// The dialogue role is gone.
    DialogueUnavailable(String),
    /// Synthesised audio.
    SpeechAudio {
        /// Whose.
        take: Take,
        /// mu-law, 8 kHz.
        payload: Bytes,
    },
    /// Word times of it.
    SpeechWords {
        /// Whose.
        take: Take,
        /// In order.
        words: Vec<Word>,
    },
    /// A take is complete.
    SpeechDone {
        /// Which.
        take: Take,
    },
    /// A take broke off.
    SpeechLost {
        /// Which.
        take: Take,
        /// Why.
        detail: String,
    },
    /// The synthesizer is gone for good.
    TtsUnavailable(String),
    /// Another model answers for the rest of the call.
    ModelChanged {
        /// Which.
        model: String,
        /// What was wrong with the one before.
        detail: String,
    },
    /// A mark came back: what was before it was played.
    MarkReached(String),
    /// A mark came back because audio was dropped.
    MarkCleared(String),
    /// The carrier's action is over, and the caller is there again.
    Returned(CarrierOutcome),
    /// The media stream is over.
    StreamStopped,
    /// Time passed.
    Tick,
}

impl Input {
    /// True for what is noted although the carrier has the call: the rest is about a conversation that waits.
    pub(super) fn counts_while_away(&self) -> bool {
        matches!(
            self,
            Self::Returned(_)
                | Self::StreamStopped
                | Self::Phrase(..)
                | Self::SttLost(_)
                | Self::SttCaughtUp
                | Self::SttUnavailable(_)
                | Self::TtsUnavailable(_)
                | Self::DialogueUnavailable(_)
                | Self::ModelChanged { .. }
        )
    }
}
