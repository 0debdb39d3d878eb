//! CORE: a stream of bytes in any format to the linear samples that detectors work on.

use super::{Encoding, Format, decimate::Decimator, mulaw};

/// Decodes one direction of a call to samples of 16 bits at 8 kHz.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    decimator: Option<Decimator>,
    /// The first byte of a sample whose second one did not come yet.
    half: Option<u8>,
    samples: Vec<i16>,
}

impl Decoder {
    /// For audio in this format.
    pub fn new(format: Format) -> Self {
        let factor = format.sample_rate_hz() as usize / 8_000;
        let decimator = (factor > 1).then(|| Decimator::new(factor));
        Self { format, decimator, half: None, samples: Vec::new() }
    }

    /// The samples of the stream's next bytes, of any number.
    pub fn decode(&mut self, audio: &[u8]) -> &[i16] {
        self.samples.clear();
        match self.format.encoding() {
            Encoding::Mulaw => {
                self.samples.extend(audio.iter().map(|code| mulaw::DECODED[usize::from(*code)]));
            }
            Encoding::PcmS16le => self.decode_pcm(audio),
        }
        &self.samples
    }

    fn decode_pcm(&mut self, mut audio: &[u8]) {
        if let (Some(low), Some((high, rest))) = (self.half, audio.split_first()) {
            self.half = None;
            self.sample([low, *high]);
            audio = rest;
        }
        let (pairs, odd) = audio.as_chunks::<2>();
        pairs.iter().for_each(|pair| self.sample(*pair));
        self.half = odd.first().copied().or(self.half);
        if let Some(decimator) = &mut self.decimator {
            decimator.drain(&mut self.samples);
        }
    }

    fn sample(&mut self, bytes: [u8; 2]) {
        let sample = i16::from_le_bytes(bytes);
        match &mut self.decimator {
            Some(decimator) => decimator.push(sample),
            None => self.samples.push(sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_gives_8_samples_a_millisecond_however_it_is_cut() {
        for (format, second) in [
            (Format::MULAW_8K, 8_000),
            (Format::PCM_8K, 16_000),
            (Format::PCM_16K, 32_000),
            (Format::PCM_24K, 48_000),
        ] {
            let audio: Vec<u8> = (0..second).map(|n| (n * 37 % 251) as u8).collect();
            let whole = Decoder::new(format).decode(&audio).to_vec();
            assert_eq!(whole.len(), 8_000);
            for piece in [1, 3, 320, 1_601] {
                let mut decoder = Decoder::new(format);
                let pieces: Vec<i16> =
                    audio.chunks(piece).flat_map(|piece| decoder.decode(piece).to_vec()).collect();
                assert_eq!(pieces, whole, "{format:?} in {piece}");
            }
        }
    }

    #[test]
    fn pcm_is_little_endian() {
        assert_eq!(Decoder::new(Format::PCM_8K).decode(&[0x34, 0x12, 0xFF, 0xFF]), [0x1234, -1]);
        assert_eq!(Decoder::new(Format::MULAW_8K).decode(&[0xFF, 0x80]), [0, 32_124]);
    }
}
