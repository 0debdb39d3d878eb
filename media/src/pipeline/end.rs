//! CORE: how a call ends.

use std::time::Instant;

use proto::types::v1::EndReason;

use super::{Output, Pipeline, Purpose};

/// How far the call is from its end.
#[derive(Debug, Default)]
pub struct Ending {
    /// Hang up with this reason once what is being said was heard.
    pub reason: Option<EndReason>,
    /// What is being said is the last line and cannot be interrupted.
    pub is_final: bool,
    /// Nothing more is done.
    pub over: bool,
}

impl Pipeline {
    /// A vendor is gone for good: the caller hears the apology, then the call ends with this reason.
    pub(super) fn fail(&mut self, vendor: &str, detail: String, reason: EndReason, now: Instant) {
        if self.ending.is_final || self.ending.over {
            return;
        }
        self.vendor_fault(vendor, detail, now);
        self.end_with(Purpose::Apology, reason, now);
    }

    /// Drops everything, says a last line that cannot be interrupted, and hangs up when it was heard.
    pub(super) fn end_with(&mut self, line: Purpose, reason: EndReason, now: Instant) {
        self.discard_reply(now);
        self.ending.is_final = true;
        self.ending.reason = Some(reason);
        match self.phrase(line) {
            Some(phrase) => self.say(&phrase, now),
            None => self.hang_up(reason),
        }
    }

    /// The reply makes no progress: the caller hears the apology and has the floor again.
    pub(super) fn stalled(&mut self, now: Instant) {
        // A take that is closed has given all its audio: what is missing is text.
        let vendor = match &self.reply {
            Some(reply) if reply.take_open => self.tts_vendor.name(),
            _ => "anthropic",
        };
        self.vendor_fault(vendor, "no progress within the deadline".to_owned(), now);
        self.discard_reply(now);
        if let Some(apology) = self.phrase(Purpose::Apology) {
            self.say(&apology, now);
        }
    }

    /// The caller is gone: what was heard of the last utterance is told, and nothing more is done.
    pub(super) fn stopped(&mut self, now: Instant) {
        self.ending.over = true;
        self.discard_reply(now);
    }

    pub(super) fn hang_up(&mut self, reason: EndReason) {
        if !self.ending.over {
            self.ending.over = true;
            self.outputs.push_back(Output::HangUp { reason });
        }
    }
}
