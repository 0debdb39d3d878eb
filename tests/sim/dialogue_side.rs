//! Dialogue: the conversation with its segments, and as much of a shell as it needs: one model, some tools.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dialogue::conversation::{Conversation, Effect, Generation, Input, Output, ToolCall, ToolResult};
use media::pipeline;
use proto::types::v1::EndReason;

use crate::{
    chance::Chance,
    hub::{Event, Hub, Line},
    invariants::Invariant,
    mutations::Mutation,
    vendors::llm::Llm,
    words::Owner,
};

/// What media tells dialogue.
pub enum ToDialogue {
    /// Something for the conversation.
    Input(Input),
    /// The call is over.
    Stop,
}

/// What dialogue tells media.
pub type FromDialogue = pipeline::Input;

/// A tool that gives no result for so long has failed.
const TOOL_TIMEOUT: Duration = Duration::from_secs(10);

/// Dialogue's part of the call.
pub struct DialogueSide {
    conversation: Conversation,
    llm: Llm,
    chance: Chance,
    /// Epochs that the conversation was told are over.
    dead: BTreeSet<i64>,
    tentative: Option<(i64, String)>,
    /// The caller's turns that were certain.
    turns: Vec<String>,
    /// What was written, under which key.
    books: BTreeMap<String, String>,
    /// Tools that run, and whether they are stopped with their reply.
    running: BTreeMap<(Generation, usize), bool>,
    stopped: bool,
}

