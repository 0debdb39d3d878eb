//! What a carrier says on a media stream, and what it takes.

/// One carrier's messages on one media stream. Sound is the caller's telephone's: mu-law at 8 kHz.
pub trait Dialect: Send {
    /// The first message.
    fn connected(&mut self) -> String;

    /// The stream begins.
    fn start(&mut self, parameters: &[(String, String)]) -> String;

    /// 20 ms of the caller that begin `timestamp_ms` after the start of the stream; `None` while the carrier gathers
    /// more for one message.
    fn media(&mut self, timestamp_ms: u64, sound: &[u8]) -> Option<String>;

    /// A key was pressed.
    fn dtmf(&mut self, key: char) -> String;

    /// A mark of the server comes back.
    fn mark(&mut self, name: &str) -> String;

    /// The carrier ends the stream; `hung_up`: because the caller has.
    fn stop(&mut self, hung_up: bool) -> String;

    /// Reads a message of the server.
    ///
    /// # Errors
    /// What the carrier does not take: the message is dropped.
    fn parse(&mut self, text: &str) -> Result<FromServer, Invalid>;

    /// Whether a `clear` gives back the marks that were not reached.
    fn returns_cleared_marks(&self) -> bool {
        true
    }
}

/// A message of the server.
#[derive(Debug, PartialEq, Eq)]
pub enum FromServer {
    /// Mu-law sound of any length.
    Media(Vec<u8>),
    /// The same, with something about it that the caller can hear.
    Flawed(Vec<u8>, String),
    Mark(String),
    Clear,
}

/// A message that the carrier drops, with what is wrong about it (warning 31951).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Whether sound begins with the header of a WAV file, which a caller would hear as noise.
pub fn has_wav_header(sound: &[u8]) -> bool {
    sound.starts_with(b"RIFF") && sound.get(8..12) == Some(b"WAVE")
}
