//! CORE: from the reply's text to the audio of its takes.

use std::time::Instant;

use proto::types::v1::EndReason;

use super::{Input, Output, Pipeline, RETAKES_MAX, STALL};
use crate::tts::Take;

impl Pipeline {
    /// Inputs that are about a reply; those of a stale epoch or take are dropped.
    pub(super) fn reply_input(&mut self, input: Input, now: Instant) {
        match input {
            Input::Segment { epoch, text } if self.is_current(epoch) => self.segment(text, now),
            Input::ReplyDone { epoch, end_call } if self.is_current(epoch) => {
                if end_call {
                    self.ending = Some(EndReason::AgentHangup);
                }
                self.text_done(now);
            }
            Input::ReplyFailed { epoch, apology, detail, fatal } if self.is_current(epoch) => {
                self.vendor_fault("anthropic", detail, now);
                if fatal {
                    self.ending = Some(EndReason::LlmFailed);
                }
                self.segment(apology, now);
                self.text_done(now);
            }
            Input::FirstToken { epoch } => {
                if let Some(stamps) = self.stamps(epoch) {
                    stamps.first_token.get_or_insert(now);
                }
                self.progress(epoch, now);
            }
            Input::SpeechAudio { take, payload } if self.is_take(take) => {
                if let Some(stamps) = self.stamps(take.epoch) {
                    stamps.first_audio_byte.get_or_insert(now);
                }
                self.progress(take.epoch, now);
                self.playout.audio(take.epoch, &payload, now);
            }
            Input::SpeechWords { take, words } if self.is_take(take) => {
                self.playout.words(take.epoch, &words)
            }
            Input::SpeechDone { take } if self.is_take(take) => self.take_done(take.epoch, now),
            Input::SpeechLost { take, detail } if self.is_take(take) => self.take_lost(detail, now),
            _ => {}
        }
    }

    fn is_current(&self, epoch: i64) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.epoch == epoch && !reply.text_done)
    }

    fn is_take(&self, take: Take) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.current() == take)
    }

    fn segment(&mut self, text: String, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        if !reply.has_text {
            reply.has_text = true;
            reply.take_open = true;
            self.playout.begin(reply.epoch);
            if let Some(stamps) = &mut reply.stamps {
                stamps.first_segment = Some(now);
            }
        } else if !reply.take_open {
            // The vendor ended the take while the model was thinking: the reply goes on in a new one.
            reply.take += 1;
            reply.take_open = true;
            self.playout.next_take(reply.epoch);
        }
        let (epoch, take) = (reply.epoch, reply.current());
        self.playout.text(epoch, &text);
        self.outputs.push_back(Output::Speak { take, text });
        self.progress(epoch, now);
    }

    fn text_done(&mut self, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        reply.text_done = true;
        let (epoch, take) = (reply.epoch, reply.current());
        if reply.take_open {
            self.outputs.push_back(Output::SpeakEnd { take });
            return;
        }
        reply.stall_at = None;
        if !reply.has_text {
            self.playout.begin(epoch);
        }
        self.playout.complete(epoch, now);
    }

    fn take_done(&mut self, epoch: i64, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        reply.take_open = false;
        if reply.text_done && !self.playout.has_audio(epoch) {
            // Words without a sound were not said.
            return self.take_lost("the vendor gave no audio".to_owned(), now);
        }
        let Some(reply) = &mut self.reply else { return };
        if reply.text_done {
            reply.stall_at = None;
            self.playout.complete(epoch, now);
        }
    }

    fn take_lost(&mut self, detail: String, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        reply.retakes += 1;
        if reply.retakes > RETAKES_MAX {
            return self.fail("cartesia", detail, EndReason::TtsFailed, now);
        }
        let epoch = reply.epoch;
        let text_done = reply.text_done;
        reply.take += 1;
        let take = reply.current();
        let rest = self.playout.retake(epoch).unwrap_or_default();
        self.vendor_fault("cartesia", detail, now);
        if rest.is_empty() {
            self.take_done(epoch, now);
        } else {
            if let Some(reply) = &mut self.reply {
                reply.take_open = true;
            }
            self.outputs.push_back(Output::Speak { take, text: rest });
            if text_done {
                self.outputs.push_back(Output::SpeakEnd { take });
            }
            self.progress(epoch, now);
        }
    }

    /// The reply is alive: it may take as long again, from the end of what is being heard.
    fn progress(&mut self, epoch: i64, now: Instant) {
        let end = self.playout.play_end_at().map_or(now, |end| end.max(now));
        if let Some(reply) = self.reply.as_mut().filter(|reply| reply.epoch == epoch) {
            reply.stall_at = Some(end + STALL);
        }
    }
}
