//! CORE: who said what, and which reply is being made. Listening, thinking, speaking.
//!
//! Every reply has the epoch of the user turn that it answers. What belongs to an older epoch is refused, and the
//! history keeps of a reply what the caller heard and nothing more. A tentative turn lies beside the history until it is
//! confirmed; nothing that it asks for changes the world before.

mod history;
mod reply;
mod tentative;
#[cfg(test)]
mod tests;
mod writes;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

pub use history::{Block, CALL_ANSWERED, CUT_MARK, History, REFUSED, Role};
use reply::{Phase, Reply};
use tentative::Tentative;
use writes::{LateRound, Writes};

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
    /// Nothing: runs at once, for a tentative turn too; an interruption throws it away if its result is not back.
    Read,
    /// Something, once: runs when the turn is certain. An interruption does not stop it: its result is kept when it
    /// comes back, and the same call in the next reply gets that result instead of being made again.
    WriteOnce,
    /// What cannot be taken back: runs when the turn is certain, ends the reply, and takes place only when all of the
    /// reply was heard. An interruption before that undoes the call as if it was never made. What takes place may end:
    /// then its result is the call's, and the reply goes on.
    Irrevocable,
    /// The language of what the agent says next: runs when the turn is certain, and stands whatever becomes of the reply.
    Language,
}

