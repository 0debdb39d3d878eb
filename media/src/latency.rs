//! CORE: where the time of a turn went.

use std::time::Instant;

use proto::{to_wire, types::v1::TurnLatency};

/// The stamps of one turn, in the order they come.
#[derive(Debug, Clone, Default)]
pub struct Stamps {
    /// The caller's last speech.
    pub end_of_speech: Option<Instant>,
    /// The last piece of the turn's transcript.
    pub transcript: Option<Instant>,
    /// The turn was declared over and the model asked.
    pub end_of_turn: Option<Instant>,
    /// The model's first token.
    pub first_token: Option<Instant>,
    /// The first segment went to the TTS.
    pub first_segment: Option<Instant>,
    /// The TTS's first audio.
    pub first_audio_byte: Option<Instant>,
    /// The first frame left for the gateway.
    pub first_frame_sent: Option<Instant>,
    /// The carrier began to play it.
    pub first_frame_heard: Option<Instant>,
}

impl Stamps {
    /// The stamps as offsets from `origin`, each no earlier than the one before: the differences add up.
    pub fn to_event(&self, origin: Instant) -> TurnLatency {
        let mut last = std::time::Duration::ZERO;
        let mut offset = |stamp: Option<Instant>| {
            stamp.map(|at| {
                last = at.saturating_duration_since(origin).max(last);
                to_wire(last)
            })
        };
        TurnLatency {
            end_of_speech: offset(self.end_of_speech),
            transcript: offset(self.transcript),
            end_of_turn: offset(self.end_of_turn),
            first_token: offset(self.first_token),
            first_segment: offset(self.first_segment),
            first_audio_byte: offset(self.first_audio_byte),
            first_frame_sent: offset(self.first_frame_sent),
            first_frame_heard: offset(self.first_frame_heard),
        }
    }
}
