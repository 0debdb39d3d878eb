//! A call from the greeting to the goodbye.

use libtest_mimic::Trial;
use proto::types::v1::{EndReason, call_event::Event};

use crate::{
    caller::{line, prompt, quiet},
    sandbox::{Finished, Sandbox, Shape},
    trial,
};

pub const GREETING: &str = "Hello, this is Harbour House. How can I help you?";
pub const QUESTION: &str = "How much does parking cost?";

pub fn trials() -> Vec<Trial> {
    vec![trial("answered_call::is_the_same_in_one_process_and_over_the_mesh", is_the_same)]
}

async fn is_the_same() {
    let (together, split) = tokio::join!(answered(Shape::Together), answered(Shape::Split));
    assert_eq!(together.transcript(), split.transcript());
    assert_eq!(together.words(), split.words());
}

async fn answered(shape: Shape) -> Finished {
    let sandbox = Sandbox::start(shape).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![line(library, QUESTION, quiet()).await, prompt(library, "vm-goodbye", quiet())];
    let call = sandbox.call(steps).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    let words = call.words();
    assert!(words.starts_with(GREETING), "{words}");
    assert!(words.contains("costs 12 pounds for a day"), "{words}");
    assert!(words.to_lowercase().contains("goodbye"), "{words}");
    assert!(call.heard.iter().all(|piece| piece.is_whole()), "{:#?}", call.heard);
    let agent: Vec<_> = call
        .transcript()
        .into_iter()
        .filter_map(|line| Some(line.strip_prefix("agent: ")?.to_owned()))
        .collect();
    assert_eq!(agent.join(" "), words, "what is told to have been heard is what was heard");
    let caller: Vec<_> = call.transcript().into_iter().filter(|line| line.starts_with("caller: ")).collect();
    assert_eq!(caller, [format!("caller: {QUESTION}"), "caller: Goodbye.".to_owned()]);
    assert_eq!(call.faults(), Vec::<&proto::types::v1::VendorFault>::new());
    assert!(call.report.clears.is_empty(), "nobody interrupted");
    let latencies = call.events.iter().filter(|event| matches!(event, Event::TurnLatency(_))).count();
    assert_eq!(latencies, 2, "one for each answer");
    // The next call's greeting is not synthesised again.
    let greetings = |name| {
        let log = &sandbox.rehearsal.log;
        log.matching(|event| event.name == name && event.text("text") == Some(GREETING)).len()
    };
    let again = sandbox.call(Vec::new()).await;
    again.assert_reason(EndReason::CallerHangup);
    assert_eq!(again.words(), GREETING);
    assert_eq!(greetings("speaks"), 1, "the greeting is synthesised once");
    sandbox.layout.stop().await;
    call
}
