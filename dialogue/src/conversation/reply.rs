//! The reply that is being made: the model's words to segments, its tool calls to rounds.

use std::time::Instant;

use super::{
    Conversation, Effect, Failure, Generation, Output, Stop, TOOL_ROUNDS_MAX, ToolCall, ToolResult,
    history::ToolRound,
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
    /// Tools run; a call without a result is not back.
    RunningTools(Vec<(ToolCall, Option<ToolResult>)>),
    /// Nothing more comes. `goodbye` is a round whose effect waits until the reply was heard.
    Ended { goodbye: Option<ToolRound> },
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
        !matches!(self.phase, Phase::Ended { .. })
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
            return self.refuse("tool_call");
        };
        self.outputs.extend(reply.first_token(now));
        if let Some(segment) = reply.segmenter.flush(true) {
            self.outputs.push_back(reply.segment(segment));
        }
    }

    pub(super) fn finished(&mut self, generation: Generation, stop: Stop, calls: Vec<ToolCall>) {
        let Some(reply) = self.reply.as_mut().filter(|reply| reply.is_writing(generation)) else {
            return self.refuse("finish");
        };
        if stop == Stop::Refusal {
            self.history.redact_newest_caller();
            return self.fail("the model refused to answer");
        }
        let goes_on = stop == Stop::ToolUse && !calls.is_empty() && reply.round < TOOL_ROUNDS_MAX;
        if let Some(segment) = reply.segmenter.flush(goes_on) {
            self.outputs.push_back(reply.segment(segment));
        }
        if goes_on {
            self.run_tools(generation, calls);
        } else if reply.segment_count > 0 {
            reply.phase = Phase::Ended { goodbye: None };
            self.outputs.push_back(Output::ReplyDone { epoch: generation.epoch, end_call: false });
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
        reply.phase = Phase::Ended { goodbye: None };
        self.outputs.push_back(Output::ReplyFailed { epoch: generation.epoch, failure });
    }

    fn fail(&mut self, detail: &str) {
        let Some(reply) = &mut self.reply else { return };
        reply.phase = Phase::Ended { goodbye: None };
        let failure = Failure { detail: detail.to_owned(), is_fatal: false };
        self.outputs.push_back(Output::ReplyFailed { epoch: reply.epoch, failure });
    }

    fn run_tools(&mut self, generation: Generation, calls: Vec<ToolCall>) {
        let Some(reply) = &mut self.reply else { return };
        let mut running = Vec::with_capacity(calls.len());
        for (index, call) in calls.into_iter().enumerate() {
            let wrong = if !self.tools.contains_key(call.name.as_str()) {
                Some("there is no tool of this name")
            } else if call.arguments.is_none() {
                Some("the arguments are not a JSON object")
            } else {
                self.outputs.push_back(Output::RunTool { generation, index, call: call.clone() });
                None
            };
            running.push((call, wrong.map(|text| ToolResult { text: text.to_owned(), is_error: true })));
        }
        reply.phase = Phase::RunningTools(running);
        self.end_round_if_complete();
    }

    pub(super) fn tool_done(&mut self, generation: Generation, index: usize, result: ToolResult) {
        let place = match &mut self.reply {
            Some(reply) if reply.generation() == generation => match &mut reply.phase {
                Phase::RunningTools(calls) => calls.get_mut(index),
                _ => None,
            },
            _ => None,
        };
        match place {
            Some((_, place @ None)) => *place = Some(result),
            _ => return self.refuse("tool_result"),
        }
        self.end_round_if_complete();
    }

    fn end_round_if_complete(&mut self) {
        let Some(reply) = &mut self.reply else { return };
        let Phase::RunningTools(calls) = &mut reply.phase else { return };
        if calls.iter().any(|(_, result)| result.is_none()) {
            return;
        }
        let calls: Vec<_> =
            std::mem::take(calls).into_iter().filter_map(|(call, result)| Some((call, result?))).collect();
        let ends_call = calls.iter().any(|(call, result)| {
            !result.is_error && self.tools.get(call.name.as_str()) == Some(&Effect::Irrevocable)
        });
        let said = std::mem::take(&mut reply.said).trim().to_owned();
        let round = ToolRound { said, calls };
        if ends_call {
            reply.phase = Phase::Ended { goodbye: Some(round) };
            self.outputs.push_back(Output::ReplyDone { epoch: reply.epoch, end_call: true });
        } else {
            self.history.push_round(round);
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
