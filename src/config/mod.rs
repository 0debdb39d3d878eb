//! The node's configuration: defaults < `trunkline.toml` < environment < flags. Everything is read and checked before
//! anything is bound, and all wrong values are reported at once.

mod reader;
mod table;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use mesh::Pii;
use telephony_gw::Network;
use url::Url;

pub use reader::{Problem, Problems, Sources};
pub use table::{SETTINGS, Setting, sample};

use crate::role::Role;
use reader::Reader;

/// A vendor whose service is rented.
#[derive(Debug, Clone)]
pub struct Vendor {
    /// The key; absent: a rehearsal serves in `up` and `demo`, and `serve tenancy` is refused.
    pub api_key: Option<Pii<String>>,
    /// Its origin.
    pub base_url: Option<Url>,
    /// Concurrent calls of this node that may use it; absent: as many as there are.
    pub calls_max: Option<usize>,
}

/// Where tokens come from.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// The issuer as it stands in tokens; absent: the development issuer.
    pub issuer: Option<String>,
    /// Our audience.
    pub audience: String,
    /// Where the same issuer is reached from here, if not at its own name.
    pub url: Option<Url>,
    /// This node's client, one for all of its roles; absent: one client a role, `svc-{role}`.
    pub client_id: Option<String>,
    /// The client's secret.
    pub client_secret: Option<Pii<String>>,
}

/// The platform's Exotel account.
#[derive(Debug, Clone)]
pub struct Exotel {
    /// Streams of other accounts are refused.
    pub account_sid: Option<String>,
    /// In the path of every webhook; without it every one is refused.
    pub webhook_secret: Option<Pii<String>>,
    /// The key of its REST API; without it no call is placed.
    pub api_key: Option<Pii<String>>,
    /// The token that goes with the key.
    pub api_token: Option<Pii<String>>,
    /// The origin of its REST API; `None`: the vendor's.
    pub base_url: Option<Url>,
    /// Where Exotel calls from; empty: anywhere.
    pub networks: Vec<Network>,
    /// The rate that media streams are asked for.
    pub sample_rate_hz: u32,
}

/// TLS of the hops between nodes.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// PEM certificate chain of this node.
    pub cert: Option<PathBuf>,
    /// PEM key of this node.
    pub key: Option<PathBuf>,
    /// PEM certificates that sign the other nodes' certificates; with it, clients must show one too.
    pub ca: Option<PathBuf>,
}

/// Everything a node is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Carrier webhooks and media WebSockets.
    pub http_addr: SocketAddr,
    /// All gRPC services.
    pub grpc_addr: SocketAddr,
    /// Health, metrics, and the development issuer.
    pub admin_addr: SocketAddr,
    /// What carriers call; default `http://` and the HTTP address.
    pub public_url: Option<Url>,
    /// Embedded stores.
    pub data_dir: PathBuf,
    /// PostgreSQL for what tenancy keeps; absent: SQLite.
    pub database_url: Option<Pii<String>>,
    /// The same with the owner's login, for `migrate`.
    pub database_owner_url: Option<Pii<String>>,
    /// Documents to ingest at start: `<dir>/<tenant>/*.md`.
    pub documents_dir: Option<PathBuf>,
    /// This node's name in media URLs.
    pub node: String,
    /// Where a role runs that this node does not.
    pub peers: BTreeMap<Role, Url>,
    /// Identity.
    pub oidc: Oidc,
    /// TLS between nodes.
    pub tls: Tls,
    /// Vendors by name.
    pub vendors: BTreeMap<&'static str, Vendor>,
    /// Twilio's account id.
    pub twilio_account_sid: Option<String>,
    /// Twilio's token; without it every webhook is refused.
    pub twilio_auth_token: Option<Pii<String>>,
    /// The origin of Twilio's REST API; `None`: the vendor's.
    pub twilio_base_url: Option<Url>,
    /// Exotel.
    pub exotel: Exotel,
    /// Deepgram's model.
    pub deepgram_model: String,
    /// Anthropic's API version.
    pub anthropic_version: String,
    /// Used instead of the agent's model.
    pub anthropic_model: Option<String>,
    /// Used when the agent's model fails.
    pub anthropic_fallback_model: Option<String>,
    /// The most tokens of one reply, whatever the agent says.
    pub anthropic_max_tokens: u32,
    /// `silero` or `onnx`.
    pub vad_engine: String,
    /// VAD threads.
    pub vad_threads: usize,
    /// ONNX Runtime's library, for the second engine.
    pub vad_onnxruntime_lib: Option<PathBuf>,
    /// Concurrent calls of this node.
    pub calls_max: usize,
    /// The longest call.
    pub call_duration_max: Duration,
    /// How long a drain may take.
    pub drain_deadline: Duration,
    /// OTLP endpoint for traces.
    pub otlp_endpoint: Option<Url>,
    /// Log filter, as `tracing-subscriber` reads it.
    pub log_filter: String,
    /// Log as JSON lines.
    pub log_json: bool,
    /// Where rehearsal servers write what they see, as JSON lines.
    pub rehearsal_log: Option<PathBuf>,
    /// A folder of recordings, `NAME.wav` with its words in `NAME.txt`, that the rehearsal Deepgram recognises.
    pub rehearsal_recordings: Option<PathBuf>,
    /// Latencies of the rehearsal servers, `deepgram=120,anthropic=250,cartesia=90` in ms.
    pub rehearsal_latency: BTreeMap<String, Duration>,
}

