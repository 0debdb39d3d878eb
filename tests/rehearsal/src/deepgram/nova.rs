//! CORE: the dialect of `/v1/listen`.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Fault;
use super::message;
use super::params::Params;
use super::session::{Dialect, Effect, Say, event};
use crate::events::Event;
use crate::hearing::{Hearing, Output, Transcript};
use crate::recordings::Library;
use crate::settings::Dice;

/// `Finalize` with less than this pending is answered or not, as it happens: 100 ms in samples.
const FINALIZE_MIN: u64 = 800;

pub(super) struct Nova {
    params: Params,
    request_id: Uuid,
    opened: SystemTime,
    dice: Dice,
    hearing: Hearing,
    digest: Sha256,
    received: u64,
    empty_finals: bool,
}

impl Nova {
    pub(super) fn new(
        params: Params,
        library: Arc<Library>,
        dice: Dice,
        request_id: Uuid,
        opened: SystemTime,
    ) -> Self {
        Self {
            hearing: Hearing::new(&params.hearing(), library),
            digest: Sha256::new(),
            received: 0,
            empty_finals: false,
            params,
            request_id,
            opened,
            dice,
        }
    }

    fn finalize(&mut self) -> Vec<Effect> {
        let pending = self.hearing.pending_len();
        let answered = pending >= FINALIZE_MIN || self.dice.roll() < 0.5;
        let asked = event("finalize").with("pending_s", message::seconds(pending)).with("answered", answered);
        let mut effects = vec![Effect::Log(asked)];
        if answered {
            let transcript = self.hearing.finalize();
            effects.push(self.answer(Output::Transcript(transcript)));
        }
        effects
    }

    fn answer(&self, output: Output) -> Effect {
        let (json, event) = match output {
            Output::Transcript(transcript) => return self.result(transcript),
            Output::SpeechStarted { at } => {
                (message::speech_started(at), event("speech_started").with("audio_s", message::seconds(at)))
            }
            Output::UtteranceEnd { last_word_end } => (
                message::utterance_end(last_word_end),
                event("utterance_end").with("audio_s", message::seconds(last_word_end)),
            ),
        };
        Effect::Say(Say { json, interim: false, events: vec![event], heard: None })
    }

    fn result(&self, transcript: Transcript) -> Effect {
        let mut transcript = transcript.in_language(&self.params.language);
        if transcript.is_final && self.empty_finals {
            transcript.words.clear();
        }
        Effect::Say(Say {
            json: message::results(&transcript, &self.params, self.request_id),
            interim: !transcript.is_final,
            events: vec![self.result_event(&transcript)],
            heard: Some((self.hearing.position(), self.hearing.speech_end())),
        })
    }

    fn result_event(&self, transcript: &Transcript) -> Event {
        let text = message::text(transcript, self.params.formatted);
        event("result")
            .with("is_final", transcript.is_final)
            .with("speech_final", transcript.speech_final)
            .with("from_finalize", transcript.from_finalize)
            .with("text_chars", text.chars().count())
            .with("words", transcript.words.len())
            .with("start_s", message::seconds(transcript.start))
            .with("end_s", message::seconds(transcript.end))
    }
}

impl Dialect for Nova {
    fn open(&mut self) -> Vec<Effect> {
        Vec::new()
    }

    fn hear(&mut self, audio: &[u8], samples: &[i16]) -> Vec<Effect> {
        self.digest.update(audio);
        self.received += samples.len() as u64;
        let outputs = self.hearing.hear(samples);
        outputs.into_iter().map(|output| self.answer(output)).collect()
    }

    fn read(&mut self, text: &str) -> Vec<Effect> {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        match json.get("type").and_then(Value::as_str).unwrap_or_default() {
            "KeepAlive" => Vec::new(),
            "Finalize" => self.finalize(),
            "CloseStream" => self.finish(),
            kind => vec![
                Effect::Violation("unknown_text"),
                Say::plain(message::error(&format!("unknown message type `{kind}`"))),
            ],
        }
    }

    fn finish(&mut self) -> Vec<Effect> {
        let rest = self.hearing.finish().map(|transcript| self.answer(Output::Transcript(transcript)));
        let sha256: String = self.digest.finalize_reset().iter().map(|byte| format!("{byte:02x}")).collect();
        let duration = message::seconds(self.received);
        let metadata = message::metadata(self.request_id, &sha256, self.opened, duration);
        rest.into_iter().chain([Say::plain(metadata), Effect::Close(1000, "")]).collect()
    }

    fn show(&mut self, fault: Option<&Fault>) {
        self.empty_finals = fault == Some(&Fault::EmptyFinals);
    }
}
