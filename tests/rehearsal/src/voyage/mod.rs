//! Voyage's embeddings, rehearsed: `POST /v1/embeddings`.
//!
//! The vectors are honest: texts with common words are near each other, whatever their `input_type`, and texts
//! without a common word are not. The `voyage-4` family shares one space; every other family has its own.

mod check;
mod vector;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use serde_json::{Value, json};

use crate::events::{Event, EventLog};
use crate::faults::{FaultQueue, Faults};
use crate::loopback::{Connection, Loopback};
use crate::settings::{Dice, Latency};
use check::Embeddings;

/// Who issued the keys that a host takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// `api.voyageai.com`: keys begin with `pa-`.
    #[default]
    Voyage,
    /// `ai.mongodb.com`: keys begin with `al-`.
    Atlas,
}

/// How the server behaves.
#[derive(Clone)]
pub struct Settings {
    /// Default: a free port of 127.0.0.1.
    pub address: Option<SocketAddr>,
    pub log: EventLog,
    pub host: Host,
    /// From the request to the answer.
    pub latency: Latency,
    pub faults: Faults<Fault>,
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: None,
            log: EventLog::default(),
            host: Host::default(),
            latency: Latency::fixed_ms(60).with_jitter_ms(20),
            faults: Faults::default(),
            seed: 1,
        }
    }
}

/// What can go wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429.
    RateLimited,
    /// 500 or 503, with a JSON body.
    Error(u16),
    /// 502 with a `text/plain` body, as from a proxy.
    BadGateway,
    /// The answer comes that much later.
    Stall(Duration),
    /// The connection is reset.
    Reset,
}

/// A running server; ends when dropped.
pub struct Server {
    loopback: Loopback,
    shared: Arc<Shared>,
}

struct Shared {
    log: EventLog,
    host: Host,
    latency: Latency,
    faults: FaultQueue<Fault>,
    dice: Dice,
}

impl Server {
    /// Binds and serves. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            log: settings.log.clone(),
            host: settings.host,
            latency: settings.latency,
            faults: FaultQueue::new(settings.faults),
            dice: Dice::new(settings.seed),
        });
        let router = Router::new()
            .route("/v1/embeddings", post(embeddings))
            .layer(DefaultBodyLimit::max(64 << 20))
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

    /// What it saw and did: `request` (model, input_type, texts, tokens), `done`, `refused` (status, detail).
    pub fn log(&self) -> &EventLog {
        &self.shared.log
    }
}

async fn embeddings(
    State(server): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let event = |name| Event::new("voyage", connection.id(), name);
    let refuse = |status: u16, detail: String| {
        server.log.push(event("refused").with("status", status).with("detail", detail.as_str()));
        (status_code(status), axum::Json(json!({"detail": detail}))).into_response()
    };
    let checked = check::key(&headers, server.host).and_then(|()| check::body(&body));
    let request = match checked {
        Ok(request) => request,
        Err((status, detail)) => return refuse(status, detail),
    };
    server.log.push(
        event("request")
            .with("model", request.model.name)
            .with("input_type", request.input_type.clone())
            .with("texts", request.texts.len())
            .with("tokens", request.tokens),
    );
    tokio::time::sleep(server.latency.draw(&server.dice)).await;
    match server.faults.take() {
        None => {}
        Some(Fault::Stall(time)) => tokio::time::sleep(time).await,
        Some(Fault::RateLimited) => return refuse(429, "You have exceeded your rate limit".to_owned()),
        Some(Fault::Error(status)) => return refuse(status, "The server had an error".to_owned()),
        Some(Fault::BadGateway) => {
            server.log.push(event("refused").with("status", 502));
            return (StatusCode::BAD_GATEWAY, "upstream connect error").into_response();
        }
        Some(Fault::Reset) => {
            connection.reset();
            // The handler must not answer first: it waits here until the connection takes it down.
            return std::future::pending().await;
        }
    }
    let shuffle = server.dice.roll() < 0.25;
    // A thousand long texts take a while in a debug build, and calls are going on.
    let Ok(answer) = tokio::task::spawn_blocking(move || answer(&request, shuffle)).await else {
        return refuse(500, "The server had an error".to_owned());
    };
    server.log.push(event("done"));
    let mut response = axum::Json(answer).into_response();
    if let Ok(id) = HeaderValue::from_str(&format!("req_{}", uuid::Uuid::new_v4().simple())) {
        response.headers_mut().insert("request-id", id);
    }
    response
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn answer(request: &Embeddings, shuffle: bool) -> Value {
    let mut data: Vec<Value> = request
        .texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector::embed(text, request.model.family, request.dimension);
            let embedding = if request.base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|entry| entry.to_le_bytes()).collect();
                Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
            } else {
                Value::from(vector)
            };
            json!({"object": "embedding", "embedding": embedding, "index": index})
        })
        .collect();
    // `index` says which is which; the order of the list promises nothing.
    if shuffle {
        data.reverse();
    }
    json!({"object": "list", "data": data, "model": request.model.name, "usage": {"total_tokens": request.tokens}})
}

#[cfg(test)]
mod tests;
