//! Tenants: taking on, stopping, ending, and the log of it all.

use proto::{
    tenancy::v1::{
        AuditEvent, DeleteTenantRequest, GetAgentRequest, GetTenantRequest, ListAuditEventsRequest,
        ListInactiveTenantsRequest, ListTenantsRequest, ResumeTenantRequest, SuspendTenantRequest, Tenant,
        TenantState, UpdateTenantRequest, agent_service_server::AgentService as _,
        audit_service_server::AuditService as _, routing_service_server::RoutingService as _,
        tenant_service_server::TenantService as _,
    },
    types::v1::ErrorReason,
};
use tonic::{Code, Status};

use super::{
    bench::{ADMIN, Bench, MEDIA, PLATFORM, VIEWER, Who, ask, refused, refused_fields, request_id},
    realm::SECRET_MADE,
};
use crate::{
    accounts::{Accounts, AccountsError},
    ids::TenantId,
};

const ACME: &str = "tenants/acme";

async fn get(bench: &Bench, who: Who) -> Result<Tenant, Status> {
    Ok(ask!(bench, tenant_service.get_tenant, who, GetTenantRequest { name: ACME.into() })?.tenant.unwrap())
}

async fn suspend(bench: &Bench) -> Result<Tenant, Status> {
    let request = SuspendTenantRequest { name: ACME.into(), reason: "unpaid".into() };
    Ok(ask!(bench, tenant_service.suspend_tenant, PLATFORM, request)?.tenant.unwrap())
}

async fn resume(bench: &Bench) -> Result<Tenant, Status> {
    let request = ResumeTenantRequest { name: ACME.into(), reason: String::new() };
    Ok(ask!(bench, tenant_service.resume_tenant, PLATFORM, request)?.tenant.unwrap())
}

async fn delete(bench: &Bench) -> Result<Tenant, Status> {
    let request = DeleteTenantRequest { name: ACME.into(), reason: String::new() };
    Ok(ask!(bench, tenant_service.delete_tenant, PLATFORM, request)?.tenant.unwrap())
}

async fn inactive(bench: &Bench) -> Vec<String> {
    ask!(bench, routing_service.list_inactive_tenants, MEDIA, ListInactiveTenantsRequest {}).unwrap().tenants
}

pub async fn a_tenant_is_taken_on_and_its_secret_shown_once(bench: Bench) {
    let id = request_id();
    let made = bench.create_tenant("initech", &id).await.unwrap();
    let tenant = made.tenant.clone().unwrap();
    assert_eq!((tenant.name.as_str(), tenant.state()), ("tenants/initech", TenantState::Active));
    assert_eq!((made.client_id.as_str(), made.client_secret.is_empty()), ("tenant.initech.admin", false));
    let changes = bench.realm.changes();
    let count = |wanted: &str| changes.iter().filter(|change| *change == wanted).count();
    assert_eq!((count("POST /groups/*/children"), count("POST /groups/*/role-mappings/realm")), (4, 3));
    assert_eq!((count("POST /clients"), count(SECRET_MADE), changes.len()), (1, 1, 10), "{changes:?}");

    let again = bench.create_tenant("initech", &id).await.unwrap();
    assert_eq!((again.tenant, again.client_id), (made.tenant, made.client_id));
    assert_eq!(again.client_secret, "", "a secret is stored nowhere");
    assert!(bench.realm.changes().is_empty(), "a repeat asks nothing of the issuer");
    for other in [request_id(), String::new()] {
        refused(
            bench.create_tenant("initech", &other).await,
            Code::AlreadyExists,
            ErrorReason::AlreadyExists,
        );
    }
    let reused = bench.create_tenant("hooli", &id).await;
    refused(reused, Code::InvalidArgument, ErrorReason::RequestIdReused);

    let name = "x".repeat(41);
    assert_eq!(refused_fields(bench.create_tenant(&name, "").await), ["tenant_id"]);
    assert_eq!(refused_fields(bench.create_tenant("", "").await), ["tenant_id", "tenant.display_name"]);
    let listed = ask!(bench, tenant_service.list_tenants, PLATFORM, ListTenantsRequest::default()).unwrap();
    let names: Vec<_> = listed.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(names, ["tenants/acme", "tenants/demo", "tenants/globex", "tenants/initech"]);
}

