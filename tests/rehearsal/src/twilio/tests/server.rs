//! A small server under test: TwiML documents by path, and a handler for its media streams.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Form, OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::super::{Plan, mulaw, signature};
use crate::clock;

pub const AUTH_TOKEN: &str = "12345";

/// What a stream's handler does.
pub type Agent = Arc<dyn Fn(Leg) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A message of the carrier, with the time it came.
pub type Seen = (Instant, Value);

/// A webhook that was asked: its path and its parameters.
pub type Post = (String, HashMap<String, String>);

#[derive(Clone)]
struct Shared {
    base: String,
    documents: Arc<HashMap<&'static str, String>>,
    agent: Agent,
    posts: Arc<Mutex<Vec<Post>>>,
    streams: Arc<Mutex<Vec<Vec<Seen>>>>,
}

pub struct Server {
    shared: Shared,
    _task: AbortOnDropHandle<()>,
}

/// The server's end of one media stream.
pub struct Leg {
    socket: WebSocket,
    stream_sid: String,
    index: usize,
    streams: Arc<Mutex<Vec<Vec<Seen>>>>,
}

impl Server {
    /// Serves `documents` by path; `{ws}` in them stands for the WebSocket base. A document `!403` is that status.
    pub async fn start<F, Fut>(documents: &[(&'static str, &str)], agent: F) -> Self
    where
        F: Fn(Leg) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let documents = documents
            .iter()
            .map(|(path, text)| (*path, text.replace("{ws}", &format!("ws://{address}"))))
            .collect();
        let shared = Shared {
            base: format!("http://{address}"),
            documents: Arc::new(documents),
            agent: Arc::new(move |leg| Box::pin(agent(leg))),
            posts: Arc::default(),
            streams: Arc::default(),
        };
        let router = Router::new()
            .route("/media/{token}", any(media))
            .route("/{*path}", post(webhook))
            .with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, _task: AbortOnDropHandle::new(task) }
    }

    pub fn plan(&self) -> Plan {
        Plan::new(Url::parse(&self.shared.base).unwrap(), "+12025550100", "+12025550199", AUTH_TOKEN)
    }

    /// The webhooks that were asked.
    pub fn posts(&self) -> Vec<Post> {
        self.shared.posts.lock().unwrap().clone()
    }

    /// What each media stream was sent.
    pub fn streams(&self) -> Vec<Vec<Seen>> {
        self.shared.streams.lock().unwrap().clone()
    }
}

async fn webhook(
    State(shared): State<Shared>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Form(params): Form<Vec<(String, String)>>,
) -> Response {
    let signed = signature::sign(AUTH_TOKEN, &format!("{}{uri}", shared.base), &params);
    if headers.get("x-twilio-signature").and_then(|value| value.to_str().ok()) != Some(&signed) {
        return StatusCode::FORBIDDEN.into_response();
    }
    shared.posts.lock().unwrap().push((uri.path().to_owned(), params.into_iter().collect()));
    match shared.documents.get(uri.path()).map(String::as_str) {
        Some("!403") => StatusCode::FORBIDDEN.into_response(),
        Some("!hang") => std::future::pending().await,
        Some(text) => ([("content-type", "text/xml; charset=utf-8")], text.to_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn media(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let url = format!("{}/media/{token}", shared.base.replace("http:", "ws:"));
    let signed = signature::sign(AUTH_TOKEN, &url, &[]);
    let given = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok());
    if given != Some(&signed) || !token.starts_with("token") {
        return StatusCode::FORBIDDEN.into_response();
    }
    upgrade.on_upgrade(|socket| async move {
        let index = {
            let mut streams = shared.streams.lock().unwrap();
            streams.push(Vec::new());
            streams.len() - 1
        };
        let mut leg = Leg { socket, stream_sid: String::new(), index, streams: shared.streams };
        // An agent begins with `start`; one that never comes is the test's business.
        while let Some(message) = leg.receive().await {
            if message["event"] == "start" {
                leg.stream_sid = message["streamSid"].as_str().unwrap().to_owned();
                return (shared.agent)(leg).await;
            }
            if message["event"] != "connected" {
                return leg.close(1002, "start first").await;
            }
        }
    })
}

impl Leg {
    /// The next message, until the carrier is gone; `{"event": "closed"}` stands for a close frame.
    pub async fn receive(&mut self) -> Option<Value> {
        let message = match self.socket.recv().await? {
            Ok(Message::Text(text)) => serde_json::from_str(&text).unwrap_or(json!({"event": "malformed"})),
            Ok(Message::Close(frame)) => json!({"event": "closed", "code": frame.map(|frame| frame.code)}),
            Ok(_) => json!({"event": "other"}),
            Err(_) => return None,
        };
        self.streams.lock().unwrap()[self.index].push((clock::now(), message.clone()));
        Some(message)
    }

    pub fn stream_sid(&self) -> &str {
        &self.stream_sid
    }

    /// Receives until a message of this event.
    pub async fn until(&mut self, event: &str) -> Option<Value> {
        loop {
            let message = self.receive().await?;
            if message["event"] == event {
                return Some(message);
            }
        }
    }

    pub async fn raw(&mut self, text: String) {
        // A carrier that hung up is not an error of the test.
        let _ = self.socket.send(Message::Text(text.into())).await;
    }

    pub async fn play(&mut self, sound: &[u8]) {
        let message = json!({"event": "media", "streamSid": self.stream_sid, "media": {"payload": BASE64.encode(sound)}});
        self.raw(message.to_string()).await;
    }

    pub async fn mark(&mut self, name: &str) {
        let message = json!({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}});
        self.raw(message.to_string()).await;
    }

    pub async fn clear(&mut self) {
        self.raw(json!({"event": "clear", "streamSid": self.stream_sid}).to_string()).await;
    }

    pub async fn close(mut self, code: u16, reason: &'static str) {
        let _ = self.socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }
}

/// The sound of a `media` message; empty for any other.
pub fn sound(message: &Value) -> Vec<u8> {
    message["media"]["payload"].as_str().map(|payload| BASE64.decode(payload).unwrap()).unwrap_or_default()
}

pub fn is_voiced(message: &Value) -> bool {
    sound(message).iter().any(|byte| mulaw::decode(*byte).abs() > 300)
}

/// A tone of so many milliseconds.
pub fn tone(ms: usize) -> Vec<u8> {
    (0..ms * 8).map(|n| mulaw::encode(if n % 8 < 4 { 4_000 } else { -4_000 })).collect()
}
