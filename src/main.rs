//! The binary: everything is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Every TLS client of the process takes this provider; without one they panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    trunkline::run(trunkline::cli::Cli::parse())
}
