//! G.711 mu-law, the only sound a Twilio stream carries.

/// The byte of silence.
pub const SILENCE: u8 = 0xFF;

/// Samples (and bytes) a second.
pub const RATE_HZ: u32 = 8_000;

/// Samples of a 20 ms frame.
pub const FRAME_SAMPLES: usize = 160;

const DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = expand(byte as u8);
        byte += 1;
    }
    table
};

/// The 16-bit sample of a byte.
pub fn decode(byte: u8) -> i16 {
    DECODED[usize::from(byte)]
}

/// The byte nearest to a 16-bit sample.
pub fn encode(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + BIAS;
    let exponent = magnitude.ilog2() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
    // The lowest 7 bits hold exponent and mantissa: both fit by the limit above.
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

const fn expand(byte: u8) -> i16 {
    let bits = !byte;
    let exponent = (bits >> 4) & 0x07;
    let mantissa = (bits & 0x0F) as i32;
    let magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    (if bits & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_but_negative_zero_survives_a_round_trip() {
        for byte in 0..=255 {
            let expected = if byte == 0x7F { SILENCE } else { byte };
            assert_eq!(encode(decode(byte)), expected, "{byte:#04x}");
        }
    }

    #[test]
    fn known_points_of_g711() {
        assert_eq!((decode(0xFF), decode(0x80), decode(0x00)), (0, 32_124, -32_124));
        assert_eq!((encode(0), encode(i16::MAX), encode(i16::MIN)), (0xFF, 0x80, 0x00));
    }
}
