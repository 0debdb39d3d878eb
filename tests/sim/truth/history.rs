//! What the model believes that was said.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dialogue::conversation::{Block, CALL_ANSWERED, History, REFUSED, Role};

use super::Truth;
use crate::{
    invariants::Invariant,
    words::{Owner, Word},
};

impl Truth {
    /// The model is asked for this epoch with this history.
    pub fn asked_with(&mut self, epoch: i64, history: &History) {
        let words = self.said(history);
        self.snapshots.push((epoch, words));
    }

    fn said(&self, history: &History) -> Vec<Word> {
        let messages = history.messages();
        let texts =
            messages.iter().filter(|(role, _)| *role == Role::Assistant).flat_map(|(_, blocks)| blocks);
        texts
            .filter_map(|block| if let Block::Text(text) = block { Some(*text) } else { None })
            .flat_map(|text| self.words.of_text(text))
            .collect()
    }

    /// The call is over, and this is what was said in it for certain, as dialogue believes.
    pub fn finish(&mut self, history: &History, turns: &[String], now: Duration) {
        let last = self.said(history);
        self.check_order(&last, now);
        self.check_lines(&last, now);
        let mut snapshots = std::mem::take(&mut self.snapshots);
        snapshots.push((i64::MAX, last));
        for (epoch, words) in &snapshots {
            self.check_replies(*epoch, words, now);
        }
        self.check_callers(history, turns, now);
        self.check_words(now);
    }

    /// Of each earlier reply the history holds what was heard.
    fn check_replies(&mut self, asked: i64, history: &[Word], now: Duration) {
        let mut told: BTreeMap<i64, usize> = BTreeMap::new();
        for word in history {
            if let Owner::Reply(epoch) = word.owner {
                *told.entry(epoch).or_default() += 1;
            }
        }
        let mut heard: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
        for word in self.heard.iter().filter(|heard| heard.whole) {
            if let Owner::Reply(epoch) = word.word.owner {
                heard.entry(epoch).or_default().insert(word.word.place);
            }
        }
        let epochs: BTreeSet<i64> = told.keys().chain(heard.keys()).copied().filter(|e| *e < asked).collect();
        for epoch in epochs {
            self.checks(Invariant::HistoryEqualsHeard);
            let told = told.get(&epoch).copied().unwrap_or(0);
            let played = heard.get(&epoch).map_or(0, BTreeSet::len);
            let tolerance = self.tolerance(Owner::Reply(epoch)) + self.slack(Owner::Reply(epoch));
            if told.abs_diff(played) > tolerance {
                let when = if asked == i64::MAX { "at the end".into() } else { format!("for reply {asked}") };
                let detail =
                    format!("{when} the history has {told} words of reply {epoch}, {played} were heard");
                self.violate(Invariant::HistoryEqualsHeard, now, detail);
            }
            if told > 0 && !self.confirmed.contains(&epoch) {
                let detail = format!("the history has words of the reply {epoch} to an uncertain turn");
                self.violate(Invariant::TentativeLeavesNoTrace, now, detail);
            }
        }
    }

    /// Lines are in it as often as they were heard, and fillers are not.
    fn check_lines(&mut self, history: &[Word], now: Duration) {
        let lines: BTreeSet<usize> = history
            .iter()
            .chain(self.heard.iter().map(|heard| &heard.word))
            .filter_map(|word| if let Owner::Line(line) = word.owner { Some(line) } else { None })
            .collect();
        for line in lines {
            self.checks(Invariant::HistoryEqualsHeard);
            let owner = Owner::Line(line);
            let told = history.iter().filter(|word| word.owner == owner).count();
            if self.fillers.contains(&line) {
                if told > 0 {
                    let detail = format!("the filler of line {line} is in the history");
                    self.violate(Invariant::HistoryEqualsHeard, now, detail);
                }
                continue;
            }
            // A word that was cut and is said again is heard once or twice: what counts is how far each saying came.
            let played = self.heard.iter().filter(|heard| heard.word.owner == owner && heard.whole).count();
            let sayings =
                self.heard.iter().filter(|heard| heard.word.owner == owner && heard.word.place == 0);
            let clears = self.clears.len();
            let tolerance = self.tolerance(owner) * (sayings.count() + clears).max(1) + self.slack(owner);
            if told.abs_diff(played) > tolerance {
                let detail = format!("the history has {told} words of line {line}, {played} were heard");
                self.violate(Invariant::HistoryEqualsHeard, now, detail);
            }
        }
    }

    /// Its order is that of time.
    fn check_order(&mut self, history: &[Word], now: Duration) {
        let replies: Vec<(i64, usize)> = history
            .iter()
            .filter_map(
                |word| if let Owner::Reply(epoch) = word.owner { Some((epoch, word.place)) } else { None },
            )
            .collect();
        if let Some(pair) = replies.windows(2).find(|pair| pair[0] >= pair[1]) {
            let detail = format!("the history has the words {pair:?} (reply, place) in this order");
            self.violate(Invariant::HistoryEqualsHeard, now, detail);
        }
    }

    /// The caller's turns in it are those that were certain, each once and in order.
    fn check_callers(&mut self, history: &History, turns: &[String], now: Duration) {
        self.checks(Invariant::TentativeLeavesNoTrace);
        let messages = history.messages();
        let users = messages.iter().filter(|(role, _)| *role == Role::User).flat_map(|(_, blocks)| blocks);
        let texts: Vec<&str> = users
            .filter_map(|block| if let Block::Text(text) = block { Some(*text) } else { None })
            .filter(|text| *text != CALL_ANSWERED)
            .collect();
        let same = texts.len() == turns.len()
            && texts.iter().zip(turns).all(|(text, turn)| *text == REFUSED || *text == turn.trim());
        if !same {
            let detail =
                format!("the caller's turns in the history: {texts:?}; those that were certain: {turns:?}");
            self.violate(Invariant::TentativeLeavesNoTrace, now, detail);
        }
    }
}
