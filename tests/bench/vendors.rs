//! Every vendor's rehearsal server in a process of its own, so that what a bench measures of a node is the node's alone.
//!
//! Prints one JSON object with the environment that leads a node to them, and ends when its input does. Its settings are
//! the node's: `TRUNKLINE_REHEARSAL_LOG`, `TRUNKLINE_REHEARSAL_LATENCY_MS`, `TRUNKLINE_REHEARSAL_RECORDINGS`.

use std::{collections::BTreeMap, error::Error, io::Read};

use trunkline::{Config, config::Sources, rehearse};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let env = std::env::vars().filter(|(name, _)| name.starts_with("TRUNKLINE_REHEARSAL_")).collect();
    let mut config = Config::load(&Sources { env, ..Sources::default() })?;
    let rehearsal = rehearse::start(&mut config).map_err(|exit| exit.message)?;
    let mut leads = BTreeMap::new();
    for name in &rehearsal.vendors {
        let (prefix, vendor) = (name.to_uppercase(), &config.vendors[name]);
        if let (Some(url), Some(key)) = (&vendor.base_url, &vendor.api_key) {
            leads.insert(format!("{prefix}_BASE_URL"), url.to_string());
            leads.insert(format!("{prefix}_API_KEY"), key.expose().clone());
        }
    }
    println!("{}", serde_json::to_string(&leads)?);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
