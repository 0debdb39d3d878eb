//! What the two engines have in common: one text of SQL, bound and read alike. Placeholders are `$1`, integers 64 bits
//! wide, times microseconds since 1970, documents text.

use sqlx::{PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction, postgres::PgRow, sqlite::SqliteRow};

use super::StoreError;

/// A value to bind.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Int(i64),
    MaybeInt(Option<i64>),
    Bytes(&'a [u8]),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::MaybeText(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<i32> for Value<'_> {
    fn from(int: i32) -> Self {
        Self::Int(int.into())
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(int: Option<i64>) -> Self {
        Self::MaybeInt(int)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

/// The values of a statement, in the order of its placeholders.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::control::sql::Value::from($value)),*]
    };
}
pub(super) use values;

macro_rules! bound {
    ($engine:ty, $sql:expr, $values:expr) => {{
        let mut query = sqlx::query::<$engine>($sql);
        for value in $values {
            query = match *value {
                Value::Text(text) => query.bind(text),
                Value::MaybeText(text) => query.bind(text),
                Value::Int(int) => query.bind(int),
                Value::MaybeInt(int) => query.bind(int),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }};
}

/// A row of an answer.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! read {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(row) => Ok(row.try_get($column)?),
            Row::Postgres(row) => Ok(row.try_get($column)?),
        }
    };
}

impl Row {
    pub fn text(&self, column: &str) -> Result<String, StoreError> {
        read!(self, column)
    }

    pub fn int(&self, column: &str) -> Result<i64, StoreError> {
        read!(self, column)
    }

    pub fn maybe_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        read!(self, column)
    }

    pub fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read!(self, column)
    }

    /// A count or a version, which fit 32 bits unless somebody else wrote them.
    pub fn small(&self, column: &str) -> Result<i32, StoreError> {
        self.int(column)?.try_into().map_err(|_| StoreError::corrupt(format!("{column} is out of range")))
    }
}

/// A transaction of either engine.
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    pub async fn rows(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => {
                let rows = bound!(Sqlite, sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx) => {
                let rows = bound!(Postgres, sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub async fn row(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Returns how many rows were changed.
    pub async fn run(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(Sqlite, sql, values).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => bound!(Postgres, sql, values).execute(&mut **tx).await?.rows_affected(),
        })
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// Connections of either engine, for single reads.
#[derive(Clone)]
pub enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    pub async fn rows(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => {
                let rows = bound!(Sqlite, sql, values).fetch_all(pool).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => {
                let rows = bound!(Postgres, sql, values).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind::{
            CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation,
        };
        match &error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Self::Corrupt(error.into())
            }
            sqlx::Error::Database(cause)
                if matches!(
                    cause.kind(),
                    UniqueViolation | ForeignKeyViolation | NotNullViolation | CheckViolation
                ) =>
            {
                Self::Corrupt(error.into())
            }
            // insufficient_privilege: a policy or a grant said no, which only a fault of ours can ask for.
            sqlx::Error::Database(cause) if cause.code().as_deref() == Some("42501") => {
                Self::Corrupt(error.into())
            }
            _ => Self::Unavailable(error.into()),
        }
    }
}
