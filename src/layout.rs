//! A whole platform with the tenant `demo` on rehearsed vendors: all roles in this process, or each in one of its own.
//! For the demo and for the tests of whole calls.

mod watch;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use mesh::{Drain, auth::Issuer};
use tenancy::Tenancy;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use url::Url;
pub use watch::Events;

use crate::{
    Config, Node, Plan, Role,
    exit::{Exit, chain},
};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The secret in the paths of Exotel's webhooks, where nobody has set one.
pub const DEMO_SECRET: &str = "demo";

/// The running roles.
pub struct Layout {
    /// Where carriers call.
    pub http: Url,
    /// The gateway's gRPC address.
    pub gateway: Url,
    /// The retrieval role's gRPC address.
    pub retrieval: Url,
    /// The tenancy role's gRPC address.
    pub tenancy: Url,
    /// Mints the demo's tokens.
    pub issuer: Issuer,
    /// For people.
    pub name: &'static str,
    running: Running,
}

/// A configuration for a layout: every address free, the stores in `data_dir`, webhooks signed with `auth_token`.
pub fn prepare(config: &mut Config, data_dir: &Path, auth_token: &str) {
    for address in [&mut config.http_addr, &mut config.grpc_addr, &mut config.admin_addr] {
        address.set_port(0);
    }
    config.public_url = None;
    config.data_dir = data_dir.to_owned();
    config.twilio_auth_token = Some(auth_token.to_owned().into());
    config.exotel.webhook_secret = Some(DEMO_SECRET.to_owned().into());
    config.drain_deadline = Duration::from_secs(5);
}

enum Running {
    Together(Box<Node>),
    Split { children: Vec<(Role, Child)>, realm: Drain },
}

fn url(address: impl std::fmt::Display) -> Result<Url, Exit> {
    format!("http://{address}").parse().map_err(Exit::internal)
}

/// All roles in this process.
///
/// # Errors
/// As [`Node::start`].
pub async fn together(config: Config) -> Result<Layout, Exit> {
    let node =
        Node::start(Plan { config, roles: Role::ALL.into_iter().collect(), development: true }).await?;
    let issuer = node.issuer.clone().ok_or_else(|| Exit::internal("the node has no issuer"))?;
    let http = node.http.ok_or_else(|| Exit::internal("the node has no HTTP address"))?;
    Ok(Layout {
        http: url(http)?,
        gateway: url(node.grpc)?,
        retrieval: url(node.grpc)?,
        tenancy: url(node.grpc)?,
        issuer,
        name: "all roles in one process",
        running: Running::Together(Box::new(node)),
    })
}

/// Each role in a process of its own, of this binary; the issuer and the rehearsals stay here.
///
/// # Errors
/// 69 or 70 if a process does not become ready.
pub async fn split(config: Config, binary: &Path) -> Result<Layout, Exit> {
    let seeded = tenancy::Config {
        database_url: config.database_url.clone(),
        seed_demo: true,
        ..tenancy::Config::new(config.data_dir.clone())
    };
    Tenancy::open(seeded).await.map_err(|error| Exit::unavailable(chain(&error)))?;
    let documents = write_documents(&config)?;
    let (issuer, realm_url, realm) = realm(&config).await?;
    let mut children = Vec::new();
    let mut addresses: BTreeMap<Role, Ready> = BTreeMap::new();
    for role in Role::ALL.into_iter().rev() {
        let mut command = command(&config, binary, role);
        command.env("TRUNKLINE_OIDC_ISSUER", &realm_url);
        command.env("TRUNKLINE_OIDC_CLIENT_ID", role.service());
        command
            .env("TRUNKLINE_OIDC_CLIENT_SECRET", issuer.client_secret(&role.service()).unwrap_or_default());
        if role == Role::Retrieval {
            command.env("TRUNKLINE_DOCUMENTS_DIR", &documents);
        }
        for (peer, ready) in &addresses {
            let name = peer.name().replace('-', "_").to_uppercase();
            command.env(format!("TRUNKLINE_{name}_URL"), format!("http://{}", ready.grpc));
        }
        let (child, ready) = spawn(command, role).await?;
        children.push((role, child));
        addresses.insert(role, ready);
    }
    let grpc = |role: Role| url(addresses[&role].grpc);
    let http = addresses[&Role::TelephonyGw]
        .http
        .ok_or_else(|| Exit::internal("the gateway has no HTTP address"))?;
    Ok(Layout {
        http: url(http)?,
        gateway: grpc(Role::TelephonyGw)?,
        retrieval: grpc(Role::Retrieval)?,
        tenancy: grpc(Role::Tenancy)?,
        issuer,
        name: "each role in a process of its own",
        running: Running::Split { children, realm },
    })
}

impl Layout {
    /// Stops every role in good order.
    pub async fn stop(self) {
        match self.running {
            Running::Together(node) => {
                node.stop().await;
            }
            Running::Split { mut children, realm } => {
                // Callers before those they call, so that nobody loses a hop that it still needs.
                for (_, child) in children.iter_mut().rev() {
                    terminate(child).await;
                }
                realm.run(Duration::ZERO, Duration::ZERO).await;
            }
        }
    }
}

