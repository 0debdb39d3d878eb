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
};
use proto::{
    auth::v1::Role,
    tenancy::v1::{
        CreatePhoneNumberRequest, ListAuditEventsRequest, ListPhoneNumbersRequest, PhoneNumber,
        audit_service_client::AuditServiceClient, phone_number_service_client::PhoneNumberServiceClient,
    },
    types::v1::Carrier,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Child,
    sync::watch,
    task::JoinSet,
};
use tonic::{Code, Request, metadata::MetadataValue};
use uuid::Uuid;

use crate::{
    binary::{command, output, stderr},
    trial,
};

const KILLS: usize = 50;
/// Creations begun before each kill; all of them together stay below a tenant's quota.
const CREATES: usize = 18;
const CLIENTS: usize = 4;
const READY_TIMEOUT: Duration = Duration::from_secs(30);

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
    numbers: PhoneNumberServiceClient<mesh::Hop>,
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
        Running {
            child,
            numbers: PhoneNumberServiceClient::new(hop.clone()),
            log: AuditServiceClient::new(hop),
        }
    }

    fn asks<T>(&self, message: T) -> Request<T> {
        let request = MintRequest {
            client: "acme".into(),
            roles: vec![Role::TenantAdmin],
            groups: vec!["/tenants/demo/admins".into()],
            ttl: Duration::from_secs(300),
        };
        let token = self.issuer.mint(&request, mesh::clock::since_epoch()).expect("a token");
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        request
    }
}

/// A creation: its request's id and its number.
#[derive(Clone)]
struct Create {
    request_id: String,
    number: String,
}

impl Create {
    fn new(at: usize) -> Self {
        Self { request_id: Uuid::new_v4().to_string(), number: format!("+1202556{at:04}") }
    }

    fn message(&self) -> CreatePhoneNumberRequest {
        CreatePhoneNumberRequest {
            parent: "tenants/demo".into(),
            phone_number: Some(PhoneNumber {
                number: self.number.clone(),
                carrier: Carrier::Twilio.into(),
                agent: "tenants/demo/agents/front-desk".into(),
                ..PhoneNumber::default()
            }),
            request_id: self.request_id.clone(),
        }
    }
}

/// What is to be made, and what became of it.
struct Work {
    left: Mutex<Vec<Create>>,
    /// Creations that were answered.
    answered: watch::Sender<usize>,
    /// Answers that a killed process had stored and not sent.
    stored: AtomicUsize,
    /// The process is not there any more.
    killed: AtomicBool,
}

/// Sends creations until there are none left or the role is gone. An answer takes its creation off the list.
async fn create_all(node: Arc<Node>, mut numbers: PhoneNumberServiceClient<mesh::Hop>, work: Arc<Work>) {
    let began_at = mesh::clock::since_epoch();
    loop {
        let Some(create) = work.left.lock().unwrap().pop() else { return };
        match numbers.create_phone_number(node.asks(create.message())).await {
            Ok(answer) => {
                let number = answer.into_inner().phone_number.unwrap();
                assert_eq!(number.number, create.number);
                let made_at = number.create_time.unwrap();
                let made_at = Duration::new(made_at.seconds.unsigned_abs(), made_at.nanos.unsigned_abs());
                if made_at < began_at {
                    work.stored.fetch_add(1, Ordering::Relaxed);
                }
                work.answered.send_modify(|answered| *answered += 1);
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
    let work = Arc::new(Work {
        left: Mutex::default(),
        answered: watch::Sender::new(0),
        stored: AtomicUsize::new(0),
        killed: AtomicBool::new(false),
    });
    let mut all = BTreeSet::new();
    let mut interrupted = 0;
    for kill in 0..KILLS {
        let mut running = node.start().await;
        work.killed.store(false, Ordering::Relaxed);
        let fresh: Vec<_> = (kill * CREATES..(kill + 1) * CREATES).map(Create::new).collect();
        all.extend(fresh.iter().map(|create| create.number.clone()));
        work.left.lock().unwrap().extend(fresh);
        let clients = clients(&node, &running, &work);
        // After a random number of answers, and then at a random moment of what is being worked on.
        let random = Uuid::new_v4();
        let mut answered = work.answered.subscribe();
        let enough = *answered.borrow() + usize::from(random.as_bytes()[0]) % CREATES;
        let enough = answered.wait_for(|answered| *answered >= enough);
        tokio::time::timeout(READY_TIMEOUT, enough).await.expect("creations are answered").unwrap();
        tokio::time::sleep(Duration::from_micros(u64::from(random.as_bytes()[1]) * 30)).await;
        work.killed.store(true, Ordering::Relaxed);
        running.child.kill().await.expect("SIGKILL");
        clients.join_all().await;
        interrupted += usize::from(!work.left.lock().unwrap().is_empty());
    }
    let before = *work.answered.borrow();
    let mut running = node.start().await;
    work.killed.store(false, Ordering::Relaxed);
    clients(&node, &running, &work).join_all().await;
    check(&node, &mut running, &all).await;
    println!(
        "{KILLS} kills, {interrupted} with creations in flight; {} numbers, each once: {before} answered before the last \
         kill, {} of the answers stored by a process that did not live to send them",
        all.len(),
        work.stored.load(Ordering::Relaxed)
    );
    assert!(work.left.lock().unwrap().is_empty());
    assert!(interrupted >= KILLS / 4, "most kills came too late to matter: {interrupted}");
    node.drain.run(Duration::ZERO, Duration::ZERO).await;
}

fn clients(node: &Arc<Node>, running: &Running, work: &Arc<Work>) -> JoinSet<()> {
    (0..CLIENTS).map(|_| create_all(node.clone(), running.numbers.clone(), work.clone())).collect()
}

/// Every number is there once, and so is its creation in the log.
async fn check(node: &Node, running: &mut Running, all: &BTreeSet<String>) {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPhoneNumbersRequest { parent: "tenants/demo".into(), page_size: 200, page_token };
        let page = running.numbers.list_phone_numbers(node.asks(request)).await.unwrap().into_inner();
        found.extend(page.phone_numbers.into_iter().map(|number| number.number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    found.retain(|number| number.starts_with("+1202556"));
    assert_eq!(found, all.iter().cloned().collect::<Vec<_>>());
    let mut logged = Vec::new();
    loop {
        let request = ListAuditEventsRequest {
            parent: "tenants/demo".into(),
            page_size: 200,
            page_token,
            ..Default::default()
        };
        let page = running.log.list_audit_events(node.asks(request)).await.unwrap().into_inner();
        logged.extend(page.audit_events.into_iter().map(|event| event.resource));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    logged.sort();
    let names: Vec<_> = all
        .iter()
        .map(|number| format!("tenants/demo/phoneNumbers/{}", number.trim_start_matches('+')))
        .collect();
    assert_eq!(logged, names);
}
