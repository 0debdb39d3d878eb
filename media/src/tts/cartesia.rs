//! Cartesia over its WebSocket: one socket a call, one context a take.
//!
//! Cancelling stops only text that has not begun to be generated, so events of a cancelled context are dropped here. No
//! context survives its socket: each one open then is told as lost, and the next command dials again.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod message;
mod takes;

use std::time::{Duration, Instant};

use mesh::clock;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_tungstenite::tungstenite::Message;

use super::{Command, Event, Session, Settings, Synthesizer};
use crate::{
    circuits::{Breaker, NOT_ASKED},
    socket::{self, BEAT, Dial, End, Outbox, Pulse, Sink, Stream},
};
use takes::Takes;

/// The API version whose messages this adapter speaks.
const API_VERSION: &str = "2026-03-01";
/// While text waits to be spoken some message comes in this time, or the socket is dead.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);

/// Opens sessions with Cartesia.
#[derive(Debug, Default)]
pub struct Cartesia;

impl Synthesizer for Cartesia {
    fn open(&self, settings: Settings) -> Session {
        let (session, commands, outbox) = Session::new();
        let breaker =
            Breaker::new("cartesia", "tts", &settings.base_url, &settings.api_key, &settings.call_id);
        let takes = Takes::new(&settings);
        let worker = Worker { takes, settings, commands, outbox, answer_by: None, breaker };
        tokio::spawn(worker.run());
        session
    }
}

struct Worker {
    settings: Settings,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox<Event>,
    takes: Takes,
    /// When the vendor must have said something.
    answer_by: Option<Instant>,
    breaker: Breaker,
}

impl Worker {
    async fn run(mut self) {
        if !self.breaker.lets_through() {
            let unavailable = Event::Unavailable { detail: NOT_ASKED.into() };
            return socket::give_up(self.commands, self.outbox, unavailable).await;
        }
        // The first socket is opened before it is needed; later ones when there is something to send.
        let mut first = None;
        let (detail, is_vendors) = loop {
            let end = match self.dial().await {
                Ok((sink, stream)) => self.converse(sink, stream, first.take()).await,
                Err(end) => end,
            };
            match end {
                End::Dropped => return,
                End::Refused(detail) => break (detail, true),
                End::Unfit(detail) => break (detail, false),
                End::Lost(detail) => {
                    tracing::info!(
                        vendor = "cartesia",
                        call_id = self.settings.call_id,
                        detail,
                        "socket lost"
                    );
                    metrics::counter!("trunkline_vendor_reconnects_total", "vendor" => "cartesia")
                        .increment(1);
                    if self.takes.is_answer_due() {
                        self.breaker.fails();
                    }
                    self.takes.lose_all(&detail, &mut self.outbox);
                }
            }
            match self.idle().await {
                Some(text) => first = Some(text),
                None => return,
            }
        };
        if is_vendors {
            self.breaker.fails();
        }
        socket::give_up(self.commands, self.outbox, Event::Unavailable { detail }).await;
    }

    /// Without a socket: delivers what waits, until there is something to send. `None`: the session was dropped.
    async fn idle(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                command = self.commands.recv() => {
                    if let Some(text) = self.takes.command(command?, &mut self.outbox) {
                        return Some(text);
                    }
                }
                () = self.outbox.tend() => return None,
            }
        }
    }

    /// Dials with a few attempts; commands wait in their queue meanwhile. Never ends as lost.
    async fn dial(&mut self) -> Result<(Sink, Stream), End> {
        let dial = Dial {
            url: websocket_url(&self.settings),
            headers: &[("x-api-key", self.settings.api_key.expose()), ("cartesia-version", API_VERSION)],
            request_id: "x-request-id",
            message_bytes_max: 4 << 20,
            final_code: None,
        };
        let tries_max = if self.settings.has_fallback { 2 } else { usize::MAX };
        let attempts = async {
            let mut failures = 0;
            loop {
                match dial.dial().await {
                    Err(End::Lost(detail)) => {
                        failures += 1;
                        match socket::backoff(failures).filter(|_| failures < tries_max) {
                            Some(wait) => sleep(wait).await,
                            None => return Err(End::Refused(detail)),
                        }
                    }
                    result => return result,
                }
            }
        };
        tokio::select! {
            result = attempts => result,
            () = self.outbox.tend() => Err(End::Dropped),
        }
    }

    /// Runs one socket to its end.
    async fn converse(&mut self, mut sink: Sink, mut stream: Stream, first: Option<String>) -> End {
        let mut next = first;
        self.answer_by = None;
        let pulse = Pulse::default();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(text) = next.take()
                && let Err(end) = socket::send(&mut sink, Message::text(text)).await
            {
                return end;
            }
            self.expect_answer();
            let end = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => {
                        if matches!(command, Command::Cancel { .. }) {
                            self.answer_by = None;
                        }
                        next = self.takes.command(command, &mut self.outbox);
                        continue;
                    }
                    None => End::Dropped,
                },
                _ = beat.tick() => match pulse.beat(&mut sink, &self.outbox).await {
                    Ok(()) => continue,
                    Err(end) => end,
                },
                text = socket::read(&mut stream, &mut self.outbox, self.answer_by, &pulse) => match text {
                    Ok(text) => {
                        match self.takes.message(&text, &mut self.outbox) {
                            Some(true) => self.breaker.works(),
                            Some(false) => self.breaker.fails(),
                            None => {}
                        }
                        self.answer_by = None;
                        continue;
                    }
                    Err(end) => end,
                }
            };
            if matches!(end, End::Dropped) {
                socket::close(sink, stream, None).await;
            }
            return end;
        }
    }

    /// Text that follows does not put off the answer to what was sent before.
    fn expect_answer(&mut self) {
        let by = self.answer_by.unwrap_or_else(|| clock::now() + ANSWER_TIMEOUT);
        self.answer_by = self.takes.is_answer_due().then_some(by);
    }
}

fn websocket_url(settings: &Settings) -> url::Url {
    let mut url = crate::ws_origin(&settings.base_url);
    url.set_path("/tts/websocket");
    url
}
