//! Sarvam, rehearsed: streaming text to speech on the WebSockets `/text-to-speech/ws` and `/text-to-speech/ws/v2`, and
//! speech to text on `/speech-to-text-realtime/ws`.
//!
//! The sound is the text, spoken by espeak-ng in the language that the configuration asks for; what is heard are the
//! known recordings. Where the vendor's documents leave a choice, this server takes the one that is harder on a client:
//! unknown fields are refused, a flush of nothing gives no `final`, and only messages of the client keep a socket open.

mod failure;
mod stt;
mod tts;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, FromRequestParts, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::any;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::events::{Event, EventLog};
use crate::faults::{Ailment, FaultQueue, Faults, Spell};
use crate::loopback::{Connection, Loopback};
use crate::recordings::Library;
use crate::settings::{Dice, Latency};
use crate::speech::Speaker;
use failure::Failure;

const VENDOR: &str = "sarvam";
/// A message larger than this is none of a call's.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How the server behaves.
#[derive(Clone)]
pub struct Settings {
    /// Default: a free port of 127.0.0.1.
    pub address: Option<SocketAddr>,
    pub log: EventLog,
    /// The only key that is taken; `None` takes any.
    pub api_key: Option<String>,
    /// From the text that makes speech possible to its first chunk.
    pub first_chunk: Latency,
    /// How many seconds of speech are sent in a second.
    pub pace: f64,
    /// Sockets that may be open at a time.
    pub concurrency: usize,
    /// A socket without a message of the client for so long is closed.
    pub idle: Duration,
    /// The language's field in a configuration; the vendor's own clients disagree.
    pub language_field: &'static str,
    /// Upgrades that are refused.
    pub refusals: Faults<Refusal>,
    /// What goes wrong with the speech to come, up to one flush each.
    pub faults: Faults<Fault>,
    pub seed: u64,
    /// Shared, so that servers started one after another remember what was spoken.
    pub speaker: Speaker,
    /// What it can recognise.
    pub recordings: Arc<Library>,
    /// From the arrival of the audio to the partial transcript that it gives.
    pub partial_latency: Latency,
    /// From the end of speech, as the vendor sees it, to the final transcript.
    pub final_latency: Latency,
    /// What goes wrong with the sockets to come that listen.
    pub listen_faults: Faults<ListenFault>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: None,
            log: EventLog::default(),
            api_key: None,
            first_chunk: Latency::fixed_ms(180),
            pace: 4.0,
            concurrency: 50,
            idle: Duration::from_secs(60),
            language_field: "target_language_code",
            refusals: Faults::default(),
            faults: Faults::default(),
            seed: 1,
            speaker: Speaker::default(),
            recordings: Arc::default(),
            partial_latency: Latency::fixed_ms(150),
            final_latency: Latency::fixed_ms(200).with_jitter_ms(200),
            listen_faults: Faults::default(),
        }
    }
}

/// Why an upgrade is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 403: the key is not known.
    BadKey,
    /// 429: too much at once; it passes.
    RateLimited,
    /// 429: the credits are gone; it does not pass.
    QuotaExhausted,
    /// 503 with the code of a rate limit.
    Overloaded,
    /// 500.
    Internal,
}

impl Refusal {
    fn of(ailment: Ailment) -> Self {
        match ailment {
            Ailment::Auth => Self::BadKey,
            Ailment::Rate => Self::RateLimited,
            _ => Self::Overloaded,
        }
    }
}

/// What can go wrong with speech, after so many of its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error event, and nothing more of this speech; the socket lives on. `code` as the vendor writes it: a number,
    /// a text, or nowhere but in the message.
    Error { after_chunks: usize, status: u16, code: CodeForm },
    /// The socket is closed with a code, e.g. 1011.
    Close { after_chunks: usize, code: u16 },
    /// The socket is cut without a close frame: a client sees 1006.
    Cut { after_chunks: usize },
    /// The connection is reset.
    Reset { after_chunks: usize },
    /// Nothing comes for `time`, then the speech goes on.
    Stall { after_chunks: usize, time: Duration },
    /// The first chunk begins with the header of a WAV file.
    Riff,
    /// All is spoken, and the `final` event does not come.
    NoFinal,
}

