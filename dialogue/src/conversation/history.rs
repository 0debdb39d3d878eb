//! What was said, in a shape that cannot be malformed: a tool call lives in a round with its result, and caller and agent
//! take turns. The agent's words are those that the caller heard.

use super::{ToolCall, ToolResult};

/// Stands where the Messages API wants a user's words and the caller has said none: the agent spoke first.
pub const CALL_ANSWERED: &str = "[the call was answered]";
/// Stands in place of words that the model refused to read: it would refuse the whole history for their sake.
pub const REFUSED: &str = "[the caller asked for something that cannot be answered]";
/// Ends the agent's words where the caller cut them off.
pub const CUT_MARK: char = '—';

/// A conversation so far.
#[derive(Clone, Default)]
pub struct History {
    exchanges: Vec<Exchange>,
}

/// The caller's words and what came of them.
#[derive(Clone)]
struct Exchange {
    /// One piece for each turn of the caller; never empty.
    caller: Vec<String>,
    rounds: Vec<ToolRound>,
    /// How many rounds were closed: what is said in them is what was heard.
    closed: usize,
    /// What was heard after the last round.
    agent: Option<String>,
}

/// One message of the model that called tools, with every result.
#[derive(Clone)]
pub(super) struct ToolRound {
    /// What was said before the calls: sent while the reply is open, heard once it is closed.
    pub(super) said: String,
    /// Empty only while the results of a round that outlives its reply are on their way: it is words until then.
    pub(super) calls: Vec<(ToolCall, ToolResult)>,
}

/// Where a round stands whose results are on their way.
#[derive(Clone, Copy)]
pub(super) struct Place {
    exchange: usize,
    round: usize,
}

/// Who a message is from, in the language model's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The caller, and the results of tools.
    User,
    /// The agent.
    Assistant,
}

