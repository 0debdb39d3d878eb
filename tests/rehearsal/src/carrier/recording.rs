//! Sound in and out of files.

use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::mulaw;

/// Why a WAV file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    #[error("{path}: not a readable WAV file of PCM samples: {error}", path = path.display())]
    Unreadable { path: PathBuf, error: hound::Error },
    #[error("{path}: holds no sound", path = path.display())]
    Empty { path: PathBuf },
    #[error("{path}: {rate_hz} Hz is not supported, use 4000 to 192000 Hz", path = path.display())]
    Rate { path: PathBuf, rate_hz: u32 },
    #[error("{path}: cannot be written: {error}", path = path.display())]
    Unwritable { path: PathBuf, error: hound::Error },
}

/// Both sides of a call on the call's clock, as mu-law at 8 kHz: sample `n` was said or heard `n` / 8 ms after the
/// call was answered.
pub struct Recording {
    pub(super) said: Vec<u8>,
    pub(super) heard: Vec<u8>,
}

impl Recording {
    /// What the caller said.
    pub fn said(&self) -> Vec<i16> {
        self.said.iter().copied().map(mulaw::decode).collect()
    }

    /// What the caller heard.
    pub fn heard(&self) -> Vec<i16> {
        self.heard.iter().copied().map(mulaw::decode).collect()
    }

    /// Writes a stereo WAV file: left what the caller said, right what they heard.
    pub fn save(&self, path: &Path) -> Result<(), WavError> {
        let unwritable = |error| WavError::Unwritable { path: path.to_owned(), error };
        let spec = WavSpec {
            channels: 2,
            sample_rate: mulaw::RATE_HZ,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut file = WavWriter::create(path, spec).map_err(unwritable)?;
        for n in 0..self.said.len().max(self.heard.len()) {
            for side in [&self.said, &self.heard] {
                let byte = side.get(n).copied().unwrap_or(mulaw::SILENCE);
                file.write_sample(mulaw::decode(byte)).map_err(unwritable)?;
            }
        }
        file.finalize().map_err(unwritable)
    }
}

/// Reads a WAV file of any PCM format as 8 kHz mono.
pub fn read_wav(path: &Path) -> Result<Vec<i16>, WavError> {
    let unreadable = |error| WavError::Unreadable { path: path.to_owned(), error };
    let reader = WavReader::open(path).map_err(unreadable)?;
    let spec = reader.spec();
    if !(4_000..=192_000).contains(&spec.sample_rate) {
        return Err(WavError::Rate { path: path.to_owned(), rate_hz: spec.sample_rate });
    }
    let mono = mono(reader, spec).map_err(unreadable)?;
    if mono.is_empty() {
        return Err(WavError::Empty { path: path.to_owned() });
    }
    Ok(to_8_khz(&mono, spec.sample_rate)
        .into_iter()
        .map(|sample| (sample * 32_767.0).round() as i16)
        .collect())
}

fn mono<R: std::io::Read>(reader: WavReader<R>, spec: WavSpec) -> Result<Vec<f32>, hound::Error> {
    let samples: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect::<Result<_, _>>()?,
        SampleFormat::Int => {
            let full_scale = (1_i64 << (spec.bits_per_sample - 1)) as f32;
            reader
                .into_samples::<i32>()
                .map(|s| s.map(|s| s as f32 / full_scale))
                .collect::<Result<_, _>>()?
        }
    };
    let channels = usize::from(spec.channels.max(1));
    Ok(samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect())
}

/// Resamples with a windowed sinc (Blackman, 32 zero crossings on each side) that lets nothing above 4 kHz fold back.
fn to_8_khz(input: &[f32], rate_hz: u32) -> Vec<f32> {
    const CROSSINGS: f64 = 32.0;
    if rate_hz == mulaw::RATE_HZ {
        return input.to_vec();
    }
    let (rate, out_rate) = (f64::from(rate_hz), f64::from(mulaw::RATE_HZ));
    // In cycles per input sample; the transition band of the window ends at half the lower rate.
    let cutoff = 0.5 * (out_rate / rate).min(1.0) * (1.0 - 3.0 / CROSSINGS);
    let half = (CROSSINGS / (2.0 * cutoff)).ceil() as i64;
    let phases = mulaw::RATE_HZ / gcd(mulaw::RATE_HZ, rate_hz);
    let kernels: Vec<Vec<f32>> =
        (0..phases).map(|phase| kernel(fraction(phase, rate_hz), cutoff, half)).collect();
    let length = (input.len() as u64 * u64::from(mulaw::RATE_HZ)).div_ceil(u64::from(rate_hz));
    (0..length)
        .map(|n| {
            let centre = (n * u64::from(rate_hz) / u64::from(mulaw::RATE_HZ)) as i64;
            let taps = &kernels[(n % u64::from(phases)) as usize];
            let first = centre - half + 1;
            let from = first.max(0);
            let to = (first + taps.len() as i64).min(input.len() as i64);
            let taps = taps.get((from - first) as usize..).unwrap_or_default();
            let sound = input.get(from as usize..to.max(from) as usize).unwrap_or_default();
            sound.iter().zip(taps).map(|(sample, tap)| sample * tap).sum::<f32>().clamp(-1.0, 1.0)
        })
        .collect()
}

