//! Whole calls in virtual time: the real cores of the gateway, of media and of dialogue, the rehearsal carrier's play-out,
//! and everything around them simulated from a seed. `make sim` runs many calls; as a test it runs some, and the meta tests.

mod caller;
mod carrier;
mod chance;
mod dialogue_side;
mod gateway_side;
mod hub;
mod invariants;
mod media_side;
mod meta;
mod mutations;
mod plan;
mod report;
mod runs;
mod sound;
mod truth;
mod vendors;
mod words;
mod world;

use std::process::ExitCode;

use mutations::Mutation;

fn main() -> ExitCode {
    let setting = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if std::env::args().nth(1).as_deref() != Some("simulate") {
        return meta::run();
    }
    let number = |name: &str, default: u64| match setting(name).map(|value| value.parse()) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(format!("{name} must be a number")),
    };
    let mutation = setting("MUTATE");
    let result: Result<bool, String> = (|| {
        let calls = number("CALLS", 10_000)?;
        let seed = number("SEED", 0)?;
        let from = number("FROM", 0)?;
        match mutation.as_deref() {
            Some("all") => Ok(runs::all_mutations(calls)),
            Some(name) => {
                let mutation = Mutation::named(name).ok_or_else(|| {
                    let names: Vec<_> = Mutation::ALL.iter().map(|(_, name, _)| *name).collect();
                    format!("there is no mutation {name}; there are all, {}", names.join(", "))
                })?;
                Ok(if setting("SEED").is_some() {
                    runs::one(seed, Some(mutation))
                } else {
                    runs::mutation(mutation, name, calls)
                })
            }
            None if setting("SEED").is_some() => Ok(runs::one(seed, None)),
            None => Ok(runs::many(from..from.saturating_add(calls))),
        }
    })();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::from(64)
        }
    }
}

/// An origin of virtual time.
fn origin() -> std::time::Instant {
    mesh::clock::now()
}
