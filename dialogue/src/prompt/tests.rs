use serde_json::{Map, Value, json};

use super::*;
use crate::conversation::{Conversation, Effect, Generation, Input, Stop, ToolCall, ToolResult};

const CALL_ID: &str = "0190a8f0-0000-7000-8000-000000000001";

fn profile() -> Profile {
    let tool =
        |name| ToolDefinition { name, description: "Does it.", input_schema: json!({"type": "object"}) };
    Profile {
        prompt: "You sell bread. ".into(),
        language: "en".into(),
        tools: vec![tool("end_call"), tool("search")],
        max_tokens: 300,
    }
}

/// A greeting, a question, a look-up and an answer that was cut off, as far as the inputs go.
fn conversation(steps: usize) -> Conversation {
    let mut conversation = Conversation::new([("search", Effect::Read)].into(), 0);
    let generation = Generation { epoch: 1, round: 0 };
    let mut arguments = Map::new();
    arguments.insert("query".into(), "rye".into());
    arguments.insert("also".into(), Value::Null);
    let call = ToolCall { id: "toolu_1".into(), name: "search".into(), arguments: Some(arguments) };
    let result = ToolResult { text: "Rye costs three.".into(), is_error: false };
    let inputs = [
        Input::Heard { epoch: 0, text: "Hello!".into(), interrupted: false },
        Input::UserTurn { epoch: 1, text: "Have you rye?".into(), language: String::new(), tentative: false },
        Input::Text(generation, "Let me look.".into()),
        Input::Finished(generation, Stop::ToolUse, vec![call]),
        Input::ToolDone(generation, 0, result),
        Input::Heard { epoch: 1, text: "Let me look. It costs".into(), interrupted: true },
        Input::UserTurn { epoch: 2, text: "How much?".into(), language: String::new(), tentative: false },
    ];
    for input in inputs.into_iter().take(steps) {
        conversation.handle(input, mesh::clock::now());
        while conversation.poll().is_some() {}
    }
    conversation
}

fn body(steps: usize) -> String {
    serde_json::to_string_pretty(&request(&profile(), conversation(steps).history(), CALL_ID, true)).unwrap()
}

/// The blocks of the messages, in order, and which of them are breakpoints.
fn blocks(steps: usize) -> Vec<(Value, bool)> {
    let body: Value = serde_json::from_str(&body(steps)).unwrap();
    let messages = body["messages"].as_array().unwrap().clone();
    let contents = messages.iter().flat_map(|message| message["content"].as_array().unwrap().clone());
    contents
        .map(|mut block| {
            let is_breakpoint = block.as_object_mut().unwrap().remove("cache_control").is_some();
            (block, is_breakpoint)
        })
        .collect()
}

#[test]
fn the_layout_is_the_golden_one() {
    let golden = include_str!("golden.json");
    assert_eq!(body(7), golden.trim_end(), "the body changed: every running cache misses once");
    assert_eq!(body(7), body(7));
}

#[test]
fn every_request_reads_what_the_one_before_wrote() {
    for (before, after) in [(2, 5), (5, 7)] {
        let (before, after) = (blocks(before), blocks(after));
        let written = before.len();
        assert!(before[written - 1].1, "the newest block is a breakpoint");
        assert!(after[after.len() - 1].1);
        let kept = before.iter().zip(&after).take_while(|((b, _), (a, _))| a == b).count();
        assert_eq!(kept, written, "what the last request sent did not change");
        assert!(after.iter().filter(|(_, is_breakpoint)| *is_breakpoint).count() <= 2);
    }
}

#[test]
fn a_reply_without_rounds_left_must_be_words() {
    let without = request(&profile(), conversation(2).history(), CALL_ID, false);
    assert_eq!(serde_json::to_value(&without).unwrap()["tool_choice"], json!({"type": "none"}));
    let no_tools = Profile { tools: Vec::new(), ..profile() };
    let value = serde_json::to_value(request(&no_tools, conversation(2).history(), CALL_ID, false)).unwrap();
    assert!(value.get("tools").is_none() && value.get("tool_choice").is_none());
}
