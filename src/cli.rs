//! The command line.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

use crate::{Config, Role, commands, config::Sources, exit::Exit};

/// Voice agents on the telephone: one binary, five roles.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Settings: trunkline.toml, then the environment, then flags; `trunkline check --sample` prints them all.\nExit codes: 0, 64 (configuration), 69 (a needed service is away), 70 (a fault of ours)."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Settings {
    /// The configuration file [default: trunkline.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting by its key in the file, such as log.filter=debug; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Carrier webhooks and media WebSockets
    #[arg(long, global = true, value_name = "ADDR")]
    http_addr: Option<String>,
    /// All gRPC services of this node
    #[arg(long, global = true, value_name = "ADDR")]
    grpc_addr: Option<String>,
    /// Health and metrics
    #[arg(long, global = true, value_name = "ADDR")]
    admin_addr: Option<String>,
    /// The base URL that carriers call
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
    /// Embedded stores
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all five roles on embedded stores, with a rehearsal server for each vendor without a key
    Up,
    /// Run some of the roles, with real vendors and a real issuer
    Serve {
        /// telephony-gw, media, dialogue, retrieval, tenancy
        #[arg(required = true, value_name = "ROLE")]
        roles: Vec<Role>,
    },
    /// Show one whole call, without keys: a caller speaks, the agent answers and is interrupted
    Demo(Demo),
    /// Be the carrier: place calls at a server and say what happened
    Call(Box<Call>),
    /// Look for what would keep this configuration from working
    Check {
        /// Print the sample configuration file instead
        #[arg(long)]
        sample: bool,
        /// One JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Print a token of the development issuer that `up` runs
    Token(Token),
    /// Bring the schema of the stores up to date
    Migrate,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Run each role as a process of its own
    #[arg(long)]
    pub split: bool,
    /// Over whose media stream the call comes
    #[arg(long, value_enum, default_value = "twilio")]
    pub carrier: Carrier,
    /// Who listens
    #[arg(long, value_enum, default_value = "deepgram")]
    pub listening: Transcriber,
    /// Who speaks
    #[arg(long, value_enum, default_value = "cartesia")]
    pub voice: Synthesizer,
    /// Let a rehearsed vendor fail: stt, llm or tts, by refused, auth, rate, overloaded, reset, halfopen, stall or garbage,
    /// in the caller's turn N of 3 (0: before the call). @N: for a second from when it first shows; @N+: from then on.
    /// stt fails while the caller speaks, llm and tts in the middle of the answer; Sarvam in both, where it listens and
    /// speaks. The caller waits for each answer and says at the end how long the silence was and which words were lost
    #[arg(long, value_name = "VENDOR:FAULT@N[+]")]
    pub fault: Option<String>,
    /// Where the recording and the transcript go
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    pub out: PathBuf,
    /// Print events as JSON lines
    #[arg(long)]
    pub json: bool,
}

/// A carrier whose part can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Carrier {
    /// Twilio Media Streams.
    Twilio,
    /// A flow of Exotel's with a Voicebot applet.
    Exotel,
}

/// Who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transcriber {
    /// Deepgram Nova.
    Deepgram,
    /// Sarvam's speech to text.
    Sarvam,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Synthesizer {
    /// Cartesia Sonic.
    Cartesia,
    /// Sarvam Bulbul.
    Sarvam,
}

