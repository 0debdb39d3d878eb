//! CORE: silences that somebody must break: fillers while the caller waits, prompts while the agent waits, the maximum
//! duration, and keys.

use std::time::{Duration, Instant};

use proto::{from_wire, tenancy::v1 as tenancy, types::v1::EndReason};

use super::{Config, Pipeline, Purpose, Then};
use crate::{
    playout::Kind,
    turn::{Turn, WORDLESS_MAX},
};

/// How long the caller waits before the first and the second filler.
const FILLERS_AFTER: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(3000)];
/// The silence after the last filler before it is said again: with the silence at the ends of synthesised speech below
/// the 4 s that the caller is never left with.
const FILLER_AGAIN: Duration = Duration::from_millis(3000);
/// How long before the maximum duration the caller is warned.
const WARNING_BEFORE: Duration = Duration::from_secs(30);
/// How often the warning looks for a free floor. It never waits in line behind a reply: its epoch is the newer one, and
/// whoever sees it drops what is left of the reply.
const WARNING_AGAIN: Duration = Duration::from_millis(200);
/// Prompts before a silent caller's call is ended.
const IDLE_PROMPTS: usize = 2;
/// Keys of one entry; what comes on top is dropped.
const KEYS_MAX: usize = 64;

/// When an agent's lines are said, and which of them finish.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// How long the caller has waited when each filler is said; the default for those that are missing.
    pub filler_delays: Vec<Duration>,
    /// How long before the maximum duration the caller is warned.
    pub warning_before: Duration,
    /// How long a hang-up waits for a goodbye that does not come to be heard.
    pub goodbye_timeout: Duration,
    /// What finishes although the caller speaks over it.
    pub uninterruptible: Vec<tenancy::Line>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            filler_delays: FILLERS_AFTER.to_vec(),
            warning_before: WARNING_BEFORE,
            goodbye_timeout: Duration::from_secs(5),
            uninterruptible: Vec::new(),
        }
    }
}

impl Lines {
    /// Those of an agent; what it leaves out has its default.
    pub fn of(agent: &tenancy::Agent) -> Self {
        let defaults = Self::default();
        let phrases = agent.phrases.clone().unwrap_or_default();
        let goodbye_timeout = agent.turn.as_ref().and_then(|turn| turn.goodbye_timeout.as_ref());
        Self {
            uninterruptible: phrases.uninterruptible().collect(),
            filler_delays: phrases.filler_delays.iter().map(from_wire).collect(),
            warning_before: phrases
                .duration_warning_before
                .as_ref()
                .map_or(defaults.warning_before, from_wire),
            goodbye_timeout: goodbye_timeout.map_or(defaults.goodbye_timeout, from_wire),
        }
    }

    fn filler_delay(&self, number: usize) -> Option<Duration> {
        self.filler_delays.get(number).or(FILLERS_AFTER.get(number)).copied()
    }

    /// True for a line that the caller cannot cut.
    pub fn finishes(&self, purpose: Purpose) -> bool {
        let line = match purpose {
            Purpose::Greeting => tenancy::Line::Greeting,
            Purpose::Apology => tenancy::Line::Apology,
            Purpose::IdlePrompt(_) => tenancy::Line::IdlePrompt,
            Purpose::IdleGoodbye => tenancy::Line::IdleGoodbye,
            Purpose::Reprompt => tenancy::Line::Reprompt,
            Purpose::DurationWarning => tenancy::Line::DurationWarning,
            // A filler gives way to the answer; the goodbye at the maximum duration always finishes.
            Purpose::Filler(_) | Purpose::DurationGoodbye => return false,
        };
        self.uninterruptible.contains(&line)
    }
}

/// What is waited for.
#[derive(Debug)]
pub struct Waits {
    lines: Lines,
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
    /// The terminator was pressed while a line had to finish.
    keys_over: bool,
    dtmf_timeout: Duration,
    dtmf_terminator: Option<char>,
}

