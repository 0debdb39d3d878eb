//! The tenant that a laptop starts with: the front desk of a small hotel that does not exist.

use crate::{
    agent::{Document, Model, Phrases, Turn, Voice},
    control::{CarrierId, Seed},
    ids::{AgentId, Number, TenantId},
};

/// Long enough that the language model's vendor caches it (512 tokens), and free of facts about the hotel: those are
/// in the tenant's documents, where the agent has to look them up.
const PROMPT: &str = include_str!("seed/front-desk.md");

/// The tenant `demo` and what it begins with.
pub fn demo() -> (TenantId, Seed) {
    let numbers = [("+12025550100", CarrierId::Twilio), ("+918047100100", CarrierId::Exotel)]
        .into_iter()
        .filter_map(|(number, carrier)| Some((Number::parse("number", number).ok()?, carrier)))
        .collect();
    let seed = Seed {
        display_name: "Harbour House (demo)",
        agent: AgentId::from_id("front-desk"),
        document: front_desk(),
        numbers,
    };
    (TenantId::from_slug("demo"), seed)
}

fn front_desk() -> Document {
    Document {
        display_name: "Front desk".into(),
        prompt: PROMPT.trim().into(),
        greeting: "Hello, this is Harbour House. How can I help you?".into(),
        language: "en".into(),
        voice: Voice {
            vendor: "cartesia".into(),
            voice_id: "a0e99841-438c-4a64-b679-ae501e7d6091".into(),
            model: "sonic-3.5-2026-05-04".into(),
        },
        model: Model { model: "claude-haiku-5-5".into(), max_tokens: 400 },
        turn: Turn { idle_timeout_ms: Some(10_000), dtmf_terminator: "#".into(), ..Turn::default() },
        tools: vec!["end_call".into(), "search_knowledge".into()],
        apology: "I am sorry, I have a technical problem.".into(),
        phrases: Phrases {
            fillers: vec!["One moment.".into(), "I am still looking, just a moment.".into()],
            idle_prompts: vec!["Are you still there?".into(), "Hello, can you hear me?".into()],
            idle_goodbye: "I cannot hear you, so I will hang up now. Please call again. Goodbye.".into(),
            reprompt: "Sorry, I did not catch that. Could you say it again?".into(),
            duration_warning: "We have about half a minute left.".into(),
            duration_goodbye: "We have run out of time. Thank you for calling. Goodbye.".into(),
            ..Phrases::default()
        },
        listening_vendor: String::new(),
        listening_model: String::new(),
        call_duration_s_max: None,
    }
}
