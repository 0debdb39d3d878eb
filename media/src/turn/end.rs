//! When the caller's turn is over.

use std::time::{Duration, Instant};

use super::{
    Agent, FIRST_WORD_MAX, Output, Sound, Turn, TurnTaker, join,
    level::Strength,
    words::{self, Ending},
};

/// How far a transcript may end before the end of speech and still cover it: the VAD's chunk and the words' own edges.
pub(super) const COVER_TOLERANCE: Duration = Duration::from_millis(250);
/// Sound that goes on for this long after the caller's newest words, and brings no more, is noise.
const STALE_WORDS: Duration = Duration::from_millis(2500);
/// Speech shorter than this that brings no words is not asked about.
const REPROMPT_SPEECH_MIN: Duration = Duration::from_millis(400);

impl TurnTaker {
    pub(super) fn vendor_end(&mut self, text: String, end: Duration, now: Instant) {
        let text = text.trim();
        if end <= self.closed || text.is_empty() {
            return;
        }
        if !self.is_for_us(text, true, end, now) {
            self.not_likely();
            self.not_said();
            return;
        }
        // Words that were kept because a line had to finish are said before these.
        join(&mut self.finals, text);
        self.closed = self.closed.max(end);
        self.newest_words = Some((now, end));
        self.interim.clear();
        self.transcript_at = Some(now);
        self.covered = self.covered.max(end);
        self.words_came(text, end, now);
        if matches!(self.agent, Agent::Silent | Agent::Filling) {
            let end_of_speech = self.ended.map_or(now, |(at, _)| at);
            self.end_turn(end_of_speech, end);
        }
    }

    pub(super) fn vendor_likely(&mut self, text: String, end: Duration, now: Instant) {
        if self.config.preemptive
            && self.agent == Agent::Silent
            && self.held.is_none()
            && end > self.closed
            && !text.trim().is_empty()
            && self.is_for_us(text.trim(), true, end, now)
        {
            self.not_likely();
            let text = text.trim().to_owned();
            self.likely = Some(text.clone());
            self.outputs.push_back(Output::LikelyEndOfTurn { text });
        }
    }

    pub(super) fn decide_end_of_turn(&mut self, now: Instant) {
        if self.held.is_some() {
            return;
        }
        // Noise can hold the VAD open: the gap between words then ends the turn.
        if self.gap_ends_at().is_some_and(|at| now >= at) {
            // What goes on is noise: it does not take the floor from the answer either.
            self.overlap_decided = true;
            let said_at = self.newest_words.and_then(|(_, end)| self.said_at(end));
            return self.end_turn(said_at.unwrap_or(now).min(now), self.covered);
        }
        let longest = self.config.endpointing_delay_max;
        if let Some((_, end)) = self.final_words().filter(|(_, end)| self.covered >= *end + longest)
            && self.behind.is_some_and(|behind| self.covered > behind.covered)
        {
            // One that is behind has heard no word for as long as a turn may wait for one. Noise would put that off for ever.
            self.overlap_decided = true;
            return self.end_turn(self.said_at(end).unwrap_or(now).min(now), end);
        }
        if let Some((at, end)) = self.stale_words()
            && now >= at
        {
            self.overlap_decided = true;
            return self.end_turn(self.said_at(end).unwrap_or(at).min(at), end);
        }
        let Some((at, offset)) = self.ended else {
            if !self.config.transcriber_decides {
                self.not_likely();
            }
            return;
        };
        let settled = !self.finals.is_empty() && (self.is_covered(offset) || self.words_over);
        if now >= self.end_of_turn_at(at, offset) {
            if settled {
                if self.is_covered(offset) {
                    return self.end_turn(at, offset);
                }
                // Words that were not heard yet may be of the same speech, where the transcriber lost its place; and what the
                // VAD heard behind the last word was noise, which the caller did not wait through.
                let heard = self.newest_words.map_or(offset, |(_, end)| end.min(offset));
                self.end_turn(self.said_at(heard).unwrap_or(at).min(at), heard);
            } else if self.has_words() {
                // A transcript that comes later is of audio up to now, the silence after the words included.
                let all = offset + now.saturating_duration_since(at);
                let early = now < at + self.config.endpointing_delay_max;
                // What was missed is still to come, and what the transcriber decided needs no guess.
                let decided = self.config.transcriber_decides && self.interim.is_empty();
                let heard = match self.behind {
                    None if !decided => self.final_words().filter(|_| early),
                    _ => self.newest_words,
                };
                self.end_turn(at, heard.map_or(all, |(_, end)| end));
            } else {
                self.ended = None;
                self.unanswered = None;
                let callers = matches!(self.sound, Sound::Voice(Strength::Strong | Strength::Weak));
                let long = self.speech_length >= REPROMPT_SPEECH_MIN;
                if self.asked_to_wait.take().is_some() || callers && long {
                    self.outputs.push_back(Output::NoWords);
                }
            }
        } else if settled
            && self.config.preemptive
            && !self.config.transcriber_decides
            && self.likely.as_ref() != Some(&self.finals)
        {
            self.not_likely();
            if words::ending(&self.finals, &self.config.language) != Ending::Open {
                self.likely = Some(self.finals.clone());
                self.outputs.push_back(Output::LikelyEndOfTurn { text: self.finals.clone() });
            }
        }
    }

