mod equality;
mod language;
mod tentative;
mod writes;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Map;

use super::*;

/// A conversation with every kind of tool, and what it did as lines of text.
struct Bench {
    conversation: Conversation,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { conversation: Conversation::new(effects(), 0), now: mesh::clock::now() }
    }

    fn take(&mut self, input: Input) -> Vec<String> {
        self.now += Duration::from_millis(10);
        self.conversation.handle(input, self.now);
        std::iter::from_fn(|| self.conversation.poll()).map(line).collect()
    }

    fn turn(&mut self, epoch: i64, text: &str) -> Vec<String> {
        self.turn_in("", epoch, text)
    }

    fn turn_in(&mut self, language: &str, epoch: i64, text: &str) -> Vec<String> {
        let (text, language) = (text.to_owned(), language.to_owned());
        self.take(Input::UserTurn { epoch, text, language, tentative: false })
    }

    fn tentative(&mut self, epoch: i64, text: &str) -> Vec<String> {
        self.take(Input::UserTurn { epoch, text: text.to_owned(), language: String::new(), tentative: true })
    }

    fn confirm(&mut self, epoch: i64) -> Vec<String> {
        self.take(Input::Confirm { epoch })
    }

    fn cancel(&mut self, epoch: i64) -> Vec<String> {
        self.take(Input::Cancel { epoch })
    }

    fn heard(&mut self, epoch: i64, text: &str, interrupted: bool) -> Vec<String> {
        self.take(Input::Heard { epoch, text: text.to_owned(), interrupted })
    }

    fn says(&mut self, epoch: i64, round: u32, text: &str) -> Vec<String> {
        self.take(Input::Text(Generation { epoch, round }, text.to_owned()))
    }

    fn finishes(&mut self, epoch: i64, round: u32, stop: Stop, tools: &[&str]) -> Vec<String> {
        let calls = tools.iter().enumerate().map(|(i, name)| ToolCall {
            id: format!("c{epoch}{round}{i}"),
            name: (*name).to_owned(),
            arguments: Some(Map::new()),
        });
        self.take(Input::Finished(Generation { epoch, round }, stop, calls.collect()))
    }

    fn result(&mut self, epoch: i64, round: u32, index: usize) -> Vec<String> {
        let result = ToolResult { text: format!("r{index}"), is_error: false };
        self.take(Input::ToolDone(Generation { epoch, round }, index, result))
    }

    /// The history, a message a line.
    fn history(&self) -> Vec<String> {
        transcript(self.conversation.history())
    }

    /// What the model is told.
    fn context(&self) -> Vec<String> {
        transcript(&self.conversation.context())
    }
}

fn effects() -> BTreeMap<&'static str, Effect> {
    [("search", Effect::Read), ("book", Effect::WriteOnce), ("end_call", Effect::Irrevocable)].into()
}

fn transcript(history: &History) -> Vec<String> {
    let block = |block: Block<'_>| match block {
        Block::Text(text) => text.to_owned(),
        Block::ToolUse(call) => format!("<{} {}>", call.name, call.id),
        Block::ToolResult(id, result) => format!("<{id}={}>", result.text),
    };
    let message = |(role, blocks): (Role, Vec<Block<'_>>)| {
        let role = if role == Role::User { "U" } else { "A" };
        format!("{role}: {}", blocks.into_iter().map(block).collect::<Vec<_>>().join(" | "))
    };
    history.messages().into_iter().map(message).collect()
}

fn line(output: Output) -> String {
    match output {
        Output::Generate { generation: Generation { epoch, round }, may_use_tools: true } => {
            format!("generate {epoch}.{round}")
        }
        Output::Generate { generation: Generation { epoch, round }, .. } => {
            format!("generate {epoch}.{round} without tools")
        }
        Output::Abort { epoch } => format!("abort {epoch}"),
        Output::RunTool { index, call, .. } => format!("run {index} {}", call.name),
        Output::FirstToken { epoch, delay } => format!("first {epoch} {}ms", delay.as_millis()),
        Output::Language { epoch, tag } => format!("speak {epoch} {tag}"),
        Output::Segment { epoch, index, text } => format!("say {epoch}.{index} {text:?}"),
        Output::ReplyDone { epoch, last_call } => format!("done {epoch} end={}", last_call.is_some()),
        Output::ReplyFailed { epoch, failure } => format!("failed {epoch} {}", failure.detail),
        Output::Confirmed { epoch } => format!("confirmed {epoch}"),
        Output::Discard { epoch } => format!("discard {epoch}"),
        Output::Refused { what: kind } | Output::RefusedEffect { kind } => format!("refused {kind}"),
    }
}

