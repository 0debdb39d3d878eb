//! CORE: the messages of `/speech-to-text-realtime/ws`.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// Answered with a pong.
pub const PING: &str = r#"{"event":"ping"}"#;
/// Ends the session after what is still to be said.
pub const END: &str = r#"{"event":"end"}"#;
/// No call lasts as long: a time beyond it is nonsense.
const SECONDS_MAX: f64 = 86_400.0;

/// What matters of a server message.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// Audio may come.
    Begin,
    /// The vendor hears somebody.
    SpeechStart {
        /// Numbers the utterances of the socket.
        utterance: i64,
    },
    /// What was said so far.
    Partial {
        /// All of the utterance.
        text: String,
    },
    /// Somebody has stopped; the final transcript comes later.
    SpeechEnd,
    /// An utterance is settled.
    Final {
        /// Which.
        utterance: i64,
        /// All of it; may be empty.
        text: String,
        /// Where its speech ends, on the vendor's clock.
        end: Option<Duration>,
    },
    /// The vendor is there.
    Pong,
    /// The vendor complains.
    Error {
        /// The session is over.
        fatal: bool,
        /// As of HTTP.
        status: Option<u16>,
        /// Why.
        detail: String,
    },
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    event: String,
    #[serde(default)]
    utterance_idx: i64,
    #[serde(default)]
    text: String,
    end_s: Option<f64>,
    #[serde(default)]
    is_fatal: bool,
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: String,
    #[serde(default)]
    status_code: serde_json::Value,
}

/// Audio as the vendor takes it.
pub fn audio(audio: &[u8]) -> String {
    format!(r#"{{"event":"audio_input","audio":"{}"}}"#, STANDARD.encode(audio))
}

/// Reads a text message; `None` for those that change nothing, unknown ones among them.
pub fn parse(text: &str) -> Option<Incoming> {
    let wire: Wire = match serde_json::from_str(text) {
        Ok(wire) => wire,
        // The error's own text could quote the transcript.
        Err(error) => {
            let detail = format!("unreadable message: {:?}", error.classify());
            return Some(Incoming::Error { fatal: false, status: None, detail });
        }
    };
    let utterance = wire.utterance_idx;
    match wire.event.as_str() {
        "session.begin" => Some(Incoming::Begin),
        "vad.speech_start" => Some(Incoming::SpeechStart { utterance }),
        "transcript.partial" => Some(Incoming::Partial { text: wire.text }),
        "vad.speech_end" => Some(Incoming::SpeechEnd),
        "transcript.final" => {
            Some(Incoming::Final { utterance, text: wire.text, end: wire.end_s.map(seconds) })
        }
        "pong" => Some(Incoming::Pong),
        "error" => {
            let detail = format!("{} {}", wire.code.as_str().unwrap_or_default(), wire.message);
            let status = wire.status_code.as_u64().and_then(|status| status.try_into().ok());
            Some(Incoming::Error { fatal: wire.is_fatal, status, detail })
        }
        _ => None,
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.clamp(0.0, SECONDS_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_finals_with_and_without_times() {
        let text =
            r#"{"event":"transcript.final","utterance_idx":3,"text":"हाँ","language":"hi-IN","end_s":2.1}"#;
        let end = Some(Duration::from_millis(2100));
        assert_eq!(parse(text), Some(Incoming::Final { utterance: 3, text: "हाँ".into(), end }));
        let text = r#"{"event":"transcript.final","utterance_idx":3,"text":""}"#;
        assert_eq!(parse(text), Some(Incoming::Final { utterance: 3, text: String::new(), end: None }));
    }

    #[test]
    fn ignores_what_it_does_not_know() {
        assert_eq!(parse(r#"{"event":"config.updated","applied":[]}"#), None);
        assert_eq!(parse(r#"{"type":"data"}"#), None);
        let error = r#"{"event":"error","code":"x","is_fatal":true,"message":"m","status_code":500}"#;
        assert_eq!(
            parse(error),
            Some(Incoming::Error { fatal: true, status: Some(500), detail: "x m".into() })
        );
        assert!(matches!(parse("{"), Some(Incoming::Error { fatal: false, .. })));
    }

    #[test]
    fn audio_is_base64_in_json() {
        assert_eq!(audio(&[0xFF; 3]), r#"{"event":"audio_input","audio":"////"}"#);
    }
}
