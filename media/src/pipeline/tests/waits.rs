//! Silences that somebody must break.

use super::*;

#[test]
fn a_caller_who_waits_hears_fillers_and_they_are_no_answer() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(0, Input::Phrase(0, Purpose::Filler(1), phrase("Just a moment.")));
    rig.caller_says(0, 1000, "Hello.");
    rig.until(2099);
    assert!(!rig.outputs.iter().any(|o| matches!(o, Output::Frame { .. })));
    rig.until(2100);
    assert!(rig.outputs.iter().any(|o| matches!(o, Output::Frame { .. })));
    rig.until(4300);
    let frames = rig.outputs.iter().filter(|o| matches!(o, Output::Frame { .. })).count();
    assert!(frames > 20, "the second filler is being said");
    rig.segment(4400, 1, "Yes.");
    rig.at(4400, Input::ReplyDone { epoch: 1, then: None });
    rig.audio(4500, 1, 0, 400);
    rig.at(4500, Input::SpeechDone { take: TAKE_1 });
    rig.until(9000);
    let heard: Vec<_> = rig.outputs.iter().filter(|o| matches!(o, Output::Heard { .. })).collect();
    assert_eq!(heard, vec![&Output::Heard { epoch: 1, text: "Yes.".into(), interrupted: false }]);
}

#[test]
fn a_silent_caller_is_asked_twice_and_then_let_go() {
    let mut rig = Rig::new();
    let config = Config { idle_timeout: Some(ms(5000)), ..Config::default() };
    rig.core = Pipeline::new(config, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Are you there?")));
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(1), phrase("Hello?")));
    rig.at(0, Input::Phrase(0, Purpose::IdleGoodbye, phrase("Goodbye.")));
    rig.until(30_000);
    let heard: Vec<_> = rig
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Heard { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(heard, ["Are you there?", "Hello?", "Goodbye."]);
    assert_eq!(rig.outputs.last(), Some(&Output::HangUp { reason: EndReason::CallerSilent }));
}

#[test]
fn the_maximum_duration_is_told_and_kept() {
    let mut rig = Rig::new();
    let config = Config { duration_max: Some(ms(90_000)), ..Config::default() };
    rig.core = Pipeline::new(config, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::DurationWarning, phrase("Half a minute left.")));
    rig.at(0, Input::Phrase(0, Purpose::DurationGoodbye, phrase("Goodbye.")));
    rig.until(60_500);
    assert!(
        rig.outputs.iter().any(|o| matches!(o, Output::Heard { text, .. } if text == "Half a minute left."))
    );
    rig.until(95_000);
    assert_eq!(rig.outputs.last(), Some(&Output::HangUp { reason: EndReason::MaxDuration }));
}

#[test]
fn keys_are_a_turn() {
    let mut rig = Rig::new();
    let config = Config { dtmf_timeout: ms(3000), dtmf_terminator: Some('#'), ..Config::default() };
    rig.core = Pipeline::new(config, 0, rig.t);
    for (at, key) in [(100, '1'), (400, '2'), (700, '#')] {
        rig.at(at, Input::Key(key));
    }
    let turn =
        Output::UserTurn { epoch: 1, text: "[pressed the keys 12]".into(), language: 0, tentative: false };
    assert!(rig.take_outputs().contains(&turn));
    rig.at(9000, Input::Key('5'));
    rig.until(12_000);
    let turn =
        Output::UserTurn { epoch: 2, text: "[pressed the keys 5]".into(), language: 0, tentative: false };
    assert!(rig.take_outputs().contains(&turn));
}

#[test]
fn keys_pressed_over_a_line_that_must_finish_are_a_turn_after_it() {
    for terminated in [true, false] {
        let mut rig = Rig::new();
        let lines = Lines { uninterruptible: vec![proto::tenancy::v1::Line::Greeting], ..Lines::default() };
        let config = Config { dtmf_timeout: ms(500), dtmf_terminator: Some('#'), lines, ..Config::default() };
        rig.core = Pipeline::new(config, 0, rig.t);
        rig.at(0, Input::Phrase(0, Purpose::Greeting, phrase("Hello.")));
        rig.at(100, Input::Key('7'));
        if terminated {
            rig.at(110, Input::Key('#'));
        }
        rig.until(399);
        assert_eq!(rig.take_outputs(), vec![]);
        rig.until(if terminated { 401 } else { 901 });
        let outputs = rig.take_outputs();
        let turn =
            Output::UserTurn { epoch: 2, text: "[pressed the keys 7]".into(), language: 0, tentative: false };
        assert!(outputs.contains(&turn), "{terminated} {outputs:?}");
        assert!(outputs.contains(&Output::Heard { epoch: 1, text: "Hello.".into(), interrupted: false }));
    }
}

