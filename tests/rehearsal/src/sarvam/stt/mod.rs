//! One socket that listens: partial transcripts while somebody speaks, and a final one some time after the end.

mod params;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout};

use super::{ListenFault, Shared, VENDOR, request_id};
use crate::clock;
use crate::events::Event;
use crate::hearing::decode::Decoder;
use crate::hearing::pace::Pace;
use crate::hearing::{Hearing, Output, Transcript};
use crate::loopback::Connection;
use crate::recordings::SAMPLE_RATE_HZ;
pub(super) use params::Params;

/// A client that does not read for this long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// From the upgrade to `session.begin`.
const BEGIN: Duration = Duration::from_millis(30);
/// The reason of a close holds no more.
const REASON_BYTES_MAX: usize = 123;

/// Why a session ends: the code and the reason of the close, or none when the socket is gone.
type End = Option<(u16, String)>;

struct Answer {
    due: Instant,
    json: Value,
    event: Option<Event>,
}

/// What was heard since the start of speech.
#[derive(Default)]
struct Utterance {
    start: u64,
    words: Vec<String>,
    end: u64,
}

/// An accepted socket.
pub(super) struct Session {
    server: Arc<Shared>,
    connection: Connection,
    /// Held for its count.
    _place: OwnedSemaphorePermit,
    params: Result<Params, String>,
    fault: Option<ListenFault>,
    hearing: Hearing,
    decoder: Decoder,
    pace: Pace,
    answers: VecDeque<Answer>,
    begun: bool,
    /// Counts utterances.
    index: u64,
    utterance: Option<Utterance>,
    /// Settings that wait for the utterance's end.
    updates: Vec<&'static str>,
    received: u64,
    opened_at: Instant,
    ending: End,
}

impl Session {
    pub(super) fn new(
        server: Arc<Shared>,
        connection: Connection,
        params: Result<Params, String>,
        fault: Option<ListenFault>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let options = params.as_ref().map(Params::hearing).unwrap_or_default();
        let now = clock::now();
        Self {
            hearing: Hearing::new(&options, Arc::clone(&server.recordings)),
            decoder: Decoder::new(params.as_ref().ok().map(|params| params.encoding)),
            pace: Pace::new(now),
            server,
            connection,
            _place: place,
            params,
            fault,
            answers: VecDeque::new(),
            begun: false,
            index: 0,
            utterance: None,
            updates: Vec::new(),
            received: 0,
            opened_at: now,
            ending: None,
        }
    }

