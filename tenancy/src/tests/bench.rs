//! What the tests work with: a role on either engine, and who asks it.

use std::collections::BTreeMap;

use mesh::{Pii, auth::Caller, error::reason_of};
use proto::{auth::v1::Role, tenancy::v1 as wire, types::v1::ErrorReason};
use sqlx::{Connection, Executor, PgConnection};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::realm::Realm;
use crate::{
    Tenancy,
    accounts::Accounts,
    control::{Access, Store, TenantTx},
    ids::TenantId,
    service::{Desk, RoutingService},
};

/// A role on an engine, with the tenants `demo`, `acme` and `globex`.
pub struct Bench {
    pub tenancy: Tenancy,
    pub store: Store,
    pub realm: Realm,
    /// The database's name, where the engine is a server.
    pub database: Option<Database>,
    _dir: tempfile::TempDir,
}

/// A database of a test's own on the server of `make test-engines`.
pub struct Database {
    server: String,
    name: String,
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Who(pub Role, pub &'static [&'static str]);

pub const ADMIN: Who = Who(Role::TenantAdmin, &["acme"]);
pub const VIEWER: Who = Who(Role::TenantViewer, &["acme"]);
pub const STRANGER: Who = Who(Role::TenantAdmin, &["globex"]);
pub const PLATFORM: Who = Who(Role::PlatformAdmin, &[]);
pub const GATEWAY: Who = Who(Role::SvcTelephonyGw, &[]);
pub const MEDIA: Who = Who(Role::SvcMedia, &[]);

impl Who {
    pub fn asks<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(Caller {
            subject: "subject".into(),
            client: "client".into(),
            roles: vec![self.0],
            tenants: self.1.iter().map(|&tenant| tenant.to_owned()).collect(),
            ..Caller::default()
        });
        request
    }
}

/// Calls a method of a service of the bench and takes the message out of the answer.
macro_rules! ask {
    ($bench:expr, $service:ident.$method:ident, $who:expr, $message:expr) => {
        $bench.tenancy.$service().$method($who.asks($message)).await.map(tonic::Response::into_inner)
    };
}
pub(super) use ask;

