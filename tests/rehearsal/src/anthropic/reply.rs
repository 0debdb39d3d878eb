//! What is answered: a function of the request.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::check::{Choice, Request, Tool};
use super::messages::Turn;
use super::{language, passages};
use crate::words;

/// A block of the answer.
#[derive(Debug, PartialEq)]
pub(super) enum Block {
    Text(String),
    ToolUse { name: String, input: Value },
}

/// The blocks of the answer, in order. Empty when there is nothing left to say.
pub(super) fn compose(request: &Request, long_answers: bool) -> Vec<Block> {
    let Some(last) = request.turns.iter().rfind(|turn| turn.role == "user") else { return Vec::new() };
    let said = language::spoken(last);
    let long = long_answers || wants_detail(&said);
    if let Some(tool) = forced(request) {
        return vec![call(tool, &said)];
    }
    if let Some(call) = language::wished_for(request, &said) {
        return vec![Block::Text("Of course. ".to_owned()), call];
    }
    if language::told(request).as_deref() == Some("hi") {
        return language::in_hindi(request, &said);
    }
    if said.is_empty() {
        return after_tools(request, last, long_answers);
    }
    if has(&words::words(&said), &["put me through", "speak to a person", "speak with a person"])
        && let Some(tool) = request.tool("transfer_call")
    {
        return vec![Block::Text("Of course, I will put you through.".to_owned()), call(tool, &said)];
    }
    if has(&words::words(&said), &["press", "please press"])
        && let Some(tool) = request.tool("send_digits")
    {
        return vec![Block::Text("One second, I press it.".to_owned()), call(tool, &digits(&said))];
    }
    if is_goodbye(&said, request)
        && let Some(tool) = request.tool("end_call")
    {
        return vec![Block::Text(pick(&said, &GOODBYES).to_owned()), call(tool, &said)];
    }
    if is_question(&said)
        && let Some(tool) = request.tool("search_knowledge")
    {
        // The newest models keep what they say before a tool to themselves while they think.
        let silent = request.thinks && !request.model.forced_tool_choice;
        let filler = pick(&said, &["Let me check.", "", "One moment, let me look that up."]);
        let text = Some(filler).filter(|text| !text.is_empty() && !silent);
        let mut blocks: Vec<Block> = text.map(|text| Block::Text(text.to_owned())).into_iter().collect();
        blocks.push(call(tool, &said));
        return blocks;
    }
    vec![Block::Text(if long { at_length(&said) } else { small_talk(&said) })]
}

const GOODBYES: [&str; 3] = [
    "Thank you for calling, goodbye!",
    "You’re welcome, and have a good day. Goodbye!",
    "It was nice talking to you, goodbye.",
];

fn after_tools(request: &Request, last: &Turn, long_answers: bool) -> Vec<Block> {
    let calls: Vec<&Value> = request.turns.iter().flat_map(|turn| turn.of_type("tool_use")).collect();
    let name_of = |result: &Value| {
        calls.iter().find(|call| call["id"] == result["tool_use_id"]).and_then(|call| call["name"].as_str())
    };
    let acted = |result: &&Value| matches!(name_of(result), Some("transfer_call" | "send_digits"));
    if let Some(result) = last.of_type("tool_result").find(acted) {
        return vec![Block::Text(after_action(&passages::text_of(&result["content"])).to_owned())];
    }
    let searched = |result: &&Value| {
        calls.iter().any(|call| call["id"] == result["tool_use_id"] && call["name"] == "search_knowledge")
    };
    let results: Vec<&Value> = last.of_type("tool_result").filter(searched).collect();
    if results.is_empty() && calls.last().is_some_and(|call| call["name"] == "switch_language") {
        return vec![Block::Text("Certainly, let us speak English. How can I help you?".to_owned())];
    }
    let Some(first) = results.first() else { return Vec::new() };
    let question = request.turns.iter().rev().filter(|turn| turn.role == "user").map(language::spoken);
    let question = question.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    if first["is_error"] == true {
        return vec![Block::Text(
            "I’m sorry, I could not look that up just now. Shall I try again, or is there something else?"
                .to_owned(),
        )];
    }
    let long = long_answers || wants_detail(&question);
    let found =
        results.iter().map(|result| passages::text_of(&result["content"])).collect::<Vec<_>>().join("\n\n");
    let sentences = passages::best(&question, &found, if long { 6 } else { 2 }, long);
    if sentences.is_empty() {
        return vec![Block::Text(
            "I’m sorry, I could not find anything about that in our documents. Is there anything else I can help \
             you with?"
                .to_owned(),
        )];
    }
    let opening =
        pick(&question, &["Here is what I found.", "Sure, I can tell you that.", "Yes, I have it here."]);
    let closing = if long { "If you like, I can go on." } else { "" };
    let text = format!("{opening} {} {closing}", sentences.join(" "));
    vec![Block::Text(text.trim_end().to_owned())]
}

