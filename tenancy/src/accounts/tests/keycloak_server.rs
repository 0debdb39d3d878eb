//! A real Keycloak with the realm file, from the distribution that `deploy/scripts/keycloak` keeps.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use mesh::{Pii, auth::CLIENTS, clock};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use url::Url;

use super::{Server, http};

/// As an operator starts it.
const IMPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/scripts/keycloak-import");
/// A cold start takes 25 to 60 s on two cores.
const START_TIMEOUT: Duration = Duration::from_secs(240);
const ADMIN: (&str, &str) = ("boot", "boot-secret");
const KEYS: &str = "org.keycloak.keys.KeyProvider";

pub(super) struct Keycloak {
    child: Child,
    /// Its process group, while it runs.
    group: Option<u32>,
    port: u16,
    version: String,
    http: reqwest::Client,
    /// The component that signed before the current one, once there is one.
    old_key: Option<Value>,
}

/// The distribution, or a word on why its tests do not run; it must be there where `TRUNKLINE_REQUIRE_ENGINES` is 1.
fn distribution() -> Option<PathBuf> {
    let home = std::env::var_os("TRUNKLINE_KEYCLOAK_HOME").filter(|home| !home.is_empty());
    if home.is_none() {
        let required = std::env::var("TRUNKLINE_REQUIRE_ENGINES").is_ok_and(|value| value == "1");
        assert!(!required, "set TRUNKLINE_KEYCLOAK_HOME to a Keycloak 26 distribution");
        println!("keycloak: not run, TRUNKLINE_KEYCLOAK_HOME does not name a distribution");
    }
    home.map(PathBuf::from)
}

/// A port that no outgoing connection takes in the meantime.
fn free_port(from: u16) -> u16 {
    (from..32_768).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

impl Keycloak {
    pub(super) async fn start() -> Option<Self> {
        let home = distribution()?;
        let started_at = clock::now();
        let port = free_port(28_080);
        let management = free_port(port + 1);
        let child = command(&home, port, management).spawn().expect("the script runs");
        let group = child.id();
        let http = http();
        let mut keycloak = Self { child, group, port, version: String::new(), http, old_key: None };
        keycloak.until_ready(management).await;
        let took = clock::now() - started_at;
        let info = keycloak.admin(reqwest::Method::GET, "/admin/serverinfo", None).await;
        keycloak.version = info["systemInfo"]["version"].as_str().unwrap().to_owned();
        println!("engine: keycloak {}, ready in {:.1} s", keycloak.version, took.as_secs_f64());
        Some(keycloak)
    }

    async fn until_ready(&mut self, management: u16) {
        let url = format!("http://127.0.0.1:{management}/health/ready");
        let started_at = clock::now();
        loop {
            if self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "keycloak ended: {ended:?}");
            assert!(
                clock::now() - started_at < START_TIMEOUT,
                "keycloak is not ready after {START_TIMEOUT:?}"
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// A request as the server's own administrator, who may do what svc-tenancy may not.
    async fn admin(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Value {
        let base = format!("http://127.0.0.1:{}", self.port);
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", ADMIN.0),
            ("password", ADMIN.1),
        ];
        let grant = self.http.post(format!("{base}/realms/master/protocol/openid-connect/token")).form(&form);
        let grant: Value = grant.send().await.unwrap().json().await.unwrap();
        let request = self.http.request(method, format!("{base}{path}"));
        let mut request = request.bearer_auth(grant["access_token"].as_str().unwrap());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    /// The realm's key components that sign with RSA.
    async fn signing_keys(&self) -> Vec<Value> {
        let path = format!("/admin/realms/trunkline/components?type={KEYS}");
        let all = self.admin(reqwest::Method::GET, &path, None).await;
        all.as_array().unwrap().iter().filter(|key| key["providerId"] == "rsa-generated").cloned().collect()
    }
}

fn command(home: &Path, port: u16, management: u16) -> Command {
    let mut command = Command::new(IMPORT);
    command
        .arg(home)
        .args(["start-dev", "--db=dev-mem", "--health-enabled=true"])
        .args(["--http-host=127.0.0.1", "--http-management-host=127.0.0.1"])
        .arg(format!("--http-port={port}"))
        .arg(format!("--http-management-port={management}"))
        .env_clear()
        .envs(["PATH", "HOME", "JAVA_HOME"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs([("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN.0), ("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN.1)])
        .envs(CLIENTS.map(|(client, _)| (secret_variable(client), secret_of(client))))
        // A short life does not repay the second compiler.
        .env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // The script starts Java as a child, which a signal to the script alone would leave behind.
        .process_group(0);
    command
}

/// The variable of the realm file that holds a client's secret.
fn secret_variable(client: &str) -> String {
    let name = client.trim_start_matches("trunkline-").replace('-', "_").to_uppercase();
    format!("TRUNKLINE_{name}_SECRET")
}

fn secret_of(client: &str) -> String {
    format!("the-secret-of-{client}")
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status();
        }
    }
}

#[tonic::async_trait(?Send)]
impl Server for Keycloak {
    fn name(&self) -> String {
        format!("keycloak {}", self.version)
    }

    fn realm_url(&self) -> Url {
        format!("http://127.0.0.1:{}/realms/trunkline", self.port).parse().unwrap()
    }

    fn secret(&self, client: &str) -> Pii<String> {
        Pii::new(secret_of(client))
    }

    async fn rotate_key(&mut self) {
        let keys = self.signing_keys().await;
        let key = json!({
            "name": "rotated",
            "providerId": "rsa-generated",
            "providerType": KEYS,
            "parentId": keys[0]["parentId"],
            "config": { "priority": ["200"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"] },
        });
        self.admin(reqwest::Method::POST, "/admin/realms/trunkline/components", Some(&key)).await;
        self.old_key = Some(keys[0].clone());
    }

    async fn drop_old_key(&mut self) {
        let mut key = self.old_key.take().unwrap();
        key["config"]["enabled"] = json!(["false"]);
        let path = format!("/admin/realms/trunkline/components/{}", key["id"].as_str().unwrap());
        self.admin(reqwest::Method::PUT, &path, Some(&key)).await;
    }

    async fn stop(&mut self) {
        let group = format!("-{}", self.group.take().unwrap());
        let status = Command::new("kill").args(["-TERM", "--", &group]).status().await;
        assert!(status.unwrap().success());
        self.child.wait().await.unwrap();
    }
}
