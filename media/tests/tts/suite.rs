//! What every synthesizer must keep to.

use std::time::Duration;

use media::tts::{Event, Take};

use super::{ONE, Speaker, Stage, TWO, Trouble};
use crate::stage::{no_task_is_left, words};

/// Runs every rule against the stage that `$start` opens.
macro_rules! suite {
    ($start:path) => {
        $crate::tts::suite::suite!($start:
            a_take_is_spoken_with_its_words,
            takes_are_kept_apart,
            nothing_of_a_cancelled_take_follows_the_next_one,
            a_cancel_waits_for_no_reader,
            a_slow_reader_loses_nothing,
            a_lost_socket_loses_its_takes_and_the_next_one_is_spoken,
            an_error_loses_its_take_and_nothing_else,
            an_error_that_names_nobody_loses_what_is_open,
            a_vendor_that_falls_silent_loses_the_take,
            text_that_comes_after_the_end_loses_its_take,
            a_socket_that_was_closed_for_idleness_is_not_missed,
            a_refusal_is_told_and_commands_are_still_taken,
            an_unreachable_vendor_is_told,
            dropping_closes_the_socket,
            dropping_while_dialling_leaves_nothing,
        );
    };
    ($start:path: $($rule:ident,)*) => {
        $(#[tokio::test]
        async fn $rule() {
            $crate::tts::suite::$rule(&$start()).await;
        })*
    };
}
pub(crate) use suite;

const SECOND: Duration = Duration::from_secs(1);
const LONG: &str =
    "One thing after another is said here, and none of it matters, but it takes a while to say it. ";

pub async fn a_take_is_spoken_with_its_words(stage: &impl Stage) {
    let mut speaker = Speaker::open(stage);
    // At once: the socket is not open yet.
    speaker.speak(ONE, "Sure, your balance ").await;
    speaker.speak(ONE, "is five hundred rupees. ").await;
    speaker.say(ONE, "Goodbye.").await;
    let said = speaker.words(ONE);
    let text: Vec<&str> = said.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words(&text.join(" ")), "sure your balance is five hundred rupees goodbye");
    assert!(said.is_sorted_by_key(|word| word.end));
    let length = Duration::from_micros(speaker.audio(ONE) as u64 * 125);
    assert!((2 * SECOND..10 * SECOND).contains(&length), "{length:?} at 8 kHz");
    let last = said.last().expect("words").end;
    assert!(length.abs_diff(last) < SECOND / 2, "{last:?} of {length:?}");
    assert!(matches!(speaker.events.last(), Some(Event::Done { take: ONE })));
    assert_eq!(stage.opened(), 1);
}

pub async fn takes_are_kept_apart(stage: &impl Stage) {
    let mut speaker = Speaker::open(stage);
    speaker.speak(ONE, "First. ").await;
    speaker.speak(TWO, "Second. ").await;
    speaker.speak(ONE, "Third.").await;
    speaker.finish(TWO).await;
    speaker.finish(ONE).await;
    let mut ends = 0;
    while ends < 2 {
        speaker.until(|event| matches!(event, Event::Done { .. })).await;
        ends += 1;
    }
    let text = |take| speaker.words(take).iter().map(|word| words(&word.text)).collect::<Vec<_>>();
    assert_eq!((text(ONE), text(TWO)), (vec!["first".into(), "third".into()], vec!["second".into()]));
    assert!(speaker.audio(ONE) > 0 && speaker.audio(TWO) > 0);
}

pub async fn nothing_of_a_cancelled_take_follows_the_next_one(stage: &impl Stage) {
    let mut speaker = Speaker::open(stage);
    for epoch in (1..8).step_by(2) {
        let (old, new) = (Take { epoch, number: 0 }, Take { epoch: epoch + 1, number: 0 });
        speaker.events.clear();
        speaker.speak(old, LONG).await;
        speaker.until_audio(old).await;
        speaker.cancel(old).await;
        // What crosses the cancel is of no effect.
        speaker.speak(old, LONG).await;
        speaker.finish(old).await;
        speaker.say(new, "Go ahead.").await;
        let takes = speaker.takes();
        let turn = takes.iter().position(|take| *take == Some(new)).expect("the new one is heard");
        assert!(takes[turn..].iter().all(|take| *take == Some(new)), "{takes:?}");
        assert_eq!(speaker.lost(), 0);
    }
    assert_eq!(stage.opened(), stage.opened_after(4));
}

pub async fn a_cancel_waits_for_no_reader(stage: &impl Stage) {
    let mut speaker = Speaker::open(stage);
    speaker.speak(ONE, &LONG.repeat(6)).await;
    let full = async {
        while speaker.session.events.len() < speaker.session.events.max_capacity() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(10 * SECOND, full).await.expect("the vendor is faster than speech");
    // One more event has come by then, and finds no room.
    tokio::time::sleep(SECOND / 5).await;
    speaker.cancel(ONE).await;
    tokio::time::timeout(SECOND, stage.cancelled(1)).await.expect("at once, though nothing was read");
    speaker.say(TWO, "Go ahead.").await;
    assert!(speaker.audio(ONE) < 20 * 8000, "and little of the cancelled take was read");
}

pub async fn a_slow_reader_loses_nothing(stage: &impl Stage) {
    let text = LONG.repeat(3);
    let mut fast = Speaker::open(stage);
    fast.say(ONE, &text).await;
    let mut slow = Speaker::open(stage);
    slow.speak(ONE, &text).await;
    slow.finish(ONE).await;
    // Longer than the vendor may be silent.
    tokio::time::sleep(4 * SECOND).await;
    slow.until(|event| matches!(event, Event::Done { .. } | Event::Lost { .. })).await;
    let last = slow.events.last();
    assert!(matches!(last, Some(Event::Done { .. })), "{last:?}");
    assert_eq!((slow.audio(ONE), slow.words(ONE)), (fast.audio(ONE), fast.words(ONE)));
}

pub async fn a_lost_socket_loses_its_takes_and_the_next_one_is_spoken(stage: &impl Stage) {
    stage.next(vec![Some(Trouble::Lost)]);
    let mut speaker = Speaker::open(stage);
    speaker.speak(ONE, LONG).await;
    speaker.until_lost(ONE).await;
    assert!(speaker.audio(ONE) > 0, "what was delivered may be played");
    // Sent before the loss was seen: it belongs to nothing any more, and no socket is opened for it.
    speaker.speak(ONE, "Too late.").await;
    speaker.finish(ONE).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.opened(), 1);
    let again = Take { number: 1, ..ONE };
    speaker.say(again, "Once more.").await;
    assert_eq!((speaker.lost(), stage.opened()), (1, 2));
    assert!(speaker.audio(again) > 0);
}