/// A piece of a message.
#[derive(Clone, Copy)]
pub enum Block<'a> {
    /// Words; never empty.
    Text(&'a str),
    /// The model called a tool.
    ToolUse(&'a ToolCall),
    /// What the call with this id gave.
    ToolResult(&'a str, &'a ToolResult),
}

/// Begins a turn that is to be answered in another language than those before.
const SPEAK: &str = "[speak ";
const SPOKEN: &str = " from here on, in its own script] ";

/// A turn of the caller's as the model reads it, if it is the first that is to be answered in this language.
pub(super) fn in_language(text: &str, language: &str) -> String {
    format!("{SPEAK}{language}{SPOKEN}{text}")
}

/// What stands in place of a turn that the model refused to read; its language stays.
pub(super) fn refused(text: &str) -> String {
    let language = text.strip_prefix(SPEAK).and_then(|rest| rest.split_once(SPOKEN));
    language.map_or_else(|| REFUSED.to_owned(), |(language, _)| in_language(REFUSED, language))
}

impl History {
    /// Messages for the model, in turns; the first is the user's.
    pub fn messages(&self) -> Vec<(Role, Vec<Block<'_>>)> {
        let mut messages: Vec<(Role, Vec<Block<'_>>)> = Vec::new();
        let mut push = |role: Role, block| match messages.last_mut() {
            Some((last, blocks)) if *last == role => blocks.push(block),
            _ => messages.push((role, vec![block])),
        };
        for exchange in &self.exchanges {
            exchange.caller.iter().for_each(|text| push(Role::User, Block::Text(text)));
            for round in &exchange.rounds {
                if !round.said.is_empty() {
                    push(Role::Assistant, Block::Text(&round.said));
                }
                round.calls.iter().for_each(|(call, _)| push(Role::Assistant, Block::ToolUse(call)));
                round
                    .calls
                    .iter()
                    .for_each(|(call, result)| push(Role::User, Block::ToolResult(&call.id, result)));
            }
            if let Some(agent) = &exchange.agent {
                push(Role::Assistant, Block::Text(agent));
            }
        }
        messages
    }

    /// How many blocks at the end are new since the model was asked last.
    pub fn newest_block_count(&self) -> usize {
        let newest = self.exchanges.last();
        newest.map_or(0, |exchange| exchange.rounds.last().map_or(1, |round| round.calls.len()))
    }

    /// Adds a turn of the caller; merges it with one that was never answered.
    pub(super) fn push_caller(&mut self, text: &str) {
        let text = text.trim().to_owned();
        match self.exchanges.last_mut() {
            Some(last) if last.agent.is_none() && last.rounds.is_empty() => last.caller.push(text),
            _ => self.exchanges.push(Exchange {
                caller: vec![text],
                rounds: Vec::new(),
                closed: 0,
                agent: None,
            }),
        }
    }

    /// Adds a round of tools to the open reply.
    pub(super) fn push_round(&mut self, round: ToolRound) {
        if let Some(open) = self.exchanges.last_mut() {
            open.rounds.push(round);
        }
    }

    /// Adds a round to the open reply whose results come later, with [`Self::fill`].
    pub(super) fn reserve(&mut self, said: String) -> Place {
        self.push_round(ToolRound { said, calls: Vec::new() });
        let round = self.exchanges.last().map_or(0, |open| open.rounds.len().saturating_sub(1));
        Place { exchange: self.exchanges.len().saturating_sub(1), round }
    }

    /// Completes a round whose results came after the reply was over.
    pub(super) fn fill(&mut self, place: Place, calls: Vec<(ToolCall, ToolResult)>) {
        let exchange = self.exchanges.get_mut(place.exchange);
        if let Some(round) = exchange.and_then(|exchange| exchange.rounds.get_mut(place.round)) {
            round.calls = calls;
        }
    }

    /// Gives a call of the newest exchange another result than it had.
    pub(super) fn answer(&mut self, call_id: &str, result: ToolResult) {
        let calls = self.exchanges.last_mut().into_iter().flat_map(|open| &mut open.rounds);
        if let Some((_, old)) = calls.flat_map(|round| &mut round.calls).rfind(|(call, _)| call.id == call_id)
        {
            *old = result;
        }
    }

    /// Closes the open reply: its words become what was heard of them.
    pub(super) fn close(&mut self, heard: &str, interrupted: bool) {
        let Some(open) = self.exchanges.last_mut() else { return };
        let mut rest = heard.trim();
        for round in open.rounds.iter_mut().skip(open.closed) {
            let (said, after) = split_after_words(rest, round.said.split_whitespace().count());
            round.said = said.to_owned();
            rest = after;
        }
        open.closed = open.rounds.len();
        if !rest.is_empty() {
            // Words of a reply that went on after its last call took effect.
            let before = open.agent.take().map(|before| before + " ").unwrap_or_default();
            open.agent = Some(before + rest);
        }
        if interrupted && !heard.trim().is_empty() {
            let spoken = open.rounds.iter_mut().map(|round| &mut round.said).chain(open.agent.as_mut());
            if let Some(last) = spoken.filter(|text| !text.is_empty()).last() {
                mark_cut(last);
            }
        }
    }

    /// Adds words that the agent said without being asked: a greeting, a question whether the caller is still there.
    pub(super) fn push_unasked(&mut self, heard: &str, interrupted: bool) {
        let mut text = heard.trim().to_owned();
        if text.is_empty() {
            return;
        }
        if interrupted {
            mark_cut(&mut text);
        }
        if self.exchanges.is_empty() {
            self.push_caller(CALL_ANSWERED);
        }
        if let Some(last) = self.exchanges.last_mut() {
            let before = last.agent.take().map(|before| before + " ").unwrap_or_default();
            last.agent = Some(before + &text);
        }
    }

    /// Takes out the newest words of the caller, which the model refused to read.
    pub(super) fn redact_newest_caller(&mut self) {
        if let Some(text) = self.exchanges.last_mut().and_then(|last| last.caller.last_mut()) {
            *text = refused(text);
        }
    }
}

fn mark_cut(text: &mut String) {
    if !text.ends_with(CUT_MARK) {
        text.push(CUT_MARK);
    }
}

/// The first `count` words of `text`, and what follows them.
fn split_after_words(text: &str, count: usize) -> (&str, &str) {
    let mut rest = text;
    for _ in 0..count {
        rest = rest.trim_start();
        rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..];
    }
    (text[..text.len() - rest.len()].trim(), rest.trim())
}
