//! The caller: what they say and press, and when. They hear the agent only through what was played.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::ear;
use super::mulaw::{self, FRAME_SAMPLES};
use super::playout::{AgentHeard, time_of};

/// The length of a tick: one frame.
pub const TICK: Duration = Duration::from_millis(20);

/// A caller who hears nothing at all for this long after picking up says their first line anyway.
pub const FIRST_WORD_PATIENCE: Duration = Duration::from_secs(3);

/// An agent who is not cut off and talks on for this long after the caller's line goes on speaking: a pause after it
/// is the caller's turn.
const TALKED_ON: Duration = Duration::from_secs(1);

const KEY_GAP: Duration = Duration::from_millis(200);

/// When a step begins, counted from the end of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The agent has spoken since the caller's last step and nothing was audible for `ms`. The first step does not
    /// wait for an agent who says nothing for [`FIRST_WORD_PATIENCE`].
    AgentQuiet { ms: u32 },
    /// `ms` after the agent next becomes audible: a barge-in.
    AfterAgentStarts { ms: u32 },
    /// `ms` after the start of the first media stream.
    At { ms: u32 },
}

impl Default for When {
    fn default() -> Self {
        Self::AgentQuiet { ms: 700 }
    }
}

/// Something the caller says.
#[derive(Clone, Debug)]
pub struct Line {
    /// 8 kHz, mono.
    pub samples: Arc<[i16]>,
    pub name: String,
    pub when: When,
}

/// A step of the caller's script.
#[derive(Clone, Debug)]
pub enum Step {
    Say(Line),
    /// Keys, 200 ms apart.
    Press {
        digits: String,
        when: When,
    },
    HangUp {
        when: When,
    },
    /// The carrier itself sends this text, in which `{sid}` stands for the stream.
    Message {
        text: String,
        when: When,
    },
}

impl Step {
    /// The name of a line.
    pub fn line_name(&self) -> Option<&str> {
        match self {
            Self::Say(line) => Some(&line.name),
            Self::Press { .. } | Self::HangUp { .. } | Self::Message { .. } => None,
        }
    }

    fn when(&self) -> When {
        match self {
            Self::Say(Line { when, .. })
            | Self::Press { when, .. }
            | Self::HangUp { when }
            | Self::Message { when, .. } => *when,
        }
    }
}

/// Why the caller hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// All was said and the agent is quiet.
    ScriptDone,
    /// The script says so.
    Scripted,
    /// The agent said nothing for as long as the caller's patience.
    AgentSilent,
}

/// The caller in the 20 ms that begin at a tick.
#[derive(Debug, PartialEq, Eq)]
pub struct Tick {
    pub frame: [u8; FRAME_SAMPLES],
    /// The line, by its number among the lines, that begins in this tick.
    pub begins: Option<usize>,
    /// The line whose first audible sample lies in this frame.
    pub first_voiced: Option<usize>,
    /// The line whose last audible sample lies in this frame.
    pub last_voiced: Option<usize>,
    pub key: Option<char>,
    pub message: Option<String>,
    pub hang_up: Option<HangUp>,
}

struct Prepared {
    sound: Vec<u8>,
    first_voiced: usize,
    last_voiced: usize,
}

enum State {
    /// For the first step of `steps`, or with none left for the end.
    Waiting,
    Saying {
        line: usize,
        sound: Prepared,
        began: Duration,
    },
    Pressing {
        keys: VecDeque<char>,
        next: Duration,
    },
}

/// The caller of one call. Ticks come in order, [`TICK`] apart while a stream is there; what falls between two streams
/// is not said.
pub struct Script {
    steps: VecDeque<Step>,
    lines_begun: usize,
    state: State,
    started: Option<Duration>,
    /// The end of what the caller last did; `None` before they did anything.
    last_act: Option<Duration>,
    patience: Duration,
    quiet_before_hang_up: Duration,
}

impl Script {
    /// A caller with `steps`, who gives up on an agent that says nothing for `patience`, and hangs up after the last
    /// step when the agent has spoken and was quiet for `quiet_before_hang_up`.
    pub fn new(steps: Vec<Step>, patience: Duration, quiet_before_hang_up: Duration) -> Self {
        Self {
            steps: steps.into(),
            lines_begun: 0,
            state: State::Waiting,
            started: None,
            last_act: None,
            patience,
            quiet_before_hang_up,
        }
    }

    /// The carrier did something by itself until `now`: the caller waits for the agent to speak after that.
    pub fn attended(&mut self, now: Duration) {
        self.last_act = Some(now);
    }

