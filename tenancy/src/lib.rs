//! The tenancy role: tenants, their agents, the numbers that lead to them, and the keys their calls use.

mod agent;
mod control;
mod ids;
mod seed;
mod service;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use mesh::Pii;

pub use service::{AgentService, RoutingService};

/// What the role needs to start.
pub struct Config {
    /// The folder of the embedded stores; created when absent. The role keeps `tenancy.db` in it.
    pub data_dir: PathBuf,
    /// The platform's keys by vendor (`deepgram`, `anthropic`, `cartesia`, `sarvam`, `voyage`), used for every tenant.
    pub provider_keys: BTreeMap<String, Pii<String>>,
    /// Whether the tenant `demo` with its agent and numbers is put into the store, unless it is there already.
    pub seed_demo: bool,
}

/// Why the role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder cannot be made.
    #[error("cannot create the data folder {path}; check its owner and mode")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store cannot be opened or written.
    #[error(
        "cannot open the tenancy store {path}; check that the file is readable and not locked by another process"
    )]
    Store {
        /// The file.
        path: PathBuf,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store's schema does not fit this version of the program.
    #[error("cannot migrate the tenancy store {path}; it may have been written by a newer version")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What the migration said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The role, open and ready to serve.
#[derive(Clone)]
pub struct Tenancy {
    agents: AgentService,
    routing: RoutingService,
}

impl Tenancy {
    /// Opens the store, brings its schema up to date, and seeds it if asked to.
    ///
    /// # Errors
    /// When the data folder or the store in it cannot be used.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let store = control::sqlite::Store::open(&config.data_dir).await?;
        if config.seed_demo {
            let (tenant, demo) = seed::demo();
            control::AgentStore::seed(&store, &tenant, &demo).await.map_err(|source| Error::Store {
                path: config.data_dir.join(control::sqlite::FILE_NAME),
                source: Box::new(source),
            })?;
        }
        let store = Arc::new(store);
        Ok(Self {
            agents: AgentService::new(store.clone()),
            routing: RoutingService::new(store.clone(), store, config.provider_keys),
        })
    }

    /// Serves agents.
    pub fn agent_service(&self) -> AgentService {
        self.agents.clone()
    }

    /// Serves the look-ups of a call's admission.
    pub fn routing_service(&self) -> RoutingService {
        self.routing.clone()
    }
}

#[cfg(test)]
mod tests;
