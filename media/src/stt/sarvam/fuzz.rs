//! Sarvam's session on any messages.

use std::time::Instant;

use mesh::clock;

use super::{Realtime, SILENCE_SENT, utterances::OPEN_MAX};
use crate::{
    socket::End,
    stt::{
        Event,
        fuzz::{self, Deaf},
        line::Line,
        replay::Due,
    },
};

/// A session with Sarvam's realtime transcription.
pub fn sarvam_stt(data: &[u8]) {
    fuzz::run::<Realtime>(data);
}

impl Deaf for Realtime {
    fn message(&mut self, line: &mut Line, text: &str) -> Result<(), End> {
        let end = self.incoming(line, text);
        assert!(self.utterances.open_count() <= OPEN_MAX);
        end
    }

    fn send(&mut self, line: &mut Line, due: Due, now: Instant) {
        if due == Due::Finalize {
            if self.utterances.ask(line.replay.unsettled(), clock::now()) {
                line.replay.sent_silence(line.settings.format.bytes_of(SILENCE_SENT), now);
            }
            self.pinged = line.replay.sent();
        }
    }

    fn lost(&mut self, _: &mut Line) {
        *self = Self::default();
    }

    fn check(&mut self, event: &Event) {
        let Event::Transcript(transcript) = event else { panic!("{event:?}") };
        assert_eq!(transcript.is_final, transcript.utterance_over);
    }
}
