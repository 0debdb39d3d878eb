//! Tenants and members through the services themselves, their accounts at the issuer under test.

use std::sync::Arc;

use mesh::{
    auth::{TokenConfig, TokenSource, Verifier},
    error::reason_of,
};
use proto::{
    auth::v1::Role,
    tenancy::v1::{
        self as wire, CreateMemberRequest, CreateServiceAccountRequest, CreateServiceAccountResponse,
        CreateTenantRequest, CreateTenantResponse, DeleteMemberRequest, DeleteServiceAccountRequest,
        DeleteTenantRequest, GetTenantRequest, ListAuditEventsRequest, ListMembersRequest,
        ListServiceAccountsRequest, ResumeTenantRequest, RotateServiceAccountSecretRequest,
        SuspendTenantRequest, TenantRight, UpdateMemberRequest, audit_service_server::AuditService,
        member_service_server::MemberService, tenant_service_server::TenantService,
    },
    types::v1::ErrorReason,
};
use tonic::{Request, Status};

use super::{
    Server, http,
    suite::{accounts, caller, tokens, verifier},
};
use crate::{Config, Tenancy};

const REQUEST: &str = "7f0c7f9e-7f6b-4a53-9b1c-2f8d9d1b6a10";

struct Desk {
    tenancy: Tenancy,
    verifier: Verifier,
    operator: TokenSource,
    client: TokenConfig,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn open(server: &dyn Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Arc::new(accounts(server));
        let config = Config { accounts: Some(accounts), ..Config::new(folder.path().to_owned()) };
        Self {
            tenancy: Tenancy::open(config).await.unwrap(),
            verifier: verifier(server),
            operator: tokens(server.client("trunkline-operator")),
            client: server.client("trunkline-operator"),
            folder,
        }
    }

    /// The tokens of a client that a service has made.
    fn source(&self, client_id: &str, secret: &str) -> TokenSource {
        tokens(TokenConfig {
            client_id: client_id.to_owned(),
            client_secret: secret.to_owned().into(),
            ..self.client.clone()
        })
    }

    /// A request as the layers let it through: from the caller of a token that the verifier takes.
    async fn ask<T>(&self, source: &TokenSource, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(caller(&self.verifier, source).await.unwrap());
        request
    }

    async fn create_tenant(&self, id: &str, request_id: &str) -> Result<CreateTenantResponse, Status> {
        let message = CreateTenantRequest {
            tenant_id: id.to_owned(),
            tenant: Some(wire::Tenant { display_name: id.to_owned(), ..Default::default() }),
            request_id: request_id.to_owned(),
        };
        let request = self.ask(&self.operator, message).await;
        Ok(self.tenancy.tenant_service().create_tenant(request).await?.into_inner())
    }

    async fn create_account(
        &self,
        source: &TokenSource,
        parent: &str,
        id: &str,
        request_id: &str,
    ) -> Result<CreateServiceAccountResponse, Status> {
        let account = wire::ServiceAccount { right: TenantRight::Viewer.into(), ..Default::default() };
        let message = CreateServiceAccountRequest {
            parent: parent.to_owned(),
            service_account_id: id.to_owned(),
            service_account: Some(account),
            request_id: request_id.to_owned(),
        };
        let request = self.ask(source, message).await;
        Ok(self.tenancy.member_service().create_service_account(request).await?.into_inner())
    }
}

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> ErrorReason {
    reason_of(&answer.unwrap_err()).unwrap()
}

pub(super) async fn run(server: &mut dyn Server) {
    let desk = Desk::open(server).await;
    let admin = a_tenant_is_taken_on_once_and_shows_its_secret_once(&desk).await;
    service_accounts(&desk, &admin).await;
    members(&desk, &admin).await;
    audited(&desk, &admin).await;
    suspension_counts_at_once(&desk, &admin).await;
    println!("identity suite: the services of tenants and members: ok on {}", server.name());
}

async fn a_tenant_is_taken_on_once_and_shows_its_secret_once(desk: &Desk) -> TokenSource {
    let made = desk.create_tenant("harbour", REQUEST).await.unwrap();
    assert_eq!(made.client_id, "tenant.harbour.admin");
    let repeat = desk.create_tenant("harbour", REQUEST).await.unwrap();
    assert_eq!((repeat.tenant, repeat.client_secret.as_str()), (made.tenant, ""));
    assert_eq!(reason(desk.create_tenant("harbour", "").await), ErrorReason::AlreadyExists);
    desk.create_tenant("harbour-2", "").await.unwrap();

    let admin = desk.source(&made.client_id, &made.client_secret);
    let holder = caller(&desk.verifier, &admin).await.unwrap();
    assert_eq!((holder.roles, holder.tenants), (vec![Role::TenantAdmin], vec!["harbour".to_owned()]));
    let get = |name: &str| GetTenantRequest { name: name.to_owned() };
    let service = desk.tenancy.tenant_service();
    service.get_tenant(desk.ask(&admin, get("tenants/harbour")).await).await.unwrap();
    let other = service.get_tenant(desk.ask(&admin, get("tenants/harbour-2")).await).await;
    assert_eq!(reason(other), ErrorReason::TenantMismatch);
    admin
}

