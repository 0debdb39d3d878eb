use proto::types::v1::{SendDigits, Transfer, carrier_action::Action};

use super::*;

fn transfer() -> Action {
    Action::Transfer(Transfer { to_number: "+12025550101".into() })
}

/// A call whose carrier was asked for this after a second.
fn acting(action: Action) -> Trace {
    let mut trace = Trace::active();
    let action = CarrierAction { action: Some(action) };
    let outputs = trace.at(1_000, Input::Media(response(1, FromMedia::Action(action.clone()))));
    assert_eq!(outputs, [Output::Act(action)]);
    trace
}

fn outcomes(outputs: &[Output]) -> Vec<CarrierOutcome> {
    let told = to_media(outputs).into_iter().filter_map(|event| match event {
        ToMedia::ActionEnded(ended) => Some(ended.outcome()),
        _ => None,
    });
    told.collect()
}

#[test]
fn the_media_role_hears_of_an_outcome_when_the_carrier_is_back() {
    let mut trace = acting(transfer());
    assert!(trace.at(1_020, heard(160)).is_empty(), "nobody listens any more");
    assert_eq!(trace.at(1_100, Input::Carrier(Event::Stop)), [Output::DropCarrier], "that is no hang-up");
    let ended = trace.at(20_000, Input::ActionEnded(CarrierOutcome::Busy));
    assert!(matches!(ended[..], [Output::Publish(_)]), "{ended:?}");
    let back = trace.at(20_300, Input::CarrierBack);
    assert_eq!(outcomes(&back), [CarrierOutcome::Busy]);
    assert!(matches!(to_media(&trace.at(20_320, heard(160)))[..], [ToMedia::Audio(_)]));
    assert!(outcomes(&trace.at(20_400, Input::CarrierBack)).is_empty(), "it is told once");
}

#[test]
fn a_carrier_that_does_not_come_back_is_lost() {
    let mut trace = acting(transfer());
    trace.at(1_100, Input::CarrierClosed);
    trace.at(20_000, Input::ActionEnded(CarrierOutcome::NoAnswer));
    assert_eq!(reasons(&trace.at(30_000, Input::Tick)), [EndReason::CarrierLost]);
}

#[test]
fn whoever_answers_has_the_call() {
    let mut trace = acting(transfer());
    let outputs = trace.at(60_000, Input::ActionEnded(CarrierOutcome::Completed));
    assert_eq!(reasons(&outputs), [EndReason::Transferred]);
    // They may speak longer than is waited for.
    let mut trace = acting(transfer());
    assert!(trace.at(120_999, Input::Tick).is_empty());
    assert_eq!(trace.wakes_in(120_999), Some(Duration::from_millis(1)));
    assert_eq!(reasons(&trace.at(121_000, Input::Tick)), [EndReason::Transferred]);
}

#[test]
fn callbacks_of_the_end_come_in_any_order() {
    for (outcome, reason) in [
        (Some(CarrierOutcome::Completed), EndReason::Transferred),
        (Some(CarrierOutcome::Canceled), EndReason::CallerHangup),
        (None, EndReason::CallerHangup),
    ] {
        let mut trace = acting(transfer());
        assert!(trace.at(5_000, Input::CarrierOver).is_empty());
        let outputs = match outcome {
            Some(outcome) => trace.at(6_000, Input::ActionEnded(outcome)),
            None => trace.at(8_000, Input::Tick),
        };
        assert_eq!(reasons(&outputs), [reason], "{outcome:?}");
    }
    let mut trace = acting(transfer());
    trace.at(5_000, Input::ActionEnded(CarrierOutcome::Canceled));
    assert_eq!(reasons(&trace.at(5_100, Input::CarrierOver)), [EndReason::CallerHangup]);
}

#[test]
fn a_carrier_that_refuses_is_listened_to_again() {
    let mut trace = acting(transfer());
    let outputs = trace.at(2_000, Input::ActionRefused);
    assert_eq!(outcomes(&outputs), [CarrierOutcome::Failed]);
    assert!(matches!(to_media(&trace.at(2_020, heard(160)))[..], [ToMedia::Audio(_)]));
    assert_eq!(reasons(&trace.at(3_000, Input::Carrier(Event::Stop))), [EndReason::CallerHangup]);
}

