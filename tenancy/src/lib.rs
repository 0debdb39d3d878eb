//! The tenancy role: tenants, their agents, the numbers that lead to them, and the keys their calls use.

pub mod accounts;
mod agent;
mod control;
mod ids;
mod mask;
mod seed;
mod service;
mod wire;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use mesh::Pii;

pub use control::{check_database, migrate};
pub use ids::{AccountId, TenantId};
pub use service::{
    AgentService, AuditService, MemberService, PhoneNumberService, RoutingService, TenantService,
};

use accounts::Accounts;
use control::Store;
use service::Desk;

/// What the role needs to start.
pub struct Config {
    /// The folder of the embedded stores; created when absent. The role keeps `tenancy.db` in it.
    pub data_dir: PathBuf,
    /// A PostgreSQL server in place of the embedded store, by the URL of a login that owns nothing.
    pub database_url: Option<Pii<String>>,
    /// The tenants' accounts at the issuer; absent: tenants and accounts cannot be made or changed.
    pub accounts: Option<Arc<dyn Accounts>>,
    /// The platform's keys by vendor (`deepgram`, `anthropic`, `cartesia`, `sarvam`, `voyage`), used for every tenant.
    pub provider_keys: BTreeMap<String, Pii<String>>,
    /// Whether the tenant `demo` with its agent and numbers is put into the store, unless it is there already.
    pub seed_demo: bool,
}

impl Config {
    /// The embedded store in a folder, without anything else.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            database_url: None,
            accounts: None,
            provider_keys: BTreeMap::new(),
            seed_demo: false,
        }
    }
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
    /// The embedded store cannot be opened or written.
    #[error(
        "cannot open the tenancy store {path}; check that the file is readable and not locked by another process"
    )]
    Store {
        /// The file.
        path: PathBuf,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The embedded store's schema does not fit this version of the program.
    #[error("cannot migrate the tenancy store {path}; it may have been written by a newer version")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What the migration said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database server cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store cannot be read or written.
    #[error("cannot use the tenancy store")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a database server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is none. It may hold a password, so it is not repeated.
    #[error("the database URL cannot be read; write postgres://LOGIN:PASSWORD@HOST:PORT/DATABASE")]
    Url,
    /// The server does not answer, or not to this login.
    #[error("the database server cannot be reached, or refuses the login")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The logins and roles are not as they must be.
    #[error("{0}")]
    Roles(String),
    /// The schema does not fit this version of the program.
    #[error(
        "the database's schema is version {found}, and this program works with {wanted} and the one after it; run `trunkline \
         migrate`, or upgrade this node if the schema is the newer one"
    )]
    Schema {
        /// What is there; 0 when nothing is.
        found: i64,
        /// What is needed.
        wanted: i64,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot migrate the database; it may have been migrated by a newer version")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DatabaseError {
    /// True when it is the configuration that has to change, and not the world.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Url | Self::Roles(_))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unreachable(error.into())
    }
}

/// The role, open and ready to serve.
#[derive(Clone)]
pub struct Tenancy {
    desk: Desk,
    routing: RoutingService,
}

impl Tenancy {
    /// Opens the store and seeds it if asked to. The embedded one is brought up to date; a server's must be.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let store = match &config.database_url {
            Some(url) => Store::postgres(url).await?,
            None => Store::embedded(&config.data_dir).await?,
        };
        let started = async {
            if config.seed_demo {
                seed::plant(&store).await?;
            }
            Desk::open(store, config.accounts).await
        };
        let desk = started.await.map_err(|error| Error::Start(error.into()))?;
        Ok(Self { routing: RoutingService::new(desk.clone(), config.provider_keys), desk })
    }

    /// Serves agents.
    pub fn agent_service(&self) -> AgentService {
        AgentService::new(self.desk.clone())
    }

    /// Serves the audit log.
    pub fn audit_service(&self) -> AuditService {
        AuditService::new(self.desk.clone())
    }

    /// Serves a tenant's people and service accounts.
    pub fn member_service(&self) -> MemberService {
        MemberService::new(self.desk.clone())
    }

    /// Serves telephone numbers.
    pub fn phone_number_service(&self) -> PhoneNumberService {
        PhoneNumberService::new(self.desk.clone())
    }

    /// Serves the look-ups of a call's admission.
    pub fn routing_service(&self) -> RoutingService {
        self.routing.clone()
    }

    /// Serves the platform's tenants.
    pub fn tenant_service(&self) -> TenantService {
        TenantService::new(self.desk.clone())
    }
}

#[cfg(test)]
mod tests;
