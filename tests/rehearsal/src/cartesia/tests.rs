use std::collections::BTreeMap;

use base64::Engine;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;
use crate::clock;

const WAIT: Duration = Duration::from_secs(20);
const VERSION: &str = "2026-03-01";

fn quick() -> Settings {
    Settings { first_chunk: Latency::fixed_ms(1), pace: 100.0, ..Settings::default() }
}

fn start(settings: Settings) -> Server {
    Server::start(settings).expect("a port is free")
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

async fn dial(server: &Server, headers: &[(&'static str, &str)], query: &str) -> Result<Client, Error> {
    let url = format!("{}/tts/websocket{query}", server.base_url().replace("http", "ws"));
    let mut request = url.into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a header"));
    }
    tokio_tungstenite::connect_async(request).await.map(|(socket, _)| Client(socket))
}

async fn connect(server: &Server) -> Client {
    dial(server, &[("x-api-key", "sk_car_1"), ("cartesia-version", VERSION)], "").await.expect("accepted")
}

/// The status of a refused upgrade, and its JSON.
fn refusal(dialled: Result<Client, Error>) -> (u16, Value) {
    match dialled {
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_slice(body).unwrap_or_default())
        }
        Ok(_) => panic!("accepted"),
        Err(error) => panic!("{error}"),
    }
}

fn say(context: &str, transcript: &str, more: bool) -> Value {
    json!({
        "context_id": context, "model_id": "sonic-3.5", "transcript": transcript, "continue": more,
        "voice": {"mode": "id", "id": "v1"}, "language": "en", "max_buffer_delay_ms": 0, "add_timestamps": true,
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
    })
}

fn with(mut message: Value, field: &str, value: Value) -> Value {
    message[field] = value;
    message
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

    /// Everything up to an event of that type.
    async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("the socket lives");
            let last = event["type"] == kind;
            events.push(event);
            if last {
                return events;
            }
        }
    }
}

fn of<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["type"] == kind)
}

fn audio(events: &[Value]) -> Vec<u8> {
    let decode = |event: &Value| {
        base64::engine::general_purpose::STANDARD
            .decode(event["data"].as_str().expect("data"))
            .expect("base64")
    };
    of(events, "chunk").flat_map(decode).collect()
}

fn words(events: &[Value]) -> Vec<String> {
    let list =
        |event: &Value| serde_json::from_value::<Vec<String>>(event["word_timestamps"]["words"].clone());
    of(events, "timestamps").flat_map(|event| list(event).expect("words")).collect()
}

#[tokio::test]
async fn a_key_and_a_version_are_needed() {
    let server = start(Settings { api_key: Some("k".to_owned()), ..quick() });
    let (key, version) = (("x-api-key", "k"), ("cartesia-version", VERSION));
    let (status, body) = refusal(dial(&server, &[version], "").await);
    assert_eq!((status, &body["title"]), (401, &json!("Unauthorized")));
    assert!(body.get("type").is_none());
    assert_eq!(refusal(dial(&server, &[("x-api-key", "other"), version], "").await).0, 401);
    assert_eq!(refusal(dial(&server, &[key], "").await).0, 401);
    assert_eq!(refusal(dial(&server, &[key, ("cartesia-version", "2026-01-01")], "").await).0, 400);
    let older = refusal(
        dial(&server, &[("cartesia-version", "2025-04-16"), ("x-api-key", "k")], "?cartesia_version=x").await,
    );
    assert_eq!(older.0, 400, "the query wins");
    assert!(dial(&server, &[key, version], "").await.is_ok());
    assert!(dial(&server, &[("authorization", "Bearer k"), version], "").await.is_ok());
    assert!(dial(&server, &[], "?api_key=k&cartesia_version=2026-08-14").await.is_ok());
}

