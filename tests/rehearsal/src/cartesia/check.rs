//! What a client must send.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::{Failure, Version};
use crate::speech::{Voice, mulaw, wav};

/// What may stand in the query.
#[derive(Deserialize)]
pub(super) struct Credentials {
    api_key: Option<String>,
    access_token: Option<String>,
    cartesia_version: Option<String>,
}

impl Credentials {
    /// A key and a version, from the query or the headers.
    pub(super) fn check(&self, headers: &HeaderMap, only_key: Option<&str>) -> Result<Version, Failure> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        let in_query = self.api_key.as_deref().or(self.access_token.as_deref());
        let key = header("x-api-key").or(bearer).or(in_query).unwrap_or_default();
        if key.is_empty() || only_key.is_some_and(|only| only != key) {
            return Err(Failure::unauthorized("the API key is missing or wrong"));
        }
        let version = self.cartesia_version.as_deref().or(header("cartesia-version"));
        let Some(version) = version else {
            return Err(Failure::unauthorized("the Cartesia-Version header is required"));
        };
        Version::parse(version).ok_or_else(|| Failure::bad(format!("{version} is not an API version")))
    }
}

/// A message on the socket.
pub(super) enum Message {
    Generate(Box<Input>),
    Cancel(String),
}

/// One piece of a context's text.
pub(super) struct Input {
    pub(super) context: String,
    pub(super) transcript: String,
    pub(super) more: bool,
    pub(super) flush: bool,
    /// Everything that must be the same in each input of a context.
    pub(super) fixed: Map<String, Value>,
    pub(super) delay: Duration,
    pub(super) timestamps: bool,
    pub(super) format: Format,
}

/// A single request over HTTP.
pub(super) struct Whole {
    pub(super) transcript: String,
    pub(super) format: Format,
}

/// Voice and encoding.
#[derive(Clone)]
pub(super) struct Format {
    pub(super) voice: Voice,
    pub(super) sample_rate_hz: u32,
    encoding: Encoding,
    wav: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    MuLaw,
    S16Le,
}

impl Format {
    pub(super) fn encode(&self, samples: &[i16]) -> Vec<u8> {
        match self.encoding {
            Encoding::MuLaw => mulaw::encode_all(samples),
            Encoding::S16Le => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        }
    }

    pub(super) fn bytes_per_sample(&self) -> usize {
        if self.encoding == Encoding::MuLaw { 1 } else { 2 }
    }

    /// Content type and body of an answer over HTTP.
    pub(super) fn whole(&self, samples: &[i16]) -> (&'static str, Vec<u8>) {
        let audio = self.encode(samples);
        if !self.wav {
            return ("application/octet-stream", audio);
        }
        let (format, width) =
            if self.encoding == Encoding::MuLaw { (wav::MULAW, 1) } else { (wav::LINEAR, 2) };
        let mut file = wav::header(format, self.sample_rate_hz, width, audio.len() as u32);
        file.extend(audio);
        ("audio/wav", file)
    }
}

/// The text without inline tags such as `<break time="1s" />`.
pub(super) fn speakable(text: &str) -> String {
    let mut rest = text;
    let mut spoken = String::new();
    while let Some((before, tag)) = rest.split_once('<') {
        spoken.push_str(before);
        match tag.split_once('>') {
            Some((_, after)) => rest = after,
            None => return spoken,
        }
    }
    spoken + rest
}

/// The fields of a message, and its context if it names one. `None`: not a JSON object.
pub(super) fn fields(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// A message that is a JSON object.
pub(super) fn message(mut fields: Map<String, Value>, version: Version) -> Result<Message, Failure> {
    let context = match fields.remove("context_id") {
        Some(Value::String(id)) if !id.is_empty() => id,
        _ => return Err(Failure::bad("context_id is required")),
    };
    if fields.get("cancel") == Some(&Value::Bool(true)) {
        return Ok(Message::Cancel(context));
    }
    no_nulls(&fields)?;
    let transcript = transcript(fields.remove("transcript"))?;
    let more = flag(fields.remove("continue"), "continue")?;
    let flush = flag(fields.remove("flush"), "flush")?;
    fields.remove("duration");
    let format = format(&fields, version, false)?;
    let delay = match fields.get("max_buffer_delay_ms") {
        None => 3000,
        Some(value) => value
            .as_u64()
            .filter(|ms| *ms <= 5000)
            .ok_or_else(|| Failure::bad("max_buffer_delay_ms must be an integer of 0 to 5000"))?,
    };
    let timestamps = flag(fields.get("add_timestamps").cloned(), "add_timestamps")?;
    let delay = Duration::from_millis(delay);
    Ok(Message::Generate(Box::new(Input {
        context,
        transcript,
        more,
        flush,
        fixed: fields,
        delay,
        timestamps,
        format,
    })))
}

/// The body of `POST /tts/bytes`.
pub(super) fn whole(body: &[u8], version: Version) -> Result<Whole, Failure> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| Failure::bad(format!("the body is not valid JSON: {error}")))?;
    no_nulls(&fields)?;
    let transcript = transcript(fields.remove("transcript"))?;
    if transcript.trim().is_empty() {
        return Err(Failure::bad("transcript is empty"));
    }
    Ok(Whole { transcript, format: format(&fields, version, true)? })
}

