//! The server against a plain WebSocket client, rule by rule; audio is sent as fast as it goes.

mod faults;
mod flux;
mod rules;
mod upgrade;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::recordings::tests::prompts;
use crate::speech::mulaw;

const PHONE: &str = "model=nova-3&encoding=mulaw&sample_rate=8000&interim_results=true&endpointing=300\
                     &utterance_end_ms=1000&vad_events=true&smart_format=true&tag=call-1";
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that answers at once.
fn server(change: impl FnOnce(&mut Settings)) -> (Server, EventLog) {
    let log = EventLog::default();
    let mut settings = Settings::new(prompts(), log.clone());
    settings.interim_latency = Latency::default();
    settings.final_latency = Latency::default();
    change(&mut settings);
    (Server::start(settings).expect("a free port"), log)
}

fn request(server: &Server, query: &str, key: &str) -> Request {
    let version = if query.contains("model=flux") { "v2" } else { "v1" };
    request_to(server, version, query, key)
}

fn request_to(server: &Server, version: &str, query: &str, key: &str) -> Request {
    let url = format!("{}/{version}/listen?{query}", server.base_url().replace("http", "ws"));
    let mut request = url.into_client_request().expect("a URL");
    if !key.is_empty() {
        request.headers_mut().insert("authorization", key.parse().expect("a header"));
    }
    request
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(server: &Server, query: &str) -> Self {
        Self(connect_async(request(server, query, "Token key")).await.expect("accepted").0)
    }

    async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.expect("the server takes it");
    }

    /// Sends samples as mu-law in frames of 20 ms.
    async fn speak(&mut self, samples: &[i16]) {
        for frame in samples.chunks(160) {
            self.send(mulaw::encode_all(frame)).await;
        }
    }

    async fn next(&mut self) -> Result<Message, Error> {
        timeout(PATIENCE, self.0.next())
            .await
            .expect("an answer in time")
            .unwrap_or(Err(Error::ConnectionClosed))
    }

    /// All JSON up to and with the first that satisfies `last`.
    async fn until(&mut self, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let Message::Text(text) = self.next().await.expect("the socket is open") else { continue };
            let json: Value = serde_json::from_str(&text).expect("JSON");
            seen.push(json);
            if seen.last().is_some_and(&last) {
                return seen;
            }
        }
    }

    /// Everything up to the close: the JSON, and the close's code and reason.
    async fn until_close(&mut self) -> (Vec<Value>, u16, String) {
        let mut seen = Vec::new();
        loop {
            match self.next().await.expect("a close comes before the end") {
                Message::Text(text) => seen.push(serde_json::from_str(&text).expect("JSON")),
                Message::Close(Some(frame)) => return (seen, frame.code.into(), frame.reason.to_string()),
                _ => {}
            }
        }
    }
}

fn samples(name: &str) -> Vec<i16> {
    prompts().get(name).expect("the prompt is in the list").samples.clone()
}

fn words_of(name: &str) -> String {
    prompts().get(name).expect("the prompt is in the list").text.clone()
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

fn transcript(json: &Value) -> &str {
    json["channel"]["alternatives"][0]["transcript"].as_str().unwrap_or_default()
}

/// What a right client understands: every final text up to the end.
fn final_text(seen: &[Value]) -> String {
    let finals = seen.iter().filter(|json| json["is_final"] == true).map(transcript);
    finals.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn of_type<'a>(seen: &'a [Value], kind: &str) -> Vec<&'a Value> {
    seen.iter().filter(|json| json["type"] == kind).collect()
}
