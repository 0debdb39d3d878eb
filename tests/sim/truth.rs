//! What really happened in a call, and whether it was right: the books of the simulator.

mod history;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto::types::v1::EndReason;

use crate::{
    invariants::{Invariant, Violation},
    sound::Cell,
    words::{Owner, Word, Words},
};
pub use waiting::UtteranceKind;
use waiting::{Pending, Utterance};

/// How long the news of a decision in media may take to the carrier or to dialogue, and audio on its way to be played.
const NEWS: Duration = Duration::from_millis(400);
/// A hang-up comes this long after the goodbye was heard, at the latest.
const HANG_UP_MAX: Duration = Duration::from_secs(5);
/// The way there and back that an estimate of what was heard may ignore.
const ROUND_TRIP: Duration = Duration::from_millis(150);

/// What a number in the sound stands for.
#[derive(Debug, Clone)]
pub struct Sound {
    /// The word as it was synthesised or spoken; none for a noise.
    pub text: Option<String>,
    /// Milliseconds.
    pub length: u32,
    /// The made-up word that it is.
    pub word: Option<Word>,
}

/// A word, or the beginning of one, that was played.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// Which made-up word.
    pub word: Word,
    /// The number of its sound.
    pub sound: u32,
    /// When its last millisecond so far was played.
    pub ended: Duration,
    /// All of it.
    pub whole: bool,
}

/// A clear.
#[derive(Debug, Clone, Copy)]
struct Clear {
    epoch: i64,
    decided: Duration,
    /// How old the newest message of the carrier was then.
    lag: Duration,
    arrived: Option<Duration>,
}

/// The books.
#[derive(Default)]
pub struct Truth {
    /// The made-up words.
    pub words: Words,
    /// Violations, in order.
    pub violations: Vec<Violation>,
    /// How often each invariant was put to the test.
    pub checked: BTreeMap<Invariant, u64>,
    /// The synthesizer gives word times.
    pub word_times: bool,
    /// Lines that only fill a silence, by their place in the list of lines.
    pub fillers: BTreeSet<usize>,
    /// Lines after which the call ends.
    pub last_lines: BTreeSet<usize>,
    /// What the agent says when something went wrong.
    pub apology: String,
    /// A filler is there to be said.
    pub can_fill: bool,
    /// There is a line for an idle caller.
    pub can_ask: bool,
    /// The synthesizer is gone for good.
    pub voiceless: bool,
    /// Since when the transcriber is known to have lost its socket, until it has caught up: words come late, and none of
    /// them may be lost.
    pub behind: Option<Duration>,
    /// How long both may be silent.
    pub idle_timeout: Option<Duration>,
    sounds: Vec<Sound>,
    heard: Vec<Heard>,
    /// Where each utterance of ours stands: the place after the last word that was played to its end.
    positions: BTreeMap<Owner, usize>,
    /// The utterance that is being heard, fillers aside.
    voice: Option<Owner>,
    left: BTreeSet<Owner>,
    takes: BTreeMap<Owner, usize>,
    last_heard: Option<Duration>,
    cancelled: BTreeMap<i64, Duration>,
    confirmed: BTreeSet<i64>,
    clears: Vec<Clear>,
    writes: BTreeMap<String, u32>,
    end_call: Option<i64>,
    ends: Vec<EndReason>,
    over: bool,
    utterances: Vec<Utterance>,
    last_key: Duration,
    pending: Option<Pending>,
    known: BTreeMap<usize, Duration>,
    settled: BTreeMap<(usize, usize), Duration>,
    /// The caller's utterances that may be taken for something said in passing.
    passing: BTreeSet<usize>,
    asked: BTreeSet<(usize, usize)>,
    snapshots: Vec<(i64, Vec<Word>)>,
}

impl Truth {
    /// Notes that something was not as it must be.
    pub fn violate(&mut self, invariant: Invariant, at: Duration, detail: String) {
        // One wrong step has many consequences: the first of a kind says it all.
        if self.violations.iter().all(|violation| violation.invariant != invariant) {
            self.violations.push(Violation { invariant, at, detail });
        }
    }