/// How far output sample `n` lies behind the input sample before it, in input samples.
fn fraction(n: u32, rate_hz: u32) -> f64 {
    let at = u64::from(n) * u64::from(rate_hz) % u64::from(mulaw::RATE_HZ);
    at as f64 / f64::from(mulaw::RATE_HZ)
}

/// The taps for input samples `-half + 1 ..= half` around a point at `offset` behind sample 0, with a sum of one.
fn kernel(offset: f64, cutoff: f64, half: i64) -> Vec<f32> {
    use std::f64::consts::PI;
    let taps: Vec<f64> = (1 - half..=half)
        .map(|k| {
            let x = k as f64 - offset;
            let sinc = if x.abs() < 1e-9 { 2.0 * cutoff } else { (2.0 * PI * cutoff * x).sin() / (PI * x) };
            let w = (x / half as f64).clamp(-1.0, 1.0);
            sinc * (0.42 + 0.5 * (PI * w).cos() + 0.08 * (2.0 * PI * w).cos())
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    taps.into_iter().map(|tap| (tap / sum) as f32).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate_hz: u32, hz: f32, seconds: f32) -> Vec<f32> {
        let count = (rate_hz as f32 * seconds) as u32;
        (0..count).map(|n| 0.5 * (std::f32::consts::TAU * hz * n as f32 / rate_hz as f32).sin()).collect()
    }

    fn rms(sound: &[f32]) -> f32 {
        let middle = &sound[sound.len() / 4..sound.len() * 3 / 4];
        (middle.iter().map(|s| s * s).sum::<f32>() / middle.len() as f32).sqrt()
    }

    #[test]
    fn speech_stays_and_what_is_above_4_khz_does_not_fold_back() {
        for rate_hz in [11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            let kept = to_8_khz(&sine(rate_hz, 1_000.0, 0.5), rate_hz);
            let expected = sine(8_000, 1_000.0, 0.5);
            assert!(kept.len().abs_diff(expected.len()) <= 1, "{rate_hz}: {} samples", kept.len());
            let error: Vec<f32> = kept.iter().zip(&expected).map(|(a, b)| a - b).collect();
            assert!(rms(&error) < 0.001, "{rate_hz}: off by {}", rms(&error));
            let folded = rms(&to_8_khz(&sine(rate_hz, 4_800.0, 0.5), rate_hz));
            assert!(folded < 0.001, "{rate_hz}: {folded} of a tone above 4 kHz is left");
        }
        let raised = to_8_khz(&sine(6_000, 1_000.0, 0.5), 6_000);
        assert!((rms(&raised) - rms(&sine(8_000, 1_000.0, 0.5))).abs() < 0.001);
    }

    #[test]
    fn any_pcm_format_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (bits, format) in [
            (8, SampleFormat::Int),
            (16, SampleFormat::Int),
            (24, SampleFormat::Int),
            (32, SampleFormat::Float),
        ] {
            let path = folder.path().join(format!("{bits}.wav"));
            let spec =
                WavSpec { channels: 2, sample_rate: 16_000, bits_per_sample: bits, sample_format: format };
            let mut file = WavWriter::create(&path, spec).unwrap();
            for sample in sine(16_000, 500.0, 0.25) {
                for channel in [sample, sample * 0.5] {
                    match format {
                        SampleFormat::Float => file.write_sample(channel).unwrap(),
                        SampleFormat::Int => {
                            file.write_sample((channel * ((1 << (bits - 1)) - 1) as f32) as i32).unwrap();
                        }
                    }
                }
            }
            file.finalize().unwrap();
            let sound: Vec<f32> =
                read_wav(&path).unwrap().into_iter().map(|s| f32::from(s) / 32_767.0).collect();
            assert_eq!(sound.len(), 2_000, "{bits} bits");
            let expected = 0.75 * 0.5 / std::f32::consts::SQRT_2;
            assert!((rms(&sound) - expected).abs() < 0.01, "{bits} bits: {}", rms(&sound));
        }
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello.wav");
        assert!(matches!(read_wav(&path), Err(WavError::Unreadable { .. })));
        std::fs::write(&path, b"not a recording").unwrap();
        assert!(read_wav(&path).unwrap_err().to_string().contains("hello.wav: not a readable WAV"));
        Recording { said: Vec::new(), heard: Vec::new() }.save(&path).unwrap();
        assert!(read_wav(&path).unwrap_err().to_string().contains("holds no sound"));
    }

    #[test]
    fn left_is_said_and_right_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("call.wav");
        let recording = Recording { said: vec![0x80, 0xFF], heard: vec![0xFF, 0x00, 0x80] };
        recording.save(&path).unwrap();
        let samples: Vec<i16> = WavReader::open(&path).unwrap().into_samples().map(Result::unwrap).collect();
        assert_eq!(samples, [32_124, 0, 0, -32_124, 0, 32_124]);
    }
}
