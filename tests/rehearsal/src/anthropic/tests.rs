use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::*;

const WAIT: Duration = Duration::from_secs(10);

fn quick() -> Settings {
    Settings { first_token: Latency::default(), next_token: Latency::default(), ..Settings::default() }
}

fn server() -> Server {
    Server::start(quick()).expect("a port is free")
}

fn request(server: &Server) -> reqwest::RequestBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
        .post(format!("{}/v1/messages", server.base_url()))
        .header("x-api-key", "sk-1")
        .header("anthropic-version", "2026-10-21")
}

/// A right request with some fields set otherwise; null takes a field away.
fn body(changes: Value) -> Value {
    let search =
        json!({"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]});
    let mut body = json!({
        "model": "claude-haiku-5-5", "max_tokens": 400, "stream": true, "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": "I lost my card yesterday."}],
        "tools": [{"name": "search_knowledge", "input_schema": search},
                  {"name": "end_call", "input_schema": {"type": "object", "properties": {}}}],
        "metadata": {"user_id": "call-1"},
    });
    for (field, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            body.as_object_mut().expect("an object").remove(field);
        } else {
            body[field] = value.clone();
        }
    }
    body
}

fn user(text: &str) -> Value {
    body(json!({"messages": [{"role": "user", "content": text}]}))
}

async fn status(server: &Server, changes: Value) -> (u16, Value) {
    let answer = request(server).json(&body(changes)).send().await.expect("an answer");
    let status = answer.status().as_u16();
    assert!(answer.headers().contains_key("request-id"));
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

struct Streamed {
    events: Vec<(String, Value)>,
    /// Whether a piece of the body began inside a character.
    split_character: bool,
    /// Whether the body ended in good order.
    whole: bool,
}

impl Streamed {
    fn data(&self, name: &str) -> Vec<&Value> {
        self.events.iter().filter(|(event, _)| event == name).map(|(_, data)| data).collect()
    }

    fn deltas(&self, field: &str) -> Vec<&str> {
        let known = |data: &&Value| {
            ["text_delta", "input_json_delta"].iter().any(|kind| data["delta"]["type"] == *kind)
        };
        self.data("content_block_delta")
            .into_iter()
            .filter(known)
            .filter_map(|d| d["delta"][field].as_str())
            .collect()
    }

    fn stop_reason(&self) -> Option<&str> {
        self.data("message_delta").last()?["delta"]["stop_reason"].as_str()
    }
}

async fn stream(server: &Server, body: &Value) -> Streamed {
    let answer = request(server).json(body).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let (mut bytes, mut split_character, mut whole) = (Vec::new(), false, true);
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else {
            whole = false;
            break;
        };
        split_character |= piece.first().is_some_and(|byte| byte & 0xC0 == 0x80);
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8(bytes).expect("whole characters");
    let events = text.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once('\n').expect("two lines");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        let name = name.strip_prefix("event: ").expect("a name").to_owned();
        assert_eq!(data["type"], name.as_str());
        (name, data)
    });
    Streamed { events: events.collect(), split_character, whole }
}

#[tokio::test]
async fn one_key_and_a_version_are_needed() {
    let server =
        Server::start(Settings { api_key: Some("sk-1".to_owned()), ..quick() }).expect("a port is free");
    let url = format!("{}/v1/messages", server.base_url());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let send = |headers: &'static [(&'static str, &'static str)]| {
        let request = headers
            .iter()
            .fold(reqwest::Client::new().post(&url), |r, (name, value)| r.header(*name, *value));
        async { request.json(&body(json!({}))).send().await.expect("an answer").status().as_u16() }
    };
    const VERSION: (&str, &str) = ("anthropic-version", "2026-10-21");
    assert_eq!(send(&[VERSION]).await, 401);
    assert_eq!(send(&[VERSION, ("x-api-key", "sk-2")]).await, 401);
    assert_eq!(send(&[VERSION, ("x-api-key", "sk-1"), ("authorization", "Bearer sk-1")]).await, 401);
    assert_eq!(send(&[("x-api-key", "sk-1")]).await, 400);
    assert_eq!(send(&[("x-api-key", "sk-1"), ("anthropic-version", "2026-01-01")]).await, 400);
    assert_eq!(send(&[VERSION, ("x-api-key", "sk-1")]).await, 200);
    assert_eq!(send(&[VERSION, ("authorization", "Bearer sk-1")]).await, 200);
    assert_eq!(server.log().matching(|event| event.name == "refused").len(), 5);
}

