//! What only PostgreSQL can be asked: whether its walls stand, without our code in front of them.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::bench::{Bench, Database};
use crate::{DatabaseError, control::Store};

/// Tables with a tenant that are not behind row level security, each with what it lacks.
const OPEN_TABLES: &str = "
    SELECT c.relname::text AS name,
           concat_ws(', ',
               CASE WHEN NOT c.relrowsecurity THEN 'not enabled' END,
               CASE WHEN NOT c.relforcerowsecurity THEN 'not forced' END,
               CASE WHEN NOT EXISTS (
                   SELECT FROM pg_policy p
                   WHERE p.polrelid = c.oid AND p.polcmd = '*'
                     AND p.polroles = ARRAY[(SELECT oid FROM pg_roles WHERE rolname = 'trunkline_tenant')]
                     AND pg_get_expr(p.polqual, c.oid) LIKE '%NULLIF(current_setting(''app.tenant_id''%'
                     AND pg_get_expr(p.polwithcheck, c.oid) = pg_get_expr(p.polqual, c.oid)
               ) THEN 'no policy of the tenant''s' END,
               CASE WHEN EXISTS (
                   SELECT FROM pg_policy p
                   WHERE p.polrelid = c.oid AND p.polcmd <> 'r' AND p.polname <> 'own_rows'
               ) THEN 'another policy that writes' END,
               CASE WHEN EXISTS (
                   SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary
                     AND i.indkey[0] <> a.attnum
               ) THEN 'a key that does not begin with the tenant' END,
               CASE WHEN EXISTS (
                   SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f'
                     AND NOT a.attnum = ANY (f.conkey)
               ) THEN 'a foreign key without the tenant' END,
               CASE WHEN EXISTS (
                   SELECT FROM aclexplode(c.relacl) g
                   WHERE g.privilege_type = 'TRUNCATE' AND g.grantee <> c.relowner
               ) THEN 'somebody may truncate it' END
           ) AS lacks
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('tenant', 'tenant_id') AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
    ORDER BY 1";

async fn tables(connection: &mut PgConnection) -> Vec<(String, String)> {
    let rows = sqlx::query(OPEN_TABLES).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| (row.get("name"), row.get("lacks"))).collect()
}

#[tokio::test]
async fn every_tenant_table_is_behind_a_forced_policy() {
    let Some(bench) = Bench::postgres().await else { return };
    let mut owner = bench.database.unwrap().connect("trunkline_owner").await;
    let found = tables(&mut owner).await;
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["agent_versions", "agents", "audit_log", "phone_numbers", "requests", "service_accounts", "tenants"];
    assert_eq!(names, expected);
    assert!(found.iter().all(|(_, lacks)| lacks.is_empty()), "{found:?}");

    // It can fail: a table without walls, and one of ours with a wall taken down.
    owner
        .execute("CREATE TABLE open_door (id text PRIMARY KEY, tenant text REFERENCES tenants)")
        .await
        .unwrap();
    owner.execute("ALTER TABLE agents NO FORCE ROW LEVEL SECURITY").await.unwrap();
    let found = tables(&mut owner).await;
    let lacks = |name: &str| found.iter().find(|(table, _)| table == name).unwrap().1.clone();
    assert_eq!(lacks("agents"), "not forced");
    assert_eq!(
        lacks("open_door"),
        "not enabled, not forced, no policy of the tenant's, a key that does not begin with the tenant"
    );
}

