//! Which known words are in the sound of one call, said while the sound comes in.
//!
//! Fingerprints find the places of the library that may be what is heard; the waveforms decide. A recording that was
//! recognised is then followed to the sample, so that one cut short gives its words up to the cut and no further.

use std::sync::Arc;

use super::spectrum::{self, Bands, SPAN, STREAM_HOP, WINDOW};
use super::track::{History, Track};
use super::{FRAME, Library, Recording, voice};

/// Prints that differ in more than this many of their 120 bits are not looked at.
const DISTANCE_MAX: u32 = 32;
/// How many places of the library are tried by waveform for one print.
const CANDIDATES: usize = 4;
/// Sound below this is not looked for: about -56 dB of full scale.
const ENERGY_MIN: f32 = 50.0 * 50.0;
/// Two placements of one recording closer than this are one: 2 ms.
const SAME_PLACE: i64 = 16;

/// One word that was heard in the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// As written: with its capital and its punctuation.
    pub text: String,
    /// In samples at 8 kHz since the start of the call.
    pub start: u64,
    pub end: u64,
    /// The recording goes on after it.
    pub more: bool,
}

/// Recognises the recordings of a [`Library`] in the sound of one call.
pub struct Recognizer {
    library: Arc<Library>,
    history: History,
    /// The bands of the last windows, oldest first; empty after silence.
    windows: Vec<Bands>,
    /// Where the next window begins.
    next_window: i64,
    tracks: Vec<Track>,
}

impl Recognizer {
    pub fn new(library: Arc<Library>) -> Self {
        Self {
            library,
            history: History::default(),
            windows: Vec::with_capacity(SPAN),
            next_window: 0,
            tracks: Vec::new(),
        }
    }

    /// Hears the next samples of the call, any number of them.
    pub fn push(&mut self, samples: &[i16]) {
        // In small steps, so that the result does not depend on how the sound was cut into messages.
        for piece in samples.chunks(FRAME) {
            self.history.push(piece);
            self.tracks.iter_mut().for_each(|track| track.follow(&self.history));
            self.tracks.retain(|track| track.is_live() || track.is_certain());
            while let Some(window) = self.history.get(self.next_window, WINDOW) {
                let audible = voice::energy(window) >= ENERGY_MIN;
                let bands = audible.then(|| spectrum::bands(window));
                let end = self.next_window + WINDOW as i64;
                self.next_window += STREAM_HOP as i64;
                self.look(bands, end);
            }
        }
    }

    /// All words heard so far and not forgotten, in the order of their times. A word may still be taken back or
    /// change when what follows shows that another recording is heard.
    pub fn words(&self) -> Vec<Heard> {
        let mut certain: Vec<&Track> = self.tracks.iter().filter(|track| track.is_certain()).collect();
        certain.sort_by_key(|track| std::cmp::Reverse(track.evidence()));
        let mut words = Vec::new();
        let mut taken: Vec<(i64, i64)> = Vec::new();
        for track in certain {
            let free = |word: &Heard| {
                let middle = word.start.midpoint(word.end).cast_signed();
                !taken.iter().any(|&(from, to)| from <= middle && middle < to)
            };
            words.extend(track.words().filter(free));
            taken.push(track.span());
        }
        words.sort_by_key(|word| word.start);
        words
    }

    /// Gives up the recordings that were over before `position` (in samples since the start of the call).
    pub fn forget(&mut self, position: u64) {
        self.tracks.retain(|track| track.is_live() || track.span().1.unsigned_abs() > position);
    }

    fn look(&mut self, bands: Option<Bands>, end: i64) {
        let Some(bands) = bands else {
            self.windows.clear();
            return;
        };
        if self.windows.len() == SPAN {
            self.windows.remove(0);
        }
        self.windows.push(bands);
        let [a, b, c, d, e] = self.windows.as_slice() else { return };
        if self.tracks.iter().any(|track| track.is_fresh(end)) {
            return;
        }
        let print = spectrum::print([a, b, c, d, e]);
        for (recording, at) in self.candidates(print) {
            if let Some(track) = Track::begin(&recording, at, end, &self.history) {
                self.keep(track);
            }
        }
    }

    /// The places of the library most like `print`: recording, and the end of the last window in it.
    fn candidates(&self, print: u128) -> Vec<(Arc<Recording>, usize)> {
        let recordings = self.library.recordings();
        let mut nearest = [(DISTANCE_MAX + 1, 0, 0); CANDIDATES];
        for (index, recording) in recordings.iter().enumerate() {
            for place in &recording.prints {
                let distance = (place.bits ^ print).count_ones();
                if distance < nearest[CANDIDATES - 1].0 {
                    nearest[CANDIDATES - 1] = (distance, index, place.at + WINDOW);
                    nearest.sort_unstable_by_key(|candidate| candidate.0);
                }
            }
        }
        let found = nearest.iter().filter(|candidate| candidate.0 <= DISTANCE_MAX);
        found.map(|&(_, index, at)| (Arc::clone(&recordings[index]), at)).collect()
    }

    fn keep(&mut self, track: Track) {
        let same = |other: &Track| {
            Arc::ptr_eq(&other.recording, &track.recording) && (other.lag - track.lag).abs() <= SAME_PLACE
        };
        match self.tracks.iter_mut().find(|other| same(other)) {
            // A placement one sample off can look right for a while.
            Some(other) if other.agreement() >= track.agreement() => {}
            Some(other) => *other = track,
            None => self.tracks.push(track),
        }
    }
}
