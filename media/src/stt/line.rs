//! SHELL: one session's line to a vendor: dialled, kept, and dialled again when the socket is lost.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use mesh::clock;
use tokio::{sync::mpsc, time::sleep};
use url::Url;

use super::{Command, Event, Session, Settings, replay::Replay};
use crate::{
    circuits::{Breaker, NOT_ASKED},
    socket::{self, Dial, End, Outbox, Sink, Stream},
};

/// A socket that told what it hears and lived as long was a good one: losing it is no failure in a row.
const STABLE: Duration = Duration::from_secs(3);
/// Failures in a row that are borne where somebody else can listen.
const FAILURES_MAX_WITH_FALLBACK: usize = 1;

/// What is the same in all of a vendor's protocols.
pub struct Vendor {
    /// For logs and metrics.
    pub name: &'static str,
    /// The header that holds the key, and what stands before the key in it.
    pub key_header: (&'static str, &'static str),
    /// The answer's header that names the request in the vendor's logs.
    pub request_id: &'static str,
    /// Ends the stream after the remaining results.
    pub farewell: &'static str,
    /// What stands in the body of a refused upgrade that will always be refused.
    pub final_code: Option<&'static str>,
    /// What stands in the reason of a loss that another socket does not cure.
    pub incurable: &'static [&'static str],
    /// The same where what this call asks for is at fault.
    pub unfit: &'static [&'static str],
}

/// Deepgram; what it cannot decode it will not be able to decode on another socket.
pub const DEEPGRAM: Vendor = Vendor {
    name: "deepgram",
    key_header: ("authorization", "Token "),
    request_id: "dg-request-id",
    farewell: r#"{"type":"CloseStream"}"#,
    final_code: None,
    incurable: &[],
    unfit: &["DATA-0000"],
};

impl Vendor {
    /// Tells a loss that another socket does not cure from others.
    fn judge(&self, end: End) -> End {
        let End::Lost(detail) = end else { return end };
        let has = |signs: &[&str]| signs.iter().any(|sign| detail.contains(sign));
        if has(self.unfit) {
            End::Unfit(detail)
        } else if has(self.incurable) {
            End::Refused(detail)
        } else {
            End::Lost(detail)
        }
    }
}

/// What is special about a vendor's protocol.
pub trait Protocol: Send + 'static {
    /// Whose it is.
    const VENDOR: Vendor;

    /// Where it is dialled.
    fn url(settings: &Settings) -> Url;

    /// Runs one socket to its end.
    fn converse(
        &mut self,
        line: &mut Line,
        sink: &mut Sink,
        stream: &mut Stream,
    ) -> impl Future<Output = End> + Send;
}

/// What stays when a socket is lost.
pub struct Line {
    /// How the call is listened to.
    pub settings: Settings,
    /// What the session sends.
    pub commands: mpsc::Receiver<Command>,
    /// What it is told.
    pub outbox: Outbox<Event>,
    /// The audio that may have to be sent again.
    pub replay: Replay,
    /// When the vendor took the present socket up.
    opened_at: Option<Instant>,
    /// It has not been sent everything since a socket was lost, or since it took over.
    behind: bool,
    /// That was told.
    told_lost: bool,
    /// Since when the caller has been speaking.
    speaks_since: Option<Instant>,
    /// When the vendor last said something that makes sense, and for how long the caller spoke since then and stopped.
    heard_at: Instant,
    spoke: Duration,
    /// The present socket has told what it hears.
    works: bool,
    breaker: Breaker,
}

/// Opens a session at once and dials behind it.
pub fn open<P: Protocol>(settings: Settings, protocol: P, decides_turns: bool) -> Session {
    let (line, session) = new(P::VENDOR.name, settings, decides_turns);
    tokio::spawn(line.run(protocol));
    session
}

/// A line that is not dialled yet, and its session.
pub fn new(vendor: &'static str, settings: Settings, decides_turns: bool) -> (Line, Session) {
    let (commands, command_rx) = mpsc::channel(256);
    let (event_tx, events) = mpsc::channel(64);
    let line = Line {
        breaker: Breaker::new(vendor, "stt", &settings.base_url, &settings.api_key, &settings.call_id),
        replay: Replay::new(settings.format),
        settings,
        commands: command_rx,
        outbox: Outbox::new(event_tx),
        opened_at: None,
        behind: false,
        told_lost: false,
        speaks_since: None,
        heard_at: clock::now(),
        spoke: Duration::ZERO,
        works: false,
    };
    (line, Session { commands, events, decides_turns })
}

impl Line {
    /// The vendor has taken the socket up: what is kept can be sent to it.
    pub fn opened(&mut self) {
        self.opened_at = Some(clock::now());
        self.works = false;
        self.replay.reconnected();
    }

