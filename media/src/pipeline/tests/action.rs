//! What the carrier does with a call by itself.

use proto::types::v1::{CarrierAction, CarrierOutcome, Transfer, carrier_action::Action};

use super::*;

fn transfer() -> CarrierAction {
    let transfer = Transfer { to_number: "+12025550101".into() };
    CarrierAction { action: Some(Action::Transfer(transfer)) }
}

/// A reply of 800 ms that begins at 1600 ms and ends with a transfer.
fn put_through() -> Rig {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { idle_timeout: Some(ms(5000)), ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Are you there?")));
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.caller_says(0, 1000, "The reception, please.");
    rig.segment(1500, 1, "Of course.");
    rig.at(1500, Input::ReplyDone { epoch: 1, then: Some(Then::Act(transfer())) });
    rig.audio(1600, 1, 0, 800);
    rig.at(1600, Input::SpeechDone { take: TAKE_1 });
    rig
}

#[test]
fn the_carrier_acts_when_all_was_heard_and_the_outcome_is_spoken_about() {
    let mut rig = put_through();
    rig.until(2399);
    assert!(!rig.outputs.iter().any(|output| matches!(output, Output::Act { .. })));
    rig.until(2400);
    let acts = [
        Output::Heard { epoch: 1, text: "Of course.".into(), interrupted: false },
        Output::Act { epoch: 1, action: transfer() },
    ];
    assert!(rig.take_outputs().ends_with(&acts));
    // Whatever comes now, nobody is there: no prompt, no filler, no turn.
    rig.at(3000, words("still here", 2900));
    rig.at(3100, Input::Key('1'));
    rig.until(60_000);
    assert_eq!((rig.take_outputs(), rig.core.wake_at()), (vec![], None));
    rig.at(60_000, Input::Returned(CarrierOutcome::Busy));
    let asked = [Output::ActionEnded { epoch: 2, outcome: CarrierOutcome::Busy }];
    assert_eq!(rig.take_outputs(), asked);
    rig.segment(60_300, 2, "They are busy.");
    rig.at(60_300, Input::ReplyDone { epoch: 2, then: None });
    let take = Take { epoch: 2, number: 0 };
    rig.audio(60_400, 2, 0, 400);
    rig.at(60_400, Input::SpeechDone { take });
    rig.until(65_000);
    assert_eq!(heard_lines(&rig), ["They are busy."]);
    // The caller has the floor, and is asked for when they do not use it.
    rig.until(67_000);
    assert_eq!(heard_lines(&rig), ["They are busy.", "Are you there?"]);
    rig.at(67_000, Input::Returned(CarrierOutcome::Busy));
    assert!(!rig.take_outputs().contains(&Output::ActionEnded { epoch: 4, outcome: CarrierOutcome::Busy }));
}

#[test]
fn a_vendor_that_is_gone_meanwhile_ends_the_call_only_when_the_caller_is_back() {
    let mut rig = put_through();
    rig.at(1700, Input::Phrase(0, Purpose::Apology, phrase("I am sorry.")));
    rig.until(2400);
    rig.take_outputs();
    rig.at(3000, Input::SttUnavailable("gone".into()));
    rig.until(20_000);
    assert_eq!(rig.take_outputs(), vec![], "the caller is with somebody else");
    rig.at(20_000, Input::Returned(CarrierOutcome::Busy));
    rig.until(25_000);
    assert_eq!(heard_lines(&rig), ["I am sorry."]);
    assert!(rig.outputs.contains(&Output::HangUp { reason: EndReason::SttFailed }), "{:?}", rig.outputs);
}

#[test]
fn a_barge_in_cancels_it() {
    let mut rig = put_through();
    rig.at(1780, Input::Speech(Edge::SpeechStarted { at_ms: 1700 }));
    rig.at(2100, words("wait", 2050));
    rig.until(20_000);
    assert!(!rig.outputs.iter().any(|output| matches!(output, Output::Act { .. })));
}

#[test]
fn nothing_is_done_that_the_caller_was_not_told_of() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "The reception, please.");
    rig.segment(1400, 1, "Of course.");
    rig.at(1500, Input::ReplyDone { epoch: 1, then: Some(Then::Act(transfer())) });
    // The synthesizer is silent.
    rig.until(30_000);
    assert!(!rig.outputs.iter().any(|output| matches!(output, Output::Act { .. } | Output::HangUp { .. })));
    assert!(
        rig.outputs.contains(&Output::Heard { epoch: 1, text: String::new(), interrupted: true })
            || rig.outputs.contains(&Output::CancelReply { epoch: 1 })
    );
}
