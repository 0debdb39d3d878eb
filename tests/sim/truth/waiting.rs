//! Who waits for whom: the caller's turns and their answers.

use std::time::Duration;

use super::Truth;
use crate::{invariants::Invariant, words::Owner};

/// The longest silence of ours while the floor is ours.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// The longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Words that settled this long before the end of a call have reached the model.
const WORDS_MAX: Duration = Duration::from_secs(15);

/// Words that settle this long after they were said come too late for their turn.
const WORDS_LATE: Duration = Duration::from_millis(1_500);

/// A word or two over our voice, in no more than this, may be a backchannel that nobody has on a list.
const PASSING_MAX: Duration = Duration::from_millis(700);
/// How late a silence may be noticed: noise is taken for the caller for a while, and then its words are waited for.
const IDLE_GRACE: Duration = Duration::from_secs(6);
/// Speech shorter than this that brings no words is not asked about.
const SHORT: Duration = Duration::from_millis(460);

/// What an utterance of the caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UtteranceKind {
    /// Words that want an answer.
    Content,
    /// Shows that one listens.
    Backchannel,
    /// No words.
    Cough,
}

/// An utterance of the caller.
#[derive(Debug, Clone)]
pub(super) struct Utterance {
    number: usize,
    kind: UtteranceKind,
    start: Duration,
    end: Duration,
    noted: bool,
}

/// A turn that was not answered yet.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// The utterance; none for keys.
    number: Option<usize>,
    since: Duration,
    /// Too short to be asked about if there are no words.
    short: bool,
    /// The agent spoke meanwhile: this, which is no answer.
    over: Option<Owner>,
}

impl Truth {
    /// The caller begins an utterance.
    pub fn caller_speaks(&mut self, number: usize, kind: UtteranceKind, start: Duration, end: Duration) {
        self.utterances.push(Utterance { number, kind, start, end, noted: false });
        if kind == UtteranceKind::Content {
            self.pending = None;
        }
    }

    /// The caller pressed a key: the entry is over after a while, or with this one.
    pub fn key(&mut self, at: Duration, terminator: bool, timeout: Duration) {
        let since = if terminator { at } else { at + timeout };
        self.last_key = since;
        self.pending = Some(Pending { number: None, since, short: false, over: None });
    }

    /// The transcriber has told media's core these words.
    pub fn transcribed(&mut self, text: &str, settled: bool, at: Duration) {
        let words: Vec<_> = self.words.of_text(text).collect();
        for word in words {
            if let Owner::Caller(utterance) = word.owner {
                self.known.entry(utterance).or_insert(at);
                let end = self.utterances.iter().find(|u| u.number == utterance).map(|u| u.end);
                // Nobody waits for words that were late before it was known why.
                let in_time = |end| self.behind.map_or(at, |since| since.min(at)) < end + WORDS_LATE;
                if settled && end.is_some_and(in_time) {
                    self.settled.entry((utterance, word.place)).or_insert(at);
                }
            }
        }
    }

    /// A line of ours begins from its first word: whatever the caller said over it before, this is said in answer.
    pub(super) fn said_anew(&mut self, line: Owner) {
        if let Some(pending) = &mut self.pending {
            pending.over.take_if(|over| *over == line);
        }
    }

    /// A word of ours began that is no filler.
    pub(super) fn answered(&mut self, owner: Owner, at: Duration) {
        self.pending.take_if(|pending| at > pending.since && pending.over != Some(owner));
    }

