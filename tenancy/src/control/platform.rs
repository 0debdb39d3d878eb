//! Look-ups over all tenants: which there are, and in what state. No other rows are read here.

use super::{
    StoreError, Tenant,
    sql::{self, values},
};
use crate::ids::TenantId;

/// Lists tenants.
#[derive(Clone)]
pub struct Platform(sql::Pool);

impl Platform {
    pub(super) fn new(pool: sql::Pool) -> Self {
        Self(pool)
    }

    /// The tenants after a slug, by slug, the deleted ones too.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn tenants(&self, after: &str, limit: i64) -> Result<Vec<Tenant>, StoreError> {
        let sql = "SELECT tenant, display_name, state, created_at, updated_at FROM tenants
                   WHERE tenant > $1 ORDER BY tenant LIMIT $2";
        let rows = self.0.rows(sql, values![after, limit]).await?;
        rows.iter().map(Tenant::read).collect()
    }

    /// The tenants whose tokens are refused, by slug.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn inactive(&self) -> Result<Vec<TenantId>, StoreError> {
        let sql = "SELECT tenant FROM tenants WHERE state IN ('suspended', 'deleted') ORDER BY tenant";
        let rows = self.0.rows(sql, values![]).await?;
        rows.iter().map(|row| Ok(TenantId::from_slug(&row.text("tenant")?))).collect()
    }

    /// What page tokens are signed with.
    ///
    /// # Errors
    /// When the store cannot be reached or has none.
    pub async fn page_key(&self) -> Result<Vec<u8>, StoreError> {
        let rows = self.0.rows("SELECT key FROM page_key", values![]).await?;
        let key = rows.first().map(|row| row.maybe_bytes("key")).transpose()?.flatten();
        key.ok_or_else(|| StoreError::corrupt("there is no key for page tokens"))
    }
}
