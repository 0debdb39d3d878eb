//! CORE: the takes of a session, and which line speaks for which.
//!
//! A line speaks for one take at a time: what it is given up to one flush is a part, and no more is sent before the
//! vendor has said that the part is over. Text that comes meanwhile is the next part, on whichever line is free.

use std::collections::{BTreeMap, VecDeque};

use super::{
    message::{self, Incoming},
    share,
    spoken::spoken,
};
use crate::{
    socket::{Outbox, is_requests_own},
    tts::{Command, Event, Settings, Take},
};

/// The vendor's recommendation for one message.
const PART_CHARS_MAX: usize = 500;
/// How long a take that is over is remembered, since commands for it may still be on their way.
const REMEMBERED_EPOCHS: i64 = 8;
/// The names of the language's field, the usual one first.
const LANGUAGE_FIELDS: [&str; 2] = ["target_language_code", "language_code"];

/// A socket of the session.
pub type Line = u32;

/// What is to be done with the lines.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send {
        /// Where.
        line: Line,
        /// What.
        text: String,
    },
    /// Close a line of which nothing more is wanted.
    Close(Line),
    /// Open one more.
    Dial,
    /// The vendor refuses us for good.
    Refused(String),
    /// The vendor does not take what this call asks of it.
    Unfit(String),
}

/// A take that was begun.
#[derive(Debug)]
enum State {
    Open(Speech),
    /// All of it was spoken.
    Done,
    /// Cancelled or lost: nothing of it is told any more.
    Over,
}

#[derive(Debug, Default)]
struct Speech {
    /// Text that was not sent.
    waiting: String,
    /// What is being spoken.
    part: Option<Part>,
    /// Bytes of audio that came.
    received: usize,
    /// No more text comes.
    finished: bool,
}

#[derive(Debug)]
struct Part {
    line: Line,
    text: String,
    /// Bytes of the take's audio before it.
    from: usize,
}

/// The takes of a session, those of old epochs forgotten, and its lines.
pub struct Takes {
    settings: Settings,
    states: BTreeMap<Take, State>,
    /// Which take each line speaks for.
    lines: BTreeMap<Line, Option<Take>>,
    dialling: bool,
    language_field: usize,
    /// The one that the last dialled line was configured with.
    dialled_field: usize,
    outputs: VecDeque<Output>,
}