    /// Takes a command of the session.
    pub fn take(&mut self, command: Command) {
        match command {
            Command::Speaking(speaks) => {
                let now = clock::now();
                if let Some(since) = self.speaks_since.take() {
                    self.spoke += now.saturating_duration_since(since.max(self.heard_at));
                }
                self.speaks_since = speaks.then_some(now);
            }
            command => {
                if let Command::CatchUp(kept) = &command {
                    self.behind = true;
                    self.told_lost |= !kept.audio.is_empty();
                }
                self.replay.take(command);
            }
        }
    }

    /// The caller is speaking.
    pub fn speaks(&self) -> bool {
        self.speaks_since.is_some()
    }

    /// The vendor has said something that makes sense.
    pub fn heard(&mut self) {
        (self.heard_at, self.spoke) = (clock::now(), Duration::ZERO);
    }

    /// When the caller, who speaks, will have spoken for so long since the vendor said something, pauses left out.
    pub fn spoken_at(&self, length: Duration) -> Option<Instant> {
        Some(self.speaks_since?.max(self.heard_at) + length.saturating_sub(self.spoke))
    }

    /// The vendor has told what it hears.
    pub fn works(&mut self) {
        self.works = true;
        self.breaker.works();
    }

    /// Everything that is due was sent.
    pub fn sent(&mut self) {
        if self.behind && !self.replay.is_due_later() {
            (self.behind, self.told_lost) = (false, false);
            self.outbox.push(Event::CaughtUp);
        }
    }

    async fn run<P: Protocol>(mut self, mut protocol: P) {
        if !self.breaker.lets_through() {
            let unavailable = Event::Unavailable { detail: NOT_ASKED.into(), kept: self.replay.kept() };
            return socket::give_up(self.commands, self.outbox, unavailable).await;
        }
        let mut failures = 0;
        loop {
            let end = self.try_once(&mut protocol, failures).await;
            let lived = self.opened_at.take().map(|at| clock::now().saturating_duration_since(at));
            if self.works && lived.is_some_and(|lived| lived >= STABLE) {
                failures = 0;
            }
            failures += 1;
            let end = P::VENDOR.judge(end);
            match end {
                End::Dropped => return,
                End::Lost(detail) if self.bears(failures) => {
                    if lived.is_some() {
                        metrics::counter!("trunkline_vendor_reconnects_total", "vendor" => P::VENDOR.name)
                            .increment(1);
                    }
                    self.behind = true;
                    if !std::mem::replace(&mut self.told_lost, true) {
                        self.outbox.push(Event::Lost { detail: detail.clone() });
                    }
                    tracing::warn!(
                        vendor = P::VENDOR.name,
                        call_id = self.settings.call_id,
                        detail,
                        "no transcription"
                    );
                }
                End::Lost(ref detail) | End::Refused(ref detail) | End::Unfit(ref detail) => {
                    if !matches!(end, End::Unfit(_)) {
                        self.breaker.fails();
                    }
                    let detail = detail.clone();
                    while let Ok(command) = self.commands.try_recv() {
                        self.take(command);
                    }
                    let unavailable = Event::Unavailable { detail, kept: self.replay.kept() };
                    return socket::give_up(self.commands, self.outbox, unavailable).await;
                }
            }
        }
    }

    fn bears(&self, failures: usize) -> bool {
        let too_many = self.settings.has_fallback && failures > FAILURES_MAX_WITH_FALLBACK;
        socket::backoff(failures).is_some() && !too_many
    }

    async fn try_once<P: Protocol>(&mut self, protocol: &mut P, failures: usize) -> End {
        let (mut sink, mut stream) = match self.dial::<P>(failures).await {
            Ok(halves) => halves,
            Err(end) => return end,
        };
        let end = protocol.converse(self, &mut sink, &mut stream).await;
        if matches!(end, End::Dropped) {
            socket::close(sink, stream, Some(P::VENDOR.farewell)).await;
        }
        end
    }

    /// Dials once, after the wait that so many failures call for, keeping what the caller says meanwhile.
    async fn dial<P: Protocol>(&mut self, failures: usize) -> Result<(Sink, Stream), End> {
        let wait = socket::backoff(failures).unwrap_or_default();
        let (header, before) = P::VENDOR.key_header;
        let key = format!("{before}{}", self.settings.api_key.expose());
        let dial = Dial {
            url: P::url(&self.settings),
            headers: &[(header, &key)],
            request_id: P::VENDOR.request_id,
            message_bytes_max: 1 << 20,
            final_code: P::VENDOR.final_code,
        };
        let attempt = async {
            sleep(wait).await;
            dial.dial().await
        };
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                result = &mut attempt => return result,
                command = self.commands.recv() => self.take(command.ok_or(End::Dropped)?),
                () = self.outbox.tend() => return Err(End::Dropped),
            }
        }
    }
}
