//! Nothing of one tenant can be seen, guessed or disturbed by another.

use proto::{
    tenancy::v1::{
        Agent, CreateAgentRequest, CreateMemberRequest, CreatePhoneNumberRequest,
        CreateServiceAccountRequest, DeleteAgentRequest, DeleteMemberRequest, DeletePhoneNumberRequest,
        DeleteServiceAccountRequest, DeleteTenantRequest, GetAgentRequest, GetPhoneNumberRequest,
        GetTenantRequest, ListAgentVersionsRequest, ListAgentsRequest, ListAuditEventsRequest,
        ListMembersRequest, ListPhoneNumbersRequest, ListServiceAccountsRequest, Member, PhoneNumber,
        PublishAgentRequest, ResumeTenantRequest, RollBackAgentRequest, RotateServiceAccountSecretRequest,
        ServiceAccount, SuspendTenantRequest, Tenant, TenantRight, UpdateAgentRequest, UpdateMemberRequest,
        UpdatePhoneNumberRequest, UpdateTenantRequest, agent_service_server::AgentService as _,
        audit_service_server::AuditService as _, member_service_server::MemberService as _,
        phone_number_service_server::PhoneNumberService as _, tenant_service_server::TenantService as _,
    },
    types::v1::{Carrier, ErrorReason},
};
use tonic::{Code, Status};

use super::bench::{Bench, STRANGER, ask, refused};

/// Calls every RPC that names a tenant, with this tenant's names and another's token.
async fn every_rpc(bench: &Bench, tenant: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let t = || tenant.to_owned();
    let desk = || format!("{tenant}/agents/desk");
    let number = || format!("{tenant}/phoneNumbers/12025550111");
    let agent = || Agent { name: desk(), prompt: "Mine.".into(), ..Agent::default() };
    let bound = || PhoneNumber {
        name: number(),
        number: "+12025550188".into(),
        carrier: Carrier::Twilio.into(),
        agent: desk(),
        ..PhoneNumber::default()
    };
    let tenant = || Tenant { name: t(), display_name: "Mine".into(), ..Tenant::default() };
    let mut answers = Vec::new();
    macro_rules! call {
        ($service:ident.$method:ident, $kind:ident { $($fields:tt)* }) => {
            #[allow(clippy::needless_update)]
            let message = $kind { $($fields)*, ..Default::default() };
            answers.push((stringify!($method), ask!(bench, $service.$method, STRANGER, message).map(drop)));
        };
    }
    call!(
        agent_service.create_agent,
        CreateAgentRequest { parent: t(), agent_id: "mine".into(), agent: Some(agent()) }
    );
    call!(agent_service.list_agents, ListAgentsRequest { parent: t() });
    call!(agent_service.update_agent, UpdateAgentRequest { agent: Some(agent()) });
    call!(agent_service.publish_agent, PublishAgentRequest { name: desk() });
    call!(agent_service.list_agent_versions, ListAgentVersionsRequest { name: desk() });
    call!(agent_service.roll_back_agent, RollBackAgentRequest { name: desk(), version: 1 });
    call!(agent_service.get_agent, GetAgentRequest { name: desk() });
    call!(agent_service.delete_agent, DeleteAgentRequest { name: desk() });
    call!(audit_service.list_audit_events, ListAuditEventsRequest { parent: t() });
    call!(
        phone_number_service.create_phone_number,
        CreatePhoneNumberRequest { parent: t(), phone_number: Some(bound()) }
    );
    call!(phone_number_service.get_phone_number, GetPhoneNumberRequest { name: number() });
    call!(phone_number_service.list_phone_numbers, ListPhoneNumbersRequest { parent: t() });
    call!(phone_number_service.update_phone_number, UpdatePhoneNumberRequest { phone_number: Some(bound()) });
    call!(phone_number_service.delete_phone_number, DeletePhoneNumberRequest { name: number() });
    let member = || Member {
        name: format!("{}/members/1f0c", t()),
        email: "ann@mail.example".into(),
        right: TenantRight::Admin.into(),
    };
    let account = || ServiceAccount { right: TenantRight::Admin.into(), ..ServiceAccount::default() };
    let reports = || format!("{}/serviceAccounts/reports", t());
    call!(member_service.create_member, CreateMemberRequest { parent: t(), member: Some(member()) });
    call!(member_service.list_members, ListMembersRequest { parent: t() });
    call!(member_service.update_member, UpdateMemberRequest { member: Some(member()) });
    call!(member_service.delete_member, DeleteMemberRequest { name: member().name });
    call!(
        member_service.create_service_account,
        CreateServiceAccountRequest {
            parent: t(),
            service_account_id: "mine".into(),
            service_account: Some(account())
        }
    );
    call!(member_service.list_service_accounts, ListServiceAccountsRequest { parent: t() });
    call!(
        member_service.rotate_service_account_secret,
        RotateServiceAccountSecretRequest { name: reports() }
    );
    call!(member_service.delete_service_account, DeleteServiceAccountRequest { name: reports() });
    call!(tenant_service.get_tenant, GetTenantRequest { name: t() });
    call!(tenant_service.update_tenant, UpdateTenantRequest { tenant: Some(tenant()) });
    call!(tenant_service.suspend_tenant, SuspendTenantRequest { name: t() });
    call!(tenant_service.resume_tenant, ResumeTenantRequest { name: t() });
    call!(tenant_service.delete_tenant, DeleteTenantRequest { name: t() });
    answers
}

pub async fn another_tenants_token_is_refused_everywhere_and_changes_nothing(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    bench.publish("desk").await.unwrap();
    bench.bind("+12025550111", "desk").await.unwrap();
    let before = bench.everything_of("acme").await;
    // Whether the tenant is there or not makes no difference.
    for tenant in ["tenants/acme", "tenants/nobody"] {
        for (method, answer) in every_rpc(&bench, tenant).await {
            let status = refused(answer, Code::PermissionDenied, ErrorReason::TenantMismatch);
            assert!(!status.message().contains("acme"), "{method}: {}", status.message());
        }
    }
    assert_eq!(bench.everything_of("acme").await, before);
}

pub async fn a_foreign_resource_is_not_there(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    bench.publish("desk").await.unwrap();
    bench.bind("+12025550111", "desk").await.unwrap();
    let before = bench.everything_of("acme").await;
    // The other tenant's ids under one's own name.
    let own = [
        "list_agents",
        "list_audit_events",
        "list_phone_numbers",
        "get_tenant",
        "create_agent",
        "create_member",
        "list_members",
        "delete_member",
        "create_service_account",
        "list_service_accounts",
    ];
    for (method, answer) in every_rpc(&bench, "tenants/globex").await {
        let code = answer.err().map_or(Code::Ok, |status| status.code());
        if own.contains(&method) || method.ends_with("_tenant") {
            assert_ne!(code, Code::NotFound, "{method}");
        } else {
            assert_eq!(code, Code::NotFound, "{method}");
        }
    }
    assert_eq!(bench.everything_of("acme").await, before);
}
