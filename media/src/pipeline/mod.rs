//! CORE of a call in this role: composes turn-taking and playout behind one input and one output.
//!
//! Every utterance of the agent has an epoch, and nothing of an older epoch has any effect. On a barge-in the clear is
//! the first output; the reply is kept until words confirm the barge-in, and goes on from its first unheard word if
//! none do.

mod end;
mod fallback;
mod input;
mod language;
mod output;
mod sound;
mod speech;
mod wait;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use proto::types::v1::{
    AgentTurn, BargeIn, CallerTurn, EndReason, FalseBargeIn, ReplyDiscarded, VendorFault, call_event::Event,
};

pub use input::{Input, Phrase, Purpose, Then};
pub use language::Language;
pub use output::Output;

use crate::{
    audio::Format,
    latency::Stamps,
    playout::{self, Cut, Kind, Playout},
    tts::Take,
    turn::{self, Agent, NOISE_AFTER, Turn, TurnTaker},
    vad::Edge,
};
use end::Ending;
use language::Languages;
use sound::Ear;
pub use wait::Lines;
use wait::Waits;

/// How long a reply may make no progress before the caller hears an apology.
const STALL: Duration = Duration::from_secs(8);
/// The same where there are no fillers to break the silence.
const STALL_WITHOUT_FILLERS: Duration = Duration::from_millis(3700);
/// How long after the end of speech words are waited for that a transcriber has to hear again, while fillers are said.
const STT_PATIENCE: Duration = Duration::from_secs(8);
/// The same where there are no fillers.
const STT_PATIENCE_WITHOUT_FILLERS: Duration = Duration::from_millis(2900);
/// Lateness of a frame that only missing audio explains. Shorter gaps are filled with silence before they come here.
pub const AUDIO_GAP: Duration = Duration::from_millis(1000);
/// How often the synthesis of one utterance is taken again after a fault.
const RETAKES_MAX: u32 = 5;
/// The same where somebody else can speak.
const RETAKES_MAX_WITH_FALLBACK: u32 = 1;
/// A second retake waits so long, and each later one so much longer than the one before: a vendor over its limit needs a
/// moment, and all of them together take 2 s.
const RETAKE_WAIT: Duration = Duration::from_millis(200);

/// The settings of an agent that this core needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The format of both directions.
    pub format: Format,
    /// Turn-taking.
    pub turn: turn::Config,
    /// How long both may be silent; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// The longest call; `None`: no limit of the agent's.
    pub duration_max: Option<Duration>,
    /// How long after a key the next one may take.
    pub dtmf_timeout: Duration,
    /// The key that ends an entry.
    pub dtmf_terminator: Option<char>,
    /// The agent's languages, of which there is at least one; the call begins in the first.
    pub languages: Vec<Language>,
    /// The lines that are said without asking the model.
    pub lines: Lines,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::default(),
            turn: turn::Config::default(),
            idle_timeout: None,
            duration_max: None,
            dtmf_timeout: Duration::ZERO,
            dtmf_terminator: None,
            languages: vec![Language { tag: turn::Config::default().language, ..Language::default() }],
            lines: Lines::default(),
        }
    }
}

/// The reply that is being made or spoken.
#[derive(Debug)]
struct Reply {
    epoch: i64,
    /// The words it answers, while they are not certain.
    tentative: Option<String>,
    /// The place of the language that the segments that come are in.
    language: usize,
    /// The place of the language that the present take speaks.
    take_language: usize,
    /// The present take was told its end because the language changed.
    take_is_last: bool,
    /// Text in the next language, until that take is complete.
    next_text: String,
    take: u32,
    /// The present take still accepts text.
    take_open: bool,
    /// Some text of the reply has come.
    has_text: bool,
    /// No more text will come.
    text_done: bool,
    /// A barge-in that is not confirmed: text is kept, nothing is spoken.
    paused: bool,
    /// Text that came while paused.
    kept: String,
    retakes: u32,
    retake_at: Option<Instant>,
    /// When the model was asked for good.
    asked_at: Instant,
    stall_at: Option<Instant>,
    stamps: Option<Stamps>,
}

