use serde_json::json;

use super::*;

impl Bench {
    fn in_english() -> Self {
        let conversation = Conversation::new([("switch", Effect::Language)].into(), 0).speaking("en-IN");
        Self { conversation, now: mesh::clock::now() }
    }

    fn calls_for(&mut self, epoch: i64, language: &str) -> Vec<String> {
        let arguments = json!({"language": language}).as_object().cloned();
        let call = ToolCall { id: format!("c{epoch}"), name: "switch".into(), arguments };
        self.take(Input::Finished(Generation { epoch, round: 0 }, Stop::ToolUse, vec![call]))
    }

    fn likely_in(&mut self, language: &str, epoch: i64, text: &str) -> Vec<String> {
        let (text, language) = (text.to_owned(), language.to_owned());
        self.take(Input::UserTurn { epoch, text, language, tentative: true })
    }
}

const TOLD: &str = "[speak hi-IN from here on, in its own script]";

#[test]
fn the_model_is_told_of_another_language_once() {
    let mut bench = Bench::in_english();
    bench.turn_in("en-IN", 1, "Hello");
    bench.turn_in("hi-IN", 2, "एक कमरा");
    bench.turn_in("hi-IN", 3, "कल के लिए");
    assert_eq!(bench.history(), [format!("U: Hello | {TOLD} एक कमरा | कल के लिए")]);
    assert_eq!(bench.conversation.language(), "hi-IN");
}

#[test]
fn a_tentative_turn_changes_the_language_only_once_it_is_certain() {
    let mut bench = Bench::in_english();
    bench.likely_in("hi-IN", 1, "एक कमरा");
    assert_eq!(bench.context(), [format!("U: {TOLD} एक कमरा")]);
    bench.cancel(1);
    assert_eq!(bench.conversation.language(), "en-IN");
    bench.likely_in("hi-IN", 2, "एक कमरा दीजिए");
    bench.confirm(2);
    bench.turn_in("hi-IN", 3, "कल के लिए");
    assert_eq!(bench.history(), [format!("U: {TOLD} एक कमरा दीजिए | कल के लिए")]);
}

#[test]
fn the_models_own_switch_comes_before_what_it_says_next_and_is_not_told_again() {
    let mut bench = Bench::in_english();
    bench.turn_in("en-IN", 1, "My mother knows only Hindi.");
    bench.says(1, 0, "Of course.");
    bench.calls_for(1, "hi-IN");
    assert_eq!(bench.result(1, 0, 0), ["speak 1 hi-IN", "generate 1.1"]);
    bench.says(1, 1, "नमस्ते।");
    bench.finishes(1, 1, Stop::EndOfTurn, &[]);
    bench.heard(1, "Of course. नमस्ते।", false);
    bench.turn_in("hi-IN", 2, "जी");
    let told = bench.history().into_iter().filter(|line| line.contains("[speak")).count();
    assert_eq!(told, 0, "{:?}", bench.history());
}

#[test]
fn a_switch_waits_for_a_turn_to_be_certain_and_a_stale_one_is_refused() {
    let mut bench = Bench::in_english();
    bench.likely_in("en-IN", 1, "My mother knows only Hindi");
    assert!(bench.calls_for(1, "hi-IN").is_empty(), "held");
    assert_eq!(bench.confirm(1), ["confirmed 1", "run 0 switch"]);
    bench.turn_in("en-IN", 2, "No, wait.");
    assert_eq!(bench.result(1, 0, 0), ["refused tool_result"]);
    assert_eq!(bench.conversation.language(), "en-IN");
}

#[test]
fn a_turn_that_the_model_refuses_to_read_keeps_its_language() {
    let mut bench = Bench::in_english();
    bench.turn_in("hi-IN", 1, "कुछ बुरा");
    bench.finishes(1, 0, Stop::Refusal, &[]);
    assert_eq!(bench.history(), [format!("U: {TOLD} {REFUSED}")]);
}