#[tokio::test]
async fn a_context_speaks_its_words_in_order() {
    let server = start(quick());
    let mut client = connect(&server).await;
    client.send(say("call-1-t1", "Your balance is ", true)).await;
    client.send(say("call-1-t1", "500 rupees.", true)).await;
    client.send(say("call-1-t1", "", false)).await;
    let events = client.until("done").await;
    assert_eq!(events.last().expect("done")["status_code"], 200);
    assert_eq!(words(&events).join(" "), "Your balance is 500 rupees.");
    let starts: Vec<f64> = of(&events, "timestamps")
        .flat_map(|event| {
            serde_json::from_value::<Vec<f64>>(event["word_timestamps"]["start"].clone()).unwrap()
        })
        .collect();
    assert!(starts.is_sorted(), "{starts:?}");
    let flushes: Vec<&Value> = of(&events, "flush_done").map(|event| &event["flush_id"]).collect();
    assert_eq!(flushes, [1, 2]);
    let sound = audio(&events);
    assert!((1.0..4.0).contains(&(sound.len() as f64 / 8000.0)));
    assert!(sound.iter().map(|byte| crate::speech::mulaw::decode(*byte).unsigned_abs()).max() > Some(3000));
    // 40 to 120 ms each, the last of a piece whatever is left.
    let sizes: Vec<usize> =
        of(&events, "chunk").map(|event| event["data"].as_str().unwrap().len() / 4 * 3).collect();
    assert!(sizes.iter().all(|size| *size <= 963) && sizes.iter().any(|size| size % 160 > 3), "{sizes:?}");
    let spoken = server.log().wait_for(|event| event.name == "done", WAIT).await.expect("logged");
    assert_eq!(spoken.call.as_deref(), Some("call-1"));
    assert_eq!(spoken.text("text"), Some("Your balance is 500 rupees."));
    let mut names: Vec<&str> = server.log().snapshot().iter().map(|event| event.name).collect();
    assert_eq!((names[0], names[1], names.last()), ("open", "transcript", Some(&"done")));
    names.sort_unstable();
    assert_eq!(
        names,
        ["done", "first_chunk", "open", "speaks", "speaks", "transcript", "transcript", "transcript"]
    );
    let speaks = server.log().matching(|event| event.name == "speaks");
    let logged: Vec<f64> = speaks
        .iter()
        .flat_map(|event| event.fields["words"].as_array().cloned().unwrap_or_default())
        .filter_map(|word| word[1].as_f64())
        .collect();
    let told = logged.len() == starts.len() && logged.iter().zip(&starts).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(told, "the log has the times that the client was told: {logged:?}");
}

#[tokio::test]
async fn text_waits_for_its_buffer_delay() {
    let server = start(quick());
    let mut client = connect(&server).await;
    let began = clock::now();
    client.send(with(say("c", "Sure. ", true), "max_buffer_delay_ms", json!(400))).await;
    client.until("chunk").await;
    assert!(began.elapsed() >= Duration::from_millis(400));
    // A flush does not wait, and nor does the end.
    let began = clock::now();
    let mut unbuffered = say("d", "Well.", true);
    unbuffered.as_object_mut().unwrap().remove("max_buffer_delay_ms");
    client.send(unbuffered.clone()).await;
    client.send(with(with(unbuffered, "transcript", json!("")), "flush", json!(true))).await;
    let events = client.until("flush_done").await;
    assert!(began.elapsed() < Duration::from_millis(2500));
    assert!(of(&events, "chunk").any(|event| event["context_id"] == "d" && event["flush_id"] == 1));
}

#[tokio::test]
async fn fields_of_a_context_do_not_change() {
    let server = start(quick());
    let mut client = connect(&server).await;
    client.send(say("c", "One. ", true)).await;
    client.send(with(say("c", "Two. ", true), "language", json!("hi"))).await;
    let events = client.until("error").await;
    let error = events.last().expect("an error");
    assert_eq!((&error["status_code"], &error["context_id"]), (&json!(400), &json!("c")));
    assert!(error["message"].as_str().unwrap().contains("same fields"));
    // The error ended the context, not the socket.
    client.send(say("d", "Three.", false)).await;
    let events = client.until("done").await;
    assert_eq!(events.last().unwrap()["context_id"], "d");
}

#[tokio::test]
async fn wrong_messages_are_refused() {
    let server = start(quick());
    let mut client = connect(&server).await;
    let right = || say("c", "One.", true);
    let format = |container: &str, encoding: &str, rate: u32| json!({"container": container, "encoding": encoding, "sample_rate": rate});
    for (wrong, says) in [
        (with(right(), "context_id", json!("")), "context_id"),
        (with(right(), "model_id", json!("sonic-99")), "does not exist"),
        (with(right(), "model_id", json!("sonic-english")), "no longer served"),
        (with(right(), "voice", json!("v1")), "voice"),
        (with(right(), "voice", json!({"mode": "embedding", "embedding": []})), "no longer served"),
        (with(right(), "output_format", format("wav", "pcm_mulaw", 8000)), "container"),
        (with(right(), "output_format", format("raw", "mulaw", 8000)), "encoding"),
        (with(right(), "output_format", format("raw", "pcm_mulaw", 11_025)), "sample_rate"),
        (with(right(), "language", json!("english")), "language"),
        (with(right(), "max_buffer_delay_ms", json!(6000)), "max_buffer_delay_ms"),
        (with(right(), "pronunciation_dict_id", Value::Null), "null"),
        (with(right(), "generation_config", json!({"speed": 3})), "speed"),
        (with(right(), "transcript", json!(1)), "transcript"),
    ] {
        client.send(wrong).await;
        let error = client.next().await.expect("an event");
        assert_eq!(
            (&error["type"], &error["done"], &error["status_code"]),
            (&json!("error"), &json!(true), &json!(400))
        );
        assert!(error["message"].as_str().unwrap().contains(says), "{says}: {error}");
    }
    client.0.send(Message::text("{")).await.expect("sent");
    assert_eq!(client.next().await.expect("an error first")["status_code"], 400);
    assert_eq!(client.next().await, Err(Some(1007)));
}

