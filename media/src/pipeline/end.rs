//! CORE: how a call ends.

use std::time::{Duration, Instant};

use proto::types::v1::{CarrierOutcome, EndReason};

use super::{Output, Pipeline, Purpose, Reply, Then};
use crate::turn::Agent;

/// How long the apology may take to be there.
const APOLOGY_TIMEOUT: Duration = Duration::from_secs(1);

/// How far the call is from its end.
#[derive(Debug, Default)]
pub struct Ending {
    /// What comes once what is being said was heard.
    pub then: Option<Then>,
    /// Since when it is so, a barge-in that is not certain left out.
    pub decided_at: Option<Instant>,
    /// What is being said is the last line and cannot be interrupted.
    pub is_final: bool,
    /// The carrier does something with the call: nobody hears us.
    pub is_away: bool,
    /// The apology is waited for until then: a call that has just begun does not have it yet.
    pub apology_due: Option<(EndReason, Instant)>,
    /// A vendor was gone for good while nobody heard us: the call ends with this when the caller is back.
    pub failed_while_away: Option<EndReason>,
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
        if self.ending.is_away {
            self.ending.failed_while_away.get_or_insert(reason);
        } else {
            self.give_up(reason, now);
        }
    }

    fn give_up(&mut self, reason: EndReason, now: Instant) {
        if self.phrase(Purpose::Apology).is_some() || reason == EndReason::TtsFailed {
            return self.end_with(Purpose::Apology, reason, now);
        }
        self.discard_reply(now);
        self.ending.is_final = true;
        self.ending.apology_due = Some((reason, now + APOLOGY_TIMEOUT));
    }

    /// The apology is there, or it is not waited for any longer.
    pub(super) fn apologise(&mut self, now: Instant) {
        if let Some((reason, _)) = self.ending.apology_due.take() {
            self.end_with(Purpose::Apology, reason, now);
        }
    }

    /// Drops everything, says a last line that cannot be interrupted, and hangs up when it was heard.
    pub(super) fn end_with(&mut self, line: Purpose, reason: EndReason, now: Instant) {
        self.discard_reply(now);
        self.ending.is_final = true;
        self.ending.then = Some(Then::HangUp(reason));
        match self.phrase(line) {
            Some(phrase) => self.say(line, &phrase, now),
            None => self.hang_up(reason),
        }
    }

    /// The reply makes no progress: the caller hears the apology and has the floor again.
    pub(super) fn stalled(&mut self, now: Instant) {
        // A take that is closed has given all its audio: what is missing is text.
        let vendor = match &self.reply {
            Some(reply) if reply.take_open => self.languages.tts_vendor().name(),
            _ => "anthropic",
        };
        self.vendor_fault(vendor, "no progress within the deadline".to_owned(), now);
        // What the caller said meanwhile is answered in place of it.
        let goes_on = self.turn.has_words();
        self.discard_reply(now);
        if !goes_on && let Some(apology) = self.phrase(Purpose::Apology) {
            // What the reply asked for goes with it; a model that is gone for good is still gone.
            self.ending.then.take_if(|then| *then != Then::HangUp(EndReason::LlmFailed));
            self.say(Purpose::Apology, &apology, now);
        }
    }

    /// The caller is gone: what was heard of the last utterance is told, and nothing more is done.
    pub(super) fn stopped(&mut self, now: Instant) {
        self.ending.over = true;
        self.discard_reply(now);
    }

    /// When a call that is to end is ended although its last words were not heard: a while after the last sound of ours.
    pub(super) fn goodbye_over_at(&self) -> Option<Instant> {
        let certain = self.reply.as_ref().is_none_or(|reply| reply.tentative.is_none());
        self.ending.then.as_ref().filter(|_| certain && self.taken.is_none())?;
        let since = [self.ending.decided_at, self.playout.play_end_at(), self.playout.silent_since()];
        Some(since.into_iter().flatten().max()? + self.waits.lines().goodbye_timeout)
    }

    /// The last words do not come to be heard: what was heard of them is told, and the call ends. The carrier does nothing
    /// that the caller was not told of.
    pub(super) fn goodbye_over(&mut self, now: Instant) {
        self.discard_reply(now);
        if let Some(Then::HangUp(reason)) = self.ending.then.take() {
            self.hang_up(reason);
        }
    }

    /// Everything that must be heard was heard.
    pub(super) fn conclude(&mut self, then: Then) {
        match then {
            Then::HangUp(reason) => self.hang_up(reason),
            Then::Act(action) => {
                self.ending.is_away = true;
                self.outputs.push_back(Output::Act { epoch: self.epoch, action });
            }
        }
    }

    /// The caller is there again: the model is told what came of the carrier's action, and says it.
    pub(super) fn come_back(&mut self, outcome: CarrierOutcome, now: Instant) {
        if !std::mem::take(&mut self.ending.is_away) {
            return;
        }
        if let Some(reason) = self.ending.failed_while_away.take() {
            return self.give_up(reason, now);
        }
        self.epoch += 1;
        self.outputs.push_back(Output::ActionEnded { epoch: self.epoch, outcome });
        self.reply =
            Some(Reply { stamps: None, ..Reply::new(self.epoch, None, self.languages.current(), now) });
        self.set_agent(Agent::Thinking, now);
        self.progress(self.epoch, now);
    }

    pub(super) fn hang_up(&mut self, reason: EndReason) {
        if !self.ending.over {
            self.ending.over = true;
            self.outputs.push_back(Output::HangUp { reason });
        }
    }
}
