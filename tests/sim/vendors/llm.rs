//! A language model: writes words that name themselves, calls tools, and is sometimes slow, stuck or out of service.

use std::time::Duration;

use dialogue::conversation::{Block, Failure, Generation, History, Input, Role, Stop, ToolCall};
use serde_json::{Map, Value};

use crate::{
    chance::Chance,
    hub::{Event, Hub},
    plan::{Plan, Vendor},
    words::Owner,
};

/// What was in the queue when a request was aborted still comes.
const IN_THE_QUEUE: Duration = Duration::from_millis(40);

/// Something that a request will give unless it is aborted.
pub struct LlmEvent {
    run: u64,
    input: Input,
}

/// The vendor.
pub struct Llm {
    chance: Chance,
    run: u64,
    aborted: Option<Duration>,
    newest: Option<Generation>,
    calls: u64,
    /// A write that the model means to make until it sees its result.
    open_write: Option<String>,
    writes: u64,
}

impl Llm {
    /// Nothing was asked.
    pub fn new(plan: &Plan) -> Self {
        Self {
            chance: Chance::new(plan.seed, 7),
            run: 0,
            aborted: None,
            newest: None,
            calls: 0,
            open_write: None,
            writes: 0,
        }
    }

    /// The request is not wanted any more.
    pub fn abort(&mut self, hub: &Hub) {
        self.aborted.get_or_insert(hub.now);
    }

    /// What a request gives now. With `stale` what an aborted one gives goes to the newest.
    pub fn deliver(&mut self, event: LlmEvent, stale: bool, hub: &Hub) -> Option<Input> {
        let LlmEvent { run, input } = event;
        let current = run == self.run && self.aborted.is_none();
        let late = run == self.run && self.aborted.is_some_and(|at| hub.now <= at + IN_THE_QUEUE);
        match input {
            input if current || late => Some(input),
            Input::Text(_, text) if stale => Some(Input::Text(self.newest?, text)),
            _ => None,
        }
    }

    /// Asks for a reply.
    pub fn generate(
        &mut self,
        generation: Generation,
        history: &History,
        may_use_tools: bool,
        hub: &mut Hub,
    ) {
        self.run += 1;
        self.aborted = None;
        self.newest = Some(generation);
        let gone = hub.plan.gone.is_some_and(|(vendor, at)| vendor == Vendor::Llm && hub.now >= at);
        let fails = hub.plan.often(0.005, 0.03, 0.08);
        let slow = hub.plan.often(0.01, 0.06, 0.12);
        let mut at = hub.now
            + if self.chance.happens(slow) { self.chance.ms(1_500, 7_500) } else { self.chance.ms(150, 800) };
        if gone || self.chance.happens(fails) {
            let failure = Failure { detail: "out of service".into(), is_fatal: gone };
            return self.later(at, Input::Failed(generation, failure), hub);
        }
        let call = may_use_tools.then(|| self.tool(generation, history)).flatten();
        let ends = call.as_ref().is_some_and(|call| call.name == "end_call");
        let words = match &call {
            Some(_) if !ends && self.chance.happens(0.5) => 0,
            Some(_) => self.chance.number(2, 8),
            None if self.chance.happens(hub.plan.often(0.0, 0.01, 0.02)) => 0,
            None => self.chance.number(1, 30),
        };
        at = self.text(generation, words, at, hub);
        if self.chance.happens(fails / 2.0) {
            let failure = Failure { detail: "broke off".into(), is_fatal: false };
            return self.later(at, Input::Failed(generation, failure), hub);
        }
        match call {
            Some(call) => {
                self.later(at, Input::ToolStarted(generation), hub);
                at += self.chance.ms(30, 300);
                self.later(at, Input::Finished(generation, Stop::ToolUse, vec![call]), hub);
            }
            None => self.later(at, Input::Finished(generation, Stop::EndOfTurn, Vec::new()), hub),
        }
    }

    fn later(&self, at: Duration, input: Input, hub: &mut Hub) {
        hub.at(at, Event::Llm(LlmEvent { run: self.run, input }));
    }

    /// Writes so many words; returns when it has.
    fn text(&mut self, generation: Generation, words: u64, mut at: Duration, hub: &mut Hub) -> Duration {
        let mut left = words;
        let mut in_sentence = 0;
        while left > 0 {
            let count = self.chance.number(1, 4).min(left);
            left -= count;
            let mut delta = String::new();
            for n in 0..count {
                in_sentence += 1;
                delta.push_str(&hub.truth.words.make(Owner::Reply(generation.epoch)));
                if (left == 0 && n + 1 == count) || (in_sentence > 4 && self.chance.happens(0.2)) {
                    delta.push('.');
                    in_sentence = 0;
                } else if in_sentence > 2 && self.chance.happens(0.2) {
                    delta.push(',');
                }
                delta.push(' ');
            }
            self.later(at, Input::Text(generation, delta), hub);
            let stuck = hub.plan.often(0.0, 0.003, 0.01);
            at += if self.chance.happens(stuck) {
                self.chance.ms(1_000, 9_000)
            } else {
                self.chance.ms(10, 90)
            };
        }
        at
    }

    /// The tool that it wants, if any.
    fn tool(&mut self, generation: Generation, history: &History) -> Option<ToolCall> {
        let messages = history.messages();
        let last_words = messages.iter().rev().find_map(|(role, blocks)| {
            let text =
                blocks.iter().rev().find_map(|b| if let Block::Text(text) = b { Some(*text) } else { None });
            text.filter(|_| *role == Role::User)
        });
        if last_words.is_some_and(|words| words.contains("goodbye")) && self.chance.happens(0.8) {
            return Some(self.call("end_call", Map::new()));
        }
        if let Some(what) = self.open_write.clone() {
            if is_done(history, &what) {
                self.open_write = None;
            } else if self.chance.happens(0.7) {
                return Some(self.book(what));
            }
        }
        let often = if generation.round == 0 { 1 } else { 3 };
        match self.chance.number(0, 99) * often {
            0..=14 => Some(self.call("search", Map::new())),
            15..=29 => {
                self.writes += 1;
                let what = format!("order {}", self.writes);
                self.open_write = Some(what.clone());
                Some(self.book(what))
            }
            _ => None,
        }
    }

    fn book(&mut self, what: String) -> ToolCall {
        self.call("book", Map::from_iter([("what".to_owned(), Value::String(what))]))
    }

    fn call(&mut self, name: &str, arguments: Map<String, Value>) -> ToolCall {
        self.calls += 1;
        ToolCall { id: format!("call_{}", self.calls), name: name.to_owned(), arguments: Some(arguments) }
    }
}

/// True if the history holds the result of this write.
fn is_done(history: &History, what: &str) -> bool {
    let messages = history.messages();
    let blocks: Vec<&Block<'_>> = messages.iter().flat_map(|(_, blocks)| blocks).collect();
    let ids: Vec<&str> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::ToolUse(call) => {
                let of = call.arguments.as_ref().and_then(|a| a.get("what")).and_then(Value::as_str);
                (of == Some(what)).then_some(call.id.as_str())
            }
            _ => None,
        })
        .collect();
    blocks
        .iter()
        .any(|block| matches!(block, Block::ToolResult(id, result) if ids.contains(id) && !result.is_error))
}