/// What is said when the carrier has done something, by the first word of the result.
fn after_action(result: &str) -> &'static str {
    match result.split(':').next().unwrap_or_default() {
        "completed" => "Thank you, the keys were pressed. I am listening again.",
        "busy" => "Unfortunately their line is busy. How else can I help you?",
        "no-answer" => "Unfortunately nobody picked up there. How else can I help you?",
        "canceled" => "It seems that the attempt was stopped. How else can I help you?",
        _ => "It seems that I could not reach them. How else can I help you?",
    }
}

/// The keys that somebody names.
fn digits(said: &str) -> String {
    const NAMES: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    words::words(said)
        .iter()
        .filter_map(|word| {
            NAMES
                .iter()
                .position(|name| name == word)
                .map(|key| key.to_string())
                .or_else(|| word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.clone()))
        })
        .collect()
}

fn forced(request: &Request) -> Option<&Tool> {
    match &request.choice {
        Choice::Any => request.tools.first(),
        Choice::Tool(name) => request.tool(name),
        Choice::Auto | Choice::None => None,
    }
}

/// A call with everything that the tool's schema requires; texts are the caller's words.
fn call(tool: &Tool, said: &str) -> Block {
    let properties = &tool.schema["properties"];
    let required = tool.schema["required"].as_array().cloned().unwrap_or_default();
    let mut input: Map<String, Value> = Map::new();
    for name in required.iter().filter_map(Value::as_str) {
        let property = &properties[name];
        let value = match (property["enum"].get(0), property["type"].as_str()) {
            (Some(first), _) => first.clone(),
            (None, Some("integer" | "number")) => json!(1),
            (None, Some("boolean")) => json!(true),
            (None, Some("array")) => json!([]),
            (None, Some("object")) => json!({}),
            _ => json!(said),
        };
        input.insert(name.to_owned(), value);
    }
    Block::ToolUse { name: tool.name.clone(), input: Value::Object(input) }
}

/// Whether a sequence of whole words occurs in the text.
fn has(said: &[String], phrases: &[&str]) -> bool {
    let text = format!(" {} ", said.join(" "));
    phrases.iter().any(|phrase| text.contains(&format!(" {phrase} ")))
}

fn is_goodbye(said: &str, request: &Request) -> bool {
    const PHRASES: [&str; 12] = [
        "bye",
        "goodbye",
        "good bye",
        "thats all",
        "that is all",
        "that will be all",
        "thatll be all",
        "nothing else",
        "hang up",
        "thats it",
        "end the call",
        "no more questions",
    ];
    let spoken = words::words(said);
    if said.contains('?') {
        return false;
    }
    let declines = spoken.first().is_some_and(|word| word == "no")
        && spoken.len() <= 5
        && has(&spoken, &["thanks", "thank you"]);
    let asked =
        request.turns.iter().rfind(|turn| turn.role == "assistant").map(Turn::text).unwrap_or_default();
    has(&spoken, &PHRASES) || (declines && asked.contains("anything else"))
}

fn is_question(said: &str) -> bool {
    const FIRST: &str = " what whats when whens where wheres who whos why how hows which whose do does did is are am \
        was were can could will would should may might have has ";
    const ANYWHERE: [&str; 12] = [
        "tell me",
        "i want to know",
        "i would like to know",
        "id like to know",
        "i wonder",
        "i was wondering",
        "let me know",
        "explain",
        "can you",
        "could you",
        "do you",
        "i need to know",
    ];
    const FILLERS: &str =
        " so and um uh well okay ok yes yeah hi hello hey please no right then but also oh now thanks ";
    let spoken = words::words(said);
    // About the line, not about what the documents say.
    if has(
        &spoken,
        &["can you hear me", "are you there", "how are you", "can you help me", "could you help me"],
    ) {
        return false;
    }
    let first = spoken.iter().find(|word| !FILLERS.contains(&format!(" {word} ")));
    said.contains('?')
        || first.is_some_and(|word| FIRST.contains(&format!(" {word} ")))
        || has(&spoken, &ANYWHERE)
}

fn wants_detail(said: &str) -> bool {
    has(&words::words(said), &["in detail", "everything", "at length", "the whole story", "all the details"])
}

fn small_talk(said: &str) -> String {
    let Some(echo) = echo(said) else {
        return "Hello, it is good to hear from you. How can I help you today?".to_owned();
    };
    match pick(said, &["understand", "thank", "happy"]) {
        "understand" => format!(
            "I understand, {echo}. Let me see what I can do, one thing at a time. How can I help you with that?"
        ),
        "thank" => format!("Thank you for telling me, {echo}. What would you like to do about it?"),
        _ => {
            format!("All right, {echo}. I’m happy to help with that, of course. What would you like to know?")
        }
    }
}

fn at_length(said: &str) -> String {
    let opening =
        echo(said).map_or("Certainly, I will take my time.".to_owned(), |echo| format!("Certainly, {echo}."));
    format!(
        "{opening} There is quite a lot to say about this, so I will go through it step by step. First of all, we look \
         at what you have told us, and we write it down carefully. After that, one of our colleagues reads it, usually \
         on the same day. If anything is missing, we call you back and ask for it. As soon as everything is complete, \
         you get a message from us, with all the details. Is that what you wanted to hear, or shall I go on?"
    )
}

