//! A transcriber's session without its socket. An input is lines: `+250` is 250 ms of the caller's audio, `?` a finalize,
//! `!` a socket that is lost and dialled again; any other is a message of the vendor's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mesh::Pii;

use super::{
    Event, Session, Settings, Transcript, Vendor,
    line::{self, Line},
    replay::Due,
};
use crate::{audio::Format, socket::End};

/// The most that a message leads to.
const EVENTS_MAX: usize = 3;
/// What is kept for a replay, with the piece that goes over it.
const KEPT_MAX: Duration = Duration::from_millis(20_100);
/// More at once only takes time.
const AUDIO_MS_MAX: u16 = 3_000;
const FORMATS: [Format; 4] = [Format::MULAW_8K, Format::PCM_8K, Format::PCM_16K, Format::PCM_24K];

/// What a vendor's protocol does beside its socket.
pub trait Deaf: Default {
    /// The vendor's message.
    fn message(&mut self, line: &mut Line, text: &str) -> Result<(), End>;

    /// What is due is sent.
    fn send(&mut self, line: &mut Line, due: Due, now: Instant);

    /// The socket is lost.
    fn lost(&mut self, line: &mut Line);

    /// What the session is told.
    fn check(&mut self, event: &Event);
}

/// Runs the lines of an input.
pub fn run<P: Deaf>(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let format = FORMATS[data.len() % FORMATS.len()];
    let (mut line, _session) = line_of(format);
    let (mut protocol, mut now) = (P::default(), mesh::clock::now());
    line.opened();
    for message in text.lines() {
        let end = match act(message) {
            Some(Act::Audio(length)) => {
                let audio = vec![format.silence(); format.bytes_of(length)];
                line.replay.push(Bytes::from(audio));
                now += length;
                Ok(())
            }
            Some(Act::Finalize) => {
                line.replay.finalize();
                Ok(())
            }
            Some(Act::Lost) => Err(End::Dropped),
            None => protocol.message(&mut line, message),
        };
        if end.is_err() {
            protocol.lost(&mut line);
            line.opened();
        }
        while let Some(due) = line.replay.due(now) {
            protocol.send(&mut line, due, now);
        }
        let events = line.outbox.take();
        assert!(events.len() <= EVENTS_MAX, "{events:?}");
        for event in events {
            let end = match &event {
                Event::Transcript(Transcript { end, .. })
                | Event::EndOfTurn { end, .. }
                | Event::LikelyEndOfTurn { end, .. } => *end,
                _ => Duration::ZERO,
            };
            assert!(end <= line.replay.sent(), "{event:?} of {:?}", line.replay.sent());
            protocol.check(&event);
        }
        assert!(line.replay.unsettled() <= line.replay.sent());
        assert!(line.replay.kept_length() <= KEPT_MAX, "{:?} are kept", line.replay.kept_length());
    }
}

enum Act {
    Audio(Duration),
    Finalize,
    Lost,
}

fn act(line: &str) -> Option<Act> {
    match line {
        "?" => Some(Act::Finalize),
        "!" => Some(Act::Lost),
        _ => {
            let ms = line.strip_prefix('+')?.parse::<u16>().ok()?.min(AUDIO_MS_MAX);
            Some(Act::Audio(Duration::from_millis(ms.into())))
        }
    }
}

fn line_of(format: Format) -> (Line, Session) {
    let settings = Settings {
        vendor: Vendor::Deepgram,
        base_url: "http://127.0.0.1:1".parse().expect("a URL"),
        api_key: Pii::new(String::new()),
        model: String::new(),
        language: "en".into(),
        call_id: "call".into(),
        format,
        has_fallback: false,
    };
    line::new("deepgram", settings, false)
}
