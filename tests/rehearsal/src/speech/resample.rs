//! Rate conversion by a polyphase filter.

use std::f32::consts::PI;

/// Zero crossings of the filter on each side: 60 dB down within a tenth of the band.
const CROSSINGS: f32 = 16.0;

/// The samples at another rate, low-passed to what that rate can carry.
pub(super) fn resample(samples: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    if from_hz == to_hz || samples.is_empty() {
        return samples.to_vec();
    }
    let divisor = gcd(from_hz, to_hz);
    let (step, phases) = ((from_hz / divisor) as usize, (to_hz / divisor) as usize);
    // Relative to the input rate: the lower of the two rates, less room for the filter's slope.
    let cutoff = 0.92 * (to_hz as f32 / from_hz as f32).min(1.0);
    let half = (CROSSINGS / cutoff).ceil() as usize;
    let filters: Vec<Vec<f32>> =
        (0..phases).map(|phase| taps(phase as f32 / phases as f32, half, cutoff)).collect();
    let mut padded = vec![0.0; half];
    padded.extend(samples.iter().map(|sample| f32::from(*sample)));
    padded.resize(padded.len() + half + 1, 0.0);
    let count = (samples.len() * phases).div_ceil(step);
    (0..count)
        .map(|index| {
            let position = index * step;
            let window = &padded[position / phases..];
            let filter = &filters[position % phases];
            let sum: f32 = window.iter().zip(filter).map(|(sample, tap)| sample * tap).sum();
            sum.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16
        })
        .collect()
}

/// A windowed sinc around a point `offset` (0..1) after the middle sample, with a gain of exactly 1 at 0 Hz.
fn taps(offset: f32, half: usize, cutoff: f32) -> Vec<f32> {
    let mut taps: Vec<f32> = (0..=2 * half)
        .map(|index| {
            let x = index as f32 - half as f32 - offset;
            let sinc = if x.abs() < 1e-6 { cutoff } else { (PI * cutoff * x).sin() / (PI * x) };
            let edge = x / (half as f32 + 1.0);
            sinc * (0.42 + 0.5 * (PI * edge).cos() + 0.08 * (2.0 * PI * edge).cos())
        })
        .collect();
    let gain: f32 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap /= gain);
    taps
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f32, rate: f32) -> Vec<i16> {
        (0..22050).map(|n| (10_000.0 * (2.0 * PI * frequency * n as f32 / rate).sin()) as i16).collect()
    }

    fn level(samples: &[i16]) -> f32 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        (middle.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / middle.len() as f32).sqrt()
    }

    #[test]
    fn speech_passes_and_what_8_khz_cannot_carry_does_not() {
        let input = level(&tone(1000.0, 22050.0));
        let low = resample(&tone(1000.0, 22050.0), 22050, 8000);
        assert_eq!(low.len(), 8000);
        assert!((level(&low) / input - 1.0).abs() < 0.01);
        let aliased = level(&resample(&tone(5000.0, 22050.0), 22050, 8000));
        assert!(aliased < input * 0.002, "{aliased}");
    }

    #[test]
    fn a_tone_keeps_its_frequency() {
        let low = resample(&tone(440.0, 22050.0), 22050, 8000);
        let crossings = low.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!((438..=442).contains(&crossings), "{crossings}");
        assert_eq!(resample(&tone(440.0, 22050.0), 22050, 44100).len(), 44100);
    }
}
