//! CORE: who has the floor. Decides the start of speech, the end of the caller's turn, and what an overlap is.
//!
//! **End of turn.** Speech has ended, the transcript covers it, and a delay has passed that depends on what the words
//! say: shorter after a finished question, longer after words that cannot be the end. Whatever the transcriber does, the
//! maximum delay ends it. Where the transcriber decides turns itself (Flux), its decision counts.
//!
//! **Overlap.** Sound over an audible agent takes the floor after a minimum duration if it is as strong as the caller
//! usually is; weak sound (backchannel, echo, noise) must bring words first, and words that are backchannels or our own
//! never do. A floor taken by sound alone is held until words confirm it, and given back if none come.

pub mod config;
pub mod echo;
pub mod level;
pub mod words;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use config::Config;

use crate::stt::Transcript;
use level::Strength;
use words::Ending;

/// How far a transcript may end before the end of speech and still cover it: the VAD's chunk and the words' own edges.
const COVER_TOLERANCE: Duration = Duration::from_millis(250);
/// How long a transcriber that is back may take to hear again what it missed.
const CATCH_UP: Duration = Duration::from_millis(2500);
/// The longest wait for such words after the end of speech: with the first filler behind it no silence is over 4 s.
const BEHIND_DELAY_MAX: Duration = Duration::from_millis(2900);
/// Sound that goes on for this long after the caller's newest words, and brings no more, is noise.
const STALE_WORDS: Duration = Duration::from_millis(2500);
/// Speech without a word for this long over a held floor is noise.
pub const WORDLESS_MAX: Duration = Duration::from_millis(3000);
/// A gap between words that was told while new speech is going on is of the speech before it: what is new has this long
/// to bring a word.
const FIRST_WORD_MAX: Duration = Duration::from_millis(1000);
/// Sound that is weak when it has lasted long enough may only have begun softly: it is looked at again this often, until
/// it has lasted twice as long.
const OVERLAP_AGAIN: Duration = Duration::from_millis(20);
/// Weak speech over the agent that is no longer than this, and brings no more words than these, is said in passing.
const PASSING_MAX: Duration = Duration::from_millis(1000);
const PASSING_WORDS_MAX: usize = 2;
/// How long after the end of speech its last words may come.
const LAST_WORD_MAX: Duration = Duration::from_millis(400);
/// How late the words of a sound may come, beside the next sound.
const LATE_WORDS_MAX: Duration = Duration::from_millis(1500);
/// How long after we fell silent our own words may come back.
const ECHO_TAIL: Duration = Duration::from_millis(1500);
/// Speech shorter than this that brings no words is not asked about.
const REPROMPT_SPEECH_MIN: Duration = Duration::from_millis(400);
/// Sound without a word for this long before we speak is noise.
pub const NOISE_AFTER: Duration = Duration::from_millis(2000);

/// What the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Nothing: the floor is the caller's.
    Silent,
    /// It has been asked and nothing of its answer was played yet.
    Thinking,
    /// The caller hears it.
    Audible,
    /// The caller hears a line that must finish.
    Uninterruptible,
}

/// What the core is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The caller began to speak.
    SpeechStarted {
        /// The onset.
        at: Instant,
    },
    /// The caller stopped.
    SpeechEnded {
        /// The end of the last speech.
        at: Instant,
        /// The same point on the audio clock.
        offset: Duration,
    },
    /// How the sound since the onset compares with the caller's usual voice and with what we play.
    Sound(Sound),
    /// Words.
    Transcript(Transcript),
    /// The transcriber has seen no word for a while.
    UtteranceEnd,
    /// The transcriber decides turns, and this one is over with these words, up to here on the audio clock.
    VendorEndOfTurn {
        /// The whole turn.
        text: String,
        /// On the audio clock.
        end: Duration,
    },
    /// The transcriber decides turns, and this one is likely over.
    VendorLikelyEndOfTurn {
        /// The turn so far.
        text: String,
        /// On the audio clock.
        end: Duration,
    },
    /// It is not.
    VendorTurnResumed,
    /// The transcriber lost its socket and hears again what was not settled: its words come late.
    TranscriberBehind,
    /// The agent's state changed.
    Agent(Agent),
    /// Time passed.
    Tick,
}

/// What an overlapping sound is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// As strong as the caller, or much weaker.
    Voice(Strength),
    /// Our own voice coming back.
    Echo,
}

