//! PORT: text to speech as a stream.

pub mod cartesia;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
pub mod sarvam;

use bytes::Bytes;
use mesh::Pii;
use tokio::sync::mpsc;
use url::Url;

pub use crate::playout::heard::Word;
use crate::{audio::Format, socket::Outbox};

/// One attempt at speaking an epoch's text; a synthesis that breaks off is taken again with the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Take {
    /// The epoch.
    pub epoch: i64,
    /// From 0.
    pub number: u32,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// Cartesia.
    #[default]
    Cartesia,
    /// Sarvam, for the languages of India.
    Sarvam,
}

impl Vendor {
    /// The vendor of an agent's voice; an agent that names none has the usual one.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "cartesia" => Some(Self::Cartesia),
            "sarvam" => Some(Self::Sarvam),
            _ => None,
        }
    }

    /// Its name in settings, keys and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cartesia => "cartesia",
            Self::Sarvam => "sarvam",
        }
    }
}

/// How the call sounds, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who speaks; an adapter of one vendor does not look at it.
    pub vendor: Vendor,
    /// The vendor's origin.
    pub base_url: Url,
    /// The tenant's key.
    pub api_key: Pii<String>,
    /// The vendor's voice.
    pub voice_id: String,
    /// The vendor's model.
    pub model: String,
    /// BCP 47 language.
    pub language: String,
    /// For correlation in the vendor's logs.
    pub call_id: String,
    /// The call's format.
    pub format: Format,
    /// Somebody else speaks where this one cannot be had: it is given up soon.
    pub has_fallback: bool,
}

/// What the session asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Speak more of a take. Texts of a take are joined verbatim.
    Speak {
        /// Which.
        take: Take,
        /// A segment.
        text: String,
    },
    /// The take has no more text.
    Finish {
        /// Which.
        take: Take,
    },
    /// Stop the take, at once even where events wait: of those that do some may still be its own, and no more follow.
    Cancel {
        /// Which.
        take: Take,
    },
}

/// What comes back.
#[derive(Debug)]
pub enum Event {
    /// Audio in the call's format, in order.
    Audio {
        /// Which.
        take: Take,
        /// Of any length.
        payload: Bytes,
    },
    /// Word times, from the start of the take's audio; estimates where the vendor gives none.
    Words {
        /// Which.
        take: Take,
        /// In order.
        words: Vec<Word>,
    },
    /// All audio of the take was delivered. The vendor may end a take that had no text for a while by itself: text that
    /// comes too late for it loses the take.
    Done {
        /// Which.
        take: Take,
    },
    /// The take broke off; what was delivered may be played. Speak the rest in a new take.
    Lost {
        /// Which.
        take: Take,
        /// Why, for the log.
        detail: String,
    },
    /// The vendor cannot be reached or refuses us for good. The last event; commands are then taken and forgotten.
    Unavailable {
        /// Why, for the log.
        detail: String,
    },
}

/// A synthesis session of one call. Dropping it closes the vendor's socket.
pub struct Session {
    /// At most 64 commands wait.
    pub commands: mpsc::Sender<Command>,
    /// At most 64 events wait: beyond that the vendor's socket is not read, which is the back-pressure.
    pub events: mpsc::Receiver<Event>,
}

impl Session {
    /// A session, and the adapter's ends of its channels.
    fn new() -> (Self, mpsc::Receiver<Command>, Outbox<Event>) {
        let (commands, command_rx) = mpsc::channel(64);
        let (event_tx, events) = mpsc::channel(64);
        (Self { commands, events }, command_rx, Outbox::new(event_tx))
    }
}

/// Opens synthesis sessions.
pub trait Synthesizer: Send + Sync {
    /// Opens a session at once; the socket is dialled behind it. The caller runs inside a tokio runtime.
    fn open(&self, settings: Settings) -> Session;
}

/// Opens each session with the vendor that its settings name.
#[derive(Debug, Default)]
pub struct ByVendor;

impl Synthesizer for ByVendor {
    fn open(&self, settings: Settings) -> Session {
        match settings.vendor {
            Vendor::Cartesia => cartesia::Cartesia.open(settings),
            Vendor::Sarvam => sarvam::Sarvam.open(settings),
        }
    }
}
