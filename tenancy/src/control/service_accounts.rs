//! A tenant's service accounts, as far as we keep them: the secret is the issuer's.

use super::{
    StoreError, TenantTx,
    sql::{Row, values},
};
use crate::{accounts::Right, ids::AccountId};

/// How far the issuer has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// The issuer may not know it yet.
    Provisioning,
    /// It can get tokens.
    Active,
}

impl AccountState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
        }
    }
}

/// A program that acts for the tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceAccount {
    pub id: AccountId,
    pub right: Right,
    pub state: AccountState,
    pub client_id: String,
    pub created_at: i64,
}

impl ServiceAccount {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let state = match row.text("state")?.as_str() {
            "provisioning" => AccountState::Provisioning,
            "active" => AccountState::Active,
            _ => return Err(StoreError::corrupt("an unknown state of a service account")),
        };
        Ok(Self {
            id: AccountId::from_id(&row.text("id")?),
            right: Right::from_stored(&row.text("right")?)
                .ok_or_else(|| StoreError::corrupt("an unknown right"))?,
            state,
            client_id: row.text("client_id")?,
            created_at: row.int("created_at")?,
        })
    }
}

impl TenantTx {
    /// One account.
    pub async fn service_account(&mut self, id: &AccountId) -> Result<Option<ServiceAccount>, StoreError> {
        let sql = "SELECT id, \"right\", state, client_id, created_at FROM service_accounts
                   WHERE tenant = $1 AND id = $2";
        let row = self.tx.row(sql, values![self.tenant.as_str(), id.as_str()]).await?;
        row.as_ref().map(ServiceAccount::read).transpose()
    }

    /// The accounts after an id, by id.
    pub async fn service_accounts(
        &mut self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<ServiceAccount>, StoreError> {
        let sql = "SELECT id, \"right\", state, client_id, created_at FROM service_accounts
                   WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3";
        let rows = self.tx.rows(sql, values![self.tenant.as_str(), after, limit]).await?;
        rows.iter().map(ServiceAccount::read).collect()
    }

    /// How many accounts the tenant has.
    pub async fn service_accounts_count(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) AS accounts FROM service_accounts WHERE tenant = $1";
        let row = self.tx.row(sql, values![self.tenant.as_str()]).await?;
        row.map_or(Ok(0), |row| row.int("accounts"))
    }

    /// Adds an account, as being provisioned; `None` when the id is taken.
    pub async fn add_service_account(
        &mut self,
        id: &AccountId,
        right: Right,
    ) -> Result<Option<ServiceAccount>, StoreError> {
        let sql = "INSERT INTO service_accounts (tenant, id, \"right\", state, client_id, created_at)
                   VALUES ($1, $2, $3, 'provisioning', $4, $5) ON CONFLICT DO NOTHING";
        let client_id = id.client_id_in(&self.tenant);
        let values = values![self.tenant.as_str(), id.as_str(), right.as_str(), &client_id, self.now];
        let added = self.tx.run(sql, values).await?;
        let state = AccountState::Provisioning;
        Ok((added == 1).then(|| ServiceAccount {
            id: id.clone(),
            right,
            state,
            client_id,
            created_at: self.now,
        }))
    }

    /// Says how far the issuer has got with an account.
    pub async fn set_service_account_state(
        &mut self,
        id: &AccountId,
        state: AccountState,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE service_accounts SET state = $3 WHERE tenant = $1 AND id = $2";
        self.tx.run(sql, values![self.tenant.as_str(), id.as_str(), state.as_str()]).await?;
        Ok(())
    }

    /// Removes an account.
    pub async fn delete_service_account(&mut self, id: &AccountId) -> Result<(), StoreError> {
        let sql = "DELETE FROM service_accounts WHERE tenant = $1 AND id = $2";
        self.tx.run(sql, values![self.tenant.as_str(), id.as_str()]).await?;
        Ok(())
    }
}
