//! Known recordings, and their recognition in the sound of a call.
//!
//! A [`Library`] holds recordings whose words are known: prompts of a telephone exchange, read from their folder,
//! and lines that a synthesizer spoke for the caller of a demonstration. A [`Recognizer`] is fed the sound of one
//! call and says which words of them were heard so far, and when. Sound that is in no recording gives nothing.

mod prompts;
mod recognizer;
mod spectrum;
mod track;
mod voice;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

pub use prompts::{LoadError, PROMPTS_FOLDER};
pub use recognizer::{Heard, Recognizer};
pub(crate) use voice::Voice;

use crate::speech::timing;

/// All sound in this module is linear, mono, at this rate.
pub const SAMPLE_RATE_HZ: usize = 8000;

/// The length of the frames that are judged as one: 20 ms.
pub(crate) const FRAME: usize = 160;

/// One word of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As written: with its capital and its punctuation.
    pub text: String,
    /// In samples from the start of the recording.
    pub start: usize,
    pub end: usize,
}

/// A sound whose words are known.
pub struct Recording {
    pub name: String,
    pub text: String,
    /// Linear at 8 kHz.
    pub samples: Vec<i16>,
    pub words: Vec<Word>,
    /// Where speech begins and ends, in samples.
    voiced: (usize, usize),
    /// The energy of each 20 ms frame.
    energy: Vec<f32>,
    peak_energy: f32,
    prints: Vec<spectrum::Print>,
}

impl Recording {
    /// The times of the words are taken from the pauses and the letters; the true ones are not known.
    pub fn new(name: &str, text: &str, samples: Vec<i16>) -> Self {
        let energy: Vec<f32> = samples.chunks_exact(FRAME).map(voice::energy).collect();
        let peak_energy = energy.iter().copied().fold(0.0, f32::max);
        let sample = |seconds: f64| (seconds * SAMPLE_RATE_HZ as f64).round() as usize;
        let words: Vec<Word> = timing::words(text, &samples, SAMPLE_RATE_HZ as u32)
            .into_iter()
            .map(|word| Word { text: word.text, start: sample(word.start), end: sample(word.end) })
            .collect();
        let voiced = (words.first().map_or(0, |word| word.start), words.last().map_or(0, |word| word.end));
        let prints = spectrum::prints(&samples, &energy, peak_energy);
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            samples,
            words,
            voiced,
            energy,
            peak_energy,
            prints,
        }
    }

    /// Where speech begins and ends, in samples.
    pub fn voiced(&self) -> (usize, usize) {
        self.voiced
    }
}

/// The recordings that recognisers know. Recordings may be added while calls are under way.
#[derive(Default)]
pub struct Library(RwLock<Arc<Vec<Arc<Recording>>>>);

impl Library {
    /// A library without recordings.
    pub fn new() -> Self {
        Self::default()
    }

    /// A library of the telephone prompts in `folder` (usually [`PROMPTS_FOLDER`]) whose words are known.
    pub fn with_prompts(folder: &Path) -> Result<Self, LoadError> {
        let recordings = prompts::load(folder)?.into_iter().map(Arc::new).collect();
        Ok(Self(RwLock::new(Arc::new(recordings))))
    }

    /// Adds a line whose sound is known, linear at 8 kHz. A recording of the same name is replaced.
    pub fn add(&self, name: &str, text: &str, samples: Vec<i16>) -> Arc<Recording> {
        let recording = Arc::new(Recording::new(name, text, samples));
        let mut recordings = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let list = Arc::make_mut(&mut recordings);
        list.retain(|present| present.name != name);
        list.push(Arc::clone(&recording));
        recording
    }

    pub fn get(&self, name: &str) -> Option<Arc<Recording>> {
        self.recordings().iter().find(|recording| recording.name == name).cloned()
    }

    /// All recordings of this moment.
    pub fn recordings(&self) -> Arc<Vec<Arc<Recording>>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
