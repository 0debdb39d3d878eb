//! CORE: who has the floor. Decides the start of speech, the end of the caller's turn, and what an overlap is.
//!
//! **End of turn.** Speech has ended, the transcript covers it, and a delay has passed that depends on what the words
//! say: shorter after a finished question, longer after words that cannot be the end. Whatever the transcriber says, the
//! maximum delay ends it; only one that lost its socket is waited for longer, with fillers, until it has heard again what it
//! missed. Where the transcriber decides turns itself (Flux), its decision counts.
//!
//! **Overlap.** Sound over an audible agent takes the floor after a minimum duration if it is as strong as the caller
//! usually is; weak sound (backchannel, echo, noise) must bring words first, and words that are backchannels or our own
//! never do. A floor taken by sound alone is held until words confirm it, and given back if none come.

pub mod config;
pub mod echo;
mod end;
mod event;
pub mod level;
mod overlap;
pub mod words;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use config::Config;
pub use event::{Agent, Input, Output, Sound, Turn};
pub use overlap::WORDLESS_MAX;

use crate::stt::Transcript;
use level::Strength;

/// The carriers' usual message.
const FRAME: Duration = Duration::from_millis(20);
/// The longest message that the end of a turn waits for: an outlier is not waited for in all turns.
const LAG_MAX: Duration = Duration::from_millis(80);
/// A gap between words that was told while new speech is going on is of the speech before it: what is new has this long
/// to bring a word.
const FIRST_WORD_MAX: Duration = Duration::from_millis(1000);
/// How long sound that comes and goes holds an answer back.
const HOLD_MAX: Duration = Duration::from_millis(2500);
/// How long after the end of speech its last words may come.
const LAST_WORD_MAX: Duration = Duration::from_millis(400);
/// How late the words of a sound may come, beside the next sound.
const LATE_WORDS_MAX: Duration = Duration::from_millis(1500);
/// How long the last words may take of a transcriber that has been sent everything again.
const CAUGHT_UP_WORDS_MAX: Duration = Duration::from_millis(700);
/// Sound goes on for this long behind what is known of the caller, while nobody transcribes it, before it is taken for noise.
const NOISE_BEHIND: Duration = Duration::from_millis(2400);
/// Sound without a word for this long before we speak is noise.
pub const NOISE_AFTER: Duration = Duration::from_millis(2000);

/// The caller has taken the floor by sound alone.
#[derive(Debug, Clone, Copy)]
struct Held {
    onset: Instant,
}

/// The transcriber lost its socket, and has still to hear what was said since.
#[derive(Debug, Clone, Copy)]
struct Behind {
    /// Words may come late until then.
    until: Instant,
    /// How long after the end of speech; zero once it was sent everything.
    patience: Duration,
    /// Where the settled transcript ended when it was lost.
    covered: Duration,
}

