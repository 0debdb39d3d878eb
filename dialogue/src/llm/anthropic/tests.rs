use std::time::Duration;

use futures_util::StreamExt;
use mesh::clock;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Answer, Anthropic, message::Message};
use crate::{
    Config,
    llm::{Completion, Event, Failure, FailureKind, LanguageModel, Usage, sse},
};

/// What a stream gives, as lines of text.
fn read(bytes: &[u8], step: usize) -> (Vec<String>, Option<Failure>, Message) {
    let (mut parser, mut message, mut lines) = (sse::Parser::default(), Message::default(), Vec::new());
    for piece in bytes.chunks(step) {
        for frame in parser.push(piece).unwrap() {
            match message.handle(&frame) {
                Ok(event) => lines.extend(event.map(line)),
                Err(failure) => return (lines, Some(failure), message),
            }
        }
    }
    (lines, None, message)
}

fn line(event: Event) -> String {
    match event {
        Event::Text(text) => format!("text {}", text.expose()),
        Event::ToolStarted => "tool".to_owned(),
        Event::FellBack { model, .. } => format!("fell back to {model}"),
        Event::Finished(stop, calls) => {
            let calls = calls.into_iter().map(|call| {
                let arguments = call
                    .arguments
                    .map_or("broken".to_owned(), |map| serde_json::Value::from(map).to_string());
                format!(" {}:{}({arguments})", call.id, call.name)
            });
            format!("{stop:?}{}", calls.collect::<String>())
        }
    }
}

fn stream(events: &[&str]) -> String {
    let name = |data: &str| {
        serde_json::from_str::<serde_json::Value>(data).unwrap()["type"].as_str().unwrap().to_owned()
    };
    events.iter().map(|data| format!("event: {}\ndata: {data}\n\n", name(data))).collect()
}

const START: &str = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":21,"cache_creation_input_tokens":5,"cache_read_input_tokens":1880,"output_tokens":1}}}"#;
const TOOL_0: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"search","input":{}}}"#;
const TOOL_1: &str = r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"b","name":"end_call","input":{}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn piece(index: u8, json: &str) -> String {
    serde_json::json!({"type": "content_block_delta", "index": index,
        "delta": {"type": "input_json_delta", "partial_json": json}})
    .to_string()
}

fn block_stop(index: u8) -> String {
    format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
}

fn delta(reason: &str, output: u32) -> String {
    format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{{"output_tokens":{output}}}}}"#
    )
}

#[test]
fn parallel_tools_are_kept_apart_by_index_and_usage_is_overwritten() {
    let bytes = stream(&[
        START,
        r#"{"type":"ping"}"#,
        TOOL_0,
        TOOL_1,
        &piece(0, ""),
        &piece(0, r#"{"query": "रोटी"#),
        &piece(1, ""),
        &piece(0, r#" 7"}"#),
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"news_delta","x":1}}"#,
        r#"{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"lost"}}"#,
        &block_stop(1),
        &block_stop(0),
        r#"{"type":"novelty","x":[1]}"#,
        &delta("tool_use", 10),
        &delta("tool_use", 37),
        STOP,
    ]);
    for step in [1, 2, 3, 7, bytes.len()] {
        let (lines, failure, message) = read(bytes.as_bytes(), step);
        assert_eq!(lines, ["tool", "tool", r#"ToolUse a:search({"query":"रोटी 7"}) b:end_call({})"#]);
        assert!(failure.is_none() && message.is_finished());
        assert_eq!(message.usage(), Usage { input: 21, cache_write: 5, cache_read: 1880, output: 37 });
    }
}

#[test]
fn what_an_answer_cost_that_was_cut_off_is_estimated() {
    let text = r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"Well, "}}"#;
    let more = r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"नमस्ते you"}}"#;
    let cut = [START, text, more, TOOL_0, &piece(0, r#"{"query": "#)].map(str::to_owned);
    let cost = |events: &[String]| {
        let events: Vec<_> = events.iter().map(String::as_str).collect();
        read(stream(&events).as_bytes(), 50).2.usage()
    };
    let known = Usage { input: 21, cache_write: 5, cache_read: 1880, output: 1 };
    assert_eq!(cost(&cut[..1]), known);
    assert_eq!(cost(&cut[..2]), Usage { output: 2, ..known });
    assert_eq!(cost(&cut), Usage { output: 7, ..known }, "6 + 10 + 10 characters");
    let told = [&cut[..], &[delta("tool_use", 3)]].concat();
    assert_eq!(cost(&told), Usage { output: 3, ..known });
}

#[test]
fn thinking_is_not_spoken() {
    let (lines, ..) = read(
        stream(&[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}"#,
            &block_stop(0),
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi."}}"#,
            &delta("end_turn", 2),
            STOP,
        ])
        .as_bytes(),
        64,
    );
    assert_eq!(lines, ["text Hi.", "EndOfTurn"]);
}