    fn checks(&mut self, invariant: Invariant) {
        *self.checked.entry(invariant).or_default() += 1;
    }

    /// Numbers a word that is being synthesised.
    pub fn agent_word(&mut self, text: &str, length: u32) -> u32 {
        let word = self.words.find(text);
        self.sound(Sound { text: Some(text.to_owned()), length, word })
    }

    /// Numbers a word that the caller says.
    pub fn caller_word(&mut self, text: &str) -> u32 {
        let word = self.words.find(text);
        self.sound(Sound { text: Some(text.to_owned()), length: 0, word })
    }

    /// Numbers a noise of the caller's.
    pub fn caller_noise(&mut self) -> u32 {
        self.sound(Sound { text: None, length: 0, word: None })
    }

    fn sound(&mut self, sound: Sound) -> u32 {
        self.sounds.push(sound);
        self.sounds.len() as u32 - 1
    }

    /// What a number stands for.
    pub fn sound_of(&self, number: u32) -> Option<&Sound> {
        self.sounds.get(number as usize)
    }

    /// When the agent was last heard.
    pub fn agent_last_heard(&self) -> Option<Duration> {
        self.last_heard
    }

    /// The carrier has played this millisecond by then.
    pub fn heard_cell(&mut self, cell: Cell, at: Duration) {
        self.last_heard = Some(at);
        let Some(Sound { length, word: Some(word), .. }) = self.sounds.get(cell.word as usize) else {
            return;
        };
        let (word, whole) = (*word, cell.place + 1 >= *length);
        match self.heard.last_mut() {
            Some(last) if last.sound == cell.word && cell.place > 0 => {
                last.ended = at;
                last.whole |= whole;
            }
            _ => {
                self.heard.push(Heard { word, sound: cell.word, ended: at, whole });
                self.word_began(word, at);
            }
        }
        if whole {
            let position = self.positions.entry(word.owner).or_default();
            *position = word.place + 1;
        }
    }

    fn is_filler(&self, owner: Owner) -> bool {
        matches!(owner, Owner::Line(line) if self.fillers.contains(&line))
    }

    /// Words by which an estimate of what was heard may be wrong.
    fn tolerance(&self, owner: Owner) -> usize {
        // Without times each new take starts from an estimate of its own.
        if self.word_times { 1 } else { 2 + self.takes.get(&owner).copied().unwrap_or(0) }
    }

    /// The synthesizer is asked once more for a part of what it has begun to speak.
    pub fn spoken_again(&mut self, text: &str) {
        let owner = self.words.of_text(text).next().map(|word| word.owner);
        if let Some(owner) = owner {
            *self.takes.entry(owner).or_default() += 1;
        }
    }

    fn word_began(&mut self, word: Word, at: Duration) {
        self.checks(Invariant::OneVoice);
        let owner = word.owner;
        let place = self.positions.get(&owner).copied().unwrap_or(0);
        let slack = self.tolerance(owner) + self.slack(owner);
        if matches!(owner, Owner::Line(_)) && word.place == 0 {
            self.positions.insert(owner, 0);
        } else if word.place > place + slack || word.place + slack < place {
            let detail = format!("{owner:?}: word {} came when word {place} was due", word.place);
            self.violate(Invariant::OneVoice, at, detail);
        }
        if !self.is_filler(owner) {
            if self.voice != Some(owner) {
                // The apology of a reply that broke off is a part of it, and goes on with it after an interruption.
                let apology = self.words.of_text(&self.apology).next().map(|word| word.owner);
                let part = matches!(self.voice, Some(Owner::Reply(_))) && Some(owner) == apology;
                if let Some(before) = self.voice.filter(|_| !part) {
                    self.left.insert(before);
                }
                if self.left.contains(&owner) && word.place > 0 {
                    let detail = format!("{owner:?} goes on after {:?} had begun", self.voice);
                    self.violate(Invariant::OneVoice, at, detail);
                }
                self.left.remove(&owner);
            }
            self.voice = Some(owner);
            if matches!(owner, Owner::Line(_)) && word.place == 0 {
                self.said_anew(owner);
            }
            self.answered(owner, at);
        }
        if let Owner::Reply(epoch) = owner {
            self.checks(Invariant::NoStaleEffect);
            if self.cancelled.get(&epoch).is_some_and(|cancelled| *cancelled + NEWS < at) {
                let detail = format!("a word of reply {epoch} was played after the reply was cancelled");
                self.violate(Invariant::NoStaleEffect, at, detail);
            }
            self.checks(Invariant::TentativeLeavesNoTrace);
            if !self.confirmed.contains(&epoch) {
                let detail = format!("a word of reply {epoch} was played, and its turn was not certain");
                self.violate(Invariant::TentativeLeavesNoTrace, at, detail);
            }
        }
    }

