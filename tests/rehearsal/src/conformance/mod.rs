//! The rules of both carriers' wire protocols, tried on any server: one line for each rule.
//!
//! A carrier's rehearsal notes what a server does wrong in any call; the calls here are made so that every rule has its
//! occasion. What a server does inside cannot be seen from a telephone: such rules have a line that says so.

mod exotel;
#[cfg(test)]
mod tests;
mod twilio;

use std::fmt;

use serde::Serialize;

use crate::carrier::{Call, Carrier, ClosedBy, Ended, Outcome, Plan, Step, When};

/// What came of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    Failed(String),
    /// And why.
    NotTestable(&'static str),
}

/// A rule and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub carrier: &'static str,
    pub rule: &'static str,
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, why) = match &self.verdict {
            Verdict::Passed => ("passed", ""),
            Verdict::Failed(why) => ("FAILED", why.as_str()),
            Verdict::NotTestable(why) => ("not testable from outside", *why),
        };
        let colon = if why.is_empty() { "" } else { ": " };
        write!(f, "{:6}  {:78}  {name}{colon}{why}", self.carrier, self.rule)
    }
}

/// Tries every rule of the plan's carrier. The plan's first step, if it has one, is a line that the server's agent
/// understands: with it the agent is interrupted.
pub async fn run(plan: &Plan) -> Vec<Finding> {
    let mut findings = match plan.carrier {
        Carrier::Twilio => twilio::run(plan).await,
        Carrier::Exotel(_) => exotel::run(plan).await,
    };
    // A rule begins with the number of its section.
    findings.sort_by_key(|found| found.rule.as_bytes().first().copied());
    findings
}

/// Collects the lines of one carrier.
struct Table {
    carrier: &'static str,
    findings: Vec<Finding>,
}

impl Table {
    fn new(carrier: &'static str) -> Self {
        Self { carrier, findings: Vec::new() }
    }

    fn put(&mut self, rule: &'static str, verdict: Verdict) {
        self.findings.push(Finding { carrier: self.carrier, rule, verdict });
    }

    fn check(&mut self, rule: &'static str, holds: bool, otherwise: impl FnOnce() -> String) {
        self.put(rule, if holds { Verdict::Passed } else { Verdict::Failed(otherwise()) });
    }

    fn unseen(&mut self, rule: &'static str, why: &'static str) {
        self.put(rule, Verdict::NotTestable(why));
    }

    /// A rule that is kept if the agent was heard in this call, and the server did not end it.
    fn answers(&mut self, rule: &'static str, outcome: &Outcome) {
        let report = &outcome.report;
        let heard = !report.utterances.is_empty();
        let stayed = report
            .streams
            .iter()
            .all(|stream| stream.closed.as_ref().is_none_or(|closed| closed.by == ClosedBy::Carrier));
        self.check(rule, heard && stayed, || {
            let closed = report
                .streams
                .iter()
                .filter_map(|stream| stream.closed.as_ref())
                .find(|c| c.by != ClosedBy::Carrier);
            match closed {
                Some(close) => format!("the server closed: {:?} {}", close.code, close.reason),
                None => format!("the agent was not heard; the call ended with {:?}", report.ended),
            }
        });
    }

    /// A rule that is kept if the server ended its side when the carrier had said goodbye.
    fn leaves(&mut self, rule: &'static str, outcome: &Outcome) {
        let report = &outcome.report;
        let left = report.streams.last().and_then(|stream| stream.server_left);
        self.check(rule, report.ended == Ended::CallerHungUp && left == Some(true), || match left {
            Some(false) => "the server did not close its side in time".to_owned(),
            _ => format!("the call ended with {:?}", report.ended),
        });
    }

    /// The rules about what the server sends, over all calls of the carrier.
    fn sent(&mut self, rule: &'static str, outcomes: &[&Outcome], wrong: impl Fn(&str) -> bool) {
        let found = outcomes
            .iter()
            .flat_map(|outcome| &outcome.report.streams)
            .flat_map(|stream| &stream.invalid)
            .find(|why| wrong(why));
        self.check(rule, found.is_none(), || found.cloned().unwrap_or_default());
    }
}

/// How long a call lasts in which a key is pressed: it may be the first of several, and a server may wait for them all
/// before it speaks.
const KEY_CALL_MS: u32 = 8_000;

/// A call in which nobody speaks but the agent, up to `ms` after the stream's start, with these messages of the carrier
/// in between.
async fn listen(plan: &Plan, messages: &[&str], ms: u32) -> Outcome {
    let mut plan = plan.clone();
    let texts = messages.iter().enumerate();
    plan.steps = texts
        .map(|(n, text)| Step::Message {
            text: (*text).to_owned(),
            when: When::At { ms: 1_000 + 200 * n as u32 },
        })
        .chain([Step::HangUp { when: When::At { ms } }])
        .collect();
    Call::place(plan).finish().await
}

/// A call in which the plan's line interrupts the agent's greeting.
async fn interrupt(plan: &Plan) -> Option<Outcome> {
    let mut plan = plan.clone();
    let Some(Step::Say(line)) = plan.steps.first_mut() else { return None };
    line.when = When::AfterAgentStarts { ms: 900 };
    plan.steps.truncate(1);
    Some(Call::place(plan).finish().await)
}

/// A rule that needs an interruption, and a line to make it with.
const NO_LINE: &str = "give a line that the agent understands with --play";

fn cleared(table: &mut Table, rule: &'static str, interrupted: Option<&Outcome>) {
    match interrupted {
        Some(outcome) => table.check(rule, !outcome.report.clears.is_empty(), || "no clear came".to_owned()),
        None => table.unseen(rule, NO_LINE),
    }
}

fn speaks_on(table: &mut Table, rule: &'static str, interrupted: Option<&Outcome>) {
    let Some(outcome) = interrupted else { return table.unseen(rule, NO_LINE) };
    let clear = outcome.report.clears.first();
    let after =
        clear.is_some_and(|clear| outcome.report.utterances.iter().any(|said| said.first_audible > *clear));
    table.check(rule, after, || "the agent said nothing more".to_owned());
}
