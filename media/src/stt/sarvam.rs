//! Sarvam's realtime transcription over its WebSocket, `/speech-to-text-realtime/ws`. The carrier's audio goes through
//! untouched, in JSON, unless its rate is one that the vendor does not take.
//!
//! The audio since the last settled utterance is kept; when the socket is lost it is dialled again and that audio is sent
//! again, no faster than a little over the pace of speech.

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod message;
mod utterances;

use std::time::{Duration, Instant};

use mesh::clock;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::{
    Event, Session, Settings, Transcriber, Transcript, format_query,
    line::{self, Line, Protocol, Vendor},
    replay::{Due, REPLAY_TICK},
};
use crate::{
    audio::{Decoder, Format},
    socket::{self, End, Pulse, Sink, Stream},
};
use message::Incoming;
use utterances::{START_DELAY_MAX, Utterances};

/// The vendor says that it is ready; a socket where it does not is useless.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The vendor says nothing about silence, and the first word and the partial transcripts have no deadline: a pong tells that
/// it is there and has heard so much. What it has heard of silence need not be sent again, so that a new socket is soon
/// even with the caller.
const PING: Duration = Duration::from_millis(600);
/// A vendor that says nothing for so long after a ping is dead: in 1.7 s at most.
const PONG_TIMEOUT: Duration = Duration::from_millis(1100);
/// Speech is told of within this time of its sound; until then it could be part of an utterance.
const PREROLL: Duration = Duration::from_millis(700);
/// The same where our own detector hears speech already: the vendor may be slow.
const PREROLL_IN_SPEECH: Duration = Duration::from_secs(1);
/// What was said in it is still waited for when a finalize comes.
const _: () = assert!(PREROLL.as_millis() > START_DELAY_MAX.as_millis());
/// Silence after which the vendor settles an utterance.
const SILENCE: Duration = Duration::from_millis(300);
/// More than that.
const SILENCE_SENT: Duration = Duration::from_millis(500);
/// The vendor's usual model for calls.
const MODEL: &str = "saaras:v3-realtime";

/// Opens sessions with Sarvam.
#[derive(Debug, Default)]
pub struct Sarvam;

impl Transcriber for Sarvam {
    fn open(&self, settings: Settings) -> Session {
        line::open(settings, Realtime::default(), false)
    }
}

#[derive(Default)]
struct Realtime {
    /// Lowers the rate of audio that the vendor does not take as it is.
    decoder: Option<Decoder>,
    /// Until when the vendor must have said that it is ready; `None`: it has.
    begin_by: Option<Instant>,
    utterances: Utterances,
    /// How much of the call's audio the last ping followed.
    pinged: Duration,
    /// When the first ping was sent since something came.
    unanswered: Option<Instant>,
}

impl Protocol for Realtime {
    // Of its closes, 1003 means rate, credits or key, and 4000 the account, the model or a parameter.
    const VENDOR: Vendor = Vendor {
        name: "sarvam",
        key_header: ("api-subscription-key", ""),
        request_id: "x-request-id",
        farewell: message::END,
        final_code: Some("insufficient_quota_error"),
        incurable: &["closed by the vendor: 1003"],
        unfit: &["closed by the vendor: 4000"],
    };

    fn url(settings: &Settings) -> Url {
        let mut url = crate::ws_origin(&settings.base_url);
        url.set_path("/speech-to-text-realtime/ws");
        let model = if settings.model.is_empty() { MODEL } else { &settings.model };
        url.query_pairs_mut()
            .append_pair("language_code", &language(&settings.language))
            .append_pair("model", model)
            .extend_pairs(format_query(taken(settings.format)))
            .append_pair("return_timestamps", "true")
            .append_pair("silence_duration_ms", &SILENCE.as_millis().to_string());
        url
    }

