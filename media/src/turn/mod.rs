//! CORE: who has the floor. Decides the start of speech, the end of the caller's turn, and barge-in.
//!
//! The caller's turn is over when speech has ended, the transcript covers it, and the minimum delay since the end of
//! speech has passed; or, whatever the transcriber does, when the maximum delay has passed, which is longer while it
//! catches up. The caller takes the floor from an audible agent by speaking for the barge-in duration.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::stt::Transcript;

/// How far a transcript may end before the end of speech and still cover it: the VAD's chunk and the words' own edges.
const COVER_TOLERANCE: Duration = Duration::from_millis(250);

/// The longest wait after the end of speech for a transcriber that is behind: with what the answer takes, still less
/// than a caller takes for a dead line.
const BEHIND_DELAY_MAX: Duration = Duration::from_secs(6);

/// The settings of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The shortest wait after the end of speech.
    pub endpointing_delay_min: Duration,
    /// The longest wait after the end of speech.
    pub endpointing_delay_max: Duration,
    /// How long the caller must speak over the agent to take the floor.
    pub barge_in_duration_min: Duration,
}

/// What the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Nothing: the floor is the caller's.
    Silent,
    /// It has been asked and nothing of its answer was played yet.
    Thinking,
    /// The caller hears it.
    Audible,
}

/// What the core is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The caller began to speak.
    SpeechStarted {
        /// The onset.
        at: Instant,
    },
    /// The caller stopped.
    SpeechEnded {
        /// The end of the last speech.
        at: Instant,
        /// The same point on the audio clock.
        offset: Duration,
    },
    /// Words.
    Transcript(Transcript),
    /// The transcriber has seen no word for a while.
    UtteranceEnd,
    /// The transcriber lost its socket and hears again what was not settled: its words come late.
    TranscriberBehind,
    /// The agent's state changed.
    Agent(Agent),
    /// Time passed.
    Tick,
}

/// What it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask the transcriber for what it has.
    Finalize,
    /// The caller's turn is over.
    EndOfTurn(Turn),
    /// The caller takes the floor from an audible agent.
    BargeIn {
        /// Start of the overlap.
        onset: Instant,
    },
    /// The caller goes on although the turn had ended and the answer is being made: what is made is stale.
    TurnContinues,
}

/// A finished turn of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What was said. Never empty.
    pub text: String,
    /// The end of the last speech.
    pub end_of_speech: Instant,
    /// When the last piece of its transcript came.
    pub transcript_at: Option<Instant>,
}

/// Decides who has the floor.
#[derive(Debug)]
pub struct TurnTaker {
    config: Config,
    agent: Agent,
    onset: Option<Instant>,
    ended: Option<(Instant, Duration)>,
    /// A barge-in was declared for the speech that is going on.
    took_floor: bool,
    /// When the agent became audible: an overlap begins no earlier.
    audible_at: Option<Instant>,
    finals: String,
    interim: String,
    transcript_at: Option<Instant>,
    /// Where the settled transcript ends.
    covered: Duration,
    /// No word came for a while, so nothing more will.
    words_over: bool,
    /// The words of this turn come late.
    behind: bool,
    /// Where the last turn ended on the audio clock: late transcripts of it are not said again.
    closed: Duration,
    outputs: VecDeque<Output>,
}

