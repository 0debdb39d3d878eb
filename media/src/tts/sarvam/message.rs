//! CORE: the messages of `/text-to-speech/ws`.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{socket::primary_language, tts::Settings};

/// Speaks what was sent so far.
pub const FLUSH: &str = r#"{"type":"flush"}"#;
/// Keeps the socket open while nothing is said; no answer comes.
pub const PING: &str = r#"{"type":"ping"}"#;
/// The vendor's usual model.
const MODEL: &str = "bulbul:v3";

/// What matters of a server message.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// In the format that was asked for.
    Audio(Bytes),
    /// All audio of what was flushed has come.
    Final,
    /// The vendor complains.
    Error {
        /// In the manner of HTTP, where the vendor says so.
        status: Option<u16>,
        /// Why.
        detail: String,
    },
    /// Nothing that matters.
    Other,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    data: Value,
}

/// The model that is asked for.
pub fn model(settings: &Settings) -> &str {
    if settings.model.is_empty() { MODEL } else { &settings.model }
}

/// The first message of a socket. The vendor's own clients disagree about the name of the language's field.
pub fn config(settings: &Settings, language_field: &str) -> String {
    let mut data = json!({
        "model": model(settings),
        "speech_sample_rate": settings.format.sample_rate_hz(),
        "output_audio_codec": settings.format.encoding().name(),
    });
    data[language_field] = language(&settings.language).into();
    if !settings.voice_id.is_empty() {
        data["speaker"] = settings.voice_id.to_lowercase().into();
    }
    json!({"type": "config", "data": data}).to_string()
}

/// The message that adds text.
pub fn text(text: &str) -> String {
    json!({"type": "text", "data": {"text": text}}).to_string()
}

/// All languages of the vendor are India's, `en-IN`; Odia is `od` here and `or` in BCP 47.
fn language(language: &str) -> String {
    match primary_language(language).as_str() {
        "or" => "od-IN".into(),
        primary => format!("{primary}-IN"),
    }
}

/// Reads a text message.
pub fn parse(text: &str) -> Incoming {
    let wire: Wire = match serde_json::from_str(text) {
        Ok(wire) => wire,
        Err(error) => {
            return Incoming::Error {
                status: None,
                detail: format!("unreadable message: {:?}", error.classify()),
            };
        }
    };
    match (wire.kind.as_str(), &wire.data) {
        ("audio", data) => match STANDARD.decode(data["audio"].as_str().unwrap_or_default()) {
            Ok(audio) => Incoming::Audio(without_header(audio.into())),
            Err(error) => Incoming::Error { status: None, detail: format!("bad base64: {error}") },
        },
        ("event", data) if data["event_type"] == "final" => Incoming::Final,
        ("error", data) => {
            let message = data["message"].as_str().unwrap_or_default();
            let code = &data["code"];
            let in_message = message.get(..3).and_then(|digits| digits.parse().ok());
            let status = code.as_u64().and_then(|code| code.try_into().ok());
            let status = status
                .or_else(|| code.as_str()?.parse().ok())
                .or_else(|| named(code.as_str()?))
                .or(in_message);
            let code = code.as_str().unwrap_or_default();
            Incoming::Error { status, detail: format!("{} {code} {message}", status.unwrap_or_default()) }
        }
        _ => Incoming::Other,
    }
}

/// The HTTP status that goes with a name for it, where that tells whose fault it is.
fn named(code: &str) -> Option<u16> {
    Some(match code {
        "invalid_request_error" => 400,
        "invalid_api_key_error" | "authentication_error" => 403,
        "not_found_error" => 404,
        "unprocessable_entity_error" => 422,
        "rate_limit_exceeded_error" => 429,
        _ => return None,
    })
}

/// Now and then the vendor begins raw audio with the header of a WAV file.
fn without_header(mut audio: Bytes) -> Bytes {
    if !audio.starts_with(b"RIFF") {
        return audio;
    }
    let mut at = 12;
    while let Some(header) = audio.get(at..at + 8) {
        if &header[..4] == b"data" {
            return audio.split_off(at + 8);
        }
        let length = header[4..].iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
        at = at.saturating_add(8).saturating_add(length);
    }
    Bytes::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_error_is_found_wherever_it_stands() {
        for (data, expected) in [
            (json!({"message": "no", "code": 422}), Some(422)),
            (json!({"message": "no", "code": "429"}), Some(429)),
            (json!({"message": "400: Speaker 'x' is not compatible", "code": null}), Some(400)),
            (json!({"message": "no", "code": "insufficient_quota_error"}), None),
            (json!({}), None),
        ] {
            let Incoming::Error { status, .. } = parse(&json!({"type": "error", "data": data}).to_string())
            else {
                panic!("{data} is an error");
            };
            assert_eq!(status, expected, "{data}");
        }
        assert!(matches!(parse("{"), Incoming::Error { status: None, .. }));
    }

    #[test]
    fn a_wav_header_is_no_sound() {
        let mut wav = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0".to_vec();
        wav.extend([0; 16]);
        wav.extend(b"LIST\x04\0\0\0abcddata\xff\xff\xff\xff\x01\x02");
        assert_eq!(without_header(wav.into()), Bytes::from_static(&[1, 2]));
        assert_eq!(without_header(Bytes::from_static(b"RIFFxxxxWAVEfmt \xff\xff\xff\xff")), Bytes::new());
        assert_eq!(without_header(Bytes::from_static(b"abc")), Bytes::from_static(b"abc"));
    }

    #[test]
    fn messages_that_mean_nothing_are_passed_over() {
        for text in
            [r#"{"event":"x"}"#, r#"{"type":"pong"}"#, r#"{"type":"event","data":{"event_type":"progress"}}"#]
        {
            assert_eq!(parse(text), Incoming::Other, "{text}");
        }
    }

    #[test]
    fn odia_has_a_name_of_its_own() {
        assert_eq!(
            [language("or-IN"), language("hi"), language("en-US")],
            ["od-IN", "hi-IN", "en-IN"].map(str::to_owned)
        );
    }
}
