//! The settings of turn-taking.

use std::time::Duration;

use proto::{from_wire, tenancy::v1::Agent};

/// The settings of an agent; durations from the end of speech unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// BCP 47 language that the caller's words are in.
    pub language: String,
    /// The wait after words that sound finished.
    pub endpointing_delay_min: Duration,
    /// The wait after a finished question.
    pub endpointing_delay_question: Duration,
    /// The wait after words that cannot be the end, or do not say so.
    pub endpointing_delay_open: Duration,
    /// The longest wait.
    pub endpointing_delay_max: Duration,
    /// The transcriber decides turns: only the longest wait is ours.
    pub transcriber_decides: bool,
    /// Tell a likely end before it is certain.
    pub preemptive: bool,
    /// How long the caller must speak over the agent to take the floor; from the onset.
    pub barge_in_duration_min: Duration,
    /// How many words must be said to take it where the sound alone does not decide.
    pub barge_in_words_min: usize,
    /// How long the words of a barge-in may take.
    pub false_barge_in_timeout: Duration,
    /// Words that do not take the floor, besides the built-in ones.
    pub backchannels: Vec<String>,
    /// How long after speech without words the caller is asked to say it again.
    pub reprompt_delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            language: "en".into(),
            endpointing_delay_min: ms(300),
            endpointing_delay_question: ms(200),
            endpointing_delay_open: ms(1200),
            endpointing_delay_max: ms(2000),
            transcriber_decides: false,
            preemptive: true,
            barge_in_duration_min: ms(160),
            barge_in_words_min: 1,
            false_barge_in_timeout: ms(700),
            backchannels: Vec::new(),
            reprompt_delay: ms(1800),
        }
    }
}

impl Config {
    /// The settings of an agent; what it leaves out has its default.
    pub fn of(agent: &Agent) -> Self {
        let defaults = Self::default();
        let Some(settings) = &agent.turn else {
            return Self { language: agent.language.clone(), ..defaults };
        };
        let or = |value: &Option<_>, default| value.as_ref().map_or(default, from_wire);
        Self {
            language: agent.language.clone(),
            endpointing_delay_min: or(&settings.endpointing_delay_min, defaults.endpointing_delay_min),
            endpointing_delay_question: or(
                &settings.endpointing_delay_question,
                defaults.endpointing_delay_question,
            ),
            endpointing_delay_open: or(&settings.endpointing_delay_open, defaults.endpointing_delay_open),
            endpointing_delay_max: or(&settings.endpointing_delay_max, defaults.endpointing_delay_max),
            transcriber_decides: false,
            preemptive: settings.preemptive,
            barge_in_duration_min: or(&settings.barge_in_duration_min, defaults.barge_in_duration_min),
            barge_in_words_min: usize::try_from(settings.barge_in_words_min.max(1)).unwrap_or(1),
            false_barge_in_timeout: or(&settings.false_barge_in_timeout, defaults.false_barge_in_timeout),
            backchannels: settings.backchannels.clone(),
            reprompt_delay: or(&settings.reprompt_delay, defaults.reprompt_delay),
        }
    }
}