#[test]
fn a_reply_is_spoken_and_kept_as_heard() {
    let mut bench = Bench::new();
    assert_eq!(bench.conversation.state(), State::Listening);
    assert_eq!(bench.turn(1, "Are you open?"), ["generate 1.0"]);
    assert_eq!(bench.conversation.state(), State::Thinking);
    assert_eq!(bench.says(1, 0, "Yes, we are, "), ["first 1 10ms", "say 1.0 \"Yes, we are, \""]);
    assert_eq!(bench.conversation.state(), State::Speaking);
    assert!(bench.says(1, 0, "all day.").is_empty());
    assert_eq!(bench.finishes(1, 0, Stop::EndOfTurn, &[]), ["say 1.1 \"all day.\"", "done 1 end=false"]);
    assert!(bench.heard(1, "Yes, we are, all day.", false).is_empty());
    assert_eq!(bench.conversation.state(), State::Listening);
    bench.turn(2, "Thanks");
    assert_eq!(bench.history(), ["U: Are you open?", "A: Yes, we are, all day.", "U: Thanks"]);
}

#[test]
fn an_interruption_cuts_the_history_to_what_was_heard() {
    let mut bench = Bench::new();
    bench.turn(1, "Tell me");
    bench.says(1, 0, "Once upon a time, there was");
    assert_eq!(bench.take(Input::Cancel { epoch: 1 }), ["abort 1"]);
    assert_eq!(bench.says(1, 0, " a king."), ["refused text"]);
    bench.heard(1, "Once upon", true);
    bench.turn(2, "Stop");
    assert_eq!(bench.history(), ["U: Tell me", "A: Once upon—", "U: Stop"]);
}

#[test]
fn a_reply_never_heard_leaves_nothing_and_turns_merge() {
    let mut bench = Bench::new();
    bench.turn(1, "I want");
    bench.says(1, 0, "Certainly, what is it");
    assert_eq!(bench.turn(2, "a pizza"), ["abort 1", "generate 2.0"]);
    assert_eq!(bench.history(), ["U: I want | a pizza"]);
    assert_eq!(bench.finishes(1, 0, Stop::EndOfTurn, &[]), ["refused finish"]);
}

#[test]
fn stale_epochs_are_refused() {
    let mut bench = Bench::new();
    bench.turn(5, "five");
    assert_eq!(bench.turn(5, "again"), ["refused user_turn"]);
    assert_eq!(bench.turn(4, "older"), ["refused user_turn"]);
    assert_eq!(bench.heard(4, "words", false), ["refused heard"]);
    assert_eq!(bench.take(Input::Cancel { epoch: 4 }), ["refused cancel"]);
    assert_eq!(bench.result(5, 0, 0), ["refused tool_result"]);
    assert_eq!(bench.says(4, 0, "old"), ["refused text"]);
    bench.says(5, 0, "All of these are refused.");
    bench.finishes(5, 0, Stop::EndOfTurn, &[]);
    bench.heard(5, "All of these are refused.", false);
    assert_eq!(bench.heard(5, "twice", false), ["refused heard"]);
    assert_eq!(bench.history(), ["U: five", "A: All of these are refused."]);
}

#[test]
fn epochs_below_the_resume_position_are_refused() {
    let mut conversation = Conversation::new(BTreeMap::new(), 7);
    let now = mesh::clock::now();
    conversation.handle(
        Input::UserTurn { epoch: 6, text: "old".into(), language: String::new(), tentative: false },
        now,
    );
    assert_eq!(conversation.poll().map(line), Some("refused user_turn".to_owned()));
    conversation.handle(Input::Heard { epoch: 7, text: "Where were we?".into(), interrupted: false }, now);
    assert!(conversation.poll().is_none());
    conversation.handle(
        Input::UserTurn { epoch: 8, text: "new".into(), language: String::new(), tentative: false },
        now,
    );
    assert_eq!(conversation.poll().map(line), Some("generate 8.0".to_owned()));
}

