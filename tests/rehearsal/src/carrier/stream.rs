//! One media stream: a loop that ticks the caller, plays out the agent and writes, beside the socket's reader.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::task::AbortOnDropHandle;

use super::call::Leg;
use super::dialect::{self, Dialect, FromServer};
use super::mulaw::{self, FRAME_SAMPLES};
use super::pacing::Pacer;
use super::plan::Goodbye;
use super::playout::{Input, Output, samples_at, time_of};
use super::report::{
    Close, ClosedBy, Ended, LateFrame, LineReport, MarkOutcome, MarkReport, Playback, StreamReport,
    Utterance, What,
};
use super::room::Microphone;
use super::script::{HangUp, TICK};
use super::socket::{self, Arrival, Received, Refused, Socket};
use super::switchboard::Update;
use crate::clock;

/// A server that takes nothing for this long does not read any more.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Kinds of invalid messages that a report keeps.
const INVALID_KINDS: usize = 20;

/// How long the other side may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Late frames that are reported.
const LATE_FRAMES_MAX: usize = 1_000;

/// How a media stream ended.
pub(crate) enum StreamEnd {
    /// The call goes on without it.
    ServerClosed,
    /// The carrier was told to run this TwiML in its place.
    Redirected(String),
    CallOver(Ended),
}

/// Why nothing can be written any more.
enum WriteError {
    /// The connection is gone; the reader knows more.
    Gone,
    /// The server does not read.
    Stuck,
}

/// A mark whose time has come.
pub(super) struct DueMark {
    name: String,
    received: Duration,
    due: Duration,
    outcome: MarkOutcome,
}

struct Frame {
    sound: [u8; FRAME_SAMPLES],
    timestamp_ms: u64,
    leaves_at: Duration,
    first_voiced: Option<usize>,
    last_voiced: Option<usize>,
}

struct Session<'a> {
    leg: &'a mut Leg,
    sink: SplitSink<Socket, Message>,
    arrivals: mpsc::Receiver<Arrival>,
    _reader: AbortOnDropHandle<()>,
    stream_sid: String,
    writer: Box<dyn Dialect>,
    pacer: Pacer,
    microphone: Microphone,
    /// Frames that were said and have not left; a stuck server ends the stream before it grows.
    outbox: VecDeque<Frame>,
    /// Lines that begin or end in sound which the dialect still gathers.
    gathered: Vec<(Option<usize>, Option<usize>)>,
    /// The start of the stream on the call's clock, at a whole sample.
    began: Duration,
    ticks: u32,
}

/// A media stream that the server asked for.
pub(crate) struct Offered {
    pub stream_sid: String,
    /// As the server wrote it.
    pub url: String,
    pub parameters: Vec<(String, String)>,
    pub request: Result<http::Request<()>, Refused>,
    pub dialect: Box<dyn Dialect>,
}

/// Dials the stream and stays with it until it ends.
pub(crate) async fn run(leg: &mut Leg, offered: Offered) -> StreamEnd {
    let Offered { stream_sid, url, parameters, request, dialect } = offered;
    leg.report.streams.push(StreamReport {
        stream_sid: stream_sid.clone(),
        url,
        custom_parameters: parameters.iter().cloned().collect(),
        ..StreamReport::default()
    });
    let dial = async { socket::dial(request?).await };
    let dialled = tokio::select! {
        dialled = dial => dialled,
        () = leg.hang_up.cancelled() => return StreamEnd::CallOver(Ended::CallerHungUp),
        () = sleep_until(leg.deadline.into()) => return StreamEnd::CallOver(Ended::MaxDuration),
    };
    let opened = leg.clock.stamp(clock::now());
    match dialled {
        Ok(socket) => {
            current(leg).opened = Some(opened);
            leg.tell(opened, What::StreamOpened);
            let end = Session::new(leg, socket, stream_sid, dialect).run(&parameters).await;
            let now = leg.clock.now();
            leg.playout.handle(Input::StreamEnded, now);
            take_outputs(leg);
            end
        }
        Err(refused) => {
            current(leg).refused_status = refused.status;
            leg.warn(31920, refused.text);
            StreamEnd::ServerClosed
        }
    }
}

