//! SHELL: one WebSocket of `/v1/listen`, from its upgrade to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

use super::decode::Decoder;
use super::hearing::{Hearing, Output, Transcript};
use super::message;
use super::pace::Pace;
use super::params::Params;
use super::{Fault, Shared, VENDOR};
use crate::clock;
use crate::events::{Event, micros};
use crate::loopback::Connection;
use crate::recordings::SAMPLE_RATE_HZ;

/// A client that does not read for this long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// `Finalize` with less than this pending is answered or not, as it happens: 100 ms in samples.
const FINALIZE_MIN: u64 = 800;
/// The arrivals of the last messages that are remembered, to say when a piece of audio came.
const ARRIVALS: usize = 1024;

/// Why a session ends: the code and the reason of the close, or none when the socket is gone.
type End = Option<(u16, &'static str)>;

struct Answer {
    due: Instant,
    text: String,
    /// Logged when the answer is sent.
    event: Option<Event>,
}

pub(super) struct Session {
    shared: Arc<Shared>,
    params: Params,
    connection: Connection,
    request_id: Uuid,
    opened: SystemTime,
    hearing: Hearing,
    decoder: Decoder,
    pace: Pace,
    digest: Sha256,
    fault: Option<Fault>,
    strikes: watch::Receiver<Option<Fault>>,
    answers: VecDeque<Answer>,
    /// How much audio had come, in samples, when.
    arrivals: VecDeque<(u64, SystemTime)>,
    received: u64,
    violations: u64,
    idle_until: Instant,
    /// Everything is said; the socket closes when it is sent.
    finished: bool,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        params: Params,
        fault: Option<Fault>,
        connection: Connection,
        request_id: Uuid,
    ) -> Self {
        let now = clock::now();
        Self {
            hearing: Hearing::new(&params, Arc::clone(&shared.settings.recordings)),
            decoder: Decoder::new(params.encoding),
            pace: Pace::new(now),
            digest: Sha256::new(),
            fault,
            strikes: shared.strikes.subscribe(),
            answers: VecDeque::new(),
            arrivals: VecDeque::with_capacity(ARRIVALS),
            received: 0,
            violations: 0,
            idle_until: now + shared.settings.idle_timeout,
            finished: false,
            opened: clock::time_of_day(),
            shared,
            params,
            connection,
            request_id,
        }
    }

    pub(super) async fn run(mut self, mut socket: WebSocket) {
        self.idle_until = clock::now() + self.shared.settings.idle_timeout;
        let opened = self.event("open").with("request_id", self.request_id.to_string());
        self.log(opened.with("model", self.params.model.clone()));
        let end = self.serve(&mut socket).await;
        let closed = self.event("close").with("audio_s", message::seconds(self.received));
        let closed = closed.with("violations", self.violations);
        match end {
            Some((code, reason)) => {
                self.log(closed.with("by", "server").with("code", code).with("reason", reason));
                let frame = CloseFrame { code, reason: reason.into() };
                let _ = timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
                // Until the client has answered the close, so that it reads everything before the end.
                let _ = timeout(SEND_TIMEOUT, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
            }
            None if self.connection.is_closed() => self.log(closed.with("by", "fault")),
            None => self.log(closed.with("by", "client")),
        }
    }

    async fn serve(&mut self, socket: &mut WebSocket) -> End {
        loop {
            let due = self.answers.front().map(|answer| answer.due);
            if self.finished && due.is_none() {
                return Some((1000, ""));
            }
            let idle_until = self.idle_until;
            let end = tokio::select! {
                message = socket.recv(), if !self.finished => self.take(message),
                () = sleep_until(due.unwrap_or(idle_until).into()), if due.is_some() => {
                    self.send(socket).await
                }
                () = sleep_until(idle_until.into()), if !self.finished => Err(Some((
                    1011,
                    "Deepgram did not receive audio data or a text message within the timeout window. NET-0001",
                ))),
                changed = self.strikes.changed(), if !self.finished => {
                    if changed.is_ok() {
                        self.struck();
                    }
                    Ok(())
                }
            };
            if let Err(end) = end {
                return end;
            }
        }
    }

    fn take(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        match message {
            Some(Ok(Message::Binary(audio))) => self.take_audio(&audio),
            Some(Ok(Message::Text(text))) => {
                self.take_text(&text);
                Ok(())
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(None),
        }
    }

    async fn send(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let Some(answer) = self.answers.pop_front() else { return Ok(()) };
        if let Some(mut event) = answer.event {
            event.at = clock::time_of_day();
            self.log(event);
        }
        match timeout(SEND_TIMEOUT, socket.send(Message::Text(answer.text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    fn take_audio(&mut self, audio: &Bytes) -> Result<(), End> {
        if audio.is_empty() {
            self.finish();
            return Ok(());
        }
        if audio.starts_with(b"{\"type\"") {
            // The vendor takes it for sound; here the mistake is also written down.
            self.violation("control_as_binary", 0.0);
        }
        let now = clock::now();
        let Ok(samples) = self.decoder.decode(audio) else {
            return Err(Some((1008, "DATA-0000")));
        };
        self.idle_until = now + self.shared.settings.idle_timeout;
        self.digest.update(audio);
        if self.received == 0 {
            self.log(self.event("audio_first").with("bytes", audio.len()));
        }
        self.received += samples.len() as u64;
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((self.received, clock::time_of_day()));
        if let Some(ahead) = self.pace.took(duration(samples.len() as u64), now) {
            self.violation("too_fast", ahead.as_secs_f64());
        }
        for output in self.hearing.hear(&samples) {
            self.answer(output);
        }
        self.fail_if_due()
    }

    fn take_text(&mut self, text: &str) {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        let kind = json.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "KeepAlive" => {}
            "Finalize" => self.finalize(),
            "CloseStream" => self.finish(),
            _ => {
                self.violation("unknown_text", 0.0);
                self.queue(message::error(&format!("unknown message type `{kind}`")), None, false);
                return;
            }
        }
        self.idle_until = clock::now() + self.shared.settings.idle_timeout;
    }

    fn finalize(&mut self) {
        let pending = self.hearing.pending_len();
        let answered = pending >= FINALIZE_MIN || self.shared.dice.roll() < 0.5;
        let event = self.event("finalize").with("pending_s", message::seconds(pending));
        self.log(event.with("answered", answered));
        if answered {
            let transcript = self.hearing.finalize();
            self.answer(Output::Transcript(transcript));
        }
    }

    fn finish(&mut self) {
        if let Some(transcript) = self.hearing.finish() {
            self.answer(Output::Transcript(transcript));
        }
        let sha256: String = self.digest.finalize_reset().iter().map(|byte| format!("{byte:02x}")).collect();
        let duration = message::seconds(self.received);
        let metadata = message::metadata(self.request_id, &sha256, self.opened, duration);
        self.queue(metadata, None, false);
        self.finished = !self.is_stalled();
    }

    fn answer(&mut self, output: Output) {
        match output {
            Output::Transcript(mut transcript) => {
                if transcript.is_final && self.fault == Some(Fault::EmptyFinals) {
                    transcript.words.clear();
                }
                let json = message::results(&transcript, &self.params, self.request_id);
                let event = self.result_event(&transcript);
                self.queue(json, Some(event), !transcript.is_final);
            }
            Output::SpeechStarted { at } => {
                let event = self.event("speech_started").with("audio_s", message::seconds(at));
                self.queue(message::speech_started(at), Some(event), false);
            }
            Output::UtteranceEnd { last_word_end } => {
                let event = self.event("utterance_end").with("audio_s", message::seconds(last_word_end));
                self.queue(message::utterance_end(last_word_end), Some(event), false);
            }
        }
    }

    /// What the latency report needs: on which audio the result is based, when that came, and when it was sent.
    fn result_event(&self, transcript: &Transcript) -> Event {
        let text = message::text(transcript, self.params.formatted);
        let speech_end = self.hearing.speech_end();
        self.event("result")
            .with("is_final", transcript.is_final)
            .with("speech_final", transcript.speech_final)
            .with("from_finalize", transcript.from_finalize)
            .with("text_chars", text.chars().count())
            .with("words", transcript.words.len())
            .with("start_s", message::seconds(transcript.start))
            .with("end_s", message::seconds(transcript.end))
            .with("audio_s", message::seconds(self.hearing.position()))
            .with("audio_at_us", self.arrival(self.hearing.position()))
            .with("speech_end_s", message::seconds(speech_end))
            .with("speech_end_at_us", self.arrival(speech_end))
    }

    /// When the audio up to `position` had come.
    fn arrival(&self, position: u64) -> u64 {
        let index = self.arrivals.partition_point(|(received, _)| *received < position);
        let found = self.arrivals.get(index).or(self.arrivals.back());
        found.map_or(0, |(_, at)| micros(*at))
    }

    /// Queues an answer for when its latency has passed; answers do not overtake each other.
    fn queue(&mut self, json: Value, event: Option<Event>, interim: bool) {
        if self.is_stalled() {
            return;
        }
        let settings = &self.shared.settings;
        let latency = if interim { settings.interim_latency } else { settings.final_latency };
        let after_latency = clock::now() + latency.draw(&self.shared.dice);
        let due = self.answers.back().map_or(after_latency, |last| last.due.max(after_latency));
        self.answers.push_back(Answer { due, text: json.to_string(), event });
    }

    fn is_stalled(&self) -> bool {
        matches!(self.fault, Some(Fault::Stall { after }) if duration(self.received) >= after)
    }

    fn fail_if_due(&self) -> Result<(), End> {
        match self.fault {
            Some(Fault::Fail { after }) if duration(self.received) >= after => Err(Some((1011, "NET-0000"))),
            Some(Fault::Reset { after }) if duration(self.received) >= after => {
                self.connection.reset();
                Err(None)
            }
            _ => Ok(()),
        }
    }

    /// A fault that was switched on while the connection was open counts from now.
    fn struck(&mut self) {
        let since = duration(self.received);
        self.fault = match self.strikes.borrow_and_update().clone() {
            Some(Fault::Fail { after }) => Some(Fault::Fail { after: since + after }),
            Some(Fault::Reset { after }) => Some(Fault::Reset { after: since + after }),
            Some(Fault::Stall { after }) => Some(Fault::Stall { after: since + after }),
            other => other,
        };
    }

    fn violation(&mut self, rule: &str, seconds: f64) {
        self.violations += 1;
        self.log(self.event("violation").with("rule", rule).with("seconds", seconds));
    }

    fn event(&self, name: &'static str) -> Event {
        Event::new(VENDOR, self.connection.id(), name).call(self.params.tag.as_deref())
    }

    fn log(&self, event: Event) {
        self.shared.settings.log.push(event);
    }
}

fn duration(samples: u64) -> Duration {
    Duration::from_secs_f64(samples as f64 / SAMPLE_RATE_HZ as f64)
}