#[test]
fn a_greeting_comes_after_a_marker() {
    for epoch in [0, 1] {
        let mut bench = Bench::new();
        assert!(bench.heard(epoch, "Hello, how can I", true).is_empty());
        bench.turn(2, "Hi");
        assert_eq!(
            bench.history(),
            [format!("U: {CALL_ANSWERED}").as_str(), "A: Hello, how can I—", "U: Hi"]
        );
    }
    let mut bench = Bench::new();
    bench.heard(0, "", true);
    bench.turn(1, "Hi");
    assert_eq!(bench.history(), ["U: Hi"]);
}

#[test]
fn tools_run_in_parallel_and_answer_in_one_message() {
    let mut bench = Bench::new();
    bench.turn(1, "When?");
    bench.says(1, 0, "Let me look.");
    let started = bench.take(Input::ToolStarted(Generation { epoch: 1, round: 0 }));
    assert_eq!(started, ["say 1.0 \"Let me look. \""]);
    let running = bench.finishes(1, 0, Stop::ToolUse, &["search", "search", "unknown"]);
    assert_eq!(running, ["run 0 search", "run 1 search"]);
    assert!(bench.result(1, 0, 1).is_empty());
    assert_eq!(bench.result(1, 0, 1), ["refused tool_result"]);
    assert_eq!(bench.result(1, 0, 0), ["generate 1.1"]);
    assert_eq!(
        bench.history()[1..],
        [
            "A: Let me look. | <search c100> | <search c101> | <unknown c102>",
            "U: <c100=r0> | <c101=r1> | <c102=there is no tool of this name>"
        ]
    );
    assert_eq!(bench.says(1, 1, "At nine, every day. "), ["say 1.1 \"At nine, every day. \""]);
    assert_eq!(bench.finishes(1, 1, Stop::EndOfTurn, &[]), ["done 1 end=false"]);
    bench.heard(1, "Let me look. At nine,", true);
    assert_eq!(bench.history()[3], "A: At nine,—");
}

#[test]
fn an_interrupted_reply_keeps_the_rounds_whose_results_came_back() {
    let mut bench = Bench::new();
    bench.turn(1, "When?");
    bench.says(1, 0, "Let me look.");
    bench.finishes(1, 0, Stop::ToolUse, &["search"]);
    bench.result(1, 0, 0);
    bench.finishes(1, 1, Stop::ToolUse, &["search", "search"]);
    bench.result(1, 1, 0);
    assert_eq!(bench.heard(1, "Let me", true), ["abort 1"]);
    assert_eq!(bench.result(1, 1, 1), ["refused tool_result"]);
    bench.turn(2, "Never mind");
    let history = ["U: When?", "A: Let me— | <search c100>", "U: <c100=r0> | Never mind"];
    assert_eq!(bench.history(), history);
}

#[test]
fn rounds_are_limited() {
    let mut bench = Bench::new();
    bench.turn(1, "Loop");
    for round in 0..TOOL_ROUNDS_MAX {
        bench.finishes(1, round, Stop::ToolUse, &["search"]);
        let next = bench.result(1, round, 0);
        let last = if round + 1 == TOOL_ROUNDS_MAX { " without tools" } else { "" };
        assert_eq!(next, [format!("generate 1.{}{last}", round + 1)]);
    }
    let over = bench.finishes(1, TOOL_ROUNDS_MAX, Stop::ToolUse, &["search"]);
    assert_eq!(over, ["failed 1 the model's reply was empty"]);
}

#[test]
fn end_call_waits_until_it_was_heard_and_a_barge_in_undoes_it() {
    for interrupted in [false, true] {
        let mut bench = Bench::new();
        bench.turn(1, "Bye");
        bench.says(1, 0, "Goodbye, take care.");
        assert_eq!(
            bench.finishes(1, 0, Stop::ToolUse, &["end_call"]),
            ["say 1.0 \"Goodbye, take care. \"", "run 0 end_call"]
        );
        assert_eq!(bench.result(1, 0, 0), ["done 1 end=true"]);
        bench.heard(1, if interrupted { "Goodbye," } else { "Goodbye, take care." }, interrupted);
        bench.turn(2, "Wait");
        if interrupted {
            assert_eq!(bench.history(), ["U: Bye", "A: Goodbye,—", "U: Wait"]);
        } else {
            let history = ["U: Bye", "A: Goodbye, take care. | <end_call c100>", "U: <c100=r0> | Wait"];
            assert_eq!(bench.history(), history);
        }
    }
}