async fn terminate(child: &mut Child) {
    let Some(pid) = child.id() else { return };
    let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
    if tokio::time::timeout(EXIT_TIMEOUT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn write_documents(config: &Config) -> Result<PathBuf, Exit> {
    let root = config.data_dir.join("documents");
    let folder = root.join("demo");
    std::fs::create_dir_all(&folder).map_err(Exit::unavailable)?;
    for (id, text) in retrieval::demo_documents() {
        std::fs::write(folder.join(format!("{id}.md")), text).map_err(Exit::unavailable)?;
    }
    Ok(root)
}

/// The development issuer on an address of its own.
async fn realm(config: &Config) -> Result<(Issuer, String, Drain), Exit> {
    let issuer = Issuer::open(&config.data_dir).map_err(|error| Exit::unavailable(chain(&error)))?;
    let listener = TcpListener::bind(config.admin_addr).await.map_err(Exit::unavailable)?;
    let name = format!("http://{}/realms/trunkline", listener.local_addr().map_err(Exit::unavailable)?);
    issuer.set_url(&name).map_err(|error| Exit::unavailable(chain(&error)))?;
    let drain = Drain::new();
    let (router, ended) = (issuer.router(), drain.clone());
    tokio::spawn(async move {
        let _ =
            axum::serve(listener, router).with_graceful_shutdown(async move { ended.started().await }).await;
    });
    Ok((issuer, name, drain))
}

/// A role's process, told everything by its environment.
fn command(config: &Config, binary: &Path, role: Role) -> Command {
    let mut command = Command::new(binary);
    command.arg("serve").arg(role.name());
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| {
        // Telemetry settings reach the children; anything else of ours is said here.
        name.to_str().is_some_and(|name| {
            !["TRUNKLINE_", "DATABASE_"].iter().any(|ours| name.starts_with(ours))
                && !name.ends_with("_API_KEY")
        })
    }));
    if let (Some(url), Role::Tenancy) = (&config.database_url, role) {
        command.env("DATABASE_URL", url.expose());
    }
    command.current_dir(&config.data_dir);
    for name in ["HTTP", "GRPC", "ADMIN"] {
        command.env(format!("TRUNKLINE_{name}_ADDR"), "127.0.0.1:0");
    }
    command.env("TRUNKLINE_DATA_DIR", &config.data_dir);
    command.env("TRUNKLINE_LOG", &config.log_filter);
    command.env("TRUNKLINE_DRAIN_DEADLINE_S", config.drain_deadline.as_secs().to_string());
    for (name, vendor) in &config.vendors {
        let name = name.to_uppercase();
        if let Some(url) = &vendor.base_url {
            command.env(format!("{name}_BASE_URL"), url.as_str());
        }
        if let (Some(key), Role::Tenancy) = (&vendor.api_key, role) {
            command.env(format!("{name}_API_KEY"), key.expose());
        }
    }
    if let Some(token) = &config.twilio_auth_token {
        command.env("TWILIO_AUTH_TOKEN", token.expose());
    }
    if let Some(url) = &config.twilio_base_url {
        command.env("TWILIO_BASE_URL", url.as_str());
    }
    if let Some(secret) = &config.exotel.webhook_secret {
        command.env("EXOTEL_WEBHOOK_SECRET", secret.expose());
    }
    let exotel = [("KEY", &config.exotel.api_key), ("TOKEN", &config.exotel.api_token)];
    for (name, secret) in exotel.iter().filter(|_| role == Role::TelephonyGw) {
        if let Some(secret) = secret {
            command.env(format!("EXOTEL_API_{name}"), secret.expose());
        }
    }
    for (name, text) in [
        ("EXOTEL_BASE_URL", config.exotel.base_url.as_ref().map(Url::as_str)),
        ("EXOTEL_ACCOUNT_SID", config.exotel.account_sid.as_deref()),
        ("TWILIO_ACCOUNT_SID", config.twilio_account_sid.as_deref()),
    ] {
        command.envs(text.map(|text| (name, text)));
    }
    command.env("EXOTEL_SAMPLE_RATE", config.exotel.sample_rate_hz.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// The addresses in a ready line.
struct Ready {
    http: Option<SocketAddr>,
    grpc: SocketAddr,
}

async fn spawn(mut command: Command, role: Role) -> Result<(Child, Ready), Exit> {
    let mut child = command.spawn().map_err(|error| Exit::internal(format!("{role}: {error}")))?;
    let stdout = child.stdout.take().ok_or_else(|| Exit::internal(format!("{role} has no output")))?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(ready) = parse_ready(&line) {
                return Some(ready);
            }
        }
        None
    };
    let ready = tokio::time::timeout(READY_TIMEOUT, ready).await.ok().flatten();
    // Keeps the pipe open: a later line of the child must not kill it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    ready.map(|ready| (child, ready)).ok_or_else(|| Exit::unavailable(format!("{role} did not become ready")))
}

fn parse_ready(line: &str) -> Option<Ready> {
    let rest = line.strip_prefix("ready ")?;
    let field = |name: &str| rest.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    Some(Ready { http: field("http").and_then(|http| http.parse().ok()), grpc: field("grpc")?.parse().ok()? })
}