/// What can go wrong with a socket that listens. `after` counts its audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenFault {
    /// The upgrade is refused.
    Refuse(Refusal),
    /// The socket is closed with a code and a reason: 1003 rate, quota or key, 1011 internal, 1013 away, 4000 refused.
    Close { after: Duration, code: u16, reason: &'static str },
    /// The connection is reset.
    Reset { after: Duration },
    /// Audio is taken, and nothing is answered any more.
    Stall { after: Duration },
    /// The upgrade succeeds, and `session.begin` does not come.
    NoBegin,
    /// The end of the first speech is told, and its final transcript does not come.
    NoFinal,
}

/// Where an error event says its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeForm {
    Number,
    Text,
    MessageOnly,
}

/// A running server; ends when dropped.
pub struct Server {
    loopback: Loopback,
    shared: Arc<Shared>,
}

struct Shared {
    log: EventLog,
    api_key: Option<String>,
    first_chunk: Latency,
    pace: f64,
    idle: Duration,
    language_field: &'static str,
    refusals: FaultQueue<Refusal>,
    faults: FaultQueue<Fault>,
    dice: Dice,
    speaker: Speaker,
    sockets: Arc<Semaphore>,
    recordings: Arc<Library>,
    partial_latency: Latency,
    final_latency: Latency,
    listen_faults: FaultQueue<ListenFault>,
}

impl Server {
    /// Binds and serves. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            log: settings.log.clone(),
            api_key: settings.api_key,
            first_chunk: settings.first_chunk,
            pace: settings.pace,
            idle: settings.idle,
            language_field: settings.language_field,
            refusals: FaultQueue::new(settings.refusals),
            faults: FaultQueue::new(settings.faults),
            dice: Dice::new(settings.seed),
            speaker: settings.speaker,
            sockets: Arc::new(Semaphore::new(settings.concurrency)),
            recordings: settings.recordings,
            partial_latency: settings.partial_latency,
            final_latency: settings.final_latency,
            listen_faults: FaultQueue::new(settings.listen_faults),
        });
        let router = Router::new()
            .route("/text-to-speech/ws", any(text_to_speech))
            .route("/text-to-speech/ws/v2", any(text_to_speech_v2))
            .route("/speech-to-text-realtime/ws", any(speech_to_text))
            .with_state(Arc::clone(&shared));
        Ok(Self { loopback: Loopback::start(settings.address, &settings.log, router)?, shared })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        self.loopback.base_url()
    }

    /// Changes which upgrades to come are refused.
    pub fn set_refusals(&self, refusals: Faults<Refusal>) {
        self.shared.refusals.set(refusals);
    }

    /// Changes the faults of the speech to come.
    pub fn set_faults(&self, faults: Faults<Fault>) {
        self.shared.faults.set(faults);
    }

    /// Changes the faults of the sockets to come that listen.
    pub fn set_listen_faults(&self, faults: Faults<ListenFault>) {
        self.shared.listen_faults.set(faults);
    }

    /// Falls ill, in the words common to all vendors.
    pub fn ail(&self, spell: Spell) {
        self.loopback.ail(spell, true);
    }

    /// What it saw and did. The protocol does not name calls. Events: `open` (path), `closed` (reason), `refused`
    /// (status, code) of sockets; of those that listen `violation` (rule), `speech_start`, `speech_end`, `partial` and
    /// `result` (text, end_s); of those that speak `config`, `text` (text), `flush`, `ping` of what came; `speaks` (text and voice of what
    /// is spoken next, its words as `[text, start, end]` in seconds of the audio up to the next `final`), `first_chunk`,
    /// `final` (text, seconds and bytes since the last one), `error` (status, reason) of what went out.
    pub fn log(&self) -> &EventLog {
        &self.shared.log
    }
}

/// A request to open a socket.
#[derive(FromRequestParts)]
struct Upgrade {
    connection: ConnectInfo<Connection>,
    query: RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
}

/// What an accepted request holds.
struct Accepted<Q> {
    upgrade: WebSocketUpgrade,
    query: Q,
    connection: Connection,
    /// Held for its count.
    place: OwnedSemaphorePermit,
}

