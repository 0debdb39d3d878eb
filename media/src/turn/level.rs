//! CORE: how loud the caller is. An onset far below the caller's own speech is a backchannel, noise or an echo.
//!
//! Levels are in dBFS: 10 log10 of the mean square of the samples over the square of full scale (32768), so a
//! full-scale square wave has 0 and mu-law sound lies between -72 and -0.2.

use std::collections::VecDeque;

use crate::vad::ulaw::DECODED;

/// The level of digital silence, in dBFS; nothing is below it.
pub const SILENCE_DB: f32 = -96.0;

/// Speech frames that are remembered: 10 s of 20 ms.
const SPEECH_FRAMES: usize = 500;
/// Speech frames from which on the caller's level is known: 0.5 s.
const SPEECH_FRAMES_MIN: usize = 25;
/// The caller's level is the one that 70 % of the speech frames do not exceed: pauses between words and weak
/// consonants leave it alone, and so do single shouts.
const SPEECH_PERCENTILE: usize = 70;
/// Frames that are remembered for an onset: 1 s.
const RECENT_FRAMES: usize = 50;
/// The level of an onset is its upper quartile: its first frames rise from silence.
const ONSET_PERCENTILE: usize = 75;
/// An onset this far below the caller's level is weak, in dB.
const WEAK_BELOW_DB: f32 = 4.0;
/// This far below the caller's level somebody else speaks, or the caller to somebody else, in dB.
const DISTANT_BELOW_DB: f32 = 15.0;
/// Below this an onset is weak while the caller's level is not known, in dBFS: the echo of a loud greeting at
/// -20 dB lies below it, callers seldom do.
const WEAK_FLOOR_DB: f32 = -30.0;

/// How an onset compares with the caller's own speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// More than 15 dB below it.
    Distant,
    /// More than 4 dB below that, or below -30 dBFS while it is not known.
    Weak,
    /// As loud as the caller speaks when it is his turn.
    Strong,
}

/// The running levels of one caller. Holds 1 s of levels and a histogram of 10 s of speech.
#[derive(Debug, Clone)]
pub struct Level {
    recent: VecDeque<f32>,
    /// Whole dB below full scale, in order of arrival.
    speech: VecDeque<u8>,
    /// How many entries of `speech` have each value.
    counts: [u16; SILENCE_DB.abs() as usize + 1],
}

impl Default for Level {
    fn default() -> Self {
        Self {
            recent: VecDeque::with_capacity(RECENT_FRAMES),
            speech: VecDeque::with_capacity(SPEECH_FRAMES),
            counts: [0; SILENCE_DB.abs() as usize + 1],
        }
    }
}

impl Level {
    /// A caller who was not heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next 20 ms of mu-law; its level in dBFS.
    pub fn push(&mut self, frame: &[u8]) -> f32 {
        let db = dbfs(frame);
        if self.recent.len() == RECENT_FRAMES {
            self.recent.pop_front();
        }
        self.recent.push_back(db);
        db
    }

    /// Learns the level `db` of a frame that is the caller's own turn: speech, while the agent was not heard.
    pub fn speech_frame(&mut self, db: f32) {
        let below = (-db).round().clamp(0.0, -SILENCE_DB) as u8;
        if self.speech.len() == SPEECH_FRAMES
            && let Some(oldest) = self.speech.pop_front()
        {
            self.counts[usize::from(oldest)] -= 1;
        }
        self.speech.push_back(below);
        self.counts[usize::from(below)] += 1;
    }

    /// Forgets the last `frames` that were learned: the speech had ended before them.
    pub fn forget_last(&mut self, frames: usize) {
        for _ in 0..frames {
            if let Some(below) = self.speech.pop_back() {
                self.counts[usize::from(below)] -= 1;
            }
        }
    }

    /// The typical level of the caller's speech in dBFS, to the dB: the 70th percentile of the last 10 s of it. None
    /// before half a second of it.
    pub fn caller_level(&self) -> Option<f32> {
        if self.speech.len() < SPEECH_FRAMES_MIN {
            return None;
        }
        let mut louder = self.speech.len() * (100 - SPEECH_PERCENTILE) / 100;
        for (below, count) in self.counts.iter().enumerate() {
            match louder.checked_sub(usize::from(*count)) {
                Some(rest) if rest > 0 => louder = rest,
                _ => return Some(-(below as f32)),
            }
        }
        None
    }

    /// How strong the last `frames` pushed frames are, the onset that is going on; up to 50 count.
    pub fn onset_strength(&self, frames: usize) -> Strength {
        let mut onset: Vec<f32> = self.recent.iter().rev().take(frames).copied().collect();
        onset.sort_by(f32::total_cmp);
        let Some(level) =
            onset.get((onset.len() * ONSET_PERCENTILE / 100).min(onset.len().saturating_sub(1)))
        else {
            return Strength::Weak;
        };
        match self.caller_level() {
            Some(caller) if *level < caller - DISTANT_BELOW_DB => Strength::Distant,
            Some(caller) if *level < caller - WEAK_BELOW_DB => Strength::Weak,
            None if *level < WEAK_FLOOR_DB => Strength::Weak,
            _ => Strength::Strong,
        }
    }
}

/// The level of some mu-law sound in dBFS; -96 for silence and for nothing.
pub fn dbfs(frame: &[u8]) -> f32 {
    if frame.is_empty() {
        return SILENCE_DB;
    }
    let energy: f64 = frame.iter().map(|code| f64::from(DECODED[usize::from(*code)]).powi(2)).sum();
    let mean = energy / frame.len() as f64 / (32768.0 * 32768.0);
    (10.0 * mean.log10()).max(f64::from(SILENCE_DB)) as f32
}

#[cfg(test)]
pub(super) mod tests;
