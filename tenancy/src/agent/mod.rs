//! The stored form of an agent's document, and its wire form.

mod check;
mod languages;

use std::time::Duration;

use proto::tenancy::v1 as wire;
use serde::{Deserialize, Serialize};

pub use check::read;
pub use languages::Language;
use languages::ListeningFallback;

use crate::{
    ids::{AgentId, TenantId},
    wire::{etag, timestamp},
};

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
    #[serde(default)]
    pub phrases: Phrases,
    /// Who listens; empty: Deepgram.
    #[serde(default)]
    pub listening_vendor: String,
    /// The vendor's model; empty: the node's.
    #[serde(default)]
    pub listening_model: String,
    /// Who listens where the first cannot be had.
    #[serde(default)]
    pub listening_fallback: Option<ListeningFallback>,
    #[serde(default)]
    pub call_duration_s_max: Option<u64>,
    /// Of an agent that changes them; the first is `language`.
    #[serde(default)]
    pub languages: Vec<Language>,
    /// Whom a call may be put through to.
    #[serde(default)]
    pub transfers: Vec<Transfer>,
}

/// Somebody that a call may be put through to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    pub name: String,
    /// E.164.
    pub number: String,
}

/// Lines that are said without asking the model; an empty one is not said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Phrases {
    pub fillers: Vec<String>,
    pub idle_prompts: Vec<String>,
    pub idle_goodbye: String,
    pub reprompt: String,
    pub duration_warning: String,
    pub duration_goodbye: String,
    /// Of each filler, in order.
    pub filler_delays_ms: Vec<u64>,
    pub duration_warning_before_ms: u64,
    pub uninterruptible: Vec<Line>,
}

impl Default for Phrases {
    fn default() -> Self {
        Self {
            fillers: Vec::new(),
            idle_prompts: Vec::new(),
            idle_goodbye: String::new(),
            reprompt: String::new(),
            duration_warning: String::new(),
            duration_goodbye: String::new(),
            filler_delays_ms: vec![800, 3000],
            duration_warning_before_ms: 30_000,
            uninterruptible: Vec::new(),
        }
    }
}

/// A line that is said without asking the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Greeting,
    Apology,
    IdlePrompt,
    IdleGoodbye,
    Reprompt,
    DurationWarning,
}

impl Line {
    /// The line of a request's enum value; `None` for unspecified and unknown ones.
    fn from_wire(value: i32) -> Option<Self> {
        match wire::Line::try_from(value) {
            Ok(wire::Line::Greeting) => Some(Self::Greeting),
            Ok(wire::Line::Apology) => Some(Self::Apology),
            Ok(wire::Line::IdlePrompt) => Some(Self::IdlePrompt),
            Ok(wire::Line::IdleGoodbye) => Some(Self::IdleGoodbye),
            Ok(wire::Line::Reprompt) => Some(Self::Reprompt),
            Ok(wire::Line::DurationWarning) => Some(Self::DurationWarning),
            Ok(wire::Line::Unspecified) | Err(_) => None,
        }
    }
}

impl From<Line> for wire::Line {
    fn from(line: Line) -> Self {
        match line {
            Line::Greeting => Self::Greeting,
            Line::Apology => Self::Apology,
            Line::IdlePrompt => Self::IdlePrompt,
            Line::IdleGoodbye => Self::IdleGoodbye,
            Line::Reprompt => Self::Reprompt,
            Line::DurationWarning => Self::DurationWarning,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    pub vendor: String,
    pub voice_id: String,
    pub model: String,
    /// Who speaks where this one cannot be had.
    #[serde(default)]
    pub fallback: Option<VoiceFallback>,
}

/// Who speaks in the first one's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VoiceFallback {
    pub vendor: String,
    pub voice_id: String,
    pub model: String,
}

impl Voice {
    fn into_wire(self) -> wire::Voice {
        let fallback = self.fallback.map(|stand_in| wire::VoiceFallback {
            vendor: stand_in.vendor,
            voice_id: stand_in.voice_id,
            model: stand_in.model,
        });
        wire::Voice { vendor: self.vendor, voice_id: self.voice_id, model: self.model, fallback }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub model: String,
    pub max_tokens: i32,
    /// Empty: the node's.
    #[serde(default)]
    pub fallback: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub endpointing_delay_ms_min: u64,
    pub endpointing_delay_ms_max: u64,
    pub barge_in_duration_ms_min: u64,
    #[serde(default = "Turn::delay_question")]
    pub endpointing_delay_ms_question: u64,
    #[serde(default = "Turn::delay_open")]
    pub endpointing_delay_ms_open: u64,
    #[serde(default = "Turn::words_min")]
    pub barge_in_words_min: i32,
    #[serde(default = "Turn::false_barge_in")]
    pub false_barge_in_timeout_ms: u64,
    #[serde(default)]
    pub preemptive: bool,
    #[serde(default)]
    pub backchannels: Vec<String>,
    #[serde(default)]
    pub idle_timeout_ms: Option<u64>,
    #[serde(default = "Turn::dtmf_timeout")]
    pub dtmf_timeout_ms: u64,
    #[serde(default)]
    pub dtmf_terminator: String,
    #[serde(default = "Turn::reprompt_delay")]
    pub reprompt_delay_ms: u64,
    #[serde(default = "Turn::goodbye_timeout")]
    pub goodbye_timeout_ms: u64,
}

impl Turn {
    fn delay_question() -> u64 {
        200
    }

