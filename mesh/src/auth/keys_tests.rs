use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::{Value, json};
use tokio::time::advance;

use super::*;
use crate::testing::{issuer, stranger};

/// An issuer whose answers the test chooses.
#[derive(Clone, Default)]
struct Scripted(Arc<Script>);

#[derive(Default)]
struct Script {
    fetches: AtomicUsize,
    /// `None`: the issuer is away.
    answer: Mutex<Option<Value>>,
}

impl Scripted {
    fn answering(keys: Value) -> Self {
        let source = Self::default();
        source.answer(Some(keys));
        source
    }

    fn answer(&self, keys: Option<Value>) {
        *self.0.answer.lock().unwrap() = keys.map(|keys| json!({ "keys": keys }));
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(SeqCst)
    }
}

impl KeySource for Scripted {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        Box::pin(async {
            self.0.fetches.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let answer = self.0.answer.lock().unwrap().clone();
            answer.map(|keys| keys.to_string().into_bytes()).ok_or(FetchError("away".into()))
        })
    }
}

fn key(kid: &str, from: &crate::auth::Issuer) -> Value {
    let mut key = from.jwks()["keys"][0].clone();
    key["kid"] = kid.into();
    key
}

#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_keys_cost_one_fetch_in_the_window() {
    let source = Scripted::answering(json!([key("a", issuer())]));
    let keys = Keys::new(source.clone());
    assert!(keys.find("a").await.is_ok());
    assert_eq!(source.fetches(), 1);
    for n in 0..1000 {
        assert_eq!(keys.find(&format!("k{n}")).await.err(), Some(NoKey::Unknown));
    }
    assert_eq!(source.fetches(), 1);
    advance(REFETCH_INTERVAL).await;
    let asked = (0..1000).map(|n| {
        let keys = keys.clone();
        async move { keys.find(&format!("k{n}")).await.err() }
    });
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| *answer == Some(NoKey::Unknown)));
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_seen_within_the_window_and_a_removed_key_is_gone() {
    let source = Scripted::answering(json!([key("old", issuer())]));
    let keys = Keys::new(source.clone());
    keys.refresh().await.unwrap();
    let before = keys.generation();
    source.answer(Some(json!([key("new", stranger())])));
    advance(REFETCH_INTERVAL).await;
    assert!(keys.find("old").await.is_ok());
    assert!(keys.find("new").await.is_ok());
    assert_eq!(keys.find("old").await.err(), Some(NoKey::Unknown));
    assert!(keys.generation() > before);
    keys.refresh().await.unwrap();
    assert_eq!(keys.generation(), Some(1), "the same keys are the same generation");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_serves_a_day_while_the_issuer_is_away() {
    let source = Scripted::answering(json!([key("a", issuer())]));
    let keys = Keys::new(source.clone());
    keys.refresh().await.unwrap();
    source.answer(None);
    advance(STALE_MAX - Duration::from_secs(1)).await;
    assert!(keys.refresh().await.is_err());
    assert!(keys.ready() && keys.find("a").await.is_ok());
    assert_eq!(keys.find("b").await.err(), Some(NoKey::Unavailable), "no verdict without the issuer");
    advance(Duration::from_secs(2)).await;
    assert_eq!(keys.find("a").await.err(), Some(NoKey::Unavailable));
    assert!(!keys.ready());
}

#[tokio::test(start_paused = true)]
async fn keys_that_do_not_sign_for_us_are_dropped() {
    let with = |field: &str, value: Value| {
        let mut key = key("x", issuer());
        key[field] = value;
        key
    };
    let source = Scripted::answering(json!([
        key("a", issuer()),
        with("use", json!("enc")),
        with("use", json!(null)),
        with("alg", json!("RSA-OAEP")),
        with("alg", json!("HS256")),
        with("kty", json!("oct")),
        with("n", json!(null)),
    ]));
    let keys = Keys::new(source);
    assert!(keys.find("a").await.is_ok());
    assert_eq!(keys.find("x").await.err(), Some(NoKey::Unknown));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_does_not_take_the_fetch_with_them() {
    let source = Scripted::answering(json!([key("a", issuer())]));
    let keys = Keys::new(source.clone());
    assert!(tokio::time::timeout(Duration::from_millis(1), keys.find("a")).await.is_err());
    assert!(keys.find("a").await.is_ok());
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_keys_are_waited_for_and_then_kept_fresh() {
    let source = Scripted::default();
    let keys = Keys::new(source.clone());
    let drain = Drain::new();
    let running = tokio::spawn(keys.clone().run(drain.clone()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!keys.ready());
    source.answer(Some(json!([key("a", issuer())])));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(keys.ready());
    let fetches = source.fetches();
    tokio::time::sleep(REFRESH_INTERVAL).await;
    assert_eq!(source.fetches(), fetches + 1);
    drain.run(Duration::ZERO, Duration::ZERO).await;
    running.await.unwrap();
}
