//! CORE: the agent's audio on its way out, and how much of it was heard.
//!
//! Audio is handed on no further ahead of the play clock than [`WINDOW`], so that a clear never queues behind it; the
//! marks that stand between the frames, and the clock between two marks, say what the caller has heard.

pub mod heard;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use heard::{Timeline, Word};

use crate::audio::Format;

/// How far ahead of the play clock audio is handed on.
pub const WINDOW: Duration = Duration::from_millis(1000);
/// The window is refilled when it has fallen to this.
const REFILL: Duration = Duration::from_millis(700);
/// Audio between two marks. Between marks the clock tells what was heard, so this bounds its error.
const MARK_EVERY: Duration = Duration::from_millis(240);
/// How long after its last frame should have been played an utterance counts as heard although its mark did not come.
const MARK_GRACE: Duration = Duration::from_secs(2);
const FRAME: Duration = Duration::from_millis(20);

/// What an utterance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The model's reply to a turn.
    Reply,
    /// A line of the agent's that is part of the conversation: greeting, prompt, apology.
    Line,
    /// Said while the caller waits; no part of the conversation.
    Filler,
}

/// What the core wants done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Hand on a frame of 20 ms.
    Frame {
        /// Whose.
        epoch: i64,
        /// What it is of.
        kind: Kind,
        /// In the call's format.
        payload: Bytes,
        /// When it begins to play.
        at: Instant,
    },
    /// Hand on a mark after the frames before it.
    Mark {
        /// Whose.
        epoch: i64,
        /// Its name.
        name: String,
    },
    /// The first audio of the utterance was played; not told of fillers.
    FirstHeard {
        /// Whose.
        epoch: i64,
        /// When the first frame began to play, to the precision of the mark.
        at: Instant,
    },
    /// All of the utterance was heard.
    Finished {
        /// Whose.
        epoch: i64,
        /// What it was.
        kind: Kind,
        /// Its whole text, what was heard before a false barge-in included.
        text: String,
    },
}

/// What was heard of an utterance that was cut.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// Whose.
    pub epoch: i64,
    /// What it was.
    pub kind: Kind,
    /// The words that were heard.
    pub heard_text: String,
    /// The words that were not, as far as they are known.
    pub rest_text: String,
    /// False if not one frame had been handed on: nothing needs a clear.
    pub started: bool,
}

#[derive(Debug)]
struct Utterance {
    format: Format,
    epoch: i64,
    kind: Kind,
    /// Unique in the call: names the marks.
    serial: u64,
    /// Nothing is handed on yet: it may never be said.
    on_hold: bool,
    /// Heard before a false barge-in.
    before: String,
    text: String,
    timeline: Timeline,
    /// Where the audio of the present take begins.
    base: Duration,
    queue: BytesMut,
    received: usize,
    sent: usize,
    complete: bool,
    final_mark: bool,
    next_mark: usize,
    /// Positions of marks handed on and not yet back, in bytes.
    outstanding: VecDeque<usize>,
    /// The last mark that came back: position in bytes, and when.
    reached: Option<(usize, Instant)>,
    first_sent_at: Option<Instant>,
    /// The audio that plays without a gap up to the last byte handed on: where it begins, and when that is played.
    run: Option<(usize, Instant)>,
}

/// The outbound side of one call: what is being said, and what is said after it.
#[derive(Debug, Default)]
pub struct Playout {
    format: Format,
    utterances: VecDeque<Utterance>,
    serial: u64,
    /// The vendor has given word times in this call.
    gives_times: bool,
    /// When everything handed on so far will have been played.
    play_end_at: Option<Instant>,
    /// The same, kept after the utterance is over.
    last_end: Option<Instant>,
    outputs: VecDeque<Output>,
}

impl Playout {
    /// For audio in this format; nothing is being said.
    pub fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// Begins an utterance; it is said after those that are there.
    pub fn begin(&mut self, epoch: i64, kind: Kind) {
        self.begin_after(epoch, kind, String::new());
    }

    /// Begins what is left of an utterance of which `before` was heard already.
    pub fn begin_after(&mut self, epoch: i64, kind: Kind, before: String) {
        let utterance = self.utterance(epoch, kind);
        self.utterances.push_back(Utterance { before, ..utterance });
    }

    fn utterance(&mut self, epoch: i64, kind: Kind) -> Utterance {
        self.serial += 1;
        Utterance {
            format: self.format,
            epoch,
            kind,
            serial: self.serial,
            on_hold: false,
            before: String::new(),
            text: String::new(),
            timeline: Timeline::new(self.gives_times),
            base: Duration::ZERO,
            queue: BytesMut::new(),
            received: 0,
            sent: 0,
            complete: false,
            final_mark: false,
            next_mark: self.format.bytes_of(MARK_EVERY),
            outstanding: VecDeque::new(),
            reached: None,
            first_sent_at: None,
            run: None,
        }
    }

