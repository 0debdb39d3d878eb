//! CORE: who said what, and which reply is being made. Listening, thinking, speaking.
//!
//! Every reply has the epoch of the user turn that it answers. What belongs to an older epoch is refused, and the
//! history keeps of a reply what the caller heard and nothing more.

mod history;
mod reply;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

pub use history::{Block, CALL_ANSWERED, CUT_MARK, History, REFUSED, Role};
use reply::{Phase, Reply};

/// How often one reply may call tools; the next request must be answered in words.
pub const TOOL_ROUNDS_MAX: u32 = 4;

/// A model's request to act.
#[derive(Clone, PartialEq)]
pub struct ToolCall {
    /// The model's name for the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is called with; none when what came is not a JSON object.
    pub arguments: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What a tool gave.
#[derive(Clone, PartialEq)]
pub struct ToolResult {
    /// For the model.
    pub text: String,
    /// True when the tool failed; the text says how.
    pub is_error: bool,
}

/// What a tool changes in the world: decides what an interruption does to its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: runs at once; an interruption throws it away if its result is not back.
    Read,
    /// What cannot be taken back: ends the reply, and takes place only when all of the reply was heard. An
    /// interruption before that undoes the call as if it was never made.
    Irrevocable,
}

/// Which request to the model something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// The epoch of the reply.
    pub epoch: i64,
    /// How many rounds of tools came before, in the same reply.
    pub round: u32,
}

/// Why a reply broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, in a few words without personal data.
    pub detail: String,
    /// True when the next turn would fail in the same way.
    pub is_fatal: bool,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It has said what it wanted to.
    EndOfTurn,
    /// It wants the results of its tools.
    ToolUse,
    /// It ran into the limit of tokens, perhaps in the middle of a tool call.
    TokenLimit,
    /// It will not answer this.
    Refusal,
}

/// What happened.
pub enum Input {
    /// The caller finished a turn. The text is not empty.
    UserTurn {
        /// Higher than any before.
        epoch: i64,
        /// The words.
        text: String,
    },
    /// How much of a reply, or of a greeting, was heard.
    Heard {
        /// Of which reply.
        epoch: i64,
        /// The words, possibly none.
        text: String,
        /// True when the caller interrupted.
        interrupted: bool,
    },
    /// Stop this reply.
    Cancel {
        /// Which.
        epoch: i64,
    },
    /// The model wrote.
    Text(Generation, String),
    /// The model begins to call a tool: what it wrote until here can be spoken.
    ToolStarted(Generation),
    /// The model's message is complete.
    Finished(Generation, Stop, Vec<ToolCall>),
    /// The model's message will not be complete.
    Failed(Generation, Failure),
    /// The tool call at this place in its message has a result.
    ToolDone(Generation, usize, ToolResult),
}

/// What to do.
pub enum Output {
    /// Ask the model, with the history as it stands now.
    Generate {
        /// For what comes back.
        generation: Generation,
        /// False when the reply has used up its rounds.
        may_use_tools: bool,
    },
    /// Drop the request to the model and the tools of this epoch.
    Abort {
        /// Which reply.
        epoch: i64,
    },
    /// Run a tool.
    RunTool {
        /// For what comes back.
        generation: Generation,
        /// The place in its message.
        index: usize,
        /// What to run.
        call: ToolCall,
    },
    /// The model began to answer.
    FirstToken {
        /// Which reply.
        epoch: i64,
        /// From the user turn.
        delay: Duration,
    },
    /// Speak this.
    Segment {
        /// Which reply.
        epoch: i64,
        /// From 0 within the epoch.
        index: i32,
        /// The words with the white space after them.
        text: String,
    },
    /// The reply is complete.
    ReplyDone {
        /// Which reply.
        epoch: i64,
        /// End the call once it was heard.
        end_call: bool,
    },
    /// The reply broke off.
    ReplyFailed {
        /// Which reply.
        epoch: i64,
        /// Why.
        failure: Failure,
    },
    /// Something came for a reply that is not the current one, and was dropped.
    Refused {
        /// What kind of thing: a label of a metric.
        what: &'static str,
    },
}

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for the caller.
    Listening,
    /// A reply is being made and nothing of it was sent.
    Thinking,
    /// A reply is being made or spoken.
    Speaking,
}

