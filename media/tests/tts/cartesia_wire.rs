//! Cartesia's adapter, message by message.

use std::time::Duration;

use media::tts::{Command, Event, Session, Settings, Synthesizer, Take, Vendor, cartesia::Cartesia};
use mesh::Pii;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{ONE, TWO};
use crate::stage::{
    PATIENCE, no_task_is_left,
    raw::{Line, Raw},
};

const CONTEXT: &str = "CA-1-1t0";

fn open_at(server: &Raw) -> Session {
    Cartesia.open(Settings {
        has_fallback: false,
        vendor: Vendor::Cartesia,
        base_url: server.base_url(),
        api_key: Pii::new("secret".to_owned()),
        voice_id: "voice".into(),
        model: "sonic-3.5".into(),
        language: "hi-IN".into(),
        call_id: "CA-1".into(),
        format: media::audio::Format::MULAW_8K,
    })
}

async fn open() -> (Raw, Session, Line) {
    let server = Raw::start().await;
    let session = open_at(&server);
    let (_, line) = server.accept().await;
    (server, session, line)
}

async fn speak(session: &Session, take: Take, text: &str) {
    session.commands.send(Command::Speak { take, text: text.into() }).await.expect("taken");
}

async fn event(session: &mut Session) -> Event {
    timeout(PATIENCE, session.events.recv()).await.expect("an event comes").expect("the events are open")
}

fn of(kind: &str, more: Value) -> String {
    let mut message = json!({"type": kind, "context_id": CONTEXT, "done": false, "status_code": 206});
    if let (Some(message), Some(more)) = (message.as_object_mut(), more.as_object()) {
        message.extend(more.clone());
    }
    message.to_string()
}

fn chunk() -> String {
    of("chunk", json!({"data": "//8="}))
}

fn done() -> String {
    of("done", json!({"done": true, "status_code": 200}))
}

#[tokio::test]
async fn requests_are_what_the_vendor_asks_for() {
    let server = Raw::start().await;
    let session = open_at(&server);
    let (request, mut line) = server.accept().await;
    assert_eq!(request.uri().to_string(), "/tts/websocket");
    assert_eq!(request.headers()["x-api-key"], "secret");
    assert_eq!(request.headers()["cartesia-version"], "2026-03-01");
    assert!(!request.headers().contains_key("authorization"));
    speak(&session, ONE, "Sure. ").await;
    let mut expected = json!({
        "context_id": CONTEXT, "model_id": "sonic-3.5", "transcript": "Sure. ",
        "voice": {"mode": "id", "id": "voice"}, "language": "hi", "continue": true, "max_buffer_delay_ms": 0,
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
        "add_timestamps": true, "use_normalized_timestamps": false,
    });
    assert_eq!(line.text().await, expected);
    session.commands.send(Command::Finish { take: ONE }).await.expect("taken");
    expected["transcript"] = "".into();
    expected["continue"] = false.into();
    assert_eq!(line.text().await, expected, "all inputs of a context repeat the same fields");
    speak(&session, TWO, "Go on.").await;
    assert_eq!(line.text().await["context_id"], "CA-1-2t0");
    session.commands.send(Command::Cancel { take: TWO }).await.expect("taken");
    assert_eq!(line.text().await, json!({"context_id": "CA-1-2t0", "cancel": true}));
}

#[tokio::test]
async fn commands_keep_their_order_while_the_vendor_is_busy() {
    let server = Raw::start().await;
    let session = open_at(&server);
    speak(&session, ONE, "a").await;
    speak(&session, ONE, "b").await;
    session.commands.send(Command::Cancel { take: ONE }).await.expect("taken");
    speak(&session, TWO, "c").await;
    server.refuse(429).await;
    server.refuse(503).await;
    let (_, mut line) = server.accept().await;
    let mut texts = Vec::new();
    for _ in 0..4 {
        let message = line.text().await;
        texts.push(message["transcript"].as_str().unwrap_or("cancel").to_owned());
    }
    assert_eq!(texts, ["a", "b", "cancel", "c"]);
}

