//! What sound and words over the agent are: an interruption, a backchannel, our own voice coming back, or noise.

use std::time::{Duration, Instant};

use super::{Agent, Held, Output, Sound, TurnTaker, level::Strength, words};

/// Speech without a word for this long over a held floor is noise.
pub const WORDLESS_MAX: Duration = Duration::from_millis(3000);
/// Sound that is weak when it has lasted long enough may only have begun softly: it is looked at again this often, until
/// it has lasted twice as long.
const OVERLAP_AGAIN: Duration = Duration::from_millis(20);
/// Weak speech over the agent that is no longer than this, and brings no more words than these, is said in passing.
const PASSING_MAX: Duration = Duration::from_millis(1000);
const PASSING_WORDS_MAX: usize = 2;
/// Nothing more has come of our utterance for this long: the caller, who hears us a moment late, hears that we are silent.
const GAP_MIN: Duration = Duration::from_millis(150);
/// How long after we fell silent our own words may come back.
const ECHO_TAIL: Duration = Duration::from_millis(1500);

impl TurnTaker {
    /// How loud it was where words may come from, which are heard later than their sound: the loudest of the last stretch
    /// of speech and of one shortly before. Words without a sound have the benefit of the doubt.
    fn loudness(&self) -> Strength {
        self.loudest[0].max(self.loudest[1]).unwrap_or(Strength::Strong)
    }

    /// The sound that goes on, or was last, is as strong as the caller's voice, taken as a whole: its loudest moment does not
    /// count, and what the caller said before it lends it nothing. An echo begins as soon as the agent answers.
    fn is_loud(&self) -> bool {
        self.sound.strength() == Strength::Strong
    }

    /// False for the words of somebody at a distance, and for words over the agent that do not take the floor:
    /// backchannels, what may become one, what is said in passing, and our own coming back.
    /// `end`: where they end on the audio clock.
    pub(super) fn is_for_us(&self, words: &str, is_final: bool, end: Duration, now: Instant) -> bool {
        let rest = words.strip_prefix(self.interim.as_str()).filter(|_| !self.interim.is_empty());
        let goes_on = rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        if is_final && rest.is_some() {
            // They were when they came first, whatever sounds now.
            return true;
        }
        let said_at = self.said_at(end);
        let before = |began: Option<Instant>| said_at.zip(began).is_some_and(|(said, began)| said < began);
        // Words that come long after their sound cannot be told by it.
        if self.behind.is_none() && !goes_on && self.loudness() == Strength::Distant {
            return false;
        }
        let overlapping =
            matches!(self.agent, Agent::Audible | Agent::Uninterruptible) || self.held.is_some();
        if !overlapping {
            if self.agent == Agent::Filling {
                return before(self.asked_to_wait) || !self.are_of_ours(words);
            }
            let tail = self.inaudible_at.is_some_and(|at| now < at + ECHO_TAIL);
            return !tail || !self.is_own(words);
        }
        if self.behind.is_some() && before(self.audible_at) {
            // They are heard over the agent, and were not said over it.
            return true;
        }
        let (language, extra) = (&self.config.language, &self.config.backchannels);
        !words::is_echo_of(words, &self.spoken)
            && !words::is_backchannel(words, language, extra)
            && (is_final || !words::begins_backchannel(words, language, extra))
            && (self.held.is_some()
                || before(self.audible_at)
                || !self.is_own(words) && !self.is_in_passing(words, now))
    }

    /// Our utterance goes on, and nothing of it is heard.
    pub(super) fn is_gap(&self, at: Instant) -> bool {
        self.said_until.is_some_and(|until| at > until + GAP_MIN)
    }

    /// What ended was no attempt to speak, unless the caller had spoken before.
    pub(super) fn not_said(&mut self) {
        if self.finals.is_empty() && self.held.is_none() && self.agent != Agent::Filling {
            self.ended = None;
        }
    }

    /// Our own words coming back, however few: no caller's voice brought them.
    fn is_own(&self, words: &str) -> bool {
        !self.is_loud() && self.are_of_ours(words)
    }

    fn are_of_ours(&self, words: &str) -> bool {
        words::is_echo_of(words, &self.spoken) || words::are_among(words, &self.spoken)
    }

    /// A backchannel by its shape, whatever its words: begun over the agent, weak, short, few words, and none that asks for
    /// the floor.
    fn is_in_passing(&self, words: &str, now: Instant) -> bool {
        let (language, extra) = (&self.config.language, &self.config.backchannels);
        let length = self.onset.map_or(self.speech_length, |onset| now.saturating_duration_since(onset));
        let over_us = self.spoke_at.zip(self.audible_at).is_none_or(|(spoke, audible)| spoke >= audible);
        // The sound of words that come late is not the last that was heard.
        over_us
            && self.behind.is_none()
            && !self.began_in_gap
            && !self.is_loud()
            && length <= PASSING_MAX
            && words::content_words(words, language, extra) <= PASSING_WORDS_MAX
            && !words::asks_for_floor(words, language)
    }

    /// True if these words, or all of the overlap, are as many as it takes to take the floor.
    pub(super) fn says_enough(&self, words: &str) -> bool {
        let count = |text: &str| words::content_words(text, &self.config.language, &self.config.backchannels);
        let said = format!("{} {}", self.finals, self.interim);
        count(words).max(count(&said)) >= self.config.barge_in_words_min
    }

    pub(super) fn decide_overlap(&mut self, now: Instant) {
        let (Some(at), Some(onset)) = (self.overlap_at(), self.overlap()) else { return };
        if now < at {
            return;
        }
        let strong = self.sound == Sound::Voice(Strength::Strong) && !self.sound_doubted;
        if !strong && now < onset + 2 * self.config.barge_in_duration_min {
            self.overlap_again = Some(now + OVERLAP_AGAIN);
            return;
        }
        self.overlap_decided = true;
        if strong {
            self.agent = Agent::Silent;
            self.held = Some(Held { onset });
            self.outputs.push_back(Output::BargeIn { onset });
        }
    }

    /// Gives back a floor that no words came for; true if it did.
    pub(super) fn gives_back(&mut self, now: Instant) -> bool {
        if self.held.is_none_or(|held| now < self.give_back_at(held)) {
            return false;
        }
        self.held = None;
        self.interim.clear();
        if self.finals.is_empty() {
            self.ended = None;
        }
        // What makes noise over the floor that we take back is known to be noise.
        self.overlap_decided = true;
        self.sound_doubted = true;
        self.outputs.push_back(Output::FalseBargeIn);
        true
    }

    pub(super) fn overlap_at(&self) -> Option<Instant> {
        self.overlap()
            .filter(|_| !self.overlap_decided)
            .map(|since| self.overlap_again.unwrap_or(since + self.config.barge_in_duration_min))
    }

    /// When both began to speak.
    fn overlap(&self) -> Option<Instant> {
        let onset = self.onset?;
        Some(self.audible_at.map_or(onset, |audible| audible.max(onset)))
    }

    /// When a floor taken by sound alone is given back.
    pub(super) fn give_back_at(&self, held: Held) -> Instant {
        match self.ended {
            Some((at, _)) => at + self.config.false_barge_in_timeout,
            None => held.onset + WORDLESS_MAX,
        }
    }
}
