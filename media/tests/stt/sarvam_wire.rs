//! Sarvam's adapter, message by message.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use media::audio::Format;
use media::stt::{Command, Event, Session, Settings, Transcriber, Transcript, Vendor, sarvam::Sarvam};
use mesh::Pii;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::stage::{
    PATIENCE,
    raw::{Line, Raw},
};

const BEGIN: &str = r#"{"event":"session.begin","request_id":"r","config":{}}"#;

fn open_with(server: &Raw, language: &str, format: Format) -> Session {
    Sarvam.open(Settings {
        has_fallback: false,
        vendor: Vendor::Sarvam,
        base_url: server.base_url(),
        api_key: Pii::new("secret".to_owned()),
        model: String::new(),
        language: language.into(),
        call_id: "CA-1".into(),
        format,
    })
}

async fn open() -> (Raw, Session, Line) {
    let server = Raw::start().await;
    let session = open_with(&server, "hi-IN", Format::MULAW_8K);
    let (_, mut line) = server.accept().await;
    line.say(BEGIN).await;
    (server, session, line)
}

async fn send(session: &Session, command: Command) {
    session.commands.send(command).await.expect("taken");
}

async fn event(session: &mut Session) -> Event {
    timeout(PATIENCE, session.events.recv()).await.expect("an event comes").expect("the events are open")
}

fn audio(message: &Value) -> Vec<u8> {
    assert_eq!(message["event"], "audio_input", "{message}");
    STANDARD.decode(message["audio"].as_str().expect("a text")).expect("base64")
}

/// The next message that is no ping.
async fn next(line: &mut Line) -> Value {
    loop {
        let message = line.text().await;
        if message["event"] != "ping" {
            return message;
        }
    }
}

#[tokio::test]
async fn requests_are_what_the_vendor_asks_for() {
    for (language, code) in [("hi", "hi-IN"), ("en-IN", "en-IN"), ("or-IN", "or-IN"), ("auto", "auto")] {
        let server = Raw::start().await;
        let session = open_with(&server, language, Format::MULAW_8K);
        send(&session, Command::Audio(vec![0x7F; 160].into())).await;
        let (request, mut line) = server.accept().await;
        let query = format!(
            "/speech-to-text-realtime/ws?language_code={code}&model=saaras%3Av3-realtime&encoding=mulaw\
             &sample_rate=8000&return_timestamps=true&silence_duration_ms=300"
        );
        assert_eq!(request.uri().to_string(), query);
        assert_eq!(request.headers()["api-subscription-key"], "secret");
        assert!(timeout(Duration::from_millis(100), line.next()).await.is_err(), "not before session.begin");
        line.say(BEGIN).await;
        assert_eq!(audio(&line.text().await), vec![0x7F; 160]);
        drop(session);
        assert_eq!(next(&mut line).await, json!({"event": "end"}));
    }
}

#[tokio::test]
async fn the_call_s_format_is_kept_where_the_vendor_takes_it() {
    for (format, rate, sent_bytes) in
        [(Format::PCM_8K, 8_000, 320), (Format::PCM_16K, 16_000, 640), (Format::PCM_24K, 8_000, 320)]
    {
        let server = Raw::start().await;
        let session = open_with(&server, "hi-IN", format);
        let frame = format.bytes_of(Duration::from_millis(20));
        send(&session, Command::Audio(vec![0; frame].into())).await;
        send(&session, Command::Finalize).await;
        let (request, mut line) = server.accept().await;
        let query = request.uri().query().expect("there are parameters");
        assert!(query.contains(&format!("encoding=linear16&sample_rate={rate}&")), "{query}");
        line.say(BEGIN).await;
        assert_eq!(audio(&next(&mut line).await), vec![0; sent_bytes]);
        assert_eq!(audio(&next(&mut line).await).len(), sent_bytes * 25, "half a second of silence");
    }
}

#[tokio::test]
async fn a_finalize_is_silence_and_its_answer_covers_all_that_was_said() {
    let (_server, mut session, mut line) = open().await;
    for _ in 0..50 {
        send(&session, Command::Audio(vec![0x7F; 160].into())).await;
        audio(&next(&mut line).await);
        tokio::time::sleep(Duration::from_millis(16)).await;
    }
    line.say(r#"{"event":"vad.speech_start","utterance_idx":0,"confidence":0.9}"#).await;
    line.say(r#"{"event":"transcript.partial","utterance_idx":0,"text":"mera"}"#).await;
    let Event::Transcript(partial) = event(&mut session).await else { panic!("not a transcript") };
    let second = Duration::from_secs(1);
    let expected = Transcript { text: "mera".into(), is_final: false, utterance_over: false, end: second };
    assert_eq!(partial, expected);
    send(&session, Command::Finalize).await;
    assert_eq!(audio(&next(&mut line).await), vec![0xFF; 4000]);
    line.say(r#"{"event":"vad.speech_end","utterance_idx":0,"confidence":0.9}"#).await;
    let done = r#"{"event":"transcript.final","utterance_idx":0,"text":"मेरा फ़ोन","start_s":0.1,"end_s":0.9}"#;
    line.say(done).await;
    let Event::Transcript(answer) = event(&mut session).await else { panic!("not a transcript") };
    let expected = Transcript {
        text: "मेरा फ़ोन".into(), is_final: true, utterance_over: true, end: second
    };
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn after_a_close_what_is_not_settled_is_sent_again() {
    let (server, mut session, mut line) = open().await;
    send(&session, Command::Audio(vec![1; 160].into())).await;
    audio(&next(&mut line).await);
    line.say(r#"{"event":"vad.speech_start","utterance_idx":0,"confidence":0.9}"#).await;
    line.close(1011, "internal").await;
    assert!(matches!(event(&mut session).await, Event::Lost { .. }));
    let (_, mut line) = server.accept().await;
    line.say(BEGIN).await;
    assert_eq!(audio(&next(&mut line).await), vec![1; 160]);
    assert_eq!(event(&mut session).await, Event::CaughtUp);
}

#[tokio::test]
async fn what_means_nothing_changes_nothing() {
    let (_server, mut session, mut line) = open().await;
    for nonsense in [
        r#"{"event":"config.updated","applied":[]}"#,
        r#"{"event":"error","code":"invalid_audio","is_fatal":false,"message":"m","status_code":400}"#,
        r#"{"type":"data"}"#,
        BEGIN,
        "[]",
    ] {
        line.say(nonsense).await;
    }
    line.say(r#"{"event":"transcript.partial","utterance_idx":0,"text":"हाँ"}"#).await;
    assert!(matches!(event(&mut session).await, Event::Transcript(partial) if partial.text == "हाँ"));
}

#[tokio::test]
async fn a_vendor_that_says_nothing_of_speech_is_dialled_again_in_two_seconds() {
    let (_server, mut session, mut line) = open().await;
    send(&session, Command::Speaking(true)).await;
    line.say(r#"{"event":"vad.speech_start","utterance_idx":0,"confidence":0.9}"#).await;
    // Pings of the WebSocket are answered, and those of the vendor's own are not.
    let reads = async { while line.is_open().await {} };
    let both = async { tokio::join!(event(&mut session), reads) };
    let (lost, ()) = timeout(Duration::from_millis(2_500), both).await.expect("in time");
    assert!(matches!(&lost, Event::Lost { detail } if detail.contains("silent")), "{lost:?}");
}