/// Which request to the model something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
        /// BCP 47, the language to answer in; empty: as before.
        language: String,
        /// True when it may not be over: all that it brings about waits for `Confirm`, and without that was never.
        tentative: bool,
    },
    /// The tentative turn is certain.
    Confirm {
        /// Which.
        epoch: i64,
    },
    /// How much of a reply, or of a line that nobody asked for, was heard.
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
    /// What the last call of the newest reply brought about is over: the model is told, and speaks on.
    Returned {
        /// Of what it says now: higher than any before.
        epoch: i64,
        /// What came of it.
        result: ToolResult,
    },
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
    /// Drop the request to the model and the tools of this epoch, but those that write.
    Abort {
        /// Which reply.
        epoch: i64,
    },
    /// The tentative reply of this epoch is an ordinary one from here on.
    Confirmed {
        /// Which reply.
        epoch: i64,
    },
    /// The tentative turn of this epoch never was: drop all that runs for it.
    Discard {
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
        /// Names the request within the call; the same when the same request is made again.
        key: String,
    },
    /// The model began to answer.
    FirstToken {
        /// Which reply.
        epoch: i64,
        /// From the user turn.
        delay: Duration,
    },
    /// Speak what comes in another language.
    Language {
        /// Which reply.
        epoch: i64,
        /// BCP 47.
        tag: String,
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
        /// What cannot be taken back and takes place once it was heard.
        last_call: Option<ToolCall>,
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
    /// An effect that a reply asked for was refused, because the reply is not the current one any more.
    RefusedEffect {
        /// What kind of effect: a label of a metric.
        kind: &'static str,
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
    /// BCP 47, as the model was told last.
    language: String,
    tools: BTreeMap<&'static str, Effect>,
    history: History,
    /// The highest epoch of a turn, a tentative one or not; it and everything older is stale for a new turn.
    last_turn: i64,
    /// The highest epoch that the history knows; it and everything older is stale for a line of the agent's own.
    last_epoch: i64,
    reply: Option<Reply>,
    /// Set while the reply is to a tentative turn.
    tentative: Option<Tentative>,
    /// Tentative turns that never were, and are newer than the history.
    discarded: BTreeSet<i64>,
    writes: Writes,
    late_rounds: Vec<LateRound>,
    /// The tool call whose effect takes place now, by the model's name for it.
    under_way: Option<String>,
    outputs: VecDeque<Output>,
}

impl Conversation {
    /// A conversation with nothing said. Epochs below `epoch_min` are stale from the start.
    pub fn new(tools: BTreeMap<&'static str, Effect>, epoch_min: i64) -> Self {
        let last_epoch = epoch_min.max(0) - 1;
        Self {
            language: String::new(),
            tools,
            history: History::default(),
            last_turn: last_epoch,
            last_epoch,
            reply: None,
            tentative: None,
            discarded: BTreeSet::new(),
            writes: Writes::default(),
            late_rounds: Vec::new(),
            under_way: None,
            outputs: VecDeque::new(),
        }
    }

    /// The same in this language, BCP 47.
    #[must_use]
    pub fn speaking(self, language: &str) -> Self {
        Self { language: language.to_owned(), ..self }
    }

    /// The language that the reply that is being made is in.
    pub fn language(&self) -> &str {
        self.tentative.as_ref().map_or(&self.language, |tentative| &tentative.language)
    }

    /// What was said so far, for certain.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The history as the reply that is being made must see it: with the tentative turn, if there is one.
    pub fn context(&self) -> Cow<'_, History> {
        match &self.tentative {
            None => Cow::Borrowed(&self.history),
            Some(tentative) => Cow::Owned(tentative.after(&self.history)),
        }
    }

    /// True while the newest turn is a tentative one.
    pub fn is_tentative(&self) -> bool {
        self.tentative.is_some()
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
            Input::UserTurn { epoch, text, language, tentative } => {
                self.user_turn(epoch, &text, &language, tentative, now);
            }
            Input::Confirm { epoch } => self.confirm(epoch),
            Input::Heard { epoch, text, interrupted } => self.heard(epoch, &text, interrupted),
            Input::Cancel { epoch } => self.cancel(epoch),
            Input::Text(generation, text) => self.text(generation, &text, now),
            Input::ToolStarted(generation) => self.tool_started(generation, now),
            Input::Finished(generation, stop, calls) => self.finished(generation, stop, calls),
            Input::Failed(generation, failure) => self.failed(generation, failure),
            Input::ToolDone(generation, index, result) => self.tool_done(generation, index, result),
            Input::Returned { epoch, result } => self.returned(epoch, result, now),
        }
    }

    /// The next thing to do, none when all is done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn user_turn(&mut self, epoch: i64, text: &str, language: &str, tentative: bool, now: Instant) {
        if epoch <= self.last_turn.max(self.last_epoch) {
            return self.refuse("user_turn");
        }
        self.last_turn = epoch;
        self.discard_tentative();
        let language = if language.is_empty() { self.language.clone() } else { language.to_owned() };
        let text =
            if language == self.language { text.to_owned() } else { history::in_language(text, &language) };
        if tentative {
            self.begin_tentative(text, language);
        } else {
            self.begin_turn(epoch, &text);
            self.language = language;
        }
        self.reply = Some(Reply::new(epoch, now));
        self.generate();
    }

    /// A turn that is certain enters the history.
    fn begin_turn(&mut self, epoch: i64, text: &str) {
        self.settle(epoch);
        // Nothing was heard of a reply that is still open: its duty was to come before.
        if let Some(open) = self.reply.take() {
            self.close(open, "", true);
        }
        self.under_way = None;
        self.history.push_caller(text);
    }

    /// The effect that was under way is over: its result takes the place of the promise that the model was given.
    fn returned(&mut self, epoch: i64, result: ToolResult, now: Instant) {
        if epoch <= self.last_turn.max(self.last_epoch) {
            return self.refuse("returned");
        }
        // A reply without a word is not told to have been heard.
        if let Some(open) = self.reply.take_if(|reply| reply.is_last()) {
            self.close(open, "", false);
        }
        let Some(call_id) = self.under_way.take() else { return self.refuse("returned") };
        self.history.answer(&call_id, result);
        self.last_turn = epoch;
        self.settle(epoch);
        self.reply = Some(Reply::new(epoch, now));
        self.generate();
    }

    fn heard(&mut self, epoch: i64, text: &str, interrupted: bool) {
        // Nothing of a tentative reply is played before it is confirmed.
        let is_played = self.tentative_epoch() != Some(epoch) && !self.discarded.contains(&epoch);
        if let Some(reply) = self.take_certain(epoch) {
            self.close(reply, text, interrupted);
        } else if is_played && epoch > self.last_epoch {
            if self.tentative_epoch().is_some_and(|tentative| tentative < epoch) {
                self.discard_tentative();
            }
            self.settle(epoch);
            if let Some(open) = self.certain().take() {
                self.close(open, "", true);
            }
            self.history.push_unasked(text, interrupted);
        } else {
            self.refuse("heard");
        }
    }

    fn cancel(&mut self, epoch: i64) {
        if self.tentative_epoch() == Some(epoch) {
            self.discard_tentative();
        } else if let Some(mut reply) = self.take_certain(epoch) {
            self.break_off(&mut reply);
            *self.certain() = Some(reply);
        } else {
            self.refuse("cancel");
        }
    }

    /// The place of the newest reply to a turn that is certain.
    fn certain(&mut self) -> &mut Option<Reply> {
        match &mut self.tentative {
            Some(tentative) => &mut tentative.under,
            None => &mut self.reply,
        }
    }

    fn take_certain(&mut self, epoch: i64) -> Option<Reply> {
        self.certain().take_if(|reply| reply.epoch == epoch)
    }

    /// The history knows this epoch from here on.
    fn settle(&mut self, epoch: i64) {
        self.last_epoch = epoch;
        self.discarded.retain(|discarded| *discarded > epoch);
    }

    /// Nothing more comes of a reply, and what it asked for and cannot be taken back does not take place.
    fn break_off(&mut self, reply: &mut Reply) {
        if reply.is_running() {
            self.outputs.push_back(Output::Abort { epoch: reply.epoch });
        }
        match std::mem::replace(&mut reply.phase, Phase::Broken) {
            Phase::RunningTools(slots) => self.keep_writes(reply.take_said(), slots),
            Phase::Done { goodbye: Some((_, round)) } => {
                self.refuse_effect("hang_up");
                self.keep_writes_of(round);
            }
            Phase::Generating | Phase::Done { goodbye: None } | Phase::Broken => {}
        }
    }

    fn close(&mut self, mut reply: Reply, heard: &str, interrupted: bool) {
        match &mut reply.phase {
            Phase::Done { goodbye } if !interrupted => {
                if let Some((last_call, round)) = goodbye.take() {
                    self.under_way = Some(last_call);
                    self.history.push_round(round);
                }
                self.writes.forget_finished();
            }
            _ => self.break_off(&mut reply),
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

    fn refuse_effect(&mut self, kind: &'static str) {
        self.outputs.push_back(Output::RefusedEffect { kind });
    }
}