impl Bench {
    pub async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::embedded(&dir.path().join("data")).await.unwrap();
        Self::on(store, None, dir).await
    }

    /// On the server that `TRUNKLINE_TEST_POSTGRES` names, which must be there where `TRUNKLINE_REQUIRE_ENGINES` is 1.
    pub async fn postgres() -> Option<Self> {
        let database = Database::create().await?;
        crate::migrate(&database.url("trunkline_owner")).await.unwrap();
        let store = Store::postgres(&database.url("trunkline")).await.unwrap();
        Some(Self::on(store, Some(database), tempfile::tempdir().unwrap()).await)
    }

    async fn on(store: Store, database: Option<Database>, dir: tempfile::TempDir) -> Self {
        crate::seed::plant(&store).await.unwrap();
        let realm = Realm::start().await;
        let desk = Desk::open(store.clone(), Some(realm.accounts.clone())).await.unwrap();
        let keys = BTreeMap::from([("voyage".to_owned(), Pii::new("pa-secret".to_owned()))]);
        let tenancy = Tenancy { routing: RoutingService::new(desk.clone(), keys), desk };
        let bench = Self { tenancy, store, realm, database, _dir: dir };
        for tenant in ["acme", "globex"] {
            bench.create_tenant(tenant, "").await.unwrap();
        }
        bench.realm.changes();
        bench
    }

    pub async fn read(&self, tenant: &str) -> TenantTx {
        self.store.begin(&TenantId::from_slug(tenant), Access::Read).await.unwrap()
    }

    /// Everything that a tenant has, as text.
    pub async fn everything_of(&self, tenant: &str) -> String {
        let mut tx = self.read(tenant).await;
        let agents = tx.agents("", 1000).await.unwrap();
        let mut text = format!("{:?}\n{agents:?}\n", tx.find_tenant().await.unwrap());
        for agent in &agents {
            text += &format!("{:?}\n", tx.versions(&agent.id, i64::MAX, 1000).await.unwrap());
        }
        for number in tx.numbers("", 1000).await.unwrap() {
            text += &format!("{} {number:?}\n", number.number.expose());
        }
        text += &format!("{:?}\n", tx.service_accounts("", 1000).await.unwrap());
        if let Ok(members) = self.realm.accounts.list_members(tx.tenant()).await {
            text += &format!(
                "{:?}\n",
                members.iter().map(|member| (&member.id, member.right)).collect::<Vec<_>>()
            );
        }
        text + &format!("{:?}", tx.audit_log("", "~", 1000).await.unwrap())
    }

    pub async fn create_tenant(
        &self,
        id: &str,
        request_id: &str,
    ) -> Result<wire::CreateTenantResponse, Status> {
        use wire::tenant_service_server::TenantService as _;
        let tenant = wire::Tenant { display_name: id.to_uppercase(), ..wire::Tenant::default() };
        let request = wire::CreateTenantRequest {
            tenant_id: id.into(),
            tenant: Some(tenant),
            request_id: request_id.into(),
        };
        ask!(self, tenant_service.create_tenant, PLATFORM, request)
    }

    pub async fn create_agent(&self, id: &str, request_id: &str) -> Result<wire::Agent, Status> {
        use wire::agent_service_server::AgentService as _;
        let agent = wire::Agent { prompt: "Answer.".into(), ..wire::Agent::default() };
        let request = wire::CreateAgentRequest {
            parent: "tenants/acme".into(),
            agent_id: id.into(),
            agent: Some(agent),
            request_id: request_id.into(),
        };
        Ok(ask!(self, agent_service.create_agent, ADMIN, request)?.agent.unwrap())
    }

    pub async fn publish(&self, id: &str) -> Result<wire::Agent, Status> {
        use wire::agent_service_server::AgentService as _;
        let name = format!("tenants/acme/agents/{id}");
        let request = wire::PublishAgentRequest { name, ..wire::PublishAgentRequest::default() };
        Ok(ask!(self, agent_service.publish_agent, ADMIN, request)?.agent.unwrap())
    }

    pub async fn bind(&self, number: &str, agent: &str) -> Result<wire::PhoneNumber, Status> {
        use wire::phone_number_service_server::PhoneNumberService as _;
        let phone_number = wire::PhoneNumber {
            number: number.into(),
            carrier: proto::types::v1::Carrier::Twilio.into(),
            agent: format!("tenants/acme/agents/{agent}"),
            ..wire::PhoneNumber::default()
        };
        let request = wire::CreatePhoneNumberRequest {
            parent: "tenants/acme".into(),
            phone_number: Some(phone_number),
            request_id: String::new(),
        };
        Ok(ask!(self, phone_number_service.create_phone_number, ADMIN, request)?.phone_number.unwrap())
    }

    pub async fn resolve(&self, number: &str) -> Result<wire::ResolveNumberResponse, Status> {
        use wire::routing_service_server::RoutingService as _;
        let carrier = proto::types::v1::Carrier::Twilio.into();
        let request = wire::ResolveNumberRequest { number: number.into(), carrier };
        ask!(self, routing_service.resolve_number, GATEWAY, request)
    }
}

impl Database {
    /// A fresh database, or `None` where no server is at hand.
    pub async fn create() -> Option<Self> {
        let Some(server) = std::env::var("TRUNKLINE_TEST_POSTGRES").ok().filter(|server| !server.is_empty())
        else {
            let required = std::env::var("TRUNKLINE_REQUIRE_ENGINES").is_ok_and(|value| value == "1");
            assert!(!required, "TRUNKLINE_TEST_POSTGRES must name the server of tests/engines/postgres");
            return None;
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = Self { server, name: format!("t{}", Uuid::new_v4().simple()) };
        let mut connection = PgConnection::connect(&database.url_of("postgres", "postgres")).await.unwrap();
        let create = format!("CREATE DATABASE {}", database.name);
        connection.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
        Some(database)
    }

    /// The database by a login.
    pub fn url(&self, login: &str) -> Pii<String> {
        Pii::new(self.url_of(login, &self.name))
    }

    fn url_of(&self, login: &str, name: &str) -> String {
        format!("postgres://{login}@{}/{name}", self.server)
    }

    /// A connection by a login.
    pub async fn connect(&self, login: &str) -> PgConnection {
        PgConnection::connect(self.url(login).expose()).await.unwrap()
    }
}

/// Some request id.
pub fn request_id() -> String {
    Uuid::new_v4().to_string()
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: ErrorReason) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (code, Some(reason)), "{status:?}");
    status
}

/// The fields that were refused.
#[track_caller]
pub fn refused_fields<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = refused(answer, Code::InvalidArgument, ErrorReason::InvalidField);
    let details = status.get_error_details();
    let violations = details.bad_request().unwrap().field_violations.clone();
    violations.into_iter().map(|violation| violation.field).collect()
}
