//! The configuration of a socket that speaks.

use serde_json::{Map, Value};

use crate::sarvam::failure::Failure;
use crate::speech::{Voice, mulaw, wav};

const LANGUAGES: [&str; 11] =
    ["bn-IN", "en-IN", "gu-IN", "hi-IN", "kn-IN", "ml-IN", "mr-IN", "od-IN", "pa-IN", "ta-IN", "te-IN"];
const SPEAKERS_V2: [&str; 7] = ["anushka", "manisha", "vidya", "arya", "abhilash", "karun", "hitesh"];
const SPEAKERS_V3: [&str; 37] = [
    "shubh", "aditya", "ritu", "priya", "neha", "rahul", "pooja", "rohan", "simran", "kavya", "amit", "dev",
    "ishita", "shreya", "ratan", "varun", "manan", "sumit", "roopa", "kabir", "aayan", "ashutosh", "advait",
    "anand", "tanya", "tarun", "sunny", "mani", "gokul", "vijay", "shruti", "suhani", "mohit", "kavitha",
    "rehan", "soham", "rupali",
];
const FIELDS: [&str; 15] = [
    "speaker",
    "model",
    "pace",
    "pitch",
    "loudness",
    "temperature",
    "speech_sample_rate",
    "output_audio_codec",
    "output_audio_bitrate",
    "min_buffer_size",
    "max_chunk_length",
    "enable_preprocessing",
    "dict_id",
    "target_language_code",
    "language_code",
];

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    V2,
    V3,
    V4Flash,
}

impl Model {
    pub(super) fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "bulbul:v2" => Ok(Self::V2),
            "bulbul:v3" => Ok(Self::V3),
            "bulbul:v4-flash" => Ok(Self::V4Flash),
            _ => Err(Failure::invalid(422, format!("Model '{name}' is not supported"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V2 => "bulbul:v2",
            Self::V3 => "bulbul:v3",
            Self::V4Flash => "bulbul:v4-flash",
        }
    }

    /// A voice that belongs to the model.
    fn speaker(self, speaker: Option<&str>) -> Result<String, Failure> {
        let known = match (self, speaker) {
            (Self::V2, None) => return Ok("anushka".to_owned()),
            (Self::V3, None) => return Ok("shubh".to_owned()),
            (Self::V4Flash, None) => return Ok("shubh_enhi_ads".to_owned()),
            (Self::V2, Some(name)) => SPEAKERS_V2.contains(&name),
            (Self::V3, Some(name)) => SPEAKERS_V3.contains(&name),
            (Self::V4Flash, Some(name)) => name.split('_').count() == 3 && name == name.to_lowercase(),
        };
        let name = speaker.unwrap_or_default();
        if known {
            return Ok(name.to_owned());
        }
        let why = format!("Speaker '{name}' is not compatible with model {}", self.name());
        Err(Failure::invalid(422, why))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Mulaw,
    Linear16,
}

/// How a socket speaks.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) voice: Voice,
    pub(super) sample_rate_hz: u32,
    codec: Codec,
    /// Speech begins when so many characters wait.
    pub(super) buffer_min: usize,
    /// Text is cut into sentences of at most so many characters.
    pub(super) chunk_max: usize,
}

impl Config {
    /// Reads the data of a `config` message; `model` is the query's.
    pub(super) fn parse(data: &Value, model: Model, language_field: &str) -> Result<Self, Failure> {
        let Some(fields) = data.as_object() else {
            return Err(Failure::invalid(422, "data must be an object"));
        };
        for name in fields.keys() {
            let is_language = name.ends_with("language_code");
            if !FIELDS.contains(&name.as_str()) || (is_language && name != language_field) {
                return Err(Failure::invalid(422, format!("{name}: extra fields are not permitted")));
            }
        }
        let language = text(fields, language_field)?
            .ok_or_else(|| Failure::invalid(422, format!("{language_field}: field required")))?;
        if !LANGUAGES.contains(&language) {
            return Err(Failure::invalid(422, format!("{language_field}: '{language}' is not supported")));
        }
        let model = text(fields, "model")?.map_or(Ok(model), Model::parse)?;
        let speaker = model.speaker(text(fields, "speaker")?)?;
        let pace_min = if model == Model::V2 { 0.3 } else { 0.5 };
        let pace_max = if model == Model::V2 { 3.0 } else { 2.0 };
        let pace = number(fields, "pace", pace_min, pace_max)?.unwrap_or(1.0);
        for (name, low, high) in [("pitch", -0.75, 0.75), ("loudness", 0.3, 3.0)] {
            if number(fields, name, low, high)?.is_some() && model == Model::V3 {
                return Err(Failure::invalid(422, format!("{name} is not supported by {}", model.name())));
            }
        }
        if number(fields, "temperature", 0.01, 1.0)?.is_some() && model == Model::V2 {
            return Err(Failure::invalid(422, "temperature is not supported by bulbul:v2"));
        }
        let whole = |name, low, high, usual| {
            number(fields, name, low, high).map(|given| given.map_or(usual, |number| number as usize))
        };
        Ok(Self {
            voice: Voice::of(espeak_voice(language), &speaker, pace),
            sample_rate_hz: sample_rate(fields.get("speech_sample_rate"))?,
            codec: codec(text(fields, "output_audio_codec")?)?,
            buffer_min: whole("min_buffer_size", 30.0, 200.0, 50)?,
            chunk_max: whole("max_chunk_length", 50.0, 500.0, 150)?,
        })
    }