    /// Keeps an utterance from being said until it is released.
    pub fn hold(&mut self, epoch: i64) {
        if let Some(utterance) = self.of(epoch) {
            utterance.on_hold = true;
        }
    }

    /// True while an utterance is kept from being said.
    pub fn holds(&self, epoch: i64) -> bool {
        self.utterances.iter().any(|utterance| utterance.epoch == epoch && utterance.on_hold)
    }

    /// Lets an utterance be said.
    pub fn release(&mut self, epoch: i64, now: Instant) {
        if let Some(utterance) = self.of(epoch) {
            utterance.on_hold = false;
            self.pump(now);
        }
    }

    /// True if nothing is being said or waits to be said.
    pub fn is_empty(&self) -> bool {
        self.utterances.is_empty()
    }

    /// The text that the caller is hearing, as far as it is known.
    pub fn spoken(&self) -> &str {
        self.utterances.front().map_or("", |utterance| utterance.text.as_str())
    }

    /// The epoch of what is being said.
    pub fn front_epoch(&self) -> Option<i64> {
        self.utterances.front().map(|utterance| utterance.epoch)
    }

    /// What it is.
    pub fn front_kind(&self) -> Option<Kind> {
        self.utterances.front().map(|utterance| utterance.kind)
    }

    /// True while an utterance has audio that was handed on and not all of it was heard: the caller hears us.
    pub fn is_audible(&self) -> bool {
        self.utterances.front().is_some_and(|utterance| utterance.sent > 0)
    }

    /// Says what is there as a whole. A filler is said before what waits for its audio, anything else after all.
    pub fn say(&mut self, epoch: i64, kind: Kind, text: &str, words: &[Word], audio: &[u8], now: Instant) {
        self.gives_times |= !words.is_empty();
        let mut utterance = self.utterance(epoch, kind);
        text.clone_into(&mut utterance.text);
        utterance.timeline.extend(words, Duration::ZERO);
        utterance.queue.extend_from_slice(audio);
        utterance.received = audio.len();
        utterance.complete = true;
        if kind == Kind::Filler {
            self.utterances.push_front(utterance);
        } else {
            self.utterances.push_back(utterance);
        }
        self.pump(now);
    }

    /// True if nothing is left to hand on, and what is being said is over or waits for more audio.
    pub fn is_drained(&self) -> bool {
        self.utterances
            .front()
            .is_none_or(|utterance| utterance.queue.len() < utterance.frame_bytes() && !utterance.complete)
    }

    /// When the last audio ended, or will end; `None` before the first.
    pub fn silent_since(&self) -> Option<Instant> {
        self.last_end
    }

    /// When the audio of an utterance of which more is to come ends, as far as it has come.
    pub fn runs_out_at(&self) -> Option<Instant> {
        self.utterances.front().filter(|utterance| !utterance.complete).and(self.last_end)
    }

    /// Adds text that will be spoken.
    pub fn text(&mut self, epoch: i64, text: &str) {
        if let Some(utterance) = self.of(epoch) {
            utterance.text.push_str(text);
        }
    }

    /// Adds audio in the call's format, of any length.
    pub fn audio(&mut self, epoch: i64, payload: &[u8], now: Instant) {
        if let Some(utterance) = self.of(epoch) {
            utterance.queue.extend_from_slice(payload);
            utterance.received += payload.len();
            self.pump(now);
        }
    }

    /// Adds word times, relative to the start of the present take.
    pub fn words(&mut self, epoch: i64, words: &[Word]) {
        self.gives_times |= !words.is_empty();
        if let Some(utterance) = self.of(epoch) {
            let base = utterance.base;
            utterance.timeline.extend(words, base);
        }
    }

    /// All audio of the utterance has come.
    pub fn complete(&mut self, epoch: i64, now: Instant) {
        if let Some(utterance) = self.of(epoch) {
            utterance.complete = true;
            self.pump(now);
        }
    }

