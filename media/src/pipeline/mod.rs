//! CORE of a call in this role: composes turn-taking and playout behind one input and one output.
//!
//! Every utterance of the agent has an epoch, and nothing of an older epoch has any effect. On a barge-in the clear is
//! the first output, before the synthesis and the reply are cancelled and the heard words are told.

mod output;
mod speech;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::types::v1::{AgentTurn, BargeIn, CallerTurn, EndReason, VendorFault, call_event::Event};

pub use output::Output;

use crate::{
    latency::Stamps,
    playout::{self, Playout},
    stt::Transcript,
    tts::{Take, Word},
    turn::{self, Agent, Turn, TurnTaker},
    vad::Edge,
};

/// How long a reply may make no progress before the caller hears an apology.
const STALL: Duration = Duration::from_secs(8);
/// Lateness of a frame that only missing audio explains. Shorter gaps are filled with silence before they come here.
pub const AUDIO_GAP: Duration = Duration::from_millis(1000);
/// How often the synthesis of one utterance is taken again.
const RETAKES_MAX: u32 = 2;

/// Speech that was synthesised before the call: the greeting, the apology.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    /// The words.
    pub text: String,
    /// mu-law, 8 kHz.
    pub audio: Bytes,
    /// Word times.
    pub words: Vec<Word>,
}

/// What the core is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// An edge of the caller's speech, on the audio clock.
    Speech(Edge),
    /// Words of the caller.
    Transcript(Transcript),
    /// No word for a while.
    UtteranceEnd,
    /// The transcriber's socket was lost and is back.
    SttReconnected(String),
    /// The transcriber is gone for good.
    SttUnavailable(String),
    /// The greeting is there: say it, unless the caller has taken the floor.
    Greeting(Arc<Phrase>),
    /// The apology is there, for when it is needed.
    Apology(Arc<Phrase>),
    /// A piece of the reply.
    Segment {
        /// Whose.
        epoch: i64,
        /// The words.
        text: String,
    },
    /// The reply is complete.
    ReplyDone {
        /// Whose.
        epoch: i64,
        /// Hang up when it was heard.
        end_call: bool,
    },
    /// The reply broke off.
    ReplyFailed {
        /// Whose.
        epoch: i64,
        /// What to say instead.
        apology: String,
        /// What failed.
        detail: String,
        /// Hang up after it.
        fatal: bool,
    },
    /// The model's first token came.
    FirstToken {
        /// Whose.
        epoch: i64,
    },
    /// The dialogue role is gone.
    DialogueUnavailable(String),
    /// Synthesised audio.
    SpeechAudio {
        /// Whose.
        take: Take,
        /// mu-law, 8 kHz.
        payload: Bytes,
    },
    /// Word times of it.
    SpeechWords {
        /// Whose.
        take: Take,
        /// In order.
        words: Vec<Word>,
    },
    /// A take is complete.
    SpeechDone {
        /// Which.
        take: Take,
    },
    /// A take broke off.
    SpeechLost {
        /// Which.
        take: Take,
        /// Why.
        detail: String,
    },
    /// The synthesizer is gone for good.
    TtsUnavailable(String),
    /// A mark came back: what was before it was played.
    MarkReached(String),
    /// A mark came back because audio was dropped.
    MarkCleared(String),
    /// The media stream is over.
    StreamStopped,
    /// Time passed.
    Tick,
}

/// The reply that is being made or spoken.
#[derive(Debug)]
struct Reply {
    epoch: i64,
    take: u32,
    /// The present take still accepts text.
    take_open: bool,
    /// Some text of the reply has come.
    has_text: bool,
    /// No more text will come.
    text_done: bool,
    retakes: u32,
    stall_at: Option<Instant>,
    stamps: Option<Stamps>,
}

