//! A synthesizer: faster than real time, in chunks, with word times or without; sometimes slow, stuck, or gone.

use std::{collections::BTreeMap, time::Duration};

use bytes::{Bytes, BytesMut};
use media::tts::{Command, Event as Told, Take, Word};

use crate::{
    chance::Chance,
    hub::{Event, Hub},
    mutations::Mutation,
    plan::Plan,
    sound::{self, CELL, SILENCE},
};

/// How loud it speaks, as an exponent of mu-law.
const LOUD: u8 = 5;
/// The vendor ends a take that has had no text for so long.
const IDLE: Duration = Duration::from_secs(4);
/// What was on the wire when a take was cancelled still comes.
const ON_THE_WIRE: Duration = Duration::from_millis(25);

/// Something that will come of a take unless it is over by then.
pub struct TtsEvent {
    take: Take,
    what: What,
}

enum What {
    Audio(Bytes),
    Words(Vec<Word>),
    Done,
    Lost,
    /// No text came since so many.
    Idle(u32),
}

#[derive(Default)]
struct State {
    done: bool,
    finished: bool,
    /// Cancelled or lost, and when.
    over: Option<Duration>,
    texts: u32,
    /// Milliseconds of audio.
    length: u32,
    /// When all that is under way will have come.
    ready: Duration,
}

/// The vendor.
pub struct Tts {
    chance: Chance,
    takes: BTreeMap<Take, State>,
    newest: Option<Take>,
    word_times: bool,
    /// How many times faster than real time.
    speed: u32,
}

impl Tts {
    /// No take was begun.
    pub fn new(plan: &Plan) -> Self {
        let mut chance = Chance::new(plan.seed, 6);
        let speed = chance.number(2, 8) as u32;
        Self { chance, takes: BTreeMap::new(), newest: None, word_times: plan.word_times, speed }
    }

    /// Speaks a text: its audio, and the words' times if the vendor gives them.
    pub fn speak(&mut self, text: &str, hub: &mut Hub) -> (Bytes, Vec<Word>) {
        let mut audio = BytesMut::new();
        let mut times = Vec::new();
        for word in text.split_whitespace() {
            // Fourteen letters a second.
            let letters = word.chars().filter(|c| c.is_alphanumeric()).count() as u64;
            let spread = if self.word_times { self.chance.number(800, 1250) } else { 1000 };
            let length = (letters * spread / 14).max(120) as u32;
            let id = hub.truth.agent_word(word, length);
            audio.extend_from_slice(&sound::spoken(id, length, LOUD));
            let end = Duration::from_millis(audio.len() as u64 / CELL as u64);
            times.push(Word { text: word.to_owned(), end });
            if self.word_times && word.ends_with(['.', ',', '?']) {
                let pause = self.chance.number(40, 200) as usize;
                audio.resize(audio.len() + pause * CELL, SILENCE);
            }
        }
        if !self.word_times {
            times.clear();
        }
        (audio.freeze(), times)
    }

    /// Media wants something.
    pub fn command(&mut self, command: Command, hub: &mut Hub) {
        match command {
            Command::Speak { take, text } => self.text(take, &text, hub),
            Command::Finish { take } => {
                let Some(state) = self.takes.get_mut(&take).filter(|s| s.over.is_none() && !s.done) else {
                    return;
                };
                state.finished = true;
                let at = state.ready.max(hub.now) + Duration::from_millis(5);
                self.later(at, take, What::Done, hub);
            }
            Command::Cancel { take } => {
                self.takes.entry(take).or_default().over.get_or_insert(hub.now);
            }
        }
    }

    fn later(&self, at: Duration, take: Take, what: What, hub: &mut Hub) {
        hub.at(at, Event::Tts(TtsEvent { take, what }));
    }

    fn text(&mut self, take: Take, text: &str, hub: &mut Hub) {
        self.newest = self.newest.max(Some(take));
        let before = self.takes.entry(take).or_default();
        if before.over.is_some() {
            return;
        }
        if before.done {
            return self.later(hub.now + Duration::from_millis(1), take, What::Lost, hub);
        }
        if take.number > 0 && before.texts == 0 {
            hub.truth.spoken_again(text);
        }
        let (audio, words) = self.speak(text, hub);
        let slow = hub.plan.often(0.005, 0.04, 0.1);
        let first =
            if self.chance.happens(slow) { self.chance.ms(800, 3_500) } else { self.chance.ms(60, 300) };
        let Some(state) = self.takes.get_mut(&take) else { return };
        state.texts += 1;
        let base = Duration::from_millis(u64::from(state.length));
        state.length += (audio.len() / CELL) as u32;
        let mut at = state.ready.max(hub.now + first);
        let texts = state.texts;
        let words = words.into_iter().map(|word| Word { end: base + word.end, ..word }).collect::<Vec<_>>();
        let words_first = self.chance.happens(0.5);
        let lost = hub.plan.often(0.0, 0.02, 0.06);
        let stuck = hub.plan.often(0.0, 0.01, 0.03);
        let (mut rest, mut position) = (audio, base);
        let mut words = words.into_iter().peekable();
        while !rest.is_empty() {
            let length = self.chance.number(40, 400) as usize * CELL;
            let chunk = rest.split_to(length.min(rest.len()));
            if self.chance.happens(stuck) {
                at += self.chance.ms(500, 5_000);
            }
            let playing = Duration::from_micros(chunk.len() as u64 * 125);
            position += playing;
            let mut ended = Vec::new();
            while let Some(word) = words.next_if(|word| word.end <= position) {
                ended.push(word);
            }
            let wait = if words_first { Duration::ZERO } else { Duration::from_millis(2) };
            if !words_first {
                self.later(at, take, What::Audio(chunk.clone()), hub);
            }
            if !ended.is_empty() {
                self.later(at + wait, take, What::Words(ended), hub);
            }
            if words_first {
                self.later(at, take, What::Audio(chunk), hub);
            }
            if self.chance.happens(lost) {
                self.later(at + Duration::from_millis(5), take, What::Lost, hub);
            }
            at += (playing / self.speed).max(wait);
        }
        if let Some(state) = self.takes.get_mut(&take) {
            state.ready = at;
        }
        self.later(at + IDLE, take, What::Idle(texts), hub);
    }

    /// What comes of it now.
    pub fn event(&mut self, event: TtsEvent, hub: &mut Hub) -> Option<Told> {
        let TtsEvent { mut take, what } = event;
        if hub.truth.voiceless {
            return None;
        }
        let state = self.takes.get_mut(&take)?;
        if let Some(over) = state.over {
            if hub.breaks(Mutation::StaleAudio) && matches!(what, What::Audio(_)) {
                take = self.newest?;
            } else if hub.now > over + ON_THE_WIRE || !matches!(what, What::Audio(_) | What::Words(_)) {
                return None;
            }
        }
        Some(match what {
            What::Audio(payload) => Told::Audio { take, payload },
            What::Words(words) => Told::Words { take, words },
            What::Lost => {
                state.over = Some(hub.now);
                hub.counts.lost_takes += 1;
                Told::Lost { take, detail: "lost".into() }
            }
            What::Done if !state.done => {
                state.done = true;
                Told::Done { take }
            }
            What::Idle(texts) if state.texts == texts && !state.finished && !state.done => {
                state.done = true;
                Told::Done { take }
            }
            What::Done | What::Idle(_) => return None,
        })
    }
}