impl Sound {
    fn strength(self) -> Strength {
        match self {
            Self::Voice(strength) => strength,
            Self::Echo => Strength::Weak,
        }
    }
}

/// What it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask the transcriber for what it has.
    Finalize,
    /// The caller's turn is likely over: the reply may be begun.
    LikelyEndOfTurn {
        /// What was said.
        text: String,
    },
    /// It is not: what was begun is stale.
    TurnResumed,
    /// The caller's turn is over.
    EndOfTurn(Turn),
    /// The caller seems to take the floor from an audible agent: be silent. Words will confirm it or not.
    BargeIn {
        /// Start of the overlap.
        onset: Instant,
    },
    /// Words confirm the barge-in.
    BargeInConfirmed,
    /// No words came: go on with what was being said.
    FalseBargeIn,
    /// The caller goes on although the turn had ended and the answer is being made: what is made is stale.
    TurnContinues,
    /// The caller spoke, and no words could be made out.
    NoWords,
}

/// A finished turn of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What was said. Never empty.
    pub text: String,
    /// The end of the last speech.
    pub end_of_speech: Instant,
    /// When the last piece of its transcript came.
    pub transcript_at: Option<Instant>,
}

/// The caller has taken the floor by sound alone.
#[derive(Debug, Clone, Copy)]
struct Held {
    onset: Instant,
}

/// Decides who has the floor.
#[derive(Debug)]
pub struct TurnTaker {
    config: Config,
    agent: Agent,
    /// What the caller hears or has just heard us say.
    spoken: String,
    onset: Option<Instant>,
    ended: Option<(Instant, Duration)>,
    /// How long the last speech was.
    speech_length: Duration,
    /// The overlap that is going on was decided: it waits for words, or took the floor.
    overlap_decided: bool,
    /// When it is looked at again.
    overlap_again: Option<Instant>,
    sound: Sound,
    held: Option<Held>,
    finals: String,
    interim: String,
    transcript_at: Option<Instant>,
    /// Where the settled transcript ends.
    covered: Duration,
    /// When the newest words of this turn came, and where they end on the audio clock.
    newest_words: Option<(Instant, Duration)>,
    /// No word came for a while, so nothing more will of what was said before.
    words_over: bool,
    /// Words may come late until then.
    behind_until: Option<Instant>,
    /// A floor that sound had taken was given back: until the caller's words are heard, sound alone does not take it
    /// again. Without this an echo or a noise that goes on would cut us off at every word.
    sound_doubted: bool,
    /// The strongest sound of the speech that is going on or was last, and of the one before.
    loudest: [Option<Strength>; 2],
    /// The end of the last stretch of speech.
    quiet_at: Option<Instant>,
    /// When the agent became audible: an overlap begins no earlier.
    audible_at: Option<Instant>,
    /// When it ceased to be.
    inaudible_at: Option<Instant>,
    /// The caller spoke while the answer was being made: until then it is not begun, words may show that it is stale.
    hold_until: Option<Instant>,
    /// Where the last turn ended on the audio clock: late transcripts of it are not said again.
    closed: Duration,
    /// The likely end that was told, and its words.
    likely: Option<String>,
    outputs: VecDeque<Output>,
}

