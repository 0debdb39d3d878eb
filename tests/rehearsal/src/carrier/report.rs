//! What the carrier measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::dial::DialReport;
use crate::clock;
use crate::events::micros;

/// A moment of the call. Wire times are taken at the socket: after a send was flushed, on a receive before parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Stamp {
    /// Microseconds since 1970.
    pub unix_us: i64,
    /// Microseconds since the call was answered: eight samples of the recording each millisecond.
    pub offset_us: i64,
}

impl Stamp {
    /// The time from `earlier` to this moment, in milliseconds; negative if it is the other way round.
    pub fn ms_since(self, earlier: Self) -> f64 {
        (self.offset_us - earlier.offset_us) as f64 / 1_000.0
    }
}

/// The call's clock: zero is the moment it was answered.
#[derive(Clone, Copy)]
pub(crate) struct CallClock {
    zero: Instant,
    zero_unix_us: i64,
}

impl CallClock {
    pub fn new(zero: Instant) -> Self {
        let now_us = i64::try_from(micros(clock::time_of_day())).unwrap_or(i64::MAX);
        Self { zero, zero_unix_us: now_us - signed_us(clock::now().saturating_duration_since(zero)) }
    }

    pub fn offset(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.zero)
    }

    pub fn now(&self) -> Duration {
        self.offset(clock::now())
    }

    pub fn instant(&self, offset: Duration) -> Instant {
        self.zero + offset
    }

    pub fn stamp(&self, at: Instant) -> Stamp {
        let offset_us = match at.checked_duration_since(self.zero) {
            Some(after) => signed_us(after),
            None => -signed_us(self.zero.saturating_duration_since(at)),
        };
        Stamp { unix_us: self.zero_unix_us + offset_us, offset_us }
    }

    pub fn stamp_at(&self, offset: Duration) -> Stamp {
        let offset_us = signed_us(offset);
        Stamp { unix_us: self.zero_unix_us + offset_us, offset_us }
    }
}

fn signed_us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Something that happened in a call, as it happens.
#[derive(Clone, Debug, Serialize)]
pub struct CallEvent {
    pub at: Stamp,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The webhook's answer was read.
    Answered,
    StreamOpened,
    StreamStarted {
        stream_sid: String,
    },
    LineBegan {
        line: String,
    },
    /// The line's last audible sample was sent.
    LineEnded {
        line: String,
    },
    KeyPressed {
        key: char,
    },
    /// The first media of the agent after a pause or a `clear` arrived.
    AgentMedia,
    /// The caller begins to hear the agent.
    AgentAudible,
    /// The caller has heard the agent's last sound, half a second before this is known.
    AgentInaudible,
    Cleared {
        discarded_ms: u64,
    },
    MarkEchoed {
        name: String,
        outcome: MarkOutcome,
    },
    /// `<Say>`, `<Play>` or `<Pause>`: silence here.
    Quiet {
        verb: String,
        length_ms: u64,
    },
    /// The carrier dials somebody else for the caller.
    Dialled {
        number: String,
    },
    DialEnded {
        status: &'static str,
    },
    /// The carrier pressed keys.
    KeysSent {
        keys: String,
    },
    Warned {
        code: u16,
        text: String,
    },
    StreamClosed {
        by: ClosedBy,
        code: Option<u16>,
    },
    Ended {
        ended: Ended,
    },
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ended {
    /// The caller said all and the agent fell quiet.
    ScriptDone,
    /// The caller hung up by a step of the script or by [`Call::hang_up`](super::Call::hang_up).
    CallerHungUp,
    /// The caller gave up on an agent that said nothing.
    AgentSilent,
    /// [`Plan::max_duration`](super::Plan::max_duration) was over.
    MaxDuration,
    /// Twilio: `<Hangup/>`. Exotel: the server closed the stream, and the flow had nothing more to do.
    ServerHungUp,
    /// The TwiML had no verb left.
    TwimlEnded,
    /// `<Reject/>`.
    Rejected { reason: String },
    /// A webhook answered with another status than 200.
    WebhookRefused { status: u16 },
    /// A webhook did not answer in time, or not at all.
    WebhookFailed { error: String },
    /// A document that cannot be run.
    BadTwiml { error: String },
    /// An answer without a URL that can be dialled.
    BadAnswer { error: String },
    /// Exotel: the handshake failed twice.
    StreamFailed,
    /// More documents than a call can need.
    TwimlLoop,
}

/// A TwiML document that was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    pub url: String,
    pub answered: Stamp,
    pub status: u16,
    pub text: String,
}