#[test]
fn a_cancel_undoes_end_call_even_when_all_was_heard() {
    let mut bench = Bench::new();
    bench.turn(1, "Bye");
    bench.says(1, 0, "Goodbye, take care.");
    bench.finishes(1, 0, Stop::ToolUse, &["end_call"]);
    bench.result(1, 0, 0);
    bench.take(Input::Cancel { epoch: 1 });
    bench.heard(1, "Goodbye, take care.", false);
    assert_eq!(bench.history(), ["U: Bye", "A: Goodbye, take care."]);
}

#[test]
fn failures_end_a_reply_once_and_the_apology_is_what_was_heard() {
    let mut bench = Bench::new();
    bench.turn(1, "Hi");
    let failure = Failure { detail: "overloaded".into(), is_fatal: false };
    let generation = Generation { epoch: 1, round: 0 };
    assert_eq!(bench.take(Input::Failed(generation, failure.clone())), ["failed 1 overloaded"]);
    assert_eq!(bench.take(Input::Failed(generation, failure)), ["refused failure"]);
    bench.heard(1, "I am sorry.", false);
    assert_eq!(bench.history(), ["U: Hi", "A: I am sorry."]);
}

#[test]
fn odd_stops_end_a_reply() {
    for (stop, tools, detail) in [
        (Stop::EndOfTurn, &[][..], "failed 1 the model's reply was empty"),
        (Stop::ToolUse, &[], "failed 1 the model's reply was empty"),
        (Stop::TokenLimit, &["search"], "failed 1 the reply ran into its token limit before a word was said"),
        (Stop::Refusal, &[], "failed 1 the model refused to answer"),
    ] {
        let mut bench = Bench::new();
        bench.turn(1, "Hi");
        assert_eq!(bench.finishes(1, 0, stop, tools), [detail]);
        let user = if stop == Stop::Refusal { REFUSED } else { "Hi" };
        assert_eq!(bench.history(), [format!("U: {user}")]);
    }
    let mut bench = Bench::new();
    bench.turn(1, "Hi");
    bench.says(1, 0, "Well, let me");
    let cut = bench.finishes(1, 0, Stop::TokenLimit, &["search"]);
    assert_eq!(cut, ["say 1.0 \"Well, let me\"", "done 1 end=false"]);
}

/// What the world may throw at a conversation, in any order.
fn inputs() -> impl Strategy<Value = Vec<(u8, i64, u32, usize, bool)>> {
    prop::collection::vec((0u8..11, 0i64..6, 0u32..3, 0usize..3, any::<bool>()), 0..80)
}

fn arbitrary((kind, epoch, round, index, flag): (u8, i64, u32, usize, bool)) -> Input {
    let generation = Generation { epoch, round };
    let call = |name: &str| ToolCall {
        id: format!("c{epoch}{round}{name}{index}"),
        name: name.to_owned(),
        arguments: flag.then(Map::new),
    };
    match kind {
        0 | 1 => Input::UserTurn {
            epoch,
            text: format!("turn {epoch}"),
            language: String::new(),
            tentative: kind == 1 && flag,
        },
        2 => Input::Heard {
            epoch,
            text: ["", "One word", "One two three four"][index].into(),
            interrupted: flag,
        },
        3 => Input::Cancel { epoch },
        4 => Input::Text(generation, "One two three, four five. ".into()),
        5 => Input::ToolStarted(generation),
        6 => Input::Finished(
            generation,
            Stop::ToolUse,
            vec![call("search"), call(["end_call", "x", "book"][index])],
        ),
        7 => Input::Finished(generation, Stop::EndOfTurn, vec![]),
        8 | 9 => Input::Confirm { epoch },
        _ => Input::ToolDone(generation, index, ToolResult { text: "r".into(), is_error: flag }),
    }
}