impl TurnTaker {
    /// A call in which nobody has spoken.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            agent: Agent::Silent,
            spoken: String::new(),
            onset: None,
            ended: None,
            speech_length: Duration::ZERO,
            overlap_decided: false,
            overlap_again: None,
            sound: Sound::Voice(Strength::Strong),
            held: None,
            finals: String::new(),
            interim: String::new(),
            transcript_at: None,
            covered: Duration::ZERO,
            newest_words: None,
            words_over: false,
            behind_until: None,
            sound_doubted: false,
            loudest: [None; 2],
            quiet_at: None,
            audible_at: None,
            inaudible_at: None,
            hold_until: None,
            closed: Duration::ZERO,
            likely: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. Drain [`TurnTaker::poll`] before the next.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::SpeechStarted { at } => {
                self.onset = Some(at);
                let before = self.loudest[0]
                    .filter(|_| self.quiet_at.is_some_and(|quiet| at < quiet + LATE_WORDS_MAX));
                self.loudest = [Some(self.sound.strength()), before];
                self.hold_until = Some(at + FIRST_WORD_MAX);
                self.ended = None;
                self.overlap_decided = false;
                self.overlap_again = None;
            }
            Input::SpeechEnded { at, offset } => {
                let onset = self.onset.take().unwrap_or(at);
                self.speech_length = at.saturating_duration_since(onset);
                self.ended = Some((at, offset));
                self.quiet_at = Some(at);
                self.words_over = false;
                self.hold_until = self.hold_until.map(|_| at + LAST_WORD_MAX);
                if self.covered + COVER_TOLERANCE < offset {
                    self.outputs.push_back(Output::Finalize);
                }
            }
            Input::Sound(sound) => self.sounds(sound),
            Input::Transcript(transcript) => self.transcript(&transcript, now),
            Input::UtteranceEnd => self.words_over = !self.finals.is_empty(),
            Input::VendorEndOfTurn { text, end } => self.vendor_end(text, end, now),
            Input::VendorLikelyEndOfTurn { text, end } => self.vendor_likely(text, end, now),
            Input::VendorTurnResumed => self.not_likely(),
            Input::TranscriberBehind => self.behind_until = Some(now + CATCH_UP),
            Input::Agent(agent) => self.agent_is(agent, now),
            Input::Tick => {}
        }
        self.decide(now);
    }

    fn sounds(&mut self, sound: Sound) {
        self.sound = sound;
        if self.onset.is_some() {
            self.loudest[0] = self.loudest[0].max(Some(sound.strength()));
        }
    }

    /// How loud it was where words may come from, which are heard later than their sound: the loudest of the last stretch
    /// of speech and of one shortly before. Words without a sound have the benefit of the doubt.
    fn loudness(&self) -> Strength {
        self.loudest[0].max(self.loudest[1]).unwrap_or(Strength::Strong)
    }

    fn agent_is(&mut self, agent: Agent, now: Instant) {
        if agent == Agent::Audible && self.agent != Agent::Audible {
            self.audible_at = Some(now);
            self.overlap_decided |= self.wordless_since().is_some_and(|since| since + NOISE_AFTER <= now);
        }
        let was_heard = matches!(self.agent, Agent::Audible | Agent::Uninterruptible);
        let is_heard = matches!(agent, Agent::Audible | Agent::Uninterruptible);
        if was_heard && !is_heard {
            self.inaudible_at = Some(now);
        }
        if was_heard && agent == Agent::Silent && self.finals.is_empty() && self.interim.is_empty() {
            // What ended while we spoke and brought no words was no attempt to speak: nothing is asked about it.
            self.ended = None;
        }
        self.agent = agent;
    }

    /// What the caller hears us say; to tell our own words when they come back.
    pub fn spoken(&mut self, text: &str) {
        text.clone_into(&mut self.spoken);
    }

    /// The next decision.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When a tick is due.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.agent {
            Agent::Audible => self.overlap_at(),
            Agent::Thinking => self.hold_until,
            Agent::Uninterruptible => None,
            Agent::Silent => {
                // No turn ends while it is not certain that the floor was taken.
                let turn = || match self.onset {
                    Some(onset) if self.words_over => Some(onset + FIRST_WORD_MAX),
                    Some(_) => self.stale_words().map(|(at, _)| at),
                    None => self.ended.map(|(at, offset)| self.end_of_turn_at(at, offset)),
                };
                self.held.map_or_else(turn, |held| Some(self.give_back_at(held)))
            }
        }
    }

    /// True while an answer must not begin because the caller has begun to speak.
    pub fn holds_back(&self) -> bool {
        self.agent == Agent::Thinking
            && self.hold_until.is_some()
            && self.sound == Sound::Voice(Strength::Strong)
    }

    /// True while the caller speaks.
    pub fn is_speaking(&self) -> bool {
        self.onset.is_some()
    }

    /// Since when the caller's side has made sound without a word.
    pub fn wordless_since(&self) -> Option<Instant> {
        let silent = self.finals.is_empty() && self.interim.is_empty() && self.held.is_none();
        self.onset.filter(|_| silent)
    }

    /// True while the caller has, or may have, the floor.
    pub fn is_callers(&self) -> bool {
        self.onset.is_some() || self.held.is_some() || self.ended.is_some() || !self.finals.is_empty()
    }

    fn transcript(&mut self, transcript: &Transcript, now: Instant) {
        if transcript.end <= self.closed {
            return;
        }
        let words = transcript.text.trim();
        if transcript.is_final && transcript.utterance_over {
            self.covered = self.covered.max(transcript.end);
        }
        if !words.is_empty() && !self.is_for_us(words, transcript.is_final, now) {
            // Neither an interruption nor a turn: as if it had not been said.
            self.interim.clear();
            if transcript.is_final && self.finals.is_empty() && self.held.is_none() {
                self.ended = None;
            }
            return;
        }
        if transcript.is_final {
            self.interim.clear();
            if !words.is_empty() {
                join(&mut self.finals, words);
                self.transcript_at = Some(now);
            }
        } else {
            words.clone_into(&mut self.interim);
        }
        if words.is_empty() {
            return;
        }
        self.newest_words = Some((now, transcript.end));
        self.words_over = false;
        if self.held.is_some() && self.config.barge_in_words_min > 1 && !self.says_enough(words) {
            return;
        }
        self.words_came(words, transcript.end, now);
    }

    /// False for the words of somebody at a distance, and for words over the agent that do not take the floor:
    /// backchannels, what may become one, what is said in passing, and our own coming back.
    fn is_for_us(&self, words: &str, is_final: bool, now: Instant) -> bool {
        if self.loudness() == Strength::Distant {
            return false;
        }
        let overlapping =
            matches!(self.agent, Agent::Audible | Agent::Uninterruptible) || self.held.is_some();
        if !overlapping {
            let tail = self.inaudible_at.is_some_and(|at| now < at + ECHO_TAIL);
            return !tail || !self.is_own(words);
        }
        let (language, extra) = (&self.config.language, &self.config.backchannels);
        !words::is_echo_of(words, &self.spoken)
            && !words::is_backchannel(words, language, extra)
            && (is_final || !words::begins_backchannel(words, language, extra))
            && (self.held.is_some() || !self.is_own(words) && !self.is_in_passing(words, now))
    }

    /// Our own words coming back, however few: no caller's voice brought them.
    fn is_own(&self, words: &str) -> bool {
        self.loudness() != Strength::Strong
            && (words::is_echo_of(words, &self.spoken) || words::are_among(words, &self.spoken))
    }

    /// A backchannel by its shape, whatever its words: weak, short, few words, and none that asks for the floor.
    fn is_in_passing(&self, words: &str, now: Instant) -> bool {
        let (language, extra) = (&self.config.language, &self.config.backchannels);
        let length = self.onset.map_or(self.speech_length, |onset| now.saturating_duration_since(onset));
        self.loudness() != Strength::Strong
            && length <= PASSING_MAX
            && words::content_words(words, language, extra) <= PASSING_WORDS_MAX
            && !words::asks_for_floor(words, language)
    }

    fn words_came(&mut self, words: &str, end: Duration, now: Instant) {
        self.sound_doubted = false;
        if self.held.take().is_some() {
            self.outputs.push_back(Output::BargeInConfirmed);
        } else if self.agent == Agent::Audible {
            if self.says_enough(words) {
                let onset = self.onset.or(self.ended.map(|(at, _)| at)).unwrap_or(now);
                self.agent = Agent::Silent;
                self.overlap_decided = true;
                self.outputs.push_back(Output::BargeIn { onset });
                self.outputs.push_back(Output::BargeInConfirmed);
            }
        } else if self.agent == Agent::Thinking {
            self.agent = Agent::Silent;
            self.outputs.push_back(Output::TurnContinues);
        }
        // Speech too soft for the VAD still makes a turn: its words are all the evidence there is.
        if self.onset.is_none() && self.ended.is_none() {
            self.ended = Some((now, end));
        }
    }

    /// True if these words, or all of the overlap, are as many as it takes to take the floor.
    fn says_enough(&self, words: &str) -> bool {
        let count = |text: &str| words::content_words(text, &self.config.language, &self.config.backchannels);
        let said = format!("{} {}", self.finals, self.interim);
        count(words).max(count(&said)) >= self.config.barge_in_words_min
    }

    fn vendor_end(&mut self, text: String, end: Duration, now: Instant) {
        let text = text.trim();
        if end <= self.closed || text.is_empty() {
            return;
        }
        if !self.is_for_us(text, true, now) {
            self.not_likely();
            if self.finals.is_empty() && self.held.is_none() {
                self.ended = None;
            }
            return;
        }
        self.finals = text.to_owned();
        self.interim.clear();
        self.transcript_at = Some(now);
        self.covered = self.covered.max(end);
        self.words_came(text, end, now);
        if self.agent == Agent::Silent {
            let end_of_speech = self.ended.map_or(now, |(at, _)| at);
            self.end_turn(end_of_speech, end);
        }
    }

    fn vendor_likely(&mut self, text: String, end: Duration, now: Instant) {
        if self.config.preemptive
            && self.agent == Agent::Silent
            && self.held.is_none()
            && end > self.closed
            && !text.trim().is_empty()
            && self.is_for_us(text.trim(), true, now)
        {
            self.not_likely();
            let text = text.trim().to_owned();
            self.likely = Some(text.clone());
            self.outputs.push_back(Output::LikelyEndOfTurn { text });
        }
    }

    fn decide(&mut self, now: Instant) {
        self.hold_until.take_if(|until| now >= *until);
        match self.agent {
            Agent::Audible => self.decide_overlap(now),
            Agent::Silent => {
                if !self.gives_back(now) {
                    self.decide_end_of_turn(now);
                }
            }
            Agent::Thinking | Agent::Uninterruptible => {}
        }
    }

    fn decide_overlap(&mut self, now: Instant) {
        let (Some(at), Some(onset)) = (self.overlap_at(), self.overlap()) else { return };
        if now < at {
            return;
        }
        let strong = self.sound == Sound::Voice(Strength::Strong) && !self.sound_doubted;
        if !strong && now < onset + 2 * self.config.barge_in_duration_min {
            self.overlap_again = Some(now + OVERLAP_AGAIN);
            return;
        }
        self.overlap_decided = true;
        if strong {
            self.agent = Agent::Silent;
            self.held = Some(Held { onset });
            self.outputs.push_back(Output::BargeIn { onset });
        }
    }

    /// Gives back a floor that no words came for; true if it did.
    fn gives_back(&mut self, now: Instant) -> bool {
        if self.held.is_none_or(|held| now < self.give_back_at(held)) {
            return false;
        }
        self.held = None;
        self.interim.clear();
        if self.finals.is_empty() {
            self.ended = None;
        }
        // What makes noise over the floor that we take back is known to be noise.
        self.overlap_decided = true;
        self.sound_doubted = true;
        self.outputs.push_back(Output::FalseBargeIn);
        true
    }

    fn decide_end_of_turn(&mut self, now: Instant) {
        if self.held.is_some() {
            return;
        }
        // Noise can hold the VAD open: the gap between words then ends the turn.
        if self.words_over && self.onset.is_some_and(|onset| now >= onset + FIRST_WORD_MAX) {
            // What goes on is noise: it does not take the floor from the answer either.
            self.overlap_decided = true;
            return self.end_turn(self.transcript_at.unwrap_or(now), self.covered);
        }
        if let Some((at, end)) = self.stale_words()
            && now >= at
        {
            self.overlap_decided = true;
            return self.end_turn(at, end);
        }
        let Some((at, offset)) = self.ended else {
            if !self.config.transcriber_decides {
                self.not_likely();
            }
            return;
        };
        let has_words = !self.finals.is_empty();
        let settled = has_words && (self.is_covered(offset) || self.words_over);
        if now >= self.end_of_turn_at(at, offset) {
            if settled {
                // Words that were not heard yet may be of the same speech, where the transcriber lost its place.
                let heard = self.newest_words.map_or(offset, |(_, end)| end.min(offset));
                self.end_turn(at, if self.is_covered(offset) { offset } else { heard });
            } else if has_words || !self.interim.is_empty() {
                // A transcript that comes later is of audio up to now, the silence after the words included.
                let all = offset + now.saturating_duration_since(at);
                let early = now < at + self.config.endpointing_delay_max;
                self.end_turn(at, self.final_words().filter(|_| early).map_or(all, |(_, end)| end));
            } else {
                self.ended = None;
                let callers = matches!(self.sound, Sound::Voice(Strength::Strong | Strength::Weak));
                if callers && self.speech_length >= REPROMPT_SPEECH_MIN {
                    self.outputs.push_back(Output::NoWords);
                }
            }
        } else if settled
            && self.config.preemptive
            && !self.config.transcriber_decides
            && self.likely.as_ref() != Some(&self.finals)
        {
            self.not_likely();
            if words::ending(&self.finals, &self.config.language) != Ending::Open {
                self.likely = Some(self.finals.clone());
                self.outputs.push_back(Output::LikelyEndOfTurn { text: self.finals.clone() });
            }
        }
    }

    fn not_likely(&mut self) {
        if self.likely.take().is_some() {
            self.outputs.push_back(Output::TurnResumed);
        }
    }

    /// When the turn is over if nothing more happens.
    fn end_of_turn_at(&self, at: Instant, offset: Duration) -> Instant {
        let config = &self.config;
        let longest = config.endpointing_delay_max;
        // What the transcriber hears again ends no turn before its time, and no later than the longest silence allows.
        let behind = self.behind_until.map(|until| until.min(at + BEHIND_DELAY_MAX.max(longest)));
        let at_last = |delay: Duration| behind.map_or(at + delay, |until| until.max(at + delay));
        if self.finals.is_empty() && self.interim.is_empty() {
            return at_last(config.reprompt_delay.min(longest));
        }
        let settled = !self.finals.is_empty() && (self.is_covered(offset) || self.words_over);
        if !settled || config.transcriber_decides {
            // Noise that went on behind the last words does not put the end off for ever.
            let stale = self.final_words().map_or(at + longest, |(heard, _)| heard + STALE_WORDS);
            return at_last(longest).min(stale.max(at));
        }
        let delay = match words::ending(&self.finals, &config.language) {
            Ending::Question => config.endpointing_delay_question,
            Ending::Finished => config.endpointing_delay_min,
            // Words that say nothing of an end are more often a pause inside a sentence than one.
            Ending::Open | Ending::Unknown => config.endpointing_delay_open,
        };
        at + delay.min(longest)
    }

    /// When words that are followed by sound without a word have waited long enough for their end to be told, and where they
    /// end: noise holds the VAD open, and the transcriber has lost the rest.
    fn stale_words(&self) -> Option<(Instant, Duration)> {
        let words = !self.finals.is_empty() || !self.interim.is_empty();
        let (at, end) = self.newest_words.filter(|_| words && self.onset.is_some())?;
        Some((at + STALE_WORDS, end))
    }

    /// When the last words came and where they end, if nothing of them is open.
    fn final_words(&self) -> Option<(Instant, Duration)> {
        self.newest_words.filter(|_| self.interim.is_empty() && !self.finals.is_empty())
    }

    fn end_turn(&mut self, end_of_speech: Instant, offset: Duration) {
        self.closed = self.closed.max(offset);
        let mut text = std::mem::take(&mut self.finals);
        let interim = std::mem::take(&mut self.interim);
        join(&mut text, &interim);
        self.ended = None;
        self.newest_words = None;
        self.words_over = false;
        self.behind_until = None;
        self.hold_until = None;
        if self.likely.take().is_some_and(|likely| likely != text) {
            self.outputs.push_back(Output::TurnResumed);
        }
        self.agent = Agent::Thinking;
        let transcript_at = self.transcript_at.take();
        self.outputs.push_back(Output::EndOfTurn(Turn { text, end_of_speech, transcript_at }));
    }

    fn is_covered(&self, offset: Duration) -> bool {
        self.covered + COVER_TOLERANCE >= offset
    }

    fn overlap_at(&self) -> Option<Instant> {
        self.overlap()
            .filter(|_| !self.overlap_decided)
            .map(|since| self.overlap_again.unwrap_or(since + self.config.barge_in_duration_min))
    }

    /// When both began to speak.
    fn overlap(&self) -> Option<Instant> {
        let onset = self.onset?;
        Some(self.audible_at.map_or(onset, |audible| audible.max(onset)))
    }

    /// When a floor taken by sound alone is given back.
    fn give_back_at(&self, held: Held) -> Instant {
        match self.ended {
            Some((at, _)) => at + self.config.false_barge_in_timeout,
            None => held.onset + WORDLESS_MAX,
        }
    }
}

fn join(text: &mut String, words: &str) {
    if !text.is_empty() && !words.is_empty() {
        text.push(' ');
    }
    text.push_str(words);
}

#[cfg(test)]
mod tests;
