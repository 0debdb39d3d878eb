//! The caller: speaks in sentences with pauses, listens with small noises, interrupts, coughs, presses keys, is silent,
//! hangs up.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::{
    chance::Chance,
    hub::Hub,
    plan::Plan,
    sound::{self, CELL, SILENCE},
    truth::UtteranceKind,
    words::Owner,
};

const FRAME: Duration = Duration::from_millis(20);
/// How loud the caller speaks, as an exponent of mu-law.
const LOUD: u8 = 6;
/// How loud small noises are.
const SOFT: u8 = 3;
/// No caller waits longer than this for anything.
const CALL_MAX: Duration = Duration::from_secs(150);

const BACKCHANNELS: [&str; 6] = ["mm-hm", "yeah", "okay", "right", "uh huh", "I see"];
const BACKCHANNELS_HI: [&str; 4] = ["haan", "achha", "ji haan", "theek hai"];

/// A caller.
pub struct Caller {
    chance: Chance,
    /// Sound that is to be sent, a frame each.
    line: VecDeque<Bytes>,
    /// When the agent was last heard, and since when it is without a pause.
    agent: Option<Duration>,
    agent_since: Option<Duration>,
    spoke: Duration,
    /// When the next turn is taken if nothing comes between.
    act_at: Option<Duration>,
    turns_left: u64,
    utterances: usize,
    said_goodbye: bool,
    keys: VecDeque<(Duration, char)>,
    echo: u8,
    /// A key that goes out with this frame.
    pub key: Option<char>,
    /// The receiver is down.
    pub hung_up: bool,
}

impl Caller {
    /// A caller who was just answered.
    pub fn new(plan: &Plan) -> Self {
        Self {
            chance: Chance::new(plan.seed, 3),
            line: VecDeque::new(),
            agent: None,
            agent_since: None,
            spoke: Duration::ZERO,
            act_at: None,
            turns_left: plan.turns,
            utterances: 0,
            said_goodbye: false,
            keys: VecDeque::new(),
            echo: 0,
            key: None,
            hung_up: false,
        }
    }

    /// Lives through 20 ms in which the agent was this loud.
    pub fn frame(&mut self, agent_loud: u8, hub: &mut Hub) {
        let now = hub.now;
        self.echo = hub.plan.echo.map_or(0, |weaker| agent_loud.saturating_sub(weaker));
        let heard = hub.truth.agent_last_heard();
        let audible = heard.is_some_and(|at| now.saturating_sub(at) < Duration::from_millis(400));
        if audible {
            self.agent_since.get_or_insert(now);
            self.agent = heard;
            if self.line.is_empty() {
                self.act_at = None;
            }
        } else {
            self.agent_since = None;
        }
        if let Some((at, key)) = self.keys.front().copied().filter(|(at, _)| *at <= now) {
            let terminator = key == '#';
            self.keys.pop_front();
            self.key = Some(key);
            hub.truth.key(at.max(now), terminator, hub.plan.dtmf_timeout);
            self.spoke = now;
        }
        if !self.line.is_empty() {
            self.spoke = now;
            self.act_at = None;
            return;
        }
        if now > CALL_MAX || (self.said_goodbye && now > self.spoke + Duration::from_secs(20)) {
            self.hung_up = true;
            return;
        }
        if hub.plan.mute || !self.keys.is_empty() {
            return;
        }
        if audible {
            return self.over_the_agent(hub);
        }
        let act_at = match self.act_at {
            Some(at) => at,
            None => {
                let at = now + self.patience(hub);
                self.act_at = Some(at);
                at
            }
        };
        if now >= act_at {
            self.act_at = None;
            self.act(hub);
        }
    }

    /// The sound of the frame, none for silence.
    pub fn sound(&mut self) -> Option<Bytes> {
        if let Some(sound) = self.line.pop_front() {
            return Some(sound);
        }
        (self.echo > 0).then(|| {
            // Our own voice, as a sound without words.
            let echo = self.echo;
            Bytes::from((0..sound::FRAME as u8).map(|n| !((echo << 4) | (n % 16)) | 0x80).collect::<Vec<_>>())
        })
    }

    /// How long nothing is said once the agent is quiet.
    fn patience(&mut self, hub: &mut Hub) -> Duration {
        let answered = self.agent.is_some_and(|agent| agent >= self.spoke);
        if self.agent.is_none() && self.spoke.is_zero() {
            // Waits for the greeting, as most callers do.
            return if self.chance.happens(0.85) {
                self.chance.ms(5_000, 9_000)
            } else {
                self.chance.ms(0, 1_500)
            };
        }
        if !answered {
            // Goes on, or waits for the answer.
            return if self.chance.happens(0.06 * (1 + hub.plan.temper) as f64) {
                self.chance.ms(200, 2_500)
            } else {
                self.chance.ms(16_000, 24_000)
            };
        }
        if self.chance.happens(0.08) {
            // Is silent, perhaps for long enough to be asked.
            return self.chance.ms(5_000, 40_000);
        }
        self.chance.ms(150, 1_800)
    }

    fn act(&mut self, hub: &mut Hub) {
        if self.said_goodbye {
            if self.chance.happens(0.5) {
                self.hung_up = true;
            }
            return;
        }
        match self.chance.number(0, 99) {
            0..=3 => return self.cough(hub),
            4..=8 => return self.press(hub),
            _ => {}
        }
        if self.turns_left == 0 {
            if self.chance.happens(0.4) {
                self.hung_up = true;
                return;
            }
            self.said_goodbye = true;
            return self.say(&["goodbye", "+", "."], UtteranceKind::Content, hub);
        }
        self.turns_left -= 1;
        self.sentence(hub);
    }

