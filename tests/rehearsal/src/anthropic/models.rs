//! What each model takes and refuses.

/// How a model thinks before it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Off unless `enabled` with a budget.
    OnRequest,
    /// On, and can be `disabled` at a low, medium or high effort.
    ByDefault,
    /// On, and at least `between_tools`.
    BetweenTools,
    /// On.
    Always,
}

/// One row of the vendor's table.
pub(super) struct Model {
    pub(super) names: &'static [&'static str],
    pub(super) max_output_tokens: u64,
    pub(super) thinking: Thinking,
    /// Whether the last message may be the assistant's, and `temperature`, `top_p` and `top_k` may be sent (under
    /// the older API versions): what the models before 5.5 take.
    pub(super) older: bool,
    pub(super) forced_tool_choice: bool,
    /// A shorter prefix is not cached, without a word.
    pub(super) min_cache_tokens: u64,
    /// Of 1000 characters of text.
    tokens_per_1000_chars: u64,
}

const MODELS: [Model; 4] = [
    Model {
        names: &["claude-haiku-4-5-20251001", "claude-haiku-4-5"],
        max_output_tokens: 64_000,
        thinking: Thinking::OnRequest,
        older: true,
        forced_tool_choice: true,
        min_cache_tokens: 4096,
        tokens_per_1000_chars: 250,
    },
    Model {
        names: &["claude-haiku-5-5"],
        max_output_tokens: 128_000,
        thinking: Thinking::ByDefault,
        older: false,
        forced_tool_choice: true,
        min_cache_tokens: 512,
        tokens_per_1000_chars: 325,
    },
    Model {
        names: &["claude-sonnet-5-5"],
        max_output_tokens: 128_000,
        thinking: Thinking::BetweenTools,
        older: false,
        forced_tool_choice: false,
        min_cache_tokens: 512,
        tokens_per_1000_chars: 325,
    },
    Model {
        names: &["claude-opus-5-5"],
        max_output_tokens: 128_000,
        thinking: Thinking::Always,
        older: false,
        forced_tool_choice: false,
        min_cache_tokens: 512,
        tokens_per_1000_chars: 325,
    },
];

pub(super) fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.names.contains(&name))
}

impl Model {
    /// About how many tokens a text of so many characters has.
    pub(super) fn tokens(&self, chars: usize) -> u64 {
        (chars as u64 * self.tokens_per_1000_chars).div_ceil(1000)
    }
}
