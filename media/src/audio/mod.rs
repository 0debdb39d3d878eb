//! CORE: how audio is written. The format of a call is a value that flows with it: only this module knows encodings.

mod decimate;
mod decode;
pub mod mulaw;

use std::time::Duration;

use proto::types::v1::{AudioEncoding, AudioFormat};

pub use decode::Decoder;

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// G.711 mu-law, one byte a sample.
    Mulaw,
    /// Signed 16-bit little-endian PCM.
    PcmS16le,
}

impl Encoding {
    /// What most vendors call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mulaw => "mulaw",
            Self::PcmS16le => "linear16",
        }
    }
}

/// The format of both directions of a call. Always one channel; a millisecond is a whole number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    encoding: Encoding,
    sample_rate_hz: u32,
}

impl Default for Format {
    /// What the telephone network speaks.
    fn default() -> Self {
        Self::MULAW_8K
    }
}

impl Format {
    /// G.711 mu-law at 8 kHz.
    pub const MULAW_8K: Self = Self { encoding: Encoding::Mulaw, sample_rate_hz: 8_000 };
    /// Linear samples at 8 kHz.
    pub const PCM_8K: Self = Self { encoding: Encoding::PcmS16le, sample_rate_hz: 8_000 };
    /// Linear samples at 16 kHz.
    pub const PCM_16K: Self = Self { encoding: Encoding::PcmS16le, sample_rate_hz: 16_000 };
    /// Linear samples at 24 kHz.
    pub const PCM_24K: Self = Self { encoding: Encoding::PcmS16le, sample_rate_hz: 24_000 };

    /// The format that a gateway announces; `None` for one that no call has.
    pub fn of(wire: &AudioFormat) -> Option<Self> {
        match (wire.encoding(), wire.sample_rate_hz) {
            (AudioEncoding::Mulaw, 8_000) => Some(Self::MULAW_8K),
            (AudioEncoding::PcmS16le, 8_000) => Some(Self::PCM_8K),
            (AudioEncoding::PcmS16le, 16_000) => Some(Self::PCM_16K),
            (AudioEncoding::PcmS16le, 24_000) => Some(Self::PCM_24K),
            _ => None,
        }
    }

    /// How its samples are written.
    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    /// Samples a second: 8000, 16000 or 24000.
    pub fn sample_rate_hz(self) -> u32 {
        self.sample_rate_hz
    }

    /// Bytes of one sample.
    pub fn sample_bytes(self) -> usize {
        match self.encoding {
            Encoding::Mulaw => 1,
            Encoding::PcmS16le => 2,
        }
    }

    /// How long so many bytes play.
    pub fn duration_of(self, bytes: usize) -> Duration {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000) / self.bytes_a_second();
        Duration::from_nanos(nanos)
    }

    /// How many bytes so much audio takes, to the nearest whole sample.
    pub fn bytes_of(self, duration: Duration) -> usize {
        let samples = (duration.as_nanos() * u128::from(self.sample_rate_hz) + 500_000_000) / 1_000_000_000;
        usize::try_from(samples).unwrap_or(usize::MAX / 2).saturating_mul(self.sample_bytes())
    }

    /// The byte that silence is made of.
    pub fn silence(self) -> u8 {
        match self.encoding {
            Encoding::Mulaw => mulaw::SILENCE,
            Encoding::PcmS16le => 0,
        }
    }

    fn bytes_a_second(self) -> u64 {
        u64::from(self.sample_rate_hz) * self.sample_bytes() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Format; 4] = [Format::MULAW_8K, Format::PCM_8K, Format::PCM_16K, Format::PCM_24K];

    #[test]
    fn a_frame_has_the_bytes_of_its_format() {
        let frame = Duration::from_millis(20);
        assert_eq!(ALL.map(|format| format.bytes_of(frame)), [160, 320, 640, 960]);
        for format in ALL {
            assert_eq!(format.duration_of(format.bytes_of(frame)), frame);
            for samples in [1, 7, 1_000_003] {
                let bytes = samples * format.sample_bytes();
                assert_eq!(format.bytes_of(format.duration_of(bytes)), bytes, "there and back");
            }
            assert!(format.bytes_of(Duration::MAX) > 0, "and nothing overflows");
        }
    }

    #[test]
    fn what_a_gateway_announces_is_read_and_anything_else_is_not() {
        let wire = |encoding: AudioEncoding, sample_rate_hz| AudioFormat {
            encoding: encoding.into(),
            sample_rate_hz,
        };
        for format in ALL {
            let encoding = match format.encoding() {
                Encoding::Mulaw => AudioEncoding::Mulaw,
                Encoding::PcmS16le => AudioEncoding::PcmS16le,
            };
            let rate = i32::try_from(format.sample_rate_hz()).unwrap();
            assert_eq!(Format::of(&wire(encoding, rate)), Some(format));
        }
        assert_eq!(Format::of(&wire(AudioEncoding::Mulaw, 16_000)), None);
        assert_eq!(Format::of(&wire(AudioEncoding::PcmS16le, 44_100)), None);
        assert_eq!(Format::of(&AudioFormat::default()), None);
    }
}