#[tokio::test]
async fn models_refuse_what_they_do_not_take() {
    let server = server();
    let (unknown, answer) = status(&server, json!({"model": "claude-haiku-9"})).await;
    assert_eq!((unknown, &answer["error"]["type"]), (404, &json!("not_found_error")));
    let haiku45 = |changes: Value| {
        let mut all = json!({"model": "claude-haiku-4-5"});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        all
    };
    let prefill = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]);
    let opus = |thinking: Value| json!({"model": "claude-opus-5-5", "thinking": thinking});
    for (changes, expected) in [
        (json!({"temperature": 1.0}), 400),
        (haiku45(json!({"top_k": 5})), 400),
        (json!({"messages": prefill}), 400),
        (haiku45(json!({"messages": prefill})), 200),
        (json!({"output_config": {"effort": "max"}}), 400),
        (json!({"output_config": {"effort": "low"}}), 200),
        (haiku45(json!({"output_config": {"effort": "low"}})), 400),
        (opus(json!({"type": "disabled"})), 400),
        (opus(json!({"type": "adaptive"})), 200),
        (json!({"model": "claude-sonnet-5-5", "thinking": {"type": "between_tools"}}), 200),
        (json!({"thinking": {"type": "between_tools"}}), 400),
        (json!({"tool_choice": {"type": "any"}}), 200),
        (json!({"tool_choice": {"type": "any"}, "thinking": null}), 400),
        (json!({"model": "claude-opus-5-5", "thinking": null, "tool_choice": {"type": "any"}}), 400),
        (json!({"max_tokens": 200_000}), 400),
        (json!({"max_tokens": 0}), 400),
        (json!({"max_tokens": 0, "stream": false}), 200),
    ] {
        assert_eq!(status(&server, changes.clone()).await.0, expected, "{changes}");
    }
    let older = async |changes: Value| {
        let url = format!("{}/v1/messages", server.base_url());
        let request =
            reqwest::Client::new().post(url).bearer_auth("k").header("anthropic-version", "2023-06-01");
        request.json(&body(changes)).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(older(haiku45(json!({"temperature": 0.3}))).await, 200);
    assert_eq!(older(haiku45(json!({"temperature": 0.3, "top_p": 0.9}))).await, 400);
    assert_eq!(older(json!({"temperature": 0.3})).await, 400);
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let server = server();
    let user = |content: Value| json!({"role": "user", "content": content});
    let used =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "a", "input": {}}]});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "x"});
    let mark = json!({"type": "ephemeral"});
    let marked: Vec<Value> =
        (0..5).map(|n| json!({"type": "text", "text": n.to_string(), "cache_control": mark})).collect();
    let tool = |name: &str, kind: &str| json!({"name": name, "input_schema": {"type": kind}});
    for (changes, says) in [
        (json!({"messages": []}), "at least one"),
        (json!({"messages": [{"role": "assistant", "content": "hi"}]}), "first message"),
        (json!({"messages": [{"role": "caller", "content": "hi"}]}), "role"),
        (json!({"messages": [{"role": "system", "content": "hi"}]}), "system"),
        (json!({"messages": [user(json!(""))]}), "non-empty content"),
        (json!({"messages": [user(json!([]))]}), "non-empty content"),
        (json!({"messages": [user(json!([{"type": "text", "text": " "}]))]}), "non-whitespace"),
        (json!({"messages": [user(json!([{"type": "audio"}]))]}), "audio"),
        (json!({"messages": [user(json!("a")), used, user(json!("b"))]}), "without `tool_result`"),
        (json!({"messages": [user(json!("a")), used]}), "without `tool_result`"),
        (
            json!({"messages": [user(json!("a")), used, user(json!([result("t1"), result("t2")]))]}),
            "unexpected",
        ),
        (json!({"messages": [user(json!([result("t1")]))]}), "unexpected"),
        (
            json!({"messages": [user(json!("a")), used, user(json!([result("t1"), result("t1")]))]}),
            "single result",
        ),
        (
            json!({"messages": [user(json!("a")), used, user(json!([{"type": "text", "text": "x"}, result("t1")]))]}),
            "come first",
        ),
        (json!({"messages": [user(json!(marked))]}), "maximum of 4"),
        (json!({"cache_control": {"type": "ephemeral", "ttl": "1d"}}), "ttl"),
        (json!({"tools": [tool("a b", "object")]}), "name"),
        (json!({"tools": [tool("a", "string")]}), "input_schema"),
        (json!({"tools": [tool("a", "object"), tool("a", "object")]}), "unique"),
        (json!({"tool_choice": {"type": "tool", "name": "nothing"}}), "not found"),
        (json!({"system": [{"type": "text", "text": ""}]}), "system"),
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"colour": 1}), "colour"),
    ] {
        let (status, answer) = status(&server, changes.clone()).await;
        assert_eq!((status, &answer["error"]["type"]), (400, &json!("invalid_request_error")), "{changes}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(says), "{changes}: {message}");
    }
    let right = json!({"messages": [user(json!("a")), used, user(json!([result("t1")])), user(json!("b"))]});
    assert_eq!(status(&server, right).await.0, 200);
    let refused = server.log().matching(|event| event.name == "refused");
    assert!(
        refused.iter().all(|event| event.call.as_deref() == Some("call-1") && event.text("reason").is_some())
    );
}