    /// The synthesis of the utterance broke off. Keeps the audio of whole words, and returns the text that must be
    /// spoken again in a new take.
    pub fn retake(&mut self, epoch: i64) -> Option<String> {
        let format = self.format;
        let utterance = self.of(epoch)?;
        // More text was owed than the vendor said it had spoken.
        (utterance.complete, utterance.final_mark) = (false, false);
        utterance.drop_half_sample();
        utterance.timeline.truncate(format.duration_of(utterance.received));
        let keep = format.bytes_of(utterance.timeline.end()).clamp(utterance.sent, utterance.received);
        utterance.queue.truncate(keep - utterance.sent);
        utterance.received = keep;
        utterance.base = format.duration_of(keep);
        let spoken = utterance.timeline.text_before(&utterance.text, format.duration_of(keep), None).len();
        Some(utterance.text[spoken..].trim_start().to_owned())
    }

    /// The audio that comes from here on belongs to a new take of the utterance.
    pub fn next_take(&mut self, epoch: i64) {
        if let Some(utterance) = self.of(epoch) {
            utterance.drop_half_sample();
            utterance.base = utterance.format.duration_of(utterance.received);
        }
    }

    /// True once any audio of the utterance has come.
    pub fn has_audio(&self, epoch: i64) -> bool {
        self.utterances.iter().any(|u| u.epoch == epoch && u.kind != Kind::Filler && u.received > 0)
    }

    /// True if this mark was handed on, belongs to what is being said, and has not come back.
    pub fn is_outstanding(&self, name: &str) -> bool {
        let Some((serial, position)) = parse_mark(name) else { return false };
        self.utterances.iter().any(|u| u.serial == serial && u.outstanding.contains(&position))
    }

    /// When everything handed on so far will have been played.
    pub fn play_end_at(&self) -> Option<Instant> {
        self.play_end_at
    }

    /// A mark came back and was not cleared: everything before it was played.
    pub fn mark_reached(&mut self, name: &str, now: Instant) {
        let Some((serial, position)) = parse_mark(name) else { return };
        let Some(utterance) = self.utterances.iter_mut().find(|u| u.serial == serial) else { return };
        let epoch = utterance.epoch;
        let first = utterance.reached.is_none();
        while utterance.outstanding.front().is_some_and(|next| *next <= position) {
            utterance.outstanding.pop_front();
        }
        if utterance.reached.is_none_or(|(reached, _)| reached < position) {
            utterance.reached = Some((position, now));
        }
        if first && utterance.kind != Kind::Filler {
            let earliest = utterance.first_sent_at.unwrap_or(now);
            let at = now.checked_sub(self.format.duration_of(position)).unwrap_or(now).max(earliest);
            self.outputs.push_back(Output::FirstHeard { epoch, at });
        }
        self.finish_if_heard(now);
    }

    /// Cuts everything: what is left is dropped, and what was heard of each utterance is returned, in order.
    pub fn cut(&mut self, now: Instant) -> Vec<Cut> {
        self.outputs.retain(|output| !matches!(output, Output::Frame { .. } | Output::Mark { .. }));
        self.play_end_at = None;
        self.last_end = self.last_end.map(|end| end.min(now));
        std::mem::take(&mut self.utterances).into_iter().map(|utterance| utterance.cut(now)).collect()
    }

    /// How much of the utterance's audio was heard by now.
    pub fn heard(&self, now: Instant) -> Duration {
        self.utterances.front().map_or(Duration::ZERO, |utterance| utterance.heard(now))
    }

