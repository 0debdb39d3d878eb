//! The reply that is being made: the model's words to segments, its tool calls to rounds.

use std::time::Instant;

use super::{
    Conversation, Effect, Failure, Generation, Output, Stop, TOOL_ROUNDS_MAX, ToolCall, ToolResult,
    history::{ToolRound, refused},
    writes::{Begun, request_key},
};
use crate::segment::Segmenter;

/// A reply from the user turn until it was heard.
pub(super) struct Reply {
    pub(super) epoch: i64,
    pub(super) phase: Phase,
    pub(super) segment_count: i32,
    round: u32,
    asked_at: Instant,
    first_token_is_out: bool,
    segmenter: Segmenter,
    /// What was sent since the last round of tools.
    said: String,
}

/// How far a reply is.
pub(super) enum Phase {
    /// The model writes.
    Generating,
    /// Tools run, or wait for their turn.
    RunningTools(Vec<Slot>),
    /// All of it was sent. `goodbye` is a round whose effect waits until the reply was heard, and the id of the call that
    /// brings it about.
    Done { goodbye: Option<(String, ToolRound)> },
    /// It failed or was cancelled: nothing more comes.
    Broken,
}

/// A tool call of the round that is open.
pub(super) struct Slot {
    pub(super) call: ToolCall,
    pub(super) progress: Progress,
}

/// How far a tool call is.
pub(super) enum Progress {
    /// Not begun: its turn is tentative.
    Held,
    /// Runs, and nobody else waits for it.
    Running,
    /// Waits for the write of this key, which it began or the same call before it.
    Writing(String),
    /// The result is there.
    Back(ToolResult),
}

impl Slot {
    pub(super) fn is_back(&self) -> bool {
        matches!(self.progress, Progress::Back(_))
    }

    pub(super) fn into_call(self) -> Option<(ToolCall, ToolResult)> {
        match self.progress {
            Progress::Back(result) => Some((self.call, result)),
            _ => None,
        }
    }
}

impl Reply {
    pub(super) fn new(epoch: i64, now: Instant) -> Self {
        Self {
            epoch,
            phase: Phase::Generating,
            segment_count: 0,
            round: 0,
            asked_at: now,
            first_token_is_out: false,
            segmenter: Segmenter::default(),
            said: String::new(),
        }
    }

    pub(super) fn generation(&self) -> Generation {
        Generation { epoch: self.epoch, round: self.round }
    }

    /// True while the model or a tool works for it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Generating | Phase::RunningTools(_))
    }

    /// True when all of it was sent and its effect waits.
    pub(super) fn is_last(&self) -> bool {
        matches!(self.phase, Phase::Done { goodbye: Some(_) })
    }

    /// The calls of the open round.
    pub(super) fn slots(&mut self) -> &mut [Slot] {
        match &mut self.phase {
            Phase::RunningTools(slots) => slots,
            _ => &mut [],
        }
    }

    /// What was sent since the last round of tools.
    pub(super) fn take_said(&mut self) -> String {
        std::mem::take(&mut self.said).trim().to_owned()
    }

    fn segment(&mut self, text: String) -> Output {
        let index = self.segment_count;
        self.segment_count += 1;
        self.said.push_str(&text);
        Output::Segment { epoch: self.epoch, index, text }
    }

    /// The stamp of the first token, once.
    fn first_token(&mut self, now: Instant) -> Option<Output> {
        if std::mem::replace(&mut self.first_token_is_out, true) {
            return None;
        }
        let delay = now.saturating_duration_since(self.asked_at);
        Some(Output::FirstToken { epoch: self.epoch, delay })
    }
}

impl Conversation {
    pub(super) fn text(&mut self, generation: Generation, text: &str, now: Instant) {
        let Some(reply) = self.reply.as_mut().filter(|reply| reply.is_writing(generation)) else {
            return self.refuse("text");
        };
        self.outputs.extend(reply.first_token(now));
        for segment in reply.segmenter.push(text) {
            self.outputs.push_back(reply.segment(segment));
        }
    }

    pub(super) fn tool_started(&mut self, generation: Generation, now: Instant) {
        let Some(reply) = self.reply.as_mut().filter(|reply| reply.is_writing(generation)) else {
            return self.refuse("tool_started");
        };
        self.outputs.extend(reply.first_token(now));
        if let Some(segment) = reply.segmenter.flush(true) {
            self.outputs.push_back(reply.segment(segment));
        }
    }

    pub(super) fn finished(&mut self, generation: Generation, stop: Stop, calls: Vec<ToolCall>) {
        let Some(reply) = self.reply.as_mut().filter(|reply| reply.is_writing(generation)) else {
            calls.iter().for_each(|_| self.refuse_effect("tool_call"));
            return self.refuse("finish");
        };
        if stop == Stop::Refusal {
            match &mut self.tentative {
                Some(tentative) => tentative.words = refused(&tentative.words),
                None => self.history.redact_newest_caller(),
            }
            return self.fail("the model refused to answer");
        }
        let goes_on = stop == Stop::ToolUse && !calls.is_empty() && reply.round < TOOL_ROUNDS_MAX;
        if let Some(segment) = reply.segmenter.flush(goes_on) {
            self.outputs.push_back(reply.segment(segment));
        }
        if goes_on {
            self.run_tools(calls);
        } else if reply.segment_count > 0 {
            reply.phase = Phase::Done { goodbye: None };
            self.outputs.push_back(Output::ReplyDone { epoch: generation.epoch, last_call: None });
        } else if stop == Stop::TokenLimit {
            self.fail("the reply ran into its token limit before a word was said");
        } else {
            self.fail("the model's reply was empty");
        }
    }