    fn over_the_agent(&mut self, hub: &mut Hub) {
        let Some(since) = self.agent_since else { return };
        if hub.now < since + Duration::from_millis(300) || hub.now < self.spoke + Duration::from_millis(600) {
            return;
        }
        let temper = (1 + hub.plan.temper) as f64 / 2.0;
        // Chances a second, and there are fifty frames in it.
        let mut happens = |a_second: f64| self.chance.happens(a_second * temper / 50.0);
        if happens(0.08) {
            self.interrupt(hub);
        } else if happens(0.12) {
            let lists: &[&str] = if hub.plan.language == "en" { &BACKCHANNELS } else { &BACKCHANNELS_HI };
            let words: Vec<&str> = self.chance.pick(lists).split(' ').collect();
            self.say(&words, UtteranceKind::Backchannel, hub);
        } else if happens(0.06) {
            self.cough(hub);
        } else if happens(0.01) {
            self.press(hub);
        } else if happens(0.004) {
            self.hung_up = true;
        }
    }

    fn interrupt(&mut self, hub: &mut Hub) {
        hub.counts.interruptions += 1;
        let shapes: [&[&str]; 3] =
            [&["wait", "+", "+", "."], &["no", "+", "."], &["stop", "+", "+", "+", "."]];
        let shape = *self.chance.pick(&shapes);
        self.say(shape, UtteranceKind::Content, hub);
    }

    fn sentence(&mut self, hub: &mut Hub) {
        let shapes: [&[&str]; 8] = [
            &["I", "want", "the", "+", "+", "please", "."],
            &["what", "about", "+", "?"],
            &["+", "+", "+", "and", "~", "+", "+", "."],
            &["yes", "+", "."],
            &["+", "."],
            &["can", "you", "~", "tell", "me", "+", "?"],
            &["my", "number", "is", "four", "two", "~", "seven", "+", "."],
            &["book", "+", "for", "+", "~", "and", "+", "~", "and", "+", "."],
        ];
        let shape = *self.chance.pick(&shapes);
        self.say(shape, UtteranceKind::Content, hub);
    }

    /// Says words: `+` is a made-up one, `~` a pause that may come, a mark goes to the word before it.
    fn say(&mut self, shape: &[&str], kind: UtteranceKind, hub: &mut Hub) {
        let number = self.utterances;
        self.utterances += 1;
        let mut words: Vec<String> = Vec::new();
        let mut pauses = Vec::new();
        for part in shape {
            match *part {
                "+" => words.push(hub.truth.words.make(Owner::Caller(number))),
                "~" => {
                    if self.chance.happens(0.6) {
                        pauses.push((words.len(), self.chance.number(10, 60)));
                    }
                }
                mark @ ("." | "?") => {
                    if let Some(last) = words.last_mut() {
                        last.push_str(mark);
                    }
                }
                word => words.push(word.to_owned()),
            }
        }
        let loud = if kind == UtteranceKind::Backchannel && self.chance.happens(0.7) { SOFT } else { LOUD };
        let mut frames = 0;
        for (place, word) in words.iter().enumerate() {
            if let Some((_, pause)) = pauses.iter().find(|(at, _)| *at == place) {
                self.line.extend((0..*pause).map(|_| Bytes::from(vec![SILENCE; sound::FRAME])));
                frames += pause;
            }
            let length = self.chance.number(6, 9) + word.len() as u64;
            let id = hub.truth.caller_word(word);
            self.voice(id, length, loud);
            frames += length;
        }
        let end = hub.now + FRAME * u32::try_from(frames).unwrap_or(0);
        hub.log("caller", || format!("says {:?} until {:.3}", words.join(" "), end.as_secs_f64()));
        hub.truth.caller_speaks(number, kind, hub.now, end);
        hub.counts.utterance(kind);
    }

    fn voice(&mut self, id: u32, frames: u64, loud: u8) {
        let sound = sound::spoken(id, (frames * 20) as u32, loud);
        self.line.extend((0..frames as usize).map(|n| sound.slice(n * 20 * CELL..(n + 1) * 20 * CELL)));
    }

    fn cough(&mut self, hub: &mut Hub) {
        let number = self.utterances;
        self.utterances += 1;
        let frames = self.chance.number(6, 19);
        let id = hub.truth.caller_noise();
        self.voice(id, frames, LOUD);
        hub.log("caller", || format!("coughs for {} ms", frames * 20));
        let end = hub.now + FRAME * u32::try_from(frames).unwrap_or(0);
        hub.truth.caller_speaks(number, UtteranceKind::Cough, hub.now, end);
        hub.counts.utterance(UtteranceKind::Cough);
    }

    fn press(&mut self, hub: &mut Hub) {
        let mut at = hub.now;
        for _ in 0..self.chance.number(1, 6) {
            self.keys.push_back((at, *self.chance.pick(&['1', '4', '7', '0'])));
            at += self.chance.ms(150, 900);
        }
        if self.chance.happens(0.5) {
            self.keys.push_back((at, '#'));
        }
        hub.counts.key_entries += 1;
    }
}
