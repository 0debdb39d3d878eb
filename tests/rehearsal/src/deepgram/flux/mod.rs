//! CORE: the dialect of `/v2/listen`: Flux, which decides when a turn is over.

mod confidence;
mod params;
mod turns;

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::message::seconds;
use super::session::{Dialect, Effect, Say, event};
use crate::recordings::{Heard, Library};
pub(super) use params::Params;
use turns::{Kind, TurnInfo, Turns};

pub(super) struct Flux {
    params: Params,
    request_id: Uuid,
    turns: Turns,
    /// The number of the next message.
    sequence: u64,
}

impl Flux {
    pub(super) fn new(params: Params, library: Arc<Library>, request_id: Uuid) -> Self {
        Self { turns: Turns::new(params.thresholds, library), params, request_id, sequence: 0 }
    }

    /// A message of this type with its number.
    fn message(&mut self, kind: &str, mut json: Value) -> Value {
        json["type"] = kind.into();
        json["request_id"] = self.request_id.to_string().into();
        json["sequence_id"] = self.sequence.into();
        self.sequence += 1;
        json
    }

    fn configure(&mut self, message: &Value) -> Effect {
        let answer = match self.params.configured(message) {
            Ok(params) => {
                self.turns.configure(params.thresholds);
                self.params = params;
                let settings = json!({
                    "thresholds": self.params.thresholds.json(),
                    "keyterms": self.params.keyterms,
                    "language_hints": self.params.language_hints,
                    "numerals": self.params.numerals,
                });
                self.message("ConfigureSuccess", settings)
            }
            Err(description) => {
                let code = if description.starts_with("keyterm: at most") {
                    "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
                } else {
                    "CONFIGURE_INVALID_VALUE"
                };
                self.message("ConfigureFailure", json!({"code": code, "description": description}))
            }
        };
        Say::plain(answer)
    }

    /// What the vendor cannot read ends the connection.
    fn unparsable(&mut self, kind: &str) -> Vec<Effect> {
        let rule = if kind == "KeepAlive" { "keep_alive" } else { "unknown_text" };
        let description = format!("Unparsable client message: unknown type `{kind}`.");
        let error = json!({"code": "UNPARSABLE_CLIENT_MESSAGE", "description": description});
        let error = self.message("Error", error);
        vec![Effect::Violation(rule), Say::plain(error), Effect::Close(1008, "UNPARSABLE_CLIENT_MESSAGE")]
    }

    fn tell(&mut self, info: TurnInfo) -> Effect {
        let (name, trigger) = match info.kind {
            Kind::Update => ("Update", None),
            Kind::StartOfTurn => ("StartOfTurn", None),
            Kind::EagerEndOfTurn => ("EagerEndOfTurn", None),
            Kind::TurnResumed => ("TurnResumed", None),
            Kind::EndOfTurn(trigger) => ("EndOfTurn", Some(trigger)),
        };
        let transcript = turns::text(&info.words);
        let confidence = (info.confidence * 1000.0).round() / 1000.0;
        let over = trigger.is_some();
        let result = event("result")
            .with("is_final", over)
            .with("speech_final", over)
            .with("text_chars", transcript.chars().count())
            .with("words", info.words.len())
            .with("start_s", seconds(info.start))
            .with("end_s", seconds(info.end));
        let turn = (info.kind != Kind::Update).then(|| {
            event("turn")
                .with("event", name)
                .with("turn_index", info.turn)
                .with("trigger", trigger)
                .with("confidence", confidence)
                .with("text_chars", transcript.chars().count())
                .with("last_word_end_s", info.words.last().map(|word| seconds(word.end)))
        });
        let mut json = json!({
            "event": name,
            "turn_index": info.turn,
            "audio_window_start": seconds(info.start),
            "audio_window_end": seconds(info.end),
            "transcript": transcript,
            "words": info.words.iter().map(word_json).collect::<Vec<_>>(),
            "end_of_turn_confidence": confidence,
        });
        if let Some(trigger) = trigger {
            json["trigger"] = trigger.into();
        }
        if self.params.model.ends_with("multi") {
            json["languages"] = json!(["en"]);
            json["languages_hinted"] = json!(self.params.language_hints);
        }
        let json = self.message("TurnInfo", json);
        let events = [Some(result), turn].into_iter().flatten().collect();
        let interim = info.kind == Kind::Update;
        Effect::Say(Say { json, interim, events, heard: Some((info.end, info.speech_end)) })
    }

    fn force_end(&mut self) -> Vec<Effect> {
        let infos = self.turns.force_end().unwrap_or_default();
        infos.into_iter().map(|info| self.tell(info)).collect()
    }
}

fn word_json(word: &Heard) -> Value {
    let plain = word.text.trim_matches(|c: char| c.is_ascii_punctuation());
    json!({"word": plain, "confidence": 0.98, "start": seconds(word.start), "end": seconds(word.end)})
}

impl Dialect for Flux {
    fn open(&mut self) -> Vec<Effect> {
        vec![Say::plain(self.message("Connected", json!({})))]
    }

    fn hear(&mut self, _audio: &[u8], samples: &[i16]) -> Vec<Effect> {
        let infos = self.turns.hear(samples);
        infos.into_iter().map(|info| self.tell(info)).collect()
    }

    fn read(&mut self, text: &str) -> Vec<Effect> {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        match json.get("type").and_then(Value::as_str).unwrap_or_default() {
            "ForceEndTurn" => {
                let mut effects = vec![Effect::Log(event("force_end_turn"))];
                effects.extend(self.force_end());
                effects
            }
            "Configure" => vec![self.configure(&json)],
            "CloseStream" => self.finish(),
            kind => self.unparsable(kind),
        }
    }

    fn finish(&mut self) -> Vec<Effect> {
        let mut effects = self.force_end();
        effects.push(Effect::Close(1000, ""));
        effects
    }
}