/// Reports what came of the play-out, and gives back the marks to echo.
pub(super) fn take_outputs(leg: &mut Leg) -> Vec<DueMark> {
    let mut marks = Vec::new();
    while let Some(output) = leg.playout.poll() {
        match output {
            Output::BurstBegan(at) => {
                let at = leg.clock.stamp_at(at);
                leg.report.bursts.push(at);
                leg.report.played.push(Playback { at, bytes: leg.playout.played_bytes() });
                leg.tell(at, What::AgentMedia);
            }
            Output::Audible(at) => {
                let at = leg.clock.stamp_at(at);
                leg.report.utterances.push(Utterance { first_audible: at, last_audible: None });
                leg.tell(at, What::AgentAudible);
            }
            Output::Inaudible(at) => {
                let at = leg.clock.stamp_at(at);
                if let Some(utterance) = leg.report.utterances.last_mut() {
                    utterance.last_audible = Some(at);
                }
                leg.tell(at, What::AgentInaudible);
            }
            Output::Mark { name, received, at, cleared } => {
                let outcome = if cleared { MarkOutcome::Cleared } else { MarkOutcome::Played };
                marks.push(DueMark { name, received, due: at, outcome });
            }
            Output::Cleared { at, discarded_bytes } => {
                let at = leg.clock.stamp_at(at);
                leg.report.clears.push(at);
                leg.report.played.push(Playback { at, bytes: leg.playout.played_bytes() });
                leg.tell(at, What::Cleared { discarded_ms: discarded_bytes as u64 / 8 });
            }
        }
    }
    marks
}

/// The report of the stream that is open; `run` has pushed it.
fn current(leg: &mut Leg) -> &mut StreamReport {
    leg.report.streams.last_mut().expect("a stream was reported when it was dialled")
}

impl<'a> Session<'a> {
    fn new(leg: &'a mut Leg, socket: Socket, stream_sid: String, writer: Box<dyn Dialect>) -> Self {
        let (sink, stream) = socket.split();
        let (arrivals, reader) = socket::read(stream);
        let began = leg.clock.now();
        let pacer = Pacer::new(&leg.plan.link, began);
        let microphone = Microphone::new(leg.plan.room, leg.plan.link.seed);
        let outbox = VecDeque::new();
        Self {
            leg,
            sink,
            arrivals,
            _reader: reader,
            stream_sid,
            writer,
            pacer,
            microphone,
            outbox,
            gathered: Vec::new(),
            began,
            ticks: 0,
        }
    }

    async fn run(&mut self, parameters: &[(String, String)]) -> StreamEnd {
        if let Err(error) = self.start(parameters).await {
            return self.lost(error).await;
        }
        let hang_up = self.leg.hang_up.clone();
        loop {
            let wake = self.next_wake();
            tokio::select! {
                // What has arrived was played or cleared before what the clock says next.
                biased;
                arrival = self.arrivals.recv() => if self.take(arrival) {
                    // The close handshake is the server's to finish; a lost connection has none.
                    let _ = timeout(CLOSE_TIMEOUT, self.sink.close()).await;
                    return StreamEnd::ServerClosed;
                },
                () = hang_up.cancelled() => return self.leave(Ended::CallerHungUp).await,
                update = self.leg.line.next() => return match update {
                    Update::HangUp => self.leave(Ended::ServerHungUp).await,
                    Update::Twiml(document) => {
                        self.part(true).await;
                        StreamEnd::Redirected(document)
                    }
                },
                () = sleep_until(wake.into()) => {}
            }
            match self.on_time().await {
                Ok(None) => {}
                Ok(Some(ended)) => return self.leave(ended).await,
                Err(error) => return self.lost(error).await,
            }
        }
    }

    async fn start(&mut self, parameters: &[(String, String)]) -> Result<(), WriteError> {
        let connected = self.writer.connected();
        self.send(connected).await?;
        let start = self.writer.start(parameters);
        let started = self.send(start).await?;
        self.began = time_of(samples_at(self.leg.clock.offset(started)));
        let at = self.leg.clock.stamp(started);
        current(self.leg).started = Some(at);
        self.leg.tell(at, What::StreamStarted { stream_sid: self.stream_sid.clone() });
        Ok(())
    }

    fn next_tick(&self) -> Duration {
        self.began + TICK * self.ticks
    }

    fn next_wake(&self) -> Instant {
        let frame = self.outbox.front().map(|frame| frame.leaves_at);
        let due = [Some(self.next_tick()), frame, self.leg.playout.next_due()].into_iter().flatten().min();
        due.map_or(self.leg.deadline, |due| self.leg.clock.instant(due).min(self.leg.deadline))
    }

