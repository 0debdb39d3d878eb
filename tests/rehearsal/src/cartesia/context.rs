//! One context: its text, its voice, its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::buffer::{Buffer, Job};
use super::check::{self, Format, Input};
use super::failure::{Failure, Version};
use super::socket::event;
use super::{Fault, Shared};
use crate::clock;
use crate::loopback::Connection;
use crate::outgoing::Outgoing;
use crate::speech::{self, Speech, Voice, Word};

/// A context that has nothing to say ends so long after its last audio.
const EXPIRY: Duration = Duration::from_secs(1);
/// Between two pieces of text that are spoken one after the other.
const PAUSE: Duration = Duration::from_millis(120);

/// What the socket tells a context.
pub(super) enum Command {
    Input(Input),
    Cancel,
    /// An error was reported: no more.
    End,
}

/// A context on its socket.
pub(super) struct Context {
    server: Arc<Shared>,
    connection: Connection,
    version: Version,
    id: String,
    format: Format,
    timestamps: bool,
    events: mpsc::Sender<Outgoing>,
    /// Held for its count.
    active: OwnedSemaphorePermit,
    fault: Option<Fault>,
    first: Option<Input>,
    buffer: Buffer,
    jobs: VecDeque<Pending>,
    chunks: usize,
    /// Audio sent, in seconds.
    sent: f64,
    text: String,
    last_activity: Instant,
    /// After a cancel: chunks that still go out.
    chunks_left: Option<u32>,
}

enum Pending {
    Speak {
        speech: JoinHandle<Result<Arc<Speech>, speech::Error>>,
        ready_at: Instant,
        text: String,
        flush_id: u32,
    },
    FlushDone {
        flush_id: u32,
    },
    Finish,
}

/// Audio on its way.
struct Playing {
    audio: Vec<u8>,
    at: usize,
    /// Words not yet reported, with times from the start of the context.
    words: VecDeque<Word>,
    next_at: Instant,
    flush_id: u32,
}

/// Why a context ended.
enum End {
    Done,
    /// Without a word.
    Silent,
    Failed(Failure),
    /// The socket is gone.
    Gone,
}

impl Context {
    pub(super) fn new(
        server: Arc<Shared>,
        connection: Connection,
        version: Version,
        input: Input,
        events: mpsc::Sender<Outgoing>,
        active: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            fault: server.faults.take(),
            id: input.context.clone(),
            format: input.format.clone(),
            timestamps: input.timestamps,
            buffer: Buffer::new(input.delay),
            first: Some(input),
            jobs: VecDeque::new(),
            chunks: 0,
            sent: 0.0,
            text: String::new(),
            last_activity: clock::now(),
            chunks_left: None,
            server,
            connection,
            version,
            events,
            active,
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        if let Some(input) = self.first.take() {
            self.input(&input);
        }
        let end = self.live(&mut commands).await;
        // Closed before the last event goes out: who answers it at once finds the context finished.
        drop(commands);
        drop(self.active);
        let logged = |name| event(self.connection.id(), name, &self.id);
        let last = match end {
            End::Done => {
                let done = logged("done").with("text", self.text.as_str()).with("seconds", self.sent);
                self.server.log.push(done);
                json!({"type": "done", "context_id": self.id, "done": true, "status_code": 200})
            }
            End::Failed(failure) => {
                let failed =
                    logged("error").with("status", failure.status).with("reason", failure.message.as_str());
                self.server.log.push(failed);
                let named = !matches!(self.fault, Some(Fault::ErrorWithoutContext { .. }));
                failure.to_event(self.version, Some(self.id.as_str()).filter(|_| named))
            }
            End::Silent | End::Gone => return,
        };
        let _ = self.events.send(Outgoing::Event(last)).await;
    }

