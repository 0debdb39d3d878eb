//! The adapter of Deepgram Flux against its rehearsal.

use std::time::Duration;

use rehearsal::{deepgram::Fault, faults::Faults};

use super::{
    Caller, LIBRARY, Line, Stage,
    deepgram::{Rehearsed, rehearse},
    now, recording,
    suite::suite,
};
use crate::stage::words;

fn start() -> Rehearsed {
    rehearse("flux-general-en", |_| ())
}

suite!(start, decides_turns);

fn quiet(stage: &Rehearsed) {
    assert_eq!(stage.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn its_own_decision_ends_each_turn() {
    let stage = start();
    let mut caller = Caller::open(&stage);
    let mut said = String::new();
    for (turn, name) in ["conf-full", "hello-world"].into_iter().enumerate() {
        let recording = LIBRARY.get(name).expect("it is in the list");
        caller.pause(300).await;
        caller.say(&recording.samples).await;
        // It would be an error on this protocol.
        caller.finalize();
        let end = caller.said;
        caller.until("the end of the turn", |caller| caller.finals().count() > turn).await;
        assert!(caller.said - end < Duration::from_secs(1), "{:?}", caller.said - end);
        said = format!("{said} {}", recording.text);
        assert!(caller.likely_ends > turn, "an answer could be prepared before");
    }
    assert_eq!((caller.text(), stage.dialled()), (words(&said), 1));
    quiet(&stage);
}

#[tokio::test]
async fn a_pause_inside_a_sentence_ends_nothing() {
    let stage = start();
    let recording = LIBRARY.get("pls-hold-while-try").expect("it is in the list");
    let (first, rest) = recording.samples.split_at(recording.words[4].start);
    let mut caller = Caller::open(&stage);
    caller.say(first).await;
    caller.pause(900).await;
    caller.say(rest).await;
    caller.until("the end of the turn", Caller::is_over).await;
    assert_eq!((caller.text(), caller.finals().count()), (words(&recording.text), 1));
}

#[tokio::test]
async fn a_turn_ends_even_if_the_audio_stops_in_it() {
    let stage = start();
    let (speech, _) = recording(Line::Long);
    let mut caller = Caller::open(&stage);
    caller.say(&speech[..20_000]).await;
    let stopped = now();
    caller.wait("the end of the turn", Caller::is_over).await;
    let took = now() - stopped;
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let (before, said) = (caller.text(), caller.said);
    assert!(
        caller.finals().all(|transcript| transcript.end <= said),
        "silence of ours is no time of the call"
    );
    caller.say(&speech[20_000..]).await;
    caller.until("the next turn", |caller| caller.finals().count() == 2).await;
    assert!(caller.text().starts_with(&before) && caller.text() != before);
    quiet(&stage);
}

#[tokio::test]
async fn a_socket_that_never_is_ready_is_dialled_again() {
    let stage = start();
    stage.server.set_faults(Faults::once(Fault::NoConnected));
    let (speech, text) = recording(Line::Short);
    let mut caller = Caller::open(&stage);
    caller.say(&speech).await;
    caller.until("the end of the turn", Caller::is_over).await;
    assert_eq!((caller.text(), caller.losses, stage.dialled()), (words(&text), 1, 2));
    quiet(&stage);
}

#[tokio::test]
async fn a_turn_that_stalls_is_heard_again() {
    let stage = start();
    stage.server.set_faults(Faults::once(Fault::StallInTurn));
    let (speech, text) = recording(Line::Short);
    let mut caller = Caller::open(&stage);
    caller.pause(200).await;
    caller.say(&speech).await;
    caller.until("the end of the turn", Caller::is_over).await;
    assert_eq!((caller.text(), caller.losses), (words(&text), 1));
    quiet(&stage);
}

#[tokio::test]
async fn a_failing_service_costs_no_word() {
    let stage = start();
    let (speech, text) = recording(Line::Short);
    let mut caller = Caller::open(&stage);
    caller.pause(1500).await;
    caller.say(&speech[..8000]).await;
    stage.server.strike(Fault::Fail { after: Duration::ZERO });
    caller.say(&speech[8000..]).await;
    caller.until("the end of the turn", Caller::is_over).await;
    assert_eq!((caller.text(), caller.losses), (words(&text), 1));
    quiet(&stage);
}
