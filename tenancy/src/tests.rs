//! The role through its services, on real files.

use std::collections::BTreeMap;

use mesh::{Pii, auth::Caller, error::reason_of};
use proto::{
    auth::v1::Role,
    tenancy::v1::{
        GetAgentRequest, GetAgentResponse, GetProviderKeysRequest, ResolveNumberRequest,
        ResolveNumberResponse, agent_service_server::AgentService as _,
        routing_service_server::RoutingService as _,
    },
    types::v1::{Carrier, ErrorReason},
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    AgentService, Config, RoutingService, Tenancy,
    control::{AgentStore as _, Seed, sqlite::Store},
    ids::{AgentId, Number, TenantId},
    seed,
};

fn config(dir: &tempfile::TempDir) -> Config {
    Config {
        data_dir: dir.path().join("data"),
        provider_keys: BTreeMap::from([("voyage".to_owned(), Pii::new("pa-secret".to_owned()))]),
        seed_demo: true,
    }
}

fn asking<T>(message: T, role: Role, tenants: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        subject: "subject".into(),
        client: "client".into(),
        roles: vec![role],
        tenants: tenants.iter().map(|&tenant| tenant.to_owned()).collect(),
    });
    request
}

async fn get(
    tenancy: &Tenancy,
    name: &str,
    version: i32,
    role: Role,
    own: &[&str],
) -> Result<GetAgentResponse, Status> {
    let request = GetAgentRequest { name: name.into(), version };
    Ok(tenancy.agent_service().get_agent(asking(request, role, own)).await?.into_inner())
}

async fn resolve(tenancy: &Tenancy, number: &str, carrier: Carrier) -> Result<ResolveNumberResponse, Status> {
    let request = ResolveNumberRequest { number: number.into(), carrier: carrier.into() };
    Ok(tenancy
        .routing_service()
        .resolve_number(asking(request, Role::SvcTelephonyGw, &[]))
        .await?
        .into_inner())
}

async fn keys(tenancy: &Tenancy, tenant: &str, vendors: &[&str]) -> Result<Vec<(String, String)>, Status> {
    let vendors = vendors.iter().map(|&vendor| vendor.to_owned()).collect();
    let request = GetProviderKeysRequest { tenant: tenant.into(), vendors };
    let answer = tenancy.routing_service().get_provider_keys(asking(request, Role::SvcMedia, &[])).await?;
    Ok(answer.into_inner().keys.into_iter().map(|key| (key.vendor, key.api_key)).collect())
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: ErrorReason) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (code, Some(reason)), "{status:?}");
    status
}

#[track_caller]
fn refused_field<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str) {
    let status = refused(answer, Code::InvalidArgument, ErrorReason::InvalidField);
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
}

#[tokio::test]
async fn both_demo_numbers_lead_to_the_front_desk() {
    let dir = tempfile::tempdir().unwrap();
    let tenancy = Tenancy::open(config(&dir)).await.unwrap();
    for (number, carrier) in [("+12025550100", Carrier::Twilio), ("+918047100100", Carrier::Exotel)] {
        let route = resolve(&tenancy, number, carrier).await.unwrap();
        assert_eq!(route.tenant, "tenants/demo");
        assert_eq!((route.agent.as_str(), route.agent_version), ("tenants/demo/agents/front-desk", 1));
    }
    let agent =
        get(&tenancy, "tenants/demo/agents/front-desk", 1, Role::SvcMedia, &[]).await.unwrap().agent.unwrap();
    assert_eq!(agent.name, "tenants/demo/agents/front-desk");
    assert_eq!(agent.version, 1);
    assert_eq!(agent.tools, ["end_call", "search_knowledge"]);
    assert!(!agent.greeting.is_empty() && !agent.apology.is_empty());
    // Four characters a token: the prompt must clear the 512 tokens from which it is cached, with room for error.
    assert!(agent.prompt.len() > 4 * 650, "{}", agent.prompt.len());
    let turn = agent.turn.unwrap();
    assert_eq!(proto::from_wire(&turn.endpointing_delay_min.unwrap()).as_millis(), 300);
    assert_eq!(proto::from_wire(&turn.endpointing_delay_max.unwrap()).as_millis(), 2000);
    assert_eq!(proto::from_wire(&turn.barge_in_duration_min.unwrap()).as_millis(), 160);
}

