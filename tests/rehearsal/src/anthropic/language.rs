//! The language to answer in, as the request tells it, and answers in Hindi.

use serde_json::{Value, json};

use super::check::Request;
use super::messages::Turn;
use super::passages;
use super::reply::Block;
use crate::words;

const TOOL: &str = "switch_language";
/// What callers who do not speak a language themselves call it.
const NAMES: [(&str, &str); 2] = [("hindi", "hi"), ("english", "en")];
/// Who is named with a language and one of these should be spoken to in it.
const WISHES: [&str; 4] = ["only", "understands", "prefers", "better"];

/// `hi` where the newest instruction says `speak hi-IN from`; `None` without one.
pub(super) fn told(request: &Request) -> Option<String> {
    let texts = request.turns.iter().filter(|turn| turn.role == "user").flat_map(|turn| &turn.blocks);
    let texts = texts.map(|block| match block["type"].as_str() {
        Some("tool_result") => passages::text_of(&block["content"]),
        _ => block["text"].as_str().unwrap_or_default().to_owned(),
    });
    texts.filter_map(|text| instruction(&text)).next_back()
}

fn instruction(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("speak ").or_else(|| text.split_once("Speak "))?;
    let (tag, rest) = rest.split_once(' ')?;
    let primary = tag.split('-').next()?;
    (rest.starts_with("from ") && primary.len() == 2).then(|| primary.to_owned())
}

/// What the caller said, without what stands in brackets before it.
pub(super) fn spoken(turn: &Turn) -> String {
    let text = turn.text();
    let mut spoken = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("[speak ") {
        spoken.push_str(before);
        rest = after.split_once("] ").map_or("", |(_, words)| words);
    }
    spoken + rest
}

/// The call of the tool, where the caller wishes for another language than is spoken without speaking it.
pub(super) fn wished_for(request: &Request, said: &str) -> Option<Block> {
    let tool = request.tool(TOOL)?;
    let spoken = words::words(said);
    let has = |word: &str| spoken.iter().any(|said| said == word);
    let (_, code) =
        NAMES.iter().find(|(name, _)| has(name)).filter(|_| WISHES.iter().any(|wish| has(wish)))?;
    let tags = tool.schema["properties"]["language"]["enum"].as_array()?;
    let tag = tags.iter().filter_map(Value::as_str).find(|tag| tag.starts_with(code))?;
    (told(request).as_deref() != Some(code))
        .then(|| Block::ToolUse { name: TOOL.to_owned(), input: json!({"language": tag}) })
}

/// An answer in Hindi: what the caller said last, or the language alone, is taken up.
pub(super) fn in_hindi(request: &Request, said: &str) -> Vec<Block> {
    let leaves = ["goodbye", "bye", "अलविदा", "धन्यवाद"];
    let spoken = words::words(said);
    if spoken.iter().any(|word| leaves.contains(&word.as_str()))
        && let Some(tool) = request.tool("end_call")
    {
        let goodbye = Block::Text("फ़ोन करने के लिए धन्यवाद, नमस्ते।".to_owned());
        return vec![goodbye, Block::ToolUse { name: tool.name.clone(), input: json!({}) }];
    }
    let text = if said.is_empty() {
        "जी ज़रूर, अब हम हिंदी में बात करते हैं। मैं आपकी क्या मदद कर सकती हूँ?"
    } else if said.contains("पार्किंग") {
        "जी हाँ, होटल के पीछे पार्किंग है। एक दिन का किराया बारह पाउंड है। और क्या जानना चाहेंगे?"
    } else {
        "जी ज़रूर, मैं आपकी मदद करती हूँ। कृपया बताइए कि आपको क्या चाहिए?"
    };
    vec![Block::Text(text.to_owned())]
}