/// The caller's first words, said back: "I lost my card" becomes "you lost your card". `None` for a mere greeting.
fn echo(said: &str) -> Option<String> {
    const MAX_WORDS: usize = 14;
    let sentence = said
        .split(['.', '!', '?', '।', '\n'])
        .find(|part| words::words(part).iter().any(|word| !words::is_stop_word(word)))?;
    let turned: Vec<String> = sentence.split_whitespace().take(MAX_WORDS).map(turn_around).collect();
    let text = turned.join(" ");
    Some(text.trim_end_matches([',', ';', ':', '-']).trim().to_owned()).filter(|text| !text.is_empty())
}

fn turn_around(word: &str) -> String {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation() && c != '\'').replace('’', "'");
    let turned = match bare.to_lowercase().as_str() {
        "i" | "me" => "you",
        "my" => "your",
        "mine" => "yours",
        "myself" => "yourself",
        "am" => "are",
        "i'm" => "you are",
        "i've" => "you have",
        "i'd" => "you would",
        "i'll" => "you will",
        "your" => "our",
        "you" => "we",
        _ => return word.to_owned(),
    };
    word.replace('’', "'").replacen(&bare, turned, 1)
}

/// One of several ways to say it, the same for the same words.
fn pick<'a>(said: &str, ways: &[&'a str]) -> &'a str {
    let mut hasher = DefaultHasher::new();
    words::words(said).hash(&mut hasher);
    ways[(hasher.finish() % ways.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::super::check::{self, Version};
    use super::*;

    fn ask(messages: Value) -> Vec<Block> {
        let schema =
            json!({"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]});
        let body = json!({
            "model": "claude-haiku-5-5", "max_tokens": 300, "messages": messages, "thinking": {"type": "disabled"},
            "tools": [{"name": "search_knowledge", "input_schema": schema},
                      {"name": "end_call", "input_schema": {"type": "object", "properties": {}}}],
        });
        compose(&check::body(body.to_string().as_bytes(), Version::Of2026).expect("a right request"), false)
    }

    fn said(text: &str) -> Vec<Block> {
        ask(json!([{"role": "user", "content": text}]))
    }

    fn text(blocks: &[Block]) -> &str {
        match blocks {
            [Block::Text(text)] => text,
            other => panic!("not one text: {other:?}"),
        }
    }

    #[test]
    fn a_question_is_looked_up() {
        for question in [
            "What are your opening hours?",
            "um so when do you open",
            "Please tell me about parking.",
            "is there a lift",
        ] {
            let blocks = said(question);
            let wanted =
                Block::ToolUse { name: "search_knowledge".to_owned(), input: json!({"query": question}) };
            assert_eq!(blocks.last(), Some(&wanted));
        }
    }

    #[test]
    fn a_goodbye_ends_the_call_with_words() {
        for goodbye in ["Okay, goodbye.", "thanks that's all", "No, nothing else, thank you."] {
            let blocks = said(goodbye);
            assert!(matches!(&blocks[0], Block::Text(_)), "{goodbye}");
            assert!(matches!(&blocks[1], Block::ToolUse { name, .. } if name == "end_call"));
        }
        let declined = ask(json!([{"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Is there anything else?"}, {"role": "user", "content": "No, thank you."}]));
        assert_eq!(declined.len(), 2);
    }

    #[test]
    fn other_words_are_taken_up() {
        let blocks = said("I lost my card yesterday.");
        assert!(text(&blocks).contains("you lost your card yesterday"), "{blocks:?}");
        assert!(text(&blocks).contains(','));
        assert!(text(&said("Hello!")).contains("How can I help"));
        assert_eq!(said("I lost my card yesterday."), blocks);
        let long = said("Just talk about everything.");
        assert!((5..=7).contains(&text(&long).matches(['.', '?']).count()), "{long:?}");
    }

    fn with_result(result: Value) -> Vec<Block> {
        ask(json!([
            {"role": "user", "content": "When do you open?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "search_knowledge", "input": {}}]},
            {"role": "user", "content": [result]},
        ]))
    }

    #[test]
    fn found_passages_are_quoted() {
        let result = |content: &str| json!({"type": "tool_result", "tool_use_id": "t1", "content": content});
        let found = with_result(result("Parking is free. We open at nine in the morning."));
        assert!(text(&found).contains("We open at nine in the morning."), "{found:?}");
        assert!(!text(&found).contains("Parking"));
        assert!(text(&with_result(result("Parking is free."))).contains("could not find"));
        assert!(text(&with_result(result(""))).contains("could not find"));
        let failed = json!({"type": "tool_result", "tool_use_id": "t1", "content": "down", "is_error": true});
        assert!(text(&with_result(failed)).contains("could not look that up"));
    }
}