/// A floor that was taken by sound and is not confirmed.
#[derive(Debug)]
struct Taken {
    onset: Instant,
    cleared_at: Instant,
    cuts: Vec<Cut>,
}

/// The core of one call.
#[derive(Debug)]
pub struct Pipeline {
    /// The start of the media stream; events are stamped from it.
    origin: Instant,
    /// When offset zero of the caller's audio was spoken, as the least delayed frame so far tells.
    audio_origin: Option<Instant>,
    languages: Languages,
    turn: TurnTaker,
    playout: Playout,
    ear: Ear,
    waits: Waits,
    epoch: i64,
    reply: Option<Reply>,
    taken: Option<Taken>,
    /// The greeting, until it is said or a turn makes it pointless.
    greeting: Option<Arc<Phrase>>,
    /// Each with the place of its language.
    phrases: Vec<(usize, Purpose, Arc<Phrase>)>,
    /// Epochs of lines that are being said, or will be, and finish.
    uninterruptible: Vec<i64>,
    /// The call had a media stream before, whose conversation is gone.
    lost: bool,
    ending: Ending,
    outputs: VecDeque<Output>,
}

impl Pipeline {
    /// A call whose media stream starts now, after an utterance of epoch `epoch` on an earlier stream, or 0.
    pub fn new(config: Config, epoch: i64, now: Instant) -> Self {
        Self {
            origin: now,
            audio_origin: None,
            languages: Languages::new(&config.languages),
            turn: TurnTaker::new(config.turn.clone()),
            playout: Playout::new(config.format),
            ear: Ear::new(config.format),
            waits: Waits::new(&config, now),
            epoch,
            reply: None,
            taken: None,
            greeting: None,
            phrases: Vec::new(),
            uninterruptible: Vec::new(),
            lost: epoch > 0,
            ending: Ending::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes the caller's audio up to `offset`, as samples at 8 kHz, which arrived now: ties the audio clock to time.
    /// The least delayed audio counts, until some is so late that audio must be missing.
    pub fn audio_arrived(&mut self, samples: &[i16], offset: Duration, now: Instant) {
        let origin = now.checked_sub(offset).unwrap_or(now);
        let known = self.audio_origin.filter(|known| origin <= *known + AUDIO_GAP);
        self.audio_origin = Some(known.map_or(origin, |known| known.min(origin)));
        self.turn.audio_comes_in(Duration::from_millis(samples.len() as u64 / 8));
        let alone = self.turn.is_speaking() && self.playout.is_empty();
        self.ear.hear(samples, now.saturating_duration_since(self.origin), alone);
    }

    /// Takes an input. Drain [`Pipeline::poll`] before the next.
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.listen(now);
        if self.is_away() && !input.counts_while_away() {
            return;
        }
        self.suspect(&input);
        match input {
            Input::Speech(Edge::SpeechStarted { at_ms }) => {
                let offset = Duration::from_millis(at_ms);
                let at = self.instant(offset, now);
                self.ear.onset(now.saturating_duration_since(at));
                self.turn.handle(turn::Input::Sound(self.ear.sound()), now);
                self.turn.handle(turn::Input::SpeechStarted { at, offset }, now);
            }
            Input::Speech(Edge::SpeechEnded { at_ms }) => {
                let offset = Duration::from_millis(at_ms);
                let at = self.instant(offset, now);
                self.ear.speech_ended(now.saturating_duration_since(at));
                self.turn.handle(turn::Input::SpeechEnded { at, offset }, now);
            }
            Input::Transcript(transcript) => self.turn.handle(turn::Input::Transcript(transcript), now),
            Input::UtteranceEnd => self.turn.handle(turn::Input::UtteranceEnd, now),
            Input::EndOfTurn { text, end } => {
                self.turn.handle(turn::Input::VendorEndOfTurn { text, end }, now);
            }
            Input::LikelyEndOfTurn { text, end } => {
                self.turn.handle(turn::Input::VendorLikelyEndOfTurn { text, end }, now);
            }
            Input::TurnResumed => self.turn.handle(turn::Input::VendorTurnResumed, now),
            Input::Key(key) => self.key(key, now),
            Input::SttLost(detail) => {
                self.vendor_fault(self.languages.stt_vendor().name(), detail, now);
                let patience = self.patience();
                self.turn.handle(turn::Input::TranscriberLost { patience }, now);
            }
            Input::SttCaughtUp => self.turn.handle(turn::Input::TranscriberCaughtUp, now),
            Input::SttUnavailable(detail) => {
                self.stt_unavailable(detail, now);
            }
            Input::DialogueUnavailable(detail) => self.fail("dialogue", detail, EndReason::LlmFailed, now),
            Input::TtsUnavailable(detail) => {
                self.tts_unavailable(detail, now);
            }
            Input::ModelChanged { model, detail } => {
                self.vendor_replaced("anthropic", detail, &model, now);
            }
            Input::Phrase(language, purpose, phrase) => self.keep_phrase(language, purpose, phrase, now),
            Input::MarkReached(name) => self.playout.mark_reached(&name, now),
            Input::MarkCleared(name) => self.cleared_by_carrier(&name, now),
            Input::Returned(outcome) => self.come_back(outcome, now),
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
        if self.ending.over || self.is_away() {
            return None;
        }
        let (stall, retake) =
            self.reply.as_ref().map_or((None, None), |reply| (reply.stall_at, reply.retake_at));
        // Nothing is waited for behind the last line.
        let waits = self.waits.wake_at().filter(|_| !self.ending.is_final);
        let goodbye = self.goodbye_over_at();
        let greeting = self.greet_at();
        let apology = self.ending.apology_due.map(|(_, at)| at);
        [self.turn.wake_at(), self.playout.wake_at(), stall, retake, waits, goodbye, greeting, apology]
            .into_iter()
            .flatten()
            .min()
    }

    /// The epoch of the newest utterance.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// True while the carrier does something with the call, and there is nothing to say to that.
    fn is_away(&self) -> bool {
        self.ending.is_away && !self.ending.is_final
    }

    fn tick(&mut self, now: Instant) {
        self.turn.handle(turn::Input::Tick, now);
        self.playout.tick(now);
        if self.reply.as_ref().and_then(|reply| reply.stall_at).is_some_and(|at| at <= now) {
            self.stalled(now);
        }
        if self.reply.as_mut().is_some_and(|reply| reply.retake_at.take_if(|at| *at <= now).is_some()) {
            self.retake(now);
        }
        self.tick_waits(now);
        if self.ending.apology_due.is_some_and(|(_, at)| at <= now) {
            self.apologise(now);
        }
        if self.goodbye_over_at().is_some_and(|at| at <= now) {
            self.goodbye_over(now);
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
                break;
            }
        }
        self.hold_back(now);
        self.note_waits(now);
    }

    /// An answer does not begin while the caller speaks: words may show that the turn was not over.
    fn hold_back(&mut self, now: Instant) {
        let Some(reply) = self.reply.as_ref().filter(|reply| reply.tentative.is_none() && !reply.paused)
        else {
            return;
        };
        if self.turn.holds_back() {
            self.playout.hold(reply.epoch);
        } else if self.playout.holds(reply.epoch) {
            self.playout.release(reply.epoch, now);
            self.settle(now);
        }
    }

    fn turn_output(&mut self, output: turn::Output, now: Instant) {
        match output {
            turn::Output::Finalize => self.outputs.push_back(Output::Finalize),
            turn::Output::LikelyEndOfTurn { text } => self.likely(text, now),
            turn::Output::TurnResumed => self.discard_tentative(now),
            turn::Output::EndOfTurn(turn) => {
                self.follow(&turn.text, now);
                self.end_of_turn(turn, now);
            }
            turn::Output::BargeIn { onset } => self.barge_in(onset, now),
            turn::Output::BargeInConfirmed => self.confirm_barge_in(now),
            turn::Output::FalseBargeIn => self.resume(now),
            turn::Output::TurnContinues => {
                if !self.ending.is_final {
                    self.ending.then = None;
                }
                self.discard_reply(now);
            }
            turn::Output::NoWords => self.reprompt(now),
        }
    }

    fn playout_output(&mut self, output: playout::Output, now: Instant) {
        match output {
            playout::Output::Frame { epoch, kind, payload, at } => {
                if kind != Kind::Filler {
                    self.waits.answered();
                    if let Some(stamps) = self.stamps(epoch) {
                        stamps.first_frame_sent.get_or_insert(now);
                    }
                }
                let finishes = self.ending.is_final || self.uninterruptible.contains(&epoch);
                let agent = match kind {
                    Kind::Filler if self.reply.is_none() => Agent::Filling,
                    _ if finishes => Agent::Uninterruptible,
                    _ => Agent::Audible,
                };
                self.set_agent(agent, now);
                self.turn.spoken(self.playout.spoken());
                self.ear.say(&payload, at.saturating_duration_since(self.origin));
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
            playout::Output::Finished { epoch, kind, text } => self.finished(epoch, kind, &text, now),
        }
    }

    /// The model may begin; nothing is said before the end of the turn is certain.
    fn likely(&mut self, text: String, now: Instant) {
        if self.ending.then.is_some() || self.reply.is_some() || !self.playout.is_empty() {
            return;
        }
        self.epoch += 1;
        let language = self.languages.would_answer(&text);
        self.outputs.push_back(Output::UserTurn {
            epoch: self.epoch,
            text: text.clone(),
            language,
            tentative: true,
        });
        self.reply = Some(Reply::new(self.epoch, Some(text), language, now));
    }

    fn discard_tentative(&mut self, now: Instant) {
        if let Some(reply) = self.reply.take_if(|reply| reply.tentative.is_some()) {
            if !self.ending.is_final {
                // An end that it asked for was never said.
                self.ending.then = None;
            }
            self.playout.cut(now);
            self.cancel(&reply);
            self.event(Event::ReplyDiscarded(ReplyDiscarded {}), now);
        }
    }

    fn end_of_turn(&mut self, turn: Turn, now: Instant) {
        if self.ending.is_final || self.ending.over {
            return;
        }
        let filling = self.reply.is_none() && self.playout.front_kind() == Some(Kind::Filler);
        self.waits.caller_turn();
        self.greeting = None;
        if self.reply.as_ref().is_none_or(|reply| reply.tentative.as_ref() != Some(&turn.text)) {
            self.discard_tentative(now);
            // What is discarded may have wanted to hang up.
            self.ending.then = None;
            // A filler that was begun because the transcriber was away is said to its end.
            if !filling {
                self.discard_reply(now);
            }
            self.epoch += 1;
            let (text, language) = (turn.text.clone(), self.languages.current());
            self.outputs.push_back(Output::UserTurn { epoch: self.epoch, text, language, tentative: false });
            self.reply = Some(Reply::new(self.epoch, None, language, now));
        } else if let Some(reply) = &self.reply {
            self.outputs.push_back(Output::Confirm { epoch: reply.epoch });
        }
        // Words that come before the answer is heard go on with this turn.
        self.set_agent(Agent::Thinking, now);
        self.event(Event::CallerTurn(CallerTurn { text: turn.text }), now);
        if let Some(reply) = &mut self.reply {
            reply.tentative = None;
            reply.asked_at = now;
            let stamps = reply.stamps.get_or_insert_default();
            stamps.end_of_speech = Some(turn.end_of_speech);
            stamps.transcript = turn.transcript_at;
            stamps.end_of_turn = Some(now);
            let (epoch, made) = (reply.epoch, reply.text_done && !reply.take_open);
            self.playout.release(epoch, now);
            // A reply that was made before it was certain cannot stall.
            if !made {
                self.progress(epoch, now);
            }
        }
    }

    /// The caller seems to take the floor: silence first, whatever it turns out to be.
    fn barge_in(&mut self, onset: Instant, now: Instant) {
        let cuts = self.playout.cut(now);
        self.clear(&cuts, now);
        if let Some(reply) = &mut self.reply {
            reply.paused = true;
            reply.stall_at = None;
            if reply.has_text {
                self.outputs.push_back(Output::SpeakCancel { take: reply.current() });
            }
        }
        self.taken = Some(Taken { onset, cleared_at: now, cuts });
    }

    /// Has the carrier drop what it holds of these, if it holds anything.
    fn clear(&mut self, cuts: &[Cut], now: Instant) {
        if let Some(cut) = cuts.iter().find(|cut| cut.started) {
            self.outputs.push_back(Output::Clear { epoch: cut.epoch });
            self.ear.cleared(now.saturating_duration_since(self.origin));
        }
    }

    /// Words have come: the reply is over, and what was heard of it is all that was said.
    fn confirm_barge_in(&mut self, now: Instant) {
        let Some(taken) = self.taken.take() else { return };
        self.ending.then = None;
        if let Some(reply) = self.reply.take() {
            self.outputs.push_back(Output::CancelReply { epoch: reply.epoch });
            self.tell_kept(&reply, &taken.cuts);
        }
        self.tell_cuts(taken.cuts, now);
        let onset_to_clear = Some(proto::to_wire(taken.cleared_at.saturating_duration_since(taken.onset)));
        self.event(Event::BargeIn(BargeIn { onset_to_clear }), now);
        self.set_agent(Agent::Silent, now);
    }

    /// Drops what is being made or spoken, and tells what was heard of it.
    fn discard_reply(&mut self, now: Instant) {
        let mut cuts = self.taken.take().map_or_else(Vec::new, |taken| taken.cuts);
        let fresh = self.playout.cut(now);
        self.clear(&fresh, now);
        cuts.extend(fresh);
        if let Some(reply) = self.reply.take() {
            self.cancel(&reply);
            self.tell_kept(&reply, &cuts);
        }
        self.tell_cuts(cuts, now);
        self.set_agent(Agent::Silent, now);
    }

    fn cancel(&mut self, reply: &Reply) {
        if reply.has_text && !reply.paused {
            self.outputs.push_back(Output::SpeakCancel { take: reply.current() });
        }
        self.outputs.push_back(Output::CancelReply { epoch: reply.epoch });
    }

    /// Text that came while the floor was taken, and of which nothing was begun, was not heard.
    fn tell_kept(&mut self, reply: &Reply, cuts: &[Cut]) {
        let begun = cuts.iter().any(|cut| cut.epoch == reply.epoch && cut.kind != Kind::Filler);
        if !reply.kept.is_empty() && !begun {
            let (epoch, text) = (reply.epoch, String::new());
            self.outputs.push_back(Output::Heard { epoch, text, interrupted: true });
        }
    }

    fn tell_cuts(&mut self, cuts: Vec<Cut>, now: Instant) {
        for cut in cuts.into_iter().filter(|cut| cut.kind != Kind::Filler) {
            if cut.started || !cut.heard_text.is_empty() {
                let heard_text = cut.heard_text.clone();
                self.event(Event::AgentTurn(AgentTurn { heard_text, interrupted: true }), now);
            }
            self.outputs.push_back(Output::Heard {
                epoch: cut.epoch,
                text: cut.heard_text,
                interrupted: true,
            });
        }
    }

    /// The barge-in was none: the agent goes on with its first unheard word.
    fn resume(&mut self, now: Instant) {
        let Some(taken) = self.taken.take() else { return };
        let pause = Some(proto::to_wire(now.saturating_duration_since(taken.cleared_at)));
        self.event(Event::FalseBargeIn(FalseBargeIn { pause }), now);
        if let Some(reply) = &mut self.reply {
            reply.paused = false;
            // Fillers wait for what is spoken again.
            reply.asked_at = now;
        }
        // A line beside the reply gives way to it: only one utterance can be spoken again at a time.
        let reply = self.reply.as_ref().map(|reply| reply.epoch);
        let is_next = |cut: &Cut| cut.kind != Kind::Filler && reply.is_none_or(|epoch| epoch == cut.epoch);
        let mut cuts = taken.cuts;
        let next = cuts.iter().position(is_next).map(|at| cuts.remove(at));
        self.tell_cuts(cuts, now);
        if let Some(cut) = next {
            self.speak_rest(cut, now);
        }
        if let Some(epoch) = self.reply.as_ref().map(|reply| reply.epoch) {
            self.progress(epoch, now);
        }
        if let Some(reply) = self.reply.as_mut().filter(|reply| !reply.has_text) {
            let (kept, done) = (std::mem::take(&mut reply.kept), reply.text_done);
            if !kept.is_empty() {
                self.segment(kept, now);
            }
            if done {
                self.text_done(now);
            }
        }
        self.after_silence(now);
    }

    fn finished(&mut self, epoch: i64, kind: Kind, text: &str, now: Instant) {
        if kind != Kind::Filler {
            self.reply.take_if(|reply| reply.epoch == epoch);
            self.uninterruptible.retain(|line| *line != epoch);
            let text = text.trim().to_owned();
            if !text.is_empty() {
                let heard_text = text.clone();
                self.event(Event::AgentTurn(AgentTurn { heard_text, interrupted: false }), now);
                self.outputs.push_back(Output::Heard { epoch, text, interrupted: false });
            }
            if self.ending.then == Some(Then::HangUp(EndReason::CallerSilent)) && self.caller_answered() {
                self.ending.then = None;
            }
            if self.playout.is_empty()
                && let Some(then) = self.ending.then.take()
            {
                self.conclude(then);
            }
        }
        self.after_silence(now);
    }

    /// Nothing is being said: the floor is the caller's, or the answer is still being made.
    fn after_silence(&mut self, now: Instant) {
        if !self.playout.is_audible() && self.taken.is_none() {
            let waiting = self.reply.as_ref().is_some_and(|reply| reply.tentative.is_none());
            self.set_agent(if waiting { Agent::Thinking } else { Agent::Silent }, now);
        }
    }

    /// Keeps a phrase for when it is needed. A conversation that was lost with its node cannot go on: the caller is told
    /// so as soon as there are words for it.
    fn keep_phrase(&mut self, language: usize, purpose: Purpose, phrase: Arc<Phrase>, now: Instant) {
        match purpose {
            Purpose::Greeting => self.greeting = Some(phrase),
            _ => self.phrases.push((language, purpose, phrase)),
        }
        if purpose == Purpose::Apology {
            self.apologise(now);
        }
        if self.lost && purpose == Purpose::Apology {
            let detail = "the conversation was lost with its stream".to_owned();
            self.fail("media", detail, EndReason::Internal, now);
        }
    }

    /// True while the greeting waits for nothing but the caller's silence.
    fn may_greet(&self) -> bool {
        let silent = self.reply.is_none() && self.playout.is_empty();
        silent && self.greeting.is_some() && !self.ending.is_final && !self.ending.over
    }

    /// When sound that brings no words does not keep the greeting back any longer.
    fn greet_at(&self) -> Option<Instant> {
        let since = self.turn.wordless_since().filter(|_| self.may_greet())?;
        Some(since + NOISE_AFTER)
    }

    /// Says the greeting once nobody speaks; true if it began.
    fn greet(&mut self, now: Instant) -> bool {
        let quiet = !self.turn.is_speaking() || self.greet_at().is_some_and(|at| at <= now);
        let free = quiet && self.may_greet();
        match self.greeting.take_if(|_| free) {
            Some(greeting) => {
                self.say(Purpose::Greeting, &greeting, now);
                true
            }
            None => false,
        }
    }

    /// The carrier dropped audio that we did not clear, because its stream broke: what was not heard was not said.
    fn cleared_by_carrier(&mut self, name: &str, now: Instant) {
        if self.playout.is_outstanding(name) {
            self.discard_reply(now);
            if self.ending.is_final {
                let then = self.ending.then.take();
                self.conclude(then.unwrap_or(Then::HangUp(EndReason::Internal)));
            }
            self.ending.then = None;
        }
    }

    /// Says a phrase as an utterance of its own, after what is being said.
    fn say(&mut self, purpose: Purpose, phrase: &Phrase, now: Instant) {
        self.epoch += 1;
        if self.waits.lines().finishes(purpose) {
            self.uninterruptible.push(self.epoch);
        }
        self.say_as(self.epoch, Kind::Line, phrase, now);
    }

    fn say_as(&mut self, epoch: i64, kind: Kind, phrase: &Phrase, now: Instant) {
        self.playout.say(epoch, kind, &phrase.text, &phrase.words, &phrase.audio, now);
    }

    /// The phrase in the language that is spoken. An apology in another one is better than none.
    fn phrase(&self, wanted: Purpose) -> Option<Arc<Phrase>> {
        let mut found = self.phrases.iter().filter(|(_, purpose, _)| *purpose == wanted);
        let is_spoken =
            |(language, ..): &&(usize, Purpose, Arc<Phrase>)| *language == self.languages.current();
        let any = found.clone().next().filter(|_| wanted == Purpose::Apology);
        found.find(is_spoken).or(any).map(|(.., phrase)| phrase.clone())
    }

    fn stall(&self) -> Duration {
        if self.phrase(Purpose::Filler(0)).is_some() { STALL } else { STALL_WITHOUT_FILLERS }
    }

    fn patience(&self) -> Duration {
        match self.phrase(Purpose::Filler(0)) {
            Some(_) => STT_PATIENCE,
            None => STT_PATIENCE_WITHOUT_FILLERS,
        }
    }

    fn set_agent(&mut self, agent: Agent, now: Instant) {
        self.turn.handle(turn::Input::Agent(agent), now);
    }

    fn stamps(&mut self, epoch: i64) -> Option<&mut Stamps> {
        self.reply.as_mut().filter(|reply| reply.epoch == epoch)?.stamps.as_mut()
    }

    fn vendor_fault(&mut self, vendor: &str, detail: String, now: Instant) {
        self.vendor_replaced(vendor, detail, "", now);
    }

    fn vendor_replaced(&mut self, vendor: &str, detail: String, fallback: &str, now: Instant) {
        let fault = VendorFault { vendor: vendor.to_owned(), detail, fallback: fallback.to_owned() };
        self.event(Event::VendorFault(fault), now);
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
    fn new(epoch: i64, tentative: Option<String>, language: usize, now: Instant) -> Self {
        Self {
            epoch,
            tentative,
            language,
            take_language: language,
            take_is_last: false,
            next_text: String::new(),
            take: 0,
            take_open: false,
            has_text: false,
            text_done: false,
            paused: false,
            kept: String::new(),
            retakes: 0,
            retake_at: None,
            asked_at: now,
            stall_at: None,
            stamps: Some(Stamps::default()),
        }
    }

    fn current(&self) -> Take {
        Take { epoch: self.epoch, number: self.take }
    }
}

#[cfg(test)]
mod tests;