#[tokio::test]
async fn a_restart_keeps_what_is_there_and_seeds_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    Tenancy::open(config(&dir)).await.unwrap();
    {
        let store = Store::open(&config(&dir).data_dir).await.unwrap();
        let changed = r#"json_set(document, '$.greeting', 'Second.')"#;
        let publish = format!(
            "INSERT INTO agent_versions SELECT tenant, agent, 2, {changed}, created_at FROM agent_versions"
        );
        sqlx::query(sqlx::AssertSqlSafe(publish)).execute(store.pool()).await.unwrap();
        store.pool().close().await;
    }
    let tenancy = Tenancy::open(config(&dir)).await.unwrap();
    let name = "tenants/demo/agents/front-desk";
    let newest = get(&tenancy, name, 0, Role::TenantViewer, &["demo"]).await.unwrap().agent.unwrap();
    assert_eq!((newest.version, newest.greeting.as_str()), (2, "Second."));
    let first = get(&tenancy, name, 1, Role::TenantViewer, &["demo"]).await.unwrap().agent.unwrap();
    assert_ne!(first.greeting, newest.greeting);
    assert_eq!(resolve(&tenancy, "+12025550100", Carrier::Twilio).await.unwrap().agent_version, 2);
}

#[tokio::test]
async fn a_tenant_sees_its_own_agents_only() {
    let dir = tempfile::tempdir().unwrap();
    let tenancy = Tenancy::open(config(&dir)).await.unwrap();
    let store = Store::open(&config(&dir).data_dir).await.unwrap();
    let (_, demo) = seed::demo();
    let other = Seed { agent: AgentId::from_id("concierge"), numbers: Vec::new(), ..demo };
    store.seed(&TenantId::from_slug("acme"), &other).await.unwrap();

    let viewer = Role::TenantViewer;
    assert!(get(&tenancy, "tenants/acme/agents/concierge", 0, viewer, &["acme"]).await.is_ok());
    let foreign = get(&tenancy, "tenants/acme/agents/concierge", 0, viewer, &["demo"]).await;
    refused(foreign, Code::PermissionDenied, ErrorReason::TenantMismatch);
    // The other tenant's agent under one's own name is simply not there, nor is one that nobody has.
    for name in ["tenants/demo/agents/concierge", "tenants/demo/agents/nobody"] {
        let absent = get(&tenancy, name, 0, viewer, &["demo"]).await;
        refused(absent, Code::NotFound, ErrorReason::ResourceNotFound);
    }
    let name = "tenants/demo/agents/front-desk";
    refused(get(&tenancy, name, 7, viewer, &["demo"]).await, Code::NotFound, ErrorReason::ResourceNotFound);
}

#[tokio::test]
async fn bad_requests_name_the_field() {
    let dir = tempfile::tempdir().unwrap();
    let tenancy = Tenancy::open(config(&dir)).await.unwrap();
    for name in [
        "",
        "front-desk",
        "tenants/demo",
        "tenants/demo/agents/",
        "tenants/demo/agents/a/b",
        "tenants/DEMO/agents/a",
    ] {
        refused_field(get(&tenancy, name, 0, Role::SvcMedia, &[]).await, "name");
    }
    refused_field(get(&tenancy, "tenants/demo/agents/front-desk", -1, Role::SvcMedia, &[]).await, "version");
    refused_field(resolve(&tenancy, "12025550100", Carrier::Twilio).await, "number");
    refused_field(resolve(&tenancy, "+12025550100", Carrier::Unspecified).await, "carrier");
    refused_field(keys(&tenancy, "tenants/demo/agents/a", &["voyage"]).await, "tenant");
    refused_field(keys(&tenancy, "tenants/demo", &[]).await, "vendors");
    refused_field(keys(&tenancy, "tenants/demo", &["voyage", "acme"]).await, "vendors[1]");
}

