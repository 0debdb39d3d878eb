//! Tentative turns and writes over the wire: what the vendor is asked, what the tools do, what is metered.

use std::sync::Arc;

use dialogue::{
    conversation::{Effect, ToolResult},
    prompt::ToolDefinition,
    tools::Tool,
};
use futures_util::{FutureExt, future::BoxFuture};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use proto::dialogue::v1::converse_response::Event;
use serde_json::{Map, Value, json};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

use crate::{
    bench::{Bench, CALL_ID, Neighbours},
    session::{messages, turn},
    vendor::{Answer, PATIENCE, Vendor, message, says},
};

/// Books a table: a write that ends when the test lets it.
struct Book {
    begun: mpsc::Sender<String>,
    ended: mpsc::Sender<()>,
    permits: Arc<Semaphore>,
}

/// The test's side of it.
struct Ledger {
    begun: mpsc::Receiver<String>,
    ended: mpsc::Receiver<()>,
    permits: Arc<Semaphore>,
}

impl Ledger {
    /// The key of the next booking that begins.
    async fn key(&mut self) -> String {
        timeout(PATIENCE, self.begun.recv()).await.expect("a booking begins").unwrap()
    }

    async fn ended(&mut self) {
        timeout(PATIENCE, self.ended.recv()).await.expect("the booking ends").unwrap();
    }

    fn is_untouched(&mut self) -> bool {
        self.begun.try_recv().is_err()
    }
}

impl Tool for Book {
    fn definition(&self) -> ToolDefinition {
        let input_schema = json!({"properties": {}, "type": "object"});
        ToolDefinition { name: "book", description: "Books a table.", input_schema }
    }

    fn effect(&self) -> Effect {
        Effect::WriteOnce
    }

    fn run(&self, _arguments: Map<String, Value>, idempotency_key: &str) -> BoxFuture<'static, ToolResult> {
        let (key, begun, ended) = (idempotency_key.to_owned(), self.begun.clone(), self.ended.clone());
        let permits = Arc::clone(&self.permits);
        async move {
            begun.send(key).await.unwrap();
            permits.acquire().await.unwrap().forget();
            let _ = ended.try_send(());
            ToolResult { text: "A table for two is booked.".into(), is_error: false }
        }
        .boxed()
    }
}

fn bench(vendor: &Vendor) -> (Bench, Ledger) {
    let (begun, begun_receiver) = mpsc::channel(16);
    let (ended, ended_receiver) = mpsc::channel(16);
    let permits = Arc::new(Semaphore::new(0));
    let ledger = Ledger { begun: begun_receiver, ended: ended_receiver, permits: Arc::clone(&permits) };
    let book: Arc<dyn Tool> = Arc::new(Book { begun, ended, permits });
    (Bench::with_tools(&vendor.base_url, Neighbours::default(), [book]), ledger)
}

/// Metrics of what runs on this thread, which is all of a test.
struct Metrics(PrometheusHandle);

impl Metrics {
    fn new(recorder: &PrometheusRecorder) -> Self {
        Self(recorder.handle())
    }

    /// The sum of the counters of this name with these labels.
    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let rendered = self.0.render();
        let has = |line: &&str| {
            line.starts_with(name) && labels.iter().all(|(k, v)| line.contains(&format!("{k}=\"{v}\"")))
        };
        rendered
            .lines()
            .filter(has)
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    fn tokens(&self, kind: &str, discarded: &str) -> u64 {
        self.count("trunkline_tokens_total", &[("kind", kind), ("discarded", discarded)])
    }
}

