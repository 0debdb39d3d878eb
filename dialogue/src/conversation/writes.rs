//! Calls that write: made once, kept when their reply is interrupted, answered from memory when they are asked for again.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Conversation, Effect, Generation, ToolCall, ToolResult,
    history::{Place, ToolRound},
    reply::{Progress, Slot},
};

/// Half of a SHA-256: names a request among those of one call.
const DIGEST_BYTES: usize = 16;

/// The writes that the next reply may ask for again.
#[derive(Default)]
pub(super) struct Writes(Vec<Write>);

struct Write {
    digest: String,
    key: String,
    state: State,
}

enum State {
    Running(Generation, usize),
    Done(ToolResult),
    /// May be tried again, under the same key: perhaps only the answer was lost.
    Failed,
}

/// What becomes of a request to write.
pub(super) enum Begun {
    /// It was not made before, or failed: make it.
    New(String),
    /// It runs.
    Running(String),
    /// It was made.
    Done(ToolResult),
}

/// A round of an interrupted reply that waits for its writes.
pub(super) struct LateRound {
    place: Place,
    slots: Vec<Slot>,
}

/// Names a request within the call: the same for the same tool and arguments, asked for in the same epoch.
pub(super) fn request_key(epoch: i64, call: &ToolCall) -> String {
    format!("{epoch}:{}:{}", call.name, digest(call))
}

fn digest(call: &ToolCall) -> String {
    let mut arguments = Value::Object(call.arguments.clone().unwrap_or_default());
    arguments.sort_all_objects();
    let hash = Sha256::digest(format!("{}\0{arguments}", call.name));
    hash.iter().take(DIGEST_BYTES).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Writes {
    /// Begins a write, unless the same one was begun before.
    pub(super) fn begin(&mut self, generation: Generation, index: usize, call: &ToolCall) -> Begun {
        let digest = digest(call);
        let Some(write) = self.0.iter_mut().find(|write| write.digest == digest) else {
            let key = request_key(generation.epoch, call);
            self.0.push(Write { digest, key: key.clone(), state: State::Running(generation, index) });
            return Begun::New(key);
        };
        match &write.state {
            State::Done(result) => Begun::Done(result.clone()),
            State::Running(..) => Begun::Running(write.key.clone()),
            State::Failed => {
                write.state = State::Running(generation, index);
                Begun::New(write.key.clone())
            }
        }
    }

    /// Ends the write that runs as this call; returns its key.
    fn finish(&mut self, generation: Generation, index: usize, result: &ToolResult) -> Option<String> {
        let runs_as =
            |write: &&mut Write| matches!(write.state, State::Running(g, i) if (g, i) == (generation, index));
        let write = self.0.iter_mut().find(runs_as)?;
        write.state = if result.is_error { State::Failed } else { State::Done(result.clone()) };
        Some(write.key.clone())
    }

    /// The caller heard what came of the writes so far: the next request is a new one.
    pub(super) fn forget_finished(&mut self) {
        self.0.retain(|write| matches!(write.state, State::Running(..)));
    }
}

impl Conversation {
    /// Takes the result of a write, whether its reply goes on or not. False when no write runs as this call.
    pub(super) fn write_done(&mut self, generation: Generation, index: usize, result: &ToolResult) -> bool {
        let Some(key) = self.writes.finish(generation, index, result) else { return false };
        let open = self.reply.iter_mut().flat_map(|reply| reply.slots());
        for slot in self.late_rounds.iter_mut().flat_map(|round| &mut round.slots).chain(open) {
            if matches!(&slot.progress, Progress::Writing(waits_for) if *waits_for == key) {
                slot.progress = Progress::Back(result.clone());
            }
        }
        self.fill_late_rounds();
        true
    }

    /// An interrupted round keeps the writes that it made, and the results that are back; without a write it is dropped.
    pub(super) fn keep_writes(&mut self, said: String, mut slots: Vec<Slot>) {
        slots.retain(|slot| match &slot.progress {
            Progress::Back(_) => self.effect(&slot.call) != Some(Effect::Irrevocable),
            Progress::Writing(_) => true,
            Progress::Running | Progress::Held => false,
        });
        if slots.iter().any(|slot| self.effect(&slot.call) == Some(Effect::WriteOnce)) {
            let place = self.history.reserve(said);
            self.late_rounds.push(LateRound { place, slots });
            self.fill_late_rounds();
        }
    }

    /// The same, for a round that is complete.
    pub(super) fn keep_writes_of(&mut self, round: ToolRound) {
        let back = |(call, result)| Slot { call, progress: Progress::Back(result) };
        self.keep_writes(round.said, round.calls.into_iter().map(back).collect());
    }

    fn fill_late_rounds(&mut self) {
        let is_complete = |round: &mut LateRound| round.slots.iter().all(Slot::is_back);
        for LateRound { place, slots } in self.late_rounds.extract_if(.., is_complete) {
            self.history.fill(place, slots.into_iter().filter_map(Slot::into_call).collect());
        }
    }

    pub(super) fn effect(&self, call: &ToolCall) -> Option<Effect> {
        self.tools.get(call.name.as_str()).copied()
    }
}
