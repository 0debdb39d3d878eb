//! The flow and its stream against a small server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::Settings;
use crate::carrier::{Call, Carrier, Ended, MarkOutcome, Outcome, Plan, Step, When};

/// What the server saw: requests as `what?query`, handshakes with their authorization.
#[derive(Clone, Default)]
pub(crate) struct Server {
    base: String,
    seen: Arc<Mutex<Vec<String>>>,
    decisions: Arc<Mutex<Vec<u16>>>,
    /// How the agent behaves on a stream.
    agent: Option<fn(Value) -> Vec<Value>>,
}

impl Server {
    pub async fn start(decisions: &[u16], agent: fn(Value) -> Vec<Value>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let decisions = Arc::new(Mutex::new(decisions.iter().rev().copied().collect()));
        let base = listener.local_addr().unwrap().to_string();
        let server = Self { base, decisions, agent: Some(agent), ..Self::default() };
        let router = Router::new()
            .route("/exotel/{secret}/{what}", get(webhook))
            .route("/stream", get(stream))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn plan(&self, settings: Settings) -> Plan {
        let mut plan = Plan::exotel(
            format!("http://{}", self.base).parse().unwrap(),
            "+918047100100",
            "+919812345678",
            "s",
        );
        plan.carrier = Carrier::Exotel(settings);
        plan
    }

    fn seen(&self, what: &str) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|line| line.starts_with(what)).cloned().collect()
    }
}

