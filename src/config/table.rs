//! The list of settings: names, defaults, and what is allowed. The sample file is made from it.

use std::fmt::Write;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in `trunkline.toml`; a dot separates the table from the name.
    pub key: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// Used when no source sets it.
    pub default: Option<&'static str>,
    /// What is allowed, for an error message.
    pub allowed: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Its value is never shown.
    pub secret: bool,
}

const fn setting(
    key: &'static str,
    env: &'static str,
    default: Option<&'static str>,
    allowed: &'static str,
    about: &'static str,
) -> Setting {
    Setting { key, env, default, allowed, about, secret: false }
}

const fn secret(key: &'static str, env: &'static str, about: &'static str) -> Setting {
    Setting {
        key,
        env,
        default: None,
        allowed: "a non-empty text, no ${...} that is still to be filled in",
        about,
        secret: true,
    }
}

const ADDR: &str = "an address and port such as 127.0.0.1:8080; port 0 takes a free one";
const URL: &str = "a URL with a scheme and a host";
const CALLS_MAX: &str = "a whole number from 1 to 1000";
const TEXT: &str = "a non-empty text";
const PATH: &str = "a path";
const FILE: &str = "the path of a readable file";

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting(
        "http_addr",
        "TRUNKLINE_HTTP_ADDR",
        Some("127.0.0.1:8080"),
        ADDR,
        "carrier webhooks and media WebSockets",
    ),
    setting(
        "grpc_addr",
        "TRUNKLINE_GRPC_ADDR",
        Some("127.0.0.1:50051"),
        ADDR,
        "all gRPC services of this node",
    ),
    setting("admin_addr", "TRUNKLINE_ADMIN_ADDR", Some("127.0.0.1:9090"), ADDR, "/livez, /readyz, /metrics"),
    setting(
        "public_url",
        "TRUNKLINE_PUBLIC_URL",
        None,
        URL,
        "the base URL that carriers call; default: http:// and the HTTP address",
    ),
    setting("data_dir", "TRUNKLINE_DATA_DIR", Some("./data"), PATH, "embedded stores"),
    setting(
        "documents_dir",
        "TRUNKLINE_DOCUMENTS_DIR",
        None,
        PATH,
        "documents to ingest at start, <dir>/<tenant>/*.md or *.txt",
    ),
    setting(
        "node",
        "TRUNKLINE_NODE",
        Some("local"),
        "1 to 40 of letters, digits and -",
        "this node's name in media URLs",
    ),
    setting("calls_max", "TRUNKLINE_CALLS_MAX", Some("500"), CALLS_MAX, "concurrent calls of this node"),
    setting(
        "call_duration_max_s",
        "TRUNKLINE_CALL_DURATION_MAX_S",
        Some("3600"),
        "a whole number from 10 to 14400",
        "the longest call, in seconds",
    ),
    setting(
        "drain_deadline_s",
        "TRUNKLINE_DRAIN_DEADLINE_S",
        Some("600"),
        "a whole number from 0 to 14400",
        "how long a drain waits for calls, in seconds",
    ),
    setting(
        "otlp_endpoint",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        URL,
        "where traces go over OTLP/gRPC; absent: no traces",
    ),
    secret(
        "database.url",
        "DATABASE_URL",
        "PostgreSQL for tenants, agents and numbers, with a login of deploy/postgres/roles.sql; absent: SQLite",
    ),
    secret(
        "database.owner_url",
        "DATABASE_OWNER_URL",
        "the same database with its owner's login, for `trunkline migrate` only",
    ),
    setting("peers.telephony_gw", "TRUNKLINE_TELEPHONY_GW_URL", None, URL, "where telephony-gw runs"),
    setting("peers.media", "TRUNKLINE_MEDIA_URL", None, URL, "where media runs"),
    setting("peers.dialogue", "TRUNKLINE_DIALOGUE_URL", None, URL, "where dialogue runs"),
    setting("peers.retrieval", "TRUNKLINE_RETRIEVAL_URL", None, URL, "where retrieval runs"),
    setting("peers.tenancy", "TRUNKLINE_TENANCY_URL", None, URL, "where tenancy runs"),
    setting("oidc.issuer", "TRUNKLINE_OIDC_ISSUER", None, URL, "the issuer as it stands in tokens"),
    setting(
        "oidc.audience",
        "TRUNKLINE_OIDC_AUDIENCE",
        Some("trunkline"),
        TEXT,
        "the audience that tokens must name",
    ),
    setting("oidc.url", "TRUNKLINE_OIDC_URL", None, URL, "the internal address of the same issuer"),
    setting(
        "oidc.client_id",
        "TRUNKLINE_OIDC_CLIENT_ID",
        None,
        TEXT,
        "this node's client; default: svc-<role> for each role",
    ),
    secret("oidc.client_secret", "TRUNKLINE_OIDC_CLIENT_SECRET", "the client's secret"),
    setting("tls.cert", "TRUNKLINE_TLS_CERT", None, FILE, "PEM certificate chain of the gRPC address"),
    setting("tls.key", "TRUNKLINE_TLS_KEY", None, FILE, "its PEM key"),
    setting(
        "tls.ca",
        "TRUNKLINE_TLS_CA",
        None,
        FILE,
        "PEM certificates that sign the nodes' certificates; clients must then show one",
    ),
    secret("deepgram.api_key", "DEEPGRAM_API_KEY", "Deepgram's key"),
    setting(
        "deepgram.base_url",
        "DEEPGRAM_BASE_URL",
        None,
        URL,
        "Deepgram's origin; default: wss://api.deepgram.com",
    ),
    setting("deepgram.model", "DEEPGRAM_MODEL", Some("nova-3"), TEXT, "Deepgram's model"),
    setting(
        "deepgram.calls_max",
        "DEEPGRAM_CALLS_MAX",
        None,
        CALLS_MAX,
        "concurrent calls of this node that listen with it; one more is answered busy; absent: no limit",
    ),
    secret("anthropic.api_key", "ANTHROPIC_API_KEY", "Anthropic's key"),
    setting(
        "anthropic.base_url",
        "ANTHROPIC_BASE_URL",
        None,
        URL,
        "Anthropic's origin; default: https://api.anthropic.com",
    ),
    setting(
        "anthropic.version",
        "ANTHROPIC_VERSION",
        Some("2026-10-21"),
        TEXT,
        "the API version sent with each request",
    ),
    setting("anthropic.model", "ANTHROPIC_MODEL", None, TEXT, "used instead of the agent's model"),
    setting(
        "anthropic.fallback_model",
        "ANTHROPIC_FALLBACK_MODEL",
        None,
        TEXT,
        "used when the agent's model fails",
    ),
    setting(
        "anthropic.max_tokens",
        "ANTHROPIC_MAX_TOKENS",
        Some("1024"),
        "a whole number from 1 to 4096",
        "the most tokens of one reply, whatever the agent says",
    ),
    setting(
        "anthropic.calls_max",
        "ANTHROPIC_CALLS_MAX",
        None,
        CALLS_MAX,
        "concurrent calls of this node that think with it; one more is answered busy; absent: no limit",
    ),
    secret("cartesia.api_key", "CARTESIA_API_KEY", "Cartesia's key"),
    setting(
        "cartesia.base_url",
        "CARTESIA_BASE_URL",
        None,
        URL,
        "Cartesia's origin; default: wss://api.cartesia.ai",
    ),
    setting(
        "cartesia.calls_max",
        "CARTESIA_CALLS_MAX",
        None,
        CALLS_MAX,
        "concurrent calls of this node that it speaks in; one more is answered busy; absent: no limit",
    ),
    secret("sarvam.api_key", "SARVAM_API_KEY", "Sarvam's key; needed by agents that speak or listen with it"),
    setting("sarvam.base_url", "SARVAM_BASE_URL", None, URL, "Sarvam's origin; default: wss://api.sarvam.ai"),
    setting(
        "sarvam.calls_max",
        "SARVAM_CALLS_MAX",
        None,
        CALLS_MAX,
        "concurrent calls of this node that it listens or speaks in; one more is answered busy; absent: no limit",
    ),
    secret("voyage.api_key", "VOYAGE_API_KEY", "Voyage's key"),
    setting("voyage.base_url", "VOYAGE_BASE_URL", None, URL, "Voyage's origin; default: by the key's prefix"),
    setting(
        "twilio.account_sid",
        "TWILIO_ACCOUNT_SID",
        None,
        TEXT,
        "the platform's Twilio account; without it no call is placed over Twilio",
    ),
    secret("twilio.auth_token", "TWILIO_AUTH_TOKEN", "its token; without it every webhook is refused"),
    setting(
        "twilio.base_url",
        "TWILIO_BASE_URL",
        None,
        URL,
        "the origin of its REST API; default: https://api.twilio.com",
    ),
    setting(
        "exotel.account_sid",
        "EXOTEL_ACCOUNT_SID",
        None,
        TEXT,
        "the platform's Exotel account; without it no call is placed over Exotel",
    ),
    secret("exotel.api_key", "EXOTEL_API_KEY", "the key of its REST API, to place calls"),
    secret("exotel.api_token", "EXOTEL_API_TOKEN", "the token that goes with the key"),
    setting(
        "exotel.base_url",
        "EXOTEL_BASE_URL",
        None,
        URL,
        "the origin of its REST API; default: https://api.in.exotel.com",
    ),
    Setting {
        allowed: "4 to 128 of letters, digits, - and _",
        ..secret(
            "exotel.webhook_secret",
            "EXOTEL_WEBHOOK_SECRET",
            "stands in the path of every webhook, since Exotel signs nothing; without it every one is refused, but `up` takes demo on loopback or with exotel.networks",
        )
    },
    setting(
        "exotel.networks",
        "EXOTEL_NETWORKS",
        None,
        "a list of addresses or networks such as 203.0.113.0/24,198.51.100.7",
        "where Exotel calls from; absent: anywhere. A proxy on a private address is believed whom it speaks for",
    ),
    setting(
        "exotel.sample_rate",
        "EXOTEL_SAMPLE_RATE",
        Some("8000"),
        "8000, 16000 or 24000",
        "the rate that media streams are asked for, in Hz",
    ),
    setting("vad.engine", "TRUNKLINE_VAD_ENGINE", Some("silero"), "silero or onnx", "the speech detector"),
    setting(
        "vad.threads",
        "TRUNKLINE_VAD_THREADS",
        Some("1"),
        "a whole number from 1 to 64",
        "threads that run it",
    ),
    setting(
        "vad.onnxruntime_lib",
        "TRUNKLINE_ONNXRUNTIME_LIB",
        None,
        FILE,
        "ONNX Runtime's library, for the engine onnx",
    ),
    setting(
        "log.filter",
        "TRUNKLINE_LOG",
        Some("info"),
        "a filter such as info or media=debug",
        "which log lines are written",
    ),
    setting("log.json", "TRUNKLINE_LOG_JSON", Some("false"), "true or false", "log lines as JSON"),
    setting(
        "rehearsal.log",
        "TRUNKLINE_REHEARSAL_LOG",
        None,
        PATH,
        "where rehearsal servers write what they see, as JSON lines",
    ),
    setting(
        "rehearsal.recordings",
        "TRUNKLINE_REHEARSAL_RECORDINGS",
        None,
        PATH,
        "what the rehearsal Deepgram and Sarvam recognise besides Debian's prompts: a folder of NAME.wav, each with its words in NAME.txt",
    ),
    setting(
        "rehearsal.latency_ms",
        "TRUNKLINE_REHEARSAL_LATENCY_MS",
        None,
        "a list such as deepgram=120,anthropic=250,cartesia=90",
        "latencies of the rehearsal servers, in ms",
    ),
];

/// The sample configuration file: every setting, commented out, with its default.
pub fn sample() -> String {
    let mut text = String::from(
        "# Trunkline's settings. Every line is optional; what is commented out shows the default.\n# Order: defaults < this file < environment < flags.\n",
    );
    let mut table = "";
    for setting in SETTINGS {
        let (group, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if group != table {
            table = group;
            let _ = write!(text, "\n[{group}]\n");
        }
        let default = setting.default.unwrap_or("");
        let quoted = if default.parse::<u64>().is_ok() || default == "false" {
            default.to_owned()
        } else {
            format!("{default:?}")
        };
        let _ =
            write!(text, "# {}: {} ({})\n# {name} = {quoted}\n", setting.env, setting.about, setting.allowed);
    }
    text
}