    pub(super) fn failed(&mut self, generation: Generation, failure: Failure) {
        let Some(reply) = self.reply.as_mut().filter(|reply| reply.is_writing(generation)) else {
            return self.refuse("failure");
        };
        reply.phase = Phase::Broken;
        self.outputs.push_back(Output::ReplyFailed { epoch: generation.epoch, failure });
    }

    fn fail(&mut self, detail: &str) {
        let Some(reply) = &mut self.reply else { return };
        reply.phase = Phase::Broken;
        let failure = Failure { detail: detail.to_owned(), is_fatal: false };
        self.outputs.push_back(Output::ReplyFailed { epoch: reply.epoch, failure });
    }

    fn run_tools(&mut self, calls: Vec<ToolCall>) {
        let slot = |call: ToolCall| {
            let wrong = match (self.effect(&call), &call.arguments) {
                (None, _) => Some("there is no tool of this name"),
                (_, None) => Some("the arguments are not a JSON object"),
                _ => None,
            };
            let error = |text: &str| Progress::Back(ToolResult { text: text.to_owned(), is_error: true });
            Slot { call, progress: wrong.map_or(Progress::Held, error) }
        };
        let slots = calls.into_iter().map(slot).collect();
        let Some(reply) = &mut self.reply else { return };
        reply.phase = Phase::RunningTools(slots);
        let is_certain = self.tentative.is_none();
        self.start_calls(|effect| is_certain || effect == Effect::Read);
        self.end_round_if_complete();
    }

    /// Starts the calls of the open round that were held and whose effect may take place now.
    pub(super) fn start_calls(&mut self, may_start: impl Fn(Effect) -> bool) {
        let Some(reply) = &mut self.reply else { return };
        let generation = reply.generation();
        for (index, slot) in reply.slots().iter_mut().enumerate() {
            let effect = self.tools.get(slot.call.name.as_str()).copied();
            let Some(effect) = effect.filter(|effect| may_start(*effect)) else { continue };
            if !matches!(slot.progress, Progress::Held) {
                continue;
            }
            let key = if effect == Effect::WriteOnce {
                match self.writes.begin(generation, index, &slot.call) {
                    Begun::New(key) => {
                        slot.progress = Progress::Writing(key.clone());
                        key
                    }
                    Begun::Running(key) => {
                        slot.progress = Progress::Writing(key);
                        continue;
                    }
                    Begun::Done(result) => {
                        slot.progress = Progress::Back(result);
                        continue;
                    }
                }
            } else {
                slot.progress = Progress::Running;
                request_key(generation.epoch, &slot.call)
            };
            self.outputs.push_back(Output::RunTool { generation, index, call: slot.call.clone(), key });
        }
    }

    pub(super) fn tool_done(&mut self, generation: Generation, index: usize, result: ToolResult) {
        if !self.write_done(generation, index, &result) {
            let reply = self.reply.as_mut().filter(|reply| reply.generation() == generation);
            let slot = reply.and_then(|reply| reply.slots().get_mut(index));
            match slot {
                Some(slot) if matches!(slot.progress, Progress::Running) => {
                    let call = slot.call.clone();
                    let is_done = !result.is_error;
                    slot.progress = Progress::Back(result);
                    if is_done && self.effect(&call) == Some(Effect::Language) {
                        self.switch_language(generation.epoch, &call);
                    }
                }
                _ => return self.refuse_effect("tool_result"),
            }
        }
        self.end_round_if_complete();
    }

    /// The model goes on in the language that it called for.
    fn switch_language(&mut self, epoch: i64, call: &ToolCall) {
        let tag = call.arguments.as_ref().and_then(|arguments| arguments.get("language")?.as_str());
        if let Some(tag) = tag.filter(|tag| *tag != self.language) {
            tag.clone_into(&mut self.language);
            self.outputs.push_back(Output::Language { epoch, tag: tag.to_owned() });
        }
    }

    pub(super) fn end_round_if_complete(&mut self) {
        let Some(reply) = &mut self.reply else { return };
        let Phase::RunningTools(slots) = &mut reply.phase else { return };
        if !slots.iter().all(Slot::is_back) {
            return;
        }
        let calls: Vec<_> = std::mem::take(slots).into_iter().filter_map(Slot::into_call).collect();
        let last_call = calls.iter().find(|(call, result)| {
            !result.is_error && self.tools.get(call.name.as_str()) == Some(&Effect::Irrevocable)
        });
        let last_call = last_call.map(|(call, _)| call.clone());
        let round = ToolRound { said: reply.take_said(), calls };
        if let Some(last_call) = last_call {
            reply.phase = Phase::Done { goodbye: Some((last_call.id.clone(), round)) };
            self.outputs.push_back(Output::ReplyDone { epoch: reply.epoch, last_call: Some(last_call) });
        } else {
            match &mut self.tentative {
                Some(tentative) => tentative.rounds.push(round),
                None => self.history.push_round(round),
            }
            reply.round += 1;
            reply.phase = Phase::Generating;
            self.generate();
        }
    }
}

impl Reply {
    fn is_writing(&self, generation: Generation) -> bool {
        self.generation() == generation && matches!(self.phase, Phase::Generating)
    }
}
