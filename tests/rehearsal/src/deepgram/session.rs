//! SHELL: one WebSocket, from its upgrade to its end, whichever version of the protocol it speaks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

use super::message;
use super::{Fault, Shared, VENDOR};
use crate::clock;
use crate::events::{Event, micros};
use crate::hearing::decode::{Decoder, Encoding};
use crate::hearing::pace::Pace;
use crate::loopback::Connection;
use crate::recordings::SAMPLE_RATE_HZ;

/// A client that does not read for this long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// The arrivals of the last messages that are remembered, to say when a piece of audio came.
const ARRIVALS: usize = 1024;

/// Why a session ends: the code and the reason of the close, or none when the socket is gone.
type End = Option<(u16, &'static str)>;

/// What one version of the protocol answers. It knows no time but the audio's.
pub(super) trait Dialect: Send {
    /// The socket is open.
    fn open(&mut self) -> Vec<Effect>;
    /// Audio came, as it was sent and as samples at 8 kHz.
    fn hear(&mut self, audio: &[u8], samples: &[i16]) -> Vec<Effect>;
    /// A text message came. A wrong one is answered with a violation.
    fn read(&mut self, text: &str) -> Vec<Effect>;
    /// An empty message came, which means that no audio follows.
    fn finish(&mut self) -> Vec<Effect>;
    /// The connection shows this fault from now on.
    fn show(&mut self, _fault: Option<&Fault>) {}
}

/// What a dialect wants done; sent in the order in which it was wanted.
pub(super) enum Effect {
    Say(Say),
    Log(Event),
    /// The client broke a rule: which one.
    Violation(&'static str),
    /// The socket closes when everything was sent.
    Close(u16, &'static str),
}

/// A message of the server.
pub(super) struct Say {
    pub(super) json: Value,
    /// It comes as soon as an interim transcript.
    pub(super) interim: bool,
    /// Logged when it is sent.
    pub(super) events: Vec<Event>,
    /// For the log: how much audio it is based on, and where the last speech in that ended.
    pub(super) heard: Option<(u64, u64)>,
}

impl Say {
    pub(super) fn plain(json: Value) -> Effect {
        Effect::Say(Self { json, interim: false, events: Vec::new(), heard: None })
    }
}

/// What the query of the upgrade settles for the session.
pub(super) struct Opening {
    pub(super) encoding: Option<Encoding>,
    pub(super) model: String,
    /// Which call this is, in the words of the client.
    pub(super) tag: Option<String>,
    /// Without a message for this long the socket is closed.
    pub(super) idle_timeout: Duration,
    /// A ping is such a message.
    pub(super) pings_count: bool,
}

/// An event of this vendor; the session adds whose it is.
pub(super) fn event(name: &'static str) -> Event {
    Event::new(VENDOR, 0, name)
}

struct Answer {
    due: Instant,
    text: String,
    events: Vec<Event>,
}

pub(super) struct Session {
    shared: Arc<Shared>,
    opening: Opening,
    dialect: Box<dyn Dialect>,
    connection: Connection,
    request_id: Uuid,
    decoder: Decoder,
    pace: Pace,
    fault: Option<Fault>,
    strikes: watch::Receiver<Option<Fault>>,
    answers: VecDeque<Answer>,
    /// How much audio had come, in samples, when.
    arrivals: VecDeque<(u64, SystemTime)>,
    received: u64,
    violations: u64,
    idle_until: Instant,
    /// Everything is said; the socket closes when it is sent.
    ending: End,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        opening: Opening,
        mut dialect: Box<dyn Dialect>,
        fault: Option<Fault>,
        connection: Connection,
        request_id: Uuid,
    ) -> Self {
        let now = clock::now();
        dialect.show(fault.as_ref());
        Self {
            decoder: Decoder::new(opening.encoding),
            pace: Pace::new(now),
            fault,
            strikes: shared.strikes.subscribe(),
            answers: VecDeque::new(),
            arrivals: VecDeque::with_capacity(ARRIVALS),
            received: 0,
            violations: 0,
            idle_until: now + opening.idle_timeout,
            ending: None,
            shared,
            opening,
            dialect,
            connection,
            request_id,
        }
    }

    pub(super) async fn run(mut self, mut socket: WebSocket) {
        self.idle_until = clock::now() + self.opening.idle_timeout;
        let opened = event("open").with("request_id", self.request_id.to_string());
        self.log(opened.with("model", self.opening.model.clone()));
        let effects = self.dialect.open();
        self.perform(effects);
        let end = self.serve(&mut socket).await;
        let closed = event("close").with("audio_s", message::seconds(self.received));
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
            if self.ending.is_some() && due.is_none() {
                return self.ending;
            }
            let idle_until = self.idle_until;
            let listens = self.ending.is_none();
            let end = tokio::select! {
                message = socket.recv(), if listens => self.take(message),
                () = sleep_until(due.unwrap_or(idle_until).into()), if due.is_some() => {
                    self.send(socket).await
                }
                () = sleep_until(idle_until.into()), if listens => Err(Some((
                    1011,
                    "Deepgram did not receive audio data or a text message within the timeout window. NET-0001",
                ))),
                changed = self.strikes.changed(), if listens => {
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
            Some(Ok(Message::Binary(audio))) => return self.take_audio(&audio),
            Some(Ok(Message::Text(text))) => {
                let effects = self.dialect.read(&text);
                if !effects.iter().any(|effect| matches!(effect, Effect::Violation(_))) {
                    self.stirred();
                }
                self.perform(effects);
            }
            Some(Ok(Message::Ping(_))) if self.opening.pings_count => self.stirred(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
        }
        Ok(())
    }

    async fn send(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let Some(answer) = self.answers.pop_front() else { return Ok(()) };
        for mut event in answer.events {
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
            let effects = self.dialect.finish();
            self.perform(effects);
            return Ok(());
        }
        if audio.starts_with(b"{\"type\"") {
            // The vendor takes it for sound; here the mistake is also written down.
            self.violation("control_as_binary", 0.0);
        }
        let Ok(samples) = self.decoder.decode(audio) else {
            return Err(Some((1008, "DATA-0000")));
        };
        self.stirred();
        if self.received == 0 {
            self.log(event("audio_first").with("bytes", audio.len()));
        }
        self.received += samples.len() as u64;
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((self.received, clock::time_of_day()));
        if let Some(ahead) = self.pace.took(duration(samples.len() as u64), clock::now()) {
            self.violation("too_fast", ahead.as_secs_f64());
        }
        let effects = self.dialect.hear(audio, &samples);
        self.perform(effects);
        self.fail_if_due()
    }

    /// The client showed that it is there.
    fn stirred(&mut self) {
        self.idle_until = clock::now() + self.opening.idle_timeout;
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Say(say) => self.queue(say),
                Effect::Log(event) => self.log(event),
                Effect::Violation(rule) => self.violation(rule, 0.0),
                Effect::Close(code, reason) if !self.is_stalled() => self.ending = Some((code, reason)),
                Effect::Close(..) => {}
            }
        }
    }

    /// When the audio up to `position` had come.
    fn arrival(&self, position: u64) -> u64 {
        let index = self.arrivals.partition_point(|(received, _)| *received < position);
        let found = self.arrivals.get(index).or(self.arrivals.back());
        found.map_or(0, |(_, at)| micros(*at))
    }

    /// What the latency report needs: on which audio the answer is based, when that came, and (by the event's own
    /// time) when the answer was sent.
    fn dated(&self, event: Event, heard: Option<(u64, u64)>) -> Event {
        let Some((position, speech_end)) = heard else { return event };
        event
            .with("audio_s", message::seconds(position))
            .with("audio_at_us", self.arrival(position))
            .with("speech_end_s", message::seconds(speech_end))
            .with("speech_end_at_us", self.arrival(speech_end))
    }

    /// Queues an answer for when its latency has passed; answers do not overtake each other.
    fn queue(&mut self, say: Say) {
        if self.is_stalled() {
            return;
        }
        if self.fault == Some(Fault::StallInTurn) && say.json["event"] == "StartOfTurn" {
            self.fault = Some(Fault::Stall { after: Duration::ZERO });
        }
        let settings = &self.shared.settings;
        let latency = if say.interim { settings.interim_latency } else { settings.final_latency };
        let after_latency = clock::now() + latency.draw(&self.shared.dice);
        let due = self.answers.back().map_or(after_latency, |last| last.due.max(after_latency));
        let events = say.events.into_iter().map(|event| self.dated(event, say.heard)).collect();
        self.answers.push_back(Answer { due, text: say.json.to_string(), events });
    }

    fn is_stalled(&self) -> bool {
        match self.fault {
            Some(Fault::Stall { after }) => duration(self.received) >= after,
            Some(Fault::NoConnected) => true,
            _ => false,
        }
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
        self.dialect.show(self.fault.as_ref());
    }

    fn violation(&mut self, rule: &str, seconds: f64) {
        self.violations += 1;
        self.log(event("violation").with("rule", rule).with("seconds", seconds));
    }

    fn log(&self, mut event: Event) {
        event.connection = self.connection.id();
        self.shared.settings.log.push(event.call(self.opening.tag.as_deref()));
    }
}

fn duration(samples: u64) -> Duration {
    Duration::from_secs_f64(samples as f64 / SAMPLE_RATE_HZ as f64)
}
