//! Many calls, one call, and calls with a broken rule.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    invariants::{Invariant, Violation},
    mutations::Mutation,
    origin,
    report::Counts,
    world::{self, Outcome},
};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(10);

/// Runs these seeds on all processors; each outcome is handed over as it comes. Stops when it is told so.
fn each(
    seeds: std::ops::Range<u64>,
    mutation: Option<Mutation>,
    mut take: impl FnMut(Outcome) -> bool + Send,
) {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let take = Mutex::new(&mut take);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let origin = origin();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = world::run(seed, mutation, false, origin);
                    let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
                    if !take(outcome) {
                        end.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// All calls of these seeds: what happened, and what was wrong, by seed.
pub fn calls(seeds: std::ops::Range<u64>) -> (Counts, Vec<(u64, Violation)>) {
    let mut counts = Counts::default();
    let mut violations = Vec::new();
    let started = origin();
    let mut told = started;
    let total = seeds.end - seeds.start;
    each(seeds, None, |outcome| {
        counts.add(&outcome.counts);
        violations.extend(outcome.violations.into_iter().map(|violation| (outcome.seed, violation)));
        if told.elapsed() > PROGRESS {
            told = origin();
            eprintln!(
                "{} of {total} calls, {:.0} s, {} violations",
                counts.calls,
                started.elapsed().as_secs_f64(),
                violations.len()
            );
        }
        true
    });
    violations.sort_by_key(|(seed, violation)| (*seed, violation.at));
    (counts, violations)
}

/// How one violation reads, with the command that shows it.
pub fn line(seed: u64, violation: &Violation) -> String {
    format!(
        "seed {seed}, {:.3} s: {}: {}   (make sim SEED={seed})",
        violation.at.as_secs_f64(),
        violation.invariant.name(),
        violation.detail
    )
}

/// Many calls and their table; true if nothing was wrong.
pub fn many(seeds: std::ops::Range<u64>) -> bool {
    let started = origin();
    let (counts, violations) = calls(seeds);
    counts.print(started.elapsed().as_secs_f64());
    for (seed, violation) in violations.iter().take(40) {
        println!("{}", line(*seed, violation));
    }
    println!("sim: calls={} violations={}", counts.calls, violations.len());
    violations.is_empty()
}

/// One call with its log; true if nothing was wrong.
pub fn one(seed: u64, mutation: Option<Mutation>) -> bool {
    let outcome = world::run(seed, mutation, true, origin());
    // A reader who has seen enough may close the pipe.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), outcome.log.as_bytes());
    println!("sim: seed={seed} violations={}", outcome.violations.len());
    outcome.violations.is_empty()
}

/// The first call, by seed, in which this invariant noticed the broken rule, and how.
pub fn caught(mutation: Mutation, by: Invariant, calls: u64) -> Option<(u64, Violation)> {
    let mut first: Option<(u64, Violation)> = None;
    each(0..calls, Some(mutation), |outcome| {
        let seed = outcome.seed;
        if let Some(violation) = outcome.violations.into_iter().find(|violation| violation.invariant == by)
            && first.as_ref().is_none_or(|(known, _)| seed < *known)
        {
            first = Some((seed, violation));
        }
        first.is_none()
    });
    first
}

/// Breaks one rule; true if that was noticed.
pub fn mutation(mutation: Mutation, name: &str, calls: u64) -> bool {
    let by = mutation.caught_by();
    match caught(mutation, by, calls) {
        Some((seed, violation)) => {
            println!(
                "{name:<28} caught by {} after {} calls: {}   (make sim MUTATE={name} SEED={seed})",
                violation.invariant.name(),
                seed + 1,
                violation.detail
            );
            true
        }
        None => {
            println!("{name:<28} SURVIVED {calls} calls: {} did not notice it", by.name());
            false
        }
    }
}

/// Breaks every rule in turn; true if all were noticed.
pub fn all_mutations(calls: u64) -> bool {
    let mut all = true;
    for (broken, name, _) in Mutation::ALL {
        all &= mutation(broken, name, calls);
    }
    all
}