#[test]
fn noise_over_the_agent_is_not_asked_about_when_it_has_finished() {
    let mut rig = answered();
    rig.at(1710, Input::Phrase(0, Purpose::Reprompt, phrase("Sorry?")));
    rig.until(2000);
    rig.sound = vec![0x70; 160];
    for at in (2000..2700).step_by(20) {
        rig.at(at, Input::Tick);
    }
    rig.at(2780, Input::Speech(Edge::SpeechStarted { at_ms: 2700 }));
    for at in (2800..3400).step_by(20) {
        rig.at(at, Input::Tick);
    }
    rig.at(3400, Input::Speech(Edge::SpeechEnded { at_ms: 3300 }));
    rig.until(12_000);
    assert_eq!(heard_lines(&rig), ["one two three four"]);
}

#[test]
fn speech_without_words_is_asked_about_within_two_seconds() {
    for delay in [1800, 900] {
        let mut rig = Rig::new();
        let turn = turn::Config { reprompt_delay: ms(delay), ..turn::Config::default() };
        rig.core = Pipeline::new(Config { turn, ..Config::default() }, 0, rig.t);
        rig.at(0, Input::Phrase(0, Purpose::Reprompt, phrase("Sorry?")));
        noise(&mut rig, 1000, 2000);
        rig.until(2000 + delay - 1);
        assert_eq!(frames(&rig.outputs), 0);
        rig.until(2000 + delay);
        assert!(frames(&rig.outputs) > 0, "{delay}");
    }
}

#[test]
fn noise_that_does_not_end_holds_nothing_up() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { idle_timeout: Some(ms(5000)), ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Are you there?")));
    rig.at(0, Input::Phrase(0, Purpose::IdleGoodbye, phrase("Goodbye.")));
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(100, Input::Phrase(0, Purpose::Greeting, phrase("Hello.")));
    rig.until(1999);
    assert_eq!(frames(&rig.outputs), 0, "it may be the caller");
    rig.until(2500);
    assert_eq!(heard_lines(&rig), ["Hello."]);
    rig.until(30_000);
    // The second prompt could not be synthesised: the first is said again.
    assert_eq!(heard_lines(&rig), ["Hello.", "Are you there?", "Are you there?", "Goodbye."]);
    assert!(!rig.outputs.iter().any(|output| matches!(output, Output::Clear { .. })));
    assert_eq!(rig.outputs.last(), Some(&Output::HangUp { reason: EndReason::CallerSilent }));
}

#[test]
fn nobody_is_asked_for_patience_while_the_model_or_a_tool_works() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { idle_timeout: Some(ms(2000)), ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Are you there?")));
    rig.caller_says(100, 1000, "Hello.");
    rig.until(6000);
    rig.segment(6000, 1, "Yes.");
    rig.at(6000, Input::ReplyDone { epoch: 1, then: None });
    rig.audio(6000, 1, 0, 400);
    rig.at(6000, Input::SpeechDone { take: TAKE_1 });
    rig.until(8399);
    assert_eq!(heard_lines(&rig), ["Yes."], "the silence begins when the answer was heard");
    rig.until(9000);
    assert_eq!(heard_lines(&rig), ["Yes.", "Are you there?"]);
}

