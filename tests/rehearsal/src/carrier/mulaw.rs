//! Mu-law at 8 kHz, the only sound a Twilio stream carries.

pub use crate::speech::mulaw::{decode, encode};

/// The byte of silence.
pub const SILENCE: u8 = 0xFF;

/// Samples (and bytes) a second.
pub const RATE_HZ: u32 = 8_000;

/// Samples of a 20 ms frame.
pub const FRAME_SAMPLES: usize = 160;