#[test]
fn a_tool_call_that_was_cut_is_not_run() {
    let cut = [START, TOOL_0, &piece(0, r#"{"query": "ro"#)].map(str::to_owned);
    for (rest, wanted) in [
        (vec![delta("max_tokens", 3), STOP.to_owned()], "TokenLimit"),
        (vec![block_stop(0), delta("max_tokens", 3), STOP.to_owned()], "TokenLimit"),
        (vec![block_stop(0), delta("tool_use", 3), STOP.to_owned()], "ToolUse a:search(broken)"),
        (vec![delta("refusal", 3), STOP.to_owned()], "Refusal"),
    ] {
        let events: Vec<String> = cut.iter().cloned().chain(rest).collect();
        let bytes = stream(&events.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(read(bytes.as_bytes(), 5).0, ["tool", wanted]);
    }
}

#[test]
fn error_events_are_classified_by_type() {
    for (name, kind) in [
        ("overloaded_error", FailureKind::Transient(None)),
        ("api_error", FailureKind::Transient(None)),
        ("invalid_request_error", FailureKind::Permanent),
        ("not_found_error", FailureKind::NoSuchModel),
    ] {
        let event =
            format!(r#"{{"type":"error","error":{{"type":"{name}","message":"the secret prompt"}}}}"#);
        let failure = read(stream(&[START, &event]).as_bytes(), 9).1.unwrap();
        assert_eq!(failure.kind, kind);
        assert!(failure.detail.contains(name) && !failure.detail.contains("secret"));
    }
    assert_eq!(read(b"data: {not json\n\n", 4).1.unwrap().kind, FailureKind::Transient(None));
}

proptest! {
    #[test]
    fn no_event_breaks_it(data in prop::collection::vec("[{}\":,a-z_0-9]{0,40}", 0..6)) {
        let bytes: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
        let (_, _, message) = read(bytes.as_bytes(), 3);
        prop_assert!(!message.is_finished());
    }
}

#[test]
fn a_stop_is_needed() {
    let (_, failure, message) = read(stream(&[START, &delta("end_turn", 1)]).as_bytes(), 10);
    assert!(failure.is_none() && !message.is_finished());
}

#[test]
fn the_base_url_is_an_origin() {
    for (base, wanted) in [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("ws://127.0.0.1:9/x?y", "http://127.0.0.1:9/v1/messages"),
        ("wss://proxy.example", "https://proxy.example/v1/messages"),
    ] {
        assert_eq!(super::messages_url(&base.parse().unwrap()).as_str(), wanted);
    }
}

#[test]
fn an_answer_without_an_end_is_broken_off() {
    let blocks: String = (0..1_000).map(|index| {
        format!("data: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{{\"type\":\"text\"}}}}\n\n")
    }).collect();
    let (_, failure, _) = read(blocks.as_bytes(), 1_000);
    assert!(matches!(failure, Some(Failure { kind: FailureKind::Transient(_), .. })), "{failure:?}");
    let words = "a".repeat(10_000);
    let delta = serde_json::json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": words}});
    let (_, failure, _) = read(format!("data: {delta}\n\n").repeat(200).as_bytes(), 1_000);
    assert!(matches!(failure, Some(Failure { kind: FailureKind::Transient(_), .. })), "{failure:?}");
}

const PING: &str = r#"{"type":"ping"}"#;
const WORD: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Well. "}}"#;

/// An answer that was begun and of which these events follow, each so many milliseconds after it is waited for.
fn answer(events: &'static [(u64, &'static str)]) -> Answer {
    let body = futures_util::stream::iter(events).then(async |(after_ms, event)| {
        tokio::time::sleep(Duration::from_millis(*after_ms)).await;
        Ok::<_, std::convert::Infallible>(stream(&[event]))
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = super::client().build().unwrap().get("http://127.0.0.1:9");
    let mut answer = Answer::new(request, clock::now(), Completion::example().meter);
    answer.request = None;
    answer.body = Some(http::Response::new(reqwest::Body::wrap_stream(body)).into());
    answer
}

/// Reads the answer to its end; what each event is held for before the next is read.
async fn words(mut answer: Answer, held_ms: u64) -> Result<usize, Failure> {
    let mut words = 0;
    while answer.next().await?.is_some() {
        words += 1;
        tokio::time::sleep(Duration::from_millis(held_ms)).await;
    }
    Ok(words)
}

const BLOCK: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#;

#[tokio::test(start_paused = true)]
async fn what_the_call_does_not_read_is_not_the_vendors_silence() {
    let slowly = &[(0, START), (0, BLOCK), (0, WORD), (1_500, PING), (1_500, WORD), (0, END), (0, STOP)];
    assert_eq!(words(answer(slowly), 60_000).await, Ok(3));
    // What is waited for is, pings or not.
    let pings = &[(0, START), (0, BLOCK), (0, WORD), (1_500, PING), (1_500, PING), (1_500, WORD)];
    let began = clock::now();
    assert!(words(answer(pings), 0).await.is_err());
    assert_eq!((clock::now() - began).as_millis(), 4_000);
    let silent = &[(0, START), (0, BLOCK), (0, WORD), (2_500, WORD)];
    assert!(words(answer(silent), 0).await.is_err());
}

/// A vendor over HTTP/2 that answers the first request of the connection, with nothing, and never sends a byte again.
async fn falls_silent(mut socket: TcpStream) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const STATUS_200: [u8; 10] = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88];
    const HEADERS: u8 = 1;
    socket.write_all(&SETTINGS).await.unwrap();
    socket.read_exact(&mut [0; "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await.unwrap();
    let mut head = [0; 9];
    while socket.read_exact(&mut head).await.is_ok() {
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        socket.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS && head[8] == 1 {
            socket.write_all(&STATUS_200).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_dead_connection_is_found_while_one_attempt_lasts() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let config = Config { anthropic_base_url: base.parse().unwrap(), ..Config::default() };
    let model = Anthropic::with(super::client().http2_prior_knowledge(), &config).unwrap();
    let failure = async || {
        let mut answer = model.complete(Completion::example(), clock::now() + Duration::from_secs(4));
        let first = tokio::time::timeout(Duration::from_secs(2), answer.next());
        first.await.expect("it is told within the time of one attempt").unwrap().err()
    };
    let transient = |failure: Option<Failure>| failure.unwrap().kind == FailureKind::Transient(None);
    let vendor = async {
        let (socket, _) = listener.accept().await.unwrap();
        falls_silent(socket).await;
        listener.accept().await.unwrap();
    };
    let calls = async {
        assert!(transient(failure().await), "the answer is empty, its connection good");
        assert!(transient(failure().await));
        failure().await
    };
    tokio::select! {
        () = vendor => {}
        _ = calls => panic!("the third request went where the second did"),
    }
}
