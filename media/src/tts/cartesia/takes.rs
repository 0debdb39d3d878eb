//! CORE: the takes of a session and what became of their contexts.

use std::collections::BTreeMap;

use super::message::{self, Incoming};
use crate::{
    socket::Outbox,
    tts::{Command, Event, Settings, Take},
};

/// A take that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its context is open.
    Open {
        /// How many of its texts the vendor has not spoken.
        unspoken: u32,
        /// It has no more text.
        finished: bool,
    },
    /// The vendor has ended it, because it was finished or had nothing to say for a while.
    Done,
    /// Cancelled or lost: nothing of it is told any more.
    Over,
}

/// The takes of a session, those of old epochs forgotten.
pub struct Takes {
    settings: Settings,
    states: BTreeMap<Take, State>,
    /// The vendor tells when a text was spoken.
    flushes: bool,
}

impl Takes {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), states: BTreeMap::new(), flushes: false }
    }

    /// What is to be sent for a command.
    pub fn command(&mut self, command: Command, outbox: &mut Outbox<Event>) -> Option<String> {
        match command {
            Command::Speak { take, text } => self.speak(take, &text, outbox),
            Command::Finish { take } => match self.states.get_mut(&take)? {
                State::Open { finished, .. } => {
                    *finished = true;
                    Some(message::generation(&self.settings, &self.context_id(take), "", false))
                }
                State::Done | State::Over => None,
            },
            Command::Cancel { take } => {
                let before = self.states.insert(take, State::Over);
                matches!(before, Some(State::Open { .. })).then(|| message::cancel(&self.context_id(take)))
            }
        }
    }

    /// Turns a message into events; those of contexts that are not open are dropped. Whether the vendor does what it is for,
    /// if the message says so.
    pub fn message(&mut self, text: &str, outbox: &mut Outbox<Event>) -> Option<bool> {
        let message = message::parse(text);
        let works = match &message {
            Incoming::Chunk { .. } => Some(true),
            Incoming::Error { is_requests_own: false, .. } => Some(false),
            _ => None,
        };
        match message {
            Incoming::Chunk { context_id, payload } => {
                if let Some(take) = self.open(&context_id) {
                    outbox.push(Event::Audio { take, payload });
                }
            }
            Incoming::Words { context_id, words } => {
                if let Some(take) = self.open(&context_id) {
                    outbox.push(Event::Words { take, words });
                }
            }
            Incoming::FlushDone { context_id } => {
                self.flushes = true;
                if let Some(take) = self.open(&context_id)
                    && let Some(State::Open { unspoken, .. }) = self.states.get_mut(&take)
                {
                    *unspoken = unspoken.saturating_sub(1);
                }
            }
            Incoming::Done { context_id } => {
                if let Some(take) = self.open(&context_id) {
                    self.done(take, outbox);
                }
            }
            Incoming::Error { context_id, detail, .. } => {
                tracing::warn!(vendor = "cartesia", call_id = self.settings.call_id, detail, "error message");
                match context_id {
                    Some(id) => {
                        if let Some(take) = self.open(&id) {
                            self.lose(take, detail, outbox);
                        }
                    }
                    // It does not say whose it is, and that one will say nothing more.
                    None => self.lose_all(&detail, outbox),
                }
            }
            Incoming::Other => {}
        }
        works
    }

    /// The contexts are gone with their socket.
    pub fn lose_all(&mut self, detail: &str, outbox: &mut Outbox<Event>) {
        let open: Vec<Take> = self.states.keys().copied().filter(|take| self.is_open(*take)).collect();
        for take in open {
            self.lose(take, detail.to_owned(), outbox);
        }
    }

    /// True while the vendor owes a message.
    pub fn is_answer_due(&self) -> bool {
        self.states.values().any(|state| {
            matches!(state, State::Open { unspoken: 1.., .. } | State::Open { finished: true, .. })
        })
    }

    fn speak(&mut self, take: Take, text: &str, outbox: &mut Outbox<Event>) -> Option<String> {
        match self.states.get(&take) {
            Some(State::Over) => return None,
            // The text crossed the end of its context: whether the vendor would take it is not defined.
            Some(State::Done) => {
                self.lose(take, "the context is over".into(), outbox);
                return None;
            }
            Some(State::Open { .. }) => {}
            None => self
                .states
                .retain(|old, state| old.epoch == take.epoch || matches!(state, State::Open { .. })),
        }
        let state = self.states.entry(take).or_insert(State::Open { unspoken: 0, finished: false });
        if let State::Open { unspoken, .. } = state {
            *unspoken += 1;
        }
        let text = message::speakable(text);
        Some(message::generation(&self.settings, &self.context_id(take), &text, true))
    }

    fn done(&mut self, take: Take, outbox: &mut Outbox<Event>) {
        if self.flushes && matches!(self.states.get(&take), Some(State::Open { unspoken: 1.., .. })) {
            return self.lose(take, "the context ended before its last text came".into(), outbox);
        }
        self.states.insert(take, State::Done);
        outbox.push(Event::Done { take });
    }

    fn lose(&mut self, take: Take, detail: String, outbox: &mut Outbox<Event>) {
        self.states.insert(take, State::Over);
        outbox.push(Event::Lost { take, detail });
    }

    fn is_open(&self, take: Take) -> bool {
        matches!(self.states.get(&take), Some(State::Open { .. }))
    }

    /// The take of a context, if it is open.
    fn open(&self, context_id: &str) -> Option<Take> {
        let rest = context_id.strip_prefix(&self.settings.call_id)?.strip_prefix('-')?;
        let (epoch, number) = rest.split_once('t')?;
        let take = Take { epoch: epoch.parse().ok()?, number: number.parse().ok()? };
        self.is_open(take).then_some(take)
    }

    fn context_id(&self, take: Take) -> String {
        format!("{}-{}t{}", self.settings.call_id, take.epoch, take.number)
    }
}
