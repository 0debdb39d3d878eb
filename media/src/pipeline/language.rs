//! CORE: the language of a call: who changes it, and what changes with it.

use std::time::Instant;

use proto::types::v1::{LanguageChanged, call_event::Event};

use super::{Input, Output, Pipeline};
use crate::{language::Follower, stt, tts};

/// One of the agent's languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Language {
    /// BCP 47.
    pub tag: String,
    /// Who listens in it, for reports of its faults.
    pub stt_vendor: stt::Vendor,
    /// Its transcriber decides turns.
    pub transcriber_decides: bool,
    /// Who speaks in it, for reports of its faults.
    pub tts_vendor: tts::Vendor,
    /// Who listens where that one cannot be had, and whether that transcriber decides turns.
    pub stt_fallback: Option<(stt::Vendor, bool)>,
    /// Who speaks where that one cannot be had.
    pub tts_fallback: Option<tts::Vendor>,
}

/// The agent's languages, and where the call is among them.
#[derive(Debug)]
pub struct Languages {
    all: Vec<Language>,
    follower: Follower,
    /// What is synthesised at the moment.
    voice: usize,
}

impl Languages {
    /// The first of them is spoken.
    pub fn new(all: &[Language]) -> Self {
        let tags = all.iter().map(|language| language.tag.clone()).collect();
        Self { all: all.to_vec(), follower: Follower::new(tags), voice: 0 }
    }

    /// The place of the one that is spoken.
    pub fn current(&self) -> usize {
        self.follower.current()
    }

    /// Who listens.
    pub fn stt_vendor(&self) -> stt::Vendor {
        self.all[self.current()].stt_vendor
    }

    /// Who speaks what is synthesised at the moment.
    pub fn tts_vendor(&self) -> tts::Vendor {
        self.all[self.voice].tts_vendor
    }

    /// Whoever stands in for the vendor that listens does so from here on, in all languages. `None`: nobody does.
    pub fn stt_falls_back(&mut self) -> Option<(stt::Vendor, bool)> {
        let (current, vendor) = (self.current(), self.stt_vendor());
        self.all[current].stt_fallback?;
        for language in self.all.iter_mut().filter(|language| language.stt_vendor == vendor) {
            if let Some((vendor, decides)) = language.stt_fallback.take() {
                (language.stt_vendor, language.transcriber_decides) = (vendor, decides);
            }
        }
        Some((self.all[current].stt_vendor, self.all[current].transcriber_decides))
    }

    /// The same for the vendor that speaks.
    pub fn tts_falls_back(&mut self) -> Option<tts::Vendor> {
        let vendor = self.tts_vendor();
        self.all[self.voice].tts_fallback?;
        for language in self.all.iter_mut().filter(|language| language.tts_vendor == vendor) {
            if let Some(vendor) = language.tts_fallback.take() {
                language.tts_vendor = vendor;
            }
        }
        Some(self.tts_vendor())
    }

    /// Somebody stands in for the vendor that speaks.
    pub fn has_tts_fallback(&self) -> bool {
        self.all[self.voice].tts_fallback.is_some()
    }

    /// The language to answer a turn in, which is not certain and changes nothing.
    pub fn would_answer(&self, text: &str) -> usize {
        let mut follower = self.follower.clone();
        follower.turn(text).unwrap_or(follower.current())
    }
}

impl Pipeline {
    /// Words that come in may be in another language: whoever speaks it gets ready, and what they say about the turn's end
    /// is told by that language.
    pub(super) fn suspect(&mut self, input: &Input) {
        let text = match input {
            Input::Transcript(transcript) => &transcript.text,
            Input::EndOfTurn { text, .. } | Input::LikelyEndOfTurn { text, .. } => text,
            _ => return,
        };
        if text.trim().is_empty() {
            return;
        }
        let suspected = self.languages.follower.suspects(text);
        if let Some(language) = suspected {
            self.outputs.push_back(Output::Prepare { language });
        }
        let language = suspected.unwrap_or(self.languages.current());
        self.turn.words_are_in(&self.languages.all[language].tag);
    }

    /// The caller's turn is certain.
    pub(super) fn follow(&mut self, text: &str, now: Instant) {
        if !self.ending.is_final
            && let Some(language) = self.languages.follower.turn(text)
        {
            self.changed(language, now);
        }
    }

    /// The model goes on in another language: from its next segment on.
    pub(super) fn switch(&mut self, tag: &str, now: Instant) {
        let Some(language) = self.languages.follower.switch(tag) else { return };
        self.changed(language, now);
        let Some(reply) = &mut self.reply else { return };
        reply.language = language;
        if reply.take_open && !reply.paused && !reply.take_is_last {
            reply.take_is_last = true;
            let take = reply.current();
            self.outputs.push_back(Output::SpeakEnd { take });
        }
    }

    fn changed(&mut self, language: usize, now: Instant) {
        let Language { tag, transcriber_decides, .. } = &self.languages.all[language];
        self.turn.words_are_in(tag);
        self.turn.transcriber_decides(*transcriber_decides);
        let event = LanguageChanged { language: tag.clone() };
        self.outputs.push_back(Output::Listen { language });
        self.event(Event::LanguageChanged(event), now);
    }

    /// Synthesises in the language of the reply's present take.
    pub(super) fn speak_in(&mut self, language: usize) {
        if std::mem::replace(&mut self.languages.voice, language) != language {
            self.outputs.push_back(Output::Voice { language });
        }
    }
}