    async fn live(&mut self, commands: &mut mpsc::Receiver<Command>) -> End {
        let mut playing: Option<Playing> = None;
        loop {
            if playing.is_none() {
                match self.jobs.front() {
                    Some(Pending::Finish) => return End::Done,
                    Some(Pending::FlushDone { flush_id }) => {
                        let done = json!({"type": "flush_done", "context_id": self.id, "done": false,
                            "flush_done": true, "flush_id": flush_id, "status_code": 206});
                        self.jobs.pop_front();
                        if self.send(done).await.is_err() {
                            return End::Gone;
                        }
                        continue;
                    }
                    Some(Pending::Speak { .. }) | None => {}
                }
            }
            let quiet = playing.is_none() && self.jobs.is_empty() && self.buffer.due().is_none();
            let expires_at = self.last_activity + EXPIRY;
            let due = self.buffer.due();
            let next_at = playing.as_ref().map(|playing| playing.next_at);
            let starting = if next_at.is_none() { self.jobs.front_mut() } else { None };
            tokio::select! {
                command = commands.recv() => match command {
                    // What comes after a cancel is not spoken.
                    Some(Command::Input(_) | Command::Cancel) if self.chunks_left.is_some() => {}
                    Some(Command::Input(input)) => self.input(&input),
                    Some(Command::Cancel) => if let Some(end) = self.cancel(playing.is_some()) { return end },
                    Some(Command::End) => return End::Silent,
                    None => return End::Gone,
                },
                speech = spoken(starting) => match speech {
                    Ok(speech) => playing = Some(self.begin(&speech)),
                    Err(failure) => return End::Failed(failure),
                },
                () = until(next_at) => if let Some(current) = &mut playing {
                    match self.chunk(current).await {
                        Err(end) => return end,
                        Ok(()) if current.at >= current.audio.len() => playing = None,
                        Ok(()) => {}
                    }
                },
                () = until(due) => {
                    let jobs = self.buffer.expire(clock::now());
                    self.queue(jobs);
                }
                () = until(Some(expires_at)), if quiet => return End::Done,
            }
        }
    }

    fn input(&mut self, input: &Input) {
        let now = clock::now();
        self.last_activity = now;
        let jobs = self.buffer.push(&input.transcript, input.more, input.flush, now);
        self.queue(jobs);
    }

