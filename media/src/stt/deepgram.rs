//! Deepgram Nova over its WebSocket, `/v1/listen`. The carrier's mu-law goes through untouched.
//!
//! The audio since the last settled transcript is kept; when the socket is lost it is dialled again and that audio is
//! sent again, no faster than the vendor takes it.

mod message;
mod replay;

use std::time::{Duration, Instant};

use mesh::clock;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_tungstenite::tungstenite::Message;

use super::{Command, Event, Session, Settings, Transcriber};
use crate::socket::{self, Dial, End, Outbox, Sink, Stream};
use message::Incoming;
use replay::{Due, Replay};

/// The vendor closes after 10 s without audio or text.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// How often a backlog is drained after a reconnect.
const REPLAY_TICK: Duration = Duration::from_millis(20);
/// Some result comes at least for every 5 s of audio, an empty one in silence. This is 8 s of it, in bytes.
const UNANSWERED_MAX: usize = 64_000;
/// The answer to a finalize comes within a few hundred milliseconds; without it the turn cannot end.
const FINALIZE_TIMEOUT: Duration = Duration::from_secs(2);
/// With less audio than this a finalize may stay unanswered.
const FINALIZE_AUDIO_MIN: Duration = Duration::from_secs(1);
/// A socket that lived as long was a good one: losing it is no failure in a row.
const STABLE: Duration = Duration::from_secs(3);

/// Opens sessions with Deepgram Nova.
#[derive(Debug, Default)]
pub struct Deepgram;

impl Transcriber for Deepgram {
    fn open(&self, settings: Settings) -> Session {
        let (commands, command_rx) = mpsc::channel(256);
        let (event_tx, events) = mpsc::channel(64);
        let worker = Worker {
            settings,
            commands: command_rx,
            outbox: Outbox::new(event_tx),
            replay: Replay::default(),
            answer_by: None,
            unanswered: 0,
        };
        tokio::spawn(worker.run());
        Session { commands, events, decides_turns: false }
    }
}

struct Worker {
    settings: Settings,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox<Event>,
    replay: Replay,
    /// When the vendor must have answered a finalize.
    answer_by: Option<Instant>,
    /// Bytes of audio sent since the vendor last said something.
    unanswered: usize,
}

impl Worker {
    async fn run(mut self) {
        let mut failures = 0;
        let mut lost: Option<String> = None;
        loop {
            let end = match self.dial(failures).await {
                Ok((sink, stream)) => {
                    if let Some(detail) = lost.take() {
                        self.outbox.push(Event::Reconnected { detail });
                    }
                    let opened_at = clock::now();
                    let end = self.converse(sink, stream).await;
                    if clock::now().saturating_duration_since(opened_at) >= STABLE {
                        failures = 0;
                    }
                    if let End::Lost(detail) = &end {
                        lost = Some(detail.clone());
                        metrics::counter!("trunkline_vendor_reconnects_total", "vendor" => "deepgram")
                            .increment(1);
                    }
                    end
                }
                Err(end) => end,
            };
            failures += 1;
            match end {
                End::Dropped => return,
                End::Lost(detail) if socket::backoff(failures).is_some() => {
                    tracing::warn!(
                        vendor = "deepgram",
                        call_id = self.settings.call_id,
                        detail,
                        "no transcription"
                    );
                }
                End::Lost(detail) | End::Refused(detail) => {
                    return socket::give_up(self.commands, self.outbox, Event::Unavailable { detail }).await;
                }
            }
        }
    }