    pub(super) async fn run(mut self, mut socket: WebSocket) {
        let end = match &self.params {
            Ok(params) => {
                let begin =
                    json!({"event": "session.begin", "request_id": request_id(), "config": params.echo()});
                self.answer(begin, BEGIN, None);
                self.serve(&mut socket).await
            }
            Err(reason) => Some((4000, reason.clone())),
        };
        let closed = event("closed").with("audio_s", seconds(self.received));
        let Some((code, mut reason)) = end else {
            return self
                .log(closed.with("reason", if self.connection.is_closed() { "a fault" } else { "client" }));
        };
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        self.log(closed.with("reason", reason.as_str()).with("code", code));
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
        // Until the client has answered the close, so that it reads everything before the end.
        let _ = timeout(SEND_TIMEOUT, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }

    async fn serve(&mut self, socket: &mut WebSocket) -> End {
        let mut idle_at = clock::now() + self.server.idle;
        loop {
            let due = self.answers.front().map(|answer| answer.due);
            if self.ending.is_some() && due.is_none() {
                return self.ending.take();
            }
            let done = tokio::select! {
                message = socket.recv(), if self.ending.is_none() => match message {
                    Some(Ok(Message::Text(text))) => {
                        idle_at = clock::now() + self.server.idle;
                        self.read(&text)
                    }
                    Some(Ok(Message::Binary(_))) => {
                        self.violation("binary_message");
                        self.complain("invalid_message", "messages must be JSON text");
                        Ok(())
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(None),
                },
                () = sleep_until(due.unwrap_or(idle_at).into()), if due.is_some() => self.send(socket).await,
                () = sleep_until(idle_at.into()), if self.ending.is_none() => {
                    Err(Some((1008, "Inactivity".to_owned())))
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn send(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let Some(answer) = self.answers.pop_front() else { return Ok(()) };
        if let Some(event) = answer.event {
            self.log(Event { at: clock::time_of_day(), ..event });
        }
        self.begun |= answer.json["event"] == "session.begin";
        match timeout(SEND_TIMEOUT, socket.send(Message::Text(answer.json.to_string().into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    fn read(&mut self, text: &str) -> Result<(), End> {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        match message["event"].as_str().unwrap_or_default() {
            "audio_input" => return self.audio(message["audio"].as_str().unwrap_or_default()),
            "ping" => self.answer(json!({"event": "pong"}), Duration::ZERO, None),
            "config.update" => self.update(&message),
            "end" => {
                let total = clock::now().saturating_duration_since(self.opened_at).as_secs_f64();
                let end = json!({"event": "session.end", "request_id": request_id(), "total_duration_s": total,
                    "total_utterances": self.index, "audio_duration_s": seconds(self.received)});
                self.answer(end, Duration::ZERO, None);
                self.ending = Some((1000, String::new()));
                if self.is_stalled() {
                    return Err(None);
                }
            }
            event @ ("speech_start" | "speech_end" | "flush") => {
                self.violation("manual_event");
                self.complain("invalid_event", &format!("{event} needs endpointing=manual"));
            }
            event => {
                self.violation("unknown_event");
                self.complain("invalid_event", &format!("unknown event {event:?}"));
            }
        }
        Ok(())
    }

    fn audio(&mut self, audio: &str) -> Result<(), End> {
        if !self.begun && self.fault != Some(ListenFault::NoBegin) {
            self.violation("audio_before_begin");
        }
        let samples = STANDARD.decode(audio).ok().and_then(|audio| self.decoder.decode(&audio).ok());
        let Some(samples) = samples.filter(|samples| !samples.is_empty()) else {
            self.violation("undecodable_audio");
            self.complain("invalid_audio", "the audio is not base64 of the declared encoding");
            return Ok(());
        };
        self.received += samples.len() as u64;
        if self.pace.took(duration(samples.len() as u64), clock::now()).is_some() {
            self.violation("too_fast");
        }
        for output in self.hearing.hear(&samples) {
            self.heard(output);
        }
        self.fail_if_due()
    }

    fn heard(&mut self, output: Output) {
        match output {
            Output::SpeechStarted { at } if self.utterance.is_none() => {
                self.utterance = Some(Utterance { start: at, ..Utterance::default() });
                let start =
                    json!({"event": "vad.speech_start", "utterance_idx": self.index, "confidence": 0.93});
                self.answer(start, Duration::ZERO, Some(event("speech_start").with("audio_s", seconds(at))));
            }
            Output::Transcript(transcript) => {
                let language = self.params.as_ref().map_or("", |params| &params.language);
                self.transcript(transcript.in_language(language));
            }
            Output::SpeechStarted { .. } | Output::UtteranceEnd { .. } => {}
        }
    }

    fn transcript(&mut self, transcript: Transcript) {
        let Some(utterance) = &mut self.utterance else { return };
        let words = transcript.words.into_iter().map(|word| word.text);
        if !transcript.is_final {
            let text = utterance.words.iter().cloned().chain(words).collect::<Vec<_>>().join(" ");
            let partial = json!({"event": "transcript.partial", "utterance_idx": self.index, "text": text});
            let logged = event("partial").with("text", text);
            let latency = self.server.partial_latency.draw(&self.server.dice);
            return self.answer(self.with_language(partial), latency, Some(logged));
        }
        utterance.words.extend(words);
        if !transcript.speech_final {
            return;
        }
        utterance.end = self.hearing.speech_end();
        self.end_utterance();
    }

    fn end_utterance(&mut self) {
        let Some(utterance) = self.utterance.take() else { return };
        let index = self.index;
        self.index += 1;
        let end = json!({"event": "vad.speech_end", "utterance_idx": index, "confidence": 0.88});
        self.answer(end, Duration::ZERO, Some(event("speech_end").with("audio_s", seconds(utterance.end))));
        if self.fault == Some(ListenFault::NoFinal) {
            self.fault = None;
            return;
        }
        let text = utterance.words.join(" ");
        let mut done = json!({"event": "transcript.final", "utterance_idx": index, "text": text});
        if self.params.as_ref().is_ok_and(|params| params.timestamps) {
            done["start_s"] = seconds(utterance.start).into();
            done["end_s"] = seconds(utterance.end).into();
        }
        let logged = event("result").with("text", text).with("end_s", seconds(utterance.end));
        let latency = self.server.final_latency.draw(&self.server.dice);
        self.answer(self.with_language(done), latency, Some(logged));
        if !self.updates.is_empty() {
            let applied = json!({"event": "config.updated", "applied": std::mem::take(&mut self.updates)});
            self.answer(applied, Duration::ZERO, None);
        }
    }

    fn with_language(&self, mut transcript: Value) -> Value {
        if self.params.as_ref().is_ok_and(|params| params.language == "auto") {
            // The recordings do not say what they are spoken in.
            transcript["language"] = "en-IN".into();
        }
        transcript
    }

    /// Some settings wait for the boundary of an utterance, the detector's do not.
    fn update(&mut self, message: &Value) {
        const BOUNDARY: [&str; 5] = ["language_code", "mode", "prompt", "stream_type", "endpointing"];
        const AT_ONCE: [&str; 4] =
            ["threshold", "prefix_padding_ms", "silence_duration_ms", "min_speech_duration_ms"];
        let Some(fields) = message.as_object() else { return };
        let named = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().copied().filter(|name| fields.contains_key(*name)).collect()
        };
        if let Some(code) = fields.get("language_code").and_then(Value::as_str) {
            if let Err(why) = params::check_language(code) {
                return self.complain("invalid_config", &why);
            }
            if let Ok(params) = &mut self.params {
                code.clone_into(&mut params.language);
            }
        }
        let mut applied = named(&AT_ONCE);
        let waiting = named(&BOUNDARY);
        if self.utterance.is_some() {
            self.updates.extend(waiting);
        } else {
            applied.extend(waiting);
        }
        if !applied.is_empty() {
            self.answer(json!({"event": "config.updated", "applied": applied}), Duration::ZERO, None);
        }
    }

    fn complain(&mut self, code: &str, why: &str) {
        let error =
            json!({"event": "error", "code": code, "is_fatal": false, "message": why, "status_code": 400});
        self.answer(error, Duration::ZERO, None);
    }

    /// Queues a message for when its latency has passed; messages do not overtake each other.
    fn answer(&mut self, json: Value, latency: Duration, event: Option<Event>) {
        if self.is_stalled() {
            return;
        }
        let after_latency = clock::now() + latency;
        let due = self.answers.back().map_or(after_latency, |last| last.due.max(after_latency));
        self.answers.push_back(Answer { due, json, event });
    }

    fn is_stalled(&self) -> bool {
        match self.fault {
            Some(ListenFault::Stall { after }) => duration(self.received) >= after,
            Some(ListenFault::NoBegin) => true,
            _ => false,
        }
    }

    fn fail_if_due(&self) -> Result<(), End> {
        match self.fault {
            Some(ListenFault::Close { after, code, reason }) if duration(self.received) >= after => {
                Err(Some((code, reason.to_owned())))
            }
            Some(ListenFault::Reset { after }) if duration(self.received) >= after => {
                self.connection.reset();
                Err(None)
            }
            _ => Ok(()),
        }
    }

    fn violation(&self, rule: &str) {
        self.log(event("violation").with("rule", rule));
    }

    fn log(&self, event: Event) {
        self.server.log.push(Event { connection: self.connection.id(), ..event });
    }
}

/// An event; the session adds whose it is.
fn event(name: &'static str) -> Event {
    Event::new(VENDOR, 0, name)
}

fn seconds(samples: u64) -> f64 {
    (samples as f64 / SAMPLE_RATE_HZ as f64 * 1000.0).round() / 1000.0
}

fn duration(samples: u64) -> Duration {
    Duration::from_secs_f64(samples as f64 / SAMPLE_RATE_HZ as f64)
}
