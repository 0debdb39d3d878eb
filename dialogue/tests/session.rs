//! Whole streams: the role in process, its neighbours and the vendor by hand.

use std::{sync::atomic::Ordering, time::Duration};

use mesh::error::reason_of;
use proto::{
    dialogue::v1::{
        ConversationStart, ConversationStop, UserTurn, converse_request::Event as Say,
        converse_response::Event,
    },
    types::v1::{ErrorReason, ResumePosition},
};
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    bench::{Bench, Neighbours, Reply, TENANT, start},
    vendor::{Answer, Vendor, message, says},
};

/// Roles and texts of a request's messages, without cache breakpoints.
pub fn messages(body: &Value) -> Vec<(String, Vec<Value>)> {
    let plain = |block: &Value| {
        let mut block = block.clone();
        block.as_object_mut().unwrap().remove("cache_control");
        if block["type"] == "text" { block["text"].clone() } else { block }
    };
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .map(|message| {
            let content = message["content"].as_array().unwrap().iter().map(plain).collect();
            (message["role"].as_str().unwrap().to_owned(), content)
        })
        .collect()
}

pub fn turn(role: &str, content: impl IntoIterator<Item = impl Into<Value>>) -> (String, Vec<Value>) {
    (role.to_owned(), content.into_iter().map(Into::into).collect())
}

