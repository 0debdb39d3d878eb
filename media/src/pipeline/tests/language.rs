use super::*;

const HINDI: &str = "मुझे एक कमरा चाहिए।";

impl Rig {
    fn in_two_languages(preemptive: bool) -> Self {
        let turn = turn::Config { preemptive, ..turn::Config::default() };
        Self::in_two(Config { turn, ..Config::default() })
    }

    fn in_two(config: Config) -> Self {
        let languages = ["en", "hi"].map(|tag| Language { tag: tag.into(), ..Language::default() });
        let mut rig = Self::new();
        let config = Config { languages: languages.into(), ..config };
        rig.core = Pipeline::new(config, 0, rig.t);
        rig
    }

    fn interim(&mut self, at: u64, text: &str) -> &mut Self {
        let transcript =
            Transcript { text: text.into(), is_final: false, utterance_over: false, end: ms(at - 100) };
        self.at(at, Input::Transcript(transcript))
    }
}

fn user_turn(epoch: i64, text: &str, language: usize, tentative: bool) -> Output {
    Output::UserTurn { epoch, text: text.into(), language, tentative }
}

#[test]
fn a_turn_in_another_language_is_prepared_for_answered_and_spoken_in_it() {
    let mut rig = Rig::in_two_languages(false);
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.at(0, Input::Phrase(1, Purpose::Filler(0), phrase("जी।")));
    rig.at(180, Input::Speech(Edge::SpeechStarted { at_ms: 100 }));
    rig.interim(600, "मुझे एक कमरा");
    assert_eq!(rig.take_outputs(), [Output::Prepare { language: 1 }], "while the caller still speaks");
    rig.caller_says(700, 1500, HINDI);
    let outputs = rig.take_outputs();
    let place = |wanted: Output| outputs.iter().position(|output| *output == wanted);
    assert!(place(Output::Listen { language: 1 }) < place(user_turn(1, HINDI, 1, false)), "{outputs:?}");
    assert!(place(user_turn(1, HINDI, 1, false)).is_some(), "{outputs:?}");
    rig.until(2800);
    let said = rig.outputs.iter().any(|o| matches!(o, Output::Frame { epoch: 1, .. }));
    assert!(said, "a filler breaks the silence");
    assert_eq!(rig.core.playout.spoken().trim(), "जी।");
    rig.take_outputs();
    rig.segment(3000, 1, "ज़रूर।");
    let take = Take { epoch: 1, number: 0 };
    let spoken = [Output::Voice { language: 1 }, Output::Speak { take, text: "ज़रूर।".into() }];
    assert_eq!(rig.take_outputs(), spoken);
}

#[test]
fn a_turn_that_is_not_certain_is_answered_in_its_language_and_moves_nothing() {
    let mut rig = Rig::in_two_languages(true);
    rig.at(180, Input::Speech(Edge::SpeechStarted { at_ms: 100 }));
    rig.at(900, Input::Speech(Edge::SpeechEnded { at_ms: 800 }));
    let transcript = Transcript { text: HINDI.into(), is_final: true, utterance_over: true, end: ms(800) };
    rig.at(1000, Input::Transcript(transcript));
    assert!(rig.outputs.contains(&user_turn(1, HINDI, 1, true)), "{:?}", rig.outputs);
    assert!(!rig.outputs.contains(&Output::Listen { language: 1 }));
    assert_eq!(rig.core.languages.current(), 0);
    rig.until(1600);
    assert!(rig.outputs.contains(&Output::Confirm { epoch: 1 }), "{:?}", rig.outputs);
    assert!(rig.outputs.contains(&Output::Listen { language: 1 }));
    assert_eq!(rig.core.languages.current(), 1);
}

#[test]
fn who_falls_silent_is_asked_for_in_the_language_of_the_moment() {
    let turn = turn::Config { preemptive: false, ..turn::Config::default() };
    let mut rig = Rig::in_two(Config { turn, idle_timeout: Some(ms(5000)), ..Config::default() });
    rig.at(0, Input::Phrase(0, Purpose::IdlePrompt(0), phrase("Are you there?")));
    rig.at(0, Input::Phrase(1, Purpose::IdlePrompt(0), phrase("सुन रहे हैं?")));
    rig.caller_says(100, 1000, HINDI);
    rig.segment(1500, 1, "ज़रूर।");
    rig.at(1500, Input::ReplyDone { epoch: 1, then: None });
    rig.audio(1600, 1, 0, 400);
    rig.at(1600, Input::SpeechDone { take: Take { epoch: 1, number: 0 } });
    rig.until(9000);
    assert_eq!(heard_lines(&rig), ["ज़रूर।", "सुन रहे हैं?"]);
}

#[test]
fn keys_say_nothing_about_the_language() {
    let mut rig = Rig::in_two_languages(false);
    rig.caller_says(100, 1000, HINDI);
    rig.at(1400, Input::Key('1'));
    rig.until(5000);
    rig.take_outputs();
    assert_eq!(rig.core.languages.current(), 1);
    rig.caller_says(6000, 7000, "कितना किराया");
    assert_eq!(rig.core.languages.current(), 1);
}