/// What is known of a vendor before anything is configured.
#[derive(Debug, Clone, Copy)]
pub struct KnownVendor {
    /// Its name in settings and keys.
    pub name: &'static str,
    /// Where it is, unless a setting says otherwise.
    pub origin: &'static str,
    /// No agent can do without it; the others are needed only by agents that name them.
    pub needed: bool,
    /// Calls use it while they last, so their number at once can be limited.
    pub is_of_calls: bool,
}

/// The vendors of the design, in its order.
pub const VENDORS: [KnownVendor; 5] = [
    KnownVendor { name: "deepgram", origin: "wss://api.deepgram.com", needed: true, is_of_calls: true },
    KnownVendor { name: "anthropic", origin: "https://api.anthropic.com", needed: true, is_of_calls: true },
    KnownVendor { name: "cartesia", origin: "wss://api.cartesia.ai", needed: true, is_of_calls: true },
    KnownVendor { name: "sarvam", origin: "wss://api.sarvam.ai", needed: false, is_of_calls: true },
    KnownVendor { name: "voyage", origin: "https://api.voyageai.com", needed: true, is_of_calls: false },
];

/// A vendor by its name.
///
/// # Panics
/// The name is of no vendor: a fault of ours.
pub fn known_vendor(name: &str) -> KnownVendor {
    let found = VENDORS.into_iter().find(|vendor| vendor.name == name);
    found.unwrap_or_else(|| panic!("{name} is no vendor"))
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every wrong value, each with its key, its source and what is allowed.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let mut reader = Reader::new(sources);
        let peers = Role::ALL
            .into_iter()
            .filter_map(|role| {
                Some((role, reader.origin(&format!("peers.{}", role.name().replace('-', "_")))?))
            })
            .collect();
        let vendors = VENDORS
            .into_iter()
            .map(|KnownVendor { name, is_of_calls, .. }| {
                let vendor = Vendor {
                    api_key: reader.secret(&format!("{name}.api_key")),
                    base_url: reader.origin(&format!("{name}.base_url")),
                    calls_max: if is_of_calls {
                        reader.optional_within(&format!("{name}.calls_max"), 1..=1000).map(|max| max as usize)
                    } else {
                        None
                    },
                };
                (name, vendor)
            })
            .collect();
        let config = Self {
            http_addr: reader.required("http_addr"),
            grpc_addr: reader.required("grpc_addr"),
            admin_addr: reader.required("admin_addr"),
            public_url: reader.origin("public_url"),
            data_dir: reader.required("data_dir"),
            database_url: reader.secret("database.url"),
            database_owner_url: reader.secret("database.owner_url"),
            documents_dir: reader.optional("documents_dir"),
            node: reader.matching("node", |name| {
                (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            }),
            peers,
            oidc: Oidc {
                issuer: reader.origin("oidc.issuer").map(|url| url.as_str().trim_end_matches('/').to_owned()),
                audience: reader.required("oidc.audience"),
                url: reader.origin("oidc.url"),
                client_id: reader.optional("oidc.client_id"),
                client_secret: reader.secret("oidc.client_secret"),
            },
            tls: Tls {
                cert: reader.file("tls.cert"),
                key: reader.file("tls.key"),
                ca: reader.file("tls.ca"),
            },
            vendors,
            twilio_account_sid: reader.optional("twilio.account_sid"),
            twilio_auth_token: reader.secret("twilio.auth_token"),
            twilio_base_url: reader.origin("twilio.base_url"),
            exotel: Exotel {
                account_sid: reader.optional("exotel.account_sid"),
                webhook_secret: reader.secret_in_url("exotel.webhook_secret"),
                api_key: reader.secret("exotel.api_key"),
                api_token: reader.secret("exotel.api_token"),
                base_url: reader.origin("exotel.base_url"),
                networks: reader.networks("exotel.networks"),
                sample_rate_hz: reader
                    .matching("exotel.sample_rate", |rate| matches!(rate, "8000" | "16000" | "24000"))
                    .parse()
                    .unwrap_or(8_000),
            },
            deepgram_model: reader.required("deepgram.model"),
            anthropic_version: reader.required("anthropic.version"),
            anthropic_model: reader.optional("anthropic.model"),
            anthropic_fallback_model: reader.optional("anthropic.fallback_model"),
            anthropic_max_tokens: reader.within("anthropic.max_tokens", 1..=4096),
            vad_engine: reader.matching("vad.engine", |engine| matches!(engine, "silero" | "onnx")),
            vad_threads: reader.within("vad.threads", 1..=64) as usize,
            vad_onnxruntime_lib: reader.file("vad.onnxruntime_lib"),
            calls_max: reader.within("calls_max", 1..=1000) as usize,
            call_duration_max: Duration::from_secs(reader.within("call_duration_max_s", 10..=14_400).into()),
            drain_deadline: Duration::from_secs(reader.within("drain_deadline_s", 0..=14_400).into()),
            otlp_endpoint: reader.origin("otlp_endpoint"),
            log_filter: reader.required("log.filter"),
            log_json: reader.required("log.json"),
            rehearsal_log: reader.optional("rehearsal.log"),
            rehearsal_recordings: reader.optional("rehearsal.recordings"),
            rehearsal_latency: reader.latencies("rehearsal.latency_ms"),
        };
        reader.pair("tls.cert", "tls.key");
        reader.finish(config)
    }
}

#[cfg(test)]
mod tests;
