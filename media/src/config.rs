//! Settings of the role.

use std::time::Duration;

use url::Url;

use crate::vad;

/// Settings of the media role.
#[derive(Debug, Clone)]
pub struct Config {
    /// Deepgram's origin.
    pub deepgram_base_url: Url,
    /// Deepgram's model.
    pub deepgram_model: String,
    /// Cartesia's origin.
    pub cartesia_base_url: Url,
    /// How speech is detected.
    pub vad: vad::Config,
    /// Threads that detect it.
    pub vad_threads: usize,
    /// The longest a media stream may last.
    pub call_duration_max: Duration,
}
