//! What only the embedded engine can be asked.

use proto::types::v1::ErrorReason;
use sqlx::{Executor, SqlitePool, sqlite::SqliteConnectOptions};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::bench::{ADMIN, Bench, ask, refused};
use crate::control::{Store, sqlite::FILE_NAME};

#[tokio::test]
async fn a_file_of_the_first_version_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new().filename(dir.path().join(FILE_NAME)).create_if_missing(true);
    let old = SqlitePool::connect_with(options).await.unwrap();
    let first = sqlx::migrate::Migrator::with_migrations(
        sqlx::migrate!("migrations/sqlite").iter().take(1).cloned().collect(),
    );
    first.run(&old).await.unwrap();
    let document = serde_json::to_string(&crate::seed::front_desk()).unwrap();
    old.execute("INSERT INTO tenants VALUES ('acme', 'Acme', 1700000000)").await.unwrap();
    old.execute("INSERT INTO agents VALUES ('acme', 'desk', 1700000001)").await.unwrap();
    for version in [1, 2] {
        let greeting = format!("Version {version}.");
        sqlx::query("INSERT INTO agent_versions VALUES ('acme', 'desk', $1, json_set($2, '$.greeting', $3), 1700000002)")
            .bind(version)
            .bind(&document)
            .bind(greeting)
            .execute(&old)
            .await
            .unwrap();
    }
    old.execute("INSERT INTO phone_numbers VALUES ('+12025550111', 'twilio', 'acme', 'desk', 1700000003)")
        .await
        .unwrap();
    old.close().await;

    let store = Store::embedded(dir.path()).await.unwrap();
    let number = crate::ids::Number::read("+12025550111").unwrap();
    let route = store.routes().resolve(&number, crate::control::CarrierId::Twilio).await.unwrap().unwrap();
    assert_eq!(route.agent_version, 2, "the newest version went on to answer");
    let mut tx =
        store.begin(&crate::ids::TenantId::from_slug("acme"), crate::control::Access::Read).await.unwrap();
    let agent = tx.agent(&route.agent).await.unwrap().unwrap();
    assert_eq!((agent.draft.greeting.as_str(), agent.live_version), ("Version 2.", 2));
    assert_eq!(agent.created_at, 1_700_000_001_000_000);
    assert_eq!(tx.version(&route.agent, 1).await.unwrap().unwrap().document.greeting, "Version 1.");
    let tenant = tx.find_tenant().await.unwrap().unwrap();
    assert_eq!(tenant.state, crate::control::TenantState::Active);
}

#[tokio::test]
async fn an_empty_file_is_migrated_and_a_newer_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, b"").unwrap();
    let store = Store::embedded(dir.path()).await.unwrap();
    let applied = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   VALUES (9999, 'from the future', TRUE, x'00', 0)";
    store.sqlite().execute(applied).await.unwrap();
    store.sqlite().close().await;
    assert!(matches!(Store::embedded(dir.path()).await, Err(crate::Error::Migration { .. })));

    let text = b"this is not a database, but it is long enough to have a header of one hundred bytes";
    std::fs::write(&path, text).unwrap();
    assert!(Store::embedded(dir.path()).await.is_err());
}

#[tokio::test]
async fn the_schema_keeps_its_promises() {
    let bench = Bench::sqlite().await;
    bench.create_agent("desk", "").await.unwrap();
    bench.publish("desk").await.unwrap();
    for broken in [
        "UPDATE agent_versions SET document = '{}'",
        "UPDATE audit_log SET subject = 'nobody'",
        "DELETE FROM audit_log",
        "UPDATE agents SET tenant = 'globex'",
        "INSERT INTO phone_numbers (e164, carrier, tenant, agent, created_at)
         VALUES ('+12025550100', 'twilio', 'acme', 'desk', 0)",
        "INSERT INTO phone_numbers (e164, carrier, tenant, agent, created_at)
         VALUES ('+12025550111', 'twilio', 'globex', 'desk', 0)",
        "INSERT INTO phone_numbers (e164, carrier, tenant, agent, created_at)
         VALUES ('+12025550111', 'pigeon', 'acme', 'desk', 0)",
        "INSERT INTO agents (tenant, id, created_at) VALUES ('nobody', 'a', 0)",
        "UPDATE tenants SET state = 'asleep'",
    ] {
        assert!(bench.store.sqlite().execute(broken).await.is_err(), "{broken}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_unavailable_with_a_time_to_retry() {
    use proto::tenancy::v1::{GetTenantRequest, tenant_service_server::TenantService as _};
    let bench = Bench::sqlite().await;
    bench.store.close().await;
    let tenant =
        ask!(bench, tenant_service.get_tenant, ADMIN, GetTenantRequest { name: "tenants/acme".into() });
    let route = bench.resolve("+12025550100").await.map(drop);
    for answer in [tenant.map(drop), route, bench.create_agent("desk", "").await.map(drop)] {
        let status = refused(answer, Code::Unavailable, ErrorReason::StoreUnavailable);
        assert!(status.get_error_details().retry_info().is_some());
    }
}
