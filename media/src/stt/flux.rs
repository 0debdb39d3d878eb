//! Deepgram Flux over its WebSocket, `/v2/listen`: it decides itself when the caller's turn is over. The carrier's
//! audio goes through untouched.
//!
//! The audio since the last turn is kept; when the socket is lost it is dialled again and that audio is sent again, so
//! that the new socket hears the whole turn.

mod feed;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod message;
mod turns;

use std::time::{Duration, Instant};

use mesh::clock;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::{
    Session, Settings, Transcriber, format_query,
    line::{self, DEEPGRAM, Line, Protocol, Vendor},
    replay::{Due, REPLAY_TICK},
};
use crate::socket::{self, BEAT, End, Pulse, Sink, Stream};
use feed::{Feed, Out};
use message::{Incoming, Kind};
use turns::Turns;

/// The vendor says that it is ready; a socket where it does not is useless.
const CONNECTED_TIMEOUT: Duration = Duration::from_secs(2);
/// A turn's state comes with every quarter second of audio. This is much more of it.
const UNANSWERED_MAX: Duration = Duration::from_secs(2);
/// A turn's first words come within this time of their sound; until then it could be part of a turn.
const PREROLL: Duration = Duration::from_secs(1);
/// How sure the vendor must be to end a turn, to call its end likely, and after how much silence it ends anyway.
const THRESHOLDS: [(&str, &str); 3] =
    [("eot_threshold", "0.7"), ("eager_eot_threshold", "0.5"), ("eot_timeout_ms", "3000")];

/// Opens sessions with Deepgram Flux.
#[derive(Debug, Default)]
pub struct Flux;

impl Transcriber for Flux {
    fn open(&self, settings: Settings) -> Session {
        line::open(settings, Conversation::default(), true)
    }
}

#[derive(Default)]
struct Conversation {
    feed: Feed,
    turns: Turns,
    /// Until when the vendor must have said that it is ready; `None`: it has.
    connected_by: Option<Instant>,
    /// Bytes of audio sent since the vendor last told a turn's state.
    unanswered: usize,
}

impl Protocol for Conversation {
    const VENDOR: Vendor = DEEPGRAM;

    fn url(settings: &Settings) -> Url {
        let mut url = crate::ws_origin(&settings.base_url);
        url.set_path("/v2/listen");
        let mut query = url.query_pairs_mut();
        query
            .append_pair("model", &settings.model)
            .extend_pairs(format_query(settings.format))
            .extend_pairs(THRESHOLDS)
            .append_pair("tag", &settings.call_id);
        if settings.model.ends_with("multi") && settings.language != "multi" {
            query.append_pair("language_hint", &socket::primary_language(&settings.language));
        }
        drop(query);
        url
    }

    async fn converse(&mut self, line: &mut Line, sink: &mut Sink, stream: &mut Stream) -> End {
        self.feed = Feed::new(line.settings.format);
        self.unanswered = 0;
        self.connected_by = Some(clock::now() + CONNECTED_TIMEOUT);
        let end = self.exchange(line, sink, stream).await;
        if let Some(event) = self.turns.lost() {
            line.outbox.push(event);
        }
        end
    }
}

impl Conversation {
    async fn exchange(&mut self, line: &mut Line, sink: &mut Sink, stream: &mut Stream) -> End {
        // The vendor closes after a minute without anything, and takes no message that could fill it but a ping.
        let pulse = Pulse::default();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drain = interval(REPLAY_TICK);
        drain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let connected = self.connected_by.is_none();
            let wake_at = self.feed.wake_at();
            let done = tokio::select! {
                command = line.commands.recv() => match command {
                    Some(command) => {
                        line.take(command);
                        self.send_due(line, sink).await
                    }
                    None => Err(End::Dropped),
                },
                _ = drain.tick(), if connected && line.replay.is_due_later() => self.send_due(line, sink).await,
                () = sleep_until(wake_at.unwrap_or_else(clock::now).into()), if wake_at.is_some() => {
                    self.send_due(line, sink).await
                }
                _ = beat.tick() => pulse.beat(sink, &line.outbox).await,
                text = socket::read(stream, &mut line.outbox, self.connected_by, &pulse) => match text {
                    Ok(text) => self.incoming(line, &text),
                    Err(end) => Err(end),
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn send_due(&mut self, line: &mut Line, sink: &mut Sink) -> Result<(), End> {
        if self.connected_by.is_some() {
            return Ok(());
        }
        let now = clock::now();
        while let Some(due) = line.replay.due(now) {
            match due {
                Due::Audio(audio) => self.feed.push(&audio, now),
                // The vendor settles nothing before it ends the turn.
                Due::Finalize => {}
            }
        }
        while let Some(out) = self.feed.poll(now) {
            let audio = match out {
                Out::Audio(audio) => audio,
                Out::Silence(audio) => {
                    line.replay.sent_silence(audio.len(), now);
                    audio
                }
            };
            self.unanswered += audio.len();
            socket::send(sink, Message::Binary(audio)).await?;
        }
        line.sent();
        if line.settings.format.duration_of(self.unanswered) > UNANSWERED_MAX {
            return Err(End::Lost("nothing was said about 2 s of audio".into()));
        }
        Ok(())
    }

    fn incoming(&mut self, line: &mut Line, text: &str) -> Result<(), End> {
        match message::parse(text) {
            Some(Incoming::Connected) if self.connected_by.take().is_some() => line.opened(),
            Some(Incoming::Turn { kind, text, end }) => {
                self.unanswered = 0;
                line.works();
                let end = line.replay.to_call(end);
                let over = kind == Kind::EndOfTurn;
                for event in self.turns.handle(kind, text, end) {
                    line.outbox.push(event);
                }
                self.feed.set_in_turn(self.turns.is_open());
                if over {
                    line.replay.settle(end, true);
                } else if !self.turns.is_open() {
                    line.replay.settle(end.saturating_sub(PREROLL), false);
                }
            }
            Some(Incoming::Error(detail)) => return Err(End::Lost(detail)),
            Some(Incoming::Warning(detail)) => {
                tracing::warn!(vendor = "deepgram", call_id = line.settings.call_id, detail, "warning");
            }
            Some(Incoming::Connected) | None => {}
        }
        Ok(())
    }
}
