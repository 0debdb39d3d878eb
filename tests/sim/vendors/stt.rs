//! A transcriber: hears words in the bytes that it is sent, as Nova does (interims, finals, the end of an utterance) or
//! as Flux does (turns). Sometimes late, sometimes saying things twice or never, sometimes cut off for a while.

use std::time::Duration;

use media::{pipeline::Input, stt::Transcript};

use crate::{
    chance::Chance,
    hub::{Event, Hub, Line},
    plan::Plan,
    sound::{self, CELL, FRAME},
};

/// A pause that makes Nova settle what it has.
const ENDPOINTING: Duration = Duration::from_millis(300);
/// A pause that makes Nova say so.
const UTTERANCE_END: Duration = Duration::from_millis(1000);
/// How often words that are not settled are told, and how long they may stay so.
const INTERIM_EVERY: Duration = Duration::from_millis(300);
const SETTLE_EVERY: Duration = Duration::from_millis(4_000);

/// The longest word.
const WORD: Duration = Duration::from_millis(500);
/// How much faster than it was spoken the audio is sent that a lost socket did not hear.
const REPLAY_RATE: f64 = 1.25;

/// The word that is being heard.
struct Hearing {
    sound: u32,
    frames: u32,
    end: Duration,
}

/// The vendor.
pub struct Stt {
    chance: Chance,
    flux: bool,
    offset: Duration,
    hearing: Option<Hearing>,
    /// Words that are not settled (Nova), or of the turn so far (Flux).
    words: Vec<String>,
    first_word: Duration,
    last_word: Duration,
    told: (usize, Duration),
    utterance_open: bool,
    /// Flux: the likely end was told; how long it waits for it and for the end.
    likely: bool,
    waits: (Duration, Duration),
    /// No socket until then; what was heard meanwhile.
    away: Option<Duration>,
    kept: Vec<(u32, Duration)>,
    finalize_kept: bool,
    /// Where the settled audio ends.
    settled: Duration,
    /// When the socket came back, and where the audio began that it had to hear again.
    replay: Option<(Duration, Duration)>,
}

