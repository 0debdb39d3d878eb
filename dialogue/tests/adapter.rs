//! The adapter on the wire: what it sends, how it reads, what it does about failures.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use dialogue::{
    Config,
    conversation::{Conversation, Input},
    llm::{self, Completion, Event, Failure, FailureKind, LanguageModel, Meter, anthropic::Anthropic},
    prompt::{self, Profile},
};
use futures_util::StreamExt;
use mesh::{Pii, clock};
use serde_json::json;
use tokio::sync::mpsc;

use crate::vendor::{Answer, PATIENCE, Vendor, message, says};

fn adapter(vendor: &Vendor) -> Anthropic {
    Anthropic::new(&Config { anthropic_base_url: vendor.base_url.clone(), ..Config::default() }).unwrap()
}

fn completion() -> Completion {
    let mut conversation = Conversation::new(BTreeMap::new(), 0);
    conversation.handle(
        Input::UserTurn { epoch: 1, text: "Hi".into(), language: String::new(), tentative: false },
        clock::now(),
    );
    let profile =
        Profile { prompt: "Be kind.".into(), language: "en".into(), tools: Vec::new(), max_tokens: 99 };
    let request = prompt::request(&profile, conversation.history(), "call", true);
    Completion {
        breakers: Arc::default(),
        model: "claude-haiku-5-5".into(),
        key: Pii::new("sk-secret".into()),
        call_id: "call".into(),
        request: Arc::new(request),
        meter: Arc::new(Meter::new(true)),
    }
}

/// Completes with retries; gives the text and how it ended.
async fn complete(adapter: &Anthropic, fallback: Option<&str>) -> (String, Result<(), Failure>) {
    let (sender, mut events) = mpsc::channel(1000);
    let result = llm::complete(adapter, completion(), fallback, &sender, |event| event).await;
    drop(sender);
    let mut text = String::new();
    while let Some(event) = events.recv().await {
        if let Event::Text(piece) = event {
            text.push_str(piece.expose());
        }
    }
    (text, result)
}

#[tokio::test]
async fn the_request_is_what_the_vendor_asks_for() {
    let mut vendor = Vendor::start([says(&["Hi."])]).await;
    assert_eq!(complete(&adapter(&vendor), None).await, ("Hi.".to_owned(), Ok(())));
    let seen = vendor.request().await;
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-api-key"), Some("sk-secret"));
    assert_eq!(header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("authorization"), None);
    assert_eq!(seen.body["model"], "claude-haiku-5-5");
    assert_eq!(seen.body["stream"], true);
    assert_eq!(seen.body["max_tokens"], 99);
    assert_eq!(seen.body["thinking"], json!({"type": "disabled"}));
    assert_eq!(seen.body["metadata"], json!({"user_id": "call"}));
    assert!(["temperature", "top_p", "top_k"].iter().all(|name| seen.body.get(name).is_none()));
}

#[tokio::test]
async fn bytes_may_be_split_anywhere() {
    let whole = message(&["नमस्ते, ", "how are 😀 ", "you?"], &[], "end_turn").concat();
    for step in [1, 2, 3, 5, 17] {
        let pieces = whole.chunks(step).map(Bytes::copy_from_slice).collect();
        let vendor = Vendor::start([Answer::Stream(pieces)]).await;
        assert_eq!(complete(&adapter(&vendor), None).await, ("नमस्ते, how are 😀 you?".to_owned(), Ok(())));
    }
}

#[tokio::test]
async fn transient_failures_are_retried_while_nothing_was_spoken() {
    let mut vendor = Vendor::start([
        Answer::Status(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, None),
        Answer::Stream(message(&[], &[], "")),
        says(&["Hi."]),
    ])
    .await;
    assert_eq!(complete(&adapter(&vendor), None).await, ("Hi.".to_owned(), Ok(())));
    for _ in 0..3 {
        vendor.request().await;
    }
}

