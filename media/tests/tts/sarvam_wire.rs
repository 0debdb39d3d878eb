//! Sarvam's adapter, message by message.

use std::time::Duration;

use media::audio::Format;
use media::tts::{Command, Event, Session, Settings, Synthesizer, Take, Vendor, sarvam::Sarvam};
use mesh::Pii;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{ONE, TWO};
use crate::stage::{
    PATIENCE, no_task_is_left,
    raw::{Line, Raw},
};

const FINAL: &str = r#"{"type":"event","data":{"event_type":"final","message":"done","timestamp":"t"}}"#;
const AUDIO: &str =
    r#"{"type":"audio","data":{"content_type":"audio/mulaw","audio":"//8=","request_id":"r"}}"#;

fn open_with(server: &Raw, model: &str, format: Format) -> Session {
    Sarvam.open(Settings {
        has_fallback: false,
        vendor: Vendor::Sarvam,
        base_url: server.base_url(),
        api_key: Pii::new("secret".to_owned()),
        voice_id: "Shubh".into(),
        model: model.into(),
        language: "or-IN".into(),
        call_id: "CA-1".into(),
        format,
    })
}

async fn open() -> (Raw, Session, Line) {
    let server = Raw::start().await;
    let session = open_with(&server, "bulbul:v3", Format::MULAW_8K);
    let (_, mut line) = server.accept().await;
    assert_eq!(line.text().await["type"], "config");
    (server, session, line)
}

async fn speak(session: &Session, take: Take, text: &str) {
    session.commands.send(Command::Speak { take, text: text.into() }).await.expect("taken");
}

async fn event(session: &mut Session) -> Event {
    timeout(PATIENCE, session.events.recv()).await.expect("an event comes").expect("the events are open")
}

fn error(data: Value) -> String {
    json!({"type": "error", "data": data}).to_string()
}

#[tokio::test]
async fn requests_are_what_the_vendor_asks_for() {
    let usual = "/text-to-speech/ws?model=bulbul%3Av3&send_completion_event=true";
    let fast = "/text-to-speech/ws/v2?model=bulbul%3Av4-flash&send_completion_event=true";
    for (model, path, format, codec, rate) in [
        ("", usual, Format::MULAW_8K, "mulaw", 8_000),
        ("bulbul:v4-flash", fast, Format::PCM_8K, "linear16", 8_000),
        ("", usual, Format::PCM_16K, "linear16", 16_000),
        ("", usual, Format::PCM_24K, "linear16", 24_000),
    ] {
        let server = Raw::start().await;
        let session = open_with(&server, model, format);
        let (request, mut line) = server.accept().await;
        assert_eq!(request.uri().to_string(), path);
        assert_eq!(request.headers()["api-subscription-key"], "secret");
        assert!(!request.headers().contains_key("authorization"));
        let model = if model.is_empty() { "bulbul:v3" } else { model };
        let config = json!({"target_language_code": "od-IN", "speaker": "shubh", "model": model,
            "speech_sample_rate": rate, "output_audio_codec": codec});
        assert_eq!(line.text().await, json!({"type": "config", "data": config}), "first of all");
        speak(&session, ONE, "Sure. ").await;
        assert_eq!(line.text().await, json!({"type": "text", "data": {"text": "Sure. "}}));
        assert_eq!(line.text().await, json!({"type": "flush"}));
    }
}

#[tokio::test]
async fn a_cancel_closes_the_line_and_the_warm_one_speaks() {
    let (server, mut session, mut line) = open().await;
    speak(&session, ONE, "A long story.").await;
    let (_, mut spare) = server.accept().await;
    assert_eq!(spare.text().await["type"], "config");
    line.text().await;
    line.text().await;
    line.say(AUDIO).await;
    assert!(matches!(event(&mut session).await, Event::Audio { take: ONE, .. }));
    session.commands.send(Command::Cancel { take: ONE }).await.expect("taken");
    speak(&session, TWO, "Yes?").await;
    assert!(line.next().await.is_close());
    assert_eq!(spare.text().await["data"]["text"], "Yes?");
    spare.say(AUDIO).await;
    spare.say(FINAL).await;
    assert!(matches!(event(&mut session).await, Event::Audio { take: TWO, .. }));
    assert!(matches!(event(&mut session).await, Event::Words { take: TWO, .. }));
}

