use serde_json::{Value, json};

use super::*;

const ONE: Generation = Generation { epoch: 1, round: 0 };
const TWO: Generation = Generation { epoch: 2, round: 0 };

impl Bench {
    /// The model's message ends with these calls of `book`; gives the keys of those that run.
    fn books(&mut self, generation: Generation, arguments: &[Value]) -> Vec<String> {
        let calls = arguments.iter().enumerate().map(|(i, arguments)| ToolCall {
            id: format!("b{}{}{i}", generation.epoch, generation.round),
            name: "book".to_owned(),
            arguments: arguments.as_object().cloned(),
        });
        self.conversation.handle(Input::Finished(generation, Stop::ToolUse, calls.collect()), self.now);
        std::iter::from_fn(|| self.conversation.poll())
            .filter_map(|output| if let Output::RunTool { key, .. } = output { Some(key) } else { None })
            .collect()
    }

    fn booked(&mut self, generation: Generation, text: &str, is_error: bool) -> Vec<String> {
        let result = ToolResult { text: text.to_owned(), is_error };
        self.take(Input::ToolDone(generation, 0, result))
    }
}

#[test]
fn a_write_outlives_its_reply_and_is_not_made_twice() {
    // The result comes before the interruption is told, after it, and while the next reply waits for the same write.
    for comes in 0..3 {
        let mut bench = Bench::new();
        bench.turn(1, "Book a table");
        bench.says(1, 0, "One moment, please.");
        assert_eq!(bench.books(ONE, &[json!({"at": 7, "for": 2})]).len(), 1);
        assert_eq!(bench.cancel(1), ["abort 1"]);
        if comes == 0 {
            assert!(bench.booked(ONE, "done", false).is_empty());
        }
        bench.heard(1, "One moment,", true);
        if comes == 1 {
            assert!(bench.booked(ONE, "done", false).is_empty());
        }
        bench.turn(2, "Hello?");
        if comes == 2 {
            assert_eq!(bench.history(), ["U: Book a table", "A: One moment,—", "U: Hello?"]);
        }
        assert!(
            bench.books(TWO, &[json!({"for": 2, "at": 7})]).is_empty(),
            "the order of names says nothing"
        );
        if comes == 2 {
            assert_eq!(bench.booked(ONE, "done", false), ["generate 2.1"]);
        }
        let wanted = [
            "U: Book a table",
            "A: One moment,— | <book b100>",
            "U: <b100=done> | Hello?",
            "A: <book b200>",
            "U: <b200=done>",
        ];
        assert_eq!(bench.history(), wanted);
        assert_eq!(bench.booked(ONE, "again", false), ["refused tool_result"]);
    }
}

#[test]
fn once_its_reply_was_heard_the_same_write_is_a_new_request() {
    let mut bench = Bench::new();
    bench.turn(1, "Book a table");
    let first = bench.books(ONE, &[json!({"at": 7})]);
    bench.booked(ONE, "done", false);
    bench.says(1, 1, "It is booked.");
    bench.finishes(1, 1, Stop::EndOfTurn, &[]);
    bench.heard(1, "It is booked.", false);
    bench.turn(2, "And another one");
    let second = bench.books(TWO, &[json!({"at": 7})]);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
}

#[test]
fn a_write_that_failed_is_tried_again_under_its_key() {
    let mut bench = Bench::new();
    bench.turn(1, "Book a table");
    let first = bench.books(ONE, &[json!({"at": 7})]);
    bench.cancel(1);
    bench.booked(ONE, "no answer", true);
    bench.heard(1, "", true);
    bench.turn(2, "Well?");
    assert_eq!(bench.books(TWO, &[json!({"at": 7})]), first);
    assert_eq!(bench.history()[1..], ["A: <book b100>", "U: <b100=no answer> | Well?"]);
}

#[test]
fn equal_writes_of_one_message_are_one_and_others_have_keys_of_their_own() {
    let mut bench = Bench::new();
    bench.turn(1, "Book two tables");
    let keys = bench.books(ONE, &[json!({"at": 7}), json!({"at": 7}), json!({"at": 8})]);
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
    assert!(bench.result(1, 0, 0).is_empty());
    assert_eq!(bench.result(1, 0, 2), ["generate 1.1"]);
    assert_eq!(bench.history()[2], "U: <b100=r0> | <b101=r0> | <b102=r2>");
}

#[test]
fn an_interrupted_round_keeps_its_writes_and_what_is_back() {
    let mut bench = Bench::new();
    bench.turn(1, "Book and look");
    bench.finishes(1, 0, Stop::ToolUse, &["search", "book", "search", "end_call"]);
    for index in [2, 3] {
        bench.result(1, 0, index);
    }
    bench.heard(1, "", true);
    assert_eq!(bench.result(1, 0, 0), ["refused tool_result"]);
    assert_eq!(bench.history(), ["U: Book and look"]);
    bench.result(1, 0, 1);
    assert_eq!(bench.history()[1..], ["A: <book c101> | <search c102>", "U: <c101=r1> | <c102=r2>"]);
}

#[test]
fn a_goodbye_that_is_undone_keeps_the_write_beside_it() {
    let mut bench = Bench::new();
    bench.turn(1, "Book it and bye");
    bench.says(1, 0, "Goodbye then.");
    bench.finishes(1, 0, Stop::ToolUse, &["book", "end_call"]);
    bench.result(1, 0, 0);
    bench.result(1, 0, 1);
    assert_eq!(bench.cancel(1), ["refused hang_up"]);
    bench.heard(1, "Goodbye", true);
    bench.turn(2, "Wait");
    let wanted = ["U: Book it and bye", "A: Goodbye— | <book c100>", "U: <c100=r0> | Wait"];
    assert_eq!(bench.history(), wanted);
    assert!(bench.finishes(2, 0, Stop::ToolUse, &["book"]) == ["generate 2.1"], "it is answered from memory");
}

#[test]
fn a_held_write_of_a_confirmed_turn_is_answered_by_the_one_that_runs() {
    let mut bench = Bench::new();
    bench.turn(1, "Book");
    bench.books(ONE, &[json!({})]);
    bench.cancel(1);
    bench.tentative(2, "Please");
    assert!(bench.books(TWO, &[json!({})]).is_empty());
    assert!(bench.booked(ONE, "done", false).is_empty());
    assert_eq!(bench.confirm(2), ["confirmed 2", "generate 2.1"]);
    let wanted = ["U: Book", "A: <book b100>", "U: <b100=done> | Please", "A: <book b200>", "U: <b200=done>"];
    assert_eq!(bench.history(), wanted);
}

#[test]
fn calls_of_a_stale_message_are_refused_one_by_one() {
    let mut bench = Bench::new();
    bench.turn(1, "Book");
    bench.turn(2, "Never mind");
    let refused = bench.finishes(1, 0, Stop::ToolUse, &["book", "search"]);
    assert_eq!(refused, ["refused tool_call", "refused tool_call", "refused finish"]);
}
