//! Flux's session on any messages.

use std::time::Instant;

use super::{Conversation, Out};
use crate::{
    socket::End,
    stt::{
        Event,
        fuzz::{self, Deaf},
        line::Line,
        replay::Due,
    },
};

/// A session with Flux.
pub fn flux(data: &[u8]) {
    fuzz::run::<Checked>(data);
}

#[derive(Default)]
struct Checked {
    conversation: Conversation,
    /// The words whose end was called likely.
    likely: Option<String>,
}

impl Deaf for Checked {
    fn message(&mut self, line: &mut Line, text: &str) -> Result<(), End> {
        self.conversation.incoming(line, text)
    }

    fn send(&mut self, line: &mut Line, due: Due, now: Instant) {
        let Due::Audio(audio) = due else { return };
        self.conversation.feed.push(&audio, now);
        while let Some(out) = self.conversation.feed.poll(now) {
            if let Out::Silence(silence) = out {
                line.replay.sent_silence(silence.len(), now);
            }
        }
    }

    fn lost(&mut self, line: &mut Line) {
        if let Some(event) = self.conversation.turns.lost() {
            line.outbox.push(event);
        }
    }

    /// An answer that was prepared is taken back, or asked for word for word.
    fn check(&mut self, event: &Event) {
        match event {
            Event::LikelyEndOfTurn { text, .. } => {
                assert!(!text.is_empty() && self.likely.is_none());
                self.likely = Some(text.clone());
            }
            Event::TurnResumed => assert!(self.likely.take().is_some()),
            Event::EndOfTurn { text, .. } => {
                assert!(!text.is_empty() && self.likely.take().is_none_or(|likely| likely == *text));
            }
            Event::Transcript(transcript) => assert!(!transcript.is_final && self.likely.is_none()),
            other => panic!("{other:?}"),
        }
    }
}