#[tokio::test]
async fn a_stream_is_in_the_vendors_order_and_ugly() {
    let server = server();
    // Its answer begins with "I’m sorry".
    let not_found = body(json!({"messages": [
        {"role": "user", "content": "Do you sell bicycles?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "search_knowledge", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "We open at nine."}]},
    ]}));
    let mut seen = [false; 3];
    for _ in 0..30 {
        let streamed = stream(&server, &user("bye")).await;
        let names: Vec<&str> = streamed.events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names[0], names[names.len() - 1]), ("message_start", "message_stop"));
        assert_eq!(streamed.stop_reason(), Some("tool_use"));
        let starts = streamed.data("content_block_start");
        assert_eq!(starts[0]["content_block"]["type"], "text");
        assert_eq!(starts[1]["content_block"]["name"], "end_call");
        assert_eq!((&starts[0]["index"], &starts[1]["index"]), (&json!(0), &json!(1)));
        assert_eq!(streamed.deltas("partial_json"), [""]);
        assert!(streamed.deltas("text").concat().to_lowercase().contains("bye"));
        let usages: Vec<u64> = streamed
            .data("message_delta")
            .iter()
            .filter_map(|d| d["usage"]["output_tokens"].as_u64())
            .collect();
        assert!(usages.is_sorted());
        assert!(names.contains(&"ping"));
        seen[0] |= usages.len() == 2;
        seen[1] |= names.contains(&"rehearsal_notice");
        seen[2] |= stream(&server, &not_found).await.split_character;
    }
    assert_eq!(seen, [true; 3]);
}

#[tokio::test]
async fn a_question_becomes_a_call_with_whole_arguments() {
    let server = server();
    let streamed = stream(&server, &user("What are your opening hours?")).await;
    let pieces = streamed.deltas("partial_json");
    assert_eq!(pieces[0], "");
    assert!(pieces.len() > 2);
    let input: Value = serde_json::from_str(&pieces.concat()).expect("whole arguments");
    assert_eq!(input, json!({"query": "What are your opening hours?"}));
    let whole = status(
        &server,
        json!({"stream": false, "messages": [{"role": "user", "content": "Where are you?"}]}),
    )
    .await
    .1;
    let block = whole["content"].as_array().and_then(|blocks| blocks.last()).expect("a block");
    assert_eq!((&block["type"], &block["input"]["query"]), (&json!("tool_use"), &json!("Where are you?")));
    assert_eq!(whole["stop_reason"], "tool_use");
}

#[tokio::test]
async fn thinking_comes_first_and_eats_max_tokens() {
    let server = server();
    let streamed = stream(&server, &body(json!({"thinking": null}))).await;
    let starts = streamed.data("content_block_start");
    assert_eq!(starts[0]["content_block"]["type"], "thinking");
    assert_eq!(starts[1]["content_block"]["type"], "text");
    let short = stream(&server, &body(json!({"thinking": null, "max_tokens": 20}))).await;
    assert_eq!(short.stop_reason(), Some("max_tokens"));
    assert!(short.deltas("text").is_empty());
}

#[tokio::test]
async fn usage_shows_the_cache() {
    let server = server();
    let system =
        json!([{"type": "text", "text": "long ".repeat(600), "cache_control": {"type": "ephemeral"}}]);
    let changes = json!({"stream": false, "system": system});
    let first = status(&server, changes.clone()).await.1;
    let second = status(&server, changes).await.1;
    assert!(first["usage"]["cache_creation_input_tokens"].as_u64() > Some(512));
    assert_eq!(second["usage"]["cache_read_input_tokens"], first["usage"]["cache_creation_input_tokens"]);
    assert_eq!(second["usage"]["cache_creation_input_tokens"], 0);
    assert!(second["usage"]["input_tokens"].as_u64() > Some(0));
}

