//! CORE: from the sound of a call to the caller's turns, by the time of the audio alone.

use std::sync::Arc;

use super::confidence::Promise;
use super::params::Thresholds;
use crate::recordings::{FRAME, Heard, Library, Recognizer, Voice};

const MS: u64 = 8;
/// An update comes this often.
const UPDATE_EVERY: u64 = 250 * MS;
/// The model thinks this often: after 80 ms of audio.
const STEP: u64 = 80 * MS;
/// Voiced frames in a row that are more than a click: 60 ms.
const VOICED_FRAMES: u64 = 3;
/// Sound without known words keeps a turn open for this long after the last word: noise is no speech.
const SOUND_HOLDS: u64 = 1000 * MS;

/// What `TurnInfo` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Update,
    StartOfTurn,
    EagerEndOfTurn,
    TurnResumed,
    /// With its trigger.
    EndOfTurn(&'static str),
}

/// One `TurnInfo`; positions in samples at 8 kHz since the opening of the socket.
#[derive(Clone, Debug)]
pub(super) struct TurnInfo {
    pub(super) kind: Kind,
    pub(super) turn: u64,
    /// Where the turn before ended.
    pub(super) start: u64,
    /// How much was heard.
    pub(super) end: u64,
    /// All of the turn so far.
    pub(super) words: Vec<Heard>,
    pub(super) confidence: f64,
    /// Where the last speech ended.
    pub(super) speech_end: u64,
}

/// The state of one connection's turns.
pub(super) struct Turns {
    thresholds: Thresholds,
    recognizer: Recognizer,
    voice: Voice,
    /// Sound that does not fill a frame yet.
    partial: Vec<i16>,
    position: u64,
    voiced_frames: u64,
    /// Where the last voiced frame ends.
    voiced_until: u64,
    /// Where the last update was given.
    updated: u64,
    turn: u64,
    turn_start: u64,
    /// Where the last word of the last turn ends.
    given: u64,
    /// The turn has begun.
    open: bool,
    /// Its end was called likely, with these words.
    eager: Option<String>,
    outputs: Vec<TurnInfo>,
}

impl Turns {
    pub(super) fn new(thresholds: Thresholds, library: Arc<Library>) -> Self {
        Self {
            thresholds,
            recognizer: Recognizer::new(library),
            voice: Voice::new(),
            partial: Vec::with_capacity(FRAME),
            position: 0,
            voiced_frames: 0,
            voiced_until: 0,
            updated: 0,
            turn: 0,
            turn_start: 0,
            given: 0,
            open: false,
            eager: None,
            outputs: Vec::new(),
        }
    }

    pub(super) fn configure(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Hears the next samples, any number of them, and says what follows.
    pub(super) fn hear(&mut self, samples: &[i16]) -> Vec<TurnInfo> {
        self.partial.extend_from_slice(samples);
        let sound = std::mem::take(&mut self.partial);
        let mut frames = sound.chunks_exact(FRAME);
        for frame in frames.by_ref() {
            self.recognizer.push(frame);
            self.position += FRAME as u64;
            self.watch_voice(frame);
            if self.position.is_multiple_of(STEP) {
                self.think();
            }
            if self.position >= self.updated + UPDATE_EVERY {
                self.updated += UPDATE_EVERY;
                self.update();
            }
        }
        self.partial.extend_from_slice(frames.remainder());
        std::mem::take(&mut self.outputs)
    }

    /// Ends the turn that is open, because the client says so or goes. `None` when there is none.
    pub(super) fn force_end(&mut self) -> Option<Vec<TurnInfo>> {
        self.open.then(|| {
            let words = self.words();
            if self.eager.as_ref().is_some_and(|eager| *eager != text(&words)) {
                self.resume(words.clone());
            }
            self.end("manual", words);
            std::mem::take(&mut self.outputs)
        })
    }

    fn watch_voice(&mut self, frame: &[i16]) {
        self.voiced_frames = if self.voice.is_voice(frame) { self.voiced_frames + 1 } else { 0 };
        if self.voiced_frames >= VOICED_FRAMES {
            self.voiced_until = self.position;
        }
    }

    fn update(&mut self) {
        // The first words of a turn come with its start, and nothing lies between its likely end and what follows.
        if self.eager.is_none() {
            let words = if self.open { self.words() } else { Vec::new() };
            self.tell(Kind::Update, words);
        }
    }

    fn think(&mut self) {
        let words = self.words();
        if !self.open {
            if !words.is_empty() {
                self.open = true;
                self.tell(Kind::StartOfTurn, words);
            }
            return;
        }
        let confidence = self.confidence(&words);
        let likely = self.thresholds.eager.is_some_and(|eager| confidence >= eager);
        match &self.eager {
            Some(eager) if *eager != text(&words) || !likely => return self.resume(words),
            None if likely => {
                self.eager = Some(text(&words));
                self.tell(Kind::EagerEndOfTurn, words.clone());
            }
            _ => {}
        }
        if confidence >= self.thresholds.eot {
            self.end("model", words);
        } else if self.silence(&words) >= self.thresholds.timeout_ms * MS {
            self.end("timeout", words);
        }
    }

    fn resume(&mut self, words: Vec<Heard>) {
        self.eager = None;
        self.tell(Kind::TurnResumed, words);
    }

    fn end(&mut self, trigger: &'static str, words: Vec<Heard>) {
        self.given = words.last().map_or(self.given, |word| word.end);
        self.tell(Kind::EndOfTurn(trigger), words);
        self.recognizer.forget(self.given);
        self.open = false;
        self.eager = None;
        self.turn += 1;
        self.turn_start = self.position;
    }

    fn tell(&mut self, kind: Kind, words: Vec<Heard>) {
        self.outputs.push(TurnInfo {
            kind,
            turn: self.turn,
            start: self.turn_start,
            end: self.position,
            confidence: self.confidence(&words),
            words,
            speech_end: self.voiced_until,
        });
    }

    /// The words of this turn.
    fn words(&self) -> Vec<Heard> {
        let mut words = self.recognizer.words();
        words.retain(|word| word.start.midpoint(word.end) > self.given);
        words
    }

    fn confidence(&self, words: &[Heard]) -> f64 {
        if words.is_empty() { 0.0 } else { Promise::of(words).confidence(self.silence(words) / MS) }
    }

    /// How long nobody has spoken.
    fn silence(&self, words: &[Heard]) -> u64 {
        let last_word_end = words.last().map_or(self.given, |word| word.end);
        self.position
            - last_word_end.max(self.voiced_until.min(last_word_end + SOUND_HOLDS)).min(self.position)
    }
}

/// The words in one line.
pub(super) fn text(words: &[Heard]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
