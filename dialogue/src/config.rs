//! What the operator sets.

use std::time::Duration;

use url::Url;

/// Settings of the role.
#[derive(Debug, Clone)]
pub struct Config {
    /// An origin: the adapter adds the whole path; `ws` and `wss` mean `http` and `https`.
    pub anthropic_base_url: Url,
    /// The `anthropic-version` header.
    pub anthropic_version: String,
    /// Used in place of every agent's own model.
    pub model_override: Option<String>,
    /// Asked where an agent names no fallback of its own, its model does not answer and nothing was spoken yet.
    pub fallback_model: Option<String>,
    /// The most tokens of one reply, whatever the agent asks for; at least 1.
    pub max_tokens: u32,
    /// How long one `Converse` stream may live.
    pub session_duration_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            anthropic_base_url: Url::parse("https://api.anthropic.com").expect("a constant that parses"),
            anthropic_version: "2026-10-21".to_owned(),
            model_override: None,
            fallback_model: None,
            max_tokens: 1024,
            session_duration_max: Duration::from_secs(4 * 3600),
        }
    }
}
