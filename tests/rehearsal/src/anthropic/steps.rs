//! An answer as the steps of its stream, and as one message.

use serde_json::{Value, json};

use super::check::Request;
use super::reply::Block;
use crate::settings::Dice;

/// Tokens that a thinking model thinks before each answer.
const THINKING_TOKENS: u64 = 48;
/// Those of a tool call besides its arguments.
const TOOL_TOKENS: u64 = 8;

/// One event about a content block.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Start { index: usize, block: Value },
    Delta { index: usize, delta: Value, tokens: u64 },
    Stop { index: usize },
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) stop_reason: &'static str,
    pub(super) stop_sequence: Option<String>,
    pub(super) output_tokens: u64,
}

impl Plan {
    /// Breaks the blocks into deltas, within `max_tokens` and up to the first stop sequence.
    pub(super) fn new(request: &Request, mut blocks: Vec<Block>, dice: &Dice) -> Self {
        let stop_sequence = stop_at(&mut blocks, &request.stop_sequences);
        let calls = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        let mut steps = Vec::new();
        if request.thinks {
            steps.extend(thinking());
        }
        for block in blocks {
            let index = steps.iter().filter(|step| matches!(step, Step::Start { .. })).count();
            match block {
                Block::Text(text) => steps.extend(text_steps(request, index, &text, dice)),
                Block::ToolUse { name, input } => {
                    steps.extend(tool_steps(request, index, &name, &input, dice))
                }
            }
        }
        let stop_reason = match (&stop_sequence, calls) {
            (Some(_), _) => "stop_sequence",
            (None, true) => "tool_use",
            (None, false) => "end_turn",
        };
        let mut plan = Self { output_tokens: tokens(&steps).max(1), steps, stop_reason, stop_sequence };
        if plan.output_tokens > request.max_tokens {
            plan.cut(request.max_tokens);
        }
        plan
    }

    /// Ends in the middle of the last block's deltas, as if the tokens had run out there.
    pub(super) fn cut_in_last_block(&mut self) {
        let last = self.steps.iter().rposition(|step| matches!(step, Step::Start { .. })).unwrap_or(0);
        let before = tokens(&self.steps[..last]);
        self.cut(before + (tokens(&self.steps) - before) / 2);
    }

    fn cut(&mut self, limit: u64) {
        let mut passed = 0;
        let mut open = None;
        let mut kept = Vec::new();
        for step in self.steps.drain(..) {
            match &step {
                Step::Start { index, .. } => open = Some(*index),
                Step::Stop { .. } => open = None,
                Step::Delta { tokens, .. } => passed += tokens,
            }
            if passed > limit {
                break;
            }
            kept.push(step);
        }
        kept.extend(open.map(|index| Step::Stop { index }));
        *self = Self { steps: kept, stop_reason: "max_tokens", stop_sequence: None, output_tokens: limit };
    }

    /// The content of the answer when it is not streamed. A call with broken arguments has none.
    pub(super) fn content(&self) -> Vec<Value> {
        let mut blocks: Vec<Value> = Vec::new();
        let mut arguments = String::new();
        for step in &self.steps {
            match step {
                Step::Start { block, .. } => {
                    arguments.clear();
                    blocks.push(block.clone());
                }
                Step::Delta { delta, .. } => {
                    let Some(block) = blocks.last_mut() else { continue };
                    if let Some(text) = delta["text"].as_str() {
                        block["text"] =
                            json!(format!("{}{text}", block["text"].as_str().unwrap_or_default()));
                    }
                    if let Some(signature) = delta.get("signature") {
                        block["signature"] = signature.clone();
                    }
                    arguments.push_str(delta["partial_json"].as_str().unwrap_or_default());
                }
                Step::Stop { .. } => {
                    if let Some(block) = blocks.last_mut().filter(|block| block["type"] == "tool_use") {
                        block["input"] = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
                    }
                }
            }
        }
        blocks
    }
}

fn tokens(steps: &[Step]) -> u64 {
    steps.iter().map(|step| if let Step::Delta { tokens, .. } = step { *tokens } else { 0 }).sum()
}

/// Cuts the text blocks at the first stop sequence; what follows it is not generated.
fn stop_at(blocks: &mut Vec<Block>, sequences: &[String]) -> Option<String> {
    for index in 0..blocks.len() {
        let Block::Text(text) = &mut blocks[index] else { continue };
        let found =
            sequences.iter().filter_map(|sequence| Some((text.find(sequence.as_str())?, sequence))).min();
        if let Some((at, sequence)) = found {
            text.truncate(at);
            blocks.truncate(index + 1);
            return Some(sequence.clone());
        }
    }
    None
}

fn thinking() -> Vec<Step> {
    let signature = format!("sig{}", uuid::Uuid::new_v4().simple());
    vec![
        Step::Start { index: 0, block: json!({"type": "thinking", "thinking": "", "signature": ""}) },
        Step::Delta {
            index: 0,
            delta: json!({"type": "thinking_delta", "thinking": ""}),
            tokens: THINKING_TOKENS,
        },
        Step::Delta {
            index: 0,
            delta: json!({"type": "signature_delta", "signature": signature}),
            tokens: 0,
        },
        Step::Stop { index: 0 },
    ]
}

/// Deltas of one to three words.
fn text_steps(request: &Request, index: usize, text: &str, dice: &Dice) -> Vec<Step> {
    let mut steps = vec![Step::Start { index, block: json!({"type": "text", "text": ""}) }];
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(1 + (dice.roll() * 3.0) as usize));
        let piece = now.concat();
        let tokens = request.model.tokens(piece.chars().count());
        steps.push(Step::Delta { index, delta: json!({"type": "text_delta", "text": piece}), tokens });
        rest = later;
    }
    steps.push(Step::Stop { index });
    steps
}

/// An empty piece first, then the arguments in pieces cut anywhere. No arguments: nothing but the empty piece.
fn tool_steps(request: &Request, index: usize, name: &str, input: &Value, dice: &Dice) -> Vec<Step> {
    let id = format!("toolu_{}", uuid::Uuid::new_v4().simple());
    let delta = |piece: &str, tokens| Step::Delta {
        index,
        delta: json!({"type": "input_json_delta", "partial_json": piece}),
        tokens,
    };
    let mut steps = vec![
        Step::Start { index, block: json!({"type": "tool_use", "id": id, "name": name, "input": {}}) },
        delta("", TOOL_TOKENS),
    ];
    let arguments: Vec<char> = match input.as_object() {
        Some(fields) if fields.is_empty() => Vec::new(),
        _ => input.to_string().chars().collect(),
    };
    let mut rest = arguments.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(4 + (dice.roll() * 12.0) as usize));
        let piece: String = now.iter().collect();
        steps.push(delta(&piece, request.model.tokens(now.len())));
        rest = later;
    }
    steps.push(Step::Stop { index });
    steps
}