    pub(super) fn not_likely(&mut self) {
        if self.likely.take().is_some() {
            self.outputs.push_back(Output::TurnResumed);
        }
    }

    /// When the turn is over if nothing more happens.
    pub(super) fn end_of_turn_at(&self, at: Instant, offset: Duration) -> Instant {
        let config = &self.config;
        let at = at + self.lag;
        let longest = config.endpointing_delay_max;
        // What the transcriber has still to hear ends no turn before its time.
        let behind = self.behind.map(|behind| behind.until);
        let at_last = |delay: Duration| behind.map_or(at + delay, |until| until.max(at + delay));
        if !self.has_words() {
            return at_last(config.reprompt_delay.min(longest));
        }
        let settled = !self.finals.is_empty() && (self.is_covered(offset) || self.words_over);
        if config.transcriber_decides && !self.finals.is_empty() && self.interim.is_empty() {
            // Decided while a line had to finish.
            return at;
        }
        if !settled || config.transcriber_decides {
            let last = at_last(longest);
            // Noise that went on behind the last words does not put the end off for ever.
            let stale = self.final_words().filter(|_| behind.is_none());
            return stale.map_or(last, |(heard, _)| last.min((heard + STALE_WORDS).max(at)));
        }
        let delay = match words::ending(&self.finals, &config.language) {
            Ending::Question => config.endpointing_delay_question,
            Ending::Finished => config.endpointing_delay_min,
            // Words that say nothing of an end are more often a pause inside a sentence than one.
            Ending::Open | Ending::Unknown => config.endpointing_delay_open,
        };
        at + delay.min(longest)
    }

    /// When a gap between words ends a turn that sound is going on in. One that hears again what it missed tells of gaps that
    /// are long over.
    pub(super) fn gap_ends_at(&self) -> Option<Instant> {
        let onset = self.onset.filter(|_| self.words_over)?;
        let at = onset + FIRST_WORD_MAX;
        Some(self.behind.map_or(at, |behind| behind.until.max(at)))
    }

    /// When words that are followed by sound without a word have waited long enough for their end to be told, and where they
    /// end: noise holds the VAD open, and the transcriber has lost the rest.
    pub(super) fn stale_words(&self) -> Option<(Instant, Duration)> {
        let (at, end) = self.newest_words.filter(|_| self.has_words() && self.onset.is_some())?;
        // A transcriber that lost its place has first to hear again what it missed.
        Some((self.behind.map_or(at, |behind| behind.until.max(at)) + STALE_WORDS, end))
    }

    /// When the last words came and where they end, if nothing of them is open.
    fn final_words(&self) -> Option<(Instant, Duration)> {
        self.newest_words.filter(|_| self.interim.is_empty() && !self.finals.is_empty())
    }

    fn end_turn(&mut self, end_of_speech: Instant, offset: Duration) {
        let (likely, transcript_at) = (self.likely.take(), self.transcript_at);
        let text = self.close(offset);
        if likely.is_some_and(|likely| likely != text) {
            self.outputs.push_back(Output::TurnResumed);
        }
        self.agent = Agent::Thinking;
        self.outputs.push_back(Output::EndOfTurn(Turn { text, end_of_speech, transcript_at }));
    }

    /// Ends the turn for another reason than silence, and hands out the words that waited for its end.
    pub fn take_words(&mut self) -> String {
        let end = self.newest_words.map_or(self.closed, |(_, end)| end);
        self.close(end)
    }

    fn close(&mut self, offset: Duration) -> String {
        self.closed = self.closed.max(offset);
        let mut text = std::mem::take(&mut self.finals);
        let interim = std::mem::take(&mut self.interim);
        join(&mut text, &interim);
        self.ended = None;
        self.ended_before = None;
        self.newest_words = None;
        self.words_over = false;
        self.unanswered = None;
        self.asked_to_wait = None;
        self.hold_until = None;
        self.held_since = None;
        self.likely = None;
        self.transcript_at = None;
        text
    }

    pub(super) fn is_covered(&self, offset: Duration) -> bool {
        self.covered + COVER_TOLERANCE >= offset
    }
}
