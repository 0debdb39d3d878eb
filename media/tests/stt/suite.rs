//! What every transcriber must keep to.

use std::time::Duration;

use super::{Caller, Line, Stage, Trouble, now, recording};
use crate::stage::{no_task_is_left, words};

/// Runs every rule against the stage that `$start` opens; where the vendor decides turns, those that do not ask it for
/// more.
macro_rules! suite {
    ($start:path) => {
        $crate::stt::suite::suite!($start:
            a_finalize_settles_what_was_said,
            a_finalize_waits_for_the_audio_before_it,
            a_vendor_that_falls_silent_is_dialled_again,
        );
        $crate::stt::suite::suite!($start, decides_turns);
    };
    ($start:path, decides_turns) => {
        $crate::stt::suite::suite!($start:
            what_is_said_is_written_down,
            audio_before_the_first_socket_is_not_lost,
            a_loss_neither_repeats_nor_loses_words,
            a_refusal_is_told_at_once,
            an_unreachable_vendor_is_told,
            sockets_that_break_at_once_are_not_dialled_for_ever,
            dropping_ends_the_stream,
            dropping_while_dialling_leaves_nothing,
        );
    };
    ($start:path: $($rule:ident,)*) => {
        $(#[tokio::test]
        async fn $rule() {
            $crate::stt::suite::$rule(&$start()).await;
        })*
    };
}
pub(crate) use suite;

const SECOND: Duration = Duration::from_secs(1);

fn no_violations(stage: &impl Stage) {
    assert_eq!(stage.violations(), Vec::<String>::new());
}

/// Ends lie in order.
fn in_order(caller: &Caller) {
    let ends: Vec<Duration> = caller.finals().map(|transcript| transcript.end).collect();
    assert!(ends.is_sorted(), "{ends:?}");
}

pub async fn what_is_said_is_written_down(stage: &impl Stage) {
    let (speech, text) = recording(Line::Short);
    let mut caller = Caller::open(stage);
    caller.pause(300).await;
    caller.say(&speech).await;
    let spoken = caller.said;
    caller.until("the end of the utterance", Caller::is_over).await;
    assert_eq!(caller.text(), words(&text));
    let interim = caller.transcripts.iter().find(|transcript| !transcript.text.is_empty());
    assert!(interim.is_some_and(|transcript| !transcript.is_final), "words come before they are settled");
    let over = caller.finals().find(|transcript| transcript.utterance_over).expect("it is over");
    assert!(over.end + SECOND > spoken, "{over:?} of {spoken:?}");
    assert_eq!((caller.losses, stage.dialled()), (0, 1));
    in_order(&caller);
    no_violations(stage);
}

pub async fn a_finalize_settles_what_was_said(stage: &impl Stage) {
    let (speech, text) = recording(Line::Short);
    let mut caller = Caller::open(stage);
    caller.say(&speech).await;
    caller.finalize();
    let (asked, end) = (now(), caller.said);
    caller.wait("the answer", Caller::is_over).await;
    assert!(now() - asked < SECOND, "sooner than a pause would settle it");
    assert_eq!(caller.text(), words(&text));
    let last = caller.finals().last().expect("there is one");
    assert!(end - last.end <= Duration::from_millis(100), "nothing before the finalize is still to come");
}

pub async fn audio_before_the_first_socket_is_not_lost(stage: &impl Stage) {
    stage.next(vec![Trouble::Busy, Trouble::Busy, Trouble::Busy]);
    let (speech, text) = recording(Line::Short);
    let mut caller = Caller::open(stage);
    caller.say(&speech).await;
    caller.until("the end of the utterance", Caller::is_over).await;
    assert_eq!(caller.text(), words(&text));
    assert_eq!((caller.losses, stage.dialled()), (1, 4));
    no_violations(stage);
}