#[tokio::test]
async fn a_closed_stream_is_noticed() {
    let slow = Settings { next_token: Latency::fixed_ms(50), ..quick() };
    let server = Server::start(slow).expect("a port is free");
    let mut answer = request(&server).json(&user("Tell a story, in detail")).send().await.expect("an answer");
    while server.log().matching(|event| event.name == "first_token").is_empty() {
        answer.chunk().await.expect("more");
    }
    drop(answer);
    let cancelled = server.log().wait_for(|event| event.name == "cancelled", WAIT).await.expect("noticed");
    assert_eq!(cancelled.call.as_deref(), Some("call-1"));
    assert!(!cancelled.text("text").unwrap_or_default().is_empty());
    // Before the first token there is no body yet, only a request that waits.
    let slow = Settings { first_token: Latency::fixed_ms(60_000), ..quick() };
    let server = Server::start(slow).expect("a port is free");
    let waiting = request(&server).json(&user("hello")).timeout(Duration::from_millis(200)).send().await;
    assert!(waiting.is_err());
    assert!(server.log().wait_for(|event| event.name == "cancelled", WAIT).await.is_some());
}

#[tokio::test]
async fn requests_are_logged_whole() {
    let server = server();
    let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello, you."},
        {"role": "user", "content": "I lost my card."}]);
    stream(&server, &body(json!({"messages": messages}))).await;
    let events = server.log().snapshot();
    let names: Vec<&str> = events.iter().map(|event| event.name).collect();
    assert_eq!(names, ["request", "first_token", "done"]);
    assert_eq!(events[0].text("last_assistant"), Some("Hello, you."));
    assert_eq!(events[0].fields["messages"], messages);
    let text = events[2].text("text").unwrap_or_default();
    assert!(text.contains("you lost your card"));
    let sent: Vec<[u64; 2]> = serde_json::from_value(events[2].fields["text_sent"].clone()).expect("pairs");
    assert!(sent.is_sorted_by_key(|[at_us, _]| *at_us) && sent.is_sorted_by_key(|[_, chars]| *chars));
    assert_eq!(sent.last().expect("some text")[1], text.chars().count() as u64);
}

#[tokio::test]
async fn faults_of_the_request() {
    let server = server();
    let next = [
        Some(Fault::RateLimited { retry_after_s: 3 }),
        Some(Fault::Overloaded),
        Some(Fault::ServerError),
        None,
    ];
    server.set_faults(Faults { next: next.into(), always: None });
    let limited = request(&server).json(&user("hi")).send().await.expect("an answer");
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &HeaderValue::from_static("3"))
    );
    for (expected, kind) in [(529, "overloaded_error"), (500, "api_error")] {
        let (status, answer) = status(&server, json!({})).await;
        assert_eq!((status, answer["error"]["type"].as_str()), (expected, Some(kind)));
    }
    assert_eq!(status(&server, json!({})).await.0, 200);
}

#[tokio::test]
async fn faults_of_the_stream() {
    let server = server();
    let show = async |fault: Fault, text: &str| {
        server.set_faults(Faults::once(fault));
        stream(&server, &user(text)).await
    };
    let overloaded = show(Fault::OverloadedMidStream { after_deltas: 1 }, "hi").await;
    assert_eq!(overloaded.data("error")[0]["error"]["type"], "overloaded_error");
    assert_eq!(overloaded.deltas("text").len(), 1);
    let cut = show(Fault::Cut { after_deltas: 2 }, "hi").await;
    assert!(cut.whole && cut.data("message_stop").is_empty() && cut.deltas("text").len() == 2);
    let reset = show(Fault::Reset { after_deltas: 2 }, "hi").await;
    assert!(!reset.whole && reset.data("message_stop").is_empty());
    let refusal = show(Fault::Refusal, "hi").await;
    assert_eq!(refusal.stop_reason(), Some("refusal"));
    assert!(refusal.deltas("text").is_empty());
    let short = show(Fault::MaxTokens, "What are your opening hours on Sundays?").await;
    assert_eq!(short.stop_reason(), Some("max_tokens"));
    let arguments = short.deltas("partial_json").concat();
    assert!(!arguments.is_empty() && serde_json::from_str::<Value>(&arguments).is_err(), "{arguments}");
    let stall = Fault::Stall { after_deltas: 1, time: Duration::from_millis(300) };
    let began = clock::now();
    let stalled = show(stall, "hi").await;
    assert!(stalled.stop_reason() == Some("end_turn") && began.elapsed() >= Duration::from_millis(300));
}
