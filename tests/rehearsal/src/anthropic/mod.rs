//! Anthropic's Messages API, rehearsed: `POST /v1/messages`, streamed and not.
//!
//! The answer follows from the request alone: passages found by `search_knowledge` are quoted, a goodbye is
//! answered with `end_call`, a question is looked up, and anything else is talked about in the caller's own words.

mod cache;
mod check;
mod generate;
mod language;
mod messages;
mod models;
mod passages;
mod reply;
mod steps;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::clock;
use crate::events::{Event, EventLog};
use crate::faults::{Ailment, FaultQueue, Faults, Spell};
use crate::loopback::{Connection, Loopback};
use crate::settings::{Dice, Latency};
use cache::Cache;
use check::{Refusal, Request};

/// How the server behaves.
#[derive(Clone)]
pub struct Settings {
    /// Default: a free port of 127.0.0.1.
    pub address: Option<SocketAddr>,
    pub log: EventLog,
    /// The only key that is taken; `None` takes any.
    pub api_key: Option<String>,
    /// From the request to the first token.
    pub first_token: Latency,
    /// From one token (about a word) to the next.
    pub next_token: Latency,
    /// Five to seven sentences where one to three would do, so that there is something to interrupt. A caller gets
    /// the same by asking for "everything" or "in detail".
    pub long_answers: bool,
    pub faults: Faults<Fault>,
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: None,
            log: EventLog::default(),
            api_key: None,
            first_token: Latency::fixed_ms(300).with_jitter_ms(80),
            next_token: Latency::fixed_ms(8).with_jitter_ms(8),
            long_answers: false,
            faults: Faults::default(),
            seed: 1,
        }
    }
}

/// What can go wrong with a request. Deltas are counted from 1; 0 is before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 401 `authentication_error`.
    BadKey,
    /// 429 with `retry-after`.
    RateLimited { retry_after_s: u32 },
    /// 500 `api_error`.
    ServerError,
    /// 529 `overloaded_error`.
    Overloaded,
    /// Status 200, then an `overloaded_error` event in the stream.
    OverloadedMidStream { after_deltas: usize },
    /// The stream ends in good order, but without `message_stop`.
    Cut { after_deltas: usize },
    /// The connection is reset.
    Reset { after_deltas: usize },
    /// Nothing comes for `time`, then the stream goes on.
    Stall { after_deltas: usize, time: Duration },
    /// The answer's headers come that much later.
    Hang(Duration),
    /// `stop_reason: "refusal"`.
    Refusal,
    /// `stop_reason: "max_tokens"` in the middle of a tool's arguments (or of the text, if no tool is called).
    MaxTokens,
}

/// A running server; ends when dropped.
pub struct Server {
    loopback: Loopback,
    shared: Arc<Shared>,
}

struct Shared {
    log: EventLog,
    api_key: Option<String>,
    first_token: Latency,
    next_token: Latency,
    long_answers: bool,
    faults: FaultQueue<Fault>,
    dice: Dice,
    cache: Mutex<Cache>,
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
            first_token: settings.first_token,
            next_token: settings.next_token,
            long_answers: settings.long_answers,
            faults: FaultQueue::new(settings.faults),
            dice: Dice::new(settings.seed),
            cache: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/messages", post(create_message))
            .layer(DefaultBodyLimit::max(32 << 20))
            .with_state(Arc::clone(&shared));
        Ok(Self { loopback: Loopback::start(settings.address, &settings.log, router)?, shared })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        self.loopback.base_url()
    }

    /// Changes the faults of the requests to come.
    pub fn set_faults(&self, faults: Faults<Fault>) {
        self.shared.faults.set(faults);
    }

    /// Falls ill, in the words common to all vendors.
    pub fn ail(&self, spell: Spell) {
        self.loopback.ail(spell, false);
    }

    /// What it saw and did; the call is `metadata.user_id`. Events:
    /// `request` (request, model, message_count, last_assistant, messages), `first_token`, `done` (stop_reason,
    /// text, text_sent, output_tokens), `cancelled` (text so far), `failed` (fault), `refused` (status, reason).
    /// `text_sent` has a pair for each piece of the text: when it had been sent, in microseconds since 1970, and the
    /// length of the text up to its end, in characters.
    pub fn log(&self) -> &EventLog {
        &self.shared.log
    }
}

