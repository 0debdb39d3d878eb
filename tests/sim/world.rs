//! One call, from its answer to its end.

use std::time::{Duration, Instant};

use crate::{
    carrier::Carrier,
    dialogue_side::DialogueSide,
    gateway_side::GatewaySide,
    hub::{Event, Hub},
    invariants::Violation,
    media_side::MediaSide,
    mutations::Mutation,
    plan::Plan,
    report::Counts,
};

/// No call takes longer.
const CALL_MAX: Duration = Duration::from_secs(240);
/// A core that wants more than this in a call asks to be woken again and again.
const EVENTS_MAX: u64 = 2_000_000;

/// What came of a call.
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What happened.
    pub counts: Counts,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// The log, if it was wanted.
    pub log: String,
}

/// Runs the call of this seed. `origin` is any instant: virtual time counts from it.
pub fn run(seed: u64, mutation: Option<Mutation>, logs: bool, origin: Instant) -> Outcome {
    let plan = Plan::new(seed);
    let (word_times, idle_timeout) = (plan.word_times, plan.idle_timeout);
    let mut hub = Hub::new(plan, mutation, logs, origin);
    hub.truth.word_times = word_times;
    hub.truth.idle_timeout = idle_timeout;
    let drawn = format!("{:?}", hub.plan);
    hub.log("plan", || drawn);
    let mut carrier = Carrier::new(&mut hub);
    let mut gateway = GatewaySide::new(&mut hub);
    let mut media = MediaSide::new(&mut hub);
    let mut dialogue = DialogueSide::new(&hub);
    let mut events = 0;
    while !gateway.finished {
        let Some(event) = hub.next() else { break };
        events += 1;
        if hub.now > CALL_MAX || events > EVENTS_MAX {
            break;
        }
        match event {
            Event::Frame | Event::ToCarrier(_) => carrier.handle(event, &mut hub),
            Event::CarrierClosed if !carrier.is_over() => carrier.handle(event, &mut hub),
            Event::CarrierClosed | Event::FromCarrier(_) | Event::GatewayWake(_) | Event::FromMedia(_) => {
                gateway.handle(event, &mut hub);
            }
            Event::ToMedia(_)
            | Event::MediaWake(_)
            | Event::Media(_)
            | Event::Reading { .. }
            | Event::Tts(_)
            | Event::FromDialogue(_) => media.handle(event, &mut hub),
            Event::ToDialogue(_) | Event::Llm(_) | Event::ToolDone(..) => dialogue.handle(event, &mut hub),
        }
    }
    if !gateway.finished {
        let now = hub.now;
        hub.truth.did_not_end(now);
    }
    dialogue.finish(&mut hub);
    finish(seed, hub)
}

fn finish(seed: u64, hub: Hub) -> Outcome {
    let time = hub.now;
    let (mut counts, truth, mut log) = hub.into_log();
    counts.calls = 1;
    counts.time = time;
    (counts.words, counts.lines, counts.fillers) = truth.played();
    counts.checked = truth.checked.clone();
    for violation in &truth.violations {
        *counts.violated.entry(violation.invariant).or_default() += 1;
        log.push_str(&format!(
            "{:>4}.{:03}  VIOLATED {}: {}\n",
            violation.at.as_secs(),
            violation.at.subsec_millis(),
            violation.invariant.name(),
            violation.detail
        ));
    }
    Outcome { seed, counts, violations: truth.violations, log }
}