    /// What the caller does in the 20 ms from `now`, knowing the agent's voice up to then.
    pub fn tick(&mut self, now: Duration, agent: AgentHeard) -> Tick {
        let started = *self.started.get_or_insert(now);
        let mut tick = Tick {
            frame: [mulaw::SILENCE; FRAME_SAMPLES],
            begins: None,
            first_voiced: None,
            last_voiced: None,
            key: None,
            message: None,
            hang_up: None,
        };
        if matches!(self.state, State::Waiting) {
            self.wait(started, now, agent, &mut tick);
        }
        match &mut self.state {
            State::Waiting => {}
            State::Saying { line, sound, began } => {
                let from = super::playout::samples_at(now.saturating_sub(*began));
                let to = (from + FRAME_SAMPLES).min(sound.sound.len());
                if from < to {
                    tick.frame[..to - from].copy_from_slice(&sound.sound[from..to]);
                    tick.first_voiced = (from..to).contains(&sound.first_voiced).then_some(*line);
                    tick.last_voiced = (from..to).contains(&sound.last_voiced).then_some(*line);
                }
                if from + FRAME_SAMPLES >= sound.sound.len() {
                    self.last_act = Some(*began + time_of(sound.last_voiced + 1));
                    self.state = State::Waiting;
                }
            }
            State::Pressing { keys, next } => {
                if now >= *next {
                    tick.key = keys.pop_front();
                    *next = now + KEY_GAP;
                }
                if keys.is_empty() {
                    self.last_act = Some(now);
                    self.state = State::Waiting;
                }
            }
        }
        tick
    }

    /// Begins the next step if its time has come.
    fn wait(&mut self, started: Duration, now: Duration, agent: AgentHeard, tick: &mut Tick) {
        let since = self.last_act.unwrap_or(started);
        let quiet = |ms: Duration| {
            spoke_since(agent, since) && agent.last_audible.is_some_and(|last| now >= last + ms)
        };
        let Some(step) = self.steps.front() else {
            if quiet(self.quiet_before_hang_up) {
                tick.hang_up = Some(HangUp::ScriptDone);
            } else if gave_up(agent, since, now, self.patience) {
                tick.hang_up = Some(HangUp::AgentSilent);
            }
            return;
        };
        let due = match step.when() {
            When::At { ms } => now >= started + millis(ms),
            When::AgentQuiet { ms } => {
                let first_word = self.last_act.is_none()
                    && agent.started.is_none()
                    && now >= started + FIRST_WORD_PATIENCE;
                quiet(millis(ms)) || first_word
            }
            When::AfterAgentStarts { ms } => {
                agent.started.is_some_and(|begin| begin >= since && now >= begin + millis(ms))
            }
        };
        if due {
            self.begin(now, tick);
        } else if !matches!(step.when(), When::At { .. }) && gave_up(agent, since, now, self.patience) {
            tick.hang_up = Some(HangUp::AgentSilent);
        }
    }

    fn begin(&mut self, now: Duration, tick: &mut Tick) {
        match self.steps.pop_front() {
            Some(Step::Say(line)) => {
                let sound: Vec<u8> = line.samples.iter().map(|sample| mulaw::encode(*sample)).collect();
                let (first_voiced, last_voiced) = ear::voiced_bounds(&sound);
                tick.begins = Some(self.lines_begun);
                let sound = Prepared { sound, first_voiced, last_voiced };
                self.state = State::Saying { line: self.lines_begun, sound, began: now };
                self.lines_begun += 1;
            }
            Some(Step::Press { digits, .. }) => {
                self.state = State::Pressing { keys: digits.chars().collect(), next: now };
            }
            Some(Step::Message { text, .. }) => tick.message = Some(text),
            Some(Step::HangUp { .. }) => tick.hang_up = Some(HangUp::Scripted),
            None => {}
        }
    }
}

fn spoke_since(agent: AgentHeard, since: Duration) -> bool {
    let began = agent.started.is_some_and(|started| started >= since);
    let talked_on = !agent.cut && agent.last_audible.is_some_and(|last| last >= since + TALKED_ON);
    began || talked_on
}

/// Whether the agent has said nothing for `patience` while the caller waited.
fn gave_up(agent: AgentHeard, since: Duration, now: Duration, patience: Duration) -> bool {
    now >= agent.last_audible.map_or(since, |last| last.max(since)) + patience
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

#[cfg(test)]
mod tests;
