//! Cartesia's text-to-speech, rehearsed: the WebSocket `/tts/websocket` and `POST /tts/bytes`.
//!
//! The sound is the words of the transcript, spoken by espeak-ng. Where the vendor's documents leave a choice, this
//! server takes the one that is harder on a client: text waits for its whole buffer delay unless about a sentence of
//! it is there, a context that expired or finished stays closed, and WebSocket pings keep nothing open.

mod buffer;
mod check;
mod context;
mod failure;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use tokio::sync::Semaphore;

use crate::events::{Event, EventLog};
use crate::faults::{FaultQueue, Faults, Spell};
use crate::loopback::{Connection, Loopback};
use crate::settings::{Dice, Latency};
use crate::speech::Speaker;
use check::Credentials;
use failure::{Failure, Version};

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
    /// Contexts that may be active at a time, over all sockets; ten times as many sockets may be open.
    pub concurrency: usize,
    /// A socket without a message of the client for so long, and without an active context, is closed.
    pub idle: Duration,
    pub faults: Faults<Fault>,
    pub seed: u64,
    /// Shared, so that servers started one after another remember what was spoken.
    pub speaker: Speaker,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: None,
            log: EventLog::default(),
            api_key: None,
            first_chunk: Latency::fixed_ms(90),
            pace: 4.0,
            concurrency: 15,
            idle: Duration::from_secs(300),
            faults: Faults::default(),
            seed: 1,
            speaker: Speaker::default(),
        }
    }
}

/// What can go wrong with a context, after so many of its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error event; the socket lives on.
    Error { after_chunks: usize },
    /// An error event that does not say whose it is; the context says nothing more.
    ErrorWithoutContext { after_chunks: usize },
    /// The socket is closed with a code, e.g. 1011.
    Close { after_chunks: usize, code: u16 },
    /// The socket is cut without a close frame: a client sees 1006.
    Cut { after_chunks: usize },
    /// The connection is reset.
    Reset { after_chunks: usize },
    /// Nothing comes for `time`, then the context goes on.
    Stall { after_chunks: usize, time: Duration },
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
    faults: FaultQueue<Fault>,
    dice: Dice,
    speaker: Speaker,
    contexts: Arc<Semaphore>,
    sockets: AtomicUsize,
    max_sockets: usize,
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
            faults: FaultQueue::new(settings.faults),
            dice: Dice::new(settings.seed),
            speaker: settings.speaker,
            contexts: Arc::new(Semaphore::new(settings.concurrency)),
            sockets: AtomicUsize::new(0),
            max_sockets: settings.concurrency * 10,
        });
        let router = Router::new()
            .route("/tts/websocket", any(websocket))
            .route("/tts/bytes", post(bytes))
            .with_state(Arc::clone(&shared));
        Ok(Self { loopback: Loopback::start(settings.address, &settings.log, router)?, shared })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        self.loopback.base_url()
    }

    /// Changes the faults of the contexts to come.
    pub fn set_faults(&self, faults: Faults<Fault>) {
        self.shared.faults.set(faults);
    }

    /// Falls ill, in the words common to all vendors. Sockets stay open: each new context on them is refused.
    pub fn ail(&self, spell: Spell) {
        self.loopback.ail(spell, false);
    }

    /// What it saw and did; the call is the `context_id` up to its last `-`. Events:
    /// `open`, `closed` (reason), `refused` (status, reason) of sockets; `transcript` (context, text, continue,
    /// flush), `speaks` (text and voice of what is spoken next, its words as `[text, start, end]` in seconds of the
    /// context's audio), `first_chunk`, `done` (text and seconds spoken), `cancel` (chunks sent so far), `error`
    /// (status, reason) of contexts; `bytes` (text) of single requests.
    pub fn log(&self) -> &EventLog {
        &self.shared.log
    }
}

/// Counts an open socket for as long as it lives.
struct OpenSocket(Arc<Shared>);

impl OpenSocket {
    fn open(shared: &Arc<Shared>) -> Option<Self> {
        let socket = Self(Arc::clone(shared));
        (shared.sockets.fetch_add(1, Ordering::Relaxed) < shared.max_sockets).then_some(socket)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn websocket(
    State(server): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Query(credentials): Query<Credentials>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let request_id = request_id();
    let version = match credentials.check(&headers, server.api_key.as_deref()) {
        Ok(version) => version,
        Err(failure) => return refused(&server, &connection, &failure, Version::default(), &request_id),
    };
    if let Some(ailment) = connection.refusal() {
        return refused(&server, &connection, &Failure::of(ailment), version, &request_id);
    }
    let Some(open) = OpenSocket::open(&server) else {
        return refused(&server, &connection, &Failure::too_many("connections"), version, &request_id);
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let log_version = version.as_str();
    server.log.push(Event::new("cartesia", connection.id(), "open").with("version", log_version));
    let socket = socket::Socket { server, connection, version, open };
    let upgrade = upgrade.read_buffer_size(4096).write_buffer_size(0).max_message_size(1 << 20);
    let mut response = upgrade.on_upgrade(|websocket| socket.run(websocket));
    set_request_id(&mut response, &request_id);
    response
}

async fn bytes(
    State(server): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Query(credentials): Query<Credentials>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request_id = request_id();
    let mut version = Version::default();
    let spoken = async {
        version = credentials.check(&headers, server.api_key.as_deref())?;
        let body = body.map_err(|_| Failure::bad("the body is too long"))?;
        let request = check::whole(&body, version)?;
        let _active = server.contexts.try_acquire().map_err(|_| Failure::too_many("generations"))?;
        let text = request.transcript.as_str();
        server.log.push(Event::new("cartesia", connection.id(), "bytes").with("text", text));
        tokio::time::sleep(server.first_chunk.draw(&server.dice)).await;
        let format = &request.format;
        let speech =
            server.speaker.speak(&check::speakable(text), &format.voice, format.sample_rate_hz).await;
        let speech = speech.map_err(|error| Failure::internal(error.to_string()))?;
        Ok::<_, Failure>(format.whole(&speech.samples))
    };
    let mut response = match spoken.await {
        Ok((content_type, audio)) => ([("content-type", content_type)], audio).into_response(),
        Err(failure) => return refused(&server, &connection, &failure, version, &request_id),
    };
    set_request_id(&mut response, &request_id);
    response
}

fn refused(
    server: &Shared,
    connection: &Connection,
    failure: &Failure,
    version: Version,
    request_id: &str,
) -> Response {
    let event = Event::new("cartesia", connection.id(), "refused");
    server.log.push(event.with("status", failure.status).with("reason", failure.message.as_str()));
    let mut response = failure.to_response(version, request_id);
    set_request_id(&mut response, request_id);
    response
}

fn request_id() -> String {
    format!("req_{}", uuid::Uuid::new_v4().simple())
}

fn set_request_id(response: &mut Response, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
}

#[cfg(test)]
mod tests;
