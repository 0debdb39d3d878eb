//! PORT: speech to text as a stream.
//!
//! A transcriber either writes down what is said and leaves the end of the caller's turn to others, or it decides turns
//! itself. One that does says so in [`Session::decides_turns`], and then its decision counts: it sends
//! [`Event::EndOfTurn`] once for each turn and never a final [`Transcript`]. Its events keep to
//! `Transcript* (LikelyEndOfTurn TurnResumed Transcript*)* [LikelyEndOfTurn] EndOfTurn`: each text is the whole turn so
//! far, and an `EndOfTurn` right after a `LikelyEndOfTurn` has the same text. Between turns the transcripts are empty.

pub mod deepgram;
pub mod flux;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod line;
mod replay;
pub mod sarvam;

use std::time::Duration;

use bytes::Bytes;
use mesh::Pii;
use tokio::sync::mpsc;
use url::Url;

use crate::audio::Format;

/// Who listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Vendor {
    /// Deepgram: Nova, or Flux for models of that name.
    #[default]
    Deepgram,
    /// Sarvam, for the languages of India.
    Sarvam,
}

impl Vendor {
    /// The vendor that an agent listens with; an agent that names none has the usual one.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "deepgram" => Some(Self::Deepgram),
            "sarvam" => Some(Self::Sarvam),
            _ => None,
        }
    }

    /// Its name in settings, keys and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deepgram => "deepgram",
            Self::Sarvam => "sarvam",
        }
    }
}

/// How the call is listened to, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who listens; an adapter of one vendor does not look at it.
    pub vendor: Vendor,
    /// The vendor's origin.
    pub base_url: Url,
    /// The tenant's key.
    pub api_key: Pii<String>,
    /// The vendor's model.
    pub model: String,
    /// BCP 47 language, or `multi` for all that the model hears.
    pub language: String,
    /// For correlation in the vendor's logs.
    pub call_id: String,
    /// The call's format.
    pub format: Format,
    /// Somebody else listens where this one cannot be had: it is given up soon.
    pub has_fallback: bool,
}

impl Settings {
    /// The transcriber that they name decides turns itself: it is Flux.
    pub fn decide_turns(&self) -> bool {
        self.vendor == Vendor::Deepgram && self.model.starts_with("flux")
    }
}

/// What the session sends.
#[derive(Debug)]
pub enum Command {
    /// The caller's audio as the carrier sent it, in the call's format.
    Audio(Bytes),
    /// The caller seems to have stopped: give the final transcript of the audio before it. Kept until it is answered; a
    /// transcriber that decides turns ignores it.
    Finalize,
    /// What another session kept of the audio before the first: it has not been heard by anybody.
    CatchUp(Kept),
    /// The caller begins to make sound that may be speech, or ends. A vendor that says nothing of it is not there.
    Speaking(bool),
}

/// A piece of transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The words; may be empty.
    pub text: String,
    /// False: an interim one, replaced by the next. True: settled.
    pub is_final: bool,
    /// The vendor believes that the utterance is over, or it answers a finalize: nothing of the audio before `end` is
    /// still to come.
    pub utterance_over: bool,
    /// Where its audio ends, from the first audio sent.
    pub end: Duration,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// More transcript.
    Transcript(Transcript),
    /// No word came for a while after the last one: whatever is final is all there is.
    UtteranceEnd,
    /// The vendor has decided that the caller's turn is over. Only of a transcriber that decides turns.
    EndOfTurn {
        /// All words of the turn. Never empty.
        text: String,
        /// Up to where the vendor had listened, from the first audio sent; the silence that it waited for is part of it.
        end: Duration,
    },
    /// The turn is probably over: an answer may be prepared, and must not be played before `EndOfTurn`. Only of a
    /// transcriber that decides turns.
    LikelyEndOfTurn {
        /// All words of the turn so far. Never empty.
        text: String,
        /// As in `EndOfTurn`.
        end: Duration,
    },
    /// The caller goes on, or the vendor's socket was lost before it decided: what was prepared since `LikelyEndOfTurn`
    /// is stale.
    TurnResumed,
    /// The socket was lost, or could not be had, and is dialled again. Audio since the last final transcript is kept.
    Lost {
        /// Why, for the log.
        detail: String,
    },
    /// The socket is back and was sent all audio that it missed.
    CaughtUp,
    /// The vendor cannot be reached or refuses us for good. The last event; commands are then taken and forgotten.
    Unavailable {
        /// Why, for the log.
        detail: String,
        /// What somebody else has to hear.
        kept: Kept,
    },
}

/// Audio of the caller that is not settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Where it begins, from the first audio sent.
    pub from: Duration,
    /// In the call's format.
    pub audio: Bytes,
    /// A finalize behind it is not answered.
    pub finalize: bool,
}

/// A transcription session of one call. Dropping it closes the vendor's stream.
pub struct Session {
    /// At most 256 commands wait (5 s of audio); beyond that the newest audio is dropped and counted.
    pub commands: mpsc::Sender<Command>,
    /// At most 64 events wait.
    pub events: mpsc::Receiver<Event>,
    /// The transcriber's own [`Event::EndOfTurn`] ends the caller's turns; nobody else's guess does.
    pub decides_turns: bool,
}

/// Opens transcription sessions.
pub trait Transcriber: Send + Sync {
    /// Opens a session at once; the socket is dialled behind it and audio is kept meanwhile. The caller runs inside a
    /// tokio runtime.
    fn open(&self, settings: Settings) -> Session;
}

/// Opens each session with the adapter of the vendor and the model that its settings name.
#[derive(Debug, Default)]
pub struct ByModel;

impl Transcriber for ByModel {
    fn open(&self, settings: Settings) -> Session {
        match settings.vendor {
            Vendor::Sarvam => sarvam::Sarvam.open(settings),
            Vendor::Deepgram if settings.decide_turns() => flux::Flux.open(settings),
            Vendor::Deepgram => deepgram::Deepgram.open(settings),
        }
    }
}

/// A format in the words of the vendors' queries, which are the same.
fn format_query(format: Format) -> [(&'static str, String); 2] {
    [("encoding", format.encoding().name().to_owned()), ("sample_rate", format.sample_rate_hz().to_string())]
}
