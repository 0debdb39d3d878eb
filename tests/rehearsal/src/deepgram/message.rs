//! What the server says, in the vendor's JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use super::params::Params;
use crate::hearing::Transcript;
use crate::recordings::{Heard, SAMPLE_RATE_HZ};

/// Samples as the vendor states times: seconds with three decimals.
pub(super) fn seconds(samples: u64) -> f64 {
    (samples as f64 / SAMPLE_RATE_HZ as f64 * 1000.0).round() / 1000.0
}

pub(super) fn results(transcript: &Transcript, params: &Params, request_id: Uuid) -> Value {
    let words: Vec<Value> = transcript.words.iter().map(|word| word_json(word, params)).collect();
    let text = text(transcript, params.formatted);
    let confidence = if words.is_empty() { 0.0 } else { 0.998 };
    let model = if params.model.is_empty() { "nova-2" } else { params.model.as_str() };
    json!({
        "type": "Results",
        "channel_index": [0, 1],
        "start": seconds(transcript.start),
        "duration": seconds(transcript.end - transcript.start),
        "is_final": transcript.is_final,
        "speech_final": transcript.speech_final,
        "from_finalize": transcript.from_finalize,
        "channel": {"alternatives": [{"transcript": text, "confidence": confidence, "words": words}]},
        "metadata": {
            "request_id": request_id.to_string(),
            "model_info": {"name": model, "version": "rehearsal", "arch": model},
            "model_uuid": "00000000-0000-0000-0000-000000000000",
        },
    })
}

/// The words in one line.
pub(super) fn text(transcript: &Transcript, formatted: bool) -> String {
    let words = transcript.words.iter();
    words
        .map(|word| if formatted { word.text.clone() } else { plain(&word.text) })
        .collect::<Vec<_>>()
        .join(" ")
}

fn word_json(word: &Heard, params: &Params) -> Value {
    let mut json = json!({
        "word": plain(&word.text),
        "start": seconds(word.start),
        "end": seconds(word.end),
        "confidence": 0.998,
    });
    if params.formatted {
        json["punctuated_word"] = word.text.clone().into();
    }
    if params.language == "multi" {
        json["language"] = if word.text.is_ascii() { "en" } else { "hi" }.into();
    }
    json
}

/// Lower case, without the marks around it.
fn plain(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

pub(super) fn speech_started(at: u64) -> Value {
    json!({"type": "SpeechStarted", "channel": [0, 1], "timestamp": seconds(at)})
}

pub(super) fn utterance_end(last_word_end: u64) -> Value {
    json!({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": seconds(last_word_end)})
}

pub(super) fn metadata(request_id: Uuid, sha256: &str, created: SystemTime, duration: f64) -> Value {
    json!({
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": request_id.to_string(),
        "sha256": sha256,
        "created": rfc3339(created),
        "duration": duration,
        "channels": 1,
    })
}

pub(super) fn error(description: &str) -> Value {
    json!({
        "type": "Error",
        "variant": "SchemaError",
        "description": description,
        "message": "Could not deserialize last text message.",
    })
}

/// Days and months by the civil calendar (Howard Hinnant's algorithm), to the second, in UTC.
fn rfc3339(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        let date = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date(1_793_491_200), "2026-11-01T00:00:00Z");
    }
}