/// The core of one call.
#[derive(Debug)]
pub struct Pipeline {
    /// The start of the media stream; events are stamped from it.
    origin: Instant,
    /// When offset zero of the caller's audio was spoken, as the least delayed frame so far tells.
    audio_origin: Option<Instant>,
    turn: TurnTaker,
    playout: Playout,
    epoch: i64,
    reply: Option<Reply>,
    /// The greeting, until it is said or a turn makes it pointless.
    greeting: Option<Arc<Phrase>>,
    apology: Option<Arc<Phrase>>,
    /// The call had a media stream before, whose conversation is gone.
    lost: bool,
    /// Hang up with this reason once what is being said was heard.
    ending: Option<EndReason>,
    /// The end cannot be interrupted.
    failed: bool,
    over: bool,
    outputs: VecDeque<Output>,
}

impl Pipeline {
    /// A call whose media stream starts now, after an utterance of epoch `epoch` on an earlier stream, or 0.
    pub fn new(config: turn::Config, epoch: i64, now: Instant) -> Self {
        Self {
            origin: now,
            audio_origin: None,
            turn: TurnTaker::new(config),
            playout: Playout::default(),
            epoch,
            reply: None,
            greeting: None,
            apology: None,
            lost: epoch > 0,
            ending: None,
            failed: false,
            over: false,
            outputs: VecDeque::new(),
        }
    }

    /// Notes that the caller's audio up to `offset` arrived now: ties the audio clock to time. The least delayed frame
    /// counts, until one is so late that audio must be missing.
    pub fn audio_arrived(&mut self, offset: Duration, now: Instant) {
        let origin = now.checked_sub(offset).unwrap_or(now);
        let known = self.audio_origin.filter(|known| origin <= *known + AUDIO_GAP);
        self.audio_origin = Some(known.map_or(origin, |known| known.min(origin)));
    }

