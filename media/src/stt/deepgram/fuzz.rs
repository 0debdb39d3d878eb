//! Nova's session on any messages.

use std::time::Instant;

use super::Nova;
use crate::{
    socket::End,
    stt::{
        Event,
        fuzz::{self, Deaf},
        line::Line,
        replay::Due,
    },
};

/// A session with Nova.
pub fn nova(data: &[u8]) {
    fuzz::run::<Nova>(data);
}

impl Deaf for Nova {
    fn message(&mut self, line: &mut Line, text: &str) -> Result<(), End> {
        self.incoming(line, text);
        Ok(())
    }

    fn send(&mut self, _: &mut Line, _: Due, _: Instant) {}

    fn lost(&mut self, _: &mut Line) {}

    fn check(&mut self, event: &Event) {
        assert!(matches!(event, Event::Transcript(_) | Event::UtteranceEnd), "{event:?}");
    }
}
