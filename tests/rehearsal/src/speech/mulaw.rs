//! G.711 mu-law.

const BIAS: i32 = 0x84;
const CLIP: i32 = 32_635;

/// One sample to its byte.
pub fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let exponent = 24 - magnitude.leading_zeros() as i32;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
    !(sign | (exponent << 4) | mantissa) as u8
}

/// One byte to its sample.
pub fn decode(byte: u8) -> i16 {
    let byte = i32::from(!byte);
    let magnitude = ((((byte & 0x0F) << 3) + BIAS) << ((byte & 0x70) >> 4)) - BIAS;
    (if byte & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

/// Samples to bytes.
pub fn encode_all(samples: &[i16]) -> Vec<u8> {
    samples.iter().map(|sample| encode(*sample)).collect()
}

/// Bytes to samples.
pub fn decode_all(bytes: &[u8]) -> Vec<i16> {
    bytes.iter().map(|byte| decode(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_of_the_standard() {
        assert_eq!(encode(0), 0xFF);
        assert_eq!((decode(0xFF), decode(0x7F)), (0, 0));
        assert_eq!((decode(0x00), decode(0x80)), (-32124, 32124));
        assert_eq!((encode(i16::MAX), encode(i16::MIN)), (0x80, 0x00));
        assert_eq!((encode(1000), decode(encode(1000))), (0xCE, 988));
    }

    #[test]
    fn every_byte_survives_and_every_sample_comes_near() {
        for byte in 0..=255u8 {
            // 0x7F is minus zero, which encodes as plus zero.
            assert!(encode(decode(byte)) == byte || byte == 0x7F, "{byte:#x}");
        }
        for sample in (-32_635..32_635i16).step_by(7) {
            let error = (i32::from(decode(encode(sample))) - i32::from(sample)).abs();
            assert!(error <= 4.max(i32::from(sample).abs() / 16), "{sample}: {error}");
        }
    }
}
