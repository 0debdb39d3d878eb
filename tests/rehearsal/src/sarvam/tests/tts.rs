use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::sarvam::*;

const WAIT: Duration = Duration::from_secs(20);
const PATH: &str = "/text-to-speech/ws?model=bulbul:v3&send_completion_event=true";

fn quick() -> Settings {
    Settings { first_chunk: Latency::fixed_ms(1), pace: 100.0, ..Settings::default() }
}

fn start(settings: Settings) -> Server {
    Server::start(settings).expect("a port is free")
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

async fn dial(server: &Server, path: &str, header: (&'static str, &str)) -> Result<Client, Error> {
    let mut request = format!("{}{path}", server.base_url().replace("http", "ws")).into_client_request()?;
    request.headers_mut().insert(header.0, HeaderValue::from_str(header.1).expect("a header"));
    tokio_tungstenite::connect_async(request).await.map(|(socket, _)| Client(socket))
}

async fn connect(server: &Server) -> Client {
    let mut client = dial(server, PATH, ("api-subscription-key", "k")).await.expect("accepted");
    client.send(config()).await;
    client
}

/// The status of a refused upgrade, and its code.
fn refusal(dialled: Result<Client, Error>) -> (u16, String) {
    match dialled {
        Err(Error::Http(response)) => {
            let body: Value =
                serde_json::from_slice(response.body().as_deref().unwrap_or_default()).expect("JSON");
            (response.status().as_u16(), body["error"]["code"].as_str().expect("a code").to_owned())
        }
        Ok(_) => panic!("accepted"),
        Err(error) => panic!("{error}"),
    }
}

fn config() -> Value {
    json!({"type": "config", "data": {"target_language_code": "hi-IN", "speaker": "shubh", "model": "bulbul:v3",
        "speech_sample_rate": 8000, "output_audio_codec": "mulaw"}})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "data": {"text": text}})
}

fn flush() -> Value {
    json!({"type": "flush"})
}

impl Client {
    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("sent");
    }

    /// The next event; `Err` once the socket has ended, with the close code if there was one.
    async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match tokio::time::timeout(WAIT, self.0.next()).await.expect("something comes") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The audio up to the end of what was flushed.
    async fn audio(&mut self) -> Vec<u8> {
        let mut audio = Vec::new();
        loop {
            let event = self.next().await.expect("the socket lives");
            match event["type"].as_str() {
                Some("audio") => {
                    assert_eq!(event["data"]["content_type"], "audio/mulaw");
                    audio.extend(
                        STANDARD.decode(event["data"]["audio"].as_str().expect("audio")).expect("base64"),
                    );
                }
                Some("event") => {
                    assert_eq!(event["data"]["event_type"], "final");
                    return audio;
                }
                _ => panic!("{event}"),
            }
        }
    }

    /// The status of the next event, an error, and its text, wherever they stand.
    async fn error(&mut self) -> (u16, String) {
        let event = self.next().await.expect("the socket lives");
        assert_eq!(event["type"], "error", "{event}");
        let (code, message) = (&event["data"]["code"], event["data"]["message"].as_str().expect("a message"));
        let status = code.as_u64().map(|code| code.to_string()).or(code.as_str().map(str::to_owned));
        (status.unwrap_or_else(|| message[..3].to_owned()).parse().expect("a status"), message.to_owned())
    }
}

#[tokio::test]
async fn a_key_is_needed_and_a_bad_one_is_forbidden() {
    let server = start(Settings { api_key: Some("k".into()), concurrency: 1, ..quick() });
    let bad = (403, "invalid_api_key_error".to_owned());
    assert_eq!(refusal(dial(&server, PATH, ("api-subscription-key", "other")).await), bad);
    assert_eq!(refusal(dial(&server, PATH, ("authorization", "Bearer k")).await), bad);
    let one =
        dial(&server, PATH, ("sec-websocket-protocol", "api-subscription-key.k")).await.expect("accepted");
    let more = refusal(dial(&server, PATH, ("api-subscription-key", "k")).await);
    assert_eq!(more, (429, "rate_limit_exceeded_error".to_owned()));
    drop(one);
    for (refusal_, expected) in [
        (Refusal::QuotaExhausted, (429, "insufficient_quota_error")),
        (Refusal::Overloaded, (503, "rate_limit_exceeded_error")),
    ] {
        server.set_refusals(Faults::once(refusal_));
        let refused = refusal(dial(&server, PATH, ("api-subscription-key", "k")).await);
        assert_eq!((refused.0, refused.1.as_str()), expected);
    }
}