/// A warning or error that the vendor would show in its debugger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// 31920 handshake refused, 31921 server closed, 31930 server does not read, 31951 invalid message.
    pub code: u16,
    pub text: String,
}

/// Who ended a media stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    Carrier,
    Server,
    /// The connection broke without a close frame.
    Nobody,
}

/// How a media stream ended.
#[derive(Clone, Debug, Serialize)]
pub struct Close {
    pub by: ClosedBy,
    pub code: Option<u16>,
    pub reason: String,
    pub at: Stamp,
}

/// One media WebSocket.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamReport {
    pub stream_sid: String,
    /// As written in the TwiML.
    pub url: String,
    pub custom_parameters: BTreeMap<String, String>,
    pub opened: Option<Stamp>,
    /// When `start` was sent.
    pub started: Option<Stamp>,
    /// The status of a handshake that was not answered with 101.
    pub refused_status: Option<u16>,
    pub closed: Option<Close>,
    /// Whether the server ended its side in time after the carrier's goodbye; none where that was not said.
    pub server_left: Option<bool>,
    pub media_messages: u64,
    pub media_bytes: u64,
    /// Messages that were dropped as invalid (31951).
    pub invalid_messages: u64,
    /// What was wrong with them, each kind once.
    pub invalid: BTreeSet<String>,
    /// Payloads that began with the header of a WAV file, and were heard as noise.
    pub wav_headers: u64,
}

/// A line of the caller.
#[derive(Clone, Debug, Serialize)]
pub struct LineReport {
    pub line: String,
    /// When the caller opened their mouth.
    pub began: Stamp,
    /// When the frame with the first audible sample was on the wire.
    pub first_voiced_sent: Option<Stamp>,
    /// When the frame with the last audible sample was on the wire.
    pub last_voiced_sent: Option<Stamp>,
}

/// What the caller heard of the agent between two pauses of half a second or cuts.
#[derive(Clone, Debug, Serialize)]
pub struct Utterance {
    pub first_audible: Stamp,
    pub last_audible: Option<Stamp>,
}

/// How much of all the agent's sound had been played at a burst or a `clear`; silence between is not counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Playback {
    pub at: Stamp,
    pub bytes: u64,
}

/// A frame of the caller that left late.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LateFrame {
    pub at: Stamp,
    pub late_ms: f64,
}

/// Why a mark was echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkOutcome {
    Played,
    Cleared,
}

/// A mark of the server.
#[derive(Clone, Debug, Serialize)]
pub struct MarkReport {
    pub name: String,
    pub received: Stamp,
    /// When the sound before it had been played, or was dropped.
    pub due: Stamp,
    /// When the echo was on the wire.
    pub echoed: Stamp,
    pub outcome: MarkOutcome,
}

/// From a line of the caller to the agent's answer. What came only after the caller's next line is not its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    pub line: String,
    /// The line's first audible sample on the wire.
    pub start_of_speech: Stamp,
    /// The line's last audible sample on the wire.
    pub end_of_speech: Stamp,
    /// The first `clear` after the start of speech.
    pub clear: Option<Stamp>,
    /// The first media of the answer on the wire.
    pub first_media: Option<Stamp>,
    /// The first sound of the answer in the caller's ear.
    pub first_audible: Option<Stamp>,
}

/// All that was measured in a call.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub call_sid: String,
    /// When the voice webhook was posted.
    pub placed: Stamp,
    /// When its answer was read: zero of the call's clock.
    pub answered: Stamp,
    pub documents: Vec<Document>,
    pub streams: Vec<StreamReport>,
    pub lines: Vec<LineReport>,
    /// The first media on the wire after each pause or `clear`.
    pub bursts: Vec<Stamp>,
    pub utterances: Vec<Utterance>,
    pub clears: Vec<Stamp>,
    /// For each of `bursts` and `clears`, as they came.
    pub played: Vec<Playback>,
    pub marks: Vec<MarkReport>,
    pub turns: Vec<Turn>,
    pub warnings: Vec<Warning>,
    /// Those whom the carrier dialled for the call.
    pub dials: Vec<DialReport>,
    /// Keys that the carrier pressed.
    pub keys_sent: String,
    /// How far the server was ahead of the play-out at most, in milliseconds of sound.
    pub ahead_max_ms: u64,
    /// How many media messages of the server came so many milliseconds behind the pace that it had set in their burst.
    pub media_late_ms: BTreeMap<u64, u64>,
    /// The caller's frames that left more than a frame's length later than the link has it: this machine was too busy
    /// for its times to count there. The first thousand.
    pub late: Vec<LateFrame>,
    /// Bytes that the carrier's buffer had no room for.
    pub overflow_bytes: u64,
    /// Events that the reader of [`Call::events`](super::Call::events) was too slow for.
    pub events_lost: u64,
    pub ended: Ended,
    pub ended_at: Stamp,
}