    /// 20 ms have passed.
    pub fn frame(&mut self, now: Duration) {
        self.note_utterances(now);
        self.check_idle(now);
        let speaks = self.utterances.iter().rev().take(2).any(|u| u.start <= now && now < u.end);
        let Some(pending) = &self.pending else { return };
        if self.over || speaks || now < pending.since {
            return;
        }
        let pending = pending.clone();
        let known = pending.number.is_none_or(|number| self.known.contains_key(&number));
        if pending.over.is_some() && pending.number.is_some_and(|number| self.passing.contains(&number)) {
            // It may be answered, and may be heard as a sign that one listens.
            self.pending.take_if(|pending| now > pending.since + ANSWER_MAX);
            return;
        }
        if pending.over.is_some() && !known {
            if now > pending.since + WORDS_LATE {
                // Nobody can know that something was said under our own voice.
                self.pending = None;
            }
            return;
        }
        // Nobody asks about a short sound without words: it may have been a cough.
        let short = pending.number.filter(|_| pending.short).map(|number| self.known.get(&number));
        let noticed = match short {
            Some(None) => return,
            Some(Some(at)) => *at,
            None => Duration::ZERO,
        };
        // Whoever makes a sound meanwhile may have cut the answer off, and waits anew.
        let sounded = self.utterances.last().map_or(Duration::ZERO, |last| last.end);
        if now > pending.since.max(noticed).max(sounded) + ANSWER_MAX {
            let what = match pending.number {
                Some(number) => format!("utterance {number} of the caller was not answered"),
                None => "keys of the caller were not answered".to_owned(),
            };
            self.pending = None;
            return self.violate(Invariant::EveryTurnEnds, now, what);
        }
        let quiet = now
            .saturating_sub(self.last_heard.unwrap_or_default().max(pending.since).max(sounded).max(noticed));
        if quiet > SILENCE_MAX && self.can_fill && !self.voiceless {
            let detail = format!("silent since {:.3} s", (now - quiet).as_secs_f64());
            self.violate(Invariant::NoSilence, now, detail);
        }
    }

    /// Nobody says anything, and nothing is due.
    fn check_idle(&mut self, now: Duration) {
        let Some(timeout) = self
            .idle_timeout
            .filter(|_| !self.over && !self.voiceless && self.can_ask && self.pending.is_none())
        else {
            return;
        };
        let said = self.utterances.last().map_or(Duration::ZERO, |last| last.end);
        let last = said.max(self.last_heard.unwrap_or_default()).max(self.last_key);
        if now > last + timeout && now <= last + timeout + Duration::from_millis(20) {
            self.checks(Invariant::IdleIsNoticed);
        }
        if now > last + timeout + IDLE_GRACE {
            let detail = format!("nobody said anything since {:.3} s", last.as_secs_f64());
            self.violate(Invariant::IdleIsNoticed, now, detail);
        }
    }

    fn note_utterances(&mut self, now: Duration) {
        let Some(last) = self.utterances.last_mut().filter(|last| !last.noted && now >= last.end) else {
            return;
        };
        last.noted = true;
        let last = last.clone();
        if last.kind != UtteranceKind::Content {
            return;
        }
        let over_us = self.last_heard.is_some_and(|heard| heard + Duration::from_millis(300) > last.start);
        let over = self.voice.filter(|_| over_us);
        if over_us && last.end <= last.start + PASSING_MAX {
            self.passing.insert(last.number);
        }
        let short = last.end.saturating_sub(last.start) < SHORT;
        self.pending = Some(Pending { number: Some(last.number), since: last.end, short, over });
        for invariant in [Invariant::EveryTurnEnds, Invariant::NoSilence] {
            self.checks(invariant);
        }
    }

    /// The call took too long.
    pub fn did_not_end(&mut self, now: Duration) {
        self.violate(Invariant::EveryTurnEnds, now, "the call did not end".into());
    }

    /// At the end: what the transcriber settled, the model was told.
    pub(super) fn check_words(&mut self, now: Duration) {
        let lost: Vec<_> = self
            .settled
            .iter()
            .filter(|(word, at)| **at + WORDS_MAX < now && !self.asked.contains(word))
            .filter(|((utterance, _), _)| !self.passing.contains(utterance))
            .map(|((utterance, place), at)| (*utterance, *place, *at))
            .collect();
        for _ in 0..self.settled.len() {
            self.checks(Invariant::WordsKept);
        }
        if let Some((utterance, place, at)) = lost.first() {
            let detail = format!("word {place} of utterance {utterance} was settled and never asked");
            self.violate(Invariant::WordsKept, *at, detail);
        }
    }
}