#[tokio::test]
async fn a_tentative_turn_is_answered_before_it_is_confirmed() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = Metrics::new(&recorder);
    let _local = metrics::set_default_local_recorder(&recorder);
    let mut vendor = Vendor::start([says(&["Yes, we are, all day."]), says(&["You are welcome."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.tentative(1, "Are you open?").await;
    assert_eq!(talk.reply(1).await.text, "Yes, we are, all day.");
    talk.confirm(1).await;
    talk.heard(1, "Yes, we are, all day.", false).await;
    talk.turn(2, "Thanks").await;
    assert_eq!(talk.reply(2).await.text, "You are welcome.");
    assert_eq!(messages(&vendor.request().await.body), [turn("user", ["Are you open?"])]);
    let wanted = [
        turn("user", ["Are you open?"]),
        turn("assistant", ["Yes, we are, all day."]),
        turn("user", ["Thanks"]),
    ];
    assert_eq!(messages(&vendor.request().await.body), wanted);
    assert_eq!((metrics.tokens("output", "false"), metrics.tokens("output", "true")), (7, 0));
}

#[tokio::test]
async fn a_cancelled_tentative_turn_is_only_metered() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = Metrics::new(&recorder);
    let _local = metrics::set_default_local_recorder(&recorder);
    let mut vendor = Vendor::start([
        Answer::Hang(message(&["Well, one two three, four five six?"], &[], "")),
        says(&["A pizza, gladly."]),
        says(&["With cheese, of course."]),
    ])
    .await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.tentative(1, "I want").await;
    assert_eq!(talk.segment(1).await, "Well, one two three, ");
    talk.cancel(1).await;
    vendor.closed().await;
    talk.tentative(2, "I want a pizza").await;
    // All of it came; a newer turn ends it all the same.
    assert_eq!(talk.reply(2).await.text, "A pizza, gladly.");
    talk.turn(3, "I want a pizza with cheese").await;
    assert_eq!(talk.reply(3).await.text, "With cheese, of course.");
    talk.confirm(2).await;
    talk.half_close();
    assert!(talk.message().await.unwrap().is_none());
    for said in ["I want", "I want a pizza", "I want a pizza with cheese"] {
        assert_eq!(messages(&vendor.request().await.body), [turn("user", [said])]);
    }
    // 35 characters that came of the first, and what the vendor says of the second.
    assert_eq!((metrics.tokens("output", "true"), metrics.tokens("input", "true")), (9 + 7, 18));
    assert_eq!((metrics.tokens("output", "false"), metrics.tokens("input", "false")), (7, 9));
    assert_eq!(metrics.count("trunkline_replies_total", &[("outcome", "discarded")]), 2);
    assert_eq!(metrics.count("trunkline_stale_messages_total", &[("what", "confirm")]), 1);
}

#[tokio::test]
async fn effects_wait_for_the_confirmation_and_look_ups_do_not() {
    let none = || json!({});
    let calls = [("book", none()), ("search_knowledge", json!({"query": "tables"}))];
    let mut vendor = Vendor::start([
        Answer::Stream(message(&[], &[("book", none()), ("end_call", none())], "tool_use")),
        Answer::Stream(message(&["One moment please."], &calls, "tool_use")),
        Answer::Stream(message(&["It is done, goodbye."], &[("end_call", none())], "tool_use")),
        says(&["Of course, what is it?"]),
    ])
    .await;
    let (bench, mut ledger) = bench(&vendor);
    let mut talk = bench.talk().await;
    talk.tentative(1, "Book").await;
    vendor.request().await;
    talk.tentative(2, "Book a table").await;
    assert_eq!(talk.segment(2).await, "One moment please. ");
    while bench.neighbours.searches.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(ledger.is_untouched(), "the look-up began after the write would have");
    talk.confirm(2).await;
    assert!(ledger.key().await.starts_with(&format!("{CALL_ID}:2:book:")));
    ledger.permits.add_permits(1);
    ledger.ended().await;
    let (epoch, event) = loop {
        match talk.next().await {
            (2, Event::Segment(_)) => {}
            other => break other,
        }
    };
    assert!(matches!((epoch, event), (2, Event::ReplyDone(done)) if done.end_call));
    talk.cancel(2).await;
    talk.heard(2, "One moment please. It is", true).await;
    talk.turn(3, "And one more thing").await;
    assert_eq!(talk.reply(3).await.text, "Of course, what is it?");
    assert!(ledger.is_untouched(), "the first turn never was");
    for _ in 0..2 {
        vendor.request().await;
    }
    let last = messages(&vendor.request().await.body);
    assert_eq!(last.len(), 5);
    assert_eq!(last[0], turn("user", ["Book a table"]));
    assert_eq!(last[2].1[0]["content"], "A table for two is booked.");
    assert_eq!(last[3], turn("assistant", ["It is—"]));
}

#[tokio::test]
async fn a_write_is_made_once_though_it_is_interrupted_and_asked_for_again() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = Metrics::new(&recorder);
    let _local = metrics::set_default_local_recorder(&recorder);
    let book = [("book", json!({"at": 7, "for": 2}))];
    let again = [("book", json!({"for": 2, "at": 7}))];
    let mut vendor = Vendor::start([
        Answer::Stream(message(&["One moment, please."], &book, "tool_use")),
        Answer::Stream(message(&[], &again, "tool_use")),
        says(&["Your table is booked."]),
    ])
    .await;
    let (bench, mut ledger) = bench(&vendor);
    let mut talk = bench.talk().await;
    talk.turn(1, "Book a table").await;
    ledger.key().await;
    talk.cancel(1).await;
    talk.heard(1, "One moment,", true).await;
    talk.turn(2, "Hello?").await;
    vendor.request().await;
    let second = messages(&vendor.request().await.body);
    let wanted =
        [turn("user", ["Book a table"]), turn("assistant", ["One moment,—"]), turn("user", ["Hello?"])];
    assert_eq!(second, wanted, "the result is not there yet");
    ledger.permits.add_permits(2);
    ledger.ended().await;
    let reply = loop {
        match talk.next().await {
            (1, Event::FirstToken(_) | Event::Segment(_)) | (2, Event::FirstToken(_)) => {}
            (2, Event::Segment(segment)) => break segment.text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reply, "Your table is booked.");
    assert!(ledger.is_untouched(), "it is booked once");
    let third = messages(&vendor.request().await.body);
    let roles: Vec<_> = third.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"]);
    assert_eq!((&third[1].1[0], &third[1].1[1]["type"]), (&json!("One moment,—"), &json!("tool_use")));
    assert_eq!((&third[2].1[0]["type"], &third[2].1[1]), (&json!("tool_result"), &json!("Hello?")));
    assert_eq!(third[4].1[0]["content"], third[2].1[0]["content"]);
    assert_eq!(metrics.count("trunkline_stale_effects_total", &[]), 0);
}

#[tokio::test]
async fn the_end_of_the_call_does_not_stop_a_write() {
    let book = [("book", json!({}))];
    let vendor = Vendor::start([Answer::Stream(message(&[], &book, "tool_use"))]).await;
    let (bench, mut ledger) = bench(&vendor);
    let mut talk = bench.talk().await;
    talk.turn(1, "Book a table").await;
    ledger.key().await;
    talk.half_close();
    while talk.message().await.unwrap().is_some() {}
    drop(talk);
    assert!(bench.drain.in_flight_count() >= 1, "a drain waits for it");
    ledger.permits.add_permits(1);
    ledger.ended().await;
}

#[tokio::test]
async fn effects_of_a_stale_reply_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = Metrics::new(&recorder);
    let _local = metrics::set_default_local_recorder(&recorder);
    let goodbye = message(&["Goodbye, take care."], &[("end_call", json!({}))], "tool_use");
    let vendor = Vendor::start([Answer::Stream(goodbye), says(&["Yes, of course."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.turn(1, "Bye").await;
    assert!(talk.reply(1).await.end_call);
    talk.cancel(1).await;
    talk.heard(1, "Goodbye,", true).await;
    talk.turn(2, "Wait").await;
    talk.reply(2).await;
    assert_eq!(metrics.count("trunkline_stale_effects_total", &[("kind", "hang_up")]), 1);
}

#[tokio::test]
async fn lines_that_media_says_by_itself_are_history() {
    let mut vendor = Vendor::start([says(&["Which one, please?"]), says(&["Here I am."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.heard(1, "Hello, this is the bakery.", false).await;
    talk.turn(2, "Bread").await;
    talk.reply(2).await;
    talk.heard(2, "Which one, please?", false).await;
    talk.heard(3, "Are you still there?", false).await;
    talk.heard(4, "I did not hear", true).await;
    talk.turn(5, "Yes, yes").await;
    talk.reply(5).await;
    vendor.request().await;
    let wanted = [
        turn("user", ["[the call was answered]"]),
        turn("assistant", ["Hello, this is the bakery."]),
        turn("user", ["Bread"]),
        turn("assistant", ["Which one, please? Are you still there? I did not hear—"]),
        turn("user", ["Yes, yes"]),
    ];
    assert_eq!(messages(&vendor.request().await.body), wanted);
}
