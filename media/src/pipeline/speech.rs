//! CORE: from the reply's text to the audio of its takes.

use std::time::Instant;

use proto::types::v1::EndReason;

use super::{Input, Output, Pipeline, RETAKE_WAIT, RETAKES_MAX, RETAKES_MAX_WITH_FALLBACK, Reply, Then};
use crate::{
    playout::{Cut, Kind},
    tts::Take,
};

impl Pipeline {
    /// Inputs that are about a reply; those of a stale epoch or take are dropped.
    pub(super) fn reply_input(&mut self, input: Input, now: Instant) {
        match input {
            Input::Segment { epoch, text } if self.is_current(epoch) => self.segment(text, now),
            Input::ReplyDone { epoch, then } if self.is_current(epoch) => {
                if then.is_some() {
                    self.ending.then = then;
                }
                self.text_done(now);
            }
            Input::ReplyFailed { epoch, apology, detail, fatal } if self.is_current(epoch) => {
                self.vendor_fault("anthropic", detail, now);
                if fatal {
                    self.ending.then = Some(Then::HangUp(EndReason::LlmFailed));
                }
                self.segment(apology, now);
                self.text_done(now);
            }
            Input::Language { epoch, tag } if self.is_current(epoch) => self.switch(&tag, now),
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
                self.playout.audio(take.epoch, &payload, now);
                self.progress(take.epoch, now);
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
        self.reply.as_ref().is_some_and(|reply| reply.current() == take && !reply.paused)
    }

    pub(super) fn segment(&mut self, text: String, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        if reply.paused {
            reply.kept.push_str(&text);
            return;
        }
        let epoch = reply.epoch;
        if reply.take_open && reply.take_is_last {
            reply.next_text.push_str(&text);
            return;
        }
        if !reply.has_text {
            reply.has_text = true;
            reply.take_open = true;
            reply.take_language = reply.language;
            self.playout.begin(epoch, Kind::Reply);
            if reply.tentative.is_some() {
                self.playout.hold(epoch);
            }
            if let Some(stamps) = &mut reply.stamps {
                stamps.first_segment = Some(now);
            }
        } else if !reply.take_open {
            // The vendor ended the take while the model was thinking, or the language has changed: the reply goes on in a
            // new one.
            reply.take += 1;
            reply.take_open = true;
            (reply.take_language, reply.take_is_last) = (reply.language, false);
            self.playout.next_take(epoch);
        }
        let (take, language) = (reply.current(), reply.take_language);
        self.playout.text(epoch, &text);
        self.speak_in(language);
        self.outputs.push_back(Output::Speak { take, text });
        self.progress(epoch, now);
    }

    pub(super) fn text_done(&mut self, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        reply.text_done = true;
        if reply.paused {
            return;
        }
        let (epoch, take) = (reply.epoch, reply.current());
        if reply.take_open {
            if !reply.take_is_last {
                self.outputs.push_back(Output::SpeakEnd { take });
            }
            return;
        }
        reply.stall_at = None;
        if !reply.has_text {
            self.playout.begin(epoch, Kind::Reply);
        }
        self.playout.complete(epoch, now);
    }

    fn take_done(&mut self, epoch: i64, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        reply.take_open = false;
        if !reply.next_text.is_empty() {
            return self.speak_next_language(now);
        }
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

    /// The take in the language before is complete.
    fn speak_next_language(&mut self, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        let (text, text_done) = (std::mem::take(&mut reply.next_text), reply.text_done);
        self.segment(text, now);
        if text_done {
            self.text_done(now);
        }
    }

    fn take_lost(&mut self, detail: String, now: Instant) {
        let has_fallback = self.languages.has_tts_fallback();
        let retakes_max = if has_fallback { RETAKES_MAX_WITH_FALLBACK } else { RETAKES_MAX };
        let Some(reply) = &mut self.reply else { return };
        reply.retakes += 1;
        if reply.retakes > retakes_max {
            return self.tts_unavailable(detail, now);
        }
        let first = reply.retakes == 1;
        if !first {
            reply.retake_at = Some(now + RETAKE_WAIT * (reply.retakes - 1));
        }
        self.vendor_fault(self.languages.tts_vendor().name(), detail, now);
        if first {
            self.retake(now);
        }
    }

    /// Speaks again what did not arrive of the utterance that is being made.
    pub(super) fn retake(&mut self, now: Instant) {
        let Some(reply) = &self.reply else { return };
        let epoch = reply.epoch;
        let rest = self.playout.retake(epoch).unwrap_or_default();
        self.speak_in_new_take(epoch, rest, now);
    }

    /// Speaks what was not heard of an utterance that was cut for nothing.
    pub(super) fn speak_rest(&mut self, cut: Cut, now: Instant) {
        if self.reply.as_ref().is_none_or(|reply| reply.epoch != cut.epoch) {
            // A phrase: all of its text is known, and the rest is synthesised like a reply.
            let mut reply = Reply::new(cut.epoch, None, self.languages.current(), now);
            (reply.has_text, reply.text_done, reply.stamps) = (true, true, None);
            self.reply = Some(reply);
        }
        let Some(reply) = &mut self.reply else { return };
        let kept = std::mem::take(&mut reply.next_text) + &std::mem::take(&mut reply.kept);
        // A take speaks one language: what came after a switch waits for the rest.
        reply.take_is_last = reply.take_language != reply.language;
        let rest = if reply.take_is_last {
            reply.next_text = kept;
            cut.rest_text
        } else {
            match (cut.rest_text.is_empty(), kept.is_empty()) {
                (false, false) => format!("{} {kept}", cut.rest_text),
                (false, true) => cut.rest_text,
                (true, _) => kept,
            }
        };
        let epoch = cut.epoch;
        self.playout.begin_after(epoch, cut.kind, cut.heard_text);
        self.playout.text(epoch, &rest);
        self.speak_in_new_take(epoch, rest, now);
    }

    fn speak_in_new_take(&mut self, epoch: i64, text: String, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        reply.take += 1;
        let (take, language) = (reply.current(), reply.take_language);
        if text.is_empty() {
            reply.take_open = false;
            if !reply.next_text.is_empty() {
                self.speak_next_language(now);
            } else if reply.text_done {
                reply.stall_at = None;
                self.playout.complete(epoch, now);
            }
            return;
        }
        reply.take_open = true;
        let is_whole = reply.text_done || reply.take_is_last;
        self.speak_in(language);
        self.outputs.push_back(Output::Speak { take, text });
        if is_whole {
            self.outputs.push_back(Output::SpeakEnd { take });
        }
        self.progress(epoch, now);
    }

    /// The reply is alive: it may take as long again, from the end of what is being heard.
    pub(super) fn progress(&mut self, epoch: i64, now: Instant) {
        let end = self.playout.play_end_at().map_or(now, |end| end.max(now));
        let stall = self.stall();
        if let Some(reply) =
            self.reply.as_mut().filter(|reply| reply.epoch == epoch && reply.tentative.is_none())
        {
            reply.stall_at = Some(end + stall);
        }
    }
}