    fn delay_open() -> u64 {
        1200
    }

    fn words_min() -> i32 {
        1
    }

    fn false_barge_in() -> u64 {
        700
    }

    fn dtmf_timeout() -> u64 {
        3000
    }

    fn reprompt_delay() -> u64 {
        1800
    }

    fn goodbye_timeout() -> u64 {
        5000
    }
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            endpointing_delay_ms_min: 300,
            endpointing_delay_ms_max: 2000,
            barge_in_duration_ms_min: 160,
            endpointing_delay_ms_question: Self::delay_question(),
            endpointing_delay_ms_open: Self::delay_open(),
            barge_in_words_min: Self::words_min(),
            false_barge_in_timeout_ms: Self::false_barge_in(),
            preemptive: true,
            backchannels: Vec::new(),
            idle_timeout_ms: None,
            dtmf_timeout_ms: Self::dtmf_timeout(),
            dtmf_terminator: String::new(),
            reprompt_delay_ms: Self::reprompt_delay(),
            goodbye_timeout_ms: Self::goodbye_timeout(),
        }
    }
}

/// One published version of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// From 1.
    pub version: i32,
    /// What it says.
    pub document: Document,
    /// When it was published, in microseconds since 1970.
    pub created_at: i64,
}

impl Version {
    /// The contract's form.
    pub fn into_wire(self, tenant: &TenantId, agent: &AgentId, live_version: i32) -> wire::Agent {
        wire::Agent {
            name: agent.name_in(tenant),
            version: self.version,
            live_version,
            create_time: Some(timestamp(self.created_at)),
            update_time: Some(timestamp(self.created_at)),
            ..self.document.into_wire()
        }
    }
}

impl crate::control::Agent {
    /// The draft in the contract's form.
    pub fn into_wire(self, tenant: &TenantId) -> wire::Agent {
        wire::Agent {
            name: self.id.name_in(tenant),
            live_version: self.live_version,
            create_time: Some(timestamp(self.created_at)),
            update_time: Some(timestamp(self.updated_at)),
            etag: etag(self.updated_at),
            ..self.draft.into_wire()
        }
    }
}

impl Document {
    /// The contract's form, without what is not the document's.
    pub fn into_wire(self) -> wire::Agent {
        let duration = |ms| Some(proto::to_wire(Duration::from_millis(ms)));
        wire::Agent {
            display_name: self.display_name,
            prompt: self.prompt,
            greeting: self.greeting,
            language: self.language,
            voice: Some(self.voice.into_wire()),
            model: Some(wire::Model {
                model: self.model.model,
                max_tokens: self.model.max_tokens,
                fallback: self.model.fallback,
            }),
            turn: Some(wire::TurnSettings {
                endpointing_delay_min: duration(self.turn.endpointing_delay_ms_min),
                endpointing_delay_max: duration(self.turn.endpointing_delay_ms_max),
                barge_in_duration_min: duration(self.turn.barge_in_duration_ms_min),
                endpointing_delay_question: duration(self.turn.endpointing_delay_ms_question),
                endpointing_delay_open: duration(self.turn.endpointing_delay_ms_open),
                barge_in_words_min: self.turn.barge_in_words_min,
                false_barge_in_timeout: duration(self.turn.false_barge_in_timeout_ms),
                preemptive: self.turn.preemptive,
                backchannels: self.turn.backchannels,
                idle_timeout: self.turn.idle_timeout_ms.and_then(duration),
                dtmf_timeout: duration(self.turn.dtmf_timeout_ms),
                dtmf_terminator: self.turn.dtmf_terminator,
                reprompt_delay: duration(self.turn.reprompt_delay_ms),
                goodbye_timeout: duration(self.turn.goodbye_timeout_ms),
            }),
            tools: self.tools,
            apology: self.apology,
            phrases: Some(wire::Phrases {
                fillers: self.phrases.fillers,
                idle_prompts: self.phrases.idle_prompts,
                idle_goodbye: self.phrases.idle_goodbye,
                reprompt: self.phrases.reprompt,
                duration_warning: self.phrases.duration_warning,
                duration_goodbye: self.phrases.duration_goodbye,
                filler_delays: self.phrases.filler_delays_ms.into_iter().filter_map(duration).collect(),
                duration_warning_before: duration(self.phrases.duration_warning_before_ms),
                uninterruptible: lines(&self.phrases.uninterruptible),
            }),
            listening: Some(wire::Listening {
                vendor: Some(self.listening_vendor)
                    .filter(|vendor| !vendor.is_empty())
                    .unwrap_or_else(|| "deepgram".into()),
                model: self.listening_model,
                fallback: self.listening_fallback.map(ListeningFallback::into_wire),
            }),
            call_duration_max: self.call_duration_s_max.and_then(|s| duration(s * 1000)),
            transfers: self.transfers.into_iter().map(Transfer::into_wire).collect(),
            languages: self.languages.into_iter().map(Language::into_wire).collect(),
            ..wire::Agent::default()
        }
    }
}

impl Transfer {
    fn into_wire(self) -> wire::TransferTarget {
        wire::TransferTarget { name: self.name, number: self.number }
    }
}

fn lines(lines: &[Line]) -> Vec<i32> {
    lines.iter().map(|line| wire::Line::from(*line).into()).collect()
}
