//! `check`: looks for what would keep this configuration from working.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    time::timeout,
};
use url::Url;

use crate::{
    Config,
    config::known_vendor,
    exit::{Exit, chain},
};

const REACH_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Note,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    what: String,
    detail: String,
}

fn finding(verdict: Verdict, what: impl Into<String>, detail: impl Into<String>) -> Finding {
    Finding { verdict, what: what.into(), detail: detail.into() }
}

/// Prints what was found; fails with 69 if something cannot work.
pub async fn run(config: &Config, json: bool) -> Result<(), Exit> {
    let mut findings = vec![finding(Verdict::Ok, "configuration", "every value is allowed")];
    findings.push(data_dir(&config.data_dir));
    for (what, address) in
        [("http_addr", config.http_addr), ("grpc_addr", config.grpc_addr), ("admin_addr", config.admin_addr)]
    {
        findings.push(can_bind(what, address).await);
    }
    for (name, vendor) in &config.vendors {
        findings.push(match (&vendor.api_key, &vendor.base_url) {
            (None, None) => finding(
                Verdict::Note,
                *name,
                format!(
                    "no {}_API_KEY: `up` and `demo` rehearse it, {}",
                    name.to_uppercase(),
                    if known_vendor(name).needed {
                        "`serve tenancy` is refused"
                    } else {
                        "with `serve` no agent can use it"
                    }
                ),
            ),
            (_, Some(url)) => reach(name, url).await,
            (Some(_), None) => reach(name, &default_url(name)).await,
        });
    }
    findings.push(match &config.database_url {
        Some(url) => match tenancy::check_database(url).await {
            Ok(()) => finding(Verdict::Ok, "database", "it answers, and its schema and login fit"),
            Err(error) => finding(Verdict::Fail, "database", chain(&error)),
        },
        None => finding(Verdict::Ok, "database", "no DATABASE_URL: SQLite in data_dir"),
    });
    findings.push(match config.twilio_auth_token {
        Some(_) => finding(Verdict::Ok, "twilio", "webhooks are checked against the auth token"),
        None => finding(Verdict::Note, "twilio", "no TWILIO_AUTH_TOKEN: every webhook is refused"),
    });
    findings.push(match config.exotel.webhook_secret {
        Some(_) => finding(Verdict::Ok, "exotel", "webhooks must have the secret in their path"),
        None => finding(
            Verdict::Note,
            "exotel",
            "no EXOTEL_WEBHOOK_SECRET: every webhook is refused, but by `up` on loopback, which takes demo",
        ),
    });
    match &config.oidc.issuer {
        Some(issuer) => {
            let url = config.oidc.url.clone().or_else(|| issuer.parse().ok());
            if let Some(url) = url {
                findings.push(reach("oidc", &url).await);
            }
        }
        None => {
            findings.push(finding(Verdict::Note, "oidc", "no issuer: `up` runs its own, `serve` is refused"))
        }
    }
    for (role, url) in &config.peers {
        findings.push(reach(&format!("peer {role}"), url).await);
    }
    print(&findings, json);
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    if failed == 0 { Ok(()) } else { Err(Exit::unavailable(format!("{failed} of the checks failed"))) }
}

fn print(findings: &[Finding], json: bool) {
    if json {
        println!("{}", serde_json::json!({ "findings": findings }));
        return;
    }
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Note => "note",
            Verdict::Fail => "FAIL",
        };
        println!("{verdict}  {:<18} {}", finding.what, finding.detail);
    }
}

fn data_dir(path: &Path) -> Finding {
    let probe = path.join(".trunkline-check");
    let written = std::fs::create_dir_all(path)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => finding(Verdict::Ok, "data_dir", format!("{} can be written", path.display())),
        Err(error) => finding(Verdict::Fail, "data_dir", format!("{}: {error}", path.display())),
    }
}

async fn can_bind(what: &str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => finding(Verdict::Ok, what, format!("{address} is free")),
        Err(error) => finding(Verdict::Fail, what, format!("{address}: {error}")),
    }
}

fn default_url(vendor: &str) -> Url {
    match known_vendor(vendor).origin.parse() {
        Ok(url) => url,
        Err(_) => unreachable!("a constant that parses"),
    }
}

async fn reach(what: &str, url: &Url) -> Finding {
    let host = url.host_str().unwrap_or_default();
    let default = if matches!(url.scheme(), "https" | "wss") { 443 } else { 80 };
    let port = url.port().unwrap_or(default);
    let shown = format!("{host}:{port}");
    let connect = async {
        let mut last = "no address".to_owned();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        for address in lookup_host((bare, port)).await.map_err(|error| error.to_string())? {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    };
    match timeout(REACH_TIMEOUT, connect).await {
        Ok(Ok(())) => finding(Verdict::Ok, what, format!("{shown} answers")),
        Ok(Err(error)) => finding(Verdict::Fail, what, format!("{shown}: {error}")),
        Err(_) => finding(Verdict::Fail, what, format!("{shown}: no answer in 3 s")),
    }
}