#[tokio::test]
async fn text_is_sent_again_under_the_other_name_of_the_language() {
    let (server, mut session, mut line) = open().await;
    speak(&session, ONE, "Sure.").await;
    line.say(error(json!({"message": "422: target_language_code: extra fields", "request_id": "r"}))).await;
    // The spare one was dialled before the complaint.
    let (_, mut spare) = server.accept().await;
    let config = spare.text().await;
    let mut other = if config["data"]["language_code"] == "od-IN" {
        spare
    } else {
        spare.say(error(json!({"message": "target_language_code: extra fields", "code": 422}))).await;
        let (_, mut other) = server.accept().await;
        assert_eq!(other.text().await["data"]["language_code"], "od-IN");
        other
    };
    assert_eq!(other.text().await["data"]["text"], "Sure.");
    other.say(AUDIO).await;
    assert!(matches!(event(&mut session).await, Event::Audio { take: ONE, .. }));
}

#[tokio::test]
async fn errors_of_every_shape_lose_the_take() {
    for data in [
        json!({"message": "oops", "code": 500, "details": {}, "request_id": "r"}),
        json!({"message": "oops", "code": "503"}),
        json!({"message": "429: Rate limit exceeded"}),
        json!({"message": "rate_limit_exceeded_error", "code": 429}),
        json!({}),
    ] {
        let (_server, mut session, mut line) = open().await;
        speak(&session, ONE, "Hello.").await;
        line.text().await;
        line.say(error(data.clone())).await;
        assert!(matches!(event(&mut session).await, Event::Words { take: ONE, .. }));
        assert!(matches!(event(&mut session).await, Event::Lost { take: ONE, .. }), "{data}");
    }
}

#[tokio::test]
async fn what_means_nothing_changes_nothing() {
    let (_server, mut session, mut line) = open().await;
    line.say(AUDIO).await;
    line.say(FINAL).await;
    speak(&session, ONE, "Hello.").await;
    line.text().await;
    for nonsense in [
        r#"{"message":"no type"}"#,
        r#"{"type":"event","data":{"event_type":"started"}}"#,
        r#"{"type":"unheard_of","data":7}"#,
        r#"{"type":"event"}"#,
    ] {
        line.say(nonsense).await;
    }
    line.say(AUDIO).await;
    assert!(matches!(event(&mut session).await, Event::Audio { take: ONE, payload } if payload.len() == 2));
    line.say(FINAL).await;
    let Event::Words { words, .. } = event(&mut session).await else { panic!("not words") };
    assert_eq!(words.len(), 1);
    session.commands.send(Command::Finish { take: ONE }).await.expect("taken");
    assert!(matches!(event(&mut session).await, Event::Done { take: ONE }));
}

#[tokio::test]
async fn final_refusals_are_final() {
    for status in [400, 401, 402, 403] {
        let server = Raw::start().await;
        let mut session = open_with(&server, "bulbul:v3", Format::MULAW_8K);
        server.refuse(status).await;
        let Event::Unavailable { detail } = event(&mut session).await else { panic!("{status}") };
        assert!(detail.contains(&status.to_string()) && !detail.contains("secret"), "{detail}");
        assert!(!server.is_dialled(Duration::from_millis(100)).await);
        drop(session);
    }
    for data in [
        json!({"message": "403: Invalid API key"}),
        json!({"message": "No credits available", "code": "insufficient_quota_error"}),
        json!({"message": "Speaker 'x' is not compatible with model bulbul:v3", "code": 422}),
    ] {
        let (_server, mut session, mut line) = open().await;
        line.say(error(data.clone())).await;
        assert!(matches!(event(&mut session).await, Event::Unavailable { .. }), "{data}");
        drop(line);
    }
    no_task_is_left(Duration::from_secs(3)).await;
}
