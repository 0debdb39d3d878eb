//! PORT: what is known of tenants. [`TenantTx`] carries a tenant and is the only way to a tenant's rows; [`Routes`], which
//! does not know the tenant yet, and [`Platform`], which lists tenants, have types and database roles of their own.
//! The SQL is written once; the engines differ in how a transaction begins.

mod agents;
mod audit;
mod numbers;
mod platform;
mod postgres;
mod requests;
mod routes;
mod service_accounts;
mod sql;
pub mod sqlite;
mod tenants;

use std::{path::Path, time::Duration};

use mesh::{Pii, ServiceError};
use proto::types::v1::{Carrier, ErrorReason};

pub use agents::Agent;
pub use audit::{Change, Entry};
pub use numbers::PhoneNumber;
pub use platform::Platform;
pub use postgres::{check as check_database, migrate};
pub use requests::{Claim, Request};
pub use routes::Routes;
pub use service_accounts::{AccountState, ServiceAccount};
pub use tenants::{Tenant, TenantState, TookOn};

use crate::{DatabaseError, Error, ids::TenantId};

/// The store, on either engine. Clones share its connections.
#[derive(Clone)]
pub struct Store(Engine);

#[derive(Clone)]
enum Engine {
    Sqlite(sqlite::Engine),
    Postgres(postgres::Engine),
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It changes nothing.
    Read,
    /// It is the tenant's only writer until it ends.
    Write,
}

impl Store {
    /// The embedded store in a folder, made if absent, its schema up to date.
    ///
    /// # Errors
    /// When the folder, the file or its schema cannot be used.
    pub async fn embedded(data_dir: &Path) -> Result<Self, Error> {
        Ok(Self(Engine::Sqlite(sqlite::Engine::open(data_dir).await?)))
    }

    /// The store on a PostgreSQL server, whose schema is there already.
    ///
    /// # Errors
    /// When the server, the login or the schema cannot be used.
    pub async fn postgres(url: &Pii<String>) -> Result<Self, DatabaseError> {
        Ok(Self(Engine::Postgres(postgres::Engine::open(url).await?)))
    }

    /// Begins work on one tenant's rows. What is not committed has not happened.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn begin(&self, tenant: &TenantId, access: Access) -> Result<TenantTx, StoreError> {
        let tx = match &self.0 {
            Engine::Sqlite(engine) => engine.begin(access).await?,
            Engine::Postgres(engine) => engine.begin(tenant, access).await?,
        };
        Ok(TenantTx { tenant: tenant.clone(), tx, now: now() })
    }

    /// The look-up of numbers.
    pub fn routes(&self) -> Routes {
        Routes::new(match &self.0 {
            Engine::Sqlite(engine) => engine.readers(),
            Engine::Postgres(engine) => engine.routing(),
        })
    }

    /// The look-ups over all tenants.
    pub fn platform(&self) -> Platform {
        Platform::new(match &self.0 {
            Engine::Sqlite(engine) => engine.readers(),
            Engine::Postgres(engine) => engine.platform(),
        })
    }

    #[cfg(test)]
    pub async fn close(&self) {
        match &self.0 {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(_) => panic!("not the embedded engine"),
        }
    }

    #[cfg(test)]
    pub fn sqlite(&self) -> &sqlx::SqlitePool {
        match &self.0 {
            Engine::Sqlite(engine) => engine.writer(),
            Engine::Postgres(_) => panic!("not the embedded engine"),
        }
    }
}

/// Work on one tenant's rows. The methods are in a file for each kind of row.
pub struct TenantTx {
    tenant: TenantId,
    tx: sql::Tx,
    /// When it began, in microseconds since 1970.
    now: i64,
}

impl TenantTx {
    /// Whose rows these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Makes the changes last.
    ///
    /// # Errors
    /// When the store cannot be reached; the changes may have lasted then.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }

    /// The time of a change to what was changed last then: it grows, so that it serves as an etag.
    fn after(&self, last: i64) -> i64 {
        self.now.max(last + 1)
    }
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    i64::try_from(mesh::clock::since_epoch().as_micros()).unwrap_or(i64::MAX)
}

/// A carrier that a number can come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarrierId {
    Twilio,
    Exotel,
}

impl CarrierId {
    /// The carrier of a request's enum value; `None` for unspecified and unknown ones.
    pub fn from_wire(value: i32) -> Option<Self> {
        match Carrier::try_from(value) {
            Ok(Carrier::Twilio) => Some(Self::Twilio),
            Ok(Carrier::Exotel) => Some(Self::Exotel),
            Ok(Carrier::Unspecified) | Err(_) => None,
        }
    }

    /// The contract's form.
    pub fn into_wire(self) -> Carrier {
        match self {
            Self::Twilio => Carrier::Twilio,
            Self::Exotel => Carrier::Exotel,
        }
    }

    /// The stored form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Exotel => "exotel",
        }
    }

    fn from_stored(text: &str) -> Result<Self, StoreError> {
        [Self::Twilio, Self::Exotel]
            .into_iter()
            .find(|carrier| carrier.as_str() == text)
            .ok_or_else(|| StoreError::corrupt("an unknown carrier"))
    }
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached at the moment. Nothing was changed, unless it was a commit that failed.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it holds, or was asked to hold, is not what this version of the program writes.
    #[error("the store holds or refuses a record: {0}")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Corrupt(what.into())
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "tenancy store unavailable");
                Self::new(ErrorReason::StoreUnavailable, "the tenancy store cannot be reached; try again")
                    .retry_after(Duration::from_secs(1))
            }
            StoreError::Corrupt(cause) => Self::internal(&cause),
        }
    }
}

impl From<StoreError> for tonic::Status {
    fn from(error: StoreError) -> Self {
        ServiceError::from(error).into()
    }
}