impl Report {
    /// A `<Parameter>` that the server gave the latest stream that carries it, for example its `call_id`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.streams.iter().rev().find_map(|stream| stream.custom_parameters.get(name)).map(String::as_str)
    }

    /// How many messages of the server were dropped as invalid (31951).
    pub fn invalid_messages(&self) -> u64 {
        self.streams.iter().map(|stream| stream.invalid_messages).sum()
    }

    pub(crate) fn new(call_sid: &str, placed: Stamp, answered: Stamp) -> Self {
        Self {
            call_sid: call_sid.to_owned(),
            placed,
            answered,
            documents: Vec::new(),
            streams: Vec::new(),
            lines: Vec::new(),
            bursts: Vec::new(),
            utterances: Vec::new(),
            clears: Vec::new(),
            played: Vec::new(),
            marks: Vec::new(),
            turns: Vec::new(),
            warnings: Vec::new(),
            dials: Vec::new(),
            keys_sent: String::new(),
            ahead_max_ms: 0,
            media_late_ms: BTreeMap::new(),
            late: Vec::new(),
            overflow_bytes: 0,
            events_lost: 0,
            ended: Ended::TwimlEnded,
            ended_at: answered,
        }
    }

    /// Lays lines, clears and answers together.
    pub(crate) fn lay_turns(&mut self) {
        let spoken: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| Some((line, line.first_voiced_sent?, line.last_voiced_sent?)))
            .collect();
        let onsets = spoken.iter().map(|(_, onset, _)| *onset).skip(1).map(Some).chain([None]);
        let turns = spoken.iter().zip(onsets).map(|((line, start, end), next)| {
            let within = |after: Stamp, at: &Stamp| *at > after && next.is_none_or(|next| *at < next);
            Turn {
                line: line.line.clone(),
                start_of_speech: *start,
                end_of_speech: *end,
                clear: self.clears.iter().copied().find(|at| within(*start, at)),
                first_media: self.bursts.iter().copied().find(|at| within(*end, at)),
                first_audible: self.utterances.iter().map(|u| u.first_audible).find(|at| within(*end, at)),
            }
        });
        self.turns = turns.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ms: i64) -> Stamp {
        Stamp { unix_us: 0, offset_us: ms * 1_000 }
    }

    #[test]
    fn an_answer_belongs_to_the_line_before_it() {
        let mut report = Report::new("CA1", stamp(-5), stamp(0));
        for (line, first, last) in [("a", 1_000, 2_000), ("b", 4_000, 4_500), ("c", 9_000, 9_500)] {
            report.lines.push(LineReport {
                line: line.to_owned(),
                began: stamp(first - 10),
                first_voiced_sent: Some(stamp(first)),
                last_voiced_sent: Some(stamp(last)),
            });
        }
        report.bursts = vec![stamp(100), stamp(2_600), stamp(5_500)];
        report.utterances =
            [110, 2_620].map(|ms| Utterance { first_audible: stamp(ms), last_audible: None }).to_vec();
        report.clears = vec![stamp(4_200)];
        report.lay_turns();
        let laid: Vec<_> = report
            .turns
            .iter()
            .map(|turn| {
                [turn.clear, turn.first_media, turn.first_audible].map(|at| at.map(|at| at.offset_us / 1_000))
            })
            .collect();
        assert_eq!(
            laid,
            [[None, Some(2_600), Some(2_620)], [Some(4_200), Some(5_500), None], [None, None, None]]
        );
        assert!(
            (report.turns[0].first_media.unwrap().ms_since(report.turns[0].end_of_speech) - 600.0).abs()
                < 1e-9
        );
    }
}
