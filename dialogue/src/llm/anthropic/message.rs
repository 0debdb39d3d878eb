//! CORE: the events of one streamed message to text, tool calls and usage.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::failure::{self, VendorError};
use crate::{
    conversation::{Stop, ToolCall},
    llm::{Event, Failure, Usage, sse::Frame},
};

/// The vendor tells what an answer cost at its end; of one that is cut off before, this many characters count as a token.
const TOKEN_CHARS: u64 = 4;

/// More characters and blocks than any answer has: what goes on after them is not one.
const CHARS_MAX: u64 = 1 << 20;
const BLOCKS_MAX: usize = 256;

/// A message in the making.
#[derive(Default)]
pub(super) struct Message {
    /// By the vendor's index: blocks may overlap.
    blocks: BTreeMap<u64, Block>,
    calls: BTreeMap<u64, ToolCall>,
    stop: Option<Stop>,
    usage: Usage,
    /// What came of the answer, in words and arguments.
    chars: u64,
    output_is_known: bool,
    is_finished: bool,
}

enum Block {
    Text,
    ToolUse {
        id: String,
        name: String,
        json: String,
    },
    /// Thinking, and whatever the vendor adds.
    Other,
}

/// The events that matter; the vendor adds others, which are passed over.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire {
    MessageStart {
        message: WireMessage,
    },
    ContentBlockStart {
        index: u64,
        content_block: WireBlock,
    },
    ContentBlockDelta {
        index: u64,
        delta: WireDelta,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        delta: WireStop,
        #[serde(default)]
        usage: WireUsage,
    },
    MessageStop,
    Error {
        error: VendorError,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct WireMessage {
    #[serde(default)]
    usage: WireUsage,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireBlock {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireDelta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct WireStop {
    stop_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Message {
    /// Takes an event of the stream.
    pub(super) fn handle(&mut self, frame: &Frame) -> Result<Option<Event>, Failure> {
        if self.chars > CHARS_MAX || self.blocks.len() + self.calls.len() > BLOCKS_MAX {
            return Err(failure::transient("the model's answer does not end"));
        }
        let wire = serde_json::from_str(&frame.data)
            .map_err(|_| failure::transient("the model sent an event that cannot be read"))?;
        Ok(match wire {
            Wire::MessageStart { message } => {
                self.overwrite_usage(&message.usage);
                None
            }
            Wire::ContentBlockStart { index, content_block } => self.start_block(index, content_block),
            Wire::ContentBlockDelta { index, delta } => self.extend_block(index, delta),
            Wire::ContentBlockStop { index } => {
                self.stop_block(index);
                None
            }
            Wire::MessageDelta { delta, usage } => {
                self.overwrite_usage(&usage);
                self.output_is_known |= usage.output_tokens.is_some();
                self.stop = delta.stop_reason.as_deref().map(stop).or(self.stop);
                None
            }
            Wire::MessageStop => Some(self.finish()),
            Wire::Error { error } => return Err(failure::of_event(&error)),
            Wire::Other => None,
        })
    }

    /// True once the message is complete; a stream that ends before failed.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// What it cost so far: as the vendor says, or estimated where the vendor had not come to say it.
    pub(super) fn usage(&self) -> Usage {
        if self.output_is_known {
            return self.usage;
        }
        Usage { output: self.usage.output.max(self.chars.div_ceil(TOKEN_CHARS)), ..self.usage }
    }

    fn count(&mut self, text: &str) {
        self.chars += text.chars().count() as u64;
    }

    fn start_block(&mut self, index: u64, block: WireBlock) -> Option<Event> {
        let (block, event) = match block {
            WireBlock::Text { text } => {
                self.count(&text);
                (Block::Text, spoken(text))
            }
            WireBlock::ToolUse { id, name } => {
                (Block::ToolUse { id, name, json: String::new() }, Some(Event::ToolStarted))
            }
            WireBlock::Other => (Block::Other, None),
        };
        self.blocks.insert(index, block);
        event
    }

    fn extend_block(&mut self, index: u64, delta: WireDelta) -> Option<Event> {
        if let WireDelta::TextDelta { text } | WireDelta::InputJsonDelta { partial_json: text } = &delta {
            self.count(text);
        }
        match (self.blocks.get_mut(&index)?, delta) {
            (Block::Text, WireDelta::TextDelta { text }) => spoken(text),
            (Block::ToolUse { json, .. }, WireDelta::InputJsonDelta { partial_json }) => {
                json.push_str(&partial_json);
                None
            }
            _ => None,
        }
    }

    fn stop_block(&mut self, index: u64) {
        if let Some(Block::ToolUse { id, name, json }) = self.blocks.remove(&index) {
            let arguments = if json.trim().is_empty() {
                Some(serde_json::Map::new())
            } else {
                match serde_json::from_str(&json) {
                    Ok(Value::Object(arguments)) => Some(arguments),
                    _ => None,
                }
            };
            self.calls.insert(index, ToolCall { id, name, arguments });
        }
    }

    fn finish(&mut self) -> Event {
        self.is_finished = true;
        let stop = self.stop.unwrap_or(Stop::EndOfTurn);
        // Only a stop for the sake of tools says that their arguments are complete.
        let calls = if stop == Stop::ToolUse { std::mem::take(&mut self.calls) } else { BTreeMap::new() };
        Event::Finished(stop, calls.into_values().collect())
    }

    /// Counts are cumulative; one that is absent keeps its value.
    fn overwrite_usage(&mut self, usage: &WireUsage) {
        let overwrite = |count: &mut u64, value: Option<u64>| *count = value.unwrap_or(*count);
        overwrite(&mut self.usage.input, usage.input_tokens);
        overwrite(&mut self.usage.cache_write, usage.cache_creation_input_tokens);
        overwrite(&mut self.usage.cache_read, usage.cache_read_input_tokens);
        overwrite(&mut self.usage.output, usage.output_tokens);
    }
}

fn spoken(text: String) -> Option<Event> {
    (!text.is_empty()).then(|| Event::Text(text.into()))
}

fn stop(reason: &str) -> Stop {
    match reason {
        "tool_use" => Stop::ToolUse,
        "max_tokens" | "model_context_window_exceeded" => Stop::TokenLimit,
        "refusal" => Stop::Refusal,
        _ => Stop::EndOfTurn,
    }
}
