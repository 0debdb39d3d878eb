//! The stored form of one of an agent's languages, and its wire form.

use proto::tenancy::v1 as wire;
use serde::{Deserialize, Serialize};

use super::Voice;

/// A language of an agent that changes them. What is absent is as the agent has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Language {
    pub language: String,
    #[serde(default)]
    pub voice: Option<Voice>,
    #[serde(default)]
    pub listening: Option<Listening>,
    /// Empty: the agent's.
    #[serde(default)]
    pub apology: String,
    #[serde(default)]
    pub phrases: Option<Lines>,
}

/// Who listens, and the vendor's model; empty: the node's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listening {
    pub vendor: String,
    #[serde(default)]
    pub model: String,
    #[serde(default)]
    pub fallback: Option<ListeningFallback>,
}

/// Who listens in the first one's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListeningFallback {
    pub vendor: String,
    #[serde(default)]
    pub model: String,
}

impl ListeningFallback {
    pub fn into_wire(self) -> wire::ListeningFallback {
        wire::ListeningFallback { vendor: self.vendor, model: self.model }
    }
}

/// Lines that are said without asking the model; an empty one is not said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lines {
    pub fillers: Vec<String>,
    pub idle_prompts: Vec<String>,
    pub idle_goodbye: String,
    pub reprompt: String,
    pub duration_warning: String,
    pub duration_goodbye: String,
}

impl Language {
    /// The contract's form.
    pub fn into_wire(self) -> wire::Language {
        wire::Language {
            language: self.language,
            voice: self.voice.map(Voice::into_wire),
            listening: self.listening.map(|listening| wire::Listening {
                vendor: listening.vendor,
                model: listening.model,
                fallback: listening.fallback.map(ListeningFallback::into_wire),
            }),
            apology: self.apology,
            phrases: self.phrases.map(|lines| wire::Phrases {
                fillers: lines.fillers,
                idle_prompts: lines.idle_prompts,
                idle_goodbye: lines.idle_goodbye,
                reprompt: lines.reprompt,
                duration_warning: lines.duration_warning,
                duration_goodbye: lines.duration_goodbye,
                ..wire::Phrases::default()
            }),
        }
    }
}
