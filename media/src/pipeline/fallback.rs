//! CORE: what happens when a vendor of the call cannot be had.

use std::time::Instant;

use proto::types::v1::EndReason;

use super::{Output, Pipeline};
use crate::turn;

impl Pipeline {
    /// Whoever stands in hears what nobody has heard, and listens for the rest of the call; or the call ends.
    pub(super) fn stt_unavailable(&mut self, detail: String, now: Instant) {
        let vendor = self.languages.stt_vendor().name();
        let Some((fallback, decides)) = self.languages.stt_falls_back() else {
            return self.fail(vendor, detail, EndReason::SttFailed, now);
        };
        self.vendor_replaced(vendor, detail, fallback.name(), now);
        self.outputs.push_back(Output::FallBackListening);
        self.turn.transcriber_decides(decides);
        let patience = self.patience();
        self.turn.handle(turn::Input::TranscriberLost { patience }, now);
    }

    /// Whoever stands in speaks for the rest of the call, what was not said of the reply first; or the call ends.
    pub(super) fn tts_unavailable(&mut self, detail: String, now: Instant) {
        let vendor = self.languages.tts_vendor().name();
        let Some(fallback) = self.languages.tts_falls_back() else {
            return self.fail(vendor, detail, EndReason::TtsFailed, now);
        };
        self.vendor_replaced(vendor, detail, fallback.name(), now);
        self.outputs.push_back(Output::FallBackVoice);
        let Some(reply) = &mut self.reply else { return };
        (reply.retakes, reply.retake_at) = (0, None);
        if reply.take_open && !reply.paused {
            self.retake(now);
        }
    }
}
