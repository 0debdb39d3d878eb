use mesh::ServiceError;
use proto::{
    tenancy::v1::{
        self as wire, CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse,
        GetTenantRequest, GetTenantResponse, ListTenantsRequest, ListTenantsResponse, ResumeTenantRequest,
        ResumeTenantResponse, SuspendTenantRequest, SuspendTenantResponse, UpdateTenantRequest,
        UpdateTenantResponse, tenant_service_server,
    },
    types::v1::ErrorReason,
};
use tonic::{Request, Response, Status};

use super::{
    Asked, Desk, check_etag, check_text,
    page::Listing,
    required,
    work::{Work, at_issuer, check_request_id, request_id_reused},
};
use crate::{
    accounts::{Credentials, Right},
    control::{Access, AccountState, Tenant, TenantState, TookOn},
    ids::{AccountId, TenantId, check_new_id, check_parent},
    mask::{self, Masked},
    wire::{etag, timestamp},
};

const TENANT_ID_MAX: usize = 40;
const NAME_MAX: usize = 100;
const REASON_MAX: usize = 500;
/// The id of the service account that a tenant begins with.
const FIRST_ACCOUNT: &str = "admin";

const MASKED: Masked = Masked { message: "trunkline.tenancy.v1.Tenant", changeable: &["display_name"] };

const CREATE: &str = "trunkline.tenancy.v1.TenantService/CreateTenant";
const LIST: &str = "trunkline.tenancy.v1.TenantService/ListTenants";
const UPDATE: &str = "trunkline.tenancy.v1.TenantService/UpdateTenant";
const SUSPEND: &str = "trunkline.tenancy.v1.TenantService/SuspendTenant";
const RESUME: &str = "trunkline.tenancy.v1.TenantService/ResumeTenant";
const DELETE: &str = "trunkline.tenancy.v1.TenantService/DeleteTenant";

/// The platform's tenants.
#[derive(Clone)]
pub struct TenantService {
    desk: Desk,
}

impl TenantService {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk }
    }

    /// Begins a change of a tenant in whatever state, for the platform's administrators.
    async fn administer<T>(
        &self,
        request: &Request<T>,
        method: &'static str,
        name: &str,
        reason: &str,
    ) -> Result<(Work, Tenant), Status> {
        let (tx, tenant) = self.desk.open_tenant(request, "name", name, Access::Write).await?;
        check_parent("name", name)?;
        if let Some(wrong) = check_text("reason", reason, 0, REASON_MAX) {
            return Err(ServiceError::invalid_fields([wrong]).into());
        }
        Ok((Work::new(self.desk.clone(), tx, Asked::of(request, method)?), tenant))
    }

    /// Puts a tenant into a state, unless it is in it.
    async fn set_state(
        &self,
        mut work: Work,
        tenant: Tenant,
        state: TenantState,
        reason: &str,
    ) -> Result<Tenant, Status> {
        if tenant.state == state {
            return Ok(tenant);
        }
        let display_name = tenant.display_name.clone();
        let tenant = work.tx.change_tenant(tenant, display_name, state).await?;
        if state == TenantState::Deleted {
            work.tx.clear_tenant().await?;
        }
        work.audit(&tenant.id.to_string(), reason).await?;
        work.tx.commit().await?;
        Ok(tenant)
    }

    /// The issuer's part of taking a tenant on.
    async fn provision(&self, tenant: &TenantId, account: &AccountId) -> Result<Credentials, ServiceError> {
        let accounts = self.desk.accounts()?;
        let work = async {
            accounts.create_tenant(tenant).await?;
            accounts.create_service_account(tenant, account, Right::Admin).await
        };
        at_issuer(work).await
    }
}

impl Tenant {
    fn into_wire(self) -> wire::Tenant {
        let state = match self.state {
            TenantState::Provisioning => wire::TenantState::Provisioning,
            TenantState::Active => wire::TenantState::Active,
            TenantState::Suspended => wire::TenantState::Suspended,
            TenantState::Deleted => wire::TenantState::Deleted,
        };
        wire::Tenant {
            name: self.id.to_string(),
            display_name: self.display_name,
            state: state.into(),
            create_time: Some(timestamp(self.created_at)),
            update_time: Some(timestamp(self.updated_at)),
            etag: etag(self.updated_at),
        }
    }
}