    /// Words that were played while the news of a cut was held up by the lines.
    fn slack(&self, owner: Owner) -> usize {
        let held_up = |clear: &&Clear| match owner {
            Owner::Reply(epoch) => clear.epoch == epoch,
            _ => true,
        };
        let count = |clear: &Clear| {
            let Some(arrived) = clear.arrived else { return 0 };
            let late = (arrived.saturating_sub(clear.decided) + clear.lag).saturating_sub(ROUND_TRIP);
            let in_it = |heard: &&Heard| heard.word.owner == owner && heard.ended + late > arrived;
            if late.is_zero() {
                0
            } else {
                self.heard.iter().filter(in_it).filter(|h| h.ended <= arrived).count()
            }
        };
        self.clears.iter().filter(held_up).map(count).sum()
    }

    /// Media decided to clear; the newest message of the carrier is so old.
    pub fn clear_decided(&mut self, epoch: i64, at: Duration, lag: Duration) {
        self.clears.push(Clear { epoch, decided: at, lag, arrived: None });
    }

    /// The clear is at the carrier.
    pub fn cleared(&mut self, at: Duration) {
        if let Some(clear) = self.clears.iter_mut().find(|clear| clear.arrived.is_none()) {
            clear.arrived = Some(at);
        }
    }

    /// Media gave up this reply.
    pub fn cancelled(&mut self, epoch: i64, at: Duration) {
        self.cancelled.entry(epoch).or_insert(at);
    }

    /// The turn that this epoch answers is certain, and these are its words.
    pub fn confirmed(&mut self, epoch: i64, text: &str) {
        self.confirmed.insert(epoch);
        for word in self.words.of_text(text) {
            if let Owner::Caller(utterance) = word.owner {
                self.asked.insert((utterance, word.place));
            }
        }
    }

    /// A tool begins to run.
    pub fn tool_runs(&mut self, epoch: i64, changes: bool, at: Duration) {
        self.checks(Invariant::NoStaleEffect);
        if self.cancelled.get(&epoch).is_some_and(|cancelled| *cancelled + NEWS < at) {
            let detail = format!("a tool of reply {epoch} began after the reply was cancelled");
            self.violate(Invariant::NoStaleEffect, at, detail);
        }
        if changes {
            self.checks(Invariant::TentativeLeavesNoTrace);
            if !self.confirmed.contains(&epoch) {
                let detail = format!("a tool that changes things ran for the uncertain turn {epoch}");
                self.violate(Invariant::TentativeLeavesNoTrace, at, detail);
            }
        }
    }

    /// What was asked for with this word was done.
    pub fn written(&mut self, what: &str, at: Duration) {
        let times = self.writes.entry(what.to_owned()).or_default();
        *times += 1;
        if *times > 1 {
            self.violate(Invariant::NoStaleEffect, at, format!("the write {what:?} was made twice"));
        }
    }

    /// The reply of this epoch ends the call.
    pub fn ends_call(&mut self, epoch: i64) {
        self.end_call = Some(epoch);
    }

    /// The caller has hung up.
    pub fn hung_up(&mut self, _at: Duration) {
        self.over = true;
    }

    /// The gateway says that the call is over.
    pub fn ended(&mut self, reason: EndReason, at: Duration) {
        self.checks(Invariant::OneReason);
        if !self.ends.is_empty() {
            self.violate(Invariant::OneReason, at, format!("{:?}, then {reason:?}", self.ends));
        }
        self.ends.push(reason);
        if reason == EndReason::AgentHangup && !self.over {
            self.check_goodbye(at);
        }
        self.check_last_line(reason, at);
        self.over = true;
    }

