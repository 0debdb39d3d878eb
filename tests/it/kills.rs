//! The tenancy role under SIGKILL: what was answered is there, once, and what was not can be asked for again.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use libtest_mimic::Trial;
use mesh::{
    ClientStack, Drain, Pii,
    auth::{Contract, Issuer, MintRequest},
    error::reason_of,
};
use proto::{
    auth::v1::Role,
    tenancy::v1::{
        CreatePhoneNumberRequest, CreateTenantRequest, ListAuditEventsRequest, ListPhoneNumbersRequest,
        ListServiceAccountsRequest, ListTenantsRequest, PhoneNumber, Tenant, TenantState,
        audit_service_client::AuditServiceClient, member_service_client::MemberServiceClient,
        phone_number_service_client::PhoneNumberServiceClient, tenant_service_client::TenantServiceClient,
    },
    types::v1::{Carrier, ErrorReason},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Child,
    sync::watch,
    task::JoinSet,
};
use tonic::{Code, Request, Status, metadata::MetadataValue};
use uuid::Uuid;

use crate::{
    binary::{command, output, stderr},
    trial,
};

const KILLS: usize = 50;
/// Numbers begun before each kill; all of them together stay below a tenant's quota.
const NUMBERS: usize = 18;
/// Tenants begun before each kill, with their groups and accounts at the issuer.
const TENANTS: usize = 2;
const CLIENTS: usize = 4;
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// A killed attempt holds its request's id for 20 s.
const HELD_TIMEOUT: Duration = Duration::from_secs(40);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("kills::fifty_kills_double_and_lose_nothing_on_sqlite", on_sqlite),
        trial("kills::fifty_kills_double_and_lose_nothing_on_postgres", on_postgres),
    ]
}

async fn on_sqlite() {
    run(None).await;
}

async fn on_postgres() {
    let Ok(server) = std::env::var("TRUNKLINE_TEST_POSTGRES") else {
        let required = std::env::var("TRUNKLINE_REQUIRE_ENGINES").is_ok_and(|value| value == "1");
        assert!(!required, "TRUNKLINE_TEST_POSTGRES must name the server of tests/engines/postgres");
        println!("postgres: not run, TRUNKLINE_TEST_POSTGRES names no server");
        return;
    };
    let name = format!("t{}", Uuid::new_v4().simple());
    let url = |login: &str, name: &str| format!("postgres://{login}@{server}/{name}");
    let mut admin = PgConnection::connect(&url("postgres", "postgres")).await.expect("the server answers");
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    // As an operator does it, and a second time without harm; the nodes' login may not.
    let owner = url("trunkline_owner", &name);
    for _ in 0..2 {
        let run = output(folder.path(), &["migrate"], &[("DATABASE_OWNER_URL", &owner)]).await;
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    }
    let app = url("trunkline", &name);
    let run_as_app = output(folder.path(), &["migrate"], &[("DATABASE_URL", &app)]).await;
    assert_eq!(run_as_app.status.code(), Some(64), "{}", stderr(&run_as_app));
    run(Some(app)).await;
}

/// What the role needs to start, and an issuer for its tokens.
struct Node {
    data: TempDir,
    issuer: Issuer,
    issuer_url: String,
    database_url: Option<String>,
    drain: Drain,
}

/// A running process of the role.
struct Running {
    child: Child,
    clients: Clients,
}

#[derive(Clone)]
struct Clients {
    numbers: PhoneNumberServiceClient<mesh::Hop>,
    tenants: TenantServiceClient<mesh::Hop>,
    members: MemberServiceClient<mesh::Hop>,
    log: AuditServiceClient<mesh::Hop>,
}

