//! G.711 mu-law, the sound of the telephone network.

/// The code of silence.
pub const SILENCE: u8 = 0xFF;

/// The sample that each of the 256 codes stands for.
pub const DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = decode(code as u8);
        code += 1;
    }
    table
};

const fn decode(code: u8) -> i16 {
    // Codes are stored inverted; the bias of 132 makes every segment start at a power of two.
    let code = !code as i16;
    let magnitude = ((((code & 0x0f) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::DECODED;

    #[test]
    fn codes_stand_for_the_samples_of_the_standard() {
        let table = [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xfe, 8),
            (0x7e, -8),
            (0xf0, 120),
            (0xef, 132),
        ];
        for (code, sample) in table {
            assert_eq!(DECODED[code], sample, "code {code:#x}");
        }
    }
}
