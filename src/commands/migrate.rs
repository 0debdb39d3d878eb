//! `migrate`: brings the stores' schema up to date.

use tenancy::Tenancy;

use crate::{
    Config,
    exit::{Exit, chain},
};

/// Opens the embedded store, which migrates it.
pub async fn run(config: Config) -> Result<(), Exit> {
    let shown = config.data_dir.display().to_string();
    let config = tenancy::Config {
        data_dir: config.data_dir,
        provider_keys: std::collections::BTreeMap::new(),
        seed_demo: false,
    };
    Tenancy::open(config).await.map_err(|error| Exit::unavailable(chain(&error)))?;
    println!("the stores in {shown} are up to date");
    Ok(())
}