async fn service_accounts(desk: &Desk, admin: &TokenSource) {
    let (parent, name) = ("tenants/harbour", "tenants/harbour/serviceAccounts/reports");
    let again = "0b8f6f43-6b1c-4d33-8f0c-0d4f6a2b9c11";
    let made = desk.create_account(admin, parent, "reports", again).await.unwrap();
    let repeat = desk.create_account(admin, parent, "reports", again).await.unwrap();
    assert_eq!((&repeat.service_account, repeat.client_secret.as_str()), (&made.service_account, ""));
    assert_eq!(reason(desk.create_account(admin, parent, "reports", "").await), ErrorReason::AlreadyExists);
    let reused = desk.create_account(admin, parent, "other", again).await;
    assert_eq!(reason(reused), ErrorReason::RequestIdReused);
    let wrong = desk.create_account(admin, parent, "Reports", "").await;
    assert_eq!(reason(wrong), ErrorReason::InvalidField);
    let foreign = desk.create_account(admin, "tenants/harbour-2", "reports", "").await;
    assert_eq!(reason(foreign), ErrorReason::TenantMismatch);
    let account = made.service_account.unwrap();
    assert_eq!((account.name.as_str(), account.client_id.as_str()), (name, "tenant.harbour.reports"));
    let viewer = desk.source(&account.client_id, &made.client_secret);
    assert_eq!(caller(&desk.verifier, &viewer).await.unwrap().roles, [Role::TenantViewer]);

    let service = desk.tenancy.member_service();
    let list = ListServiceAccountsRequest { parent: parent.into(), page_size: 1, page_token: String::new() };
    let first =
        service.list_service_accounts(desk.ask(admin, list.clone()).await).await.unwrap().into_inner();
    assert_eq!(first.service_accounts[0].name, "tenants/harbour/serviceAccounts/admin");
    let next = ListServiceAccountsRequest { page_token: first.next_page_token, ..list };
    let next = service.list_service_accounts(desk.ask(admin, next).await).await.unwrap().into_inner();
    assert_eq!((next.service_accounts, next.next_page_token), (vec![account.clone()], String::new()));

    let rotate = || RotateServiceAccountSecretRequest { name: name.to_owned() };
    let rotated = service.rotate_service_account_secret(desk.ask(admin, rotate()).await).await.unwrap();
    let secret = rotated.into_inner().client_secret;
    assert!(desk.source(&account.client_id, &made.client_secret).authorization().await.is_err());
    caller(&desk.verifier, &desk.source(&account.client_id, &secret)).await.unwrap();

    let delete = || DeleteServiceAccountRequest { name: name.to_owned() };
    service.delete_service_account(desk.ask(admin, delete()).await).await.unwrap();
    assert!(desk.source(&account.client_id, &secret).authorization().await.is_err());
    let gone = service.delete_service_account(desk.ask(admin, delete()).await).await;
    assert_eq!(reason(gone), ErrorReason::ResourceNotFound);
    let gone = service.rotate_service_account_secret(desk.ask(admin, rotate()).await).await;
    assert_eq!(reason(gone), ErrorReason::ResourceNotFound);
}