pub async fn a_loss_neither_repeats_nor_loses_words(stage: &impl Stage) {
    let (speech, text) = recording(Line::Long);
    let mut caller = Caller::open(stage);
    // In speech of which a piece is settled already, and once more on the second socket.
    let after = |ms| Trouble::LostAfter(Duration::from_millis(ms));
    stage.next(vec![after(4500), after(3100)]);
    caller.pause(400).await;
    caller.say(&speech).await;
    let spoken = caller.said;
    caller
        .until("the end of the utterance", |caller| {
            let over =
                caller.finals().any(|transcript| transcript.utterance_over && transcript.end >= spoken);
            over && stage.dialled() == 3
        })
        .await;
    assert_eq!((caller.text(), stage.dialled()), (words(&text), 3));
    in_order(&caller);
    no_violations(stage);
}

pub async fn a_finalize_waits_for_the_audio_before_it(stage: &impl Stage) {
    let (speech, text) = recording(Line::Short);
    stage.next(vec![Trouble::Busy; 5]);
    let mut caller = Caller::open(stage);
    caller.say(&speech).await;
    caller.finalize();
    // No pause is heard that could settle it: only the finalize can, once all of the backlog was heard.
    caller.wait("the answer", Caller::is_over).await;
    let settled: Vec<String> = caller.finals().map(|transcript| words(&transcript.text)).collect();
    let over = caller.finals().find(|transcript| transcript.utterance_over).expect("it is over");
    assert_eq!(words(&over.text), words(&text), "not cut by a finalize before its time: {settled:?}");
    no_violations(stage);
}

pub async fn a_refusal_is_told_at_once(stage: &impl Stage) {
    stage.always(Trouble::RefusedForGood);
    let mut caller = Caller::open(stage);
    let begun = now();
    caller.wait("unavailable", |caller| caller.unavailable).await;
    assert!(now() - begun < SECOND);
    assert_eq!(stage.dialled(), 1);
    // A call that plays its apology still hears the caller.
    caller.pause(200).await;
    caller.finalize();
    drop(caller);
    no_task_is_left(SECOND).await;
}

pub async fn an_unreachable_vendor_is_told(stage: &impl Stage) {
    stage.always(Trouble::Busy);
    let mut caller = Caller::open(stage);
    let begun = now();
    caller.until("unavailable", |caller| caller.unavailable).await;
    let took = now() - begun;
    assert!((SECOND..3 * SECOND).contains(&took), "{took:?}");
    assert!((3..=6).contains(&stage.dialled()));
}

pub async fn sockets_that_break_at_once_are_not_dialled_for_ever(stage: &impl Stage) {
    stage.always(Trouble::LostAfter(Duration::ZERO));
    let mut caller = Caller::open(stage);
    caller.until("unavailable", |caller| caller.unavailable).await;
    assert!((3..=6).contains(&stage.dialled()), "{}", stage.dialled());
}

pub async fn a_vendor_that_falls_silent_is_dialled_again(stage: &impl Stage) {
    let (speech, text) = recording(Line::Short);
    stage.next(vec![Trouble::SilentAfter(Duration::from_millis(100))]);
    let mut caller = Caller::open(stage);
    caller.pause(300).await;
    caller.say(&speech).await;
    caller.finalize();
    let asked = now();
    // No pause is heard that could settle it: only the finalize can, asked again on the second socket.
    caller.wait("the answer", Caller::is_over).await;
    assert!(now() - asked < 5 * SECOND, "{:?}", now() - asked);
    assert_eq!((caller.text(), caller.losses), (words(&text), 1));
    no_violations(stage);
}

pub async fn dropping_ends_the_stream(stage: &impl Stage) {
    let mut caller = Caller::open(stage);
    caller.pause(300).await;
    drop(caller);
    no_task_is_left(2 * SECOND).await;
    stage.closed_in_good_order(1).await;
}

pub async fn dropping_while_dialling_leaves_nothing(stage: &impl Stage) {
    // A listener that answers nothing: the dial hangs.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let mut settings = stage.settings();
    settings.base_url = format!("http://{}", nobody.local_addr().expect("bound")).parse().expect("a URL");
    let session = stage.transcriber().open(settings);
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(session);
    no_task_is_left(SECOND).await;
}
