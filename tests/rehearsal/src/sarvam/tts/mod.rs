//! One socket that speaks: its configuration, its text, and the audio of what was flushed, in order.

mod buffer;
mod config;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::failure::Failure;
use super::{CodeForm, Fault, Shared, VENDOR, request_id};
use crate::clock;
use crate::events::Event;
use crate::loopback::Connection;
use crate::outgoing::{self, Outgoing};
use crate::speech::{self, Speech, Word};
use buffer::{Buffer, Job};
use config::{Config, Model};

/// Events that wait for a slow reader; after that the speech waits.
const QUEUED: usize = 64;
/// The most characters of one message.
const TEXT_CHARS_MAX: usize = 2500;
/// Between two sentences that are spoken one after the other.
const PAUSE: Duration = Duration::from_millis(120);

/// What the query of the upgrade settles.
pub(super) struct Query {
    model: Model,
    completion_event: bool,
}

impl Query {
    pub(super) fn parse(query: &str, path: &str) -> Result<Self, Failure> {
        let (mut model, mut completion_event) = (Model::V3, false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("model", name) => model = Model::parse(name)?,
                ("send_completion_event", "true") => completion_event = true,
                ("send_completion_event", "false") => completion_event = false,
                _ => return Err(Failure::invalid(400, format!("{name}: is not known, or its value is not"))),
            }
        }
        if (model == Model::V4Flash) != path.ends_with("/v2") {
            return Err(Failure::invalid(
                400,
                "bulbul:v4-flash is served on /text-to-speech/ws/v2, and alone there",
            ));
        }
        Ok(Self { model, completion_event })
    }
}

/// An accepted socket.
pub(super) struct Socket {
    server: Arc<Shared>,
    connection: Connection,
    query: Query,
    /// Held for its count.
    _place: OwnedSemaphorePermit,
    config: Option<Config>,
    buffer: Buffer,
    jobs: VecDeque<Pending>,
    playing: Option<Playing>,
    /// What was sent since the last `final`.
    sent: Sent,
}

enum Pending {
    Speak {
        speech: JoinHandle<Result<Arc<Speech>, speech::Error>>,
        ready_at: Instant,
        text: String,
        config: Config,
    },
    Final,
}

#[derive(Default)]
struct Sent {
    fault: Option<Fault>,
    chunks: usize,
    bytes: usize,
    seconds: f64,
    text: String,
}

/// Audio on its way.
struct Playing {
    audio: Vec<u8>,
    at: usize,
    next_at: Instant,
    config: Config,
}

/// Why a socket ends, for the log.
type End = &'static str;