/// One call's conversation.
pub struct Conversation {
    tools: BTreeMap<&'static str, Effect>,
    history: History,
    /// The highest epoch seen; it and everything older is stale for a new turn.
    last_epoch: i64,
    reply: Option<Reply>,
    outputs: VecDeque<Output>,
}

impl Conversation {
    /// A conversation with nothing said. Epochs below `epoch_min` are stale from the start.
    pub fn new(tools: BTreeMap<&'static str, Effect>, epoch_min: i64) -> Self {
        let last_epoch = epoch_min.max(0) - 1;
        Self { tools, history: History::default(), last_epoch, reply: None, outputs: VecDeque::new() }
    }

    /// What was said so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Who does what.
    pub fn state(&self) -> State {
        match &self.reply {
            None => State::Listening,
            Some(reply) if reply.segment_count > 0 => State::Speaking,
            Some(reply) if reply.is_running() => State::Thinking,
            Some(_) => State::Listening,
        }
    }

    /// Takes an input. Drain [`Self::poll`] before the next one.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::UserTurn { epoch, text } => self.user_turn(epoch, &text, now),
            Input::Heard { epoch, text, interrupted } => self.heard(epoch, &text, interrupted),
            Input::Cancel { epoch } => self.cancel(epoch),
            Input::Text(generation, text) => self.text(generation, &text, now),
            Input::ToolStarted(generation) => self.tool_started(generation, now),
            Input::Finished(generation, stop, calls) => self.finished(generation, stop, calls),
            Input::Failed(generation, failure) => self.failed(generation, failure),
            Input::ToolDone(generation, index, result) => self.tool_done(generation, index, result),
        }
    }

    /// The next thing to do, none when all is done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn user_turn(&mut self, epoch: i64, text: &str, now: Instant) {
        if epoch <= self.last_epoch {
            return self.refuse("user_turn");
        }
        self.last_epoch = epoch;
        // Nothing was heard of a reply that is still open: its duty was to come before.
        self.close_reply("", true);
        self.history.push_caller(text);
        self.reply = Some(Reply::new(epoch, now));
        self.generate();
    }

    fn heard(&mut self, epoch: i64, text: &str, interrupted: bool) {
        if self.reply.as_ref().is_some_and(|reply| reply.epoch == epoch) {
            self.close_reply(text, interrupted);
        } else if epoch > self.last_epoch {
            self.last_epoch = epoch;
            self.close_reply("", true);
            self.history.push_unasked(text, interrupted);
        } else {
            self.refuse("heard");
        }
    }

    fn cancel(&mut self, epoch: i64) {
        match &mut self.reply {
            Some(reply) if reply.epoch == epoch => {
                if reply.is_running() {
                    self.outputs.push_back(Output::Abort { epoch });
                }
                reply.phase = Phase::Ended { goodbye: None };
            }
            _ => self.refuse("cancel"),
        }
    }

    fn close_reply(&mut self, heard: &str, interrupted: bool) {
        let Some(reply) = self.reply.take() else { return };
        if reply.is_running() {
            self.outputs.push_back(Output::Abort { epoch: reply.epoch });
        }
        if let Phase::Ended { goodbye: Some(round) } = reply.phase
            && !interrupted
        {
            self.history.push_round(round);
        }
        self.history.close(heard, interrupted);
    }

    fn generate(&mut self) {
        let Some(reply) = &self.reply else { return };
        let generation = reply.generation();
        let may_use_tools = generation.round < TOOL_ROUNDS_MAX;
        self.outputs.push_back(Output::Generate { generation, may_use_tools });
    }

    fn refuse(&mut self, what: &'static str) {
        self.outputs.push_back(Output::Refused { what });
    }
}