    fn check_goodbye(&mut self, at: Duration) {
        self.checks(Invariant::NoStaleEffect);
        let Some(epoch) = self.end_call else {
            return self.violate(Invariant::NoStaleEffect, at, "the agent hung up without a goodbye".into());
        };
        let owner = Owner::Reply(epoch);
        let all = self.words.count(owner);
        let heard: BTreeSet<usize> = self.whole_words(owner);
        // Without word times a take that is said again may leave one out.
        let missed = if self.word_times { 0 } else { self.tolerance(owner) };
        if heard.len() + missed < all {
            let detail = format!("the agent hung up when {} of {all} words were heard", heard.len());
            self.violate(Invariant::NoStaleEffect, at, detail);
        }
        if self.last_heard.is_some_and(|last| last + HANG_UP_MAX < at) {
            self.violate(Invariant::NoStaleEffect, at, "the hang-up came over 5 s after the goodbye".into());
        }
    }

    fn check_last_line(&mut self, reason: EndReason, at: Duration) {
        let Some(Heard { word: Word { owner: Owner::Line(line), .. }, .. }) = self.heard.last().copied()
        else {
            return;
        };
        if reason == EndReason::CallerHangup || self.over || !self.last_lines.contains(&line) {
            return;
        }
        self.checks(Invariant::LastLineHeard);
        let owner = Owner::Line(line);
        let position = self.positions.get(&owner).copied().unwrap_or(0);
        let whole = self.heard.last().is_some_and(|heard| heard.whole);
        // Without word times a take that is said again may leave one out, as in a goodbye, or break off in it.
        let inexact = !self.word_times && self.takes.contains_key(&owner);
        let missed = if inexact { self.tolerance(owner) } else { 0 };
        if position == 0 || position + missed < self.words.count(owner) || !(whole || inexact) {
            let detail = format!("the last line broke off after {position} words");
            self.violate(Invariant::LastLineHeard, at, detail);
        }
    }

    fn whole_words(&self, owner: Owner) -> BTreeSet<usize> {
        let of = |heard: &&Heard| heard.word.owner == owner && heard.whole;
        self.heard.iter().filter(of).map(|heard| heard.word.place).collect()
    }
}

impl Truth {
    /// True while our voice is heard.
    pub fn is_heard_now(&self, now: Duration) -> bool {
        self.last_heard.is_some_and(|at| now.saturating_sub(at) < Duration::from_millis(100))
    }

    /// True if this sound is of a last line, behind its second word.
    pub fn is_in_last_line(&self, sound: &[u8]) -> bool {
        let word = crate::sound::first_cell(sound).and_then(|cell| self.sound_of(cell.word)?.word);
        matches!(word, Some(Word { owner: Owner::Line(line), place: 2.. }) if self.last_lines.contains(&line))
    }

    /// A clear is the first thing of what was decided together.
    pub fn check_clear_first(&mut self, outputs: &[media::pipeline::Output], at: Duration) {
        use media::pipeline::Output;
        let Some(clear) = outputs.iter().position(|output| matches!(output, Output::Clear { .. })) else {
            return;
        };
        self.checks(Invariant::ClearFirst);
        // Audio that was decided before may leave before it.
        let effects = |output: &Output| {
            !matches!(
                output,
                Output::Event { .. } | Output::Finalize | Output::Frame { .. } | Output::Mark { .. }
            )
        };
        if let Some(before) = outputs[..clear].iter().find(|output| effects(output)) {
            self.violate(Invariant::ClearFirst, at, format!("before the clear came {before:?}"));
        }
    }

    /// Words of the agent that were played, lines that began, and fillers that did.
    pub fn played(&self) -> (u64, u64, u64) {
        let begins = |heard: &&Heard| heard.word.place == 0 && matches!(heard.word.owner, Owner::Line(_));
        let (fillers, lines): (Vec<&Heard>, Vec<&Heard>) =
            self.heard.iter().filter(begins).partition(|heard| self.is_filler(heard.word.owner));
        (self.heard.len() as u64, lines.len() as u64, fillers.len() as u64)
    }
}
