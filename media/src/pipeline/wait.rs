//! CORE: silences that somebody must break: fillers while the caller waits, prompts while the agent waits, the maximum
//! duration, and keys.

use std::time::{Duration, Instant};

use proto::types::v1::EndReason;

use super::{Config, Pipeline, Purpose};
use crate::{playout::Kind, turn::Turn};

/// How long the caller waits before the first and the second filler.
const FILLERS_AFTER: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(3000)];
/// The silence after the last filler before it is said again: with the silence at the ends of synthesised speech below
/// the 4 s that the caller is never left with.
const FILLER_AGAIN: Duration = Duration::from_millis(3000);
/// How long before the maximum duration the caller is warned.
const WARNING_BEFORE: Duration = Duration::from_secs(30);
/// The warning waits this long where it is not certain who has the floor.
const WARNING_AGAIN: Duration = Duration::from_secs(1);
/// Prompts before a silent caller's call is ended.
const IDLE_PROMPTS: usize = 2;
/// Keys of one entry; what comes on top is dropped.
const KEYS_MAX: usize = 64;

/// What is waited for.
#[derive(Debug)]
pub struct Waits {
    idle_timeout: Option<Duration>,
    idle_at: Option<Instant>,
    idle_count: usize,
    wait_started: Option<Instant>,
    fillers_said: usize,
    filler_at: Option<Instant>,
    warn_at: Option<Instant>,
    end_at: Option<Instant>,
    keys: String,
    keys_at: Option<Instant>,
    dtmf_timeout: Duration,
    dtmf_terminator: Option<char>,
}

impl Waits {
    pub fn new(config: &Config, now: Instant) -> Self {
        let end_at = config.duration_max.map(|max| now + max);
        let warned = config.duration_max.filter(|max| *max > WARNING_BEFORE * 2);
        Self {
            idle_timeout: config.idle_timeout,
            idle_at: None,
            idle_count: 0,
            wait_started: None,
            fillers_said: 0,
            filler_at: None,
            warn_at: warned.map(|max| now + (max - WARNING_BEFORE)),
            end_at,
            keys: String::new(),
            keys_at: None,
            dtmf_timeout: config.dtmf_timeout,
            dtmf_terminator: config.dtmf_terminator,
        }
    }

    /// The caller said something.
    pub fn caller_turn(&mut self) {
        self.idle_count = 0;
        self.answered();
    }

    /// The reply can be heard: nobody waits for it.
    pub fn answered(&mut self) {
        self.wait_started = None;
        self.fillers_said = 0;
        self.filler_at = None;
    }

    pub fn wake_at(&self) -> Option<Instant> {
        [self.idle_at, self.filler_at, self.warn_at, self.end_at, self.keys_at].into_iter().flatten().min()
    }
}

fn due(at: &mut Option<Instant>, now: Instant) -> bool {
    at.take_if(|at| *at <= now).is_some()
}

impl Pipeline {
    /// Notes after every step who waits for whom.
    pub(super) fn note_waits(&mut self, now: Instant) {
        if self.ending.over {
            return;
        }
        let quiet = self.playout.is_drained();
        let waiting = self.reply.as_ref().is_some_and(|reply| reply.tentative.is_none() && !reply.paused);
        let sayable =
            self.phrase(Purpose::Filler(0)).is_some() && self.taken.is_none() && !self.ending.is_final;
        let sayable = sayable && !self.turn.holds_back();
        self.waits.filler_at = if waiting && quiet && sayable {
            let asked = self.reply.as_ref().map_or(now, |reply| reply.asked_at);
            let since = self.playout.silent_since().map_or(asked, |end| end.max(asked));
            let started = *self.waits.wait_started.get_or_insert(since);
            Some(match FILLERS_AFTER.get(self.waits.fillers_said) {
                Some(after) => (started + *after).max(since),
                None => since + FILLER_AGAIN,
            })
        } else {
            None
        };
        let idle = self.reply.is_none()
            && self.playout.is_empty()
            && !self.turn.is_callers()
            && self.taken.is_none()
            && self.waits.keys.is_empty();
        self.waits.idle_at = match (idle, self.waits.idle_timeout) {
            (true, Some(timeout)) => Some(self.waits.idle_at.unwrap_or(now + timeout)),
            _ => None,
        };
    }

    pub(super) fn tick_waits(&mut self, now: Instant) {
        if self.ending.over || self.ending.is_final {
            return;
        }
        if due(&mut self.waits.end_at, now) {
            return self.end_with(Purpose::DurationGoodbye, EndReason::MaxDuration, now);
        }
        let busy = self.taken.is_some() || self.reply.as_ref().is_some_and(|reply| reply.tentative.is_some());
        if busy && let Some(at) = self.waits.warn_at.as_mut().filter(|at| **at <= now) {
            *at = now + WARNING_AGAIN;
        }
        if due(&mut self.waits.warn_at, now)
            && let Some(phrase) = self.phrase(Purpose::DurationWarning)
        {
            self.say(&phrase, now);
        }
        if due(&mut self.waits.filler_at, now) {
            self.filler(now);
        }
        if due(&mut self.waits.idle_at, now) {
            self.idle(now);
        }
        if due(&mut self.waits.keys_at, now) {
            self.keys_entered(now);
        }
    }

    /// Says a filler; its epoch is the awaited reply's, which is said after it.
    fn filler(&mut self, now: Instant) {
        let said = self.waits.fillers_said;
        self.waits.fillers_said += 1;
        let phrase =
            (0..=said.min(FILLERS_AFTER.len() - 1)).rev().find_map(|n| self.phrase(Purpose::Filler(n)));
        if let (Some(phrase), Some(reply)) = (phrase, &self.reply) {
            let epoch = reply.epoch;
            self.say_as(epoch, Kind::Filler, &phrase, now);
        }
    }

    /// The caller is silent: asks whether they are there, and ends the call when nobody answers.
    fn idle(&mut self, now: Instant) {
        let count = self.waits.idle_count;
        self.waits.idle_count += 1;
        let prompt = if count < IDLE_PROMPTS { self.phrase(Purpose::IdlePrompt(count)) } else { None };
        match prompt {
            Some(prompt) => self.say(&prompt, now),
            None => {
                self.ending.reason = Some(EndReason::CallerSilent);
                match self.phrase(Purpose::IdleGoodbye) {
                    Some(goodbye) => self.say(&goodbye, now),
                    None => self.hang_up(EndReason::CallerSilent),
                }
            }
        }
    }

    /// The caller said something that nobody understood.
    pub(super) fn reprompt(&mut self, now: Instant) {
        if self.reply.is_none()
            && self.playout.is_empty()
            && let Some(phrase) = self.phrase(Purpose::Reprompt)
        {
            self.say(&phrase, now);
        }
    }

    /// A key takes the floor, and the keys are a turn when the entry is over.
    pub(super) fn key(&mut self, key: char, now: Instant) {
        if self.ending.is_final || self.ending.over {
            return;
        }
        self.ending.reason = None;
        self.discard_reply(now);
        if Some(key) == self.waits.dtmf_terminator {
            return self.keys_entered(now);
        }
        if self.waits.keys.len() < KEYS_MAX {
            self.waits.keys.push(key);
        }
        self.waits.keys_at = Some(now + self.waits.dtmf_timeout);
    }

    fn keys_entered(&mut self, now: Instant) {
        self.waits.keys_at = None;
        let keys = std::mem::take(&mut self.waits.keys);
        if keys.is_empty() {
            return;
        }
        let text = format!("[pressed the keys {keys}]");
        self.end_of_turn(Turn { text, end_of_speech: now, transcript_at: None }, now);
    }
}