impl Takes {
    /// None yet; the first line is wanted before it is needed.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            states: BTreeMap::new(),
            lines: BTreeMap::new(),
            dialling: true,
            language_field: 0,
            dialled_field: 0,
            outputs: VecDeque::from([Output::Dial]),
        }
    }

    /// The first message of the line that is dialled next.
    pub fn config(&mut self) -> String {
        self.dialled_field = self.language_field;
        message::config(&self.settings, LANGUAGE_FIELDS[self.language_field])
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes a command of the session.
    pub fn command(&mut self, command: Command, outbox: &mut Outbox<Event>) {
        match command {
            Command::Speak { take, text } => self.speak(take, &text, outbox),
            Command::Finish { take } => {
                if let Some(State::Open(speech)) = self.states.get_mut(&take) {
                    speech.finished = true;
                    self.advance(take, outbox);
                }
            }
            Command::Cancel { take } => {
                if let Some(State::Open(Speech { part: Some(part), .. })) =
                    self.states.insert(take, State::Over)
                {
                    // The protocol has no cancel, and no way to tell the rest of this part from the next one.
                    self.close(part.line);
                    self.keep_a_spare();
                }
            }
        }
    }

    /// A line that was dialled is open, and has its configuration.
    pub fn opened(&mut self, line: Line, outbox: &mut Outbox<Event>) {
        self.dialling = false;
        if self.dialled_field != self.language_field {
            self.outputs.push_back(Output::Close(line));
            return self.dial();
        }
        self.lines.insert(line, None);
        self.advance_all(outbox);
    }

    /// A line could not be dialled. True if the session cannot do without; otherwise it is forgotten.
    pub fn not_opened(&mut self) -> bool {
        self.dialling = self.lines.is_empty() || self.states.values().any(State::is_waiting);
        self.dialling
    }

    /// A line is gone.
    pub fn lost(&mut self, line: Line, detail: &str, outbox: &mut Outbox<Event>) {
        if let Some(Some(take)) = self.lines.remove(&line) {
            self.lose(take, detail.to_owned(), outbox);
        }
    }

    /// True while the vendor owes a message on this line.
    pub fn is_answer_due(&self, line: Line) -> bool {
        matches!(self.lines.get(&line), Some(Some(_)))
    }

    /// Turns a message into events. Whether the vendor does what it is for, if the message says so.
    pub fn message(&mut self, line: Line, text: &str, outbox: &mut Outbox<Event>) -> Option<bool> {
        let &speaker = self.lines.get(&line)?;
        let message = message::parse(text);
        let works = match &message {
            Incoming::Audio(_) => Some(true),
            Incoming::Error { status, .. } if !status.is_some_and(is_requests_own) => Some(false),
            _ => None,
        };
        match message {
            Incoming::Audio(payload) => {
                if let Some(take) = speaker
                    && let Some(State::Open(speech)) = self.states.get_mut(&take)
                {
                    speech.received += payload.len();
                    outbox.push(Event::Audio { take, payload });
                }
            }
            Incoming::Final => {
                if let Some(take) = speaker
                    && let Some(State::Open(speech)) = self.states.get_mut(&take)
                    && let received = speech.received
                    // Words without a sound were not said: the line's deadline is still running.
                    && let Some(part) = speech.part.take_if(|part| received > part.from)
                {
                    let format = self.settings.format;
                    let (from, to) = (format.duration_of(part.from), format.duration_of(speech.received));
                    outbox.push(Event::Words { take, words: share::whole(&part.text, from, to - from) });
                    self.lines.insert(line, None);
                    self.advance_all(outbox);
                }
            }
            Incoming::Error { status, detail } => {
                tracing::warn!(vendor = "sarvam", call_id = self.settings.call_id, detail, "error message");
                self.error(line, status, detail, outbox);
            }
            Incoming::Other => {}
        }
        works
    }

    fn error(&mut self, line: Line, status: Option<u16>, detail: String, outbox: &mut Outbox<Event>) {
        let speaker = self.lines.get(&line).copied().flatten();
        let key_or_credit = matches!(status, Some(401 | 403)) || detail.contains("insufficient_quota");
        if status == Some(422) && detail.contains("language_code") && self.language_field == 0 {
            self.language_field = 1;
            for line in self.lines.keys().copied().collect::<Vec<_>>() {
                self.take_back(line, &detail, outbox);
                self.close(line);
            }
            self.dial();
        } else if key_or_credit {
            self.outputs.push_back(Output::Refused(detail));
        } else if speaker.is_none() && matches!(status, Some(400 | 422)) {
            // With nothing to speak the complaint is about the configuration, which is the same on every line.
            self.outputs.push_back(Output::Unfit(detail));
        } else {
            // What state the line is in, nobody says.
            self.close(line);
            if let Some(take) = speaker {
                self.lose(take, detail, outbox);
            }
        }
    }

    /// What the line was to speak is to be spoken again, if nothing of it was heard.
    fn take_back(&mut self, line: Line, detail: &str, outbox: &mut Outbox<Event>) {
        let Some(take) = self.lines.get(&line).copied().flatten() else { return };
        let Some(State::Open(speech)) = self.states.get_mut(&take) else { return };
        match speech.part.take_if(|part| part.from == speech.received) {
            Some(part) => speech.waiting.insert_str(0, &part.text),
            None => self.lose(take, detail.to_owned(), outbox),
        }
    }

    fn speak(&mut self, take: Take, text: &str, outbox: &mut Outbox<Event>) {
        match self.states.get(&take) {
            Some(State::Over) => return,
            Some(State::Done) => return self.lose(take, "the take is over".into(), outbox),
            Some(State::Open(_)) => {}
            None => {
                self.states.retain(|old, state| {
                    old.epoch + REMEMBERED_EPOCHS > take.epoch || matches!(state, State::Open(_))
                });
            }
        }
        let state = self.states.entry(take).or_insert_with(|| State::Open(Speech::default()));
        if let State::Open(speech) = state {
            speech.waiting.push_str(text);
        }
        self.advance(take, outbox);
    }

    fn advance_all(&mut self, outbox: &mut Outbox<Event>) {
        let open: Vec<Take> = self.states.keys().copied().collect();
        for take in open {
            self.advance(take, outbox);
        }
    }

    /// Gives the take's next part to a line, or ends the take.
    fn advance(&mut self, take: Take, outbox: &mut Outbox<Event>) {
        let Some(State::Open(speech)) = self.states.get_mut(&take) else { return };
        if speech.part.is_some() {
            return;
        }
        if !has_words(&speech.waiting) {
            if speech.finished {
                self.states.insert(take, State::Done);
                outbox.push(Event::Done { take });
            }
            return;
        }
        let free = self.lines.iter_mut().find(|(_, speaker)| speaker.is_none());
        let Some((&line, speaker)) = free else { return self.dial() };
        *speaker = Some(take);
        let rest = speech.waiting.split_off(part_end(&speech.waiting));
        let text = std::mem::replace(&mut speech.waiting, rest);
        self.outputs
            .push_back(Output::Send { line, text: message::text(&spoken(&self.settings.language, &text)) });
        self.outputs.push_back(Output::Send { line, text: message::FLUSH.into() });
        let finished = speech.finished;
        speech.part = Some(Part { line, text, from: speech.received });
        if !finished {
            self.keep_a_spare();
        }
    }

    /// A reply can be interrupted at any time, and the next one must not wait for a socket.
    fn keep_a_spare(&mut self) {
        if self.lines.values().all(Option::is_some) {
            self.dial();
        }
    }

    fn dial(&mut self) {
        if !self.dialling {
            self.dialling = true;
            self.outputs.push_back(Output::Dial);
        }
    }

    fn close(&mut self, line: Line) {
        self.lines.remove(&line);
        self.outputs.push_back(Output::Close(line));
    }

    fn lose(&mut self, take: Take, detail: String, outbox: &mut Outbox<Event>) {
        let format = self.settings.format;
        if let Some(State::Open(Speech { part: Some(part), received, .. })) =
            self.states.insert(take, State::Over)
        {
            let words = share::begun(&part.text, format.duration_of(part.from), format.duration_of(received));
            outbox.push(Event::Words { take, words });
        }
        outbox.push(Event::Lost { take, detail });
    }
}

impl State {
    fn is_waiting(&self) -> bool {
        matches!(self, Self::Open(Speech { waiting, part: None, .. }) if has_words(waiting))
    }
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// Where the next part ends: the whole text, or the last word that fits.
fn part_end(text: &str) -> usize {
    let Some((limit, _)) = text.char_indices().nth(PART_CHARS_MAX) else { return text.len() };
    let words = text[..limit].rfind(char::is_whitespace).filter(|end| has_words(&text[..*end]));
    words.unwrap_or(limit)
}

#[cfg(test)]
mod tests;
