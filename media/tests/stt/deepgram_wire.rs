//! Deepgram's adapter, message by message.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use media::stt::{Command, Event, Session, Settings, Transcriber, deepgram::Deepgram};
use mesh::Pii;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{
    PATIENCE, no_task_is_left,
    raw::{Line, Raw},
};

fn settings(server: &Raw, language: &str) -> Settings {
    Settings {
        has_fallback: false,
        vendor: media::stt::Vendor::Deepgram,
        base_url: server.base_url(),
        api_key: Pii::new("secret".to_owned()),
        model: "nova-3".into(),
        language: language.into(),
        call_id: "CA 1".into(),
        format: media::audio::Format::MULAW_8K,
    }
}

async fn open() -> (Raw, Session, Line) {
    let server = Raw::start().await;
    let session = Deepgram.open(settings(&server, "en"));
    let (_, line) = server.accept().await;
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

async fn audio(line: &mut Line, mut bytes: usize) {
    while bytes > 0 {
        match line.next().await {
            Message::Binary(audio) => bytes -= audio.len(),
            other => panic!("{other:?} with {bytes} bytes to come"),
        }
    }
}

fn results(start: f64, duration: f64, is_final: bool) -> String {
    json!({"type": "Results", "start": start, "duration": duration, "is_final": is_final, "speech_final": is_final,
        "channel": {"alternatives": [{"transcript": "word", "words": []}]}})
    .to_string()
}

#[tokio::test]
async fn the_upgrade_says_what_the_vendor_asks_for() {
    for (language, sent) in [("en", "en"), ("en-IN", "en-IN"), ("hi-IN", "hi"), ("ta", "ta")] {
        let server = Raw::start().await;
        let _session = Deepgram.open(settings(&server, language));
        let (request, _) = server.accept().await;
        assert_eq!(request.uri().path(), "/v1/listen");
        assert_eq!(request.headers()["authorization"], "Token secret");
        let query = request.uri().query().unwrap_or_default();
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let expected = [
            ("channels", "1"),
            ("encoding", "mulaw"),
            ("endpointing", "300"),
            ("interim_results", "true"),
            ("language", sent),
            ("model", "nova-3"),
            ("punctuate", "true"),
            ("sample_rate", "8000"),
            ("tag", "CA 1"),
            ("utterance_end_ms", "1000"),
        ];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}

#[tokio::test]
async fn audio_goes_through_untouched_and_control_is_text() {
    let (_server, mut session, mut line) = open().await;
    let sound: Vec<u8> = (0..=255).cycle().take(1600).collect();
    session.commands.send(Command::Audio(Bytes::new())).await.expect("taken");
    session.commands.send(Command::Audio(sound.clone().into())).await.expect("taken");
    session.commands.send(Command::Finalize).await.expect("taken");
    let mut heard = Vec::new();
    loop {
        match line.next().await {
            Message::Binary(audio) => {
                assert!(!audio.is_empty(), "an empty message would end the stream");
                heard.extend_from_slice(&audio);
            }
            Message::Text(text) => {
                assert_eq!(text.as_str(), r#"{"type":"Finalize"}"#);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard, sound);
    assert_eq!(line.text().await, json!({"type": "KeepAlive"}));
    drop(session.commands);
    assert_eq!(line.text().await, json!({"type": "CloseStream"}));
    line.say(results(0.0, 0.2, true)).await;
    line.close(1000, "").await;
    session.events.close();
    no_task_is_left(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn audio_that_cannot_be_decoded_is_final() {
    for code in [1008, 1002] {
        let (server, mut session, mut line) = open().await;
        line.close(code, "DATA-0000").await;
        assert!(
            matches!(event(&mut session).await, Event::Unavailable { detail, .. } if detail.contains("DATA-0000"))
        );
        assert!(!server.is_dialled(Duration::from_millis(600)).await);
    }
}

#[tokio::test]
async fn other_closes_are_dialled_again_and_times_go_on() {
    let (server, mut session, mut line) = open().await;
    speak(&session, 20).await;
    audio(&mut line, 3200).await;
    line.say(results(0.0, 0.25, true)).await;
    let Event::Transcript(first) = event(&mut session).await else { panic!("not a transcript") };
    assert_eq!(first.end, Duration::from_millis(250));
    line.close(1011, "NET-0001").await;
    assert!(matches!(event(&mut session).await, Event::Lost { detail } if detail.contains("NET-0001")));
    let (_, mut line) = server.accept().await;
    assert_eq!(event(&mut session).await, Event::CaughtUp);
    audio(&mut line, 1200).await;
    line.say(results(0.0, 0.1, true)).await;
    let Event::Transcript(second) = event(&mut session).await else { panic!("not a transcript") };
    assert_eq!(second.end, Duration::from_millis(350), "on the clock of the call");
}

#[tokio::test]
async fn nonsense_of_the_vendor_harms_nobody() {
    let (_server, mut session, mut line) = open().await;
    speak(&session, 5).await;
    audio(&mut line, 800).await;
    for nonsense in [
        "{",
        "[]",
        r#"{"type":"Results"}"#,
        r#"{"type":"Unheard","of":1}"#,
        r#"{"type":"Error","description":"no"}"#,
        &results(1e300, 1e300, false),
        &results(1e19, 1.8e19, true),
        &results(-5.0, 1.0, true),
        &results(1e9, 0.0, true),
    ] {
        line.say(nonsense).await;
    }
    line.say(r#"{"type":"UtteranceEnd","last_word_end":0.1}"#).await;
    loop {
        match event(&mut session).await {
            Event::Transcript(transcript) => assert!(transcript.end <= Duration::from_millis(100)),
            Event::UtteranceEnd => break,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_does_not_stop_the_audio() {
    let (_server, mut session, mut line) = open().await;
    for number in 0..200 {
        line.say(results(0.0, f64::from(number) / 1000.0, false)).await;
    }
    speak(&session, 25).await;
    audio(&mut line, 4000).await;
    for _ in 0..200 {
        assert!(matches!(event(&mut session).await, Event::Transcript(_)));
    }
}

#[tokio::test]
async fn a_half_open_socket_is_noticed_in_two_seconds() {
    // Nobody reads the line, so that no ping is answered.
    let (_server, mut session, _line) = open().await;
    let lost = timeout(Duration::from_millis(2_500), event(&mut session)).await.expect("in time");
    assert!(matches!(&lost, Event::Lost { detail } if detail.contains("ping")), "{lost:?}");
}

#[tokio::test]
async fn a_vendor_that_says_nothing_of_speech_is_dialled_again_but_not_for_ever() {
    let (server, mut session, mut line) = open().await;
    session.commands.send(Command::Speaking(true)).await.expect("taken");
    for _ in 0..2 {
        let reads = async { while line.is_open().await {} };
        assert!(timeout(Duration::from_secs(3), reads).await.is_ok(), "it is given up");
        (_, line) = server.accept().await;
    }
    assert!(matches!(event(&mut session).await, Event::Lost { .. }));
    let reads = async { while line.is_open().await {} };
    assert!(timeout(Duration::from_secs(3), reads).await.is_err(), "it is the sound that is no speech");
}

#[tokio::test]
async fn pauses_do_not_put_off_what_is_owed_for_speech() {
    let (_server, mut session, mut line) = open().await;
    let commands = session.commands.clone();
    let speech = async {
        for speaks in [true, false].into_iter().cycle() {
            commands.send(Command::Speaking(speaks)).await.expect("taken");
            tokio::time::sleep(Duration::from_millis(if speaks { 700 } else { 300 })).await;
        }
    };
    let reads = async { while line.is_open().await {} };
    let lost = async { tokio::join!(event(&mut session), reads).0 };
    let lost = tokio::select! {
        lost = timeout(Duration::from_secs(4), lost) => lost.expect("after two seconds of speech"),
        () = speech => unreachable!("it goes on for ever"),
    };
    assert!(matches!(&lost, Event::Lost { detail } if detail.contains("silent")), "{lost:?}");
}

#[tokio::test]
async fn a_dial_that_hangs_gets_another_beside_it() {
    let server = Raw::start().await;
    let _session = Deepgram.open(settings(&server, "en"));
    let _hanging = server.connection().await;
    timeout(Duration::from_millis(1_500), server.accept()).await.expect("it does not wait for the first");
}

#[tokio::test]
async fn where_somebody_stands_in_it_is_given_up_soon_with_what_was_not_heard() {
    let server = Raw::start().await;
    let mut session = Deepgram.open(Settings { has_fallback: true, ..settings(&server, "en") });
    speak(&session, 3).await;
    session.commands.send(Command::Finalize).await.expect("taken");
    for _ in 0..2 {
        server.refuse(503).await;
    }
    assert!(matches!(event(&mut session).await, Event::Lost { .. }));
    let Event::Unavailable { kept, .. } = event(&mut session).await else { panic!("it is given up") };
    assert_eq!((kept.from, kept.audio.len(), kept.finalize), (Duration::ZERO, 480, true));
}