/// Decides who has the floor.
#[derive(Debug)]
pub struct TurnTaker {
    config: Config,
    agent: Agent,
    /// What the caller hears or has just heard us say.
    spoken: String,
    /// When the audio of an utterance that goes on ends, as far as it has come.
    said_until: Option<Instant>,
    onset: Option<Instant>,
    ended: Option<(Instant, Duration)>,
    /// The same for the speech before sound that began over a filler, as long as it may be the filler that comes back.
    ended_before: Option<(Instant, Duration)>,
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
    /// The transcriber told that these words are over, and has not settled them.
    interim_over: bool,
    transcript_at: Option<Instant>,
    /// Where the settled transcript ends.
    covered: Duration,
    /// When the newest words of this turn came, and where they end on the audio clock.
    newest_words: Option<(Instant, Duration)>,
    /// Where the newest settled words end.
    final_end: Duration,
    /// No word came for a while, so nothing more will of what was said before.
    words_over: bool,
    /// How late speech that goes on is heard of: the carrier gathers so much of it beyond a frame.
    lag: Duration,
    behind: Option<Behind>,
    /// The beginning of the audio clock.
    audio_origin: Option<Instant>,
    /// When the caller was asked to wait for the transcriber.
    asked_to_wait: Option<Instant>,
    /// The end of the last speech in this turn.
    unanswered: Option<Instant>,
    /// A floor that sound had taken was given back: until the caller's words are heard, sound alone does not take it
    /// again. Without this an echo or a noise that goes on would cut us off at every word.
    sound_doubted: bool,
    /// The strongest sound of the speech that is going on or was last, and of the one before.
    loudest: [Option<Strength>; 2],
    /// The first onset since nobody was waited for.
    sound_since: Option<Instant>,
    /// The onset of the last stretch of speech.
    spoke_at: Option<Instant>,
    /// We were silent then, in the middle of an utterance or not.
    began_in_gap: bool,
    /// Its end.
    quiet_at: Option<Instant>,
    /// When the agent became audible: an overlap begins no earlier.
    audible_at: Option<Instant>,
    /// When it ceased to be.
    inaudible_at: Option<Instant>,
    /// The caller spoke while the answer was being made: until then it is not begun, words may show that it is stale.
    hold_until: Option<Instant>,
    /// The first such onset.
    held_since: Option<Instant>,
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
            said_until: None,
            onset: None,
            ended: None,
            ended_before: None,
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
            final_end: Duration::ZERO,
            words_over: false,
            lag: Duration::ZERO,
            behind: None,
            audio_origin: None,
            asked_to_wait: None,
            unanswered: None,
            sound_doubted: false,
            loudest: [None; 2],
            sound_since: None,
            spoke_at: None,
            interim_over: false,
            began_in_gap: false,
            quiet_at: None,
            audible_at: None,
            inaudible_at: None,
            hold_until: None,
            held_since: None,
            closed: Duration::ZERO,
            likely: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. Drain [`TurnTaker::poll`] before the next.
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.behind.take_if(|behind| behind.patience.is_zero() && behind.until <= now);
        match input {
            Input::SpeechStarted { at, offset } => {
                self.audio_origin = at.checked_sub(offset);
                self.onset = Some(at);
                self.spoke_at = Some(at);
                self.began_in_gap = self.is_gap(at);
                let before = self.loudest[0]
                    .filter(|_| self.quiet_at.is_some_and(|quiet| at < quiet + LATE_WORDS_MAX));
                self.loudest = [Some(self.sound.strength()), before];
                let held_since = match self.agent {
                    Agent::Thinking => *self.held_since.get_or_insert(at),
                    _ => at,
                };
                self.sound_since.get_or_insert(at);
                self.hold_until = Some((at + FIRST_WORD_MAX).min(held_since + HOLD_MAX));
                let ended = self.ended.take();
                self.ended_before =
                    ended.filter(|_| self.agent == Agent::Filling && !self.sound.may_be_callers());
                self.overlap_decided = false;
                self.overlap_again = None;
            }
            Input::SpeechEnded { at, offset } => self.speech_ended(at, offset),
            Input::Sound(sound) => self.sounds(sound),
            Input::Transcript(transcript) => self.transcript(&transcript, now),
            Input::UtteranceEnd => {
                self.words_over = !self.finals.is_empty();
                self.interim_over = !self.interim.is_empty();
            }
            Input::VendorEndOfTurn { text, end } => self.vendor_end(text, end, now),
            Input::VendorLikelyEndOfTurn { text, end } => self.vendor_likely(text, end, now),
            Input::VendorTurnResumed => self.not_likely(),
            Input::TranscriberLost { patience } => {
                let since = self.ended.map_or(now, |(at, _)| at);
                self.behind = Some(Behind { until: since + patience, patience, covered: self.covered });
                // It hears again what it has not settled.
                self.interim_over = false;
            }
            Input::TranscriberCaughtUp => {
                if let Some(behind) = &mut self.behind {
                    let until = behind.until.min(now + CAUGHT_UP_WORDS_MAX);
                    *behind = Behind { until, patience: Duration::ZERO, ..*behind };
                }
            }
            Input::Agent(agent) => self.agent_is(agent, now),
            Input::Tick => {}
        }
        self.decide(now);
        if self.onset.is_none() && self.ended.is_none() {
            self.sound_since = None;
        }
    }

    fn speech_ended(&mut self, at: Instant, offset: Duration) {
        let onset = self.onset.take().unwrap_or(at);
        self.quiet_at = Some(at);
        if let Some(before) = self.ended_before.take() {
            // Our own filler came back: the caller does not go on, and is not waited for anew.
            self.ended = Some(before);
            return;
        }
        self.speech_length = at.saturating_duration_since(onset);
        self.ended = Some((at, offset));
        if matches!(self.agent, Agent::Silent | Agent::Filling) {
            self.unanswered = Some(at);
        }
        if let Some(behind) = self.behind.as_mut().filter(|behind| !behind.patience.is_zero()) {
            behind.until = at + behind.patience;
        }
        self.words_over = false;
        let held_since = self.held_since.unwrap_or(at);
        self.hold_until = self.hold_until.map(|_| (at + LAST_WORD_MAX).min(held_since + HOLD_MAX));
        if !self.is_covered(offset) {
            self.outputs.push_back(Output::Finalize);
        }
    }

    fn sounds(&mut self, sound: Sound) {
        self.sound = sound;
        self.ended_before.take_if(|_| sound.may_be_callers());
        if self.onset.is_some() {
            self.loudest[0] = self.loudest[0].max(Some(sound.strength()));
        }
    }

    fn agent_is(&mut self, agent: Agent, now: Instant) {
        if agent == Agent::Audible && self.agent != Agent::Audible {
            self.audible_at = Some(now);
            self.overlap_decided |= self.wordless_since().is_some_and(|since| since + NOISE_AFTER <= now);
        }
        let was_heard = matches!(self.agent, Agent::Audible | Agent::Uninterruptible);
        if self.agent.is_heard() && !agent.is_heard() {
            self.inaudible_at = Some(now);
        }
        if was_heard && agent == Agent::Silent && !self.has_words() {
            // What ended while we spoke and brought no words was no attempt to speak: nothing is asked about it.
            self.ended = None;
        }
        match agent {
            Agent::Filling if self.agent != Agent::Filling => self.asked_to_wait = Some(now),
            Agent::Filling => {}
            Agent::Silent => {}
            _ => self.unanswered = None,
        }
        self.agent = agent;
    }

    /// The language that the caller's words are in.
    pub fn words_are_in(&mut self, language: &str) {
        if self.config.language != language {
            language.clone_into(&mut self.config.language);
        }
    }

    /// Whether the transcriber that listens from now on decides turns.
    pub fn transcriber_decides(&mut self, decides: bool) {
        self.config.transcriber_decides = decides;
    }

    /// What the caller hears us say; to tell our own words when they come back.
    pub fn spoken(&mut self, text: &str) {
        text.clone_into(&mut self.spoken);
    }

    /// Our utterance goes on, and its audio has come up to there; `None` while no more of it is to come.
    pub fn said_until(&mut self, end: Option<Instant>) {
        self.said_until = end;
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
            Agent::Filling if !self.has_words() => None,
            Agent::Silent | Agent::Filling => {
                // No turn ends while it is not certain that the floor was taken.
                let turn = || match self.onset {
                    Some(_) => self.gap_ends_at().or_else(|| self.stale_words().map(|(at, _)| at)),
                    None => self.ended.map(|(at, offset)| self.end_of_turn_at(at, offset)),
                };
                let at = self.held.map_or_else(turn, |held| Some(self.give_back_at(held)))?;
                // What waits for a transcriber may be due as soon as that one is not behind any more.
                let caught_up = self.behind.filter(|behind| behind.patience.is_zero());
                Some(caught_up.map_or(at, |behind| behind.until.min(at)))
            }
        }
    }

    /// The caller's audio comes in messages of this length: a pause is not over for us before the message is.
    pub fn audio_comes_in(&mut self, length: Duration) {
        self.lag = self.lag.max(length.saturating_sub(FRAME).min(LAG_MAX));
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
        self.onset.filter(|_| !self.has_words() && self.held.is_none())
    }

    /// Since when there was sound again and again without a word.
    pub fn noise_since(&self) -> Option<Instant> {
        self.sound_since.filter(|_| !self.has_words() && self.held.is_none())
    }

    /// Since when the caller waits for a transcriber that has still to hear what was said, as far as anybody can tell: sound
    /// behind the end of speech, or behind the newest words, may be noise, or the caller who goes on.
    pub fn unheard_since(&self) -> Option<Instant> {
        let waits = matches!(self.agent, Agent::Silent | Agent::Filling) && self.held.is_none();
        self.behind.filter(|_| waits)?;
        let newest = self.newest_words.and_then(|(_, end)| self.said_at(end));
        let noise = |since: Instant| since + NOISE_BEHIND;
        match self.onset {
            Some(_) => self.unanswered.max(newest).map(noise),
            None => self.ended.map(|(at, _)| newest.map_or(at, |newest| at.min(noise(newest)))),
        }
    }

    /// When what ends there on the audio clock was said.
    fn said_at(&self, end: Duration) -> Option<Instant> {
        self.audio_origin.map(|origin| origin + end)
    }

    /// True while the caller has, or may have, the floor.
    pub fn is_callers(&self) -> bool {
        self.onset.is_some() || self.held.is_some() || self.ended.is_some() || !self.finals.is_empty()
    }

    /// True if words of the caller wait for their turn to end.
    pub fn has_words(&self) -> bool {
        !self.finals.is_empty() || !self.interim.is_empty()
    }

    fn transcript(&mut self, transcript: &Transcript, now: Instant) {
        if transcript.end <= self.closed {
            return;
        }
        let words = transcript.text.trim();
        let interim_over = std::mem::take(&mut self.interim_over);
        // Words that the transcriber told to be over were said, though their final transcript never came.
        let kept =
            Some(self.interim.clone()).filter(|_| interim_over && transcript.is_final && words.is_empty());
        let words = kept.as_deref().unwrap_or(words);
        if interim_over
            && self.behind.is_none()
            && kept.is_none()
            && !words.is_empty()
            && !words::say_alike(words, &self.interim)
        {
            // The transcriber has gone on to other words, and that transcript will not come.
            let lost = std::mem::take(&mut self.interim);
            join(&mut self.finals, &lost);
        }
        if transcript.is_final && transcript.utterance_over {
            self.covered = self.covered.max(transcript.end);
        }
        if !words.is_empty() && !self.is_for_us(words, transcript.is_final, transcript.end, now) {
            // Neither an interruption nor a turn: as if it had not been said.
            self.interim.clear();
            if transcript.is_final {
                self.not_said();
            }
            return;
        }
        if transcript.is_final && !words.is_empty() {
            if transcript.end <= self.final_end {
                // It was settled before.
                return;
            }
            self.final_end = transcript.end;
        }
        let known = transcript.is_final && self.interim == words;
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
        if !transcript.is_final && !self.config.transcriber_decides {
            // The caller goes on, whatever the detector of speech says.
            self.not_likely();
        }
        let came = self.newest_words.filter(|_| known).map_or(now, |(came, _)| came);
        self.newest_words = Some((came, transcript.end));
        self.words_over = false;
        self.ended_before.take_if(|(_, before)| transcript.end > *before + end::COVER_TOLERANCE);
        if self.held.is_some() && self.config.barge_in_words_min > 1 && !self.says_enough(words) {
            return;
        }
        self.words_came(words, transcript.end, now);
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

    fn decide(&mut self, now: Instant) {
        self.hold_until.take_if(|until| now >= *until);
        match self.agent {
            Agent::Audible => self.decide_overlap(now),
            // The caller is not asked again before the filler is over.
            Agent::Filling if !self.has_words() => {}
            Agent::Silent | Agent::Filling => {
                if !self.gives_back(now) {
                    self.decide_end_of_turn(now);
                }
            }
            Agent::Thinking | Agent::Uninterruptible => {}
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