pub async fn taking_a_tenant_on_goes_on_where_it_failed(bench: Bench) {
    for id in [request_id(), String::new()] {
        let tenant = if id.is_empty() { "hooli" } else { "initech" };
        bench.realm.set_away(true);
        let failed = bench.create_tenant(tenant, &id).await;
        refused(failed, Code::Unavailable, ErrorReason::IdentityUnavailable);
        let who = Who(PLATFORM.0, &[]);
        let name = format!("tenants/{tenant}");
        let request = GetTenantRequest { name: name.clone() };
        let half = ask!(bench, tenant_service.get_tenant, who, request).unwrap().tenant.unwrap();
        assert_eq!(half.state(), TenantState::Provisioning);
        // Nobody acts for it yet.
        let request = ListAuditEventsRequest { parent: name.clone(), ..Default::default() };
        let own: &'static [&'static str] = if id.is_empty() { &["hooli"] } else { &["initech"] };
        let early = ask!(bench, audit_service.list_audit_events, Who(ADMIN.0, own), request);
        refused(early, Code::PermissionDenied, ErrorReason::TenantInactive);
        if !id.is_empty() {
            let other = bench.create_tenant(tenant, &request_id()).await;
            refused(other, Code::AlreadyExists, ErrorReason::AlreadyExists);
        }
        bench.realm.set_away(false);
        let made = bench.create_tenant(tenant, &id).await.unwrap();
        assert_eq!(made.tenant.unwrap().state(), TenantState::Active);
        assert!(!made.client_secret.is_empty(), "nobody has seen it before");
    }
}