impl Node {
    async fn new(database_url: Option<String>) -> Self {
        let data = tempfile::tempdir().expect("a folder for the stores");
        let issuer = Issuer::open(data.path()).expect("an issuer");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("an address");
        let issuer_url = format!("http://{address}/realms/trunkline");
        issuer.set_url(&issuer_url).expect("the issuer's name");
        let drain = Drain::new();
        let (router, ended) = (issuer.router(), drain.clone());
        tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(async move { ended.started().await }).await
        });
        let config = tenancy::Config {
            database_url: database_url.clone().map(Pii::new),
            seed_demo: true,
            ..tenancy::Config::new(data.path().to_owned())
        };
        tenancy::Tenancy::open(config).await.expect("the demo's tenant is planted");
        Self { data, issuer, issuer_url, database_url, drain }
    }

    async fn start(&self) -> Running {
        let data = self.data.path().to_str().expect("a path of the test");
        let mut env = vec![
            ("TRUNKLINE_GRPC_ADDR", "127.0.0.1:0"),
            ("TRUNKLINE_ADMIN_ADDR", "127.0.0.1:0"),
            ("TRUNKLINE_DATA_DIR", data),
            ("TRUNKLINE_OIDC_ISSUER", &self.issuer_url),
            ("TRUNKLINE_OIDC_CLIENT_SECRET", self.issuer.client_secret("svc-tenancy").expect("a secret")),
            ("TRUNKLINE_LOG", "warn"),
        ];
        env.extend(
            ["DEEPGRAM_API_KEY", "ANTHROPIC_API_KEY", "CARTESIA_API_KEY", "VOYAGE_API_KEY"]
                .map(|key| (key, "x")),
        );
        env.extend(self.database_url.as_deref().map(|url| ("DATABASE_URL", url)));
        let mut child = command(Path::new(data), &["serve", "tenancy"], &env)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ready = async {
            loop {
                let line = lines.next_line().await.expect("its output").expect("a ready line");
                if let Some(fields) = line.strip_prefix("ready ") {
                    let grpc = fields.split(' ').find_map(|field| field.strip_prefix("grpc="));
                    return grpc.expect("its address").to_owned();
                }
            }
        };
        let address = tokio::time::timeout(READY_TIMEOUT, ready).await.expect("it becomes ready");
        let stack = ClientStack::new(Contract::load().expect("the contracts").into(), None);
        let url = format!("http://{address}").parse().expect("an address");
        let hop = mesh::hop::remote(&url, None, &stack).expect("a hop");
        let clients = Clients {
            numbers: PhoneNumberServiceClient::new(hop.clone()),
            tenants: TenantServiceClient::new(hop.clone()),
            members: MemberServiceClient::new(hop.clone()),
            log: AuditServiceClient::new(hop),
        };
        Running { child, clients }
    }

    /// As an administrator of the demo's tenant.
    fn asks<T>(&self, message: T) -> Request<T> {
        self.asks_as(Role::TenantAdmin, &["/tenants/demo/admins"], message)
    }

    /// As the platform's operator.
    fn operates<T>(&self, message: T) -> Request<T> {
        self.asks_as(Role::PlatformAdmin, &[], message)
    }

    fn asks_as<T>(&self, role: Role, groups: &[&str], message: T) -> Request<T> {
        let request = MintRequest {
            client: "acme".into(),
            roles: vec![role],
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ttl: Duration::from_secs(300),
        };
        let token = self.issuer.mint(&request, mesh::clock::since_epoch()).expect("a token");
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        request
    }
}

/// A creation, with its request's id.
#[derive(Clone)]
enum Create {
    Number(CreatePhoneNumberRequest),
    Tenant(CreateTenantRequest),
}

impl Create {
    fn number(at: usize) -> Self {
        Self::Number(CreatePhoneNumberRequest {
            parent: "tenants/demo".into(),
            phone_number: Some(PhoneNumber {
                number: format!("+1202556{at:04}"),
                carrier: Carrier::Twilio.into(),
                agent: "tenants/demo/agents/front-desk".into(),
                ..PhoneNumber::default()
            }),
            request_id: Uuid::new_v4().to_string(),
        })
    }

    fn tenant(at: usize) -> Self {
        let id = format!("t{at:04}");
        Self::Tenant(CreateTenantRequest {
            tenant: Some(Tenant { display_name: id.clone(), ..Tenant::default() }),
            tenant_id: id,
            request_id: Uuid::new_v4().to_string(),
        })
    }