async fn members(desk: &Desk, admin: &TokenSource) {
    let service = desk.tenancy.member_service();
    let create = |email: &str, right: TenantRight| CreateMemberRequest {
        parent: "tenants/harbour".into(),
        member: Some(wire::Member { email: email.into(), right: right.into(), ..Default::default() }),
        request_id: String::new(),
    };
    let request = CreateMemberRequest {
        request_id: "c9d0f0de-8c0f-4b53-a1a3-3d1c7b0f4e10".into(),
        ..create("Eve@mail.example", TenantRight::Viewer)
    };
    let eve = service.create_member(desk.ask(admin, request.clone()).await).await.unwrap().into_inner();
    let repeat = service.create_member(desk.ask(admin, request).await).await.unwrap().into_inner();
    assert_eq!(repeat, eve);
    let eve = eve.member.unwrap();
    assert_eq!((eve.email.as_str(), eve.right()), ("eve@mail.example", TenantRight::Viewer));
    for file in std::fs::read_dir(desk.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(4).any(|part| part.eq_ignore_ascii_case(b"eve@")), "an address in {path:?}");
    }
    let wrong = service.create_member(desk.ask(admin, create("eve", TenantRight::Unspecified)).await).await;
    assert_eq!(reason(wrong), ErrorReason::InvalidField);

    let update = |name: &str| UpdateMemberRequest {
        member: Some(wire::Member {
            name: name.into(),
            right: TenantRight::Operator.into(),
            ..Default::default()
        }),
    };
    let updated = service.update_member(desk.ask(admin, update(&eve.name)).await).await.unwrap();
    let updated = updated.into_inner().member.unwrap();
    assert_eq!(updated.right(), TenantRight::Operator);
    let nobody = "tenants/harbour/members/00000000-0000-4000-8000-000000000000";
    let missing = service.update_member(desk.ask(admin, update(nobody)).await).await;
    assert_eq!(reason(missing), ErrorReason::ResourceNotFound);

    let list = || ListMembersRequest { parent: "tenants/harbour".into(), ..Default::default() };
    let listed = service.list_members(desk.ask(admin, list()).await).await.unwrap().into_inner();
    assert_eq!((listed.members, listed.next_page_token), (vec![updated], String::new()));
    for _ in 0..2 {
        let delete = DeleteMemberRequest { name: eve.name.clone() };
        service.delete_member(desk.ask(admin, delete).await).await.unwrap();
    }
    let listed = service.list_members(desk.ask(admin, list()).await).await.unwrap().into_inner();
    assert_eq!(listed.members, []);
}

async fn audited(desk: &Desk, admin: &TokenSource) {
    let list = ListAuditEventsRequest { parent: "tenants/harbour".into(), ..Default::default() };
    let events = desk.tenancy.audit_service().list_audit_events(desk.ask(admin, list).await).await;
    let events = events.unwrap().into_inner().audit_events;
    let methods: Vec<_> = events.iter().rev().filter_map(|event| event.method.rsplit('/').next()).collect();
    let wanted = [
        "CreateTenant",
        "CreateServiceAccount",
        "RotateServiceAccountSecret",
        "DeleteServiceAccount",
        "CreateMember",
        "CreateMember",
        "UpdateMember",
        "UpdateMember",
        "DeleteMember",
        "DeleteMember",
    ];
    assert_eq!(methods, wanted);
    let who = caller(&desk.verifier, admin).await.unwrap();
    assert!(events[..9].iter().all(|event| event.subject == who.subject && event.client == who.client));
    assert!(!format!("{events:?}").to_lowercase().contains("eve@"), "an address is personal");
}

async fn suspension_counts_at_once(desk: &Desk, admin: &TokenSource) {
    let name = "tenants/harbour".to_owned();
    let service = desk.tenancy.tenant_service();
    let operator = |message| desk.ask(&desk.operator, message);
    let suspend = SuspendTenantRequest { name: name.clone(), reason: "unpaid".into() };
    service.suspend_tenant(operator(suspend).await).await.unwrap();
    // The token is as good as before; the tenant is not.
    let get = GetTenantRequest { name: name.clone() };
    let refused = service.get_tenant(desk.ask(admin, get).await).await;
    assert_eq!(reason(refused), ErrorReason::TenantInactive);
    assert_eq!(reason(desk.create_account(admin, &name, "late", "").await), ErrorReason::TenantInactive);
    let again = TokenConfig { client_id: "tenant.harbour.admin".into(), ..desk.client.clone() };
    assert!(TokenSource::new(http(), again).unwrap().authorization().await.is_err());

    let resume = ResumeTenantRequest { name: name.clone(), reason: String::new() };
    let resumed = desk.ask(&desk.operator, resume).await;
    service.resume_tenant(resumed).await.unwrap();
    desk.create_account(admin, &name, "late", "").await.unwrap();
    let suspend = SuspendTenantRequest { name: name.clone(), reason: String::new() };
    service.suspend_tenant(operator(suspend).await).await.unwrap();
    let delete = DeleteTenantRequest { name: name.clone(), reason: String::new() };
    service.delete_tenant(desk.ask(&desk.operator, delete).await).await.unwrap();
    let get = GetTenantRequest { name };
    let refused = service.get_tenant(desk.ask(admin, get).await).await;
    assert_eq!(reason(refused), ErrorReason::TenantInactive);
    assert_eq!(reason(desk.create_tenant("harbour", "").await), ErrorReason::AlreadyExists);
}
