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
    #[serde(default)]
    pub phrases: Phrases,
    /// Who listens; empty: Deepgram.
    #[serde(default)]
    pub listening_vendor: String,
    /// The vendor's model; empty: the node's.
    #[serde(default)]
    pub listening_model: String,
    #[serde(default)]
    pub call_duration_s_max: Option<u64>,
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
                endpointing_delay_question: duration(document.turn.endpointing_delay_ms_question),
                endpointing_delay_open: duration(document.turn.endpointing_delay_ms_open),
                barge_in_words_min: document.turn.barge_in_words_min,
                false_barge_in_timeout: duration(document.turn.false_barge_in_timeout_ms),
                preemptive: document.turn.preemptive,
                backchannels: document.turn.backchannels,
                idle_timeout: document.turn.idle_timeout_ms.and_then(duration),
                dtmf_timeout: duration(document.turn.dtmf_timeout_ms),
                dtmf_terminator: document.turn.dtmf_terminator,
                reprompt_delay: duration(document.turn.reprompt_delay_ms),
                goodbye_timeout: duration(document.turn.goodbye_timeout_ms),
            }),
            tools: document.tools,
            apology: document.apology,
            phrases: Some(wire::Phrases {
                fillers: document.phrases.fillers,
                idle_prompts: document.phrases.idle_prompts,
                idle_goodbye: document.phrases.idle_goodbye,
                reprompt: document.phrases.reprompt,
                duration_warning: document.phrases.duration_warning,
                duration_goodbye: document.phrases.duration_goodbye,
                filler_delays: document.phrases.filler_delays_ms.into_iter().filter_map(duration).collect(),
                duration_warning_before: duration(document.phrases.duration_warning_before_ms),
                uninterruptible: lines(&document.phrases.uninterruptible),
            }),
            listening: Some(wire::Listening {
                vendor: Some(document.listening_vendor)
                    .filter(|vendor| !vendor.is_empty())
                    .unwrap_or_else(|| "deepgram".into()),
                model: document.listening_model,
            }),
            call_duration_max: document.call_duration_s_max.and_then(|s| duration(s * 1000)),
        }
    }
}

fn lines(lines: &[Line]) -> Vec<i32> {
    lines.iter().map(|line| wire::Line::from(*line).into()).collect()
}
