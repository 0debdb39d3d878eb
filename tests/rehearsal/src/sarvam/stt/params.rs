//! The query of `/speech-to-text-realtime/ws`, checked as the vendor checks it.

use serde_json::{Value, json};

use crate::hearing::Options;
use crate::hearing::decode::Encoding;

const LANGUAGES: [&str; 23] = [
    "en", "hi", "bn", "kn", "ml", "mr", "or", "pa", "ta", "te", "gu", "as", "ur", "ne", "kok", "ks", "sd",
    "sa", "sat", "mni", "brx", "mai", "doi",
];
const STREAM_TYPES: [&str; 3] = ["fast", "balanced", "simulated"];
const MODES: [&str; 5] = ["transcribe", "translate", "verbatim", "translit", "codemix"];
const SILENCE_MS: u64 = 500;

/// What a socket asked for. The reason of a close is the vendor's way to refuse it.
#[derive(Clone, Debug)]
pub(in crate::sarvam) struct Params {
    pub(super) model: String,
    pub(super) language: String,
    pub(super) stream_type: String,
    pub(super) mode: String,
    pub(super) encoding: Encoding,
    encoding_name: String,
    sample_rate_hz: u32,
    pub(super) timestamps: bool,
    pub(super) silence_ms: u64,
}

impl Params {
    pub(in crate::sarvam) fn parse(query: &str) -> Result<Self, String> {
        let mut params = Self {
            model: "saaras:v3-realtime".into(),
            language: String::new(),
            stream_type: "balanced".into(),
            mode: "transcribe".into(),
            encoding: Encoding::Linear16k,
            encoding_name: "linear16".into(),
            sample_rate_hz: 16_000,
            timestamps: false,
            silence_ms: SILENCE_MS,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "model" => params.model = value,
                "language_code" => params.language = value,
                "stream_type" => params.stream_type = value,
                "mode" => params.mode = value,
                "encoding" => params.encoding_name = value,
                "sample_rate" => params.sample_rate_hz = value.parse().unwrap_or(0),
                "return_timestamps" => params.timestamps = value == "true",
                "silence_duration_ms" => {
                    params.silence_ms =
                        value.parse().map_err(|_| "silence_duration_ms must be an integer".to_owned())?;
                }
                "endpointing" if value == "vad" => {}
                "endpointing" => return Err("endpointing: only vad is rehearsed".into()),
                "threshold" | "prefix_padding_ms" | "min_speech_duration_ms" | "prompt" => {}
                _ => return Err(format!("Unknown query parameter: {name}")),
            }
        }
        params.check()
    }

    fn check(mut self) -> Result<Self, String> {
        if !["saaras:v3-realtime", "saaras:v4"].contains(&self.model.as_str()) {
            return Err(format!("Unsupported model: {}", self.model));
        }
        check_language(&self.language)?;
        if !STREAM_TYPES.contains(&self.stream_type.as_str()) || !MODES.contains(&self.mode.as_str()) {
            return Err("Unsupported stream_type or mode".into());
        }
        let encoding = Encoding::parse(Some(&self.encoding_name), Some(self.sample_rate_hz))?;
        self.encoding = encoding
            .filter(|encoding| *encoding != Encoding::Linear24k)
            .ok_or("sample_rate must be 8000 or 16000")?;
        Ok(self)
    }

    pub(super) fn hearing(&self) -> Options {
        Options {
            interim_results: self.stream_type != "simulated",
            vad_events: true,
            endpointing_ms: Some(self.silence_ms),
            utterance_end_ms: None,
        }
    }

    /// The settings, as the vendor repeats them.
    pub(super) fn echo(&self) -> Value {
        json!({
            "model": self.model, "language_code": self.language, "encoding": self.encoding_name,
            "sample_rate": self.sample_rate_hz, "stream_type": self.stream_type, "mode": self.mode,
            "turn_detection": "vad", "threshold": 0.5, "silence_duration_ms": self.silence_ms,
        })
    }
}

/// Odia is `or-IN` here, not `od-IN` as on the vendor's other sockets.
pub(super) fn check_language(code: &str) -> Result<(), String> {
    let known =
        code == "auto" || code.strip_suffix("-IN").is_some_and(|language| LANGUAGES.contains(&language));
    if known { Ok(()) } else { Err(format!("Unsupported language_code: {code:?}")) }
}
