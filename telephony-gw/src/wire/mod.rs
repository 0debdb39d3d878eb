//! CORE. What a carrier says over a media WebSocket and what it is told, whatever its dialect.

pub mod exotel;
mod field;
pub mod twilio;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use proto::types::v1::{AudioEncoding, AudioFormat};

/// One carrier's dialect on one media stream.
pub trait Wire: Send {
    /// Reads one text message. Once an error was returned the stream cannot be trusted any more: close it.
    ///
    /// # Errors
    /// What the carrier did that the protocol does not allow.
    fn decode<'a>(&mut self, text: &'a str) -> Result<Event<'a>, ProtocolError>;

    /// Writes a command as one text message. Only after `start` was read: before it the stream has no name.
    fn encode(&mut self, command: &Command) -> String;

    /// How this carrier wants to be played to.
    fn playout(&self) -> Playout;
}

/// How a carrier wants to be played to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Playout {
    /// The audio in one message.
    pub frame: Duration,
    /// How much audio may be with the carrier ahead of what it has played.
    pub lead: Duration,
}

/// What a carrier said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The socket speaks the protocol.
    Connected,
    /// The media stream of a call begins.
    Start(Start<'a>),
    /// The caller's audio.
    Media(Media),
    /// The caller pressed a key: one of `0-9 * # A-D`.
    Dtmf {
        /// The key.
        digit: char,
    },
    /// A mark came back.
    Mark {
        /// Its name, as it was sent.
        name: Cow<'a, str>,
    },
    /// The media stream is over, and so is the call.
    Stop,
    /// The media stream is over; the call may come back with another.
    StreamOver,
    /// Nothing that matters here: ignored and counted.
    Unknown,
}

/// The media stream of a call begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start<'a> {
    /// The carrier's name of the stream.
    pub stream_sid: Cow<'a, str>,
    /// The carrier's name of the call.
    pub call_sid: Cow<'a, str>,
    /// The carrier's name of the account.
    pub account_sid: Cow<'a, str>,
    /// The format of both directions.
    pub format: Format,
    /// What the webhook's answer asked to be handed on.
    pub parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A run of the caller's audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The samples.
    pub payload: Bytes,
    /// The carrier's count of its media messages, from 1.
    pub chunk: Option<u64>,
    /// Where the first sample stands on the carrier's clock, from its start of the stream.
    pub offset: Option<Duration>,
}

/// The format of a media stream: always one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// How samples are written.
    pub encoding: AudioEncoding,
    /// Samples a second.
    pub sample_rate_hz: u32,
}

impl Format {
    /// What the telephone network speaks.
    pub const MULAW_8K: Self = Self { encoding: AudioEncoding::Mulaw, sample_rate_hz: 8_000 };

    /// Bytes of a second of audio.
    pub fn bytes_per_second(self) -> u64 {
        let sample_bytes = if self.encoding == AudioEncoding::PcmS16le { 2 } else { 1 };
        u64::from(self.sample_rate_hz) * sample_bytes
    }

    /// How long so many bytes play.
    pub fn duration_of(self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.bytes_per_second())
    }

    /// How many bytes so much audio takes.
    pub fn bytes_of(self, duration: Duration) -> usize {
        let bytes = duration.as_millis() * u128::from(self.bytes_per_second()) / 1_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

impl From<Format> for AudioFormat {
    fn from(format: Format) -> Self {
        Self {
            encoding: format.encoding.into(),
            sample_rate_hz: i32::try_from(format.sample_rate_hz).unwrap_or(i32::MAX),
        }
    }
}

/// What a carrier is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Play this after everything before it.
    Media(Bytes),
    /// Say when everything before this was played.
    Mark(String),
    /// Drop everything not yet played.
    Clear,
}

/// Something that the protocol does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The message is not JSON of the expected shape.
    #[error("the message is not valid json of the protocol")]
    Malformed,
    /// The message is binary; the protocol is text.
    #[error("the message is binary: send text")]
    Binary,
    /// A message is over the limit of the socket.
    #[error("the message is too long")]
    TooLong,
    /// The WebSocket framing itself is wrong.
    #[error("the websocket framing is broken")]
    Framing,
    /// The message lacks a field that it must have.
    #[error("the message lacks {0}")]
    Missing(&'static str),
    /// The audio is not base64.
    #[error("the payload is not base64")]
    BadBase64,
    /// The message names another stream than the one that started here.
    #[error("the message names another stream")]
    WrongStream,
    /// Audio came before `start`.
    #[error("audio came before start")]
    AudioBeforeStart,
    /// Another message than audio came before `start`, or `start` came twice.
    #[error("a message came out of its order")]
    OutOfOrder,
    /// The stream's audio is in a format that this carrier does not send.
    #[error("the audio format is not supported")]
    UnsupportedFormat,
}

impl ProtocolError {
    /// Its name in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed_message",
            Self::Binary => "binary_message",
            Self::TooLong => "message_too_long",
            Self::Framing => "broken_framing",
            Self::Missing(_) => "missing_field",
            Self::BadBase64 => "bad_base64",
            Self::WrongStream => "wrong_stream",
            Self::AudioBeforeStart => "audio_before_start",
            Self::OutOfOrder => "out_of_order",
            Self::UnsupportedFormat => "unsupported_format",
        }
    }

    /// The WebSocket close code that goes with it.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Framing => 1002,
            Self::Binary => 1003,
            Self::Malformed | Self::Missing(_) | Self::BadBase64 => 1007,
            Self::TooLong => 1009,
            Self::WrongStream | Self::AudioBeforeStart | Self::OutOfOrder | Self::UnsupportedFormat => 1008,
        }
    }
}