    /// Does what is due: marks, the caller's next 20 ms, frames that leave. The end of the call, if this is it.
    async fn on_time(&mut self) -> Result<Option<Ended>, WriteError> {
        let now = self.leg.clock.now();
        self.leg.playout.advance(now);
        for mark in take_outputs(self.leg) {
            self.echo(mark).await?;
        }
        if self.leg.clock.instant(now) >= self.leg.deadline {
            return Ok(Some(Ended::MaxDuration));
        }
        while self.next_tick() <= now {
            if let Some(ended) = self.tick().await? {
                return Ok(Some(ended));
            }
        }
        while let Some(frame) = self.outbox.pop_front_if(|frame| frame.leaves_at <= now) {
            self.send_frame(&frame).await?;
        }
        Ok(None)
    }

    /// The caller's next 20 ms. Their frame is complete, and leaves, at the end of them.
    async fn tick(&mut self) -> Result<Option<Ended>, WriteError> {
        let at = self.next_tick();
        let timestamp_ms = u64::from(self.ticks) * TICK.as_millis() as u64;
        self.ticks += 1;
        let mut tick = self.leg.script.tick(at, self.leg.playout.agent());
        let echo =
            self.microphone.echo_from(samples_at(at)).map(|sample| self.leg.playout.heard_from(sample));
        self.microphone.add(&mut tick.frame, echo.unwrap_or_default());
        let ended = match tick.hang_up {
            Some(HangUp::ScriptDone) => Some(Ended::ScriptDone),
            Some(HangUp::Scripted) => Some(Ended::CallerHungUp),
            Some(HangUp::AgentSilent) => Some(Ended::AgentSilent),
            None => None,
        };
        if ended.is_some() {
            return Ok(ended);
        }
        let stamp = self.leg.clock.stamp_at(at);
        if let Some(line) = tick.begins {
            let line = self.leg.line_name(line);
            self.leg.tell(stamp, What::LineBegan { line: line.clone() });
            let report = LineReport { line, began: stamp, first_voiced_sent: None, last_voiced_sent: None };
            self.leg.report.lines.push(report);
        }
        self.leg.said.resize(samples_at(at), mulaw::SILENCE);
        self.leg.said.extend_from_slice(&tick.frame);
        self.outbox.push_back(Frame {
            sound: tick.frame,
            timestamp_ms,
            leaves_at: self.pacer.leaves_at(at + TICK),
            first_voiced: tick.first_voiced,
            last_voiced: tick.last_voiced,
        });
        if let Some(message) = tick.message {
            self.send(message.replace("{sid}", &self.stream_sid)).await?;
        }
        if let Some(key) = tick.key {
            let message = self.writer.dtmf(key);
            let sent = self.send(message).await?;
            self.leg.tell(self.leg.clock.stamp(sent), What::KeyPressed { key });
        }
        Ok(None)
    }

    async fn send_frame(&mut self, frame: &Frame) -> Result<(), WriteError> {
        self.gathered.push((frame.first_voiced, frame.last_voiced));
        let Some(message) = self.writer.media(frame.timestamp_ms, &frame.sound) else { return Ok(()) };
        let sent = self.send(message).await?;
        let at = self.leg.clock.stamp(sent);
        let late = self.leg.clock.offset(sent).saturating_sub(frame.leaves_at);
        if late > TICK && self.leg.report.late.len() < LATE_FRAMES_MAX {
            self.leg.report.late.push(LateFrame { at, late_ms: late.as_secs_f64() * 1e3 });
        }
        for (first_voiced, last_voiced) in std::mem::take(&mut self.gathered) {
            let lines = &mut self.leg.report.lines;
            if let Some(line) = first_voiced.and_then(|line| lines.get_mut(line)) {
                line.first_voiced_sent = Some(at);
            }
            if let Some(line) = last_voiced.and_then(|line| lines.get_mut(line)) {
                line.last_voiced_sent = Some(at);
                let line = line.line.clone();
                self.leg.tell(at, What::LineEnded { line });
            }
        }
        Ok(())
    }

    async fn echo(&mut self, mark: DueMark) -> Result<(), WriteError> {
        let DueMark { name, received, due, outcome } = mark;
        let clock = self.leg.clock;
        if outcome == MarkOutcome::Cleared && !self.writer.returns_cleared_marks() {
            return Ok(());
        }
        let message = self.writer.mark(&name);
        let echoed = clock.stamp(self.send(message).await?);
        self.leg.tell(echoed, What::MarkEchoed { name: name.clone(), outcome });
        let (received, due) = (clock.stamp_at(received), clock.stamp_at(due));
        self.leg.report.marks.push(MarkReport { name, received, due, echoed, outcome });
        Ok(())
    }

