//! `up` and `serve`: a node until it is told to stop.

use std::{collections::BTreeSet, io::Write};

use tokio::signal::unix::{SignalKind, signal};

use crate::{Config, Node, Plan, Role, exit::Exit, layout::DEMO_SECRET, rehearse, telemetry};

/// All roles, with rehearsals for the vendors without a key.
pub async fn up(mut config: Config) -> Result<(), Exit> {
    let _telemetry = telemetry::start(&config)?;
    let rehearsal = rehearse::start(&mut config)?;
    if config.twilio_auth_token.is_none() {
        tracing::warn!("TWILIO_AUTH_TOKEN is not set: every Twilio webhook is refused");
    }
    if config.exotel.webhook_secret.is_none() {
        if may_take_demo(&config) {
            tracing::warn!("EXOTEL_WEBHOOK_SECRET is not set: it is {DEMO_SECRET}, as everybody knows");
            config.exotel.webhook_secret = Some(DEMO_SECRET.to_owned().into());
        } else {
            tracing::warn!("EXOTEL_WEBHOOK_SECRET is not set: every Exotel webhook is refused");
        }
    }
    let roles = Role::ALL.into_iter().collect();
    run(Plan { config, roles, development: true }, &rehearsal.vendors).await
}

/// A secret that everybody knows is one where only this machine, or the carrier's own, can ask.
fn may_take_demo(config: &Config) -> bool {
    let is_local =
        config.http_addr.ip().is_loopback() && config.public_url.as_ref().is_none_or(mesh::tls::is_loopback);
    is_local || !config.exotel.networks.is_empty()
}

/// Some roles, with real vendors.
pub async fn serve(config: Config, roles: BTreeSet<Role>) -> Result<(), Exit> {
    let _telemetry = telemetry::start(&config)?;
    run(Plan { config, roles, development: false }, &[]).await
}

async fn run(plan: Plan, rehearsed: &[&str]) -> Result<(), Exit> {
    let failed = |error| Exit::internal(format!("signals cannot be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut node = Node::start(plan).await?;
    say_ready(&node, rehearsed);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        reason = node.failed() => return Err(Exit::unavailable(reason)),
    }
    tracing::info!(calls = node.drain.in_flight_count(), "draining; a second signal stops at once");
    tokio::select! {
        left = node.stop() => {
            if left > 0 {
                tracing::warn!(left, "the drain's deadline passed with work in flight");
            }
        }
        _ = terminate.recv() => tracing::warn!("stopped at once"),
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

fn say_ready(node: &Node, rehearsed: &[&str]) {
    let http = node.http.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let rehearsed = if rehearsed.is_empty() { "-".to_owned() } else { rehearsed.join(",") };
    let mut stdout = std::io::stdout().lock();
    // Whoever started us may have closed the pipe; that is no reason to stop serving.
    let _ =
        writeln!(stdout, "ready http={http} grpc={} admin={} rehearsal={rehearsed}", node.grpc, node.admin);
    let _ = stdout.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn the_secret_that_everybody_knows_opens_nothing_to_the_world() {
        for (may, settings) in [
            (true, &[][..]),
            (true, &[("TRUNKLINE_PUBLIC_URL", "http://localhost:8080")]),
            (true, &[("TRUNKLINE_PUBLIC_URL", "http://[::1]:8080")]),
            (false, &[("TRUNKLINE_PUBLIC_URL", "https://voice.example")]),
            (false, &[("TRUNKLINE_HTTP_ADDR", "0.0.0.0:8080")]),
            (false, &[("TRUNKLINE_HTTP_ADDR", "0.0.0.0:80"), ("TRUNKLINE_PUBLIC_URL", "http://127.0.0.1")]),
            (true, &[("TRUNKLINE_PUBLIC_URL", "https://v.example"), ("EXOTEL_NETWORKS", "203.0.113.0/24")]),
        ] {
            let env = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let config = Config::load(&Sources { env: env.collect(), ..Sources::default() }).unwrap();
            assert_eq!(may_take_demo(&config), may, "{settings:?}");
        }
    }
}