pub async fn an_error_loses_its_take_and_nothing_else(stage: &impl Stage) {
    stage.next(vec![None, Some(Trouble::Error)]);
    let mut speaker = Speaker::open(stage);
    speaker.speak(ONE, LONG).await;
    speaker.until_audio(ONE).await;
    speaker.speak(TWO, "Hello there.").await;
    speaker.until_lost(TWO).await;
    speaker.finish(ONE).await;
    speaker.until(|event| matches!(event, Event::Done { take: ONE })).await;
    assert_eq!((speaker.lost(), stage.opened()), (1, stage.opened_after(1)));
}

pub async fn an_error_that_names_nobody_loses_what_is_open(stage: &impl Stage) {
    stage.next(vec![Some(Trouble::NamelessError)]);
    let mut speaker = Speaker::open(stage);
    speaker.speak(ONE, LONG).await;
    speaker.until_lost(ONE).await;
    speaker.say(TWO, "Once more.").await;
    assert_eq!((speaker.lost(), stage.opened()), (1, stage.opened_after(1)));
}

pub async fn a_vendor_that_falls_silent_loses_the_take(stage: &impl Stage) {
    stage.next(vec![Some(Trouble::Silent)]);
    let mut speaker = Speaker::open(stage);
    speaker.speak(ONE, LONG).await;
    speaker.until_audio(ONE).await;
    // Text that follows does not put off what is owed for the text before.
    let lost = async {
        while tokio::time::timeout(SECOND / 2, speaker.until_lost(ONE)).await.is_err() {
            speaker.speak(ONE, "And more. ").await;
        }
    };
    tokio::time::timeout(4 * SECOND, lost).await.expect("long before a caller gives up");
    speaker.say(TWO, "Once more.").await;
    assert!(speaker.audio(TWO) > 0);
}

pub async fn text_that_comes_after_the_end_loses_its_take(stage: &impl Stage) {
    let mut speaker = Speaker::open(stage);
    speaker.say(ONE, "All of it. ").await;
    speaker.speak(ONE, "Or not.").await;
    speaker.until_lost(ONE).await;
    let again = Take { number: 1, ..ONE };
    speaker.say(again, "Or not.").await;
    assert!(speaker.audio(again) > 0);
    assert_eq!((speaker.lost(), stage.opened()), (1, 1));
}

pub async fn a_socket_that_was_closed_for_idleness_is_not_missed(stage: &impl Stage) {
    let mut speaker = Speaker::open(stage);
    speaker.say(ONE, "Hello.").await;
    stage.closed_for_idleness(1).await;
    speaker.cancel(ONE).await;
    speaker.say(TWO, "Hello again.").await;
    assert!(speaker.audio(TWO) > 0);
    assert_eq!((speaker.lost(), stage.opened()), (0, 2));
}

pub async fn a_refusal_is_told_and_commands_are_still_taken(stage: &impl Stage) {
    let mut speaker = Speaker::with(stage, stage.refuse_all());
    speaker.speak(ONE, "Hello.").await;
    tokio::time::timeout(SECOND, speaker.until(|event| matches!(event, Event::Unavailable { .. })))
        .await
        .expect("at once");
    for _ in 0..200 {
        speaker.speak(ONE, "Hello.").await;
    }
    assert_eq!(speaker.events.len(), 1);
    drop(speaker);
    no_task_is_left(SECOND).await;
}

pub async fn an_unreachable_vendor_is_told(stage: &impl Stage) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let mut settings = stage.settings();
    settings.base_url = format!("http://{}", port.local_addr().expect("bound")).parse().expect("a URL");
    drop(port);
    let mut speaker = Speaker::with(stage, settings);
    let told = speaker.until(|event| matches!(event, Event::Unavailable { .. }));
    tokio::time::timeout(3 * SECOND, told).await.expect("after a few attempts");
}

pub async fn dropping_closes_the_socket(stage: &impl Stage) {
    let mut speaker = Speaker::open(stage);
    speaker.speak(ONE, LONG).await;
    speaker.until_audio(ONE).await;
    drop(speaker);
    no_task_is_left(2 * SECOND).await;
    stage.closed_in_good_order(1).await;
}

pub async fn dropping_while_dialling_leaves_nothing(stage: &impl Stage) {
    // A listener that answers nothing: the dial hangs.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let mut settings = stage.settings();
    settings.base_url = format!("http://{}", nobody.local_addr().expect("bound")).parse().expect("a URL");
    let speaker = Speaker::with(stage, settings);
    speaker.speak(ONE, "Hello.").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(speaker);
    no_task_is_left(SECOND).await;
}