    /// Takes what arrived; true when it was the end.
    fn take(&mut self, arrival: Option<Arrival>) -> bool {
        // The reader says how it ended before it goes.
        let Some(Arrival { at, what }) = arrival else { return true };
        let now = self.leg.clock.offset(at);
        match what {
            Received::Text(text) => match self.writer.parse(&text) {
                Ok(FromServer::Media(sound)) => self.take_media(sound, now),
                Ok(FromServer::Flawed(sound, why)) => {
                    self.take_media(sound, now);
                    self.drop_invalid(why);
                }
                Ok(FromServer::Mark(name)) => self.leg.playout.handle(Input::Mark(name), now),
                Ok(FromServer::Clear) => self.leg.playout.handle(Input::Clear, now),
                Err(invalid) => self.drop_invalid(invalid.0),
            },
            Received::Binary => self.drop_invalid("binary message".to_owned()),
            Received::Closed { code, reason } => {
                self.closed(ClosedBy::Server, code, reason, at);
                self.leg.warn(31921, "the server closed the WebSocket".to_owned());
                return true;
            }
            Received::Lost(reason) => {
                self.closed(ClosedBy::Nobody, None, reason, at);
                return true;
            }
        }
        false
    }

    fn take_media(&mut self, sound: Vec<u8>, now: Duration) {
        let report = current(self.leg);
        report.media_messages += 1;
        report.media_bytes += sound.len() as u64;
        report.wav_headers += u64::from(dialect::has_wav_header(&sound));
        self.leg.playout.handle(Input::Media(sound), now);
    }

    /// The vendor warns once a stream.
    fn drop_invalid(&mut self, why: String) {
        let report = current(self.leg);
        report.invalid_messages += 1;
        if report.invalid.len() < INVALID_KINDS {
            report.invalid.insert(why.clone());
        }
        if report.invalid_messages == 1 {
            self.leg.warn(31951, why);
        }
    }

    fn closed(&mut self, by: ClosedBy, code: Option<u16>, reason: String, at: Instant) {
        let at = self.leg.clock.stamp(at);
        current(self.leg).closed = Some(Close { by, code, reason, at });
        self.leg.tell(at, What::StreamClosed { by, code });
    }

    /// Writes one message. The moment it was with the operating system.
    async fn send(&mut self, message: String) -> Result<Instant, WriteError> {
        match timeout(WRITE_TIMEOUT, self.sink.send(Message::text(message))).await {
            Ok(Ok(())) => Ok(clock::now()),
            Ok(Err(_)) => Err(WriteError::Gone),
            Err(_) => Err(WriteError::Stuck),
        }
    }

    /// The carrier ends the stream because the call is over.
    async fn leave(&mut self, ended: Ended) -> StreamEnd {
        self.part(ended != Ended::MaxDuration).await;
        StreamEnd::CallOver(ended)
    }

    /// Ends the stream from the carrier's side.
    async fn part(&mut self, hung_up: bool) {
        // A server that does not take the goodbye is left without it.
        let said = match self.leg.plan.goodbye {
            Goodbye::Stop => {
                let stop = self.writer.stop(hung_up);
                self.send(stop).await.is_ok() && self.close().await
            }
            Goodbye::CloseOnly => self.close().await,
            Goodbye::Vanish => false,
        };
        self.closed(ClosedBy::Carrier, said.then_some(1000), String::new(), clock::now());
        if said {
            let server_ends = async {
                while let Some(arrival) = self.arrivals.recv().await {
                    if matches!(arrival.what, Received::Closed { .. } | Received::Lost(_)) {
                        return;
                    }
                }
            };
            let left = timeout(CLOSE_TIMEOUT, server_ends).await.is_ok();
            current(self.leg).server_left = Some(left);
        }
    }

    async fn close(&mut self) -> bool {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        matches!(timeout(WRITE_TIMEOUT, self.sink.send(Message::Close(Some(frame)))).await, Ok(Ok(())))
    }

    /// The stream cannot be written: what the reader still has says why.
    async fn lost(&mut self, error: WriteError) -> StreamEnd {
        if let WriteError::Stuck = error {
            let text = format!("the server took nothing for {} s", WRITE_TIMEOUT.as_secs());
            self.leg.warn(31930, text.clone());
            self.closed(ClosedBy::Nobody, None, text, clock::now());
            return StreamEnd::ServerClosed;
        }
        let reader_ends = async {
            loop {
                let arrival = self.arrivals.recv().await;
                if self.take(arrival) {
                    return;
                }
            }
        };
        if timeout(CLOSE_TIMEOUT, reader_ends).await.is_err() {
            self.closed(ClosedBy::Nobody, None, "the connection cannot be written".to_owned(), clock::now());
        }
        StreamEnd::ServerClosed
    }
}
