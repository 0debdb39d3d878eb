//! The tenant's own row.

use super::{
    StoreError, TenantTx,
    sql::{Row, values},
};
use crate::ids::TenantId;

/// What state a tenant is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantState {
    /// Being taken on.
    Provisioning,
    /// Calls are answered.
    Active,
    /// Tokens are refused and no new call is answered.
    Suspended,
    /// Only its name and its audit log are kept.
    Deleted,
}

impl TenantState {
    const ALL: [Self; 4] = [Self::Provisioning, Self::Active, Self::Suspended, Self::Deleted];

    /// The stored form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    pub id: TenantId,
    pub display_name: String,
    pub state: TenantState,
    /// Microseconds since 1970, as all times of the store.
    pub created_at: i64,
    /// Grows with every change.
    pub updated_at: i64,
}

impl Tenant {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let state = row.text("state")?;
        Ok(Self {
            id: TenantId::from_slug(&row.text("tenant")?),
            display_name: row.text("display_name")?,
            state: TenantState::ALL
                .into_iter()
                .find(|known| known.as_str() == state)
                .ok_or_else(|| StoreError::corrupt("an unknown tenant state"))?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// What became of taking a tenant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TookOn {
    /// It is there now, being provisioned.
    Yes,
    /// A tenant has the name, or had it.
    NameTaken,
    /// Another tenant came of the same request id.
    RequestTaken,
}

impl TenantTx {
    /// The tenant's row, or `None` when there is no such tenant.
    pub async fn find_tenant(&mut self) -> Result<Option<Tenant>, StoreError> {
        let sql = "SELECT tenant, display_name, state, created_at, updated_at FROM tenants WHERE tenant = $1";
        let row = self.tx.row(sql, values![self.tenant.as_str()]).await?;
        row.as_ref().map(Tenant::read).transpose()
    }

    /// Adds the tenant, as being provisioned.
    pub async fn take_on(
        &mut self,
        display_name: &str,
        request_id: Option<&str>,
    ) -> Result<TookOn, StoreError> {
        let sql = "INSERT INTO tenants (tenant, display_name, state, created_at, updated_at, request_id)
                   VALUES ($1, $2, 'provisioning', $3, $3, $4) ON CONFLICT DO NOTHING";
        let values = values![self.tenant.as_str(), display_name, self.now, request_id];
        if self.tx.run(sql, values).await? == 1 {
            return Ok(TookOn::Yes);
        }
        Ok(if self.find_tenant().await?.is_some() { TookOn::NameTaken } else { TookOn::RequestTaken })
    }

    /// Whether the tenant was taken on by the request of this id, or by one without.
    pub async fn came_of(&mut self, request_id: Option<&str>) -> Result<bool, StoreError> {
        let sql = "SELECT tenant FROM tenants
                   WHERE tenant = $1 AND coalesce(request_id, '') = coalesce($2, '')";
        let row = self.tx.row(sql, values![self.tenant.as_str(), request_id]).await?;
        Ok(row.is_some())
    }

    /// Changes the tenant's name and state; returns it as it is then.
    pub async fn change_tenant(
        &mut self,
        tenant: Tenant,
        display_name: String,
        state: TenantState,
    ) -> Result<Tenant, StoreError> {
        let updated_at = self.after(tenant.updated_at);
        let sql = "UPDATE tenants SET display_name = $2, state = $3, updated_at = $4 WHERE tenant = $1";
        let values = values![self.tenant.as_str(), &display_name, state.as_str(), updated_at];
        self.tx.run(sql, values).await?;
        Ok(Tenant { display_name, state, updated_at, ..tenant })
    }

    /// Removes everything of the tenant's but its row and its audit log.
    pub async fn clear_tenant(&mut self) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM phone_numbers WHERE tenant = $1",
            "DELETE FROM agent_versions WHERE tenant = $1",
            "DELETE FROM agents WHERE tenant = $1",
            "DELETE FROM service_accounts WHERE tenant = $1",
            "DELETE FROM requests WHERE tenant = $1",
        ] {
            self.tx.run(sql, values![self.tenant.as_str()]).await?;
        }
        Ok(())
    }
}
