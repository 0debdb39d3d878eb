//! One file for each gRPC service. Who may call what is checked by the layers in front, from the contract; the tenant
//! is checked here, before any look-up, and then its state, before any of its rows.

mod agents;
mod audit;
mod members;
mod page;
mod phone_numbers;
mod routing;
mod tenants;
mod work;

use std::sync::Arc;

use mesh::{ServiceError, auth::Caller, layers::RequestId};
use proto::types::v1::ErrorReason;
use tonic::{Request, Status};

pub use agents::AgentService;
pub use audit::AuditService;
pub use members::MemberService;
pub use phone_numbers::PhoneNumberService;
pub use routing::RoutingService;
pub use tenants::TenantService;

use crate::{
    accounts::Accounts,
    control::{Access, Store, StoreError, Tenant, TenantState, TenantTx},
    ids::TenantId,
    wire::etag,
};
use page::Pages;
use work::Work;

/// What every service works with. Clones share it.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Inner>);

struct Inner {
    store: Store,
    accounts: Option<Arc<dyn Accounts>>,
    pages: Pages,
}

impl Desk {
    /// # Errors
    /// When the store cannot be reached.
    pub async fn open(store: Store, accounts: Option<Arc<dyn Accounts>>) -> Result<Self, StoreError> {
        let pages = Pages::new(store.platform().page_key().await?);
        Ok(Self(Arc::new(Inner { store, accounts, pages })))
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    fn pages(&self) -> &Pages {
        &self.0.pages
    }

    /// The accounts at the issuer.
    fn accounts(&self) -> Result<&dyn Accounts, ServiceError> {
        self.0.accounts.as_deref().ok_or_else(|| {
            ServiceError::new(
                ErrorReason::IdentityUnavailable,
                "this node cannot change accounts at the issuer",
            )
        })
    }

    /// Begins to read what belongs to the tenant of a resource name; `field` is where the name stood.
    async fn read<T>(&self, request: &Request<T>, field: &str, name: &str) -> Result<TenantTx, Status> {
        let (tx, _) = self.open_tenant(request, field, name, Access::Read).await?;
        Ok(tx)
    }

    /// Begins to change what belongs to the tenant of a resource name. `method` is for the audit log.
    async fn write<T>(
        &self,
        request: &Request<T>,
        method: &'static str,
        field: &str,
        name: &str,
    ) -> Result<Work, Status> {
        let (tx, tenant) = self.open_tenant(request, field, name, Access::Write).await?;
        require_active(&tenant)?;
        Ok(Work::new(self.clone(), tx, Asked::of(request, method)?))
    }

    async fn open_tenant<T>(
        &self,
        request: &Request<T>,
        field: &str,
        name: &str,
        access: Access,
    ) -> Result<(TenantTx, Tenant), Status> {
        let caller = Caller::of(request)?;
        let id = TenantId::from_slug(caller.require_tenant(field, name)?);
        let mut tx = self.0.store.begin(&id, access).await?;
        let tenant = tx.find_tenant().await?.ok_or_else(|| ServiceError::not_found(&id.to_string()))?;
        if !caller.spans_tenants() {
            require_active(&tenant)?;
        }
        Ok((tx, tenant))
    }
}

/// Who asks for what, for the audit log.
#[derive(Clone)]
struct Asked {
    method: &'static str,
    subject: String,
    client: String,
    /// The `x-request-id`.
    request_id: String,
}

impl Asked {
    fn of<T>(request: &Request<T>, method: &'static str) -> Result<Self, Status> {
        let caller = Caller::of(request)?;
        let request_id = request.extensions().get::<RequestId>().map_or("", RequestId::as_str);
        Ok(Self {
            method,
            subject: caller.subject.clone(),
            client: caller.client.clone(),
            request_id: request_id.to_owned(),
        })
    }
}

fn require_active(tenant: &Tenant) -> Result<(), ServiceError> {
    match tenant.state {
        TenantState::Active => Ok(()),
        state => Err(ServiceError::tenant_inactive(&tenant.id.to_string(), state.as_str())),
    }
}

/// Refuses a change that is based on an older state. An empty etag is no condition.
fn check_etag(given: &str, updated_at: i64, name: &str) -> Result<(), ServiceError> {
    if given.is_empty() || given == etag(updated_at) {
        return Ok(());
    }
    let why = format!("the etag of {name} is not the current one; read it again and decide anew");
    Err(ServiceError::new(ErrorReason::EtagMismatch, why).about(name))
}

/// Checks a resource that the request must bring.
fn required<T>(field: &str, value: Option<T>) -> Result<T, ServiceError> {
    value.ok_or_else(|| ServiceError::invalid_field(field, "must be set"))
}

/// Checks a text for people.
fn check_text(field: &str, text: &str, min: usize, max: usize) -> Option<(String, String)> {
    let length = text.chars().count();
    let plain = !text.chars().any(char::is_control);
    (!plain || !(min..=max).contains(&length)).then(|| {
        (field.to_owned(), format!("must be {min} to {max} characters, none of them a control character"))
    })
}