    pub(super) fn encode(&self, samples: &[i16]) -> Vec<u8> {
        match self.codec {
            Codec::Mulaw => mulaw::encode_all(samples),
            Codec::Linear16 => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        }
    }

    pub(super) fn bytes_per_second(&self) -> f64 {
        f64::from(self.sample_rate_hz) * if self.codec == Codec::Mulaw { 1.0 } else { 2.0 }
    }

    pub(super) fn content_type(&self) -> &'static str {
        if self.codec == Codec::Mulaw { "audio/mulaw" } else { "audio/l16" }
    }

    /// The header that a WAV file of this audio has.
    pub(super) fn wav_header(&self) -> Vec<u8> {
        let (format, bytes) = if self.codec == Codec::Mulaw { (wav::MULAW, 1) } else { (wav::LINEAR, 2) };
        // The length of a stream is not known.
        wav::header(format, self.sample_rate_hz, bytes, u32::MAX - 36)
    }
}

fn espeak_voice(language: &str) -> &str {
    match &language[..2] {
        "en" => "en-gb",
        "od" => "or",
        other => other,
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Failure> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::invalid(422, format!("{name}: str type expected"))),
    }
}

fn number(fields: &Map<String, Value>, name: &str, low: f64, high: f64) -> Result<Option<f64>, Failure> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64().filter(|number| (low..=high).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Failure::invalid(422, format!("{name}: must be a number of {low} to {high}"))),
        },
    }
}

/// A number, or one in a text, as some clients send it.
fn sample_rate(value: Option<&Value>) -> Result<u32, Failure> {
    let rate = match value {
        None => Some(22_050),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    match rate {
        Some(rate @ (8000 | 16_000 | 22_050 | 24_000)) => Ok(rate as u32),
        _ => Err(Failure::invalid(422, "speech_sample_rate: must be 8000, 16000, 22050 or 24000")),
    }
}

fn codec(name: Option<&str>) -> Result<Codec, Failure> {
    match name.unwrap_or("mp3") {
        "mulaw" => Ok(Codec::Mulaw),
        "linear16" => Ok(Codec::Linear16),
        name @ ("mp3" | "wav" | "alaw" | "opus" | "flac" | "aac") => Err(Failure::invalid(
            422,
            format!("output_audio_codec: {name} is not rehearsed, use mulaw or linear16"),
        )),
        name => Err(Failure::invalid(422, format!("output_audio_codec: '{name}' is not supported"))),
    }
}
