//! An issuer in memory that can be away.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use mesh::Pii;

use crate::{
    accounts::{Accounts, AccountsError, Credentials, Member, Right},
    ids::{AccountId, TenantId},
};

#[derive(Default)]
pub struct FakeAccounts {
    away: AtomicBool,
    /// What was asked, in order.
    asked: Mutex<Vec<String>>,
}

impl FakeAccounts {
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    pub fn asked(&self) -> MutexGuard<'_, Vec<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: String) -> Result<usize, AccountsError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(AccountsError::Unavailable("away".into()));
        }
        self.asked().push(what);
        Ok(self.asked().len())
    }
}

#[tonic::async_trait]
impl Accounts for FakeAccounts {
    async fn create_tenant(&self, tenant: &TenantId) -> Result<(), AccountsError> {
        self.note(format!("create {tenant}")).map(drop)
    }

    async fn set_tenant_enabled(&self, tenant: &TenantId, enabled: bool) -> Result<(), AccountsError> {
        self.note(format!("enable {tenant} {enabled}")).map(drop)
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<(), AccountsError> {
        self.note(format!("delete {tenant}")).map(drop)
    }

    async fn create_service_account(
        &self,
        tenant: &TenantId,
        account: &AccountId,
        right: Right,
    ) -> Result<Credentials, AccountsError> {
        let count = self.note(format!("create {} {right:?}", account.name_in(tenant)))?;
        Ok(Credentials {
            client_id: account.client_id_in(tenant),
            client_secret: Pii::new(format!("secret-{count}")),
        })
    }

    async fn rotate_secret(&self, _: &TenantId, _: &AccountId) -> Result<Pii<String>, AccountsError> {
        Err(AccountsError::NotFound)
    }

    async fn delete_service_account(&self, _: &TenantId, _: &AccountId) -> Result<(), AccountsError> {
        Ok(())
    }

    async fn create_member(&self, _: &TenantId, _: &Pii<String>, _: Right) -> Result<Member, AccountsError> {
        Err(AccountsError::NotFound)
    }

    async fn list_members(&self, _: &TenantId) -> Result<Vec<Member>, AccountsError> {
        Ok(Vec::new())
    }

    async fn update_member(&self, _: &TenantId, _: &str, _: Right) -> Result<Member, AccountsError> {
        Err(AccountsError::NotFound)
    }

    async fn delete_member(&self, _: &TenantId, _: &str) -> Result<(), AccountsError> {
        Ok(())
    }
}