#[tokio::test]
async fn text_that_crosses_the_end_of_its_context_is_lost_and_not_passed_over() {
    let (_server, mut session, mut line) = open().await;
    speak(&session, ONE, "One moment. ").await;
    line.text().await;
    line.say(chunk()).await;
    line.say(of("flush_done", json!({"flush_done": true, "flush_id": 1}))).await;
    assert!(matches!(event(&mut session).await, Event::Audio { take: ONE, .. }));
    // The vendor ends the context while this is on its way.
    speak(&session, ONE, "Here it is.").await;
    line.text().await;
    line.say(done()).await;
    assert!(matches!(event(&mut session).await, Event::Lost { take: ONE, .. }));
    let late = json!({"type": "error", "context_id": CONTEXT, "done": true, "status_code": 400, "title": "Bad Request"});
    line.say(late.to_string()).await;
    line.say(chunk()).await;
    let again = Take { number: 1, ..ONE };
    speak(&session, again, "Here it is.").await;
    let id = line.text().await["context_id"].as_str().expect("an id").to_owned();
    line.say(chunk().replace(CONTEXT, &id)).await;
    assert!(matches!(event(&mut session).await, Event::Audio { take, .. } if take == again), "told once");
}

#[tokio::test]
async fn a_vendor_that_tells_no_flushes_ends_its_contexts_all_the_same() {
    let (_server, mut session, mut line) = open().await;
    speak(&session, ONE, "Hello.").await;
    line.text().await;
    line.say(chunk()).await;
    line.say(done()).await;
    assert!(matches!(event(&mut session).await, Event::Audio { take: ONE, .. }));
    assert!(matches!(event(&mut session).await, Event::Done { take: ONE }));
}

#[tokio::test]
async fn errors_of_every_shape_lose_the_take() {
    for error in [
        json!({"type": "error", "context_id": CONTEXT, "done": true, "status_code": 429, "error_code":
            "concurrency_limited", "title": "Too Many Requests", "message": "m", "request_id": "r", "doc_url": "d"}),
        json!({"type": "error", "context_id": CONTEXT, "done": true, "status_code": 500, "error_code": null,
            "title": null, "message": null, "doc_url": null}),
        json!({"type": "error", "error": "Bad Request: no", "status_code": 400, "done": true, "context_id": CONTEXT}),
        json!({"type": "error", "error": "Bad Request: no", "status_code": 400, "done": true}),
        json!({"type": "error", "context_id": null, "done": true}),
        json!({"type": "chunk", "context_id": CONTEXT, "data": "no base64"}),
        json!({"type": "chunk", "context_id": 7}),
    ] {
        let (_server, mut session, mut line) = open().await;
        speak(&session, ONE, "Hello.").await;
        line.text().await;
        line.say(error.to_string()).await;
        assert!(matches!(event(&mut session).await, Event::Lost { take: ONE, .. }), "{error}");
    }
}

#[tokio::test]
async fn what_means_nothing_changes_nothing() {
    let (_server, mut session, mut line) = open().await;
    speak(&session, ONE, "Hello.").await;
    line.text().await;
    for nonsense in [
        chunk().replace(CONTEXT, "CA-1-9t0"),
        chunk().replace(CONTEXT, "CA-1-1"),
        done().replace(CONTEXT, "another"),
        of("phoneme_timestamps", json!({"phoneme_timestamps": {}})),
        of("timestamps", json!({})),
        of("unheard_of", json!({})),
    ] {
        line.say(nonsense).await;
    }
    line.say(of("timestamps", json!({"word_timestamps": {"words": ["a", "b", "c"], "end": [1e300, -1.0]}})))
        .await;
    assert!(matches!(event(&mut session).await, Event::Words { words, .. } if words.is_empty()));
    let Event::Words { words, .. } = event(&mut session).await else { panic!("not words") };
    assert_eq!(words.len(), 2);
    assert!(words.iter().all(|word| word.end <= Duration::from_secs(86_400)));
}

#[tokio::test]
async fn final_refusals_are_final() {
    for status in [400, 401, 402, 403] {
        let server = Raw::start().await;
        let mut session = open_at(&server);
        server.refuse(status).await;
        let Event::Unavailable { detail } = event(&mut session).await else { panic!("{status}") };
        assert!(detail.contains(&status.to_string()) && !detail.contains("secret"), "{detail}");
        assert!(!server.is_dialled(Duration::from_millis(100)).await);
        drop(session);
    }
    no_task_is_left(Duration::from_secs(1)).await;
}