/// One request, as its events name it.
#[derive(Clone)]
struct Correlation {
    connection: u64,
    call: Option<String>,
    request_id: String,
}

impl Correlation {
    fn event(&self, name: &'static str) -> Event {
        Event::new("anthropic", self.connection, name)
            .call(self.call.as_deref())
            .with("request", self.request_id.as_str())
    }
}

async fn create_message(
    State(server): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request_id = format!("req_{}", uuid::Uuid::new_v4().simple());
    let mut about = Correlation { connection: connection.id(), call: None, request_id };
    let Ok(body) = body else {
        let refusal =
            Refusal { status: 413, kind: "request_too_large", message: "Request exceeds 32 MB".to_owned() };
        return refused(&server, &about, &refusal, None);
    };
    let accepted = check::headers(&headers, server.api_key.as_deref())
        .and_then(|caller| Ok((check::body(&body, caller.version)?, caller.key_hash)));
    let (request, key_hash) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => {
            about.call = user_id(&body);
            return refused(&server, &about, &refusal, None);
        }
    };
    about.call.clone_from(&request.user_id);
    server.log.push(request_event(&about, &request));
    let fault = connection.refusal().and_then(of_ailment).or_else(|| server.faults.take());
    if let Some((refusal, retry_after_s)) = fault.as_ref().and_then(refusal_of) {
        return refused(&server, &about, &refusal, retry_after_s);
    }
    let usage = {
        let mut cache = server.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.look_up(&request, key_hash, clock::now())
    };
    let id = about.request_id.clone();
    let generation = generate::Generation { server, connection, about, request, usage, fault };
    let mut response = generation.respond().await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("request-id", id);
    }
    response
}

fn request_event(about: &Correlation, request: &Request) -> Event {
    let last_assistant =
        request.turns.iter().rev().find(|turn| turn.role == "assistant").map(messages::Turn::text);
    about
        .event("request")
        .with("model", request.model_name.as_str())
        .with("stream", request.stream)
        .with("message_count", request.message_count())
        .with("last_assistant", last_assistant)
        .with("messages", request.body.get("messages").cloned().unwrap_or_default())
}

/// A refused body may still say whose it is.
fn user_id(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.get("metadata")?.get("user_id")?.as_str()?.to_owned())
}

fn of_ailment(ailment: Ailment) -> Option<Fault> {
    match ailment {
        Ailment::Auth => Some(Fault::BadKey),
        Ailment::Rate => Some(Fault::RateLimited { retry_after_s: 1 }),
        Ailment::Overloaded => Some(Fault::Overloaded),
        _ => None,
    }
}

fn refusal_of(fault: &Fault) -> Option<(Refusal, Option<u32>)> {
    let refusal = |status, kind, message: &str| Refusal { status, kind, message: message.to_owned() };
    match fault {
        Fault::BadKey => Some((refusal(401, "authentication_error", "invalid x-api-key"), None)),
        Fault::RateLimited { retry_after_s } => Some((
            refusal(429, "rate_limit_error", "Number of requests has exceeded your rate limit"),
            Some(*retry_after_s),
        )),
        Fault::ServerError => Some((refusal(500, "api_error", "Internal server error"), None)),
        Fault::Overloaded => Some((refusal(529, "overloaded_error", "Overloaded"), None)),
        _ => None,
    }
}

fn refused(server: &Shared, about: &Correlation, refusal: &Refusal, retry_after_s: Option<u32>) -> Response {
    let reason = refusal.message.as_str();
    server.log.push(about.event("refused").with("status", refusal.status).with("reason", reason));
    let body = json!({
        "type": "error",
        "error": {"type": refusal.kind, "message": reason},
        "request_id": about.request_id,
    });
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(body)).into_response();
    if let Ok(id) = HeaderValue::from_str(&about.request_id) {
        response.headers_mut().insert("request-id", id);
    }
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests;