    /// Dials once, after the wait that so many failures call for, keeping what the caller says meanwhile.
    async fn dial(&mut self, failures: usize) -> Result<(Sink, Stream), End> {
        let wait = socket::backoff(failures).unwrap_or_default();
        let authorization = format!("Token {}", self.settings.api_key.expose());
        let dial = Dial {
            url: listen_url(&self.settings),
            headers: &[("authorization", &authorization)],
            request_id: "dg-request-id",
            message_bytes_max: 1 << 20,
        };
        let attempt = async {
            sleep(wait).await;
            dial.dial().await
        };
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                result = &mut attempt => return result,
                command = self.commands.recv() => self.replay.take(command.ok_or(End::Dropped)?),
            }
        }
    }

    /// Runs one socket to its end.
    async fn converse(&mut self, mut sink: Sink, mut stream: Stream) -> End {
        self.replay.reconnected();
        self.heard_from();
        let mut keep_alive = interval(KEEP_ALIVE);
        keep_alive.reset();
        let mut drain = interval(REPLAY_TICK);
        drain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => {
                        keep_alive.reset();
                        self.replay.take(command);
                        self.send_due(&mut sink).await
                    }
                    None => Err(End::Dropped),
                },
                _ = drain.tick(), if self.replay.is_due_later() => self.send_due(&mut sink).await,
                _ = keep_alive.tick() => socket::send(&mut sink, Message::text(message::KEEP_ALIVE)).await,
                text = socket::read(&mut stream, &mut self.outbox, self.answer_by) => {
                    text.map(|text| self.incoming(&text))
                }
            };
            match done {
                Ok(()) => {}
                Err(End::Dropped) => {
                    socket::close(sink, stream, Some(message::CLOSE_STREAM)).await;
                    return End::Dropped;
                }
                // The vendor cannot decode what it is sent, and will not be able to on another socket.
                Err(End::Lost(detail)) if detail.contains("DATA-0000") => return End::Refused(detail),
                Err(end) => return end,
            }
        }
    }

    async fn send_due(&mut self, sink: &mut Sink) -> Result<(), End> {
        while let Some(due) = self.replay.due(clock::now()) {
            match due {
                Due::Audio(audio) => {
                    self.unanswered += audio.len();
                    socket::send(sink, Message::Binary(audio)).await?;
                }
                Due::Finalize => {
                    socket::send(sink, Message::text(message::FINALIZE)).await?;
                    if self.replay.unsettled() >= FINALIZE_AUDIO_MIN {
                        self.answer_by = Some(clock::now() + FINALIZE_TIMEOUT);
                    }
                }
            }
        }
        if self.unanswered > UNANSWERED_MAX {
            return Err(End::Lost("no result for 8 s of audio".into()));
        }
        Ok(())
    }

    fn heard_from(&mut self) {
        self.answer_by = None;
        self.unanswered = 0;
    }

    fn incoming(&mut self, text: &str) {
        self.heard_from();
        match message::parse(text) {
            Some(Incoming::Transcript(mut transcript)) => {
                transcript.end = self.replay.to_call(transcript.end);
                if transcript.is_final {
                    self.replay.settle(transcript.end, transcript.utterance_over);
                }
                self.outbox.push(Event::Transcript(transcript));
            }
            Some(Incoming::UtteranceEnd) => self.outbox.push(Event::UtteranceEnd),
            Some(Incoming::Error(detail)) => {
                tracing::warn!(vendor = "deepgram", call_id = self.settings.call_id, detail, "error message");
            }
            None => {}
        }
    }
}

impl Replay {
    fn take(&mut self, command: Command) {
        match command {
            Command::Audio(audio) => self.push(audio),
            Command::Finalize => self.finalize(),
        }
    }
}

fn listen_url(settings: &Settings) -> url::Url {
    let mut url = crate::ws_origin(&settings.base_url);
    url.set_path("/v1/listen");
    url.query_pairs_mut()
        .append_pair("model", &settings.model)
        .append_pair("language", &language(&settings.language))
        .append_pair("encoding", "mulaw")
        .append_pair("sample_rate", "8000")
        .append_pair("channels", "1")
        .append_pair("interim_results", "true")
        .append_pair("endpointing", "300")
        .append_pair("utterance_end_ms", "1000")
        .append_pair("punctuate", "true")
        .append_pair("tag", &settings.call_id);
    url
}

/// The vendor knows regions of English, `en-IN`; other languages of the platform go without, `hi`.
fn language(language: &str) -> String {
    let primary = socket::primary_language(language);
    if primary == "en" { language.to_owned() } else { primary }
}