async fn webhook(
    State(server): State<Server>,
    Path((_, what)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    server.seen.lock().unwrap().push(format!("{what}?{}", uri.query().unwrap_or_default()));
    if what == "voice" {
        let url = format!("ws://exotel:pass@{}/stream?sample-rate=16000&call_id=c-7", server.base);
        return axum::Json(json!({ "url": url })).into_response();
    }
    let decision = server.decisions.lock().unwrap().pop().unwrap_or(200);
    StatusCode::from_u16(decision).unwrap().into_response()
}

async fn stream(
    State(server): State<Server>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("-");
    server.seen.lock().unwrap().push(format!("stream?{} {authorization}", uri.query().unwrap_or_default()));
    upgrade.on_upgrade(move |mut socket| async move {
        let agent = server.agent.unwrap();
        while let Some(Ok(message)) = socket.recv().await {
            let Message::Text(text) = message else { continue };
            server.seen.lock().unwrap().push(text.to_string());
            for answer in agent(serde_json::from_str(&text).unwrap()) {
                if answer == "close" {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
                if answer == "deaf" {
                    // The socket stays open, and nothing is read from it.
                    std::future::pending::<()>().await;
                }
                let _ = socket.send(Message::Text(answer.to_string().into())).await;
            }
        }
    })
}

pub(crate) fn sid(message: &Value) -> String {
    let sid = message.get("stream_sid").or(message.get("streamSid"));
    sid.and_then(Value::as_str).unwrap().to_owned()
}

pub(crate) fn media(sid: &str, bytes: usize) -> Value {
    let tone: Vec<u8> =
        (0..bytes / 2).flat_map(|n| if n % 16 < 8 { 4_000_i16 } else { -4_000 }.to_le_bytes()).collect();
    json!({"event": "media", "stream_sid": sid, "media": {"payload": BASE64.encode(tone)}})
}

async fn call(mut plan: Plan, steps: Vec<Step>) -> Outcome {
    plan.steps = steps;
    tokio::time::timeout(Duration::from_secs(30), Call::place(plan).finish())
        .await
        .expect("a call ends by itself")
}

fn hang_up_after(ms: u32) -> Vec<Step> {
    vec![Step::HangUp { when: When::At { ms } }]
}

#[tokio::test]
async fn a_call_goes_from_the_voice_url_over_a_second_handshake_to_passthru() {
    let server = Server::start(&[], |_| vec![]).await;
    let settings = Settings { first_handshake_fails: true, ..Settings::default() };
    let steps = vec![
        Step::Press { digits: "5".to_owned(), when: When::At { ms: 300 } },
        Step::HangUp { when: When::At { ms: 1_000 } },
    ];
    let report = call(server.plan(settings), steps).await.report;
    assert_eq!(report.ended, Ended::CallerHungUp);
    assert_eq!(report.parameter("call_id"), Some("c-7"));
    let handshakes = server.seen("stream");
    assert_eq!(handshakes, ["stream?sample-rate=16000&call_id=c-7 Basic ZXhvdGVsOnBhc3M="; 2]);
    assert_eq!(server.seen("voice").len(), 1);
    assert!(server.seen("voice")[0].contains("CallTo=08047100100&Direction=incoming"));
    let asked = server.seen("passthru");
    assert!(asked.len() == 1 && asked[0].contains("Stream%5BDisconnectedBy%5D=user"), "{asked:?}");

    let messages: Vec<Value> =
        server.seen("{").iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let mut events: Vec<_> = messages.iter().filter_map(|message| message["event"].as_str()).collect();
    events.dedup();
    assert_eq!(events, ["connected", "start", "media", "dtmf", "media", "stop"]);
    assert_eq!(messages.last().unwrap()["stop"]["reason"], "callended");
    let frames: Vec<_> = messages
        .iter()
        .filter_map(|message| message["media"]["payload"].as_str())
        .map(|payload| BASE64.decode(payload).unwrap().len())
        .collect();
    assert!(frames.len() >= 8 && frames.iter().all(|bytes| *bytes == 3_200), "100 ms at 16 kHz: {frames:?}");
}

#[tokio::test]
async fn a_flow_leads_back_to_the_stream_until_passthru_says_that_the_call_is_over() {
    let closes = |message: Value| if message["event"] == "media" { vec![json!("close")] } else { vec![] };
    let server = Server::start(&[302, 200], closes).await;
    let report = call(server.plan(Settings::default()), Vec::new()).await.report;
    assert_eq!(report.ended, Ended::ServerHungUp);
    assert_eq!((report.streams.len(), server.seen("voice").len()), (2, 2));
    let asked = server.seen("passthru");
    assert!(
        asked.len() == 2 && asked.iter().all(|asked| asked.contains("DisconnectedBy%5D=bot")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn marks_come_back_when_they_are_played_and_after_a_clear_as_the_switch_says() {
    let speaks = |message: Value| {
        if message["event"] != "start" {
            return vec![];
        }
        let sid = sid(&message);
        let mark = |name: &str| json!({"event": "mark", "stream_sid": sid, "mark": {"name": name}});
        // 100 ms are played before the mark; the second mark stands behind 10 s.
        let clear = json!({"event": "clear", "stream_sid": sid});
        let (short, long) = (media(&sid, 3_200), media(&sid, 96_000));
        vec![mark("at-once"), short, long, mark("far"), clear, media(&sid, 3_200), mark("played")]
    };
    for returns in [true, false] {
        let server = Server::start(&[], speaks).await;
        let settings = Settings { marks_return_on_clear: returns, ..Settings::default() };
        let report = call(server.plan(settings), hang_up_after(600)).await.report;
        let marks: Vec<_> = report.marks.iter().map(|mark| (mark.name.as_str(), mark.outcome)).collect();
        let mut expected = vec![
            ("at-once", MarkOutcome::Played),
            ("far", MarkOutcome::Cleared),
            ("played", MarkOutcome::Played),
        ];
        if !returns {
            expected.remove(1);
        }
        assert_eq!(marks, expected);
        assert_eq!((report.clears.len(), report.invalid_messages()), (1, 0));
    }
}

#[tokio::test]
async fn wrong_lengths_and_spellings_are_noted_and_heard() {
    let speaks = |message: Value| {
        if message["event"] != "start" {
            return vec![];
        }
        let sid = sid(&message);
        vec![
            media(&sid, 3_202),
            json!({"event": "clear", "streamSid": sid}),
            json!({"event": "hangup", "stream_sid": sid}),
        ]
    };
    let server = Server::start(&[], speaks).await;
    let Outcome { report, recording } = call(server.plan(Settings::default()), hang_up_after(500)).await;
    assert_eq!((report.invalid_messages(), report.clears.len()), (3, 0));
    let heard = recording.heard();
    let voiced = heard.iter().filter(|sample| sample.abs() > 1_000).count();
    assert!((700..=900).contains(&voiced), "the samples of the one that could be heard: {voiced}");
}