#[tokio::test]
async fn retries_are_three_and_none_after_a_word() {
    let busy = || Answer::Status(503, "<html>", Some("0"));
    let mut vendor = Vendor::start([busy(), busy(), busy(), busy()]).await;
    let failure = complete(&adapter(&vendor), None).await.1.unwrap_err();
    assert_eq!(failure.detail, "the model answered 503 (no error type)");
    for _ in 0..4 {
        vendor.request().await;
    }
    vendor.will(Answer::Stream(message(&["Well"], &[], "")));
    let (text, result) = complete(&adapter(&vendor), Some("claude-haiku-4-5")).await;
    assert_eq!((text.as_str(), result.unwrap_err().kind), ("Well", FailureKind::Transient(None)));
    vendor.request().await;
    vendor.no_more_requests();
}

#[tokio::test]
async fn a_long_wish_to_wait_goes_to_the_fallback_model() {
    let limit = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"ramp_limit_exceeded"}}}"#;
    let mut vendor = Vendor::start([Answer::Status(429, limit, Some("30")), says(&["Hi."])]).await;
    assert_eq!(complete(&adapter(&vendor), Some("claude-opus-5-5")).await, ("Hi.".to_owned(), Ok(())));
    assert_eq!(vendor.request().await.body["model"], "claude-haiku-5-5");
    let second = vendor.request().await.body;
    assert_eq!(second["model"], "claude-opus-5-5");
    assert_eq!(second["output_config"], json!({"effort": "low"}));
    assert!(second.get("thinking").is_none());
}

#[tokio::test]
async fn a_refused_key_is_neither_retried_nor_told() {
    let body = r#"{"type":"error","error":{"type":"authentication_error","message":"sk-secret is wrong"}}"#;
    let mut vendor = Vendor::start([Answer::Status(401, body, None)]).await;
    let failure = complete(&adapter(&vendor), Some("claude-haiku-4-5")).await.1.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert_eq!(failure.detail, "the model answered 401 (authentication_error)");
    vendor.request().await;
    vendor.no_more_requests();
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_is_a_transient_failure() {
    let mut vendor = Vendor::start([]).await;
    vendor.base_url.set_port(Some(1)).unwrap();
    let failure = complete(&adapter(&vendor), None).await.1.unwrap_err();
    assert_eq!(failure.detail, "the model cannot be reached");
}

#[tokio::test]
async fn a_model_that_does_not_begin_is_too_slow_and_its_request_is_closed() {
    let mut vendor = Vendor::start([Answer::Hang(Vec::new())]).await;
    let by = clock::now() + Duration::from_millis(200);
    let mut events = adapter(&vendor).complete(completion(), by);
    let first = tokio::time::timeout(PATIENCE, events.next()).await.expect("the deadline is kept");
    assert_eq!(first.unwrap().err().unwrap().kind, FailureKind::TooSlow);
    drop(events);
    vendor.closed().await;
}

#[tokio::test]
async fn a_model_that_falls_silent_has_failed() {
    let vendor = Vendor::start([Answer::Hang(message(&["Well"], &[], ""))]).await;
    let mut events = adapter(&vendor).complete(completion(), clock::now() + Duration::from_secs(9));
    assert!(matches!(events.next().await, Some(Ok(Event::Text(_)))));
    // From here on only the deadline can happen: the clock jumps to it.
    tokio::time::pause();
    let failure = events.next().await.unwrap().err().unwrap();
    assert_eq!(failure.detail, "the model fell silent inside its answer");
}

#[tokio::test]
async fn pings_are_no_words() {
    let vendor = Vendor::start([Answer::Ping(message(&["Well"], &[], ""))]).await;
    let mut events = adapter(&vendor).complete(completion(), clock::now() + Duration::from_secs(9));
    assert!(matches!(events.next().await, Some(Ok(Event::Text(_)))));
    tokio::time::pause();
    let next = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
    let failure = next.expect("pings go on for ever, patience does not").unwrap().err().unwrap();
    assert_eq!(failure.detail, "the model fell silent inside its answer");
}
