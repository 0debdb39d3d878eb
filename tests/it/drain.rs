//! SIGTERM: calls finish, new ones are not admitted, and the process ends well.

use std::time::Duration;

use libtest_mimic::Trial;
use rehearsal::heard;
use rehearsal::twilio::{
    Ended, What,
    abuse::{Abuse, Answer, Offer},
};

use crate::{
    answered_call::{GREETING, QUESTION},
    binary::Up,
    caller::{self, line, prompt, quiet},
    trial,
};

const CALLS: usize = 3;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("drain::calls_finish_and_no_new_one_is_admitted", calls_finish),
        trial("drain::without_calls_it_ends_at_once", without_calls),
    ]
}

async fn calls_finish() {
    let mut up = Up::start(&[("TRUNKLINE_DRAIN_DEADLINE_S", "60")]).await;
    let library = &up.rehearsal.library;
    let steps = vec![line(library, QUESTION, quiet()).await, prompt(library, "vm-goodbye", quiet())];
    let mut calls: Vec<_> = (0..CALLS).map(|_| up.place(steps.clone())).collect();
    for call in &mut calls {
        call.until_said(QUESTION).await;
    }
    let plan = caller::plan(&up.url("http"), Vec::new());
    let admitted = Offer::get(&plan).await.expect("a call is admitted");
    up.terminate().await;
    up.logged(0, &["draining"]).await;

    assert_eq!(up.admin("/readyz").await.0, 503);
    let refused = up.place(Vec::new()).outcome().await;
    assert!(matches!(refused.report.ended, Ended::Rejected { .. }), "{:?}", refused.report.ended);

    let mut stream = admitted.open(&admitted.stream.url).await.unwrap_or_else(|no| panic!("{}", no.text));
    stream.start(&admitted).await;
    // The kind of abuse is a label here: nothing wrong is said on this stream.
    let observed = stream.observe(Abuse::NoStart, rehearsal::clock::now(), Duration::from_secs(2)).await;
    assert_eq!(observed.answer, Answer::StillOpen);
    assert!(observed.messages_received > 0, "its caller hears the greeting");

    for call in calls {
        let outcome = call.outcome().await;
        assert_eq!(outcome.report.ended, Ended::ServerHungUp);
        let heard =
            heard::listen(&up.rehearsal.log, &outcome.recording.heard()).await.expect("espeak-ng speaks");
        let words: Vec<_> = heard.iter().map(heard::Heard::words).collect();
        let words = words.join(" ");
        assert!(words.starts_with(GREETING), "{words}");
        assert!(words.contains("costs 12 pounds for a day."), "{words}");
        assert!(words.ends_with("goodbye!"), "{words}");
    }
    let exit = up.exited().await;
    assert_eq!(exit.code(), Some(0), "{:#?}", up.log());
}

async fn without_calls() {
    let mut up = Up::start(&[("TRUNKLINE_DRAIN_DEADLINE_S", "600")]).await;
    let mut call = up.place(Vec::new());
    call.until(|what| matches!(what, What::AgentAudible)).await;
    call.hang_up();
    call.outcome().await;
    up.terminate().await;
    // Far before the drain's deadline.
    assert_eq!(up.exited().await.code(), Some(0), "{:#?}", up.log());
}
