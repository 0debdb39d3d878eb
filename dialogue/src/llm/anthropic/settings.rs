//! The lowest-latency setting that each model family allows. Sampling parameters are never sent: the current version of
//! the API refuses them.

use serde::Serialize;

/// What a request adds for its model.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Thinking {
    r#type: &'static str,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct OutputConfig {
    effort: &'static str,
}

impl Settings {
    /// For a model id. A family that is not known gets the vendor's defaults: a wrong setting is refused, a slow one not.
    pub(super) fn of(model: &str) -> Self {
        let thinking = |r#type| Self { thinking: Some(Thinking { r#type }), ..Self::default() };
        if model.starts_with("claude-haiku-5-5") || model.starts_with("claude-haiku-4-5") {
            thinking("disabled")
        } else if model.starts_with("claude-sonnet-5-5") {
            thinking("between_tools")
        } else if model.starts_with("claude-opus-5-5") {
            Self { output_config: Some(OutputConfig { effort: "low" }), ..Self::default() }
        } else {
            Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn each_family_gets_its_fastest_setting() {
        for (model, wanted) in [
            ("claude-haiku-5-5", r#"{"thinking":{"type":"disabled"}}"#),
            ("claude-haiku-4-5-20251001", r#"{"thinking":{"type":"disabled"}}"#),
            ("claude-sonnet-5-5", r#"{"thinking":{"type":"between_tools"}}"#),
            ("claude-opus-5-5", r#"{"output_config":{"effort":"low"}}"#),
            ("claude-someday", "{}"),
        ] {
            assert_eq!(serde_json::to_string(&Settings::of(model)).unwrap(), wanted, "{model}");
        }
    }
}
