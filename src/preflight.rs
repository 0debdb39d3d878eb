//! Whether a configuration fits the roles that are to run.

use std::collections::BTreeSet;

use url::Url;

use crate::{Config, Role, config::known_vendor, exit::Exit};

/// Checks it all at once, before anything is bound.
///
/// # Errors
/// 64 with every problem.
pub fn check(config: &Config, roles: &BTreeSet<Role>, development: bool) -> Result<(), Exit> {
    let mut problems = Vec::new();
    for role in roles {
        for needed in role.needs() {
            if !roles.contains(needed) && !config.peers.contains_key(needed) {
                problems.push(missing_peer(*role, *needed));
            }
        }
    }
    if !development && config.oidc.issuer.is_none() {
        problems
            .push("oidc.issuer (TRUNKLINE_OIDC_ISSUER) must be set: `serve` has no issuer of its own".into());
    }
    let calls_others = roles.iter().any(|role| !role.needs().is_empty());
    if !development && calls_others && config.oidc.client_secret.is_none() {
        problems.push("oidc.client_secret must be set: these roles call others".into());
    }
    if roles.contains(&Role::Tenancy) {
        for (name, vendor) in &config.vendors {
            if vendor.api_key.is_none() && known_vendor(name).needed {
                problems.push(format!(
                    "{name}.api_key ({}_API_KEY) must be set where tenancy runs; only `up` and `demo` have rehearsals",
                    name.to_uppercase()
                ));
            }
        }
    }
    let vendors = config.vendors.iter().map(|(name, vendor)| (*name, &vendor.base_url));
    for (name, url) in
        vendors.chain([("twilio", &config.twilio_base_url), ("exotel", &config.exotel.base_url)])
    {
        if let Some(url) = url
            && !is_private(url)
        {
            problems.push(format!(
                "{name}.base_url: {} would send the key in plain text; use https or wss",
                origin_of(url)
            ));
        }
    }
    if !config.grpc_addr.ip().is_loopback() && config.tls.cert.is_none() {
        problems.push("tls.cert and tls.key must be set where grpc_addr is beyond loopback: tokens would cross the network in plain text".into());
    }
    problems.dedup();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Exit::configuration(format!(
        "the configuration does not fit the roles; nothing was started:\n  {}",
        problems.join("\n  ")
    )))
}

/// Whether a key may be sent there: under TLS, or on this machine.
fn is_private(url: &Url) -> bool {
    let http = origin_of(url).replacen("ws", "http", 1);
    http.parse().is_ok_and(|url| mesh::tls::require_private(&url).is_ok())
}

/// The part of a URL that is no secret.
fn origin_of(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// What is missing where a role calls one that does not run here.
pub fn missing_peer(from: Role, to: Role) -> String {
    let name = to.name().replace('-', "_");
    format!(
        "peers.{name} (TRUNKLINE_{}_URL) must be set: {from} calls {to}, which does not run here",
        name.to_uppercase()
    )
}