impl Socket {
    pub(super) fn new(
        server: Arc<Shared>,
        connection: Connection,
        query: Query,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            server,
            connection,
            query,
            _place: place,
            config: None,
            buffer: Buffer::default(),
            jobs: VecDeque::new(),
            playing: None,
            sent: Sent::default(),
        }
    }

    pub(super) async fn run(mut self, websocket: WebSocket) {
        let (sink, mut frames) = websocket.split();
        let (events, queue) = mpsc::channel(QUEUED);
        let writer = tokio::spawn(outgoing::write(sink, queue));
        let reason = self.live(&mut frames, &events).await;
        drop(events);
        outgoing::finish(writer, frames).await;
        self.log(event("closed").with("reason", reason));
    }

    async fn live(&mut self, frames: &mut SplitStream<WebSocket>, events: &mpsc::Sender<Outgoing>) -> End {
        let mut idle_at = clock::now() + self.server.idle;
        loop {
            let (next_at, quiet) = (self.next_at(), self.playing.is_none());
            let idle = quiet && self.jobs.is_empty();
            if !idle {
                idle_at = clock::now() + self.server.idle;
            }
            let done = tokio::select! {
                frame = frames.next() => {
                    match frame {
                        Some(Ok(Message::Text(text))) => {
                            idle_at = clock::now() + self.server.idle;
                            self.read(&text, events).await
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                        Some(Ok(Message::Binary(_))) => {
                            self.fail(&Failure::invalid(400, "messages must be JSON text"), events).await
                        }
                        Some(Ok(Message::Close(_))) => return "closed by the client",
                        Some(Err(_)) | None => return "broken off",
                    }
                }
                () = sleep_until(idle_at.into()), if idle => {
                    let _ = events.send(Outgoing::Close(1000, "inactivity")).await;
                    return "idle";
                }
                speech = spoken(self.jobs.front_mut()), if quiet => self.begin(speech, events).await,
                permit = room(next_at, events) => match permit {
                    Some(permit) => self.step(permit),
                    None => Err("broken off"),
                },
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// When the next chunk, or the end of what was flushed, is due.
    fn next_at(&self) -> Option<Instant> {
        match (&self.playing, self.jobs.front()) {
            (Some(playing), _) => Some(playing.next_at),
            (None, Some(Pending::Final)) => Some(clock::now()),
            (None, _) => None,
        }
    }

    async fn read(&mut self, text: &str, events: &mpsc::Sender<Outgoing>) -> Result<(), End> {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        match self.message(&message) {
            Ok(jobs) => {
                self.queue(jobs);
                Ok(())
            }
            Err(failure) => self.fail(&failure, events).await,
        }
    }

    fn message(&mut self, message: &Value) -> Result<Vec<Job>, Failure> {
        match (message["type"].as_str(), &self.config) {
            (Some("config"), _) => {
                let config = Config::parse(&message["data"], self.query.model, self.server.language_field)?;
                self.log(event("config").with("data", message["data"].clone()));
                // What waits is spoken as it was before, and is not the client's flush.
                let mut jobs = self.buffer.flush();
                jobs.retain(|job| *job != Job::Final);
                self.queue(jobs);
                self.config = Some(config);
                Ok(Vec::new())
            }
            (Some("ping"), _) => {
                self.log(event("ping"));
                Ok(Vec::new())
            }
            (Some("text" | "flush"), None) => {
                Err(Failure::invalid(400, "the first message must be of type config"))
            }
            (Some("text"), Some(config)) => {
                let text = message["data"]["text"].as_str().unwrap_or_default();
                if !(1..=TEXT_CHARS_MAX).contains(&text.chars().count()) || text.trim().is_empty() {
                    return Err(Failure::invalid(422, "text must be 1 to 2500 characters"));
                }
                let jobs = self.buffer.push(text, config.buffer_min, config.chunk_max);
                self.log(event("text").with("text", text));
                Ok(jobs)
            }
            (Some("flush"), Some(_)) => {
                self.log(event("flush"));
                Ok(self.buffer.flush())
            }
            _ => Err(Failure::invalid(422, "type must be config, text, flush or ping")),
        }
    }

    /// Texts are synthesised at once and heard in their turn.
    fn queue(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            match (job, &self.config) {
                (Job::Speak(text), Some(config)) => {
                    let ready_at = clock::now() + self.server.first_chunk.draw(&self.server.dice);
                    let (speaker, spoken, config) =
                        (self.server.speaker.clone(), text.clone(), config.clone());
                    let (voice, rate) = (config.voice.clone(), config.sample_rate_hz);
                    let speech = tokio::spawn(async move { speaker.speak(&spoken, &voice, rate).await });
                    self.jobs.push_back(Pending::Speak { speech, ready_at, text, config });
                }
                (Job::Final, _) => self.jobs.push_back(Pending::Final),
                (Job::Speak(_), None) => {}
            }
        }
    }

    async fn begin(
        &mut self,
        speech: Result<Arc<Speech>, Failure>,
        events: &mpsc::Sender<Outgoing>,
    ) -> Result<(), End> {
        let Some(Pending::Speak { text, config, .. }) = self.jobs.pop_front() else { return Ok(()) };
        let speech = match speech {
            Ok(speech) => speech,
            Err(failure) => return self.fail(&failure, events).await,
        };
        if self.sent.text.is_empty() {
            self.sent.fault = self.server.faults.take();
        }
        self.sent.text.push_str(&text);
        let pause = if self.sent.chunks == 0 { Duration::ZERO } else { PAUSE };
        let rate = f64::from(config.sample_rate_hz);
        let mut samples = vec![0; (pause.as_secs_f64() * rate) as usize];
        samples.extend_from_slice(&speech.samples);
        let from = self.sent.seconds + pause.as_secs_f64();
        let time = |word: &Word| json!([word.text, from + word.start, from + word.end]);
        let times: Vec<Value> = speech.words.iter().map(time).collect();
        let voice = &config.voice;
        let voice =
            json!({"name": voice.name, "words_per_minute": voice.words_per_minute, "pitch": voice.pitch});
        self.log(event("speaks").with("text", text).with("voice", voice).with("words", times));
        self.playing = Some(Playing { audio: config.encode(&samples), at: 0, next_at: clock::now(), config });
        Ok(())
    }

    /// Sends a chunk, or says that what was flushed is over.
    fn step(&mut self, permit: mpsc::Permit<'_, Outgoing>) -> Result<(), End> {
        if let Some(outgoing) = self.fault()? {
            permit.send(outgoing);
            return Ok(());
        }
        let Some(playing) = &mut self.playing else {
            self.jobs.pop_front();
            let sent = std::mem::take(&mut self.sent);
            let logged = event("final").with("text", sent.text).with("seconds", sent.seconds);
            self.log(logged.with("bytes", sent.bytes));
            if self.query.completion_event && sent.fault != Some(Fault::NoFinal) {
                let data = json!({"event_type": "final", "message": "Synthesis completed", "timestamp": "2026-11-22T10:00:00Z"});
                permit.send(Outgoing::Event(json!({"type": "event", "data": data})));
            }
            return Ok(());
        };
        let wanted = (0.040 + 0.160 * self.server.dice.roll()) * playing.config.bytes_per_second();
        // Any number of bytes: half a 16-bit sample at times.
        let end = (playing.at + wanted as usize).min(playing.audio.len());
        let mut piece = playing.audio[playing.at..end].to_vec();
        let seconds = piece.len() as f64 / playing.config.bytes_per_second();
        self.sent.bytes += piece.len();
        self.sent.seconds += seconds;
        self.sent.chunks += 1;
        if self.sent.chunks == 1 && self.sent.fault == Some(Fault::Riff) {
            piece.splice(..0, playing.config.wav_header());
        }
        let data = json!({"content_type": playing.config.content_type(), "audio": STANDARD.encode(&piece),
            "request_id": request_id()});
        playing.at = end;
        playing.next_at += Duration::from_secs_f64(seconds / self.server.pace);
        if end == playing.audio.len() {
            self.playing = None;
        }
        if !piece.is_empty() {
            permit.send(Outgoing::Event(json!({"type": "audio", "data": data})));
        }
        if self.sent.chunks == 1 {
            self.log(event("first_chunk"));
        }
        Ok(())
    }

    /// Shows the fault of the present speech if the next chunk is its time.
    fn fault(&mut self) -> Result<Option<Outgoing>, End> {
        let now = self.sent.chunks;
        match self.sent.fault.clone() {
            Some(Fault::Error { after_chunks, status, code }) if after_chunks == now => {
                let failure = Failure { status, ..Failure::internal("speech could not be generated") };
                self.log(event("error").with("status", status).with("reason", failure.message.as_str()));
                (self.playing, self.sent) = (None, Sent::default());
                self.jobs.clear();
                Ok(Some(Outgoing::Event(failure.to_event(code))))
            }
            Some(Fault::Close { after_chunks, code }) if after_chunks == now => {
                self.playing = None;
                self.jobs.clear();
                self.sent = Sent::default();
                Ok(Some(Outgoing::Close(code, "rehearsed")))
            }
            Some(Fault::Cut { after_chunks }) if after_chunks == now => {
                self.connection.cut();
                Err("a fault")
            }
            Some(Fault::Reset { after_chunks }) if after_chunks == now => {
                self.connection.reset();
                Err("a fault")
            }
            Some(Fault::Stall { after_chunks, time }) if after_chunks == now => {
                self.sent.fault = None;
                if let Some(playing) = &mut self.playing {
                    playing.next_at += time;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The socket lives on, as far as the vendor's documents say.
    async fn fail(&self, failure: &Failure, events: &mpsc::Sender<Outgoing>) -> Result<(), End> {
        self.log(event("error").with("status", failure.status).with("reason", failure.message.as_str()));
        let form = match (self.server.dice.roll() * 3.0) as u8 {
            0 => CodeForm::Number,
            1 => CodeForm::Text,
            _ => CodeForm::MessageOnly,
        };
        events.send(Outgoing::Event(failure.to_event(form))).await.map_err(|_| "broken off")
    }

    fn log(&self, event: Event) {
        self.server.log.push(Event { connection: self.connection.id(), ..event });
    }
}

/// An event; the socket adds whose it is.
fn event(name: &'static str) -> Event {
    Event::new(VENDOR, 0, name)
}

/// The speech of the job at the head of the queue, once it may begin.
async fn spoken(job: Option<&mut Pending>) -> Result<Arc<Speech>, Failure> {
    let Some(Pending::Speak { speech, ready_at, .. }) = job else { return std::future::pending().await };
    sleep_until((*ready_at).into()).await;
    match speech.await {
        Ok(spoken) => spoken.map_err(|error| Failure::internal(error.to_string())),
        Err(error) => Err(Failure::internal(error.to_string())),
    }
}

/// Room for an event at that time; `None` when nobody takes any more.
async fn room(at: Option<Instant>, events: &mpsc::Sender<Outgoing>) -> Option<mpsc::Permit<'_, Outgoing>> {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
    events.reserve().await.ok()
}