impl Stt {
    /// Hears nothing yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            chance: Chance::new(plan.seed, 8),
            flux: plan.flux,
            offset: Duration::ZERO,
            hearing: None,
            words: Vec::new(),
            first_word: Duration::ZERO,
            last_word: Duration::ZERO,
            told: (0, Duration::ZERO),
            utterance_open: false,
            likely: false,
            waits: (Duration::from_millis(300), Duration::from_millis(800)),
            away: None,
            kept: Vec::new(),
            finalize_kept: false,
            settled: Duration::ZERO,
            replay: None,
        }
    }

    /// More audio, which ends at `end`.
    pub fn audio(&mut self, audio: &[u8], end: Duration, hub: &mut Hub) {
        let begin = end.saturating_sub(Duration::from_micros(audio.len() as u64 * 125));
        for (n, frame) in audio.chunks(FRAME).enumerate() {
            let at = begin + Duration::from_millis(20) * (n as u32 + 1);
            let word = sound::first_cell(frame).map_or(u32::MAX, |cell| cell.word);
            self.frame(word, at, hub);
        }
        debug_assert_eq!(CELL * 20, FRAME);
    }

    fn frame(&mut self, word: u32, at: Duration, hub: &mut Hub) {
        if let Some(back) = self.away {
            self.kept.push((word, at));
            if hub.now >= back {
                self.come_back(hub);
            }
            return;
        }
        if self.chance.happens(hub.plan.often(0.0, 0.0003, 0.001)) {
            self.away = Some(hub.now + self.chance.ms(200, 4_000));
            if std::mem::take(&mut self.likely) {
                self.tell(Input::TurnResumed, hub);
            }
            // One that is lost again while it is behind is still behind.
            if self.replay.is_none() {
                hub.send_after(
                    Line::Stt,
                    Duration::from_millis(1),
                    Event::Media(Input::SttLost("lost".into())),
                );
            }
            self.kept.push((word, at));
            return;
        }
        self.hear(word, at, hub);
        if self.flux {
            self.flux(hub)
        } else {
            self.nova(hub)
        }
        if self.replay.is_some() && self.behind(hub).is_zero() {
            self.replay = None;
            hub.send_after(Line::Stt, Duration::from_millis(1), Event::Media(Input::SttCaughtUp));
        }
    }

    /// The socket is back, and hears again what was not settled.
    fn come_back(&mut self, hub: &mut Hub) {
        self.away = None;
        let kept = std::mem::take(&mut self.kept);
        let from = kept.first().map_or(self.offset, |(_, at)| *at);
        let unsettled = self.first_word.saturating_sub(WORD).max(self.settled);
        let from = if self.words.is_empty() { from } else { from.min(unsettled) };
        self.replay = Some((hub.now, from));
        for (word, at) in kept {
            self.hear(word, at, hub);
            if self.flux { self.flux(hub) } else { self.nova(hub) }
        }
        if std::mem::take(&mut self.finalize_kept) {
            self.settle(true, hub);
        }
    }

    /// How far behind it hears: what it missed is sent to it at [`REPLAY_RATE`].
    fn behind(&self, hub: &Hub) -> Duration {
        let Some((back, from)) = self.replay else { return Duration::ZERO };
        (back + self.offset.saturating_sub(from).div_f64(REPLAY_RATE)).saturating_sub(hub.now)
    }

    fn hear(&mut self, word: u32, at: Duration, hub: &mut Hub) {
        self.offset = at;
        let is_word = hub.truth.sound_of(word).is_some_and(|sound| sound.text.is_some());
        match &mut self.hearing {
            Some(hearing) if hearing.sound == word => {
                hearing.frames += 1;
                hearing.end = at;
                return;
            }
            _ => {}
        }
        if let Some(hearing) = self.hearing.take()
            && hearing.frames >= 3
            && let Some(text) = hub.truth.sound_of(hearing.sound).and_then(|sound| sound.text.clone())
            && !self.chance.happens(hub.plan.often(0.0, 0.005, 0.02))
        {
            if self.words.is_empty() {
                self.first_word = hearing.end;
            }
            self.words.push(text);
            self.last_word = hearing.end;
            self.utterance_open = true;
        }
        self.hearing = is_word.then_some(Hearing { sound: word, frames: 1, end: at });
    }

    fn tell(&mut self, input: Input, hub: &mut Hub) {
        let late = hub.plan.often(0.002, 0.01, 0.03);
        let delay =
            if self.chance.happens(late) { self.chance.ms(500, 2_500) } else { self.chance.ms(60, 220) };
        let delay = delay + self.behind(hub);
        hub.send_after(Line::Stt, delay, Event::Media(input));
    }

    fn text(&self) -> String {
        self.words.join(" ")
    }

    /// Silent for so long, by what it heard.
    fn quiet(&self) -> Duration {
        if self.hearing.is_some() { Duration::ZERO } else { self.offset.saturating_sub(self.last_word) }
    }

    fn nova(&mut self, hub: &mut Hub) {
        if self.words.is_empty() {
            if self.utterance_open && self.quiet() >= UTTERANCE_END {
                self.utterance_open = false;
                self.tell(Input::UtteranceEnd, hub);
            }
            return;
        }
        if self.quiet() >= ENDPOINTING {
            self.settle(true, hub);
        } else if self.offset.saturating_sub(self.first_word) >= SETTLE_EVERY {
            self.settle(false, hub);
        } else if self.words.len() != self.told.0 && self.offset >= self.told.1 + INTERIM_EVERY {
            self.told = (self.words.len(), self.offset);
            let (text, end) = (self.text(), self.last_word);
            let interim = Transcript { text, is_final: false, utterance_over: false, end };
            self.tell(Input::Transcript(interim), hub);
        }
    }

    /// What it has is settled.
    fn settle(&mut self, utterance_over: bool, hub: &mut Hub) {
        let text = self.text();
        self.words.clear();
        self.settled = self.offset;
        self.told = (0, self.offset);
        let settled = Transcript { text, is_final: true, utterance_over, end: self.offset };
        if !settled.text.is_empty() && self.chance.happens(hub.plan.often(0.0, 0.004, 0.02)) {
            hub.counts.missing_finals += 1;
            return;
        }
        if self.chance.happens(hub.plan.often(0.0, 0.01, 0.03)) {
            self.tell(Input::Transcript(settled.clone()), hub);
        }
        self.tell(Input::Transcript(settled), hub);
    }

    /// Media asks for what it has.
    pub fn finalize(&mut self, hub: &mut Hub) {
        if self.flux {
            return;
        }
        if self.away.is_some() {
            self.finalize_kept = true;
            return;
        }
        // The last word is heard to its end.
        self.hear(u32::MAX, self.offset, hub);
        self.settle(true, hub);
    }

    fn flux(&mut self, hub: &mut Hub) {
        if self.words.is_empty() {
            return;
        }
        let (text, end) = (self.text(), self.offset);
        if self.words.len() != self.told.0 && (self.likely || self.offset >= self.told.1 + INTERIM_EVERY) {
            self.told = (self.words.len(), self.offset);
            self.waits = (self.chance.ms(200, 450), self.chance.ms(450, 1_400));
            if std::mem::take(&mut self.likely) {
                self.tell(Input::TurnResumed, hub);
            }
            let update = Transcript { text, is_final: false, utterance_over: false, end };
            self.tell(Input::Transcript(update), hub);
        } else if self.quiet() >= self.waits.1 {
            self.words.clear();
            self.settled = self.offset;
            self.told = (0, self.offset);
            self.likely = false;
            self.tell(Input::EndOfTurn { text, end }, hub);
        } else if self.quiet() >= self.waits.0 && !self.likely {
            self.likely = true;
            self.told.0 = self.words.len();
            self.tell(Input::LikelyEndOfTurn { text, end }, hub);
        } else if self.likely && self.hearing.is_some() && self.quiet().is_zero() {
            self.likely = false;
            self.tell(Input::TurnResumed, hub);
        }
    }
}
