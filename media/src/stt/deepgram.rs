//! Deepgram Nova over its WebSocket, `/v1/listen`. The carrier's audio goes through untouched.
//!
//! The audio since the last settled transcript is kept; when the socket is lost it is dialled again and that audio is
//! sent again, no faster than the vendor takes it.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod message;

use std::time::{Duration, Instant};

use mesh::clock;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::{
    Event, Session, Settings, Transcriber, format_query,
    line::{self, DEEPGRAM, Line, Protocol, Vendor},
    replay::{Due, REPLAY_TICK},
};
use crate::socket::{self, BEAT, End, Pulse, Sink, Stream};
use message::Incoming;

/// The vendor closes after 10 s without audio or text.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// Some result comes at least for every 5 s of audio, an empty one in silence. This is longer than that.
const UNANSWERED_MAX: Duration = Duration::from_secs(8);
/// The answer to a finalize comes within a few hundred milliseconds; without it the turn cannot end.
const FINALIZE_TIMEOUT: Duration = Duration::from_secs(2);
/// While somebody speaks an interim transcript comes about every second, an empty one for sound that is no speech.
const SPEECH_TIMEOUT: Duration = Duration::from_secs(2);
/// Sockets that said nothing of speech, one after the other: after so many it is the sound that is no speech.
const SPEECH_TIMEOUTS_MAX: u32 = 2;
/// With less audio than this a finalize may stay unanswered.
const FINALIZE_AUDIO_MIN: Duration = Duration::from_secs(1);

/// Opens sessions with Deepgram Nova.
#[derive(Debug, Default)]
pub struct Deepgram;

impl Transcriber for Deepgram {
    fn open(&self, settings: Settings) -> Session {
        line::open(settings, Nova::default(), false)
    }
}

#[derive(Default)]
struct Nova {
    /// Sockets in a row that said nothing of speech.
    speech_timeouts: u32,
    /// When the vendor must have answered a finalize.
    answer_by: Option<Instant>,
    /// Bytes of audio sent since the vendor last said something.
    unanswered: usize,
}

impl Protocol for Nova {
    const VENDOR: Vendor = DEEPGRAM;

    fn url(settings: &Settings) -> Url {
        let mut url = crate::ws_origin(&settings.base_url);
        url.set_path("/v1/listen");
        url.query_pairs_mut()
            .append_pair("model", &settings.model)
            .append_pair("language", &language(&settings.language))
            .extend_pairs(format_query(settings.format))
            .append_pair("channels", "1")
            .append_pair("interim_results", "true")
            .append_pair("endpointing", "300")
            .append_pair("utterance_end_ms", "1000")
            .append_pair("punctuate", "true")
            .append_pair("tag", &settings.call_id);
        url
    }

    async fn converse(&mut self, line: &mut Line, sink: &mut Sink, stream: &mut Stream) -> End {
        line.opened();
        self.heard_from(line);
        let pulse = Pulse::default();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keep_alive = interval(KEEP_ALIVE);
        keep_alive.reset();
        let mut drain = interval(REPLAY_TICK);
        drain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let speech_by = self.speech_by(line);
            let answer_by = self.answer_by.into_iter().chain(speech_by).min();
            let done = tokio::select! {
                command = line.commands.recv() => match command {
                    Some(command) => {
                        keep_alive.reset();
                        line.take(command);
                        self.send_due(line, sink).await
                    }
                    None => Err(End::Dropped),
                },
                _ = drain.tick(), if line.replay.is_due_later() => self.send_due(line, sink).await,
                _ = keep_alive.tick() => socket::send(sink, Message::text(message::KEEP_ALIVE)).await,
                _ = beat.tick() => pulse.beat(sink, &line.outbox).await,
                text = socket::read(stream, &mut line.outbox, answer_by, &pulse) => {
                    text.map(|text| self.incoming(line, &text))
                }
            };
            if let Err(end) = done {
                if speech_by.is_some_and(|by| by <= clock::now()) {
                    self.speech_timeouts += 1;
                }
                return end;
            }
        }
    }
}

impl Nova {
    /// When the vendor must have said something of what the caller is saying.
    fn speech_by(&self, line: &Line) -> Option<Instant> {
        line.spoken_at(SPEECH_TIMEOUT).filter(|_| self.speech_timeouts < SPEECH_TIMEOUTS_MAX)
    }

    async fn send_due(&mut self, line: &mut Line, sink: &mut Sink) -> Result<(), End> {
        while let Some(due) = line.replay.due(clock::now()) {
            match due {
                Due::Audio(audio) => {
                    self.unanswered += audio.len();
                    socket::send(sink, Message::Binary(audio)).await?;
                }
                Due::Finalize => {
                    socket::send(sink, Message::text(message::FINALIZE)).await?;
                    if line.replay.unsettled() >= FINALIZE_AUDIO_MIN {
                        // Asking again does not put off the answer.
                        self.answer_by.get_or_insert(clock::now() + FINALIZE_TIMEOUT);
                    }
                }
            }
        }
        line.sent();
        if line.settings.format.duration_of(self.unanswered) > UNANSWERED_MAX {
            return Err(End::Lost("no result for 8 s of audio".into()));
        }
        Ok(())
    }

    fn heard_from(&mut self, line: &mut Line) {
        line.heard();
        self.answer_by = None;
        self.unanswered = 0;
    }

    fn incoming(&mut self, line: &mut Line, text: &str) {
        let message = message::parse(text);
        if message.as_ref().is_some_and(|message| !matches!(message, Incoming::Error(_))) {
            self.heard_from(line);
        }
        match message {
            Some(Incoming::Transcript(mut transcript)) => {
                self.speech_timeouts = 0;
                line.works();
                transcript.end = line.replay.to_call(transcript.end);
                if transcript.is_final {
                    line.replay.settle(transcript.end, transcript.utterance_over);
                }
                line.outbox.push(Event::Transcript(transcript));
            }
            Some(Incoming::UtteranceEnd) => line.outbox.push(Event::UtteranceEnd),
            Some(Incoming::Error(detail)) => {
                tracing::warn!(vendor = "deepgram", call_id = line.settings.call_id, detail, "error message");
            }
            None => {}
        }
    }
}

/// The vendor knows regions of English, `en-IN`; other languages of the platform go without, `hi`.
fn language(language: &str) -> String {
    let primary = socket::primary_language(language);
    if primary == "en" { language.to_owned() } else { primary }
}