impl TurnTaker {
    /// A call in which nobody has spoken.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            agent: Agent::Silent,
            onset: None,
            ended: None,
            took_floor: false,
            audible_at: None,
            finals: String::new(),
            interim: String::new(),
            transcript_at: None,
            covered: Duration::ZERO,
            words_over: false,
            behind: false,
            closed: Duration::ZERO,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. Drain [`TurnTaker::poll`] before the next.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::SpeechStarted { at } => {
                self.onset = Some(at);
                self.ended = None;
                self.took_floor = false;
                self.words_over = false;
            }
            Input::SpeechEnded { at, offset } => {
                self.onset = None;
                self.ended = Some((at, offset));
                if self.covered + COVER_TOLERANCE < offset {
                    self.outputs.push_back(Output::Finalize);
                }
            }
            Input::Transcript(transcript) => self.transcript(transcript, now),
            Input::UtteranceEnd => self.words_over = !self.finals.is_empty(),
            Input::TranscriberBehind => self.behind = true,
            Input::Agent(agent) => {
                if agent == Agent::Audible && self.agent != Agent::Audible {
                    self.audible_at = Some(now);
                }
                self.agent = agent;
            }
            Input::Tick => {}
        }
        self.decide(now);
    }

    /// The next decision.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When a tick is due.
    pub fn wake_at(&self) -> Option<Instant> {
        if self.agent == Agent::Audible {
            return self.barge_in_at();
        }
        match self.ended {
            Some((at, offset)) if self.agent == Agent::Silent => Some(self.end_of_turn_at(at, offset)),
            _ => None,
        }
    }

    /// True while the caller speaks.
    pub fn is_speaking(&self) -> bool {
        self.onset.is_some()
    }

    fn transcript(&mut self, transcript: Transcript, now: Instant) {
        if transcript.end <= self.closed {
            return;
        }
        let words = transcript.text.trim();
        if transcript.is_final {
            self.interim.clear();
            if !words.is_empty() {
                if !self.finals.is_empty() {
                    self.finals.push(' ');
                }
                self.finals.push_str(words);
                self.transcript_at = Some(now);
            }
            if transcript.utterance_over {
                self.covered = self.covered.max(transcript.end);
            }
        } else {
            self.interim = words.to_owned();
        }
        if words.is_empty() {
            return;
        }
        self.words_over = false;
        if self.agent == Agent::Thinking {
            self.outputs.push_back(Output::TurnContinues);
            self.agent = Agent::Silent;
        }
        // Speech too soft for the VAD still makes a turn: its words are all the evidence there is.
        if self.onset.is_none() && self.ended.is_none() {
            self.ended = Some((now, transcript.end));
        }
    }

    fn decide(&mut self, now: Instant) {
        match self.agent {
            Agent::Audible => {
                if let (Some(at), Some(onset)) = (self.barge_in_at(), self.overlap())
                    && at <= now
                {
                    self.took_floor = true;
                    self.agent = Agent::Silent;
                    self.outputs.push_back(Output::BargeIn { onset });
                }
            }
            Agent::Silent => self.decide_end_of_turn(now),
            Agent::Thinking => {}
        }
    }

    fn decide_end_of_turn(&mut self, now: Instant) {
        // Noise can hold the VAD open: the gap between words then ends the turn.
        if self.words_over && self.onset.is_some() {
            // What goes on is noise: it does not take the floor from the answer either.
            self.took_floor = true;
            return self.end_turn(self.transcript_at.unwrap_or(now), self.covered);
        }
        let Some((at, offset)) = self.ended else { return };
        if now < self.end_of_turn_at(at, offset) {
            return;
        }
        if self.is_settled(offset) {
            self.end_turn(at, offset);
        } else if !self.finals.is_empty() || !self.interim.is_empty() {
            // A transcript that comes later is of audio up to now, the silence after the words included.
            self.end_turn(at, offset + now.saturating_duration_since(at));
        } else {
            self.ended = None;
        }
    }

    /// When the turn is over if nothing more happens.
    fn end_of_turn_at(&self, at: Instant, offset: Duration) -> Instant {
        if self.is_settled(offset) { at + self.config.endpointing_delay_min } else { at + self.delay_max() }
    }

    /// There are words, and no more are to come of the audio before the end of speech.
    fn is_settled(&self, offset: Duration) -> bool {
        !self.finals.is_empty() && (self.is_covered(offset) || self.words_over)
    }

    fn end_turn(&mut self, end_of_speech: Instant, offset: Duration) {
        self.closed = self.closed.max(offset);
        let mut text = std::mem::take(&mut self.finals);
        let interim = std::mem::take(&mut self.interim);
        if !interim.is_empty() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&interim);
        }
        self.ended = None;
        self.words_over = false;
        self.behind = false;
        self.agent = Agent::Thinking;
        let transcript_at = self.transcript_at.take();
        self.outputs.push_back(Output::EndOfTurn(Turn { text, end_of_speech, transcript_at }));
    }

    fn delay_max(&self) -> Duration {
        let delay = self.config.endpointing_delay_max;
        if self.behind { delay.max(BEHIND_DELAY_MAX) } else { delay }
    }

    fn is_covered(&self, offset: Duration) -> bool {
        self.covered + COVER_TOLERANCE >= offset
    }

    fn barge_in_at(&self) -> Option<Instant> {
        self.overlap().filter(|_| !self.took_floor).map(|since| since + self.config.barge_in_duration_min)
    }

    /// When both began to speak.
    fn overlap(&self) -> Option<Instant> {
        let onset = self.onset?;
        Some(self.audible_at.map_or(onset, |audible| audible.max(onset)))
    }
}

#[cfg(test)]
mod tests;
