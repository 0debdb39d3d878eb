use super::*;
use crate::{stt, tts};

fn rig() -> Rig {
    let turn = turn::Config { preemptive: false, ..turn::Config::default() };
    let language = Language {
        tag: "en".into(),
        stt_fallback: Some((stt::Vendor::Sarvam, false)),
        tts_fallback: Some(tts::Vendor::Sarvam),
        ..Language::default()
    };
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { turn, languages: vec![language], ..Config::default() }, 0, rig.t);
    rig
}

/// Each vendor whose fault was told, with who stands in.
fn told(outputs: &[Output]) -> Vec<(&str, &str)> {
    let fault = |output| match output {
        &Output::Event { event: Event::VendorFault(ref fault), .. } => {
            Some((fault.vendor.as_str(), fault.fallback.as_str()))
        }
        _ => None,
    };
    outputs.iter().filter_map(fault).collect()
}

#[test]
fn another_transcriber_takes_over_once() {
    let mut rig = rig();
    rig.at(100, Input::SttUnavailable("refused".into()));
    assert!(rig.outputs.contains(&Output::FallBackListening));
    rig.caller_says(500, 1500, "Hello.");
    assert!(rig.outputs.iter().any(|output| matches!(output, Output::UserTurn { .. })), "the call goes on");
    rig.at(2500, Input::SttUnavailable("refused".into()));
    rig.until(9000);
    assert_eq!(told(&rig.outputs), [("deepgram", "sarvam"), ("sarvam", "")]);
    assert!(rig.outputs.contains(&Output::HangUp { reason: EndReason::SttFailed }));
}

#[test]
fn another_voice_says_the_rest_of_the_reply() {
    let mut rig = rig();
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1400, 1, "one two");
    rig.at(1500, Input::TtsUnavailable("refused".into()));
    let of = |wanted: &Output| rig.outputs.iter().position(|output| output == wanted);
    let again = Output::Speak { take: Take { epoch: 1, number: 1 }, text: "one two".into() };
    let (changed, spoken) = (of(&Output::FallBackVoice), of(&again));
    assert!(changed.is_some() && changed < spoken, "{:?}", rig.outputs);
    assert_eq!(told(&rig.outputs), [("cartesia", "sarvam")]);
}

#[test]
fn a_voice_that_breaks_off_twice_is_given_up_where_another_can_speak() {
    let mut rig = rig();
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1400, 1, "one two");
    for (at, number) in [(1500, 0), (1600, 1)] {
        let take = Take { epoch: 1, number };
        rig.at(at, Input::SpeechLost { take, detail: "busy".into() });
    }
    assert_eq!(told(&rig.outputs), [("cartesia", ""), ("cartesia", "sarvam")]);
    let again = Output::Speak { take: Take { epoch: 1, number: 2 }, text: "one two".into() };
    assert!(rig.outputs.contains(&again), "{:?}", rig.outputs);
}

#[test]
fn the_apology_is_waited_for_when_a_call_begins_with_a_dead_transcriber() {
    let mut rig = Rig::new();
    rig.at(10, Input::SttUnavailable("not asked".into()));
    rig.until(500);
    assert!(!rig.outputs.iter().any(|output| matches!(output, Output::HangUp { .. })));
    rig.at(600, Input::Phrase(0, Purpose::Apology, phrase("Sorry.")));
    rig.until(4000);
    assert!(frames(&rig.outputs) > 0, "it is said");
    assert_eq!(rig.outputs.last(), Some(&Output::HangUp { reason: EndReason::SttFailed }));
}

#[test]
fn an_apology_that_does_not_come_is_not_waited_for_for_ever() {
    let mut rig = Rig::new();
    rig.at(10, Input::SttUnavailable("not asked".into()));
    rig.until(4000);
    assert_eq!(rig.outputs.last(), Some(&Output::HangUp { reason: EndReason::SttFailed }));
}
