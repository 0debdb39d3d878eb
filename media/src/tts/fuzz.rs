//! What both synthesizers' fuzzing has in common. An input is lines: `>1.0 text` speaks text in the first take of epoch 1,
//! `.1.0` ends it, `x1.0` cancels it.

use std::{collections::BTreeMap, time::Duration};

use mesh::Pii;
use tokio::sync::mpsc;

use super::{Command, Event, Settings, Take, Vendor};
use crate::{audio::Format, socket::Outbox};

/// A take as the session sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Open,
    Done,
    Over,
}

/// What the session knows of the takes, and what it was told.
#[derive(Default)]
pub struct Book {
    takes: BTreeMap<Take, Told>,
    audio: BTreeMap<Take, usize>,
    epoch: i64,
}

impl Book {
    /// The command of a line, noted; `None` for another line, or for what a session never asks: its epochs do not fall.
    pub fn command(&mut self, line: &str) -> Option<Command> {
        let (act, rest) = (line.chars().next()?, line.get(1..)?);
        let (number, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let (epoch, number) = number.split_once('.')?;
        let take =
            Take { epoch: epoch.parse::<u8>().ok()?.into(), number: number.parse::<u8>().ok()?.into() };
        match act {
            '>' if take.epoch >= self.epoch => {
                self.epoch = take.epoch;
                self.takes.entry(take).or_insert(Told::Open);
                Some(Command::Speak { take, text: text.to_owned() })
            }
            '.' => Some(Command::Finish { take }),
            'x' => {
                self.epoch = self.epoch.max(take.epoch);
                self.takes.insert(take, Told::Over);
                Some(Command::Cancel { take })
            }
            _ => None,
        }
    }

    /// Nothing is told of a take that is over, and no word lies after the audio if `words_have_audio`.
    pub fn check(&mut self, event: &Event, words_have_audio: bool) {
        let (take, then) = match event {
            Event::Audio { take, .. } | Event::Words { take, .. } => (*take, Told::Open),
            Event::Done { take } => (*take, Told::Done),
            Event::Lost { take, .. } => (*take, Told::Over),
            Event::Unavailable { .. } => panic!("that is the shell's to say"),
        };
        let told = self.takes.get(&take).copied();
        let late = then == Told::Over && told == Some(Told::Done);
        assert!(told == Some(Told::Open) || late, "{event:?} of a take that is {told:?}");
        self.takes.insert(take, then);
        let received = self.audio.entry(take).or_default();
        match event {
            Event::Audio { payload, .. } => *received += payload.len(),
            Event::Words { words, .. } if words_have_audio => {
                let until = Format::MULAW_8K.duration_of(*received);
                assert!(words.iter().all(|word| word.end <= until), "{words:?} in {until:?}");
            }
            _ => {}
        }
    }

    /// All audio that the session got.
    pub fn audio_bytes(&self) -> usize {
        self.audio.values().sum()
    }
}

/// How the call sounds.
pub fn settings(vendor: Vendor) -> Settings {
    Settings {
        vendor,
        base_url: "http://127.0.0.1:1".parse().expect("a URL"),
        api_key: Pii::new(String::new()),
        voice_id: String::new(),
        model: String::new(),
        language: "hi-IN".into(),
        call_id: "call".into(),
        format: Format::MULAW_8K,
        has_fallback: false,
    }
}

/// An outbox that nobody reads but the check.
pub fn outbox() -> Outbox<Event> {
    Outbox::new(mpsc::channel(1).0)
}

/// A day: no word of a call ends later.
pub const END_MAX: Duration = Duration::from_secs(86_400);
