//! Settings of the role.

use std::time::Duration;

use url::Url;

use crate::{stt, tts, vad};

/// Settings of the media role.
#[derive(Debug, Clone)]
pub struct Config {
    /// Deepgram's origin.
    pub deepgram_base_url: Url,
    /// Deepgram's model.
    pub deepgram_model: String,
    /// Cartesia's origin.
    pub cartesia_base_url: Url,
    /// Sarvam's origin.
    pub sarvam_base_url: Url,
    /// How speech is detected.
    pub vad: vad::Config,
    /// Threads that detect it.
    pub vad_threads: usize,
    /// The longest a media stream may last.
    pub call_duration_max: Duration,
}

impl Config {
    /// The origin of who listens.
    pub(crate) fn stt_base_url(&self, vendor: stt::Vendor) -> &Url {
        match vendor {
            stt::Vendor::Deepgram => &self.deepgram_base_url,
            stt::Vendor::Sarvam => &self.sarvam_base_url,
        }
    }

    /// The origin of who speaks.
    pub(crate) fn tts_base_url(&self, vendor: tts::Vendor) -> &Url {
        match vendor {
            tts::Vendor::Cartesia => &self.cartesia_base_url,
            tts::Vendor::Sarvam => &self.sarvam_base_url,
        }
    }
}