/// Options of `call`.
#[derive(Debug, Args)]
pub struct Call {
    /// Whose part is played
    #[arg(long, value_enum, default_value = "twilio")]
    pub carrier: Carrier,
    /// The server's base URL, such as http://127.0.0.1:8080
    #[arg(long, value_name = "BASE", required_unless_present = "conformance")]
    pub url: Option<Url>,
    /// The base URL that the server believes it has, if it is another: signatures are made over it
    #[arg(long, value_name = "BASE")]
    pub public_url: Option<Url>,
    /// The number that is dialled, E.164 [default: the demo tenant's number of the carrier]
    #[arg(long, value_name = "N")]
    pub to: Option<String>,
    /// The caller's number, E.164
    #[arg(long, value_name = "N")]
    pub from: Option<String>,
    /// Twilio: the account's auth token, the key of the webhook's signature
    #[arg(
        long,
        value_name = "T",
        env = "TWILIO_AUTH_TOKEN",
        hide_env_values = true,
        required_if_eq("carrier", "twilio")
    )]
    pub auth_token: Option<String>,
    /// Exotel: the secret in the paths of the webhooks
    #[arg(
        long,
        value_name = "S",
        env = "EXOTEL_WEBHOOK_SECRET",
        hide_env_values = true,
        default_value = crate::layout::DEMO_SECRET
    )]
    pub secret: String,
    /// What the caller says, in order, each when the agent has fallen quiet; FILE@MS says it MS after the agent begins
    /// to speak, to interrupt it
    #[arg(long, value_name = "FILE[@MS]", num_args = 1..)]
    pub play: Vec<String>,
    /// Let the agent's voice come back to it: DB weaker and MS later
    #[arg(long, value_name = "DB@MS")]
    pub echo: Option<String>,
    /// The noise in the caller's room, in dB of full scale
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    pub noise: Option<f32>,
    /// Save what the caller said (left) and heard (right)
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// How many calls
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub calls: u32,
    /// How many of them at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub at_once: u32,
    /// Try every rule of both carriers' wire protocols on this server instead; the first --play interrupts the agent
    #[arg(long, value_name = "BASE", conflicts_with_all = ["url", "save", "calls", "at_once", "to", "from"])]
    pub conformance: Option<Url>,
    /// Print one JSON report a call instead of lines
    #[arg(long)]
    pub json: bool,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The tenant's slug; none for platform-admin
    #[arg(long, value_name = "SLUG")]
    pub tenant: Option<String>,
    /// platform-admin, tenant-admin, tenant-operator, tenant-viewer, or a service such as svc-media
    #[arg(long, value_name = "ROLE")]
    pub role: String,
    /// How long it lives, in seconds
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub ttl_s: u64,
    /// A JSON object instead of the bare token
    #[arg(long)]
    pub json: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Settings {
    fn sources(self) -> Result<Sources, Exit> {
        let path = self.config.clone().unwrap_or_else(|| PathBuf::from("trunkline.toml"));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(_) if self.config.is_none() && !path.exists() => None,
            Err(error) => return Err(Exit::configuration(format!("{}: {error}", path.display()))),
        };
        let named = [
            ("http_addr", self.http_addr),
            ("grpc_addr", self.grpc_addr),
            ("admin_addr", self.admin_addr),
            ("public_url", self.public_url),
            ("data_dir", self.data_dir),
        ];
        let flags = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let flags = self.set.into_iter().chain(flags).collect();
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        Ok(Sources { file, env, flags })
    }
}

/// Runs a command to its exit code.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Exit::internal(format!("no runtime: {error}"))),
    };
    let result = runtime.block_on(dispatch(cli));
    // Blocking work (a file being read) must not hold the exit.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => report(&exit),
    }
}

fn report(exit: &Exit) -> ExitCode {
    eprintln!("trunkline: {}", exit.message.trim_end());
    ExitCode::from(exit.code)
}

async fn dispatch(cli: Cli) -> Result<(), Exit> {
    match cli.command {
        Command::Call(options) => return commands::call::run(*options).await,
        Command::Check { sample: true, .. } => {
            print!("{}", crate::config::sample());
            return Ok(());
        }
        _ => {}
    }
    let config = Config::load(&cli.settings.sources()?).map_err(Exit::configuration)?;
    match cli.command {
        Command::Up => commands::serve::up(config).await,
        Command::Serve { roles } => commands::serve::serve(config, roles.into_iter().collect()).await,
        Command::Demo(options) => crate::demo::run(config, options).await,
        Command::Check { json, .. } => commands::check::run(&config, json).await,
        Command::Token(options) => commands::token::run(&config, &options),
        Command::Migrate => commands::migrate::run(config).await,
        Command::Call(_) => Ok(()),
    }
}
