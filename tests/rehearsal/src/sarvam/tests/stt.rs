use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::recordings::tests::prompts;
use crate::sarvam::*;
use crate::speech::mulaw;

const QUERY: &str =
    "language_code=en-IN&encoding=mulaw&sample_rate=8000&return_timestamps=true&silence_duration_ms=300";

fn start() -> Server {
    let latency = Latency::fixed_ms(20);
    Server::start(Settings {
        recordings: prompts(),
        partial_latency: latency,
        final_latency: latency,
        ..Settings::default()
    })
    .expect("a port is free")
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

async fn connect(server: &Server, query: &str) -> Client {
    let url = format!("{}/speech-to-text-realtime/ws?{query}", server.base_url().replace("http", "ws"));
    let mut request = url.into_client_request().expect("a URL");
    request.headers_mut().insert("api-subscription-key", HeaderValue::from_static("k"));
    Client(tokio_tungstenite::connect_async(request).await.expect("accepted").0)
}

impl Client {
    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("sent");
    }

    async fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match tokio::time::timeout(Duration::from_secs(20), self.0.next()).await.expect("something comes")
            {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The names of the events up to one of that name, and that one.
    async fn until(&mut self, event: &str) -> (Vec<String>, Value) {
        let mut names = Vec::new();
        loop {
            let message = self.next().await.expect("the socket lives");
            names.push(message["event"].as_str().expect("a name").to_owned());
            if message["event"] == event {
                return (names, message);
            }
        }
    }

    /// Speaks at a little more than the pace of speech.
    async fn say(&mut self, samples: &[i16]) {
        for piece in samples.chunks(400) {
            let audio = STANDARD.encode(mulaw::encode_all(piece));
            self.send(json!({"event": "audio_input", "audio": audio})).await;
            tokio::time::sleep(Duration::from_millis(42)).await;
        }
    }
}

#[tokio::test]
async fn an_utterance_has_a_start_partials_an_end_and_then_its_final() {
    let server = start();
    let mut client = connect(&server, QUERY).await;
    let (_, begin) = client.until("session.begin").await;
    assert_eq!(begin["config"]["turn_detection"], "vad");
    let recording = prompts().get("conf-full").expect("it is in the list");
    client.say(&[recording.samples.as_slice(), &[0; 4000]].concat()).await;
    let (mut names, last) = client.until("transcript.final").await;
    assert_eq!(last["text"], recording.text.as_str());
    assert!(last["start_s"].as_f64() < last["end_s"].as_f64());
    assert!(last.get("language").is_none(), "only where it was to be found out");
    names.dedup();
    assert_eq!(names, ["vad.speech_start", "transcript.partial", "vad.speech_end", "transcript.final"]);
    client.send(json!({"event": "end"})).await;
    let (_, end) = client.until("session.end").await;
    assert_eq!(end["total_utterances"], 1);
    assert_eq!(client.next().await, Err((1000, String::new())));
    assert!(server.log().matching(|event| event.name == "violation").is_empty());
}

#[tokio::test]
async fn what_the_vendor_refuses_is_closed_with_4000_and_a_reason_that_fits() {
    let server = start();
    let long = format!("{QUERY}&{}=1", "x".repeat(300));
    for query in [
        "encoding=mulaw&sample_rate=8000",
        &QUERY.replace("en-IN", "od-IN"),
        &QUERY.replace("8000", "22050"),
        &format!("{QUERY}&model=saarika:v2.5"),
        &long,
    ] {
        let (code, reason) = connect(&server, query).await.next().await.expect_err("closed");
        assert!(code == 4000 && (1..=123).contains(&reason.len()), "{query}: {code} {reason}");
    }
    let (_, begin) = connect(&server, &QUERY.replace("en-IN", "or-IN")).await.until("session.begin").await;
    assert_eq!(begin["config"]["language_code"], "or-IN");
}

#[tokio::test]
async fn wrong_messages_are_told_and_the_socket_lives() {
    let server = start();
    let mut client = connect(&server, QUERY).await;
    client.until("session.begin").await;
    client.0.send(Message::binary(vec![0xFF; 160])).await.expect("sent");
    client.until("error").await;
    for wrong in
        [json!({"event": "flush"}), json!({"event": "audio_input", "audio": "?"}), json!({"type": "ping"})]
    {
        client.send(wrong).await;
        let (_, error) = client.until("error").await;
        assert_eq!(error["is_fatal"], false);
    }
    client.send(json!({"event": "ping"})).await;
    client.until("pong").await;
    assert_eq!(server.log().matching(|event| event.name == "violation").len(), 4);
}

#[tokio::test]
async fn a_change_of_language_waits_for_the_utterances_end() {
    let server = start();
    let mut client = connect(&server, QUERY).await;
    client.until("session.begin").await;
    client
        .send(json!({"event": "config.update", "language_code": "hi-IN", "silence_duration_ms": 300}))
        .await;
    let (_, updated) = client.until("config.updated").await;
    assert_eq!(updated["applied"], json!(["silence_duration_ms", "language_code"]));
    let recording = prompts().get("conf-full").expect("it is in the list");
    client.say(&recording.samples[..8000]).await;
    client.send(json!({"event": "config.update", "language_code": "ta-IN"})).await;
    client.say(&[recording.samples[8000..].to_vec(), vec![0; 4000]].concat()).await;
    let (names, updated) = client.until("config.updated").await;
    assert_eq!(updated["applied"], json!(["language_code"]));
    assert!(names.contains(&"transcript.final".to_owned()), "{names:?}");
}