    /// Lets time pass: hands on what the window allows, and gives up on a mark that does not come.
    pub fn tick(&mut self, now: Instant) {
        self.pump(now);
        let overdue = self.play_end_at.or(self.last_end).is_some_and(|end| now >= end + MARK_GRACE);
        if let Some(utterance) = self.utterances.front_mut()
            && utterance.final_mark
            && overdue
        {
            utterance.outstanding.clear();
        }
        self.finish_if_heard(now);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Playout::tick`] is due next.
    pub fn wake_at(&self) -> Option<Instant> {
        let utterance = self.utterances.front()?;
        if utterance.final_mark {
            return Some(self.play_end_at.or(self.last_end)? + MARK_GRACE);
        }
        let end = self.play_end_at?;
        if !utterance.on_hold
            && (utterance.queue.len() >= utterance.frame_bytes()
                || (utterance.complete && !utterance.queue.is_empty()))
        {
            Some(end.checked_sub(REFILL).unwrap_or(end))
        } else {
            None
        }
    }

    /// The reply or line of an epoch; fillers are said whole and are not addressed.
    fn of(&mut self, epoch: i64) -> Option<&mut Utterance> {
        self.utterances.iter_mut().rev().find(|u| u.epoch == epoch && u.kind != Kind::Filler)
    }

    fn pump(&mut self, now: Instant) {
        let Some(utterance) = self.utterances.front_mut().filter(|utterance| !utterance.on_hold) else {
            return;
        };
        loop {
            let ahead = self.play_end_at.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
            if ahead + FRAME > WINDOW || !utterance.fill_frame() {
                break;
            }
            let at = self.play_end_at.unwrap_or(now).max(now);
            if utterance.run_end().is_none_or(|end| end < at) {
                utterance.run = Some((utterance.sent, at));
            }
            let payload = utterance.queue.split_to(utterance.frame_bytes()).freeze();
            utterance.sent += payload.len();
            utterance.first_sent_at.get_or_insert(now);
            self.play_end_at = Some(at + FRAME);
            self.last_end = self.play_end_at;
            let (epoch, kind) = (utterance.epoch, utterance.kind);
            self.outputs.push_back(Output::Frame { epoch, kind, payload, at });
            if utterance.sent >= utterance.next_mark {
                utterance.next_mark = utterance.sent + utterance.format.bytes_of(MARK_EVERY);
                self.outputs.push_back(utterance.mark());
            }
        }
        if utterance.complete && utterance.queue.is_empty() && !utterance.final_mark {
            utterance.final_mark = true;
            if utterance.outstanding.back() != Some(&utterance.sent) && utterance.sent > 0 {
                let mark = utterance.mark();
                self.outputs.push_back(mark);
            }
        }
        self.finish_if_heard(now);
    }

    fn finish_if_heard(&mut self, now: Instant) {
        if !self.utterances.front().is_some_and(|u| u.final_mark && u.outstanding.is_empty()) {
            return;
        }
        if let Some(utterance) = self.utterances.pop_front() {
            self.play_end_at = None;
            let text = joined(&utterance.before, &utterance.text);
            self.outputs.push_back(Output::Finished { epoch: utterance.epoch, kind: utterance.kind, text });
            self.pump(now);
        }
    }
}

fn joined(before: &str, text: &str) -> String {
    match (before.is_empty(), text.is_empty()) {
        (true, _) => text.to_owned(),
        (_, true) => before.to_owned(),
        _ => format!("{before} {text}"),
    }
}

impl Utterance {
    /// True if a whole frame is there; the last one of the utterance is filled up with silence.
    fn fill_frame(&mut self) -> bool {
        if self.queue.len() >= self.frame_bytes() {
            return true;
        }
        if self.complete && !self.queue.is_empty() {
            self.queue.resize(self.frame_bytes(), self.format.silence());
            return true;
        }
        false
    }

    fn frame_bytes(&self) -> usize {
        self.format.bytes_of(FRAME)
    }

    /// Audio that broke off inside a sample: what follows begins with a whole one.
    fn drop_half_sample(&mut self) {
        let whole = self.received - self.received % self.format.sample_bytes();
        self.queue.truncate(self.queue.len() - (self.received - whole).min(self.queue.len()));
        self.received = whole;
    }

    fn mark(&mut self) -> Output {
        self.outstanding.push_back(self.sent);
        Output::Mark { epoch: self.epoch, name: format!("u{}-{}", self.serial, self.sent) }
    }

    fn cut(self, now: Instant) -> Cut {
        let total = self.complete.then(|| self.format.duration_of(self.received));
        let heard = self.timeline.text_before(&self.text, self.heard(now), total);
        let rest_text = self.text[heard.len()..].trim_start().to_owned();
        Cut {
            epoch: self.epoch,
            kind: self.kind,
            heard_text: joined(&self.before, heard),
            rest_text,
            started: self.sent > 0,
        }
    }

    /// When the last byte handed on will have been played.
    fn run_end(&self) -> Option<Instant> {
        self.run.map(|(from, at)| at + self.format.duration_of(self.sent - from))
    }

    /// The last mark, and the clock since then as far as the next mark. While there was nothing to play the clock counts
    /// for nothing.
    fn heard(&self, now: Instant) -> Duration {
        let clock = |(position, at): (usize, Instant)| {
            self.format.duration_of(position) + now.saturating_duration_since(at)
        };
        let reached = self.reached.map_or(Duration::ZERO, |(position, _)| self.format.duration_of(position));
        let limit = self.format.duration_of(self.outstanding.front().copied().unwrap_or(self.sent));
        let clocks = [self.reached, self.run].into_iter().flatten().map(clock);
        clocks.fold(limit, Duration::min).max(reached)
    }
}

fn parse_mark(name: &str) -> Option<(u64, usize)> {
    let (serial, position) = name.strip_prefix('u')?.split_once('-')?;
    Some((serial.parse().ok()?, position.parse().ok()?))
}

#[cfg(test)]
mod tests;
