//! CORE: the messages of `/tts/websocket`.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::{
    audio::Encoding,
    socket::{self, primary_language},
    tts::{Settings, Word},
};

/// No call lasts as long: a time beyond it is nonsense.
const SECONDS_MAX: f64 = 86_400.0;

/// What matters of a server message.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// Audio.
    Chunk {
        /// Whose.
        context_id: String,
        /// In the format that was asked for.
        payload: Bytes,
    },
    /// Word times.
    Words {
        /// Whose.
        context_id: String,
        /// In order.
        words: Vec<Word>,
    },
    /// A text of the context was spoken.
    FlushDone {
        /// Which.
        context_id: String,
    },
    /// The context is over.
    Done {
        /// Which.
        context_id: String,
    },
    /// The vendor complains; without a context it is about the socket.
    Error {
        /// Whose, where the vendor says so.
        context_id: Option<String>,
        /// Why.
        detail: String,
        /// What was asked for is at fault: another call's request may be taken.
        is_requests_own: bool,
    },
    /// Nothing that matters.
    Other,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    context_id: Option<String>,
    data: Option<String>,
    word_timestamps: Option<WordTimestamps>,
    status_code: Option<i64>,
    error_code: Option<String>,
    title: Option<String>,
    message: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct WordTimestamps {
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    end: Vec<f64>,
}

/// The request that adds text to a context, or ends it with `more` false.
pub fn generation(settings: &Settings, context_id: &str, transcript: &str, more: bool) -> String {
    // The segments are cut before they come here: buffering by the vendor as well would only add latency.
    json!({
        "context_id": context_id,
        "model_id": settings.model,
        "transcript": transcript,
        "voice": {"mode": "id", "id": settings.voice_id},
        "language": primary_language(&settings.language),
        "continue": more,
        "max_buffer_delay_ms": 0,
        "output_format": {
            "container": "raw",
            "encoding": match settings.format.encoding() {
                Encoding::Mulaw => "pcm_mulaw",
                Encoding::PcmS16le => "pcm_s16le",
            },
            "sample_rate": settings.format.sample_rate_hz(),
        },
        "add_timestamps": true,
        "use_normalized_timestamps": false,
    })
    .to_string()
}

/// The request that cancels a context.
pub fn cancel(context_id: &str) -> String {
    json!({"context_id": context_id, "cancel": true}).to_string()
}

/// Text without the characters that the vendor reads as tags.
pub fn speakable(text: &str) -> String {
    text.replace(['<', '>'], " ")
}

/// Reads a text message. An error also says `done`: the type is looked at first.
pub fn parse(text: &str) -> Incoming {
    let wire: Wire = match serde_json::from_str(text) {
        Ok(wire) => wire,
        Err(error) => {
            // The error's own text could quote what is spoken.
            let detail = format!("unreadable message: {:?}", error.classify());
            return Incoming::Error { context_id: None, detail, is_requests_own: false };
        }
    };
    match (wire.kind.as_str(), wire.context_id) {
        ("chunk", Some(context_id)) => match STANDARD.decode(wire.data.unwrap_or_default()) {
            Ok(payload) => Incoming::Chunk { context_id, payload: payload.into() },
            Err(error) => {
                let detail = format!("bad base64: {error}");
                Incoming::Error { context_id: Some(context_id), detail, is_requests_own: false }
            }
        },
        ("timestamps", Some(context_id)) => {
            let times = wire.word_timestamps.unwrap_or(WordTimestamps { words: vec![], end: vec![] });
            let words = times.words.into_iter().zip(times.end);
            let words = words.map(|(text, end)| Word { text, end: seconds(end) }).collect();
            Incoming::Words { context_id, words }
        }
        ("flush_done", Some(context_id)) => Incoming::FlushDone { context_id },
        ("done", Some(context_id)) => Incoming::Done { context_id },
        ("error", context_id) => {
            let status = wire.status_code.unwrap_or_default();
            let parts = [wire.error_code, wire.title, wire.message, wire.error];
            let text = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
            let is_requests_own = u16::try_from(status).is_ok_and(socket::is_requests_own);
            Incoming::Error { context_id, detail: format!("{status} {text}"), is_requests_own }
        }
        _ => Incoming::Other,
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.clamp(0.0, SECONDS_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_shapes_of_an_error_and_never_takes_one_for_the_end() {
        let new = r#"{"type":"error","context_id":"c","done":true,"status_code":429,
            "error_code":"concurrency_limited","title":"Too Many Requests","message":"m"}"#;
        assert_eq!(
            parse(new),
            Incoming::Error {
                context_id: Some("c".into()),
                detail: "429 concurrency_limited: Too Many Requests: m".into(),
                is_requests_own: false,
            }
        );
        let old = r#"{"type":"error","error":"Bad: thing","status_code":400,"done":true,"context_id":null}"#;
        let detail = "400 Bad: thing".into();
        assert_eq!(parse(old), Incoming::Error { context_id: None, detail, is_requests_own: true });
    }

    #[test]
    fn reads_audio_and_times() {
        let chunk = r#"{"type":"chunk","context_id":"c","data":"//8=","done":false,"status_code":206}"#;
        assert_eq!(
            parse(chunk),
            Incoming::Chunk { context_id: "c".into(), payload: Bytes::from_static(&[0xFF; 2]) }
        );
        let times = r#"{"type":"timestamps","context_id":"c","word_timestamps":{"words":["Hello,"],"start":[0.0],"end":[0.42]}}"#;
        let Incoming::Words { words, .. } = parse(times) else { panic!("not words") };
        assert_eq!(words, vec![Word { text: "Hello,".into(), end: Duration::from_millis(420) }]);
        assert_eq!(
            parse(r#"{"type":"flush_done","context_id":"c","done":false,"flush_done":true}"#),
            Incoming::FlushDone { context_id: "c".into() }
        );
        assert!(matches!(
            parse(r#"{"type":"chunk","context_id":"c","data":"?"}"#),
            Incoming::Error { context_id: Some(_), .. }
        ));
    }
}