#[test]
fn an_agent_has_its_own_delays_of_fillers() {
    let mut rig = Rig::new();
    let lines = Lines { filler_delays: vec![ms(200), ms(1500)], ..Lines::default() };
    let turn = turn::Config { preemptive: false, ..turn::Config::default() };
    rig.core = Pipeline::new(Config { turn, lines, ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(0, Input::Phrase(0, Purpose::Filler(1), phrase("Just a moment.")));
    rig.caller_says(0, 1000, "Hello.");
    for (at, said) in [(1499, 0), (1500, 20), (2799, 20), (2800, 40)] {
        rig.until(at);
        assert_eq!(frames(&rig.outputs), said, "{at}");
    }
    // No setting lets the caller wait in silence for long.
    let lines = Lines { filler_delays: vec![ms(9000)], ..Lines::default() };
    let turn = turn::Config { preemptive: false, ..turn::Config::default() };
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { turn, lines, ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.caller_says(0, 1000, "Hello.");
    rig.until(4300);
    assert!(frames(&rig.outputs) > 0);
}

#[test]
fn a_goodbye_that_does_not_come_is_waited_for_no_longer_than_five_seconds() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Goodbye.");
    rig.segment(1400, 1, "Goodbye.");
    rig.at(1500, Input::ReplyDone { epoch: 1, then: Some(Then::HangUp(EndReason::AgentHangup)) });
    // The synthesizer is silent.
    rig.until(6499);
    assert!(!rig.outputs.iter().any(|output| matches!(output, Output::HangUp { .. })));
    rig.until(6500);
    assert_eq!(rig.outputs.last(), Some(&Output::HangUp { reason: EndReason::AgentHangup }));
}

#[test]
fn the_warning_is_as_early_as_the_agent_wants_it() {
    let mut rig = Rig::new();
    let lines = Lines { warning_before: ms(10_000), ..Lines::default() };
    rig.core = Pipeline::new(Config { duration_max: Some(ms(40_000)), lines, ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::DurationWarning, phrase("Ten seconds left.")));
    rig.until(29_999);
    assert_eq!(frames(&rig.outputs), 0);
    rig.until(30_000);
    assert!(frames(&rig.outputs) > 0);
}

#[test]
fn the_warning_waits_for_the_answer_that_is_being_made() {
    let mut rig = Rig::new();
    let turn = turn::Config { preemptive: false, ..turn::Config::default() };
    rig.core = Pipeline::new(Config { turn, duration_max: Some(ms(90_000)), ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::DurationWarning, phrase("Half a minute left.")));
    rig.caller_says(58_000, 59_500, "Hello.");
    rig.segment(60_500, 1, "Yes.");
    rig.at(60_500, Input::ReplyDone { epoch: 1, then: None });
    rig.audio(60_600, 1, 0, 400);
    rig.at(60_600, Input::SpeechDone { take: TAKE_1 });
    rig.until(62_000);
    assert_eq!(heard_lines(&rig), ["Yes.", "Half a minute left."]);
}

#[test]
fn a_filler_is_said_before_a_reply_whose_audio_does_not_come() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1500, 1, "one two three four");
    rig.at(1500, Input::ReplyDone { epoch: 1, then: None });
    rig.until(2050);
    assert_eq!(frames(&rig.outputs), 0);
    rig.until(2600);
    assert_eq!(frames(&rig.outputs), 20, "the filler, whole and once");
    rig.audio(2700, 1, 0, 400);
    rig.at(2700, Input::SpeechDone { take: TAKE_1 });
    rig.until(3500);
    assert_eq!(frames(&rig.outputs), 40, "the reply, and no filler after it");
}

#[test]
fn a_filler_breaks_the_silence_in_the_middle_of_a_reply() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1500, 1, "one two three four");
    rig.audio(1500, 1, 0, 400);
    rig.until(2600);
    assert_eq!(frames(&rig.outputs), 20, "the reply's audio so far");
    rig.until(2800);
    assert_eq!(frames(&rig.outputs), 40, "0.8 s after it the filler, without any other event");
}

#[test]
fn a_warning_waits_for_the_end_of_the_reply() {
    let mut rig = Rig::new();
    let config = Config { duration_max: Some(ms(62_000)), ..Config::default() };
    rig.core = Pipeline::new(config, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::DurationWarning, phrase("Soon.")));
    rig.caller_says(29_500, 31_000, "Hello.");
    rig.segment(31_400, 1, "one two three four");
    rig.at(31_400, Input::ReplyDone { epoch: 1, then: None });
    rig.audio(31_500, 1, 0, 2000);
    rig.at(31_500, Input::SpeechDone { take: TAKE_1 });
    rig.until(35_000);
    let heard = |epoch, text: &str| Output::Heard { epoch, text: text.into(), interrupted: false };
    let told: Vec<_> =
        rig.take_outputs().into_iter().filter(|output| matches!(output, Output::Heard { .. })).collect();
    assert_eq!(told, [heard(1, "one two three four"), heard(2, "Soon.")]);
}

