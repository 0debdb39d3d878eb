//! PORT: a tenant's accounts at the issuer. Every act may be repeated: a repeat finds what is there and completes it, so
//! that a crash between the issuer and the store is mended by asking again.

pub mod keycloak;

use std::time::Duration;

use mesh::{Pii, ServiceError};
use proto::{tenancy::v1::TenantRight, types::v1::ErrorReason};

use crate::ids::{AccountId, TenantId};

/// What somebody may do in a tenant; at the issuer, a sub-group of the tenant's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Sub-group `viewers`, realm role `tenant-viewer`.
    Viewer,
    /// Sub-group `operators`, realm role `tenant-operator`.
    Operator,
    /// Sub-group `admins`, realm role `tenant-admin`.
    Admin,
}

impl Right {
    /// Every right, the weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The right of a request's enum value; `None` for unspecified and unknown ones.
    pub fn from_wire(value: i32) -> Option<Self> {
        match TenantRight::try_from(value) {
            Ok(TenantRight::Viewer) => Some(Self::Viewer),
            Ok(TenantRight::Operator) => Some(Self::Operator),
            Ok(TenantRight::Admin) => Some(Self::Admin),
            Ok(TenantRight::Unspecified) | Err(_) => None,
        }
    }

    /// The contract's form.
    pub fn into_wire(self) -> TenantRight {
        match self {
            Self::Viewer => TenantRight::Viewer,
            Self::Operator => TenantRight::Operator,
            Self::Admin => TenantRight::Admin,
        }
    }

    /// The stored form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The right of a stored form.
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}

/// The way in for a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    /// The OAuth client, `tenant.{tenant}.{account}`.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Pii<String>,
}

/// A person with a right in a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The issuer's id of the person.
    pub id: String,
    /// What they log in with.
    pub email: Pii<String>,
    /// What they may do: the strongest, where the issuer knows several.
    pub right: Right,
}

/// What tenancy asks of the issuer.
#[tonic::async_trait]
pub trait Accounts: Send + Sync {
    /// Makes the tenant's group with a sub-group for each right.
    async fn create_tenant(&self, tenant: &TenantId) -> Result<(), AccountsError>;

    /// Lets the tenant's clients get tokens, or stops them. Tokens that were given out are not touched.
    async fn set_tenant_enabled(&self, tenant: &TenantId, enabled: bool) -> Result<(), AccountsError>;

    /// Removes the tenant's clients and its group. People keep their accounts.
    async fn delete_tenant(&self, tenant: &TenantId) -> Result<(), AccountsError>;

    /// Makes a client with a right. One that is there already gets this right and a new secret.
    async fn create_service_account(
        &self,
        tenant: &TenantId,
        account: &AccountId,
        right: Right,
    ) -> Result<Credentials, AccountsError>;

    /// Gives a client another secret; the old one is void.
    async fn rotate_secret(
        &self,
        tenant: &TenantId,
        account: &AccountId,
    ) -> Result<Pii<String>, AccountsError>;

    /// Removes a client; one that is not there is removed already.
    async fn delete_service_account(
        &self,
        tenant: &TenantId,
        account: &AccountId,
    ) -> Result<(), AccountsError>;

    /// Gives a person a right and no other; an unknown address gets an account without a password.
    async fn create_member(
        &self,
        tenant: &TenantId,
        email: &Pii<String>,
        right: Right,
    ) -> Result<Member, AccountsError>;

    /// The tenant's people, by id.
    async fn list_members(&self, tenant: &TenantId) -> Result<Vec<Member>, AccountsError>;

    /// Gives a member another right; [`AccountsError::NotFound`] for somebody who is none.
    async fn update_member(&self, tenant: &TenantId, id: &str, right: Right)
    -> Result<Member, AccountsError>;

    /// Takes every right in the tenant away; somebody who has none has none already.
    async fn delete_member(&self, tenant: &TenantId, id: &str) -> Result<(), AccountsError>;
}

/// Why the issuer did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// It does not answer, or not now; the act may have happened. To be repeated.
    #[error("the issuer cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not know the group, the client or the person.
    #[error("the issuer does not know it")]
    NotFound,
    /// It answered what nobody expects: a right that our client lacks, a fault of ours.
    #[error("the issuer refused: {0}")]
    Refused(String),
}

impl From<AccountsError> for ServiceError {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "issuer unavailable");
                let why = "the issuer cannot be reached; try again, with the same request_id";
                Self::new(ErrorReason::IdentityUnavailable, why).retry_after(Duration::from_secs(1))
            }
            AccountsError::NotFound => {
                Self::new(ErrorReason::ResourceNotFound, "the issuer does not know this account")
            }
            AccountsError::Refused(_) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