/// What a statement does as a role, with a tenant set or not: how many rows, or why not.
async fn as_role(
    connection: &mut PgConnection,
    role: &str,
    tenant: Option<&str>,
    sql: &str,
) -> Result<u64, String> {
    let mut tx = connection.begin().await.unwrap();
    tx.execute(AssertSqlSafe(format!("SET LOCAL ROLE {role}"))).await.unwrap();
    if let Some(tenant) = tenant {
        sqlx::query("SELECT set_config('app.tenant_id', $1, true)")
            .bind(tenant)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    let done = tx.execute(AssertSqlSafe(sql.to_owned())).await;
    done.map(|done| done.rows_affected())
        .map_err(|error| error.into_database_error().unwrap().code().unwrap().into())
}

#[tokio::test]
async fn the_walls_stand_without_our_code() {
    let Some(bench) = Bench::postgres().await else { return };
    bench.create_agent("desk", "").await.unwrap();
    bench.publish("desk").await.unwrap();
    bench.bind("+12025550111", "desk").await.unwrap();
    let database = bench.database.as_ref().unwrap();
    let mut login = database.connect("trunkline").await;
    let denied = Err("42501".to_owned());
    let tables =
        ["tenants", "agents", "agent_versions", "phone_numbers", "service_accounts", "requests", "audit_log"];
    for table in tables {
        let all = format!("SELECT * FROM {table}");
        let foreign = format!("SELECT * FROM {table} WHERE tenant <> 'globex'");
        // Twice: what the first transaction leaves behind must not open anything.
        for _ in 0..2 {
            assert_eq!(
                as_role(&mut login, "trunkline_tenant", Some("globex"), &foreign).await,
                Ok(0),
                "{table}"
            );
            assert_eq!(as_role(&mut login, "trunkline_tenant", None, &all).await, Ok(0), "{table}");
        }
        assert_eq!(as_role(&mut login, "trunkline", Some("acme"), &all).await, denied, "{table}");
        let truncate = format!("TRUNCATE {table}");
        assert_eq!(as_role(&mut login, "trunkline_tenant", Some("acme"), &truncate).await, denied, "{table}");
    }
    for (sql, expected) in [
        ("UPDATE agents SET draft = '{}' WHERE tenant = 'acme'", Ok(0)),
        ("DELETE FROM phone_numbers", Ok(0)),
        ("INSERT INTO agents VALUES ('acme', 'mine', '{}', NULL, 0, 0)", denied.clone()),
        ("UPDATE service_accounts SET tenant = 'acme'", denied.clone()),
        ("UPDATE agent_versions SET document = '{}'", denied.clone()),
        ("UPDATE audit_log SET subject = 'nobody'", denied.clone()),
        ("DELETE FROM audit_log", denied.clone()),
        ("DELETE FROM tenants", denied.clone()),
        ("SELECT * FROM page_key", denied.clone()),
    ] {
        assert_eq!(as_role(&mut login, "trunkline_tenant", Some("globex"), sql).await, expected, "{sql}");
    }
    for (role, sql, expected) in [
        ("trunkline_routing", "SELECT tenant, agent FROM phone_numbers WHERE e164 = '+12025550111'", Ok(1)),
        ("trunkline_routing", "SELECT draft FROM agents", denied.clone()),
        ("trunkline_routing", "SELECT document FROM agent_versions", denied.clone()),
        ("trunkline_routing", "UPDATE phone_numbers SET agent = 'mine'", denied.clone()),
        ("trunkline_platform", "SELECT tenant FROM tenants", Ok(3)),
        ("trunkline_platform", "SELECT id FROM agents", denied.clone()),
        ("trunkline_platform", "UPDATE tenants SET state = 'active'", denied.clone()),
    ] {
        assert_eq!(as_role(&mut login, role, None, sql).await, expected, "{sql}");
    }
    // The owner itself sees nothing of anybody.
    let mut owner = database.connect("trunkline_owner").await;
    assert_eq!(owner.execute("SELECT * FROM agents").await.unwrap().rows_affected(), 0);
}

#[tokio::test]
async fn a_login_that_walls_do_not_bind_is_refused() {
    let Some(database) = Database::create().await else { return };
    let why = async |login: &str| match Store::postgres(&database.url(login)).await {
        Ok(_) => panic!("{login} was taken"),
        Err(error) => error,
    };
    assert!(matches!(why("trunkline").await, DatabaseError::Schema { found: 0, .. }), "not migrated yet");
    // Two at once: one waits for the other.
    let owner = database.url("trunkline_owner");
    let (one, other) = tokio::join!(crate::migrate(&owner), crate::migrate(&owner));
    one.unwrap();
    other.unwrap();
    assert!(Store::postgres(&database.url("trunkline")).await.is_ok());
    for (login, wrong) in [
        ("postgres", "is a superuser"),
        ("trunkline_owner", "owns tables"),
        ("trunkline_heir", "inherits the role trunkline_tenant"),
        ("trunkline_nobody", "may not take the role trunkline_tenant"),
    ] {
        let error = why(login).await;
        assert!(error.is_configuration() && error.to_string().contains(wrong), "{login}: {error}");
    }
    let nowhere = Store::postgres(&mesh::Pii::new("postgres://x@127.0.0.1:9/x".to_owned())).await;
    assert!(matches!(nowhere, Err(DatabaseError::Unreachable(_))));
    let no_url = Store::postgres(&mesh::Pii::new("mysql://secret@x".to_owned())).await;
    let Err(error @ DatabaseError::Url) = no_url else { panic!("taken") };
    assert!(!error.to_string().contains("secret"));
    // A schema that is two versions ahead.
    let mut owner = database.connect("trunkline_owner").await;
    owner.execute("UPDATE _sqlx_migrations SET version = version + 2").await.unwrap();
    assert!(matches!(why("trunkline").await, DatabaseError::Schema { .. }));
}