#[tokio::test]
async fn an_interruption_cuts_history_to_what_was_heard_and_closes_the_stream() {
    let spoken = ["Well, one two three, ", "four five six. ", "Seven eight"];
    let mut vendor = Vendor::start([Answer::Hang(message(&spoken, &[], "")), says(&["Sorry."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.heard(0, "Hello, this is the bakery.", false).await;
    talk.turn(1, "Tell me a story").await;
    assert_eq!(talk.segment(1).await, "Well, one two three, ");
    vendor.request().await;
    talk.cancel(1).await;
    vendor.closed().await;
    talk.heard(1, "Well, one", true).await;
    talk.turn(2, "Stop that").await;
    // What was sent before the cancel may still be on its way; nothing of epoch 1 comes after the answer to epoch 2.
    let mut event = talk.next().await;
    while event.0 == 1 {
        assert!(matches!(event.1, Event::Segment(_)));
        event = talk.next().await;
    }
    assert!(matches!(event, (2, Event::FirstToken(_))));
    assert_eq!(talk.segment(2).await, "Sorry.");
    let wanted = [
        turn("user", ["[the call was answered]"]),
        turn("assistant", ["Hello, this is the bakery."]),
        turn("user", ["Tell me a story"]),
        turn("assistant", ["Well, one—"]),
        turn("user", ["Stop that"]),
    ];
    assert_eq!(messages(&vendor.request().await.body), wanted);
}

#[tokio::test]
async fn a_newer_turn_cancels_the_older_and_stale_turns_are_dropped() {
    let mut vendor =
        Vendor::start([Answer::Hang(message(&[], &[], "")), says(&["Both of them, yes."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.turn(3, "Do you have rye").await;
    vendor.request().await;
    talk.turn(4, "or wheat?").await;
    vendor.closed().await;
    assert_eq!(talk.reply(4).await, Reply { text: "Both of them, yes.".into(), ..Reply::default() });
    assert_eq!(messages(&vendor.request().await.body), [turn("user", ["Do you have rye", "or wheat?"])]);
    talk.turn(4, "again").await;
    talk.turn(3, "older").await;
    talk.say(9, Say::Stop(ConversationStop { reason: 0 })).await;
    assert!(talk.message().await.unwrap().is_none(), "a stale turn is not answered");
    vendor.no_more_requests();
}

#[tokio::test]
async fn tools_run_and_their_results_come_back_in_one_message() {
    let query = |text: &str| ("search_knowledge", json!({"query": text}));
    let calls = [query("opening hours"), ("teleport", json!({})), query("")];
    let mut vendor = Vendor::start([
        Answer::Stream(message(&["Let me look."], &calls, "tool_use")),
        says(&["From nine to six, every day."]),
    ])
    .await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.turn(1, "When are you open?").await;
    assert_eq!(talk.reply(1).await.text, "Let me look. From nine to six, every day.");
    let first = vendor.request().await.body;
    let names: Vec<_> = first["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["end_call", "search_knowledge"]);
    let messages = messages(&vendor.request().await.body);
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[1].1[0], "Let me look.");
    assert_eq!(messages[1].1.len(), 4);
    let results = &messages[2].1;
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["tool_use_id"], "toolu_1");
    let passages =
        "[1] Opening hours\nThe shop is open from nine to six.\n\n[2] Prices\nRye bread costs three euros.";
    assert_eq!(results[0]["content"], passages);
    assert_eq!(results.iter().map(|result| &result["is_error"]).collect::<Vec<_>>(), [false, true, true]);
    let searches = bench.neighbours.searches.lock().unwrap();
    assert_eq!(
        searches.iter().map(|s| (s.parent.as_str(), s.query.as_str())).collect::<Vec<_>>(),
        [(TENANT, "opening hours")]
    );
}

#[tokio::test]
async fn a_failed_search_is_a_result_to_speak_about() {
    let calls = [("search_knowledge", json!({"query": "rye"}))];
    let mut vendor =
        Vendor::start([Answer::Stream(message(&[], &calls, "tool_use")), says(&["I cannot look it up."])])
            .await;
    let bench = Bench::with(&vendor.base_url, Neighbours { search_fails: true, ..Neighbours::default() });
    let mut talk = bench.talk().await;
    talk.turn(1, "Rye?").await;
    assert_eq!(talk.reply(1).await.text, "I cannot look it up.");
    vendor.request().await;
    let messages = messages(&vendor.request().await.body);
    assert_eq!(messages[2].1[0]["is_error"], true);
}

#[tokio::test]
async fn end_call_ends_the_reply_and_a_barge_in_takes_it_back() {
    let goodbye =
        || Answer::Stream(message(&["Goodbye, take care."], &[("end_call", json!({}))], "tool_use"));
    let mut vendor = Vendor::start([goodbye(), says(&["Yes, of course."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.turn(1, "Bye").await;
    let reply = talk.reply(1).await;
    assert_eq!((reply.text.as_str(), reply.end_call), ("Goodbye, take care. ", true));
    talk.cancel(1).await;
    talk.heard(1, "Goodbye,", true).await;
    talk.turn(2, "Wait, one more").await;
    assert!(!talk.reply(2).await.end_call);
    vendor.request().await;
    let wanted = [turn("user", ["Bye"]), turn("assistant", ["Goodbye,—"]), turn("user", ["Wait, one more"])];
    assert_eq!(messages(&vendor.request().await.body), wanted);
}

#[tokio::test]
async fn an_overloaded_model_is_asked_again() {
    let vendor = Vendor::start([Answer::Status(529, "{}", None), says(&["Here I am."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.turn(1, "Hi").await;
    assert_eq!(talk.reply(1).await, Reply { text: "Here I am.".into(), ..Reply::default() });
}

#[tokio::test]
async fn a_failed_reply_has_an_apology_and_the_next_turn_works() {
    let vendor = Vendor::start([
        Answer::Stream(message(&["Well, let me see, ", "I th"], &[], "")),
        says(&["Here I am."]),
        Answer::Status(401, "{}", None),
    ])
    .await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.talk().await;
    talk.turn(1, "Hi").await;
    let reply = talk.reply(1).await;
    let failure = |detail: &str, fatal| Some(("Sorry, what was that?".to_owned(), detail.to_owned(), fatal));
    assert_eq!(
        (reply.text.as_str(), reply.failed),
        ("Well, let me see, ", failure("the model's answer was cut off", false))
    );
    talk.heard(1, "Well, let me see, Sorry, what was that?", false).await;
    talk.turn(2, "Hello?").await;
    assert_eq!(talk.reply(2).await.text, "Here I am.");
    talk.heard(2, "Here I am.", false).await;
    talk.turn(3, "Now?").await;
    assert_eq!(talk.reply(3).await.failed, failure("the model answered 401 (no error type)", true));
}

#[tokio::test]
async fn a_stream_out_of_order_ends_with_its_reason() {
    let vendor = Vendor::start([]).await;
    let bench = Bench::new(&vendor.base_url);
    let user_turn = |text: &str| Say::UserTurn(UserTurn { text: text.into(), ..UserTurn::default() });
    let altered = |alter: fn(&mut ConversationStart)| {
        let Say::Start(mut message) = start() else { unreachable!() };
        alter(&mut message);
        Say::Start(message)
    };
    for (said, reason) in [
        (vec![user_turn("Hi")], ErrorReason::StreamOrder),
        (vec![start(), start()], ErrorReason::StreamOrder),
        (vec![start(), user_turn("  ")], ErrorReason::InvalidField),
        (vec![altered(|start| start.call = None)], ErrorReason::InvalidField),
        (
            vec![altered(|start| start.call.as_mut().unwrap().call_id = "+12025550100".into())],
            ErrorReason::InvalidField,
        ),
        (
            vec![altered(|start| start.call.as_mut().unwrap().agent = "tenants/other/agents/a".into())],
            ErrorReason::InvalidField,
        ),
    ] {
        let mut talk = bench.stream().await;
        for event in said {
            talk.say(1, event).await;
        }
        let status = loop {
            match talk.message().await {
                Ok(message) => assert!(matches!(message.unwrap().event, Some(Event::Started(_)))),
                Err(status) => break status,
            }
        };
        assert_eq!(reason_of(&status), Some(reason), "{status:?}");
    }
    let (_requests, receiver) = tokio::sync::mpsc::channel(1);
    let status = bench.stranger.clone().converse(ReceiverStream::new(receiver)).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::TokenRefused));
}

#[tokio::test]
async fn a_tenant_without_a_key_is_told_so() {
    let vendor = Vendor::start([]).await;
    let bench = Bench::with(&vendor.base_url, Neighbours { has_no_key: true, ..Neighbours::default() });
    let mut talk = bench.stream().await;
    talk.say(0, start()).await;
    assert_eq!(reason_of(&talk.message().await.unwrap_err()), Some(ErrorReason::ProviderKeyMissing));
}

#[tokio::test]
async fn look_ups_are_remembered_and_survive_their_store() {
    let vendor = Vendor::start([]).await;
    let bench = Bench::new(&vendor.base_url);
    bench.talk().await;
    bench.talk().await;
    let counts = || {
        (
            bench.neighbours.agent_calls.load(Ordering::SeqCst),
            bench.neighbours.key_calls.load(Ordering::SeqCst),
        )
    };
    assert_eq!(counts(), (1, 1));
    *bench.neighbours.keys_are_away.lock().unwrap() = true;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    bench.talk().await;
    assert_eq!(counts(), (1, 2));
}

#[tokio::test]
async fn a_stream_that_goes_away_takes_its_request_with_it() {
    let mut vendor = Vendor::start([Answer::Hang(message(&["Hm"], &[], "")), Answer::Hang(vec![])]).await;
    let bench = Bench::new(&vendor.base_url);
    let talk = bench.talk().await;
    talk.turn(1, "Hi").await;
    vendor.request().await;
    assert_eq!(bench.drain.in_flight_count(), 1);
    drop(talk);
    vendor.closed().await;
    let mut talk = bench.talk().await;
    talk.turn(1, "Hi").await;
    vendor.request().await;
    talk.half_close();
    assert!(talk.message().await.unwrap().is_none());
    vendor.closed().await;
}

#[tokio::test]
async fn a_draining_node_serves_admitted_calls_until_its_deadline() {
    let vendor = Vendor::start([says(&["Still here, my friend."])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut before = bench.talk().await;
    let drain = bench.drain.clone();
    let draining =
        tokio::spawn(async move { drain.run(Duration::from_secs(3600), Duration::from_secs(5)).await });
    bench.drain.started().await;
    let mut after = bench.talk().await;
    after.turn(1, "Hi").await;
    assert_eq!(after.reply(1).await.text, "Still here, my friend.");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3601)).await;
    for talk in [&mut before, &mut after] {
        assert_eq!(reason_of(&talk.message().await.unwrap_err()), Some(ErrorReason::Draining));
    }
    assert_eq!(draining.await.unwrap(), 0);
}

#[tokio::test]
async fn a_resumed_stream_refuses_what_is_older() {
    let vendor = Vendor::start([says(&["Where were we then?"])]).await;
    let bench = Bench::new(&vendor.base_url);
    let mut talk = bench.stream().await;
    let Say::Start(mut message) = start() else { unreachable!() };
    message.resume = Some(ResumePosition { epoch: 7, ..ResumePosition::default() });
    talk.say(7, Say::Start(message)).await;
    let (epoch, Event::Started(started)) = talk.next().await else { panic!("started comes first") };
    assert_eq!((epoch, started.resume.unwrap().epoch), (7, 7));
    talk.turn(6, "older").await;
    talk.turn(8, "Hello?").await;
    assert_eq!(talk.reply(8).await.text, "Where were we then?");
}
