//! Audio messages to linear samples at 8 kHz.

use crate::speech::mulaw;

/// How the audio messages are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Mulaw,
    /// Little-endian, at 8 kHz.
    Linear8k,
    /// Little-endian, at 16 kHz.
    Linear16k,
    /// Little-endian, at 24 kHz.
    Linear24k,
}

impl Encoding {
    pub(crate) fn parse(encoding: Option<&str>, sample_rate_hz: Option<u32>) -> Result<Option<Self>, String> {
        let Some(encoding) = encoding else { return Ok(None) };
        let Some(rate) = sample_rate_hz else {
            return Err("sample_rate: raw audio needs it beside encoding".to_owned());
        };
        match (encoding, rate) {
            ("mulaw", 8000) => Ok(Some(Self::Mulaw)),
            ("linear16", 8000) => Ok(Some(Self::Linear8k)),
            ("linear16", 16_000) => Ok(Some(Self::Linear16k)),
            ("linear16", 24_000) => Ok(Some(Self::Linear24k)),
            ("mulaw" | "linear16", _) => Err(format!("sample_rate: {rate} is not rehearsed for {encoding}")),
            _ => Err(format!("encoding: {encoding} is not rehearsed, use mulaw or linear16")),
        }
    }
}

/// The audio is not what was declared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecodable;

#[derive(Debug)]
pub(crate) struct Decoder {
    encoding: Option<Encoding>,
    /// The last samples at a higher rate, for the filter before all but some are dropped.
    rest: Vec<i16>,
}

impl Decoder {
    pub(crate) fn new(encoding: Option<Encoding>) -> Self {
        Self { encoding, rest: Vec::new() }
    }

    pub(crate) fn decode(&mut self, audio: &[u8]) -> Result<Vec<i16>, Undecodable> {
        match self.encoding.ok_or(Undecodable)? {
            Encoding::Mulaw => Ok(mulaw::decode_all(audio)),
            Encoding::Linear8k => linear(audio),
            Encoding::Linear16k => {
                self.rest.extend(linear(audio)?);
                Ok(self.lower(2, &[1, 2, 1]))
            }
            Encoding::Linear24k => {
                self.rest.extend(linear(audio)?);
                Ok(self.lower(3, &[1, 2, 3, 2, 1]))
            }
        }
    }

    /// One sample of `factor`, of a signal low-passed with these weights.
    fn lower(&mut self, factor: usize, weights: &[i32]) -> Vec<i16> {
        let total: i32 = weights.iter().sum();
        let mixed = self.rest.windows(weights.len()).step_by(factor).map(|window| {
            let sum: i32 =
                weights.iter().zip(window).map(|(weight, sample)| weight * i32::from(*sample)).sum();
            (sum / total) as i16
        });
        let lowered: Vec<i16> = mixed.collect();
        self.rest.drain(..factor * lowered.len());
        lowered
    }
}

fn linear(audio: &[u8]) -> Result<Vec<i16>, Undecodable> {
    let (samples, odd) = audio.as_chunks::<2>();
    if odd.is_empty() {
        Ok(samples.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect())
    } else {
        Err(Undecodable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_kilohertz_is_halved_across_message_boundaries() {
        let wave: Vec<i16> = (0..1600).map(|n| (8000.0 * (f32::from(n as i16) * 0.1).sin()) as i16).collect();
        let bytes: Vec<u8> = wave.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut whole = Decoder::new(Some(Encoding::Linear16k));
        let mut pieces = Decoder::new(Some(Encoding::Linear16k));
        let expected = whole.decode(&bytes).expect("even");
        let got: Vec<i16> = bytes.chunks(66).flat_map(|piece| pieces.decode(piece).expect("even")).collect();
        assert_eq!(got, expected);
        assert_eq!(got.len(), 799);
        assert!(got.iter().zip(wave.iter().skip(1).step_by(2)).all(|(a, b)| a.abs_diff(*b) < 40));
    }

    #[test]
    fn half_a_sample_and_undeclared_audio_cannot_be_decoded() {
        assert_eq!(Decoder::new(Some(Encoding::Linear8k)).decode(&[1, 2, 3]), Err(Undecodable));
        assert_eq!(Decoder::new(None).decode(&[1, 2]), Err(Undecodable));
    }
}
