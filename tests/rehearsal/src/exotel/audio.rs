//! Between the caller's telephone, which speaks mu-law at 8 kHz, and a stream of linear samples at another rate.

use std::f32::consts::PI;

use crate::speech::mulaw;

/// Taps of the filter for each step of the rate.
const TAPS_A_STEP: usize = 32;

/// A low-pass at 3.6 kHz (windowed sinc, Hamming) for samples at a multiple of 8 kHz.
struct LowPass {
    taps: Vec<f32>,
    recent: Vec<f32>,
}

impl LowPass {
    fn new(factor: usize) -> Self {
        let count = TAPS_A_STEP * factor - 1;
        let cutoff = 0.45 / factor as f32;
        let taps: Vec<f32> = (0..count)
            .map(|n| {
                let x = n as f32 - (count / 2) as f32;
                let sinc = if x == 0.0 { 2.0 * cutoff } else { (2.0 * PI * cutoff * x).sin() / (PI * x) };
                sinc * (0.54 - 0.46 * (2.0 * PI * n as f32 / (count - 1) as f32).cos())
            })
            .collect();
        let sum: f32 = taps.iter().sum();
        Self { recent: vec![0.0; count], taps: taps.iter().map(|tap| tap / sum).collect() }
    }

    fn pass(&mut self, sample: f32) -> i16 {
        self.recent.rotate_left(1);
        if let Some(last) = self.recent.last_mut() {
            *last = sample;
        }
        self.recent.iter().zip(&self.taps).map(|(sample, tap)| sample * tap).sum::<f32>().round() as i16
    }
}

/// The caller's sound on its way to the server.
pub struct Uplink {
    factor: usize,
    filter: Option<LowPass>,
}

impl Uplink {
    /// To samples at `rate_hz`, a multiple of 8,000.
    pub fn new(rate_hz: u32) -> Self {
        let factor = (rate_hz / 8_000) as usize;
        Self { factor, filter: (factor > 1).then(|| LowPass::new(factor)) }
    }

    /// Little-endian samples of the caller's next sound.
    pub fn encode(&mut self, sound: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(sound.len() * 2 * self.factor);
        for sample in sound.iter().copied().map(mulaw::decode) {
            let Some(filter) = &mut self.filter else {
                out.extend(sample.to_le_bytes());
                continue;
            };
            for n in 0..self.factor {
                let stuffed = if n == 0 { f32::from(sample) * self.factor as f32 } else { 0.0 };
                out.extend(filter.pass(stuffed).to_le_bytes());
            }
        }
        out
    }
}

/// The agent's sound on its way to the caller.
pub struct Downlink {
    factor: usize,
    filter: Option<LowPass>,
    samples: usize,
}

impl Downlink {
    /// From samples at `rate_hz`, a multiple of 8,000.
    pub fn new(rate_hz: u32) -> Self {
        let factor = (rate_hz / 8_000) as usize;
        Self { factor, filter: (factor > 1).then(|| LowPass::new(factor)), samples: 0 }
    }

    /// Mu-law of the agent's next whole samples.
    pub fn decode(&mut self, audio: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(audio.len() / 2 / self.factor);
        for bytes in audio.as_chunks::<2>().0 {
            let mut sample = i16::from_le_bytes(*bytes);
            if let Some(filter) = &mut self.filter {
                sample = filter.pass(f32::from(sample));
            }
            self.samples += 1;
            if self.samples.is_multiple_of(self.factor) {
                out.push(mulaw::encode(sample));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_comes_through_both_ways_at_every_rate() {
        let tone: Vec<i16> = (0..1_600).map(|n| (8_000.0 * (n as f32 * 0.7).sin()) as i16).collect();
        for rate in [8_000, 16_000, 24_000] {
            let sound = mulaw::encode_all(&tone);
            let audio: Vec<u8> = {
                let mut uplink = Uplink::new(rate);
                sound.chunks(160).flat_map(|frame| uplink.encode(frame)).collect()
            };
            assert_eq!(audio.len(), 1_600 * 2 * rate as usize / 8_000);
            let mut downlink = Downlink::new(rate);
            let heard: Vec<i16> =
                audio.chunks(320).flat_map(|piece| downlink.decode(piece)).map(mulaw::decode).collect();
            assert_eq!(heard.len(), tone.len());
            let rms = |sound: &[i16]| {
                let middle = &sound[400..1_200];
                (middle.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / middle.len() as f32).sqrt()
            };
            let kept = rms(&heard) / rms(&tone);
            assert!((0.95..1.05).contains(&kept), "{kept} at {rate} Hz");
        }
    }
}