#[tokio::test]
async fn shapes_depend_on_the_version() {
    let server = start(quick());
    let version = |version: &'static str| [("x-api-key", "k"), ("cartesia-version", version)];
    let mut older = dial(&server, &version("2025-04-16"), "").await.expect("accepted");
    older.send(with(say("c", "x", true), "model_id", json!("none"))).await;
    let error = older.next().await.expect("an error");
    assert!(error["error"].as_str().unwrap().starts_with("Bad Request: "), "{error}");
    assert!(error.get("message").is_none());
    let mut newer = dial(&server, &version("2026-08-14"), "").await.expect("accepted");
    for voice in [json!("v1"), json!({"id": "v1"}), json!({"mode": "id", "id": "v1"})] {
        newer.send(with(say(&voice.to_string(), "Yes.", false), "voice", voice)).await;
        newer.until("done").await;
    }
}

#[tokio::test]
async fn contexts_expire_and_stay_closed() {
    let server = start(quick());
    let mut client = connect(&server).await;
    client.send(say("c", "One.", true)).await;
    client.until("flush_done").await;
    let began = clock::now();
    client.until("done").await;
    assert!((Duration::from_millis(700)..Duration::from_secs(3)).contains(&began.elapsed()));
    client.send(say("c", "Two.", true)).await;
    let error = client.next().await.expect("an event");
    assert!(error["message"].as_str().unwrap().contains("finished or expired"));
}

#[tokio::test]
async fn a_cancel_lets_some_chunks_through() {
    let server = start(Settings { pace: 4.0, ..quick() });
    let mut client = connect(&server).await;
    let text =
        "This is a rather long sentence, and nobody wants to hear it to its end, least of all the caller.";
    let mut ends = BTreeMap::new();
    for number in 0..12 {
        let id = format!("c{number}");
        client.send(say(&id, text, true)).await;
        client.until("chunk").await;
        client.send(json!({"context_id": id, "cancel": true})).await;
        // Longer than whatever the cancelled context still says.
        client
            .send(say(&format!("next{number}"), "Go ahead, I am listening to every word of it.", false))
            .await;
        let mut rest = Vec::new();
        loop {
            let event = client.next().await.expect("an event");
            if event["context_id"] == id.as_str() {
                rest.push(event);
            } else if event["type"] == "done" {
                break;
            }
        }
        let cancel =
            server.log().matching(|event| event.name == "cancel" && event.text("context") == Some(&id));
        let before = cancel[0].number("chunks").expect("a number") as usize;
        let after = 1 + of(&rest, "chunk").count() - before;
        assert!((1..=3).contains(&after), "{after}");
        *ends.entry(of(&rest, "done").count()).or_insert(0) += 1;
    }
    assert_eq!(
        ends.keys().copied().collect::<Vec<_>>(),
        [0, 1],
        "sometimes done, sometimes nothing: {ends:?}"
    );
    assert_eq!(server.log().matching(|event| event.name == "cancel").len(), 12);
}

#[tokio::test]
async fn active_contexts_and_sockets_are_limited() {
    let server = start(Settings { concurrency: 2, pace: 1.0, ..quick() });
    let (mut one, mut two) = (connect(&server).await, connect(&server).await);
    let long = "This takes a while to say, so that it is still going on.";
    one.send(say("a", long, true)).await;
    two.send(say("b", long, true)).await;
    one.until("chunk").await;
    two.until("chunk").await;
    one.send(say("c", "No.", false)).await;
    let error = one.until("error").await.pop().expect("an error");
    assert_eq!((&error["status_code"], &error["error_code"]), (&json!(429), &json!("concurrency_limited")));
    assert_eq!(error["context_id"], "c");
    // More text for an active context is no further one.
    one.send(say("a", "More.", true)).await;
    two.send(json!({"context_id": "b", "cancel": true})).await;
    server.log().wait_for(|event| event.name == "cancel", WAIT).await.expect("cancelled");
    let mut sockets = vec![one, two];
    while sockets.len() < 20 {
        sockets.push(connect(&server).await);
    }
    let full = dial(&server, &[("x-api-key", "k"), ("cartesia-version", VERSION)], "").await;
    assert_eq!(refusal(full).0, 429);
}

