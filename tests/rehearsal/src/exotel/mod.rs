//! Exotel's side of a call: a flow whose Voicebot applet asks for the URL of a media stream, dials it, and whose Passthru
//! applet asks what comes after it. [`crate::carrier`] is the rest of it.

pub mod audio;
pub(crate) mod flow;
pub mod wire;

#[cfg(test)]
mod tests;

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
}

impl Default for Settings {
    fn default() -> Self {
        Self { frame_ms: 100, marks_return_on_clear: true, first_handshake_fails: false }
    }
}
