//! Sound that says which word it is. Every eight bytes of mu-law (1 ms) name the word that they belong to, at any
//! loudness, so that what a party got can be read off the bytes alone, whoever cut or joined them on the way.
//!
//! The first byte of such a cell is a positive sample, the seven others are negative; four bits of each carry the
//! word's number and the place in the word, the exponent carries the loudness.

use bytes::{Bytes, BytesMut};

/// Bytes of a cell: one millisecond.
pub const CELL: usize = 8;
/// Bytes of a frame: 20 ms.
pub const FRAME: usize = 160;
/// mu-law of zero.
pub const SILENCE: u8 = 0xFF;

/// A cell that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The number of the word.
    pub word: u32,
    /// Milliseconds from the start of the word.
    pub place: u32,
}

const PLACE_BITS: u32 = 12;

/// A cell of this word at this loudness: an exponent of mu-law from 1 (soft) to 7.
pub fn cell(word: u32, place: u32, loud: u8) -> [u8; CELL] {
    let bits = (word << PLACE_BITS) | (place & ((1 << PLACE_BITS) - 1));
    std::array::from_fn(|n| {
        let nibble = ((bits >> (28 - 4 * n as u32)) & 0xF) as u8;
        let sign = if n == 0 { 0x80 } else { 0 };
        // mu-law is written with all bits inverted but the sign, which is 1 for a positive sample.
        sign | ((!((loud << 4) | nibble)) & 0x7F)
    })
}

/// `ms` milliseconds of a word; its loudness rises and falls with the place.
pub fn spoken(word: u32, ms: u32, loud: u8) -> Bytes {
    let mut sound = BytesMut::with_capacity(ms as usize * CELL);
    for place in 0..ms {
        let wave = match (place / 20 + word) % 5 {
            0 => 2,
            1 | 4 => 1,
            _ => 0,
        };
        sound.extend_from_slice(&cell(word, place, loud.saturating_sub(wave).max(1)));
    }
    sound.freeze()
}

/// Reads cells off a stream of bytes that may begin and break off anywhere.
#[derive(Default)]
pub struct Reader {
    open: Vec<u8>,
}

impl Reader {
    /// True outside of a cell.
    pub fn is_between(&self) -> bool {
        self.open.is_empty()
    }

    /// The cells that these bytes complete.
    pub fn read(&mut self, bytes: &[u8], mut found: impl FnMut(Cell)) {
        for &byte in bytes {
            let begins = byte & 0x80 != 0;
            if begins {
                self.open.clear();
                if byte == SILENCE {
                    continue;
                }
            } else if self.open.is_empty() {
                continue;
            }
            self.open.push(byte);
            if self.open.len() == CELL {
                let bits = self.open.iter().fold(0u32, |bits, byte| (bits << 4) | u32::from(!byte & 0xF));
                found(Cell { word: bits >> PLACE_BITS, place: bits & ((1 << PLACE_BITS) - 1) });
                self.open.clear();
            }
        }
    }
}

/// The first cell of some bytes.
pub fn first_cell(bytes: &[u8]) -> Option<Cell> {
    let mut first = None;
    Reader::default().read(bytes.get(..CELL)?, |cell| first = Some(cell));
    first
}

/// How loud the first byte is, as an exponent of mu-law.
pub fn loudness(byte: u8) -> u8 {
    (!byte >> 4) & 0x7
}