    /// Sends it; returns when the resource was made.
    async fn send(&self, node: &Node, clients: &mut Clients, work: &Work) -> Result<Duration, Status> {
        let made_at = match self {
            Self::Number(message) => {
                let answer = clients.numbers.create_phone_number(node.asks(message.clone())).await?;
                let number = answer.into_inner().phone_number.unwrap();
                assert_eq!(number.number, message.phone_number.as_ref().unwrap().number);
                number.create_time
            }
            Self::Tenant(message) => {
                let answer =
                    clients.tenants.create_tenant(node.operates(message.clone())).await?.into_inner();
                let tenant = answer.tenant.unwrap();
                assert_eq!(tenant.name, format!("tenants/{}", message.tenant_id));
                work.secrets.lock().unwrap().push((answer.client_id, answer.client_secret));
                tenant.create_time
            }
        };
        let made_at = made_at.unwrap();
        Ok(Duration::new(made_at.seconds.unsigned_abs(), made_at.nanos.unsigned_abs()))
    }
}

/// What is to be made, and what became of it.
#[derive(Default)]
struct Work {
    left: Mutex<Vec<Create>>,
    /// Creations whose request is held by an attempt of a killed process.
    held: Mutex<Vec<Create>>,
    /// The clients of the tenants that were answered, and their secrets: empty where the answer was stored.
    secrets: Mutex<Vec<(String, String)>>,
    /// Creations that were answered.
    answered: watch::Sender<usize>,
    /// Answers that a killed process had stored and not sent.
    stored: AtomicUsize,
    /// The process is not there any more.
    killed: AtomicBool,
}

/// Sends creations until there are none left or the role is gone. An answer takes its creation off the list.
async fn create_all(node: Arc<Node>, mut clients: Clients, work: Arc<Work>) {
    let began_at = mesh::clock::since_epoch();
    loop {
        let Some(create) = work.left.lock().unwrap().pop() else { return };
        match create.send(&node, &mut clients, &work).await {
            Ok(made_at) => {
                if matches!(create, Create::Number(_)) && made_at < began_at {
                    work.stored.fetch_add(1, Ordering::Relaxed);
                }
                work.answered.send_modify(|answered| *answered += 1);
            }
            Err(status) if reason_of(&status) == Some(ErrorReason::RequestInProgress) => {
                work.held.lock().unwrap().push(create);
            }
            Err(status) => {
                // A lost connection. Anything else, ALREADY_EXISTS above all, would be an effect without its answer.
                let lost = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal];
                // What is sent in the moment of the kill may also be waited for until its deadline.
                let late = status.code() == Code::DeadlineExceeded && work.killed.load(Ordering::Relaxed);
                assert!(late || lost.contains(&status.code()), "{status:?}");
                work.left.lock().unwrap().push(create);
                return;
            }
        }
    }
}

