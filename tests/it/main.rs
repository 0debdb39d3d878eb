//! Whole calls, in one process and over the mesh, and the binary as its users meet it.
//!
//! Calls happen in real time and wait far more than they work, so more tests run at once than there are cores.

mod answered_call;
mod barge_in;
mod binary;
mod caller;
mod commands;
mod conformance;
mod drain;
mod exotel;
mod faults;
mod hops;
mod integrators;
mod keys;
mod kills;
mod language;
mod leases;
mod media_socket;
mod outages;
mod outbound;
mod rpcs;
mod sandbox;
mod sarvam;
mod strangers;
mod suspension;
mod tidy;
mod transfers;

use std::{future::Future, time::Duration};

use libtest_mimic::{Arguments, Trial};

/// Tests that run at once; a call in a debug build takes about a twentieth of a core.
const AT_ONCE: usize = 6;
/// No test takes nearly as long: what hangs is a failure.
const TEST_TIMEOUT: Duration = Duration::from_secs(150);

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    // The longest first, so that none is left alone at the end.
    let trials = [
        kills::trials(),
        media_socket::trials(),
        outages::trials(),
        faults::trials(),
        outbound::trials(),
        strangers::trials(),
        transfers::trials(),
        exotel::trials(),
        conformance::trials(),
        barge_in::trials(),
        answered_call::trials(),
        sarvam::trials(),
        language::trials(),
        leases::trials(),
        drain::trials(),
        commands::trials(),
        integrators::trials(),
        hops::trials(),
        suspension::trials(),
        keys::trials(),
        tidy::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}

/// A test with a runtime of its own: what it leaves running ends with it.
fn trial<F>(name: &str, test: fn() -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = runtime.block_on(async { tokio::time::timeout(TEST_TIMEOUT, test()).await });
        runtime.shutdown_timeout(Duration::from_secs(5));
        Ok(ended?)
    })
}