impl Waits {
    pub fn new(config: &Config, now: Instant) -> Self {
        let end_at = config.duration_max.map(|max| now + max);
        let before = config.lines.warning_before;
        let warned = config.duration_max.filter(|max| *max > before * 2);
        Self {
            lines: config.lines.clone(),
            idle_timeout: config.idle_timeout,
            idle_at: None,
            idle_count: 0,
            wait_started: None,
            fillers_said: 0,
            filler_at: None,
            warn_at: warned.map(|max| now + (max - before)),
            end_at,
            keys: String::new(),
            keys_at: None,
            keys_over: false,
            dtmf_timeout: config.dtmf_timeout,
            dtmf_terminator: config.dtmf_terminator,
        }
    }

    /// When the agent's lines are said.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The caller said something.
    pub fn caller_turn(&mut self) {
        self.idle_count = 0;
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
    /// What is being said is a line that the caller cannot cut.
    fn must_finish(&self) -> bool {
        self.playout.front_epoch().is_some_and(|epoch| self.uninterruptible.contains(&epoch))
    }

    /// What the caller said or pressed over the last line is still to be dealt with.
    pub(super) fn caller_answered(&self) -> bool {
        self.turn.has_words() || !self.waits.keys.is_empty()
    }

    /// Notes after every step who waits for whom.
    pub(super) fn note_waits(&mut self, now: Instant) {
        if self.ending.over {
            return;
        }
        self.turn.said_until(self.playout.runs_out_at());
        let certain = self.reply.as_ref().is_none_or(|reply| reply.tentative.is_none());
        let since = self.ending.decided_at.filter(|_| certain && self.taken.is_none()).unwrap_or(now);
        self.ending.decided_at = self.ending.then.as_ref().map(|_| since);
        let quiet = self.playout.is_drained();
        let waiting = self.reply.as_ref().is_some_and(|reply| reply.tentative.is_none() && !reply.paused);
        let sayable =
            self.phrase(Purpose::Filler(0)).is_some() && self.taken.is_none() && !self.ending.is_final;
        let sayable = sayable && !self.turn.holds_back();
        let unheard = self.turn.unheard_since();
        let unheard = unheard.filter(|_| self.reply.is_none() && self.waits.keys.is_empty());
        let awaited = self.reply.as_ref().filter(|_| waiting);
        let asked_at = awaited.map(|reply| reply.asked_at);
        let spoke_until = awaited.and_then(|reply| reply.stamps.as_ref()?.end_of_speech);
        let silent_since = self.playout.silent_since();
        self.waits.filler_at = asked_at.or(unheard).filter(|_| quiet && sayable).map(|from| {
            let since = silent_since.map_or(from, |end| end.max(from));
            if silent_since.is_none_or(|end| end < from) {
                // The caller spoke after us: the wait begins anew.
                self.waits.answered();
            }
            let started = *self.waits.wait_started.get_or_insert(since);
            // It may have taken long to find that the caller, who spoke last, does not go on.
            let spoke_last = spoke_until.filter(|spoke| silent_since.is_none_or(|end| end <= *spoke));
            let quiet_since = spoke_last.unwrap_or(since).min(since);
            let again = since.max(quiet_since + FILLER_AGAIN);
            match self.waits.lines.filler_delay(self.waits.fillers_said) {
                Some(after) => (started + after).clamp(since, again),
                None => again,
            }
        });
        let noise = self.turn.noise_since();
        let idle = self.reply.is_none()
            && self.playout.is_empty()
            && (noise.is_some() || !self.turn.is_callers())
            && self.taken.is_none()
            && self.waits.keys.is_empty();
        self.waits.idle_at = match (idle, self.waits.idle_timeout) {
            // Sound without words may be the caller's for a while, and is noise after that.
            (true, Some(timeout)) => {
                let at = self.waits.idle_at.unwrap_or(now + timeout);
                Some(noise.map_or(at, |since| at.max(since + WORDLESS_MAX)))
            }
            _ => None,
        };
        if !self.waits.keys.is_empty() && self.waits.keys_at.is_none() && !self.must_finish() {
            // They were pressed while a line had to finish.
            let left = if self.waits.keys_over { Duration::ZERO } else { self.waits.dtmf_timeout };
            self.waits.keys_at = Some(now + left);
        }
    }

    pub(super) fn tick_waits(&mut self, now: Instant) {
        if self.ending.over || self.ending.is_final {
            return;
        }
        if due(&mut self.waits.end_at, now) {
            return self.end_with(Purpose::DurationGoodbye, EndReason::MaxDuration, now);
        }
        let free = self.reply.is_none()
            && self.playout.is_empty()
            && self.taken.is_none()
            && self.waits.keys.is_empty()
            && !self.turn.is_callers();
        if !free && let Some(at) = self.waits.warn_at.as_mut().filter(|at| **at <= now) {
            *at = now + WARNING_AGAIN;
        }
        if due(&mut self.waits.warn_at, now)
            && let Some(phrase) = self.phrase(Purpose::DurationWarning)
        {
            self.say(Purpose::DurationWarning, &phrase, now);
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

    /// Says a filler; its epoch is the awaited reply's, which is said after it, or its own if there is none yet.
    fn filler(&mut self, now: Instant) {
        let said = self.waits.fillers_said;
        self.waits.fillers_said += 1;
        let phrase =
            (0..=said.min(FILLERS_AFTER.len() - 1)).rev().find_map(|n| self.phrase(Purpose::Filler(n)));
        if let Some(phrase) = phrase {
            let epoch = self.reply.as_ref().map_or(self.epoch + 1, |reply| reply.epoch);
            self.epoch = self.epoch.max(epoch);
            self.say_as(epoch, Kind::Filler, &phrase, now);
        }
    }

    /// The caller is silent: asks whether they are there, and ends the call when nobody answers.
    fn idle(&mut self, now: Instant) {
        let count = self.waits.idle_count;
        self.waits.idle_count += 1;
        if count < IDLE_PROMPTS {
            // Where the line could not be synthesised an earlier one is better than none, and waiting is better than the end.
            let prompt = (0..=count).rev().find_map(|count| self.phrase(Purpose::IdlePrompt(count)));
            if let Some(prompt) = prompt {
                self.say(Purpose::IdlePrompt(count), &prompt, now);
            }
            return;
        }
        self.ending.then = Some(Then::HangUp(EndReason::CallerSilent));
        match self.phrase(Purpose::IdleGoodbye) {
            Some(goodbye) => self.say(Purpose::IdleGoodbye, &goodbye, now),
            None => self.hang_up(EndReason::CallerSilent),
        }
    }

    /// The caller said something that nobody understood.
    pub(super) fn reprompt(&mut self, now: Instant) {
        if self.reply.is_none()
            && self.playout.is_empty()
            && self.waits.keys.is_empty()
            && let Some(phrase) = self.phrase(Purpose::Reprompt)
        {
            self.say(Purpose::Reprompt, &phrase, now);
        }
    }

    /// A key takes the floor, and the keys are a turn when the entry is over.
    pub(super) fn key(&mut self, key: char, now: Instant) {
        if self.ending.is_final || self.ending.over {
            return;
        }
        let is_last = Some(key) == self.waits.dtmf_terminator;
        if is_last && self.waits.keys.is_empty() {
            // The entry that it ends is over already.
            return;
        }
        let waits = self.must_finish();
        if !waits {
            self.ending.then = None;
            self.discard_reply(now);
        }
        if is_last && !waits {
            return self.keys_entered(now);
        }
        if is_last {
            self.waits.keys_over = !self.waits.keys.is_empty();
        } else if self.waits.keys.len() < KEYS_MAX {
            self.waits.keys.push(key);
        }
        self.waits.keys_at = (!waits).then(|| now + self.waits.dtmf_timeout);
    }

    fn keys_entered(&mut self, now: Instant) {
        self.waits.keys_at = None;
        self.waits.keys_over = false;
        let keys = std::mem::take(&mut self.waits.keys);
        if keys.is_empty() {
            return;
        }
        // What was said beside the keys is of the same turn.
        let said = self.turn.take_words();
        self.follow(&said, now);
        let space = if said.is_empty() { "" } else { " " };
        let text = format!("{said}{space}[pressed the keys {keys}]");
        self.end_of_turn(Turn { text, end_of_speech: now, transcript_at: None }, now);
    }
}