    /// Takes an input. Drain [`Pipeline::poll`] before the next.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Speech(Edge::SpeechStarted { at_ms }) => {
                let at = self.instant(Duration::from_millis(at_ms), now);
                self.turn.handle(turn::Input::SpeechStarted { at }, now);
            }
            Input::Speech(Edge::SpeechEnded { at_ms }) => {
                let offset = Duration::from_millis(at_ms);
                let at = self.instant(offset, now);
                self.turn.handle(turn::Input::SpeechEnded { at, offset }, now);
            }
            Input::Transcript(transcript) => self.turn.handle(turn::Input::Transcript(transcript), now),
            Input::UtteranceEnd => self.turn.handle(turn::Input::UtteranceEnd, now),
            Input::SttReconnected(detail) => {
                self.vendor_fault("deepgram", detail, now);
                self.turn.handle(turn::Input::TranscriberBehind, now);
            }
            Input::SttUnavailable(detail) => self.fail("deepgram", detail, EndReason::SttFailed, now),
            Input::DialogueUnavailable(detail) => self.fail("dialogue", detail, EndReason::LlmFailed, now),
            Input::TtsUnavailable(detail) => self.fail("cartesia", detail, EndReason::TtsFailed, now),
            Input::Greeting(phrase) => self.greeting = Some(phrase),
            Input::Apology(phrase) => self.apology(phrase, now),
            Input::MarkReached(name) => self.playout.mark_reached(&name, now),
            Input::MarkCleared(name) => self.cleared_by_carrier(&name, now),
            Input::StreamStopped => self.stopped(now),
            Input::Tick => self.tick(now),
            reply => self.reply_input(reply, now),
        }
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When a tick is due.
    pub fn wake_at(&self) -> Option<Instant> {
        let stall = self.reply.as_ref().and_then(|reply| reply.stall_at);
        [self.turn.wake_at(), self.playout.wake_at(), stall].into_iter().flatten().min()
    }

    /// The epoch of the newest utterance.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    fn tick(&mut self, now: Instant) {
        self.turn.handle(turn::Input::Tick, now);
        self.playout.tick(now);
        if self.reply.as_ref().and_then(|reply| reply.stall_at).is_some_and(|at| at <= now) {
            self.stalled(now);
        }
    }

    /// Carries decisions of one core into the other until both are quiet.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.turn.poll() {
                self.turn_output(output, now);
            } else if let Some(output) = self.playout.poll() {
                self.playout_output(output, now);
            } else if !self.greet(now) {
                return;
            }
        }
    }

    fn turn_output(&mut self, output: turn::Output, now: Instant) {
        match output {
            turn::Output::Finalize => self.outputs.push_back(Output::Finalize),
            turn::Output::EndOfTurn(turn) => self.end_of_turn(turn, now),
            turn::Output::BargeIn { onset } => self.barge_in(onset, now),
            turn::Output::TurnContinues => {
                if !self.failed {
                    self.ending = None;
                }
                self.discard_reply(now);
            }
        }
    }

    fn playout_output(&mut self, output: playout::Output, now: Instant) {
        match output {
            playout::Output::Frame { epoch, payload } => {
                if let Some(stamps) = self.stamps(epoch)
                    && stamps.first_frame_sent.is_none()
                {
                    stamps.first_frame_sent = Some(now);
                }
                self.set_agent(Agent::Audible, now);
                self.outputs.push_back(Output::Frame { epoch, payload });
            }
            playout::Output::Mark { epoch, name } => self.outputs.push_back(Output::Mark { epoch, name }),
            playout::Output::FirstHeard { epoch, at } => {
                let origin = self.origin;
                if let Some(stamps) = self.stamps(epoch) {
                    stamps.first_frame_heard = Some(at);
                    let event = Event::TurnLatency(stamps.to_event(origin));
                    self.event(event, now);
                }
            }
            playout::Output::Finished { epoch, text } => self.finished(epoch, &text, now),
        }
    }

    fn end_of_turn(&mut self, turn: Turn, now: Instant) {
        if self.ending.is_some() || self.over {
            return;
        }
        self.greeting = None;
        self.epoch += 1;
        self.event(Event::CallerTurn(CallerTurn { text: turn.text.clone() }), now);
        self.outputs.push_back(Output::UserTurn { epoch: self.epoch, text: turn.text });
        self.reply = Some(Reply::new(
            self.epoch,
            Some(now + STALL),
            Some(Stamps {
                end_of_speech: Some(turn.end_of_speech),
                transcript: turn.transcript_at,
                end_of_turn: Some(now),
                ..Stamps::default()
            }),
        ));
    }

    fn barge_in(&mut self, onset: Instant, now: Instant) {
        if self.failed || self.over {
            return self.set_agent(Agent::Audible, now);
        }
        self.ending = None;
        if self.discard_reply(now) {
            let onset_to_clear = Some(proto::to_wire(now.saturating_duration_since(onset)));
            self.event(Event::BargeIn(BargeIn { onset_to_clear }), now);
        }
    }

    /// Drops what is being made or spoken, tells what was heard of it, and returns true if there was something audible.
    fn discard_reply(&mut self, now: Instant) -> bool {
        let cut = self.playout.cut(now);
        let audible = cut.as_ref().is_some_and(|cut| cut.started);
        if let Some(cut) = cut.as_ref().filter(|cut| cut.started) {
            self.outputs.push_back(Output::Clear { epoch: cut.epoch });
        }
        if let Some(reply) = self.reply.take() {
            if reply.has_text {
                self.outputs.push_back(Output::SpeakCancel { take: reply.current() });
            }
            self.outputs.push_back(Output::CancelReply { epoch: reply.epoch });
        }
        if let Some(cut) = cut {
            if cut.started {
                let heard_text = cut.heard_text.clone();
                self.event(Event::AgentTurn(AgentTurn { heard_text, interrupted: true }), now);
            }
            self.outputs.push_back(Output::Heard {
                epoch: cut.epoch,
                text: cut.heard_text,
                interrupted: true,
            });
        }
        self.set_agent(Agent::Silent, now);
        audible
    }

    fn finished(&mut self, epoch: i64, text: &str, now: Instant) {
        self.reply.take_if(|reply| reply.epoch == epoch);
        let text = text.trim().to_owned();
        if !text.is_empty() {
            let heard_text = text.clone();
            self.event(Event::AgentTurn(AgentTurn { heard_text, interrupted: false }), now);
            self.outputs.push_back(Output::Heard { epoch, text, interrupted: false });
        }
        match self.ending {
            Some(reason) => self.hang_up(reason),
            None => self.set_agent(Agent::Silent, now),
        }
    }

    /// Says the greeting once nobody speaks; true if it began.
    fn greet(&mut self, now: Instant) -> bool {
        let free = self.reply.is_none() && self.playout.epoch().is_none() && !self.turn.is_speaking();
        match self.greeting.take_if(|_| free && !self.failed && !self.over) {
            Some(greeting) => {
                self.say(&greeting, now);
                true
            }
            None => false,
        }
    }

    /// Keeps the apology. A conversation that was lost with its node cannot go on: the caller is told so.
    fn apology(&mut self, phrase: Arc<Phrase>, now: Instant) {
        self.apology = Some(phrase);
        if self.lost {
            self.fail(
                "media",
                "the conversation was lost with its stream".to_owned(),
                EndReason::Internal,
                now,
            );
        }
    }

    /// The carrier dropped audio that we did not clear, because its stream broke: what was not heard was not said.
    fn cleared_by_carrier(&mut self, name: &str, now: Instant) {
        if self.playout.is_outstanding(name) {
            self.discard_reply(now);
            if self.failed {
                self.hang_up(self.ending.unwrap_or(EndReason::Internal));
            }
            self.ending = None;
        }
    }

    /// Says a phrase as an utterance of its own.
    fn say(&mut self, phrase: &Phrase, now: Instant) {
        self.epoch += 1;
        self.playout.begin(self.epoch);
        self.playout.text(self.epoch, &phrase.text);
        self.playout.words(self.epoch, &phrase.words);
        self.playout.audio(self.epoch, &phrase.audio, now);
        self.playout.complete(self.epoch, now);
    }

    /// A vendor is gone for good: the caller hears the apology, then the call ends with this reason.
    fn fail(&mut self, vendor: &str, detail: String, reason: EndReason, now: Instant) {
        if self.failed || self.over {
            return;
        }
        self.vendor_fault(vendor, detail, now);
        self.discard_reply(now);
        self.failed = true;
        self.ending = Some(reason);
        match self.apology.clone() {
            Some(apology) => self.say(&apology, now),
            None => self.hang_up(reason),
        }
    }

    /// The reply makes no progress: the caller hears the apology and has the floor again.
    fn stalled(&mut self, now: Instant) {
        // A take that is closed has given all its audio: what is missing is text.
        let vendor = match &self.reply {
            Some(reply) if reply.take_open => "cartesia",
            _ => "anthropic",
        };
        self.vendor_fault(vendor, "no progress within the deadline".to_owned(), now);
        self.discard_reply(now);
        if let Some(apology) = self.apology.clone() {
            self.say(&apology, now);
        }
    }

    /// The caller is gone: what was heard of the last utterance is told, and nothing more is done.
    fn stopped(&mut self, now: Instant) {
        self.over = true;
        self.discard_reply(now);
    }

    pub(super) fn vendor_fault(&mut self, vendor: &str, detail: String, now: Instant) {
        self.event(Event::VendorFault(VendorFault { vendor: vendor.to_owned(), detail }), now);
    }

    fn hang_up(&mut self, reason: EndReason) {
        if !self.over {
            self.over = true;
            self.outputs.push_back(Output::HangUp { reason });
        }
    }

    fn set_agent(&mut self, agent: Agent, now: Instant) {
        self.turn.handle(turn::Input::Agent(agent), now);
    }

    fn stamps(&mut self, epoch: i64) -> Option<&mut Stamps> {
        self.reply.as_mut().filter(|reply| reply.epoch == epoch)?.stamps.as_mut()
    }

    fn event(&mut self, event: Event, now: Instant) {
        let offset = now.saturating_duration_since(self.origin);
        self.outputs.push_back(Output::Event { epoch: self.epoch, offset, event });
    }

    fn instant(&self, offset: Duration, now: Instant) -> Instant {
        self.audio_origin.map_or(now, |origin| (origin + offset).min(now))
    }
}

impl Reply {
    fn new(epoch: i64, stall_at: Option<Instant>, stamps: Option<Stamps>) -> Self {
        Self {
            epoch,
            take: 0,
            take_open: false,
            has_text: false,
            text_done: false,
            retakes: 0,
            stall_at,
            stamps,
        }
    }

    fn current(&self) -> Take {
        Take { epoch: self.epoch, number: self.take }
    }
}

#[cfg(test)]
mod tests;
