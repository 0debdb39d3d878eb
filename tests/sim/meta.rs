//! As a test: some calls, the committed seeds, and whether the simulator itself can be trusted.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::{mutations::Mutation, origin, runs, world};

/// Calls of a test run.
const CALLS: u64 = 300;
/// Calls in which a broken rule must be noticed.
const MUTATED_CALLS: u64 = 400;
/// Seeds that once found a fault, each with what it was.
const SEEDS: &str = include_str!("seeds.txt");

/// Runs what the arguments of the test harness ask for.
pub fn run() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("calls", || match runs::calls(0..CALLS).1 {
            violations if violations.is_empty() => Ok(()),
            violations => {
                let lines: Vec<_> = violations.iter().map(|(seed, v)| runs::line(*seed, v)).collect();
                Err(lines.join("\n").into())
            }
        }),
        Trial::test("committed_seeds", || {
            for line in SEEDS.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
                let (seed, why) = line.split_once(' ').unwrap_or((line, ""));
                let outcome = world::run(seed.parse()?, None, false, origin());
                if let Some(violation) = outcome.violations.first() {
                    return Err(format!("{} (once: {why})", runs::line(outcome.seed, violation)).into());
                }
            }
            Ok(())
        }),
        Trial::test("a_seed_replays_byte_for_byte", || {
            for seed in 0..20 {
                let first = world::run(seed, None, true, origin()).log;
                let second = world::run(seed, None, true, origin()).log;
                if first != second || first.lines().count() < 10 {
                    return Err(format!("the call of seed {seed} was another one the second time").into());
                }
            }
            Ok(())
        }),
    ];
    trials.extend(Mutation::ALL.into_iter().map(|(mutation, name, invariant)| {
        Trial::test(format!("mutation::{name}"), move || {
            match runs::caught(mutation, invariant, MUTATED_CALLS) {
                Some(_) => Ok(()),
                None => {
                    Err(format!("{} did not notice it in {MUTATED_CALLS} calls", invariant.name()).into())
                }
            }
        })
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    conclusion.exit_code()
}
