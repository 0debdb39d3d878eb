//! `--fault`: which rehearsed vendor fails, how, and when in the call.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use mesh::clock;
use rehearsal::{
    carrier::What,
    faults::{Ailment, Spell},
};

use crate::{
    cli::{Synthesizer, Transcriber},
    exit::Exit,
    rehearse::Rehearsal,
};

/// The caller of the demo has so many turns.
const TURNS: usize = 3;
/// How long a fault lasts that is not for good.
const ONCE: Duration = Duration::from_secs(1);
/// So far into the caller's line, the transcriber is in the middle of a word.
const INTO_LINE: Duration = Duration::from_millis(600);
/// So far into the agent's answer, it has more to say.
const INTO_ANSWER: Duration = Duration::from_millis(500);
/// About ten words of the model.
const INTO_TEXT_BYTES: u64 = 1_500;
/// About two seconds of speech.
const INTO_SPEECH_BYTES: u64 = 24_000;

/// What a vendor does in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Listens: Deepgram or Sarvam.
    Stt,
    /// Thinks: Anthropic.
    Llm,
    /// Speaks: Cartesia or Sarvam.
    Tts,
}

/// A fault that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    part: Part,
    ailment: Ailment,
    turn: usize,
    for_good: bool,
}

impl Part {
    const ALL: [Self; 3] = [Self::Stt, Self::Llm, Self::Tts];

    fn name(self) -> &'static str {
        match self {
            Self::Stt => "stt",
            Self::Llm => "llm",
            Self::Tts => "tts",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plus = if self.for_good { "+" } else { "" };
        write!(f, "{}:{}@{}{plus}", self.part.name(), self.ailment.name(), self.turn)
    }
}

impl FromStr for Fault {
    type Err = Exit;

    fn from_str(text: &str) -> Result<Self, Exit> {
        let parse = || {
            let (part, rest) = text.split_once(':')?;
            let (ailment, turn) = rest.split_once('@')?;
            let (turn, for_good) = turn.strip_suffix('+').map_or((turn, false), |turn| (turn, true));
            Some(Self {
                part: Part::ALL.into_iter().find(|one| one.name() == part)?,
                ailment: Ailment::parse(ailment)?,
                turn: turn.parse().ok().filter(|turn| *turn <= TURNS)?,
                for_good,
            })
        };
        parse().ok_or_else(|| {
            let ailments = Ailment::ALL.map(Ailment::name).join(", ");
            Exit::configuration(format!(
                "--fault: {text:?} is none; write VENDOR:FAULT@N or VENDOR:FAULT@N+, such as stt:stall@2, where VENDOR is \
                 stt, llm or tts, FAULT is one of {ailments}, and N is a turn of the caller, 0 to {TURNS}"
            ))
        })
    }
}

/// A fault on its way.
pub struct Strike<'a> {
    fault: Fault,
    /// Makes the vendor fail.
    ail: Box<dyn Fn(Spell) + 'a>,
    lines: usize,
    at: Option<Instant>,
    struck: bool,
}

impl<'a> Strike<'a> {
    /// One before the call happens at once.
    ///
    /// # Errors
    /// 64 if the vendor is no rehearsed one.
    pub fn new(
        fault: Fault,
        transcriber: Transcriber,
        synthesizer: Synthesizer,
        rehearsal: &'a Rehearsal,
    ) -> Result<Self, Exit> {
        let Rehearsal { deepgram, anthropic, cartesia, sarvam, .. } = rehearsal;
        let (name, ail) = match (fault.part, transcriber, synthesizer) {
            (Part::Stt, Transcriber::Deepgram, _) => {
                ("DEEPGRAM", deepgram.as_ref().map(|server| boxed(|spell| server.ail(spell))))
            }
            (Part::Llm, ..) => {
                ("ANTHROPIC", anthropic.as_ref().map(|server| boxed(|spell| server.ail(spell))))
            }
            (Part::Tts, _, Synthesizer::Cartesia) => {
                ("CARTESIA", cartesia.as_ref().map(|server| boxed(|spell| server.ail(spell))))
            }
            (Part::Stt, Transcriber::Sarvam, _) | (Part::Tts, _, Synthesizer::Sarvam) => {
                ("SARVAM", sarvam.as_ref().map(|server| boxed(|spell| server.ail(spell))))
            }
        };
        let ail = ail.ok_or_else(|| {
            Exit::configuration(format!(
                "--fault: {} is not rehearsed here: unset {name}_API_KEY and {name}_BASE_URL",
                fault.part.name()
            ))
        })?;
        let mut strike = Self { fault, ail, lines: 0, at: None, struck: false };
        if fault.turn == 0 {
            strike.strike();
        }
        Ok(strike)
    }

    /// When it strikes, if that is known.
    pub fn at(&self) -> Option<Instant> {
        self.at.filter(|_| !self.struck)
    }

    /// Something happened in the call.
    pub fn see(&mut self, what: &What) {
        if matches!(what, What::LineBegan { .. }) {
            self.lines += 1;
        }
        if self.struck || self.at.is_some() || self.fault.turn != self.lines {
            return;
        }
        // A refused connection shows only where somebody dials: what is open must be in use.
        let wait = match (self.fault.part, self.fault.ailment, what) {
            (Part::Stt, _, What::LineBegan { .. }) => INTO_LINE,
            (Part::Llm, Ailment::Refused, What::LineEnded { .. }) => Duration::ZERO,
            (Part::Tts, Ailment::Refused, What::AgentAudible) => INTO_ANSWER,
            (Part::Llm | Part::Tts, Ailment::Refused, _) => return,
            (Part::Llm | Part::Tts, _, What::LineBegan { .. }) => Duration::ZERO,
            _ => return,
        };
        self.at = Some(clock::now() + wait);
    }

    /// The vendor fails now.
    pub fn strike(&mut self) {
        self.struck = true;
        let after_bytes = match self.fault.part {
            _ if self.fault.turn == 0 => 0,
            Part::Stt => 0,
            // One that is cut off in its answer falls silent there as well: this one gives none.
            Part::Llm if self.fault.ailment == Ailment::Stall => 0,
            Part::Llm => INTO_TEXT_BYTES,
            Part::Tts => INTO_SPEECH_BYTES,
        };
        let lasts = (!self.fault.for_good).then_some(ONCE);
        let spell = Spell { ailment: self.fault.ailment, after_bytes, lasts };
        (self.ail)(spell);
    }
}

fn boxed<'a>(ail: impl Fn(Spell) + 'a) -> Box<dyn Fn(Spell) + 'a> {
    Box::new(ail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        for part in ["stt", "llm", "tts"] {
            for ailment in Ailment::ALL {
                for turn in ["0", "2", "3+"] {
                    let text = format!("{part}:{}@{turn}", ailment.name());
                    assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
                }
            }
        }
        for wrong in
            ["", "stt", "stt:stall", "stt:stall@", "stt:stall@4", "stt:stall@2++", "ear:stall@2", "stt:x@2"]
        {
            let exit = wrong.parse::<Fault>().unwrap_err();
            assert_eq!(exit.code, 64);
            assert!(exit.message.contains("halfopen") && exit.message.contains(wrong), "{}", exit.message);
        }
    }
}