impl Upgrade {
    /// Checks the key, the query and the number of sockets.
    fn admit<Q>(
        self,
        server: &Shared,
        refusal: Option<Refusal>,
        parse: impl FnOnce(&str) -> Result<Q, Failure>,
    ) -> Result<Accepted<Q>, Failure> {
        let ConnectInfo(connection) = self.connection;
        let admitted = || -> Result<_, Failure> {
            let protocol = check_key(&self.headers, server.api_key.as_deref())?;
            if let Some(refusal) = connection.refusal().map(Refusal::of).or(refusal) {
                return Err(refusal.into());
            }
            let query = parse(self.query.0.as_deref().unwrap_or_default())?;
            let place = Arc::clone(&server.sockets).try_acquire_owned();
            let place = place.map_err(|_| Failure::from(Refusal::RateLimited))?;
            let upgrade = self.upgrade.map_err(|rejection| Failure::invalid(400, rejection.body_text()))?;
            let upgrade = match protocol {
                Some(protocol) => upgrade.protocols([protocol]),
                None => upgrade,
            };
            let upgrade =
                upgrade.read_buffer_size(4096).write_buffer_size(0).max_message_size(MESSAGE_BYTES_MAX);
            Ok((upgrade, query, place))
        };
        match admitted() {
            Ok((upgrade, query, place)) => Ok(Accepted { upgrade, query, connection, place }),
            Err(failure) => {
                let event = Event::new(VENDOR, connection.id(), "refused");
                server.log.push(event.with("status", failure.status).with("code", failure.code));
                Err(failure)
            }
        }
    }
}

/// The key of the header, or of a browser's sub-protocol, which is then echoed.
fn check_key(headers: &HeaderMap, only_key: Option<&str>) -> Result<Option<String>, Failure> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let offered = header("sec-websocket-protocol").unwrap_or_default().split(',').map(str::trim);
    let protocol =
        offered.into_iter().find(|name| name.starts_with("api-subscription-key.")).map(str::to_owned);
    let in_protocol = protocol.as_deref().and_then(|name| name.split_once('.')).map(|(_, key)| key);
    let key = header("api-subscription-key").or(in_protocol).unwrap_or_default();
    if key.is_empty() || only_key.is_some_and(|only| only != key) {
        return Err(Refusal::BadKey.into());
    }
    Ok(protocol)
}

async fn text_to_speech(State(server): State<Arc<Shared>>, upgrade: Upgrade) -> Response {
    speak(server, upgrade, "/text-to-speech/ws")
}

async fn text_to_speech_v2(State(server): State<Arc<Shared>>, upgrade: Upgrade) -> Response {
    speak(server, upgrade, "/text-to-speech/ws/v2")
}

fn speak(server: Arc<Shared>, upgrade: Upgrade, path: &'static str) -> Response {
    match upgrade.admit(&server, server.refusals.take(), |query| tts::Query::parse(query, path)) {
        Ok(accepted) => {
            server.log.push(Event::new(VENDOR, accepted.connection.id(), "open").with("path", path));
            let Accepted { upgrade, query, connection, place } = accepted;
            let socket = tts::Socket::new(server, connection, query, place);
            upgrade.on_upgrade(|websocket| socket.run(websocket))
        }
        Err(failure) => failure.to_response(),
    }
}

async fn speech_to_text(State(server): State<Arc<Shared>>, upgrade: Upgrade) -> Response {
    let fault = server.listen_faults.take();
    let refusal = match fault {
        Some(ListenFault::Refuse(refusal)) => Some(refusal),
        _ => None,
    };
    match upgrade.admit(&server, refusal, |query| Ok(stt::Params::parse(query))) {
        Ok(Accepted { upgrade, query, connection, place }) => {
            let event = Event::new(VENDOR, connection.id(), "open");
            server.log.push(event.with("path", "/speech-to-text-realtime/ws"));
            let session = stt::Session::new(server, connection, query, fault, place);
            upgrade.on_upgrade(|websocket| session.run(websocket))
        }
        Err(failure) => failure.to_response(),
    }
}

fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