    async fn converse(&mut self, line: &mut Line, sink: &mut Sink, stream: &mut Stream) -> End {
        let format = line.settings.format;
        *self = Self {
            decoder: (taken(format) != format).then(|| Decoder::new(format)),
            begin_by: Some(clock::now() + BEGIN_TIMEOUT),
            ..Self::default()
        };
        let mut ping = interval(PING);
        ping.reset();
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pulse = Pulse::default();
        let mut drain = interval(REPLAY_TICK);
        drain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let begun = self.begin_by.is_none();
            let quiet_at = self.utterances.quiet_at();
            let pong_by = self.unanswered.map(|since| since + PONG_TIMEOUT);
            let answer_by =
                self.begin_by.or_else(|| self.utterances.answer_by().into_iter().chain(pong_by).min());
            let done = tokio::select! {
                command = line.commands.recv() => match command {
                    Some(command) => {
                        line.take(command);
                        self.send_due(line, sink).await
                    }
                    None => Err(End::Dropped),
                },
                _ = drain.tick(), if begun && line.replay.is_due_later() => self.send_due(line, sink).await,
                () = sleep_until(quiet_at.unwrap_or_else(clock::now).into()), if quiet_at.is_some() => {
                    self.answer_if_quiet(line);
                    Ok(())
                }
                _ = ping.tick(), if begun && self.unanswered.is_none() => self.ping(line, sink).await,
                text = socket::read(stream, &mut line.outbox, answer_by, &pulse) => match text {
                    Ok(text) => self.incoming(line, &text),
                    Err(end) => Err(end),
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }
}

impl Realtime {
    async fn send_due(&mut self, line: &mut Line, sink: &mut Sink) -> Result<(), End> {
        if self.begin_by.is_some() {
            return Ok(());
        }
        while let Some(due) = line.replay.due(clock::now()) {
            match due {
                Due::Audio(audio) => self.send_audio(sink, &audio).await?,
                Due::Finalize => {
                    let now = clock::now();
                    if self.utterances.ask(line.replay.unsettled(), now) {
                        let format = line.settings.format;
                        let silence = vec![format.silence(); format.bytes_of(SILENCE_SENT)];
                        line.replay.sent_silence(silence.len(), now);
                        self.send_audio(sink, &silence).await?;
                    }
                    self.ping(line, sink).await?;
                }
            }
        }
        line.sent();
        Ok(())
    }

    async fn send_audio(&mut self, sink: &mut Sink, audio: &[u8]) -> Result<(), End> {
        let message = match &mut self.decoder {
            None => message::audio(audio),
            Some(decoder) => {
                let samples = decoder.decode(audio).iter();
                message::audio(&samples.flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>())
            }
        };
        socket::send(sink, Message::text(message)).await
    }

    async fn ping(&mut self, line: &Line, sink: &mut Sink) -> Result<(), End> {
        self.unanswered.get_or_insert_with(clock::now);
        self.pinged = line.replay.sent();
        socket::send(sink, Message::text(message::PING)).await
    }

    fn incoming(&mut self, line: &mut Line, text: &str) -> Result<(), End> {
        self.unanswered = None;
        match message::parse(text) {
            Some(Incoming::Begin) if self.begin_by.take().is_some() => line.opened(),
            Some(Incoming::SpeechStart { utterance }) => {
                line.works();
                self.utterances.started(utterance);
            }
            Some(Incoming::Partial { text }) => {
                let end = line.replay.sent();
                let transcript = Transcript { text, is_final: false, utterance_over: false, end };
                line.outbox.push(Event::Transcript(transcript));
            }
            Some(Incoming::SpeechEnd) => self.utterances.ended(clock::now()),
            Some(Incoming::Final { utterance, text, end }) => self.settled(line, utterance, text, end),
            Some(Incoming::Pong) => {
                self.utterances.ponged();
                self.answer_if_quiet(line);
                if self.utterances.is_idle() {
                    let preroll = if line.speaks() { PREROLL_IN_SPEECH } else { PREROLL };
                    line.replay.settle(self.pinged.saturating_sub(preroll), false);
                }
            }
            Some(Incoming::Error { fatal: true, status, detail }) => {
                return Err(match status {
                    Some(status) if socket::is_requests_own(status) => End::Unfit(detail),
                    Some(401..=403) => End::Refused(detail),
                    _ => End::Lost(detail),
                });
            }
            Some(Incoming::Error { fatal: false, detail, .. }) => {
                tracing::warn!(vendor = "sarvam", call_id = line.settings.call_id, detail, "error message");
            }
            Some(Incoming::Begin) | None => {}
        }
        Ok(())
    }

    /// The vendor waited for silence before it settled the utterance: that much audio after the speech is settled too.
    fn settled(&mut self, line: &mut Line, utterance: i64, text: String, end: Option<Duration>) {
        let mut end = end.map_or_else(|| line.replay.sent(), |end| line.replay.to_call(end + SILENCE));
        if self.utterances.settled(utterance) {
            end = line.replay.asked().map_or(end, |asked| end.max(asked));
        }
        line.replay.settle(end, true);
        line.outbox.push(Event::Transcript(Transcript { text, is_final: true, utterance_over: true, end }));
    }

    fn answer_if_quiet(&mut self, line: &mut Line) {
        let Some(end) = line.replay.asked().filter(|_| self.utterances.is_nothing_left(clock::now())) else {
            return;
        };
        line.replay.settle(end, true);
        let transcript = Transcript { text: String::new(), is_final: true, utterance_over: true, end };
        line.outbox.push(Event::Transcript(transcript));
    }
}

/// In which format the vendor is sent a call of this one: it takes 8 and 16 kHz.
fn taken(format: Format) -> Format {
    if format == Format::PCM_24K { Format::PCM_8K } else { format }
}

/// All languages of the vendor are India's, `en-IN`, and it can find out by itself which one is spoken.
fn language(language: &str) -> String {
    match socket::primary_language(language).as_str() {
        "auto" | "multi" => "auto".into(),
        primary => format!("{primary}-IN"),
    }
}
