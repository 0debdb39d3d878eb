//! The production engine: PostgreSQL with forced row level security. A login that owns nothing takes a role for each
//! piece of work, as deploy/postgres/roles.sql sets them up.

use std::{net::IpAddr, str::FromStr, time::Duration};

use mesh::Pii;
use sqlx::{
    Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use super::{Access, StoreError, sql};
use crate::{DatabaseError, ids::TenantId};

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may take to be there at start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TENANT_CONNECTIONS_MAX: u32 = 8;
const ROUTING_CONNECTIONS_MAX: u32 = 4;
const PLATFORM_CONNECTIONS_MAX: u32 = 2;

/// What a writer begins with: the role and the tenant for this transaction, and the tenant's lock, so that a tenant has
/// one writer at a time and what it reads is what it changes.
const BEGIN_WRITE: &str =
    "SELECT set_config('role', 'trunkline_tenant', true), set_config('app.tenant_id', $1, true),
    pg_advisory_xact_lock(hashtextextended('trunkline/' || $1, 0))";
const BEGIN_READ: &str =
    "SELECT set_config('role', 'trunkline_tenant', true), set_config('app.tenant_id', $1, true)";

/// The roles that a node's login takes, and must not have already.
const ROLES: [&str; 3] = ["trunkline_tenant", "trunkline_routing", "trunkline_platform"];

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// Tenants, agents and numbers on a server.
#[derive(Clone)]
pub struct Engine {
    tenant: PgPool,
    routing: PgPool,
    platform: PgPool,
}

impl Engine {
    /// Connects, and refuses a login or a schema that does not fit.
    pub async fn open(url: &Pii<String>) -> Result<Self, DatabaseError> {
        let options = options(url)?;
        check_login(&mut connect(&options).await?).await?;
        let pool = |max| PgPoolOptions::new().max_connections(max).acquire_timeout(ACQUIRE_TIMEOUT);
        let engine = Self {
            tenant: pool(TENANT_CONNECTIONS_MAX).connect_lazy_with(options.clone()),
            routing: pool(ROUTING_CONNECTIONS_MAX)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        connection
                            .execute("SET ROLE trunkline_routing; SET default_transaction_read_only = on")
                            .await?;
                        Ok(())
                    })
                })
                .connect_lazy_with(options.clone()),
            platform: pool(PLATFORM_CONNECTIONS_MAX)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        connection
                            .execute("SET ROLE trunkline_platform; SET default_transaction_read_only = on")
                            .await?;
                        Ok(())
                    })
                })
                .connect_lazy_with(options),
        };
        check_schema(&engine.platform).await?;
        Ok(engine)
    }

    /// One transaction that sees one tenant.
    pub async fn begin(&self, tenant: &TenantId, access: Access) -> Result<sql::Tx, StoreError> {
        let (begin, first) = match access {
            Access::Read => ("BEGIN READ ONLY", BEGIN_READ),
            Access::Write => ("BEGIN", BEGIN_WRITE),
        };
        let mut tx = self.tenant.begin_with(begin).await?;
        sqlx::query(first).bind(tenant.as_str()).execute(&mut *tx).await?;
        Ok(sql::Tx::Postgres(tx))
    }

    pub fn routing(&self) -> sql::Pool {
        sql::Pool::Postgres(self.routing.clone())
    }

    pub fn platform(&self) -> sql::Pool {
        sql::Pool::Postgres(self.platform.clone())
    }
}

/// Looks whether a node could work with this database.
///
/// # Errors
/// When the server, the login or the schema there cannot be used.
pub async fn check(url: &Pii<String>) -> Result<(), DatabaseError> {
    Engine::open(url).await.map(drop)
}

/// Brings the schema up to date, as the owner. Others who migrate at the same time wait.
///
/// # Errors
/// When the server, the roles or the schema there cannot be used.
pub async fn migrate(owner_url: &Pii<String>) -> Result<(), DatabaseError> {
    let mut connection = connect(&parse(owner_url)?).await?;
    for role in ROLES {
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(role)
            .fetch_one(&mut connection)
            .await?;
        if !known {
            return Err(DatabaseError::Roles(format!(
                "the role {role} is missing; run deploy/postgres/roles.sql once as a superuser"
            )));
        }
    }
    MIGRATIONS.run(&mut connection).await.map_err(|cause| DatabaseError::Migration(cause.into()))
}

fn parse(url: &Pii<String>) -> Result<PgConnectOptions, DatabaseError> {
    let url = url.expose();
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(DatabaseError::Url);
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| DatabaseError::Url)?;
    let options = options.application_name("trunkline");
    // What tenants keep crosses a network under TLS only, unless the URL says how else.
    let host = options.get_host();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let told = url.contains("sslmode=") || url.contains("ssl-mode=");
    Ok(if here || told { options } else { options.ssl_mode(PgSslMode::Require) })
}

/// A node's connections, with bounds on what a lost peer or a stuck writer can hold up.
fn options(url: &Pii<String>) -> Result<PgConnectOptions, DatabaseError> {
    Ok(parse(url)?.options([
        ("statement_timeout", "5s"),
        ("lock_timeout", "4s"),
        ("idle_in_transaction_session_timeout", "30s"),
    ]))
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, DatabaseError> {
    let connecting = PgConnection::connect_with(options);
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(cause)) => Err(cause.into()),
        Err(_) => Err(DatabaseError::Unreachable("no answer in 10 s".into())),
    }
}

/// Row level security binds neither superusers nor those who may bypass it, and owners may lift it.
async fn check_login(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let (name, mighty): (String, bool) = sqlx::query_as(
        "SELECT rolname::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut *connection)
    .await?;
    let refuse = |what: &str| {
        Err(DatabaseError::Roles(format!(
            "the login {name} {what}: the walls between tenants would not hold; use the one of deploy/postgres/roles.sql"
        )))
    };
    if mighty {
        return refuse("is a superuser or bypasses row level security");
    }
    let owns: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                        AND pg_has_role(current_user, relowner, 'MEMBER'))",
    )
    .fetch_one(&mut *connection)
    .await?;
    if owns {
        return refuse("owns tables");
    }
    for role in ROLES {
        // 'USAGE' is what is inherited, 'MEMBER' what may be taken.
        let (member, inherits): (bool, bool) = sqlx::query_as(
            "SELECT coalesce(bool_or(pg_has_role(current_user, oid, 'MEMBER')), false),
                    coalesce(bool_or(pg_has_role(current_user, oid, 'USAGE')), false)
             FROM pg_roles WHERE rolname = $1",
        )
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
        if inherits {
            return refuse(&format!("inherits the role {role}"));
        }
        if !member {
            return Err(DatabaseError::Roles(format!(
                "the login {name} may not take the role {role}; run deploy/postgres/roles.sql once as a superuser"
            )));
        }
    }
    Ok(())
}

/// Migrations only add, so a node works with the schema of the next version as well: it may be migrated first.
async fn check_schema(platform: &PgPool) -> Result<(), DatabaseError> {
    let wanted = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found: Option<i64> =
        match sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(platform)
            .await
        {
            Ok(found) => found,
            Err(sqlx::Error::Database(cause))
                if matches!(cause.code().as_deref(), Some("42P01" | "42501")) =>
            {
                None
            }
            Err(cause) => return Err(cause.into()),
        };
    let found = found.unwrap_or(0);
    if (wanted..=wanted + 1).contains(&found) {
        return Ok(());
    }
    Err(DatabaseError::Schema { found, wanted })
}