async fn run(database_url: Option<String>) {
    let node = Arc::new(Node::new(database_url).await);
    let work = Arc::new(Work::default());
    let (mut interrupted, mut half_made) = (0, BTreeSet::new());
    for kill in 0..KILLS {
        let mut running = node.start().await;
        work.killed.store(false, Ordering::Relaxed);
        let held = std::mem::take(&mut *work.held.lock().unwrap());
        let mut fresh: Vec<_> = (kill * NUMBERS..(kill + 1) * NUMBERS).map(Create::number).collect();
        for at in 0..TENANTS {
            fresh.insert((at + 1) * NUMBERS / (TENANTS + 1), Create::tenant(kill * TENANTS + at));
        }
        // What a kill interrupted is asked for again first.
        work.left.lock().unwrap().splice(0..0, fresh);
        work.left.lock().unwrap().extend(held);
        let clients = clients(&node, &running, &work);
        // After a random number of answers, and then at a random moment of what is being worked on.
        let random = Uuid::new_v4();
        let mut answered = work.answered.subscribe();
        let enough = *answered.borrow() + usize::from(random.as_bytes()[0]) % NUMBERS;
        let enough = answered.wait_for(|answered| *answered >= enough);
        tokio::time::timeout(READY_TIMEOUT, enough).await.expect("creations are answered").unwrap();
        tokio::time::sleep(Duration::from_micros(u64::from(random.as_bytes()[1]) * 30)).await;
        work.killed.store(true, Ordering::Relaxed);
        running.child.kill().await.expect("SIGKILL");
        clients.join_all().await;
        interrupted += usize::from(!work.left.lock().unwrap().is_empty());
        half_made.extend(work.held.lock().unwrap().iter().filter_map(|create| match create {
            Create::Tenant(message) => Some(message.tenant_id.clone()),
            Create::Number(_) => None,
        }));
    }
    let before = *work.answered.borrow();
    let mut running = node.start().await;
    work.killed.store(false, Ordering::Relaxed);
    let rest = async {
        loop {
            clients(&node, &running, &work).join_all().await;
            let held = std::mem::take(&mut *work.held.lock().unwrap());
            if held.is_empty() {
                return;
            }
            work.left.lock().unwrap().extend(held);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(HELD_TIMEOUT, rest).await.expect("what killed attempts hold becomes free");
    assert!(work.left.lock().unwrap().is_empty());
    check_numbers(&node, &mut running.clients).await;
    let secrets = std::mem::take(&mut *work.secrets.lock().unwrap());
    let shown = check_tenants(&node, &mut running.clients, &secrets).await;
    println!(
        "{KILLS} kills, {interrupted} with creations in flight; {} numbers and {} tenants, each once and whole: {before} \
         answered before the last kill, {} of the numbers' answers stored by a process that did not live to send them; {} \
         tenants were found half made and finished, {shown} secrets shown, each of them good",
        KILLS * NUMBERS,
        KILLS * TENANTS,
        work.stored.load(Ordering::Relaxed),
        half_made.len(),
    );
    assert!(!half_made.is_empty(), "no kill came into the making of a tenant");
    assert!(interrupted >= KILLS / 4, "most kills came too late to matter: {interrupted}");
    node.drain.run(Duration::ZERO, Duration::ZERO).await;
}

fn clients(node: &Arc<Node>, running: &Running, work: &Arc<Work>) -> JoinSet<()> {
    (0..CLIENTS).map(|_| create_all(node.clone(), running.clients.clone(), work.clone())).collect()
}

/// Every number is there once, and so is its creation in the log.
async fn check_numbers(node: &Node, clients: &mut Clients) {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPhoneNumbersRequest { parent: "tenants/demo".into(), page_size: 200, page_token };
        let page = clients.numbers.list_phone_numbers(node.asks(request)).await.unwrap().into_inner();
        found.extend(page.phone_numbers.into_iter().map(|number| number.number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    found.retain(|number| number.starts_with("+1202556"));
    let all: Vec<_> = (0..KILLS * NUMBERS).map(|at| format!("+1202556{at:04}")).collect();
    assert_eq!(found, all);
    let mut logged = log_of(node, clients, "tenants/demo").await;
    logged.sort();
    let name = |number: &String| format!("tenants/demo/phoneNumbers/{}", number.trim_start_matches('+'));
    assert_eq!(logged, all.iter().map(name).collect::<Vec<_>>());
}

/// The resources of a tenant's log.
async fn log_of(node: &Node, clients: &mut Clients, tenant: &str) -> Vec<String> {
    let mut logged = Vec::new();
    let mut page_token = String::new();
    loop {
        let (parent, page_size) = (tenant.to_owned(), 200);
        let request = ListAuditEventsRequest { parent, page_size, page_token, ..Default::default() };
        let page = clients.log.list_audit_events(node.operates(request)).await.unwrap().into_inner();
        logged.extend(page.audit_events.into_iter().map(|event| event.resource));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return logged;
        }
    }
}

/// Every tenant is there once, active, with one log entry, one service account and, at the issuer, its groups with their
/// roles and one client with one right; every secret that was shown opens it. Returns how many were.
async fn check_tenants(node: &Node, clients: &mut Clients, secrets: &[(String, String)]) -> usize {
    let request = ListTenantsRequest { page_size: 200, ..Default::default() };
    let listed = clients.tenants.list_tenants(node.operates(request)).await.unwrap().into_inner().tenants;
    let listed: Vec<_> = listed.into_iter().filter(|tenant| tenant.name != "tenants/demo").collect();
    assert!(listed.iter().all(|tenant| tenant.state() == TenantState::Active), "{listed:?}");
    let ids: Vec<_> = (0..KILLS * TENANTS).map(|at| format!("t{at:04}")).collect();
    let names: Vec<_> = ids.iter().map(|id| format!("tenants/{id}")).collect();
    assert_eq!(
        listed.iter().map(|tenant| &tenant.name).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    for name in &names {
        assert_eq!(log_of(node, clients, name).await, std::slice::from_ref(name));
        let request = ListServiceAccountsRequest { parent: name.clone(), ..Default::default() };
        let accounts = clients.members.list_service_accounts(node.operates(request)).await.unwrap();
        let accounts = accounts.into_inner().service_accounts;
        assert_eq!(
            accounts.iter().map(|a| a.name.clone()).collect::<Vec<_>>(),
            [format!("{name}/serviceAccounts/admin")]
        );
    }
    let file = node.data.path().join("dev-issuer/accounts.json");
    let accounts: Value = serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON");
    for id in &ids {
        check_at_issuer(&accounts, id);
    }
    let http = reqwest::Client::new();
    let mut shown = 0;
    for (client, secret) in secrets.iter().filter(|(_, secret)| !secret.is_empty()) {
        let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
        let url = format!("{}/protocol/openid-connect/token", node.issuer_url);
        let answer = http.post(url).form(&form).send().await.expect("the issuer answers");
        assert!(answer.status().is_success(), "{client}: a secret that was shown opens nothing");
        shown += 1;
    }
    assert_eq!(secrets.len(), ids.len(), "each tenant was answered once");
    shown
}

fn check_at_issuer(accounts: &Value, tenant: &str) {
    let all = |kind: &str| accounts[kind].as_object().expect("an object").iter();
    let below = |parent: &str, name: Option<&str>| -> Vec<(&String, &Value)> {
        let is_it =
            |group: &Value| group["parent"] == parent && name.is_none_or(|name| group["name"] == name);
        all("groups").filter(|(_, group)| is_it(group)).collect()
    };
    let (root, _) = all("groups").find(|(_, group)| group["parent"].is_null()).expect("a root");
    let groups = below(root, Some(tenant));
    assert_eq!(groups.len(), 1, "{tenant}");
    let rights = below(groups[0].0, None);
    assert_eq!(rights.len(), 3, "{tenant}: {rights:?}");
    for (name, role) in
        [("admins", "tenant-admin"), ("operators", "tenant-operator"), ("viewers", "tenant-viewer")]
    {
        let carries = |group: &Value| group["name"] == name && group["roles"] == serde_json::json!([role]);
        assert!(rights.iter().any(|(_, group)| carries(group)), "{tenant}: {rights:?}");
    }
    let prefix = format!("tenant.{tenant}.");
    let of_it = |client: &Value| client["client_id"].as_str().is_some_and(|id| id.starts_with(&prefix));
    let clients: Vec<_> = all("clients").filter(|(_, client)| of_it(client)).collect();
    assert_eq!(clients.len(), 1, "{tenant}: {clients:?}");
    let client = clients[0].1;
    assert!(client["client_id"] == format!("{prefix}admin") && client["enabled"] == true, "{client}");
    let user = client["user"].as_str().expect("its user");
    let (admins, _) = rights.iter().find(|(_, group)| group["name"] == "admins").expect("a group");
    assert_eq!(accounts["users"][user]["groups"], serde_json::json!([admins]), "{tenant}");
}