    /// Texts are synthesised at once and heard in their turn.
    fn queue(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            self.jobs.push_back(match job {
                Job::Speak { text, flush_id } => {
                    let ready_at = clock::now() + self.server.first_chunk.draw(&self.server.dice);
                    let (speaker, format) = (self.server.speaker.clone(), self.format.clone());
                    let spoken = check::speakable(&text);
                    let speech = tokio::spawn(async move {
                        speaker.speak(&spoken, &format.voice, format.sample_rate_hz).await
                    });
                    Pending::Speak { speech, ready_at, text, flush_id }
                }
                Job::FlushDone { flush_id } => Pending::FlushDone { flush_id },
                Job::Finish => Pending::Finish,
            });
        }
    }

    /// Stops what has not begun; of what has, one to three chunks are under way already.
    fn cancel(&mut self, speaking: bool) -> Option<End> {
        let sent = event(self.connection.id(), "cancel", &self.id).with("chunks", self.chunks);
        self.server.log.push(sent);
        self.jobs.clear();
        self.buffer = Buffer::new(Duration::ZERO);
        if !speaking {
            return Some(self.end_of_cancel());
        }
        self.chunks_left = Some(1 + (self.server.dice.roll() * 3.0) as u32);
        None
    }

    fn end_of_cancel(&self) -> End {
        if self.server.dice.roll() < 0.5 { End::Done } else { End::Silent }
    }

    fn begin(&mut self, speech: &Speech) -> Playing {
        let (text, flush_id) = match self.jobs.pop_front() {
            Some(Pending::Speak { text, flush_id, .. }) => (text, flush_id),
            _ => (String::new(), 0),
        };
        self.text.push_str(&text);
        let pause = if self.chunks == 0 || speech.samples.is_empty() { Duration::ZERO } else { PAUSE };
        let rate = f64::from(self.format.sample_rate_hz);
        let mut samples = vec![0; (pause.as_secs_f64() * rate) as usize];
        samples.extend_from_slice(&speech.samples);
        let from = self.sent + pause.as_secs_f64();
        let word =
            |word: &Word| Word { text: word.text.clone(), start: from + word.start, end: from + word.end };
        let words: VecDeque<Word> = speech.words.iter().map(word).collect();
        let Voice { name, words_per_minute, pitch } = &self.format.voice;
        let times: Vec<Value> = words.iter().map(|word| json!([word.text, word.start, word.end])).collect();
        let speaks = event(self.connection.id(), "speaks", &self.id)
            .with("text", text)
            .with("voice", json!({"name": name, "words_per_minute": words_per_minute, "pitch": pitch}))
            .with("words", times);
        self.server.log.push(speaks);
        Playing { audio: self.format.encode(&samples), at: 0, words, next_at: clock::now(), flush_id }
    }

    async fn chunk(&mut self, playing: &mut Playing) -> Result<(), End> {
        self.fault().await?;
        let bytes_per_second = f64::from(self.format.sample_rate_hz) * self.format.bytes_per_sample() as f64;
        let wanted = (0.040 + 0.080 * self.server.dice.roll()) * bytes_per_second;
        // Any number of bytes: half a 16-bit sample at times.
        let end = (playing.at + wanted as usize).min(playing.audio.len());
        let piece = &playing.audio[playing.at..end];
        if !piece.is_empty() {
            let seconds = piece.len() as f64 / bytes_per_second;
            let chunk = json!({"type": "chunk", "context_id": self.id, "data": STANDARD.encode(piece), "done": false,
                "status_code": 206, "step_time": seconds * 1000.0 / self.server.pace, "flush_id": playing.flush_id});
            self.sent += seconds;
            self.chunks += 1;
            let times = self.timestamps(playing, end == playing.audio.len());
            let times_first = self.server.dice.roll() < 0.5;
            if self.chunks == 1 {
                self.server.log.push(event(self.connection.id(), "first_chunk", &self.id));
            }
            let (before, after) = if times_first { (times, None) } else { (None, times) };
            for message in before.into_iter().chain([chunk]).chain(after) {
                self.send(message).await.map_err(|_| End::Gone)?;
            }
            playing.next_at += Duration::from_secs_f64(seconds / self.server.pace);
        }
        playing.at = end;
        self.last_activity = clock::now();
        match &mut self.chunks_left {
            Some(1) => Err(self.end_of_cancel()),
            Some(left) => {
                *left -= 1;
                // A cancelled piece that ends by itself ends the context too.
                if end == playing.audio.len() { Err(self.end_of_cancel()) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// The words that begin in what was sent so far.
    fn timestamps(&self, playing: &mut Playing, all: bool) -> Option<Value> {
        let (mut words, mut start, mut end) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(word) = playing.words.pop_front_if(|word| all || word.start < self.sent) {
            words.push(word.text);
            start.push(word.start);
            end.push(word.end);
        }
        (self.timestamps && !words.is_empty()).then(|| {
            json!({"type": "timestamps", "context_id": self.id, "done": false, "status_code": 206,
                "word_timestamps": {"words": words, "start": start, "end": end}})
        })
    }

    /// Shows the context's fault if the next chunk is its time.
    async fn fault(&mut self) -> Result<(), End> {
        let now = self.chunks;
        match self.fault {
            Some(Fault::Error { after_chunks } | Fault::ErrorWithoutContext { after_chunks })
                if after_chunks == now =>
            {
                Err(End::Failed(Failure::internal("speech could not be generated")))
            }
            Some(Fault::Close { after_chunks, code }) if after_chunks == now => {
                let _ = self.events.send(Outgoing::Close(code, "rehearsed")).await;
                Err(End::Gone)
            }
            Some(Fault::Cut { after_chunks }) if after_chunks == now => {
                self.connection.cut();
                Err(End::Gone)
            }
            Some(Fault::Reset { after_chunks }) if after_chunks == now => {
                self.connection.reset();
                Err(End::Gone)
            }
            Some(Fault::Stall { after_chunks, time }) if after_chunks == now => {
                self.fault = None;
                tokio::time::sleep(time).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn send(&self, message: Value) -> Result<(), ()> {
        self.events.send(Outgoing::Event(message)).await.map_err(|_| ())
    }
}

/// The speech of the job at the head of the queue, once it may begin.
async fn spoken(job: Option<&mut Pending>) -> Result<Arc<Speech>, Failure> {
    let Some(Pending::Speak { speech, ready_at, .. }) = job else { return std::future::pending().await };
    tokio::time::sleep_until((*ready_at).into()).await;
    match speech.await {
        Ok(spoken) => spoken.map_err(|error| Failure::internal(error.to_string())),
        Err(error) => Err(Failure::internal(error.to_string())),
    }
}

/// Sleeps until then; for ever if there is no such time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