fn wrong_state(tenant: &Tenant, what: &str) -> ServiceError {
    let name = tenant.id.to_string();
    let why = format!("{name} is {}; {what}", tenant.state.as_str());
    ServiceError::precondition(ErrorReason::WrongState, &name, why)
}

fn name_taken(id: &TenantId) -> ServiceError {
    let why = format!("{id} exists, or did: a tenant's name is not given away again");
    ServiceError::new(ErrorReason::AlreadyExists, why).about(&id.to_string())
}

#[tonic::async_trait]
impl tenant_service_server::TenantService for TenantService {
    /// The tenant's row is there first, as being provisioned and with the request's id held; then its accounts at the
    /// issuer, which may be asked for again; then it is active. A repeat goes on wherever an attempt ended.
    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        let message = request.get_ref();
        check_request_id(&message.request_id)?;
        let given = message.tenant.clone().unwrap_or_default();
        let wrong: Vec<_> = check_new_id("tenant_id", &message.tenant_id, TENANT_ID_MAX)
            .into_iter()
            .chain(check_text("tenant.display_name", &given.display_name, 1, NAME_MAX))
            .collect();
        if !wrong.is_empty() {
            return Err(ServiceError::invalid_fields(wrong).into());
        }
        let id = TenantId::from_slug(&message.tenant_id);
        let account = AccountId::from_id(FIRST_ACCOUNT);
        let tx = self.desk.store().begin(&id, Access::Write).await?;
        let mut work = Work::new(self.desk.clone(), tx, Asked::of(&request, CREATE)?);
        let request_id = Some(message.request_id.as_str()).filter(|id| !id.is_empty());
        let taken_on = work.tx.take_on(&given.display_name, request_id).await?;
        match taken_on {
            TookOn::Yes => {
                work.audit(&id.to_string(), "").await?;
                work.tx.add_service_account(&account, Right::Admin).await?;
            }
            TookOn::RequestTaken => return Err(request_id_reused().into()),
            TookOn::NameTaken => {
                let provisioning = work.tx.find_tenant().await?.map(|tenant| tenant.state)
                    == Some(TenantState::Provisioning);
                if !work.tx.came_of(request_id).await? || (request_id.is_none() && !provisioning) {
                    return Err(name_taken(&id).into());
                }
            }
        }
        // Without an id of the caller's the empty one is held, so that two attempts do not run at once.
        if let Some(answer) = work.claim(&message.request_id, message).await? {
            return Ok(Response::new(answer));
        }
        let tenant = work.tx.find_tenant().await?.ok_or_else(|| ServiceError::not_found(&id.to_string()))?;
        if tenant.state != TenantState::Provisioning {
            return Err(name_taken(&id).into());
        }
        let held = work.hold().await?;
        let credentials = match self.provision(&id, &account).await {
            Ok(credentials) => credentials,
            Err(error) => return Err(held.give_up(error).await),
        };
        let mut work = held.resume().await?;
        let tenant = work.tx.find_tenant().await?.ok_or_else(|| ServiceError::not_found(&id.to_string()))?;
        if tenant.state == TenantState::Deleted {
            drop(work);
            at_issuer(self.desk.accounts()?.delete_tenant(&id)).await?;
            return Err(wrong_state(&tenant, "somebody deleted it while it was being taken on").into());
        }
        let display_name = tenant.display_name.clone();
        let tenant = work.tx.change_tenant(tenant, display_name, TenantState::Active).await?;
        work.tx.set_service_account_state(&account, AccountState::Active).await?;
        let answer = CreateTenantResponse {
            tenant: Some(tenant.into_wire()),
            client_id: credentials.client_id,
            client_secret: String::new(),
        };
        let mut response = work.finish(answer).await?;
        response.get_mut().client_secret = credentials.client_secret.into_inner();
        Ok(response)
    }

    async fn get_tenant(
        &self,
        request: Request<GetTenantRequest>,
    ) -> Result<Response<GetTenantResponse>, Status> {
        let name = &request.get_ref().name;
        let (_, tenant) = self.desk.open_tenant(&request, "name", name, Access::Read).await?;
        check_parent("name", name)?;
        Ok(Response::new(GetTenantResponse { tenant: Some(tenant.into_wire()) }))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let ListTenantsRequest { page_size, page_token } = request.get_ref();
        let listing = Listing { method: LIST, parent: "", filter: "" };
        let page = self.desk.pages().page(listing, *page_size, page_token)?;
        let after = page.after.as_deref().unwrap_or_default();
        let rows = self.desk.store().platform().tenants(after, page.limit()).await?;
        let (rows, next_page_token) = page.cut(rows, |tenant| tenant.id.as_str().to_owned());
        let tenants = rows.into_iter().map(Tenant::into_wire).collect();
        Ok(Response::new(ListTenantsResponse { tenants, next_page_token }))
    }

    async fn update_tenant(
        &self,
        request: Request<UpdateTenantRequest>,
    ) -> Result<Response<UpdateTenantResponse>, Status> {
        let message = request.get_ref();
        let given = required("tenant", message.tenant.as_ref())?;
        let mut work = self.desk.write(&request, UPDATE, "tenant.name", &given.name).await?;
        check_parent("tenant.name", &given.name)?;
        let stored = work.tx.find_tenant().await?.ok_or_else(|| ServiceError::not_found(&given.name))?;
        check_etag(&given.etag, stored.updated_at, &given.name)?;
        let mask = message.update_mask.as_ref();
        let (changed, paths) = mask::apply(&MASKED, &stored.clone().into_wire(), given, mask)
            .map_err(ServiceError::invalid_fields)?;
        if let Some(wrong) = check_text("tenant.display_name", &changed.display_name, 1, NAME_MAX) {
            return Err(ServiceError::invalid_fields([wrong]).into());
        }
        let state = stored.state;
        let tenant = work.tx.change_tenant(stored, changed.display_name, state).await?;
        work.audit(&given.name, &paths.join(", ")).await?;
        work.finish(UpdateTenantResponse { tenant: Some(tenant.into_wire()) }).await
    }

    /// The state comes first: it is what refuses tokens that were given out. A repeat asks the issuer again.
    async fn suspend_tenant(
        &self,
        request: Request<SuspendTenantRequest>,
    ) -> Result<Response<SuspendTenantResponse>, Status> {
        let SuspendTenantRequest { name, reason } = request.get_ref();
        let (work, tenant) = self.administer(&request, SUSPEND, name, reason).await?;
        if !matches!(tenant.state, TenantState::Active | TenantState::Suspended) {
            return Err(wrong_state(&tenant, "only an active tenant can be suspended").into());
        }
        let tenant = self.set_state(work, tenant, TenantState::Suspended, reason).await?;
        at_issuer(self.desk.accounts()?.set_tenant_enabled(&tenant.id, false)).await?;
        Ok(Response::new(SuspendTenantResponse { tenant: Some(tenant.into_wire()) }))
    }

    async fn resume_tenant(
        &self,
        request: Request<ResumeTenantRequest>,
    ) -> Result<Response<ResumeTenantResponse>, Status> {
        let ResumeTenantRequest { name, reason } = request.get_ref();
        let (work, tenant) = self.administer(&request, RESUME, name, reason).await?;
        if !matches!(tenant.state, TenantState::Active | TenantState::Suspended) {
            return Err(wrong_state(&tenant, "only a suspended tenant can be taken back").into());
        }
        let tenant = self.set_state(work, tenant, TenantState::Active, reason).await?;
        at_issuer(self.desk.accounts()?.set_tenant_enabled(&tenant.id, true)).await?;
        Ok(Response::new(ResumeTenantResponse { tenant: Some(tenant.into_wire()) }))
    }

    async fn delete_tenant(
        &self,
        request: Request<DeleteTenantRequest>,
    ) -> Result<Response<DeleteTenantResponse>, Status> {
        let DeleteTenantRequest { name, reason } = request.get_ref();
        let (work, tenant) = self.administer(&request, DELETE, name, reason).await?;
        if tenant.state == TenantState::Active {
            return Err(wrong_state(&tenant, "suspend it first").into());
        }
        let tenant = self.set_state(work, tenant, TenantState::Deleted, reason).await?;
        at_issuer(self.desk.accounts()?.delete_tenant(&tenant.id)).await?;
        Ok(Response::new(DeleteTenantResponse { tenant: Some(tenant.into_wire()) }))
    }
}