#[test]
fn noise_that_never_ends_does_not_keep_an_idle_call_open() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { idle_timeout: Some(ms(5000)), ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Hello?")));
    rig.sound = vec![0; 160];
    rig.at(4900, Input::Speech(Edge::SpeechStarted { at_ms: 4800 }));
    rig.until(7700);
    assert_eq!(frames(&rig.outputs), 0, "it may still be the caller");
    rig.until(30_000);
    assert_eq!(frames(&rig.outputs), 40, "the one prompt that there is, twice");
    assert_eq!(rig.take_outputs().last(), Some(&Output::HangUp { reason: EndReason::CallerSilent }));
}

#[test]
fn a_model_that_never_answers_is_not_waited_for_in_silence() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Apology, phrase("Sorry.")));
    rig.caller_says(0, 1000, "Hello.");
    rig.until(12_000);
    let outputs = rig.take_outputs();
    assert!(outputs.contains(&Output::CancelReply { epoch: 1 }));
    assert!(outputs.contains(&Output::Heard { epoch: 2, text: "Sorry.".into(), interrupted: false }));
    assert!(!outputs.iter().any(|o| matches!(o, Output::HangUp { .. })));
}

#[test]
fn the_rest_of_a_false_barge_in_comes_before_a_filler() {
    let mut rig = answered();
    rig.at(2700, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(2880, Input::Speech(Edge::SpeechStarted { at_ms: 2800 }));
    rig.at(3550, Input::Speech(Edge::SpeechEnded { at_ms: 3450 }));
    rig.until(3450 + 700);
    let said = frames(&rig.outputs);
    assert!(rig.take_outputs().iter().any(|output| matches!(output, Output::Speak { .. })));
    rig.until(4400);
    assert_eq!(frames(&rig.outputs), 0, "{said} before: the filler has its delay from here on");
    rig.until(5000);
    assert_eq!(frames(&rig.outputs), 20);
}

#[test]
fn a_terminator_that_comes_late_ends_nothing() {
    let mut rig = Rig::new();
    let config = Config { dtmf_timeout: ms(500), dtmf_terminator: Some('#'), ..Config::default() };
    rig.core = Pipeline::new(config, 0, rig.t);
    rig.at(100, Input::Key('7'));
    rig.until(700);
    rig.take_outputs();
    rig.at(800, Input::Key('#'));
    assert_eq!(rig.take_outputs(), vec![], "the answer is being made");
}

#[test]
fn noise_that_comes_and_goes_holds_no_answer_back_for_long() {
    let mut rig = answered_by_noise();
    rig.until(5200);
    assert!(frames(&rig.outputs) > 0);
}

/// An answer is there, and a noise that stutters.
fn answered_by_noise() -> Rig {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Hello.");
    rig.at(1380, Input::Speech(Edge::SpeechStarted { at_ms: 1300 }));
    rig.segment(1500, 1, "one two three four");
    rig.audio(1500, 1, 0, 2000);
    for from in (1700..5000).step_by(400) {
        rig.at(from, Input::Speech(Edge::SpeechEnded { at_ms: from - 100 }));
        rig.at(from + 150, Input::Speech(Edge::SpeechStarted { at_ms: from + 70 }));
    }
    rig
}

#[test]
fn noise_that_comes_and_goes_does_not_keep_an_idle_call_open() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { idle_timeout: Some(ms(5000)), ..Config::default() }, 0, rig.t);
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Hello?")));
    rig.sound = vec![0; 160];
    for from in (2000..20_000).step_by(900) {
        noise(&mut rig, from, from + 500);
    }
    assert!(frames(&rig.outputs) > 0);
}