#[tokio::test]
async fn a_flush_speaks_what_is_there_and_says_when_it_is_over() {
    let server = start(quick());
    let mut client = connect(&server).await;
    client.send(text("आपका बैलेंस ")).await;
    client.send(text("पाँच सौ रुपये है।")).await;
    client.send(flush()).await;
    let audio = client.audio().await;
    assert!((8000..40_000).contains(&audio.len()), "{} bytes", audio.len());
    let said = server.log().matching(|event| event.name == "final");
    assert_eq!(said[0].text("text"), Some("आपका बैलेंस पाँच सौ रुपये है।"));
    assert_eq!(said[0].number("bytes"), Some(audio.len() as f64));
    let voice = &server.log().matching(|event| event.name == "speaks")[0].fields["voice"];
    assert_eq!(voice["name"], "hi");
    // The socket goes on with the next turn; a flush of nothing says nothing.
    client.send(flush()).await;
    client.send(text("हाँ।")).await;
    client.send(flush()).await;
    assert!(client.audio().await.len() < audio.len());
}

#[tokio::test]
async fn what_the_vendor_refuses_is_refused_and_the_socket_lives() {
    let server = start(quick());
    let mut client = dial(&server, PATH, ("api-subscription-key", "k")).await.expect("accepted");
    client.send(text("Too early.")).await;
    assert_eq!(client.error().await.0, 400);
    for (field, value) in [
        ("speaker", json!("anushka")),
        ("speaker", json!("Shubh")),
        ("target_language_code", json!("or-IN")),
        ("language_code", json!("hi-IN")),
        ("pace", json!(2.5)),
        ("pitch", json!(0.1)),
        ("speech_sample_rate", json!(11_025)),
        ("output_audio_codec", json!("pcm")),
        ("min_buffer_size", json!(20)),
        ("voice", json!("shubh")),
        ("model", json!("bulbul:v1")),
    ] {
        let mut wrong = config();
        wrong["data"][field] = value;
        client.send(wrong).await;
        let (status, message) = client.error().await;
        assert_eq!(status, 422, "{field}: {message}");
    }
    client.send(config()).await;
    client.send(text("")).await;
    assert_eq!(client.error().await.0, 422);
    client.send(json!({"type": "cancel"})).await;
    assert_eq!(client.error().await.0, 422, "there is no cancel");
    client.send(text("अब।")).await;
    client.send(flush()).await;
    assert!(!client.audio().await.is_empty());
    for path in [
        "/text-to-speech/ws?model=bulbul:v4-flash",
        "/text-to-speech/ws/v2?model=bulbul:v3",
        "/text-to-speech/ws?model=bulbul:v3&sample_rate=8000",
    ] {
        assert_eq!(refusal(dial(&server, path, ("api-subscription-key", "k")).await).0, 400, "{path}");
    }
}

#[tokio::test]
async fn only_the_clients_messages_keep_a_socket_open() {
    let server = start(Settings { idle: Duration::from_millis(400), ..quick() });
    let mut client = connect(&server).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        client.send(json!({"type": "ping"})).await;
    }
    assert_eq!(client.next().await, Err(Some(1000)));
}

#[tokio::test]
async fn faults_are_shown_in_their_time() {
    let server = start(quick());
    let error = |code| Fault::Error { after_chunks: 1, status: 503, code };
    for fault in [error(CodeForm::Number), error(CodeForm::Text), error(CodeForm::MessageOnly)] {
        server.set_faults(Faults::once(fault));
        let mut client = connect(&server).await;
        client.send(text("एक दो तीन चार पाँच।")).await;
        client.send(flush()).await;
        assert_eq!(client.next().await.expect("alive")["type"], "audio");
        assert_eq!(client.error().await.0, 503);
        client.send(text("फिर से।")).await;
        client.send(flush()).await;
        assert!(!client.audio().await.is_empty(), "the socket lives");
    }
    server.set_faults(Faults::once(Fault::Riff));
    let mut client = connect(&server).await;
    client.send(text("एक।")).await;
    client.send(flush()).await;
    assert!(client.audio().await.starts_with(b"RIFF"));
    server.set_faults(Faults::once(Fault::Close { after_chunks: 0, code: 1011 }));
    client.send(text("दो।")).await;
    client.send(flush()).await;
    assert_eq!(client.next().await, Err(Some(1011)));
}
