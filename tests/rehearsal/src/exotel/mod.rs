//! Exotel's side of a call: a flow whose Voicebot applet asks for the URL of a media stream, dials it, and whose Passthru
//! applet asks what comes after it. [`crate::carrier`] is the rest of it.

pub mod audio;
pub(crate) mod flow;
pub mod rest;
pub mod wire;

#[cfg(test)]
pub(crate) mod tests;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The number of the demo's agent.
pub const DEMO_NUMBER: &str = "+918047100100";
/// Who calls it.
pub const DEMO_CALLER: &str = "+919812345678";

/// What is not certain about the vendor, or rare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The caller's sound in one message: 20, 40 or 100 ms.
    pub frame_ms: u32,
    /// Whether a `clear` gives back the marks that were not reached.
    pub marks_return_on_clear: bool,
    /// The first handshake fails after the upgrade, and is tried again.
    pub first_handshake_fails: bool,
    /// The flow has a Connect applet between its Passthru and its Voicebot applet.
    pub connects: bool,
    /// How names and numbers are written; `None`: by the seed of the call's link.
    pub style: Option<Style>,
}

/// How a stream writes what the vendor's documents disagree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// `streamSid` and not `stream_sid`.
    pub camel: bool,
    /// Numbers are strings.
    pub text_numbers: bool,
    /// The name of the encoding.
    pub encoding: &'static str,
    /// What stands behind the rate in `start`, or no rate at all.
    pub rate_unit: Option<&'static str>,
}

impl Style {
    /// One of those there are.
    pub fn of(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        Self {
            camel: dice.random_ratio(1, 4),
            text_numbers: dice.random(),
            encoding: ["raw/slin", "audio/x-raw", "raw", "base64"][dice.random_range(0..4)],
            rate_unit: [Some(""), Some("Hz"), None][dice.random_range(0..3)],
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frame_ms: 100,
            marks_return_on_clear: true,
            first_handshake_fails: false,
            connects: false,
            style: None,
        }
    }
}
