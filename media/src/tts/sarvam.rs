//! Sarvam over its WebSocket: a line that speaks, and a spare one.
//!
//! The protocol knows neither contexts nor a cancel, so an interruption abandons the line that speaks, and the spare one,
//! configured already, takes over. It gives no word times either: the words of each part share the part's audio.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod message;
mod share;
mod spoken;
mod takes;

use std::{
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::BoxFuture, future::join_all};
use mesh::clock;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep, timeout_at},
};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::{Command, Event, Session, Settings, Synthesizer};
use crate::{
    circuits::{Breaker, NOT_ASKED},
    socket::{self, BEAT, Dial, End, Outbox, Pulse, Sink, Stream},
};
use takes::{Output, Takes};

/// While text waits to be spoken some message comes in this time, or the line is dead.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);
/// The vendor closes a socket that is silent for 60 s.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Opens sessions with Sarvam.
#[derive(Debug, Default)]
pub struct Sarvam;

impl Synthesizer for Sarvam {
    fn open(&self, settings: Settings) -> Session {
        let (session, commands, outbox) = Session::new();
        let worker = Worker {
            breaker: Breaker::new("sarvam", "tts", &settings.base_url, &settings.api_key, &settings.call_id),
            takes: Takes::new(&settings),
            settings,
            commands,
            outbox,
            lines: Vec::new(),
            opened: 0,
            dialling: None,
            failures: 0,
        };
        tokio::spawn(worker.run());
        session
    }
}

struct Line {
    id: takes::Line,
    sink: Sink,
    stream: Stream,
    /// When the vendor must have said something.
    answer_by: Option<Instant>,
    pulse: Pulse,
}

struct Worker {
    settings: Settings,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox<Event>,
    takes: Takes,
    lines: Vec<Line>,
    /// Numbers the lines.
    opened: takes::Line,
    dialling: Option<BoxFuture<'static, Result<(Sink, Stream), End>>>,
    /// How often in a row no line could be dialled.
    failures: usize,
    breaker: Breaker,
}

impl Worker {
    async fn run(mut self) {
        let end = self.serve().await;
        let lines = self.lines.into_iter().map(|line| socket::close(line.sink, line.stream, None));
        let closed = join_all(lines);
        match end {
            End::Dropped => {
                closed.await;
            }
            End::Lost(detail) | End::Refused(detail) | End::Unfit(detail) => {
                tokio::spawn(closed);
                socket::give_up(self.commands, self.outbox, Event::Unavailable { detail }).await;
            }
        }
    }

    async fn serve(&mut self) -> End {
        if !self.breaker.lets_through() {
            return End::Refused(NOT_ASKED.into());
        }
        let end = self.exchange().await;
        if matches!(end, End::Lost(_) | End::Refused(_)) {
            self.breaker.fails();
        }
        end
    }