pub async fn a_suspended_tenant_is_refused_at_once(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    bench.publish("desk").await.unwrap();
    bench.bind("+12025550111", "desk").await.unwrap();
    assert_eq!(suspend(&bench).await.unwrap().state(), TenantState::Suspended);
    for who in [ADMIN, VIEWER] {
        refused(get(&bench, who).await, Code::PermissionDenied, ErrorReason::TenantInactive);
    }
    refused(bench.create_agent("b", "").await, Code::PermissionDenied, ErrorReason::TenantInactive);
    refused(bench.resolve("+12025550111").await, Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(inactive(&bench).await, [ACME]);
    // Calls in progress go on, and the platform can look.
    let agent = GetAgentRequest { name: "tenants/acme/agents/desk".into(), version: 1, draft: false };
    ask!(bench, agent_service.get_agent, MEDIA, agent).unwrap();
    assert_eq!(get(&bench, PLATFORM).await.unwrap().state(), TenantState::Suspended);

    bench.realm.changes();
    let before = get(&bench, PLATFORM).await.unwrap();
    assert_eq!(suspend(&bench).await.unwrap(), before, "a second time does nothing");
    assert_eq!(resume(&bench).await.unwrap().state(), TenantState::Active);
    assert_eq!(bench.realm.changes(), ["PUT /clients/*"; 2], "its one client, disabled and enabled");
    assert!(inactive(&bench).await.is_empty());
    bench.resolve("+12025550111").await.unwrap();
    get(&bench, VIEWER).await.unwrap();
    // The state counts even while the issuer is away, and the caller hears that it is.
    bench.realm.set_away(true);
    refused(suspend(&bench).await, Code::Unavailable, ErrorReason::IdentityUnavailable);
    refused(get(&bench, VIEWER).await, Code::PermissionDenied, ErrorReason::TenantInactive);
}

pub async fn a_tenant_that_is_deleted_while_it_is_taken_on_stays_deleted(bench: Bench) {
    let held_up = bench.realm.hold_up().await;
    let delete = async {
        // The first half has lasted, and the issuer is at work.
        while bench.realm.changes().is_empty() {
            tokio::task::yield_now().await;
        }
        let request = DeleteTenantRequest { name: "tenants/initech".into(), reason: String::new() };
        ask!(bench, tenant_service.delete_tenant, PLATFORM, request).unwrap();
        drop(held_up);
    };
    let (taken_on, ()) = tokio::join!(bench.create_tenant("initech", ""), delete);
    refused(taken_on, Code::FailedPrecondition, ErrorReason::WrongState);
    let request = GetTenantRequest { name: "tenants/initech".into() };
    let tenant = ask!(bench, tenant_service.get_tenant, PLATFORM, request).unwrap().tenant.unwrap();
    assert_eq!(tenant.state(), TenantState::Deleted);
    let left = bench.realm.accounts.list_members(&TenantId::from_slug("initech")).await;
    assert!(matches!(left, Err(AccountsError::NotFound)), "its groups are gone: {left:?}");
}

pub async fn a_deleted_tenant_leaves_its_name_and_its_log(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    bench.publish("desk").await.unwrap();
    bench.bind("+12025550111", "desk").await.unwrap();
    let status = refused(delete(&bench).await, Code::FailedPrecondition, ErrorReason::WrongState);
    assert!(status.message().contains("suspend it first"), "{}", status.message());
    suspend(&bench).await.unwrap();
    assert_eq!(delete(&bench).await.unwrap().state(), TenantState::Deleted);
    assert_eq!(bench.realm.changes(), ["PUT /clients/*", "DELETE /clients/*", "DELETE /groups/*"]);
    let left = bench.everything_of("acme").await;
    assert!(!left.contains("Answer."), "{left}");
    let mut tx = bench.read("acme").await;
    assert!(tx.agents("", 9).await.unwrap().is_empty() && tx.numbers("", 9).await.unwrap().is_empty());
    assert!(tx.audit_log("", "~", 9).await.unwrap().len() > 4);
    drop(tx);
    refused(bench.create_tenant("acme", "").await, Code::AlreadyExists, ErrorReason::AlreadyExists);
    refused(get(&bench, VIEWER).await, Code::PermissionDenied, ErrorReason::TenantInactive);
    refused(resume(&bench).await, Code::FailedPrecondition, ErrorReason::WrongState);
    assert_eq!(delete(&bench).await.unwrap().state(), TenantState::Deleted, "again");
    assert_eq!(inactive(&bench).await, [ACME]);
}

pub async fn the_log_tells_who_did_what(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    bench.publish("desk").await.unwrap();
    let tenant = Tenant { name: ACME.into(), display_name: "Acme & Co".into(), ..Tenant::default() };
    let update = UpdateTenantRequest { tenant: Some(tenant), update_mask: None };
    let updated = ask!(bench, tenant_service.update_tenant, ADMIN, update).unwrap().tenant.unwrap();
    assert_eq!(updated.display_name, "Acme & Co");
    // What is refused leaves no trace.
    bench.create_agent("desk", "").await.unwrap_err();
    let list = async |page_size, page_token: &str, resource: &str| {
        let (page_token, resource) = (page_token.to_owned(), resource.to_owned());
        let request = ListAuditEventsRequest { parent: ACME.into(), page_size, page_token, resource };
        ask!(bench, audit_service.list_audit_events, ADMIN, request)
    };
    let all = list(0, "", "").await.unwrap().audit_events;
    let told: Vec<_> = all
        .iter()
        .map(|event| {
            (event.method.rsplit('/').next().unwrap(), event.resource.as_str(), event.detail.as_str())
        })
        .collect();
    let desk = "tenants/acme/agents/desk";
    assert_eq!(
        told,
        [
            ("UpdateTenant", ACME, "display_name"),
            ("PublishAgent", desk, "version 1 answers"),
            ("CreateAgent", desk, ""),
            ("CreateTenant", ACME, ""),
        ]
    );
    assert_eq!((all[0].subject.as_str(), all[0].client.as_str()), ("subject", "client"));
    let first = list(3, "", "").await.unwrap();
    let rest = list(3, &first.next_page_token, "").await.unwrap();
    let paged: Vec<AuditEvent> = first.audit_events.into_iter().chain(rest.audit_events).collect();
    assert_eq!((paged, rest.next_page_token.as_str()), (all, ""));
    assert_eq!(list(0, "", desk).await.unwrap().audit_events.len(), 2);
    assert_eq!(refused_fields(list(0, &first.next_page_token, desk).await), ["page_token"]);
}
