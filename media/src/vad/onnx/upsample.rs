//! From 8 kHz to 16 kHz: every sample is kept, and one is interpolated between each two.

use std::f64::consts::PI;

use crate::vad::port::CHUNK_SAMPLES;

/// Samples on each side of an interpolated one; they delay the stream by 1.5 ms.
const REACH: usize = 12;
const HISTORY: usize = 2 * REACH - 1;

/// The resampler of one stream.
pub(super) struct Upsampler {
    taps: [f32; 2 * REACH],
    history: [f32; HISTORY],
}

impl Upsampler {
    pub(super) fn new() -> Self {
        Upsampler { taps: half_band(), history: [0.0; HISTORY] }
    }

    /// The chunk at twice the rate.
    pub(super) fn double(&mut self, chunk: &[f32; CHUNK_SAMPLES]) -> [f32; 2 * CHUNK_SAMPLES] {
        let mut line = [0.0; HISTORY + CHUNK_SAMPLES];
        line[..HISTORY].copy_from_slice(&self.history);
        line[HISTORY..].copy_from_slice(chunk);
        self.history.copy_from_slice(&line[CHUNK_SAMPLES..]);
        let mut doubled = [0.0; 2 * CHUNK_SAMPLES];
        for (pair, around) in doubled.chunks_exact_mut(2).zip(line.windows(2 * REACH)) {
            pair[0] = around[REACH - 1];
            pair[1] = around.iter().zip(&self.taps).map(|(sample, tap)| sample * tap).sum();
        }
        doubled
    }
}

/// The ideal interpolator between two samples, cut off by a Hann window and scaled to keep a constant as it is.
fn half_band() -> [f32; 2 * REACH] {
    let taps: [f64; 2 * REACH] = std::array::from_fn(|i| {
        let x = i as f64 - REACH as f64 + 0.5;
        (PI * x).sin() / (PI * x) * (PI * x / (2.0 * REACH as f64)).cos().powi(2)
    });
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / sum) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_of_the_telephone_band_come_out_as_they_were() {
        for hz in [300.0, 1000.0, 2000.0, 3000.0] {
            let tone = |rate: f64, n: f64| (2.0 * PI * hz * n / rate).sin();
            let mut upsampler = Upsampler::new();
            let mut doubled = Vec::new();
            for chunk in 0..4 {
                let at = |i| tone(8000.0, (chunk * CHUNK_SAMPLES + i) as f64) as f32;
                doubled.extend(upsampler.double(&std::array::from_fn(at)));
            }
            for (n, sample) in doubled.into_iter().enumerate().skip(100) {
                let exact = tone(16_000.0, n as f64 - 2.0 * REACH as f64);
                assert!(
                    (f64::from(sample) - exact).abs() < 0.01,
                    "{hz} Hz, sample {n}: {sample}, not {exact}"
                );
            }
        }
    }
}