    async fn exchange(&mut self) -> End {
        let mut ping = interval(PING_EVERY);
        ping.reset();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(end) = self.perform().await {
                return end;
            }
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.takes.command(command, &mut self.outbox),
                    None => return End::Dropped,
                },
                result = dialled(&mut self.dialling) => {
                    self.dialling = None;
                    if let Err(end) = self.dialled(result) {
                        return end;
                    }
                }
                read = read(&mut self.lines, &mut self.outbox) => match read {
                    Ok((line, Ok(text))) => {
                        match self.takes.message(line, &text, &mut self.outbox) {
                            Some(true) => self.breaker.works(),
                            Some(false) => self.breaker.fails(),
                            None => {}
                        }
                        self.expect_answer(line);
                    }
                    Ok((line, Err(end))) => self.lose(line, end),
                    Err(end) => return end,
                },
                _ = beat.tick() => self.beat().await,
                _ = ping.tick() => {
                    for line in self.lines.iter().map(|line| line.id).collect::<Vec<_>>() {
                        self.send(line, message::PING.into()).await;
                    }
                }
            }
        }
    }

    /// Does what the core wants, in its order.
    async fn perform(&mut self) -> Result<(), End> {
        while let Some(output) = self.takes.poll() {
            match output {
                Output::Send { line, text } => {
                    self.send(line, text).await;
                    self.expect_answer(line);
                }
                Output::Close(id) => {
                    if let Some(line) = self.remove(id) {
                        tokio::spawn(socket::close(line.sink, line.stream, None));
                    }
                }
                Output::Dial => self.dial(),
                Output::Refused(detail) => return Err(End::Refused(detail)),
                Output::Unfit(detail) => return Err(End::Unfit(detail)),
            }
        }
        Ok(())
    }

    fn dial(&mut self) {
        let wait = socket::backoff(self.failures).unwrap_or_default();
        let (settings, config) = (self.settings.clone(), self.takes.config());
        self.dialling = Some(Box::pin(async move {
            sleep(wait).await;
            let dial = Dial {
                url: websocket_url(&settings),
                headers: &[("api-subscription-key", settings.api_key.expose())],
                request_id: "x-request-id",
                message_bytes_max: 4 << 20,
                final_code: Some("insufficient_quota_error"),
            };
            let (mut sink, stream) = dial.dial().await?;
            socket::send(&mut sink, Message::text(config)).await?;
            Ok((sink, stream))
        }));
    }

    fn dialled(&mut self, result: Result<(Sink, Stream), End>) -> Result<(), End> {
        match result {
            Ok((sink, stream)) => {
                self.failures = 0;
                self.opened += 1;
                self.lines.push(Line {
                    id: self.opened,
                    sink,
                    stream,
                    answer_by: None,
                    pulse: Pulse::default(),
                });
                self.takes.opened(self.opened, &mut self.outbox);
                Ok(())
            }
            Err(End::Lost(detail)) => {
                self.failures += 1;
                tracing::info!(vendor = "sarvam", call_id = self.settings.call_id, detail, "no line");
                if !self.takes.not_opened() {
                    self.failures = 0;
                    return Ok(());
                }
                let few = !self.settings.has_fallback || self.failures < 2;
                socket::backoff(self.failures).filter(|_| few).ok_or(End::Refused(detail))?;
                self.dial();
                Ok(())
            }
            Err(end) => Err(end),
        }
    }

    async fn beat(&mut self) {
        let mut dead = Vec::new();
        for line in &mut self.lines {
            if let Err(end) = line.pulse.beat(&mut line.sink, &self.outbox).await {
                dead.push((line.id, end));
            }
        }
        for (line, end) in dead {
            self.lose(line, end);
        }
    }

    async fn send(&mut self, id: takes::Line, text: String) {
        let Some(line) = self.lines.iter_mut().find(|line| line.id == id) else { return };
        if let Err(end) = socket::send(&mut line.sink, Message::text(text)).await {
            self.lose(id, end);
        }
    }

    fn expect_answer(&mut self, id: takes::Line) {
        let due = self.takes.is_answer_due(id).then(|| clock::now() + ANSWER_TIMEOUT);
        if let Some(line) = self.lines.iter_mut().find(|line| line.id == id) {
            line.answer_by = due;
        }
    }

    fn lose(&mut self, id: takes::Line, end: End) {
        let detail = match end {
            End::Lost(detail) | End::Refused(detail) | End::Unfit(detail) => detail,
            End::Dropped => return,
        };
        if self.takes.is_answer_due(id) {
            self.breaker.fails();
            metrics::counter!("trunkline_vendor_reconnects_total", "vendor" => "sarvam").increment(1);
        }
        tracing::info!(vendor = "sarvam", call_id = self.settings.call_id, detail, "line lost");
        self.remove(id);
        self.takes.lost(id, &detail, &mut self.outbox);
    }

    fn remove(&mut self, id: takes::Line) -> Option<Line> {
        let at = self.lines.iter().position(|line| line.id == id)?;
        Some(self.lines.swap_remove(at))
    }
}

async fn dialled(
    dialling: &mut Option<BoxFuture<'static, Result<(Sink, Stream), End>>>,
) -> Result<(Sink, Stream), End> {
    match dialling {
        Some(dialling) => dialling.await,
        None => std::future::pending().await,
    }
}

/// The next message of any line, once all events before it are taken. Cancel safe.
async fn read(
    lines: &mut [Line],
    outbox: &mut Outbox<Event>,
) -> Result<(takes::Line, Result<Utf8Bytes, End>), End> {
    outbox.flush().await?;
    let first_due = lines.iter().filter_map(|line| Some((line.answer_by?, line.id))).min();
    let next = poll_fn(|context| {
        for line in lines.iter_mut() {
            while let Poll::Ready(message) = line.stream.poll_next_unpin(context) {
                if let Some(Ok(_)) = &message {
                    line.pulse.heard();
                }
                if let Some(text) = socket::text_of(message) {
                    return Poll::Ready((line.id, text));
                }
            }
        }
        Poll::Pending
    });
    match first_due {
        // A message that came while the events were waiting counts, however late it is read.
        Some((at, line)) => match timeout_at(at.into(), next).await {
            Ok(message) => Ok(message),
            Err(_) => Ok((line, Err(End::Lost("the vendor has fallen silent".into())))),
        },
        None => Ok(next.await),
    }
}

fn websocket_url(settings: &Settings) -> url::Url {
    let mut url = crate::ws_origin(&settings.base_url);
    let model = message::model(settings);
    // The fast model has a path of its own.
    url.set_path(if model.starts_with("bulbul:v4") { "/text-to-speech/ws/v2" } else { "/text-to-speech/ws" });
    url.query_pairs_mut().append_pair("model", model).append_pair("send_completion_event", "true");
    url
}