fn no_nulls(fields: &Map<String, Value>) -> Result<(), Failure> {
    match fields.iter().find(|(_, value)| value.is_null()) {
        Some((name, _)) => Err(Failure::bad(format!("{name} is null: leave it out"))),
        None => Ok(()),
    }
}

fn transcript(value: Option<Value>) -> Result<String, Failure> {
    match value {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Failure::bad("transcript is required and must be a string")),
    }
}

fn flag(value: Option<Value>, name: &str) -> Result<bool, Failure> {
    match value {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(value),
        Some(_) => Err(Failure::bad(format!("{name} must be a boolean"))),
    }
}

fn format(fields: &Map<String, Value>, version: Version, over_http: bool) -> Result<Format, Failure> {
    const SERVED: [&str; 7] = [
        "sonic-3.6",
        "sonic-3.5",
        "sonic-3.5-2026-05-04",
        "sonic-3",
        "sonic-3-2026-01-12",
        "sonic-3-2025-10-27",
        "sonic-latest",
    ];
    const SUNSET: [&str; 4] = ["sonic", "sonic-english", "sonic-multilingual", "sonic-2-2025-03-07"];
    match fields.get("model_id").and_then(Value::as_str) {
        Some(model) if SERVED.contains(&model) => {}
        Some(model) if SUNSET.contains(&model) => return Err(Failure::sunset(model)),
        Some(model) => return Err(Failure::bad(format!("model {model} does not exist"))),
        None => return Err(Failure::bad("model_id is required")),
    }
    let output = fields.get("output_format").ok_or_else(|| Failure::bad("output_format is required"))?;
    let wav = match output["container"].as_str() {
        Some("raw") => false,
        Some("wav") if over_http => true,
        _ => return Err(Failure::bad("output_format.container must be raw (over HTTP: or wav)")),
    };
    let encoding = match output["encoding"].as_str() {
        Some("pcm_mulaw") => Encoding::MuLaw,
        Some("pcm_s16le") => Encoding::S16Le,
        Some("pcm_f32le" | "pcm_alaw") => {
            return Err(Failure::bad(
                "output_format.encoding: the rehearsal makes pcm_mulaw and pcm_s16le only",
            ));
        }
        _ => return Err(Failure::bad("output_format.encoding is not one of the known encodings")),
    };
    let sample_rate_hz = match output["sample_rate"].as_u64() {
        Some(rate @ (8000 | 16_000 | 22_050 | 24_000 | 44_100 | 48_000)) => rate as u32,
        _ => return Err(Failure::bad("output_format.sample_rate is not one of the known rates")),
    };
    let voice = voice(fields, version)?;
    Ok(Format { voice, sample_rate_hz, encoding, wav })
}

/// A voice of espeak-ng: the language is the text's, pitch and tempo follow from the voice's id.
fn voice(fields: &Map<String, Value>, version: Version) -> Result<Voice, Failure> {
    let voice = fields.get("voice").ok_or_else(|| Failure::bad("voice is required"))?;
    let short_form = version >= Version::V20260814 && (voice.is_string() || voice.get("mode").is_none());
    let id = match voice["mode"].as_str() {
        Some("id") => voice["id"].as_str(),
        Some("embedding") => return Err(Failure::sunset("the embedding form of voices")),
        None if short_form => voice.as_str().or(voice["id"].as_str()),
        _ => None,
    };
    let id = id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Failure::bad("voice must be {\"mode\":\"id\",\"id\":..}"))?;
    let name = match fields.get("language") {
        None => "en-us",
        Some(Value::String(language)) if language == "en" => "en-us",
        Some(Value::String(code)) if code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase()) => code,
        Some(_) => return Err(Failure::bad("language must be an ISO 639-1 code")),
    };
    let between =
        |name: &str, low: f64, high: f64| match fields.get("generation_config").and_then(|c| c.get(name)) {
            None => Ok(1.0),
            Some(value) => value.as_f64().filter(|value| (low..=high).contains(value)).ok_or_else(|| {
                Failure::bad(format!("generation_config.{name} must be a number of {low} to {high}"))
            }),
        };
    let speed = between("speed", 0.6, 1.5)?;
    between("volume", 0.5, 2.0)?;
    Ok(Voice::of(name, id, speed))
}