#[tokio::test]
async fn a_number_nobody_owns_is_not_found_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let tenancy = Tenancy::open(config(&dir)).await.unwrap();
    for (number, carrier) in [("+12025550199", Carrier::Twilio), ("+12025550100", Carrier::Exotel)] {
        let status =
            refused(resolve(&tenancy, number, carrier).await, Code::NotFound, ErrorReason::ResourceNotFound);
        assert!(!format!("{status:?}").contains("2025550"), "{status:?}");
    }
}

#[tokio::test]
async fn a_vendor_without_a_key_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let tenancy = Tenancy::open(config(&dir)).await.unwrap();
    let answer = keys(&tenancy, "tenants/demo", &["deepgram", "voyage", "voyage"]).await.unwrap();
    assert_eq!(answer, [("voyage".to_owned(), "pa-secret".to_owned())]);
    assert_eq!(keys(&tenancy, "tenants/demo", &["anthropic"]).await.unwrap(), []);
    let nobody = keys(&tenancy, "tenants/nobody", &["voyage"]).await;
    refused(nobody, Code::NotFound, ErrorReason::ResourceNotFound);
}

#[tokio::test]
async fn a_store_that_is_away_is_unavailable_with_a_time_to_retry() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(Store::open(dir.path()).await.unwrap());
    store.pool().close().await;
    let tenancy = Tenancy {
        agents: AgentService::new(store.clone()),
        routing: RoutingService::new(store.clone(), store, BTreeMap::new()),
    };
    let agent = get(&tenancy, "tenants/demo/agents/front-desk", 0, Role::SvcMedia, &[]).await.map(drop);
    let route = resolve(&tenancy, "+12025550100", Carrier::Twilio).await.map(drop);
    let keys = keys(&tenancy, "tenants/demo", &["voyage"]).await.map(drop);
    for answer in [agent, route, keys] {
        let status = refused(answer, Code::Unavailable, ErrorReason::StoreUnavailable);
        assert!(status.get_error_details().retry_info().is_some());
    }
}

#[tokio::test]
async fn an_empty_file_is_migrated_and_a_newer_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(crate::control::sqlite::FILE_NAME);
    std::fs::write(&path, b"").unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let applied = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   VALUES (9999, 'from the future', TRUE, x'00', 0)";
    sqlx::query(applied).execute(store.pool()).await.unwrap();
    store.pool().close().await;
    assert!(matches!(Store::open(dir.path()).await, Err(crate::Error::Migration { .. })));

    std::fs::write(
        &path,
        b"this is not a database, but it is long enough to have a header of one hundred bytes",
    )
    .unwrap();
    assert!(Store::open(dir.path()).await.is_err());
}

#[tokio::test]
async fn the_schema_keeps_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let (tenant, demo) = seed::demo();
    store.seed(&tenant, &demo).await.unwrap();
    for broken in [
        "UPDATE agent_versions SET document = '{}'",
        "INSERT INTO phone_numbers VALUES ('+12025550100', 'twilio', 'demo', 'front-desk', 0)",
        "INSERT INTO phone_numbers VALUES ('+12025550111', 'twilio', 'demo', 'nobody', 0)",
        "INSERT INTO phone_numbers VALUES ('+12025550111', 'pigeon', 'demo', 'front-desk', 0)",
        "INSERT INTO agents VALUES ('nobody', 'a', 0)",
    ] {
        assert!(sqlx::query(broken).execute(store.pool()).await.is_err(), "{broken}");
    }
    // A second tenant cannot take a number over by being seeded with it.
    let thief =
        Seed { numbers: vec![(Number::parse("n", "+12025550100").unwrap(), demo.numbers[0].1)], ..demo };
    store.seed(&TenantId::from_slug("acme"), &thief).await.unwrap();
    let owner: String = sqlx::query_scalar("SELECT tenant FROM phone_numbers WHERE e164 = '+12025550100'")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(owner, "demo");
}
