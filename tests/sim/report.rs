//! Counts of what happened, and tables.

use std::{collections::BTreeMap, time::Duration};

use proto::types::v1::EndReason;

use crate::{invariants::Invariant, truth::UtteranceKind};

/// What happened how often.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Calls.
    pub calls: u64,
    /// Their virtual time.
    pub time: Duration,
    /// Turns of the caller that were certain.
    pub turns: u64,
    /// Turns that were told before they were certain, those that came true, and those that were dropped.
    pub tentative: u64,
    pub tentative_kept: u64,
    pub tentative_dropped: u64,
    /// Utterances of the caller.
    pub sentences: u64,
    pub backchannels: u64,
    pub coughs: u64,
    pub interruptions: u64,
    pub key_entries: u64,
    /// What media made of them.
    pub barge_ins: u64,
    pub false_barge_ins: u64,
    /// Lines that began to play.
    pub fillers: u64,
    pub lines: u64,
    /// Words of the agent that were played.
    pub words: u64,
    /// Faults.
    pub failed_replies: u64,
    pub lost_takes: u64,
    pub reconnects: u64,
    pub missing_finals: u64,
    pub faults: BTreeMap<String, u64>,
    /// Tool calls.
    pub tools: BTreeMap<&'static str, u64>,
    /// What dialogue refused because it was stale.
    pub refused: BTreeMap<&'static str, u64>,
    /// End reasons.
    pub ends: BTreeMap<&'static str, u64>,
    /// How often each invariant was put to the test.
    pub checked: BTreeMap<Invariant, u64>,
    /// Calls in which each did not hold.
    pub violated: BTreeMap<Invariant, u64>,
}

fn add<K: Ord + Clone>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(key.clone()).or_default() += count;
    }
}

impl Counts {
    /// An utterance of the caller.
    pub fn utterance(&mut self, kind: UtteranceKind) {
        match kind {
            UtteranceKind::Content => self.sentences += 1,
            UtteranceKind::Backchannel => self.backchannels += 1,
            UtteranceKind::Cough => self.coughs += 1,
        }
    }

    /// A vendor failed.
    pub fn fault(&mut self, vendor: &str) {
        *self.faults.entry(vendor.to_owned()).or_default() += 1;
    }

    /// A call ended.
    pub fn ended(&mut self, reason: EndReason) {
        *self.ends.entry(reason.as_str_name().trim_start_matches("END_REASON_")).or_default() += 1;
    }

    /// Adds another call's.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.time += other.time;
        let pairs = [
            (&mut self.turns, other.turns),
            (&mut self.tentative, other.tentative),
            (&mut self.tentative_kept, other.tentative_kept),
            (&mut self.tentative_dropped, other.tentative_dropped),
            (&mut self.sentences, other.sentences),
            (&mut self.backchannels, other.backchannels),
            (&mut self.coughs, other.coughs),
            (&mut self.interruptions, other.interruptions),
            (&mut self.key_entries, other.key_entries),
            (&mut self.barge_ins, other.barge_ins),
            (&mut self.false_barge_ins, other.false_barge_ins),
            (&mut self.fillers, other.fillers),
            (&mut self.lines, other.lines),
            (&mut self.words, other.words),
            (&mut self.failed_replies, other.failed_replies),
            (&mut self.lost_takes, other.lost_takes),
            (&mut self.reconnects, other.reconnects),
            (&mut self.missing_finals, other.missing_finals),
        ];
        for (to, from) in pairs {
            *to += from;
        }
        add(&mut self.faults, &other.faults);
        add(&mut self.tools, &other.tools);
        add(&mut self.refused, &other.refused);
        add(&mut self.ends, &other.ends);
        add(&mut self.checked, &other.checked);
        add(&mut self.violated, &other.violated);
    }

    /// The table.
    pub fn print(&self, seconds: f64) {
        let row = |name: &str, value: String| println!("{name:<28} {value}");
        let list = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
        };
        let faults: Vec<String> = self.faults.iter().map(|(name, n)| format!("{name} {n}")).collect();
        row("calls", self.calls.to_string());
        row("virtual hours", format!("{:.1}", self.time.as_secs_f64() / 3600.0));
        row("caller's sentences", format!("{}, {} of them interrupt", self.sentences, self.interruptions));
        row("caller's small noises", format!("{} backchannels, {} coughs", self.backchannels, self.coughs));
        row("key entries", self.key_entries.to_string());
        row("turns answered", self.turns.to_string());
        row(
            "begun on a likely end",
            format!("{}, {} kept, {} dropped", self.tentative, self.tentative_kept, self.tentative_dropped),
        );
        row("barge-ins", format!("{}, and {} false ones taken back", self.barge_ins, self.false_barge_ins));
        row("agent's words played", self.words.to_string());
        row("lines played", format!("{}, and {} fillers", self.lines, self.fillers));
        row("tool calls", list(&self.tools));
        row("stale, and refused", list(&self.refused));
        row("vendor faults", faults.join(", "));
        row(
            "  among them",
            format!(
                "{} lost takes, {} failed replies, {} reconnects, {} finals that never came",
                self.lost_takes, self.failed_replies, self.reconnects, self.missing_finals
            ),
        );
        row("end reasons", list(&self.ends));
        println!();
        println!("{:<28} {:>12} {:>12}", "invariant", "checked", "violated in");
        for invariant in Invariant::ALL {
            let checked = self.checked.get(&invariant).copied().unwrap_or(0);
            let violated = self.violated.get(&invariant).copied().unwrap_or(0);
            println!("{:<28} {checked:>12} {violated:>12}", invariant.name());
        }
        println!();
        println!("{seconds:.1} s");
    }
}