#[test]
fn a_caller_who_answers_the_last_prompt_stays() {
    let mut rig = Rig::new();
    let lines = Lines { uninterruptible: vec![proto::tenancy::v1::Line::IdleGoodbye], ..Lines::default() };
    let turn = turn::Config { preemptive: false, ..turn::Config::default() };
    rig.core =
        Pipeline::new(Config { turn, lines, idle_timeout: Some(ms(2000)), ..Config::default() }, 0, rig.t);
    let long = Phrase { audio: vec![0x55; 8 * 2000].into(), ..(*phrase("Goodbye.")).clone() };
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Hello?")));
    rig.at(0, Input::Phrase(0, Purpose::IdleGoodbye, Arc::new(long)));
    while !rig.outputs.iter().any(|output| matches!(output, Output::Frame { epoch: 3, .. })) {
        rig.until(rig.now + 100);
        assert!(rig.now < 20_000);
    }
    let from = rig.now + 200;
    noise(&mut rig, from, from + 800);
    rig.at(from + 900, transcribed("I am here.", from + 800));
    rig.until(from + 4000);
    let outputs = rig.take_outputs();
    assert!(!outputs.iter().any(|output| matches!(output, Output::HangUp { .. })), "{outputs:?}");
    assert!(outputs.iter().any(|output| matches!(output, Output::UserTurn { .. })), "{outputs:?}");
}

#[test]
fn a_lost_transcriber_is_waited_for_with_fillers() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(500, Input::SttLost("reset".into()));
    rig.at(1100, Input::Speech(Edge::SpeechEnded { at_ms: 1000 }));
    rig.until(1799);
    assert_eq!(frames(&rig.outputs), 0);
    rig.until(2300);
    assert_eq!(frames(&rig.outputs), 20, "at 0.8 s");
    rig.until(6000);
    assert_eq!(frames(&rig.outputs), 40, "and again");
    rig.at(6000, transcribed("Hello.", 1000));
    rig.until(6400);
    let turn = Output::UserTurn { epoch: 3, text: "Hello.".into(), language: 0, tentative: false };
    assert!(rig.take_outputs().contains(&turn));
}

#[test]
fn what_is_said_beside_keys_is_of_their_turn() {
    let mut rig = Rig::new();
    let config = Config { dtmf_timeout: ms(500), dtmf_terminator: Some('#'), ..Config::default() };
    rig.core = Pipeline::new(config, 0, rig.t);
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(900, transcribed("My number is", 800));
    rig.at(1000, Input::Key('7'));
    rig.at(1200, Input::Key('#'));
    let text = "My number is [pressed the keys 7]".into();
    assert!(rig.take_outputs().contains(&Output::UserTurn { epoch: 1, text, language: 0, tentative: false }));
}

#[test]
fn a_caller_whose_end_is_known_late_does_not_wait_in_silence_once_more() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(3700, transcribed("Hello.", 1000));
    rig.at(3900, Input::UtteranceEnd);
    rig.until(3999);
    assert_eq!(frames(&rig.outputs), 0);
    rig.until(4000);
    assert_eq!(
        frames(&rig.outputs),
        20,
        "3 s after the last word, and not 0.8 s after it is known to be that"
    );
}

#[test]
fn a_goodbye_that_stalls_hangs_nobody_up() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Apology, phrase("Sorry.")));
    rig.caller_says(0, 1000, "Goodbye.");
    rig.segment(1500, 1, "Goodbye.");
    let then = Some(Then::HangUp(EndReason::AgentHangup));
    rig.at(1600, Input::ReplyDone { epoch: 1, then });
    rig.until(9000);
    assert_eq!(heard_lines(&rig), ["Sorry."]);
    assert!(!rig.take_outputs().iter().any(|output| matches!(output, Output::HangUp { .. })));
}

#[test]
fn a_filler_waits_its_time_although_we_have_been_silent_for_long() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(0, Input::Phrase(0, Purpose::Greeting, phrase("Hello!")));
    rig.until(1000);
    rig.take_outputs();
    rig.at(1080, Input::Speech(Edge::SpeechStarted { at_ms: 1000 }));
    rig.at(1500, Input::SttLost("reset".into()));
    rig.at(5100, Input::Speech(Edge::SpeechEnded { at_ms: 5000 }));
    rig.until(5799);
    assert_eq!(frames(&rig.outputs), 0, "the caller draws breath");
    rig.until(5900);
    assert!(frames(&rig.outputs) > 0, "0.8 s after the caller's last sound");
}
