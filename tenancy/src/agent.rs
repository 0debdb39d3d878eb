//! The stored form of an agent version, and its wire form.

use std::time::Duration;

use proto::tenancy::v1 as wire;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, TenantId};

/// What a tenant has configured for its calls. Stored as JSON and never changed once published, so fields are only
/// ever added, each with a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub display_name: String,
    pub prompt: String,
    pub greeting: String,
    pub language: String,
    pub voice: Voice,
    pub model: Model,
    pub turn: Turn,
    pub tools: Vec<String>,
    pub apology: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    pub vendor: String,
    pub voice_id: String,
    pub model: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub model: String,
    pub max_tokens: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub endpointing_delay_ms_min: u64,
    pub endpointing_delay_ms_max: u64,
    pub barge_in_duration_ms_min: u64,
}

/// One published version of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// From 1.
    pub version: i32,
    /// What it says.
    pub document: Document,
}

impl Version {
    /// The contract's form.
    pub fn into_wire(self, tenant: &TenantId, agent: &AgentId) -> wire::Agent {
        let Self { version, document } = self;
        let duration = |ms| Some(proto::to_wire(Duration::from_millis(ms)));
        wire::Agent {
            name: agent.name_in(tenant),
            version,
            display_name: document.display_name,
            prompt: document.prompt,
            greeting: document.greeting,
            language: document.language,
            voice: Some(wire::Voice {
                vendor: document.voice.vendor,
                voice_id: document.voice.voice_id,
                model: document.voice.model,
            }),
            model: Some(wire::Model { model: document.model.model, max_tokens: document.model.max_tokens }),
            turn: Some(wire::TurnSettings {
                endpointing_delay_min: duration(document.turn.endpointing_delay_ms_min),
                endpointing_delay_max: duration(document.turn.endpointing_delay_ms_max),
                barge_in_duration_min: duration(document.turn.barge_in_duration_ms_min),
            }),
            tools: document.tools,
            apology: document.apology,
        }
    }
}
