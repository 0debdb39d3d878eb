//! The embedded engine: one SQLite file, any number of readers and one writer at a time.

use std::{path::Path, time::Duration};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Access, StoreError, sql};
use crate::Error;

/// The file's name in the data folder.
pub const FILE_NAME: &str = "tenancy.db";

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Readers run side by side under WAL; each connection is a thread.
const READERS_MAX: u32 = 4;

/// Tenants, agents and numbers in one file.
#[derive(Clone)]
pub struct Engine {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Engine {
    /// Opens the file in the data folder, made if absent, and brings its schema up to date.
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
        let failed = |source: sqlx::Error| Error::Store { path: path.clone(), source: source.into() };
        let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
        let writer = pool().max_connections(1).connect_with(options.clone()).await.map_err(failed)?;
        sqlx::migrate!("migrations/sqlite")
            .run(&writer)
            .await
            .map_err(|source| Error::Migration { path: path.clone(), source: source.into() })?;
        let readers = pool().max_connections(READERS_MAX).connect_lazy_with(options.read_only(true));
        Ok(Self { readers, writer })
    }

    /// One transaction. A writer locks the file first: what it reads is what it changes.
    pub async fn begin(&self, access: Access) -> Result<sql::Tx, StoreError> {
        Ok(sql::Tx::Sqlite(match access {
            Access::Read => self.readers.begin().await?,
            Access::Write => self.writer.begin_with("BEGIN IMMEDIATE").await?,
        }))
    }

    pub fn readers(&self) -> sql::Pool {
        sql::Pool::Sqlite(self.readers.clone())
    }

    #[cfg(test)]
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    #[cfg(test)]
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }
}
