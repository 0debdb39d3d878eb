//! `migrate`: brings the stores' schema up to date.

use tenancy::Tenancy;

use crate::{
    Config,
    exit::{Exit, chain},
};

/// Migrates the database as its owner, or the embedded store by opening it.
pub async fn run(config: Config) -> Result<(), Exit> {
    if let Some(owner_url) = &config.database_owner_url {
        tenancy::migrate(owner_url).await.map_err(|error| {
            let message = format!("database.owner_url (DATABASE_OWNER_URL): {}", chain(&error));
            if error.is_configuration() { Exit::configuration(message) } else { Exit::unavailable(message) }
        })?;
        println!("the database is up to date");
        return Ok(());
    }
    if config.database_url.is_some() {
        return Err(Exit::configuration(
            "database.owner_url (DATABASE_OWNER_URL) must be set: only the owner of the tables can migrate them",
        ));
    }
    let shown = config.data_dir.display().to_string();
    let config = tenancy::Config::new(config.data_dir);
    Tenancy::open(config).await.map_err(|error| Exit::unavailable(chain(&error)))?;
    println!("the stores in {shown} are up to date");
    Ok(())
}
