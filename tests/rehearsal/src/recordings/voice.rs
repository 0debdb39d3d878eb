//! Where there is sound that may be speech: by its energy alone.

use super::FRAME;

/// Mean square of a frame's samples.
pub(super) fn energy(frame: &[i16]) -> f32 {
    if frame.is_empty() {
        return 0.0;
    }
    let sum: i64 = frame.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum();
    sum as f32 / frame.len() as f32
}

/// The quietest sound that counts as voice: about -54 dB of full scale.
const ENERGY_MIN: f32 = 60.0 * 60.0;
/// Voice is this much above the noise: 9 dB.
const ABOVE_NOISE: f32 = 8.0;
/// How the noise estimate follows: down at once, up by 1 % a frame, so that a long vowel does not become noise.
const NOISE_RISE: f32 = 1.01;

/// Says of each 20 ms frame of a stream whether it may be speech.
#[derive(Debug)]
pub(crate) struct Voice {
    noise: f32,
}

impl Voice {
    pub(crate) fn new() -> Self {
        Self { noise: ENERGY_MIN / ABOVE_NOISE }
    }

    pub(crate) fn is_voice(&mut self, frame: &[i16]) -> bool {
        debug_assert_eq!(frame.len(), FRAME);
        let energy = energy(frame);
        self.noise = (self.noise * NOISE_RISE).min(energy.max(1.0));
        energy > ENERGY_MIN.max(self.noise * ABOVE_NOISE)
    }
}