#[tokio::test]
async fn contexts_of_a_socket_interleave() {
    let server = start(Settings { pace: 10.0, ..quick() });
    let mut client = connect(&server).await;
    for id in ["a", "b"] {
        client.send(say(id, "This sentence is spoken twice at the same time.", false)).await;
    }
    let mut events = client.until("done").await;
    events.extend(client.until("done").await);
    let order: Vec<&str> = of(&events, "chunk").map(|event| event["context_id"].as_str().unwrap()).collect();
    assert!(order.windows(2).filter(|pair| pair[0] != pair[1]).count() > 3, "{order:?}");
}

#[tokio::test]
async fn sixteen_bit_audio_and_single_requests_are_the_same_sound() {
    let server = start(quick());
    let mut client = connect(&server).await;
    let format = json!({"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000});
    client.send(with(say("c", "Good morning to you.", false), "output_format", format.clone())).await;
    let events = client.until("done").await;
    let odd = of(&events, "chunk").any(|event| audio(std::slice::from_ref(event)).len() % 2 == 1);
    assert!(odd, "half a sample in some chunk");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut body = with(say("c", "Good morning to you.", false), "output_format", format);
    for field in ["context_id", "continue", "max_buffer_delay_ms", "add_timestamps"] {
        body.as_object_mut().unwrap().remove(field);
    }
    let post = |body: &Value| {
        let request = reqwest::Client::new().post(format!("{}/tts/bytes", server.base_url()));
        request.header("x-api-key", "k").header("cartesia-version", VERSION).json(body).send()
    };
    let whole = post(&body).await.expect("an answer");
    assert!(whole.headers().contains_key("x-request-id"));
    assert_eq!(whole.bytes().await.expect("audio"), audio(&events));
    body["output_format"]["container"] = json!("wav");
    let wav = post(&body).await.expect("an answer").bytes().await.expect("audio");
    assert_eq!(wav[44..], audio(&events));
    let spec = hound::WavReader::new(&wav[..]).expect("a WAV").spec();
    assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (8000, 1, 16));
    body["transcript"] = json!(" ");
    assert_eq!(post(&body).await.expect("an answer").status().as_u16(), 400);
}

#[tokio::test]
async fn idle_sockets_close_and_pings_do_not_help() {
    let server = start(Settings { idle: Duration::from_secs(1), ..quick() });
    let mut client = connect(&server).await;
    let began = clock::now();
    tokio::time::sleep(Duration::from_millis(900)).await;
    client.0.send(Message::Ping(Vec::new().into())).await.expect("sent");
    assert_eq!(client.next().await, Err(Some(1000)));
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    drop(client);
    assert_eq!(
        server.log().wait_for(|event| event.name == "closed", WAIT).await.unwrap().text("reason"),
        Some("idle")
    );
}

#[tokio::test]
async fn faults_of_a_context() {
    let server = start(quick());
    let text = "This sentence has more than two chunks in it, for certain.";
    let show = async |fault: Fault| {
        server.set_faults(Faults::once(fault));
        let mut client = connect(&server).await;
        client.send(say("c", text, false)).await;
        let mut events = Vec::new();
        let end = loop {
            match client.next().await {
                Ok(event) => {
                    let last = event["type"] == "done" || event["type"] == "error";
                    events.push(event);
                    if last {
                        break None;
                    }
                }
                Err(code) => break Some(code),
            }
        };
        (of(&events, "chunk").count(), events.pop().unwrap_or_default(), end)
    };
    let (chunks, error, _) = show(Fault::Error { after_chunks: 2 }).await;
    assert_eq!((chunks, &error["status_code"], &error["context_id"]), (2, &json!(500), &json!("c")));
    let (_, error, _) = show(Fault::ErrorWithoutContext { after_chunks: 0 }).await;
    assert!(error["type"] == "error" && error.get("context_id").is_none());
    let (chunks, _, end) = show(Fault::Close { after_chunks: 1, code: 1011 }).await;
    assert_eq!((chunks, end), (1, Some(Some(1011))));
    for fault in [Fault::Cut { after_chunks: 1 }, Fault::Reset { after_chunks: 1 }] {
        let (_, _, end) = show(fault).await;
        assert_eq!(end, Some(None), "no close frame");
    }
    let began = clock::now();
    let stall = Fault::Stall { after_chunks: 1, time: Duration::from_millis(500) };
    assert_eq!(show(stall).await.1["type"], "done");
    assert!(began.elapsed() >= Duration::from_millis(500));
}
