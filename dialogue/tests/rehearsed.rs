//! The role against the rehearsed vendor, which is as strict as the real one about requests.

use std::time::Duration;

use proto::dialogue::v1::converse_response::Event;
use rehearsal::{
    anthropic::{Fault, Server, Settings},
    faults::Faults,
    settings::Latency,
};
use url::Url;

use crate::bench::{Bench, CALL_ID};

fn server(next: impl IntoIterator<Item = Option<Fault>>) -> Server {
    let faults = Faults { next: next.into_iter().collect(), always: None };
    let (first_token, next_token) = (Latency::fixed_ms(10), Latency::fixed_ms(2));
    let api_key = Some("sk-secret".into());
    Server::start(Settings { api_key, first_token, next_token, faults, ..Settings::default() }).unwrap()
}

fn bench(server: &Server) -> Bench {
    Bench::new(&Url::parse(&server.base_url()).unwrap())
}

#[tokio::test]
async fn a_call_with_a_greeting_a_look_up_an_interruption_and_a_goodbye() {
    let server = server([]);
    let bench = bench(&server);
    let mut talk = bench.talk().await;
    talk.heard(0, "Hello, this is the bakery.", false).await;
    talk.turn(1, "When is the shop open?").await;
    let reply = talk.reply(1).await;
    assert!(reply.text.contains("The shop is open from nine to six."), "{reply:?}");
    talk.heard(1, &reply.text, false).await;
    talk.turn(2, "Tell me everything about bread in detail please").await;
    let first = talk.segment(2).await;
    talk.cancel(2).await;
    let cancelled = server.log().wait_for(|event| event.name == "cancelled", Duration::from_secs(10)).await;
    assert!(cancelled.is_some(), "the vendor sees the stream closed");
    let heard = first.split_whitespace().next().unwrap();
    talk.heard(2, heard, true).await;
    talk.turn(3, "That is all, goodbye").await;
    let mut epoch = 2;
    let mut end_call = false;
    while !end_call {
        let (at, event) = talk.next().await;
        assert!(at >= epoch);
        epoch = at;
        end_call =
            matches!(event, proto::dialogue::v1::converse_response::Event::ReplyDone(done) if done.end_call);
    }
    let requests =
        server.log().matching(|event| event.name == "request" && event.call.as_deref() == Some(CALL_ID));
    let said = requests.last().unwrap().text("last_assistant").unwrap();
    assert_eq!(said, format!("{heard}—"));
    assert!(server.log().matching(|event| event.name == "refused").is_empty());
}

#[tokio::test]
async fn a_call_of_tentative_turns_is_one_that_the_vendor_takes() {
    let server = server([]);
    let bench = bench(&server);
    let mut talk = bench.talk().await;
    talk.heard(0, "Hello, this is the bakery.", false).await;
    talk.tentative(1, "When is the").await;
    talk.cancel(1).await;
    talk.tentative(2, "When is the shop open?").await;
    let mut event = talk.next().await;
    while event.0 == 1 {
        event = talk.next().await;
    }
    talk.confirm(2).await;
    let mut text = String::new();
    loop {
        match event {
            (2, Event::Segment(segment)) => text.push_str(&segment.text),
            (2, Event::ReplyDone(_)) => break,
            (2, Event::FirstToken(_)) => {}
            other => panic!("{other:?}"),
        }
        event = talk.next().await;
    }
    assert!(text.contains("The shop is open from nine to six."), "{text}");
    talk.heard(2, &text, false).await;
    talk.tentative(3, "That is all, goodbye").await;
    assert_eq!(bench.neighbours.searches.lock().unwrap().len(), 1);
    let (mut asked, _) = talk.next().await;
    talk.confirm(3).await;
    while asked == 3 {
        let (epoch, event) = talk.next().await;
        asked = if matches!(event, Event::ReplyDone(done) if done.end_call) { 0 } else { epoch };
    }
    assert!(server.log().matching(|event| event.name == "refused").is_empty());
}

#[tokio::test]
async fn every_fault_ends_in_a_reply_or_an_apology() {
    let cut = |after_deltas| {
        [
            Fault::Cut { after_deltas },
            Fault::Reset { after_deltas },
            Fault::OverloadedMidStream { after_deltas },
        ]
    };
    let recovers = [Fault::RateLimited { retry_after_s: 1 }, Fault::ServerError, Fault::Overloaded]
        .into_iter()
        .chain(cut(0));
    for fault in recovers {
        let server = server([Some(fault.clone())]);
        let mut talk = bench(&server).talk().await;
        talk.turn(1, "I like bread").await;
        let reply = talk.reply(1).await;
        assert!(reply.failed.is_none() && !reply.text.is_empty(), "{fault:?}: {reply:?}");
    }
    let fails = [Fault::RateLimited { retry_after_s: 30 }, Fault::Refusal].into_iter().chain(cut(3));
    for fault in fails {
        let server = server([Some(fault.clone())]);
        let bench = bench(&server);
        let mut talk = bench.talk().await;
        talk.turn(1, "I like bread").await;
        let (apology, _, fatal) = talk.reply(1).await.failed.unwrap_or_else(|| panic!("{fault:?}"));
        assert_eq!((apology.as_str(), fatal), ("Sorry, what was that?", false));
        talk.turn(2, "I like rye too").await;
        assert!(talk.reply(2).await.failed.is_none(), "{fault:?}");
        assert_eq!(
            server.log().matching(|event| event.text("reason").is_some_and(|r| r.contains("messages"))).len(),
            0
        );
    }
}

#[tokio::test]
async fn a_tool_call_that_ran_out_of_tokens_is_not_run() {
    let server = server([Some(Fault::MaxTokens)]);
    let bench = bench(&server);
    let mut talk = bench.talk().await;
    talk.turn(1, "When is the shop open?").await;
    talk.reply(1).await;
    assert!(bench.neighbours.searches.lock().unwrap().is_empty());
    talk.turn(2, "I like bread").await;
    assert!(talk.reply(2).await.failed.is_none());
}
