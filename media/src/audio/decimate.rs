//! CORE: fewer samples a second, without what would fold back.

use std::f32::consts::PI;

/// Taps for each phase of the filter: at 16 kHz it lets pass up to 3.2 kHz and nothing above 4 kHz.
const TAPS_A_PHASE: usize = 32;
/// The middle of the transition, in cycles per sample of the output.
const CUTOFF: f32 = 0.45;

/// Lowers the rate by a whole factor with a linear-phase low-pass (windowed sinc, Hamming). Delays by 2 ms.
#[derive(Debug)]
pub struct Decimator {
    factor: usize,
    taps: Box<[f32]>,
    /// The last samples, as many as there are taps, and then those that wait for their output.
    recent: Vec<f32>,
}

impl Decimator {
    /// One sample of `factor` is left.
    pub fn new(factor: usize) -> Self {
        let count = TAPS_A_PHASE * factor - 1;
        let middle = (count / 2) as f32;
        let cutoff = CUTOFF / factor as f32;
        let taps = (0..count).map(|n| {
            let x = n as f32 - middle;
            let sinc = if x == 0.0 { 2.0 * cutoff } else { (2.0 * PI * cutoff * x).sin() / (PI * x) };
            sinc * (0.54 - 0.46 * (2.0 * PI * n as f32 / (count - 1) as f32).cos())
        });
        let taps: Box<[f32]> = taps.collect();
        let sum: f32 = taps.iter().sum();
        let taps: Box<[f32]> = taps.iter().map(|tap| tap / sum).collect();
        let recent = vec![0.0; taps.len() - 1];
        Self { factor, taps, recent }
    }

    /// Takes the next sample.
    pub fn push(&mut self, sample: i16) {
        self.recent.push(f32::from(sample));
    }

    /// Appends what can be made of the samples so far.
    pub fn drain(&mut self, out: &mut Vec<i16>) {
        let ready = (self.recent.len() + 1 - self.taps.len()) / self.factor;
        for n in 0..ready {
            // The window ends with the last sample of its group.
            let from = (n + 1) * self.factor - 1;
            let window = &self.recent[from..from + self.taps.len()];
            let sum: f32 = window.iter().zip(&self.taps).map(|(sample, tap)| sample * tap).sum();
            out.push(sum.round() as i16);
        }
        self.recent.drain(..ready * self.factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate_hz: f32, hz: f32) -> Vec<i16> {
        let at = |n: usize| (10_000.0 * (2.0 * PI * hz * n as f32 / rate_hz).sin()) as i16;
        (0..(rate_hz / 2.0) as usize).map(at).collect()
    }

    fn lowered(factor: usize, samples: &[i16], pieces: usize) -> Vec<i16> {
        let mut decimator = Decimator::new(factor);
        let mut out = Vec::new();
        for piece in samples.chunks(pieces) {
            piece.iter().for_each(|sample| decimator.push(*sample));
            decimator.drain(&mut out);
        }
        out
    }

    fn rms(samples: &[i16]) -> f32 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        (middle.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / middle.len() as f32).sqrt()
    }

    #[test]
    fn speech_stays_and_what_is_above_4_khz_does_not_fold_back() {
        let full = 10_000.0 / 2f32.sqrt();
        for factor in [2, 3] {
            let rate = 8_000.0 * factor as f32;
            for hz in [100.0, 1_000.0, 3_000.0] {
                let kept = rms(&lowered(factor, &tone(rate, hz), 320)) / full;
                assert!((0.97..1.03).contains(&kept), "{hz} Hz by {factor}: {kept}");
            }
            for hz in [4_300.0, 5_000.0, 7_500.0] {
                let folded = rms(&lowered(factor, &tone(rate, hz), 320)) / full;
                assert!(folded < 0.005, "{hz} Hz by {factor}: {folded} is left");
            }
        }
    }

    #[test]
    fn the_pieces_do_not_matter_and_the_count_is_exact() {
        for factor in [2, 3] {
            let samples = tone(8_000.0 * factor as f32, 440.0);
            let whole = lowered(factor, &samples, samples.len());
            assert_eq!(whole.len(), samples.len() / factor);
            for pieces in [1, 7, 160, 481] {
                assert_eq!(lowered(factor, &samples, pieces), whole);
            }
        }
    }
}