#[test]
fn the_stream_before_an_outcome_has_no_say_in_what_comes_after_it() {
    // The carrier's flow asks before it closes its end of the socket.
    let mut trace = acting(transfer());
    let ended = trace.at(1_200, Input::ActionEnded(CarrierOutcome::Failed));
    assert!(matches!(ended[..], [Output::Publish(_), Output::DropCarrier]), "{ended:?}");
    assert_eq!(outcomes(&trace.at(1_500, Input::CarrierBack)), [CarrierOutcome::Failed]);
    // The new socket is the only one when it is the first sign of the carrier.
    let mut trace = acting(transfer());
    let back = trace.at(1_500, Input::CarrierBack);
    assert!(!back.contains(&Output::DropCarrier), "{back:?}");
    assert_eq!(outcomes(&back), [CarrierOutcome::Failed]);
}

#[test]
fn a_carrier_that_does_not_answer_may_act_all_the_same() {
    let mut trace = acting(transfer());
    assert!(trace.at(5_000, Input::ActionUnanswered).is_empty());
    assert!(trace.at(5_100, heard(160)).is_empty());
    assert_eq!(trace.at(6_000, Input::Carrier(Event::Stop)), [Output::DropCarrier]);
    trace.at(20_000, Input::ActionEnded(CarrierOutcome::Busy));
    assert_eq!(outcomes(&trace.at(20_300, Input::CarrierBack)), [CarrierOutcome::Busy]);
    // It goes on streaming, so it does nothing.
    let mut trace = acting(transfer());
    trace.at(5_000, Input::ActionUnanswered);
    assert!(trace.at(7_999, heard(160)).is_empty());
    assert_eq!(trace.at(8_000, heard(160)), [Output::GiveUpAction]);
    assert_eq!(outcomes(&trace.at(8_000, Input::ActionRefused)), [CarrierOutcome::Failed]);
    assert!(matches!(to_media(&trace.at(8_020, heard(160)))[..], [ToMedia::Audio(_)]));
}

#[test]
fn a_stream_that_never_left_keeps_its_clock() {
    let timed = |ms: u64| {
        let offset = Some(Duration::from_millis(ms));
        Input::Carrier(Event::Media(Media { payload: Bytes::from(vec![0; 160]), chunk: None, offset }))
    };
    let mut trace = acting(transfer());
    trace.at(1_020, timed(1_000));
    trace.at(2_000, Input::ActionRefused);
    let outputs = trace.at(2_040, timed(2_020));
    let [ToMedia::Audio(frame)] = to_media(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!(frame.audio_offset, Some(to_wire(Duration::from_millis(2_020))));
}

#[test]
fn keys_that_were_pressed_leave_the_call_with_us() {
    let mut trace = acting(Action::SendDigits(SendDigits { digits: "1".into() }));
    trace.at(1_100, Input::CarrierLost);
    assert!(reasons(&trace.at(1_600, Input::ActionEnded(CarrierOutcome::Completed))).is_empty());
    assert_eq!(outcomes(&trace.at(1_900, Input::CarrierBack)), [CarrierOutcome::Completed]);
    let mut trace = acting(Action::SendDigits(SendDigits { digits: "1".into() }));
    assert_eq!(reasons(&trace.at(121_000, Input::Tick)), [EndReason::CarrierLost]);
}

#[test]
fn a_carrier_that_was_lost_at_the_same_moment_has_done_nothing() {
    let mut trace = Trace::active();
    trace.at(900, Input::CarrierLost);
    let action = CarrierAction { action: Some(transfer()) };
    assert!(trace.at(1_000, Input::Media(response(1, FromMedia::Action(action)))).is_empty());
    assert_eq!(outcomes(&trace.at(2_000, Input::CarrierBack)), [CarrierOutcome::Failed]);
}

#[test]
fn an_operator_ends_a_call_wherever_the_carrier_has_it() {
    let mut trace = acting(transfer());
    trace.at(1_100, Input::Carrier(Event::Stop));
    let outputs = trace.at(2_000, Input::HangUp);
    assert_eq!(outputs[0], Output::HangUpAtCarrier);
    assert_eq!(reasons(&outputs), [EndReason::OperatorHangup]);
    let outputs = Trace::active().at(2_000, Input::HangUp);
    assert!(!outputs.contains(&Output::HangUpAtCarrier), "closing the stream ends it");
    assert_eq!(reasons(&outputs), [EndReason::OperatorHangup]);
}