impl DialogueSide {
    /// The conversation is open.
    pub fn new(hub: &Hub) -> Self {
        let tools = BTreeMap::from([
            ("book", Effect::WriteOnce),
            ("end_call", Effect::Irrevocable),
            ("search", Effect::Read),
        ]);
        Self {
            conversation: Conversation::new(tools, 0),
            llm: Llm::new(&hub.plan),
            chance: Chance::new(hub.plan.seed, 5),
            dead: BTreeSet::new(),
            tentative: None,
            turns: Vec::new(),
            books: BTreeMap::new(),
            running: BTreeMap::new(),
            stopped: false,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, hub: &mut Hub) {
        let input = match event {
            Event::ToDialogue(ToDialogue::Stop) => {
                self.stopped = true;
                return;
            }
            Event::ToDialogue(ToDialogue::Input(input)) => {
                self.note(&input);
                input
            }
            Event::Llm(event) => {
                let stale = hub.breaks(Mutation::StaleSegments);
                let Some(input) = self.llm.deliver(event, stale, hub) else { return };
                input
            }
            Event::ToolDone(generation, index, result) => {
                if self.running.remove(&(generation, index)).is_none() {
                    return;
                }
                Input::ToolDone(generation, index, result)
            }
            _ => return,
        };
        if self.stopped {
            return;
        }
        self.conversation.handle(input, hub.instant());
        while let Some(output) = self.conversation.poll() {
            self.perform(output, hub);
        }
    }

    /// The call is over: the books are compared.
    pub fn finish(&mut self, hub: &mut Hub) {
        hub.truth.finish(self.conversation.history(), &self.turns, hub.now);
    }

    /// What the conversation was told, in books of our own.
    fn note(&mut self, input: &Input) {
        match input {
            Input::UserTurn { epoch, text, tentative, .. } => {
                if let Some((before, _)) = self.tentative.take() {
                    self.dead.insert(before);
                }
                if *tentative {
                    self.tentative = Some((*epoch, text.clone()));
                } else {
                    self.turns.push(text.clone());
                    self.dead.extend(0..*epoch);
                }
            }
            Input::Confirm { epoch } => {
                if let Some((_, text)) = self.tentative.take_if(|(of, _)| of == epoch) {
                    self.turns.push(text);
                }
            }
            Input::Cancel { epoch } | Input::Heard { epoch, interrupted: true, .. } => {
                self.tentative.take_if(|(of, _)| of == epoch);
                self.dead.insert(*epoch);
            }
            _ => {}
        }
    }

    fn refuse_dead(&self, what: &str, epoch: i64, hub: &mut Hub) {
        if self.dead.contains(&epoch) {
            let detail = format!("{what} of reply {epoch}, which dialogue knew was over");
            hub.truth.violate(Invariant::NoStaleEffect, hub.now, detail);
        }
    }

    fn perform(&mut self, output: Output, hub: &mut Hub) {
        match output {
            Output::Generate { generation, may_use_tools } => {
                self.refuse_dead("a request to the model", generation.epoch, hub);
                let history = self.conversation.context();
                hub.truth.asked_with(generation.epoch, &history);
                hub.log("dialogue", || format!("asks for {generation:?}"));
                self.llm.generate(generation, &history, may_use_tools, hub);
            }
            Output::Abort { epoch } | Output::Discard { epoch } => {
                hub.log("dialogue", || format!("aborts {epoch}"));
                self.llm.abort(hub);
                self.running.retain(|_, stops| !*stops);
            }
            Output::RunTool { generation, index, call, key } => {
                self.refuse_dead("a tool", generation.epoch, hub);
                self.run_tool(generation, index, &call, key, hub);
            }
            Output::Segment { epoch, text, .. } => {
                self.refuse_dead("a segment", epoch, hub);
                for word in hub.truth.words.of_text(&text).collect::<Vec<_>>() {
                    if word.owner != Owner::Reply(epoch) {
                        let detail = format!("a word of {:?} was sent for reply {epoch}", word.owner);
                        hub.truth.violate(Invariant::NoStaleEffect, hub.now, detail);
                    }
                }
                self.send(pipeline::Input::Segment { epoch, text }, hub);
            }
            Output::ReplyDone { epoch, last_call } => {
                let then = last_call.map(|_| pipeline::Then::HangUp(EndReason::AgentHangup));
                if then.is_some() {
                    hub.truth.ends_call(epoch);
                }
                self.send(pipeline::Input::ReplyDone { epoch, then }, hub);
            }
            Output::ReplyFailed { epoch, failure } => {
                hub.counts.failed_replies += 1;
                let (apology, detail) = (hub.truth.apology.clone(), failure.detail);
                let failed = pipeline::Input::ReplyFailed { epoch, apology, detail, fatal: failure.is_fatal };
                self.send(failed, hub);
            }
            Output::Language { epoch, tag } => self.send(pipeline::Input::Language { epoch, tag }, hub),
            Output::FirstToken { epoch, .. } => self.send(pipeline::Input::FirstToken { epoch }, hub),
            Output::Refused { what } => *hub.counts.refused.entry(what).or_default() += 1,
            Output::RefusedEffect { kind } => *hub.counts.refused.entry(kind).or_default() += 1,
            Output::Confirmed { .. } => {}
        }
    }

    fn send(&mut self, input: FromDialogue, hub: &mut Hub) {
        hub.send(Line::DialogueToMedia, Event::FromDialogue(input));
    }

    fn run_tool(
        &mut self,
        generation: Generation,
        index: usize,
        call: &ToolCall,
        key: String,
        hub: &mut Hub,
    ) {
        let writes = call.name == "book";
        *hub.counts
            .tools
            .entry(
                ["reads", "writes", "goodbyes"][match call.name.as_str() {
                    "search" => 0,
                    "book" => 1,
                    _ => 2,
                }],
            )
            .or_default() += 1;
        hub.log("dialogue", || format!("runs {} of {generation:?} as {key}", call.name));
        hub.truth.tool_runs(generation.epoch, writes, hub.now);
        let fails = self.chance.happens(hub.plan.often(0.01, 0.06, 0.15));
        let slow = hub.plan.often(0.02, 0.08, 0.15);
        let delay = match call.name.as_str() {
            "end_call" => Duration::ZERO,
            _ if self.chance.happens(slow) => self.chance.ms(2_000, 12_000),
            _ => self.chance.ms(50, 900),
        };
        let (delay, late) = if delay > TOOL_TIMEOUT { (TOOL_TIMEOUT, true) } else { (delay, false) };
        let mut is_error = (fails && call.name != "end_call") || late;
        if writes && !is_error {
            let what = call.arguments.iter().flat_map(|a| a.get("what")).filter_map(|w| w.as_str()).next();
            let what = what.unwrap_or_default().to_owned();
            let forgets = hub.breaks(Mutation::ForgetWrites);
            if forgets || self.books.get(&what) != Some(&key) {
                hub.truth.written(&what, hub.now);
            }
            self.books.insert(what, key);
            is_error = forgets;
        }
        self.running.insert((generation, index), !writes);
        let result = ToolResult { text: if is_error { "failed" } else { "done" }.into(), is_error };
        hub.after(delay, Event::ToolDone(generation, index, result));
    }
}
