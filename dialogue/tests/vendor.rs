//! A language model that answers what it is told to, byte by byte.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response},
    routing::post,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use url::Url;

/// A wait that only a broken test reaches.
pub const PATIENCE: Duration = Duration::from_secs(10);

const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// One request, as it came.
pub struct Seen {
    pub headers: HeaderMap,
    pub body: Value,
}

/// How a request is answered.
pub enum Answer {
    /// An error, perhaps with `retry-after`.
    Status(u16, &'static str, Option<&'static str>),
    /// A stream of these bytes; then its end.
    Stream(Vec<Bytes>),
    /// A stream of these bytes; then nothing.
    Hang(Vec<Bytes>),
    /// A stream of these bytes; then pings, two a second.
    Ping(Vec<Bytes>),
}

/// What follows the pieces of a stream.
#[derive(Clone, Copy)]
enum Then {
    Ends,
    Hangs,
    Pings,
}

/// The server; ends with the test's runtime.
pub struct Vendor {
    pub base_url: Url,
    requests: mpsc::Receiver<Seen>,
    closed: mpsc::Receiver<()>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

#[derive(Clone)]
struct Desk {
    requests: mpsc::Sender<Seen>,
    closed: mpsc::Sender<()>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl Vendor {
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = Url::parse(&format!("ws://{}", listener.local_addr().unwrap())).unwrap();
        let script = Arc::new(Mutex::new(answers.into_iter().collect()));
        let (requests, seen) = mpsc::channel(64);
        let (closed, closings) = mpsc::channel(64);
        let desk = Desk { requests, closed, script: Arc::clone(&script) };
        let router = Router::new().route("/v1/messages", post(answer)).with_state(desk);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, requests: seen, closed: closings, script }
    }

    pub fn will(&self, answer: Answer) {
        self.script.lock().unwrap().push_back(answer);
    }

    /// The next request.
    pub async fn request(&mut self) -> Seen {
        timeout(PATIENCE, self.requests.recv()).await.expect("a request comes").unwrap()
    }

    pub fn no_more_requests(&mut self) {
        assert!(self.requests.try_recv().is_err(), "a request that nobody expected");
    }

    /// Waits until a hanging answer was closed by the client.
    pub async fn closed(&mut self) {
        timeout(PATIENCE, self.closed.recv()).await.expect("the client closes the stream").unwrap();
    }
}

struct OnDrop(mpsc::Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

async fn answer(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let answer = desk.script.lock().unwrap().pop_front();
    let body = serde_json::from_slice(&body).unwrap();
    desk.requests.send(Seen { headers, body }).await.unwrap();
    let (pieces, then) = match answer.expect("a request that the script has no answer for") {
        Answer::Status(status, body, retry_after) => {
            let response = Response::builder().status(status).header("request-id", "req_1");
            let response = retry_after.into_iter().fold(response, |r, after| r.header("retry-after", after));
            return response.body(Body::from(body)).unwrap();
        }
        Answer::Stream(pieces) => (pieces, Then::Ends),
        Answer::Hang(pieces) => (pieces, Then::Hangs),
        Answer::Ping(pieces) => (pieces, Then::Pings),
    };
    let state = (VecDeque::from(pieces), OnDrop(desk.closed));
    let body = stream::unfold(state, move |(mut pieces, guard)| async move {
        match (pieces.pop_front(), then) {
            // A pause lets each piece travel in a packet of its own.
            (Some(piece), _) => {
                tokio::task::yield_now().await;
                Some((Ok::<_, io::Error>(piece), (pieces, guard)))
            }
            (None, Then::Hangs) => std::future::pending().await,
            (None, Then::Pings) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Some((Ok(Bytes::from_static(PING)), (pieces, guard)))
            }
            (None, Then::Ends) => {
                std::mem::forget(guard);
                None
            }
        }
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .header("request-id", "req_2")
        .body(Body::from_stream(body))
        .unwrap()
}

fn event(data: &Value) -> String {
    format!("event: {}\r\ndata: {data}\r\n\r\n", data["type"].as_str().unwrap())
}

/// The events of a message: its texts, then its tool calls, then the stop; without the last if `stop` is empty.
pub fn message(texts: &[&str], calls: &[(&str, Value)], stop: &str) -> Vec<Bytes> {
    let mut events = vec![
        event(
            &json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        ),
        event(
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event(&json!({"type": "ping"})),
    ];
    let delta = |index: usize, delta: Value| {
        event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    events.extend(texts.iter().map(|text| delta(0, json!({"type": "text_delta", "text": text}))));
    if texts.is_empty() {
        events.remove(1);
    }
    for (i, (name, input)) in (1..).zip(calls) {
        let block = json!({"type": "tool_use", "id": format!("toolu_{i}"), "name": name, "input": {}});
        events.push(event(&json!({"type": "content_block_start", "index": i, "content_block": block})));
        events.push(delta(i, json!({"type": "input_json_delta", "partial_json": ""})));
        events.push(delta(i, json!({"type": "input_json_delta", "partial_json": input.to_string()})));
        events.push(event(&json!({"type": "content_block_stop", "index": i})));
    }
    if !stop.is_empty() {
        let delta = json!({"stop_reason": stop});
        events.push(event(&json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})));
        events.push(event(&json!({"type": "message_stop"})));
    }
    events.into_iter().map(Bytes::from).collect()
}

/// A whole answer in words.
pub fn says(texts: &[&str]) -> Answer {
    Answer::Stream(message(texts, &[], "end_turn"))
}