proptest! {
    #[test]
    fn history_is_never_malformed_and_stale_words_never_spoken(inputs in inputs()) {
        let mut conversation = Conversation::new(effects(), 0);
        let (now, mut newest, mut index) = (mesh::clock::now(), -1, 0);
        let mut ended = std::collections::BTreeSet::new();
        for input in inputs.into_iter().map(arbitrary) {
            if let Input::UserTurn { epoch, .. } = &input && *epoch > newest {
                (newest, index) = (*epoch, 0);
            }
            conversation.handle(input, now);
            while let Some(output) = conversation.poll() {
                match output {
                    Output::Segment { epoch, index: got, .. } => {
                        prop_assert!(epoch == newest && got == index && !ended.contains(&epoch));
                        index += 1;
                    }
                    Output::ReplyDone { epoch, .. } | Output::ReplyFailed { epoch, .. } => {
                        prop_assert!(ended.insert(epoch), "an epoch ends once");
                    }
                    Output::Abort { epoch } => { prop_assert!(ended.insert(epoch)); }
                    Output::Discard { epoch } => {
                        ended.insert(epoch);
                    }
                    Output::Generate { generation, .. } => prop_assert_eq!(generation.epoch, newest),
                    _ => {}
                }
            }
            check(conversation.history())?;
            check(&conversation.context())?;
        }
    }
}

/// What the Messages API asks of a history.
fn check(history: &History) -> Result<(), TestCaseError> {
    let messages = history.messages();
    let mut open: Vec<String> = Vec::new();
    for (at, (role, blocks)) in messages.iter().enumerate() {
        prop_assert_eq!(*role, if at % 2 == 0 { Role::User } else { Role::Assistant });
        prop_assert!(!blocks.is_empty());
        let results: Vec<String> = blocks
            .iter()
            .filter_map(|b| if let Block::ToolResult(id, _) = b { Some((*id).into()) } else { None })
            .collect();
        if *role == Role::User {
            prop_assert_eq!(&results, &open, "every call has its result in the next message");
            let first = blocks.iter().take(results.len());
            prop_assert!(first.clone().all(|b| matches!(b, Block::ToolResult(..))), "results come first");
        }
        open.clear();
        for block in blocks {
            match block {
                Block::Text(text) => prop_assert!(!text.trim().is_empty()),
                Block::ToolUse(call) => open.push(call.id.clone()),
                Block::ToolResult(..) => {}
            }
        }
    }
    prop_assert!(open.is_empty());
    Ok(())
}

#[test]
fn an_effect_that_ends_is_told_and_the_reply_goes_on() {
    let mut bench = Bench::new();
    bench.turn(1, "Reception, please");
    bench.says(1, 0, "I put you through. ");
    bench.finishes(1, 0, Stop::ToolUse, &["end_call"]);
    assert_eq!(bench.result(1, 0, 0), ["done 1 end=true"]);
    let returned =
        |epoch| Input::Returned { epoch, result: ToolResult { text: "busy".to_owned(), is_error: true } };
    bench.heard(1, "I put you through.", false);
    assert_eq!(bench.take(returned(1)), ["refused returned"], "its epoch is not a new one");
    assert_eq!(bench.take(returned(2)), ["generate 2.0"]);
    assert_eq!(bench.take(returned(3)), ["refused returned"], "it ends once");
    bench.says(2, 0, "They are busy. ");
    bench.finishes(2, 0, Stop::EndOfTurn, &[]);
    bench.heard(2, "They are", true);
    bench.turn(4, "Oh");
    let told = [
        "U: Reception, please",
        "A: I put you through. | <end_call c100>",
        "U: <c100=busy>",
        "A: They are—",
        "U: Oh",
    ];
    assert_eq!(bench.history(), told);
}

#[test]
fn an_effect_of_a_reply_without_a_word_is_told_too_and_one_that_never_was_is_not() {
    let mut bench = Bench::new();
    bench.turn(1, "Reception, please");
    bench.finishes(1, 0, Stop::ToolUse, &["end_call"]);
    bench.result(1, 0, 0);
    let result = ToolResult { text: "failed".to_owned(), is_error: true };
    assert_eq!(bench.take(Input::Returned { epoch: 2, result: result.clone() }), ["generate 2.0"]);
    let mut bench = Bench::new();
    bench.turn(1, "Reception, please");
    bench.says(1, 0, "I put you through. ");
    bench.finishes(1, 0, Stop::ToolUse, &["end_call"]);
    bench.result(1, 0, 0);
    bench.heard(1, "I put", true);
    assert_eq!(bench.take(Input::Returned { epoch: 2, result }), ["refused returned"]);
}
