//! The adapter of Deepgram Flux, message by message.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use media::stt::{Command, Event, Session, Settings, Transcriber, flux::Flux};
use mesh::Pii;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{
    PATIENCE, no_task_is_left,
    raw::{Line, Raw},
};

const CONNECTED: &str = r#"{"type":"Connected","request_id":"r","sequence_id":0}"#;

fn settings(server: &Raw, model: &str) -> Settings {
    Settings {
        has_fallback: false,
        vendor: media::stt::Vendor::Deepgram,
        base_url: server.base_url(),
        api_key: Pii::new("secret".to_owned()),
        model: model.into(),
        language: "hi-IN".into(),
        call_id: "CA 1".into(),
        format: media::audio::Format::MULAW_8K,
    }
}

async fn open() -> (Raw, Session, Line) {
    let server = Raw::start().await;
    let session = Flux.open(settings(&server, "flux-general-en"));
    assert!(session.decides_turns);
    let (_, mut line) = server.accept().await;
    line.say(CONNECTED).await;
    (server, session, line)
}

async fn event(session: &mut Session) -> Event {
    timeout(PATIENCE, session.events.recv()).await.expect("an event comes").expect("the events are open")
}

async fn speak(session: &Session, frames: usize) {
    for _ in 0..frames {
        session.commands.send(Command::Audio(Bytes::from_static(&[0x7F; 160]))).await.expect("taken");
    }
}

/// Takes so much audio; the sizes of its messages.
async fn audio(line: &mut Line, mut bytes: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while bytes > 0 {
        match line.next().await {
            Message::Binary(audio) => {
                bytes -= audio.len();
                sizes.push(audio.len());
            }
            other => panic!("{other:?} with {bytes} bytes to come"),
        }
    }
    sizes
}

fn turn(event: &str, transcript: &str, end: f64) -> String {
    json!({"type": "TurnInfo", "event": event, "turn_index": 0, "audio_window_start": 0.0, "audio_window_end": end,
        "transcript": transcript, "words": [], "end_of_turn_confidence": 0.5})
    .to_string()
}

#[tokio::test]
async fn the_upgrade_says_what_the_vendor_asks_for() {
    for (model, hint) in [("flux-general-en", None), ("flux-general-multi", Some(("language_hint", "hi")))] {
        let server = Raw::start().await;
        let _session = Flux.open(settings(&server, model));
        let (request, _) = server.accept().await;
        assert_eq!(request.uri().path(), "/v2/listen");
        assert_eq!(request.headers()["authorization"], "Token secret");
        let query = request.uri().query().unwrap_or_default();
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let expected = [
            ("eager_eot_threshold", "0.5"),
            ("encoding", "mulaw"),
            ("eot_threshold", "0.7"),
            ("eot_timeout_ms", "3000"),
            ("model", model),
            ("sample_rate", "8000"),
            ("tag", "CA 1"),
        ];
        let expected =
            expected.into_iter().chain(hint).map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(query, expected.collect());
    }
}

#[tokio::test]
async fn audio_waits_for_the_vendor_and_goes_in_pieces_of_80_ms() {
    let server = Raw::start().await;
    let session = Flux.open(settings(&server, "flux-general-en"));
    let (_, mut line) = server.accept().await;
    speak(&session, 9).await;
    session.commands.send(Command::Finalize).await.expect("taken");
    tokio::time::sleep(Duration::from_millis(100)).await;
    line.say(CONNECTED).await;
    assert_eq!(audio(&mut line, 1440).await, [640, 640, 160]);
    drop(session);
    assert_eq!(line.text().await, json!({"type": "CloseStream"}), "the first text of all");
    line.close(1000, "").await;
    no_task_is_left(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn turns_are_told_and_a_lost_socket_takes_back_what_was_likely() {
    let (server, mut session, mut line) = open().await;
    speak(&session, 40).await;
    audio(&mut line, 6400).await;
    line.say(turn("EndOfTurn", "Yes.", 0.5)).await;
    let end = Duration::from_millis(500);
    assert_eq!(event(&mut session).await, Event::EndOfTurn { text: "Yes.".into(), end });
    line.say(turn("EagerEndOfTurn", "No.", 0.75)).await;
    let end = Duration::from_millis(750);
    assert_eq!(event(&mut session).await, Event::LikelyEndOfTurn { text: "No.".into(), end });
    line.say(r#"{"type":"Error","code":"INTERNAL_SERVER_ERROR","description":"no","sequence_id":9}"#).await;
    assert_eq!(event(&mut session).await, Event::TurnResumed);
    assert!(matches!(event(&mut session).await, Event::Lost { detail } if detail.contains("INTERNAL")));
    let (_, mut line) = server.accept().await;
    line.say(CONNECTED).await;
    assert_eq!(event(&mut session).await, Event::CaughtUp);
    audio(&mut line, 2400).await;
    line.say(turn("EndOfTurn", "No.", 0.2)).await;
    let end = Duration::from_millis(700);
    assert_eq!(event(&mut session).await, Event::EndOfTurn { text: "No.".into(), end }, "the call's clock");
}

#[tokio::test]
async fn audio_that_cannot_be_decoded_is_final() {
    let (server, mut session, mut line) = open().await;
    line.close(1008, "DATA-0000").await;
    assert!(
        matches!(event(&mut session).await, Event::Unavailable { detail, .. } if detail.contains("DATA-0000"))
    );
    assert!(!server.is_dialled(Duration::from_millis(600)).await);
}

#[tokio::test]
async fn nonsense_of_the_vendor_harms_nobody() {
    let (_server, mut session, mut line) = open().await;
    speak(&session, 8).await;
    audio(&mut line, 1280).await;
    for nonsense in [
        "{",
        "[]",
        CONNECTED,
        r#"{"type":"TurnInfo"}"#,
        r#"{"type":"TurnInfo","event":"Unheard"}"#,
        r#"{"type":"Unheard","of":1}"#,
        r#"{"type":"Warning","code":"w","description":"d"}"#,
        &turn("TurnResumed", "", -3.0),
        &turn("EagerEndOfTurn", "", 1e300),
        &turn("EndOfTurn", "", 1e19),
    ] {
        line.say(nonsense).await;
    }
    line.say(turn("EndOfTurn", "Yes.", 1e9)).await;
    loop {
        match event(&mut session).await {
            Event::Transcript(transcript) => assert!(transcript.end <= Duration::from_millis(160)),
            Event::EndOfTurn { end, .. } => break assert_eq!(end, Duration::from_millis(160)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_quiet_socket_is_pinged_and_never_told_to_keep_alive() {
    let (_server, _session, mut line) = open().await;
    for _ in 0..3 {
        assert!(matches!(line.frame().await, Message::Ping(_)));
    }
}
