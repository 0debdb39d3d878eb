//! Deepgram Flux over its WebSocket, `/v2/listen`: it decides itself when the caller's turn is over.

use super::{Session, Settings, Transcriber};

/// Opens sessions with Deepgram Flux.
#[derive(Debug, Default)]
pub struct Flux;

impl Transcriber for Flux {
    fn open(&self, settings: Settings) -> Session {
        Session { decides_turns: true, ..super::deepgram::Deepgram.open(settings) }
    }
}
