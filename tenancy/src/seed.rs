//! The tenant that a laptop starts with: the front desk of a small hotel that does not exist.

use crate::{
    agent::{Document, Model, Phrases, Turn, Voice},
    control::{Access, Agent, CarrierId, Store, StoreError, TenantState},
    ids::{AgentId, Number, TenantId},
};

/// Long enough that the language model's vendor caches it (512 tokens), and free of facts about the hotel: those are
/// in the tenant's documents, where the agent has to look them up.
const PROMPT: &str = include_str!("seed/front-desk.md");

/// The numbers that lead to the agent.
const NUMBERS: [(&str, CarrierId); 2] =
    [("+12025550100", CarrierId::Twilio), ("+918047100100", CarrierId::Exotel)];

/// Puts the tenant `demo` with one published agent and its numbers into the store, whole or not at all, unless there is
/// a tenant of that name.
pub async fn plant(store: &Store) -> Result<(), StoreError> {
    let mut tx = store.begin(&TenantId::from_slug("demo"), Access::Write).await?;
    if tx.find_tenant().await?.is_some() {
        return Ok(());
    }
    let name = "Harbour House (demo)";
    tx.take_on(name, None).await?;
    if let Some(tenant) = tx.find_tenant().await? {
        tx.change_tenant(tenant, name.to_owned(), TenantState::Active).await?;
    }
    let id = AgentId::from_id("front-desk");
    if let Some(agent) = tx.add_agent(&id, &front_desk()).await? {
        let live_version = tx.add_version(&id, &agent.draft).await?.version;
        tx.change_agent(Agent { live_version, ..agent }).await?;
    }
    for (number, carrier) in NUMBERS {
        if let Some(number) = Number::read(number) {
            tx.add_number(&number, carrier, &id, "").await?;
        }
    }
    tx.commit().await
}

/// The agent itself, whose settings are the defaults of every other.
pub fn front_desk() -> Document {
    Document {
        display_name: "Front desk".into(),
        prompt: PROMPT.trim().into(),
        greeting: "Hello, this is Harbour House. How can I help you?".into(),
        language: "en".into(),
        voice: Voice {
            vendor: "cartesia".into(),
            voice_id: "a0e99841-438c-4a64-b679-ae501e7d6091".into(),
            model: "sonic-3.5-2026-05-04".into(),
            fallback: None,
        },
        model: Model { model: "claude-haiku-5-5".into(), max_tokens: 400, fallback: String::new() },
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
        listening_vendor: "deepgram".into(),
        listening_model: String::new(),
        listening_fallback: None,
        call_duration_s_max: None,
        transfers: Vec::new(),
        languages: Vec::new(),
    }
}
