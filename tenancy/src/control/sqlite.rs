//! The embedded engine: one SQLite file.

use std::{path::Path, time::Duration};

use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Error,
    agent::{Document, Version},
    control::{AgentStore, CarrierId, NumberRoutes, Route, Seed, StoreError},
    ids::{AgentId, Number, TenantId},
};

/// The file's name in the data folder.
pub const FILE_NAME: &str = "tenancy.db";

/// How long a statement waits for another connection's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Readers run side by side under WAL; each connection is a thread.
const CONNECTIONS_MAX: u32 = 4;

/// Tenants, agents and numbers in one file.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the file in the data folder, made if absent, and brings its schema up to date.
    ///
    /// # Errors
    /// When the folder, the file or its schema cannot be used.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        tokio::fs::create_dir_all(data_dir)
            .await
            .map_err(|source| Error::DataDir { path: data_dir.to_owned(), source })?;
        let path = data_dir.join(FILE_NAME);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|source| Error::Store { path: path.clone(), source: source.into() })?;
        sqlx::migrate!()
            .run(&pool)
            .await
            .map_err(|source| Error::Migration { path, source: source.into() })?;
        Ok(Self { pool })
    }

    #[cfg(test)]
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}

#[tonic::async_trait]
impl AgentStore for Store {
    async fn has_tenant(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM tenants WHERE id = ?1")
            .bind(tenant.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    async fn agent_version(
        &self,
        tenant: &TenantId,
        agent: &AgentId,
        version: Option<i32>,
    ) -> Result<Option<Version>, StoreError> {
        let row = sqlx::query(
            "SELECT version, document FROM agent_versions
             WHERE tenant = ?1 AND agent = ?2 AND (?3 IS NULL OR version = ?3)
             ORDER BY version DESC LIMIT 1",
        )
        .bind(tenant.as_str())
        .bind(agent.as_str())
        .bind(version)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let document: String = row.try_get("document")?;
        let document: Document =
            serde_json::from_str(&document).map_err(|cause| StoreError::Corrupt(cause.into()))?;
        Ok(Some(Version { version: row.try_get("version")?, document }))
    }

    async fn seed(&self, tenant: &TenantId, seed: &Seed) -> Result<(), StoreError> {
        let document =
            serde_json::to_string(&seed.document).map_err(|cause| StoreError::Corrupt(cause.into()))?;
        let now = i64::try_from(mesh::clock::since_epoch().as_secs()).unwrap_or(i64::MAX);
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO tenants (id, display_name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(seed.display_name)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        sqlx::query("INSERT INTO agents (tenant, id, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
            .bind(tenant.as_str())
            .bind(seed.agent.as_str())
            .bind(now)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO agent_versions (tenant, agent, version, document, created_at) VALUES (?1, ?2, 1, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(seed.agent.as_str())
        .bind(document)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        for (number, carrier) in &seed.numbers {
            sqlx::query(
                "INSERT INTO phone_numbers (e164, carrier, tenant, agent, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
            )
            .bind(number.expose())
            .bind(carrier.as_str())
            .bind(tenant.as_str())
            .bind(seed.agent.as_str())
            .bind(now)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[tonic::async_trait]
impl NumberRoutes for Store {
    async fn resolve(&self, number: &Number, carrier: CarrierId) -> Result<Option<Route>, StoreError> {
        // An agent without a published version cannot answer, so its numbers lead nowhere.
        let row = sqlx::query(
            "SELECT n.tenant, n.agent, MAX(v.version) AS version
             FROM phone_numbers n JOIN agent_versions v ON v.tenant = n.tenant AND v.agent = n.agent
             WHERE n.e164 = ?1 AND n.carrier = ?2
             GROUP BY n.tenant, n.agent",
        )
        .bind(number.expose())
        .bind(carrier.as_str())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Route {
            tenant: TenantId::from_slug(row.try_get("tenant")?),
            agent: AgentId::from_id(row.try_get("agent")?),
            agent_version: row.try_get("version")?,
        }))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Self::Corrupt(error.into())
            }
            other => Self::Unavailable(other.into()),
        }
    }
}
