//! CORE: the messages of `/v1/listen`.

use std::time::Duration;

use serde::Deserialize;

use crate::stt::Transcript;

/// Asks for the final transcript of what was heard so far.
pub const FINALIZE: &str = r#"{"type":"Finalize"}"#;
/// Keeps the stream open while no audio flows; must be text.
pub const KEEP_ALIVE: &str = r#"{"type":"KeepAlive"}"#;

/// What matters of a server message.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A result; its end is on the vendor's clock.
    Transcript(Transcript),
    /// A gap after the last word.
    UtteranceEnd,
    /// The vendor complains.
    Error(String),
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    start: f64,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    speech_final: bool,
    #[serde(default)]
    from_finalize: bool,
    channel: Option<serde_json::Value>,
    description: Option<String>,
    message: Option<String>,
    last_word_end: Option<f64>,
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// Reads a text message; `None` for those that change nothing, unknown ones among them.
pub fn parse(text: &str) -> Option<Incoming> {
    let wire: Wire = match serde_json::from_str(text) {
        Ok(wire) => wire,
        // The error's own text could quote the transcript.
        Err(error) => return Some(Incoming::Error(format!("unreadable message: {:?}", error.classify()))),
    };
    match wire.kind.as_str() {
        "Results" => {
            let words = wire
                .channel
                .as_ref()
                .and_then(|channel| channel.pointer("/alternatives/0/transcript"))
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            Some(Incoming::Transcript(Transcript {
                text: words.to_owned(),
                is_final: wire.is_final,
                utterance_over: wire.speech_final || wire.from_finalize,
                end: seconds(wire.start + wire.duration),
            }))
        }
        // Without words there is nothing that could be over.
        "UtteranceEnd" => wire.last_word_end.is_none_or(|end| end >= 0.0).then_some(Incoming::UtteranceEnd),
        "Error" => Some(Incoming::Error(wire.description.or(wire.message).unwrap_or_default())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_results() {
        let text = r#"{"type":"Results","channel_index":[0,1],"duration":1.5,"start":6.0,"is_final":true,
            "speech_final":false,"from_finalize":true,"channel":{"alternatives":[{"transcript":"Tell me more.","words":[]}]},
            "metadata":{}}"#;
        let Some(Incoming::Transcript(transcript)) = parse(text) else { panic!("not a transcript") };
        assert_eq!(transcript.text, "Tell me more.");
        assert!(transcript.is_final && transcript.utterance_over);
        assert_eq!(transcript.end, Duration::from_millis(7500));
    }

    #[test]
    fn ignores_what_it_does_not_know() {
        assert_eq!(parse(r#"{"type":"Metadata","channels":1,"duration":3.0}"#), None);
        assert_eq!(parse(r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":9.5}"#), None);
        assert_eq!(parse(r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":-1}"#), None);
        assert_eq!(parse(r#"{"type":"UtteranceEnd","last_word_end":2.3}"#), Some(Incoming::UtteranceEnd));
        assert!(matches!(parse("{"), Some(Incoming::Error(_))));
    }
}