#[test]
fn the_models_switch_ends_the_take_and_goes_on_in_the_next() {
    let mut rig = Rig::in_two_languages(false);
    rig.caller_says(100, 1000, "Please ask my mother.");
    rig.segment(1400, 1, "Of course. ");
    rig.take_outputs();
    rig.at(1500, Input::Language { epoch: 1, tag: "hi".into() });
    let (first, second) = (Take { epoch: 1, number: 0 }, Take { epoch: 1, number: 1 });
    assert_eq!(rig.take_outputs(), [Output::Listen { language: 1 }, Output::SpeakEnd { take: first }]);
    rig.segment(1550, 1, "नमस्ते। ");
    rig.segment(1560, 1, "कहिए।");
    rig.at(1570, Input::ReplyDone { epoch: 1, then: None });
    assert!(rig.take_outputs().is_empty(), "it waits for the take before");
    rig.audio(1600, 1, 0, 400);
    rig.at(1650, Input::SpeechDone { take: first });
    let spoken = [
        Output::Voice { language: 1 },
        Output::Speak { take: second, text: "नमस्ते। कहिए।".into() },
        Output::SpeakEnd { take: second },
    ];
    assert_eq!(rig.take_outputs(), spoken);
    rig.audio(1700, 1, 1, 400);
    rig.at(1750, Input::SpeechDone { take: second });
    rig.until(4000);
    let heard = "Of course. नमस्ते। कहिए।".to_owned();
    assert!(rig.outputs.contains(&Output::Heard { epoch: 1, text: heard, interrupted: false }));
}

#[test]
fn a_take_that_breaks_off_at_a_switch_is_taken_again_in_its_own_language() {
    let mut rig = Rig::in_two_languages(false);
    rig.caller_says(100, 1000, "Please ask my mother.");
    rig.segment(1400, 1, "Of course.");
    rig.at(1500, Input::Language { epoch: 1, tag: "hi".into() });
    rig.segment(1550, 1, "नमस्ते।");
    rig.take_outputs();
    let take = |number| Take { epoch: 1, number };
    rig.at(1600, Input::SpeechLost { take: take(0), detail: "cut".into() });
    let again =
        [Output::Speak { take: take(1), text: "Of course.".into() }, Output::SpeakEnd { take: take(1) }];
    assert_eq!(rig.take_outputs(), again);
    rig.audio(1700, 1, 1, 400);
    rig.at(1750, Input::SpeechDone { take: take(1) });
    let next = [Output::Voice { language: 1 }, Output::Speak { take: take(2), text: "नमस्ते।".into() }];
    assert_eq!(rig.take_outputs(), next);
}

#[test]
fn an_apology_in_another_language_is_better_than_none_and_other_lines_are_not() {
    let mut rig = Rig::in_two_languages(false);
    for purpose in [Purpose::Apology, Purpose::Reprompt] {
        rig.at(0, Input::Phrase(0, purpose, phrase("Sorry.")));
    }
    rig.caller_says(100, 1000, HINDI);
    assert!(rig.core.phrase(Purpose::Apology).is_some());
    assert!(rig.core.phrase(Purpose::Reprompt).is_none());
}

#[test]
fn the_rest_of_a_false_barge_in_is_spoken_in_its_own_language_before_the_next() {
    let mut rig = Rig::in_two_languages(false);
    rig.caller_says(0, 1000, "Please ask my mother.");
    rig.segment(1400, 1, "one two three four ");
    let (first, rest, last) =
        (Take { epoch: 1, number: 0 }, Take { epoch: 1, number: 1 }, Take { epoch: 1, number: 2 });
    let times = [("one", 500), ("two", 1000), ("three", 1500), ("four", 2000)];
    rig.at(1500, Input::SpeechWords { take: first, words: times.map(|(text, end)| word(text, end)).into() });
    rig.audio(1500, 1, 0, 2000);
    rig.at(1600, Input::Language { epoch: 1, tag: "hi".into() });
    rig.segment(1650, 1, "नमस्ते।");
    rig.at(1660, Input::ReplyDone { epoch: 1, then: None });
    rig.at(2880, Input::Speech(Edge::SpeechStarted { at_ms: 2800 }));
    rig.at(3250, Input::Speech(Edge::SpeechEnded { at_ms: 3150 }));
    rig.take_outputs();
    rig.until(3150 + 700);
    let spoken = [Output::Speak { take: rest, text: "three four ".into() }, Output::SpeakEnd { take: rest }];
    assert_eq!(rig.take_outputs(), spoken);
    rig.audio(3950, 1, 1, 1000);
    rig.at(3950, Input::SpeechDone { take: rest });
    let spoken = [
        Output::Voice { language: 1 },
        Output::Speak { take: last, text: "नमस्ते।".into() },
        Output::SpeakEnd { take: last },
    ];
    assert_eq!(rig.take_outputs(), spoken);
}
