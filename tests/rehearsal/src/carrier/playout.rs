//! The carrier's play-out: a buffer that a clock empties at 8,000 bytes a second. Marks are echoed when what came
//! before them was played; `clear` drops what was not.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::ear::{Ear, Heard};
use super::mulaw;

/// How much sound the carrier holds; what comes on top is dropped and counted.
pub const CAPACITY_BYTES: usize = 600 * mulaw::RATE_HZ as usize;

/// Media that comes this long after the last, when nothing is left to play, begins another burst.
pub const BURST_GAP: Duration = Duration::from_millis(300);

const MICROS_PER_SAMPLE: u64 = 1_000_000 / mulaw::RATE_HZ as u64;

/// What the server did.
#[derive(Debug)]
pub enum Input {
    Media(Vec<u8>),
    Mark(String),
    Clear,
    /// The stream is over: what was not played never will be, and its marks are not echoed.
    StreamEnded,
}

/// What came of it. Times are on the call's clock.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// The first media after a pause or a `clear` was received.
    BurstBegan(Duration),
    /// The agent can be heard.
    Audible(Duration),
    /// The agent fell silent at this time.
    Inaudible(Duration),
    /// To be echoed.
    Mark { name: String, received: Duration, at: Duration, cleared: bool },
    /// The buffer was emptied of so many bytes.
    Cleared { at: Duration, discarded_bytes: usize },
}

/// What the caller knows of the agent's voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentHeard {
    /// When its last utterance began.
    pub started: Option<Duration>,
    /// When it was last audible.
    pub last_audible: Option<Duration>,
    /// Whether its last utterance was cut off by a `clear`.
    pub cut: bool,
}

struct PendingMark {
    name: String,
    received: Duration,
    /// Due when so many bytes were played.
    due_bytes: u64,
}

/// The play-out of one call, over any number of streams.
#[derive(Default)]
pub struct Playout {
    buffer: VecDeque<u8>,
    played_bytes: u64,
    heard: Vec<u8>,
    marks: VecDeque<PendingMark>,
    last_media: Option<Duration>,
    in_burst: bool,
    ear: Ear,
    agent: AgentHeard,
    overflow_bytes: u64,
    /// The most that was ever held.
    held_bytes_max: usize,
    /// The most that was held since the burst began.
    burst_held_max: usize,
    late_ms: BTreeMap<u64, u64>,
    outputs: VecDeque<Output>,
}

impl Playout {
    /// Takes what the server sent at `now`.
    pub fn handle(&mut self, input: Input, now: Duration) {
        self.advance(now);
        match input {
            Input::Media(sound) => self.take_media(&sound, now),
            Input::Mark(name) => {
                let due_bytes = self.played_bytes + self.buffer.len() as u64;
                self.marks.push_back(PendingMark { name, received: now, due_bytes });
                self.echo_due(now);
            }
            Input::Clear => {
                let discarded_bytes = self.discard();
                self.outputs.push_back(Output::Cleared { at: now, discarded_bytes });
                while let Some(PendingMark { name, received, .. }) = self.marks.pop_front() {
                    self.outputs.push_back(Output::Mark { name, received, at: now, cleared: true });
                }
            }
            Input::StreamEnded => {
                self.discard();
                self.marks.clear();
            }
        }
    }

    /// Plays up to `now`.
    pub fn advance(&mut self, now: Duration) {
        let target = samples_at(now);
        while self.heard.len() < target {
            let missing = target - self.heard.len();
            let until_mark =
                self.marks.front().map_or(missing, |mark| (mark.due_bytes - self.played_bytes) as usize);
            let run =
                missing.min(if self.buffer.is_empty() { missing } else { until_mark.min(self.buffer.len()) });
            self.play(run);
            self.echo_due(time_of(self.heard.len()));
        }
    }

    /// The next output, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the next mark falls due.
    pub fn next_due(&self) -> Option<Duration> {
        let mark = self.marks.front()?;
        Some(time_of(self.heard.len() + (mark.due_bytes - self.played_bytes) as usize))
    }

    /// What the caller knows of the agent's voice.
    pub fn agent(&self) -> AgentHeard {
        self.agent
    }

    /// What was played from this sample of the call on, silence included.
    pub fn heard_from(&self, sample: usize) -> &[u8] {
        self.heard.get(sample..).unwrap_or_default()
    }

    /// Bytes of the agent that were played so far.
    pub fn played_bytes(&self) -> u64 {
        self.played_bytes
    }

    /// The most sound that was ever held.
    pub fn held_max(&self) -> Duration {
        time_of(self.held_bytes_max)
    }

    /// How many messages came so many milliseconds later than the server's own pace: by so much less sound was held with
    /// them than at the best moment of their burst.
    pub fn late_ms(&self) -> &BTreeMap<u64, u64> {
        &self.late_ms
    }

    /// Bytes dropped because the buffer was full.
    pub fn overflow_bytes(&self) -> u64 {
        self.overflow_bytes
    }

    /// Everything that was played so far, silence included, from the call's beginning.
    pub fn heard(&self) -> &[u8] {
        &self.heard
    }

    /// The same, at the end.
    pub fn into_heard(self) -> Vec<u8> {
        self.heard
    }

    fn take_media(&mut self, sound: &[u8], now: Duration) {
        let idle = self.last_media.is_none_or(|last| now.saturating_sub(last) >= BURST_GAP);
        if !self.in_burst || (self.buffer.is_empty() && idle) {
            self.in_burst = true;
            self.burst_held_max = 0;
            self.outputs.push_back(Output::BurstBegan(now));
        }
        self.last_media = Some(now);
        let room = CAPACITY_BYTES - self.buffer.len();
        self.overflow_bytes += sound.len().saturating_sub(room) as u64;
        self.buffer.extend(&sound[..sound.len().min(room)]);
        self.held_bytes_max = self.held_bytes_max.max(self.buffer.len());
        self.burst_held_max = self.burst_held_max.max(self.buffer.len());
        let late = time_of(self.burst_held_max - self.buffer.len());
        *self.late_ms.entry(late.as_millis() as u64).or_default() += 1;
    }

    fn discard(&mut self) -> usize {
        let discarded = self.buffer.len();
        self.buffer.clear();
        self.in_burst = false;
        if discarded > 0 {
            self.agent.cut = true;
            let edge = self.ear.cut();
            self.note(edge);
        }
        discarded
    }

    /// Plays `count` bytes of the buffer, or of silence when it is empty; it never holds fewer than `count` otherwise.
    fn play(&mut self, count: usize) {
        let from = self.heard.len();
        if self.buffer.is_empty() {
            self.heard.resize(from + count, mulaw::SILENCE);
        } else {
            self.heard.extend(self.buffer.drain(..count));
            self.played_bytes += count as u64;
        }
        for index in from..self.heard.len() {
            let edge = self.ear.hear(self.heard[index]);
            self.note(edge);
        }
        self.agent.last_audible = self.ear.last_audible().map(|sample| time_of(sample as usize));
    }

    fn note(&mut self, edge: Option<Heard>) {
        match edge {
            Some(Heard::Started(sample)) => {
                let at = time_of(sample as usize);
                self.agent = AgentHeard { started: Some(at), last_audible: Some(at), cut: false };
                self.outputs.push_back(Output::Audible(at));
            }
            Some(Heard::Stopped(sample)) => {
                self.outputs.push_back(Output::Inaudible(time_of(sample as usize)))
            }
            None => {}
        }
    }

    fn echo_due(&mut self, at: Duration) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.due_bytes <= self.played_bytes) {
            let PendingMark { name, received, .. } = mark;
            self.outputs.push_back(Output::Mark { name, received, at, cleared: false });
        }
    }
}

/// How many samples were played at a time of the call's clock.
pub fn samples_at(now: Duration) -> usize {
    (now.as_micros() as u64 / MICROS_PER_SAMPLE) as usize
}

/// The time at which a sample begins.
pub fn time_of(sample: usize) -> Duration {
    Duration::from_micros(sample as u64 * MICROS_PER_SAMPLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn tone(ms: usize) -> Vec<u8> {
        (0..ms * 8).map(|n| mulaw::encode(if n % 8 < 4 { 4_000 } else { -4_000 })).collect()
    }

    fn drain(playout: &mut Playout) -> Vec<Output> {
        std::iter::from_fn(|| playout.poll()).collect()
    }

    fn mark(name: &str, received: Duration, at: Duration, cleared: bool) -> Output {
        Output::Mark { name: name.to_owned(), received, at, cleared }
    }

    #[test]
    fn a_message_is_late_by_what_the_burst_has_lost_of_its_lead() {
        let mut playout = Playout::default();
        for at in [0, 0, 20, 47, 60] {
            playout.handle(Input::Media(tone(20)), ms(at));
        }
        // Another burst has a pace of its own.
        playout.handle(Input::Media(tone(20)), ms(1_000));
        assert_eq!(*playout.late_ms(), BTreeMap::from([(0, 5), (7, 1)]));
    }

    #[test]
    fn a_mark_is_echoed_when_everything_before_it_was_played() {
        let mut playout = Playout::default();
        playout.handle(Input::Mark("at once".to_owned()), ms(7));
        playout.handle(Input::Media(tone(90)), ms(10));
        playout.handle(Input::Mark("a".to_owned()), ms(11));
        playout.handle(Input::Media(tone(33)), ms(12));
        playout.handle(Input::Mark("b".to_owned()), ms(13));
        assert_eq!(playout.next_due(), Some(ms(100)));
        playout.advance(ms(99));
        assert_eq!(
            drain(&mut playout),
            [mark("at once", ms(7), ms(7), false), Output::BurstBegan(ms(10)), Output::Audible(ms(10))]
        );
        playout.advance(ms(100));
        assert_eq!(drain(&mut playout), [mark("a", ms(11), ms(100), false)]);
        assert_eq!(playout.next_due(), Some(ms(133)));
        // A shell that wakes late still learns the exact moment.
        playout.advance(ms(500));
        assert_eq!(drain(&mut playout), [mark("b", ms(13), ms(133), false)]);
        assert_eq!(playout.next_due(), None);
    }

    #[test]
    fn clear_drops_what_was_not_played_and_echoes_all_marks_in_order() {
        let mut playout = Playout::default();
        playout.handle(Input::Media(tone(1_000)), ms(0));
        playout.handle(Input::Mark("a".to_owned()), ms(0));
        playout.handle(Input::Media(tone(1_000)), ms(0));
        playout.handle(Input::Mark("b".to_owned()), ms(0));
        playout.handle(Input::Clear, ms(300));
        let outputs = drain(&mut playout);
        assert_eq!(outputs[..2], [Output::BurstBegan(ms(0)), Output::Audible(ms(0))]);
        assert!(matches!(outputs[2], Output::Inaudible(at) if at > ms(299) && at < ms(300)), "{outputs:?}");
        assert_eq!(
            outputs[3..],
            [
                Output::Cleared { at: ms(300), discarded_bytes: 1_700 * 8 },
                mark("a", ms(0), ms(300), true),
                mark("b", ms(0), ms(300), true),
            ]
        );
        assert!(playout.agent().cut);
        playout.handle(Input::Media(tone(50)), ms(310));
        playout.advance(ms(400));
        assert_eq!(drain(&mut playout), [Output::BurstBegan(ms(310)), Output::Audible(ms(310))]);
        let heard = playout.into_heard();
        assert_eq!(heard.len(), 3_200);
        assert!(heard[2_400..2_480].iter().all(|byte| *byte == mulaw::SILENCE));
        assert_eq!(heard[2_480..2_880], tone(50));
    }

    #[test]
    fn any_payload_size_plays_without_a_gap() {
        let sound = tone(400);
        let mut playout = Playout::default();
        let mut at = ms(0);
        for piece in sound.chunks(37) {
            playout.handle(Input::Media(piece.to_vec()), at);
            at += Duration::from_micros(3_001);
        }
        playout.advance(ms(1_000));
        let heard = playout.into_heard();
        assert_eq!(heard[..sound.len()], sound);
        assert_eq!(heard.len(), 8_000);
    }

    #[test]
    fn a_burst_begins_after_a_pause_only() {
        let mut playout = Playout::default();
        for (at, length) in [(0, 100), (90, 100), (250, 40), (700, 40)] {
            playout.handle(Input::Media(tone(length)), ms(at));
        }
        let bursts: Vec<_> = drain(&mut playout)
            .into_iter()
            .filter(|output| matches!(output, Output::BurstBegan(_)))
            .collect();
        assert_eq!(bursts, [Output::BurstBegan(ms(0)), Output::BurstBegan(ms(700))]);
    }

    #[test]
    fn the_end_of_a_stream_takes_its_sound_and_marks_with_it() {
        let mut playout = Playout::default();
        playout.handle(Input::Media(tone(500)), ms(0));
        playout.handle(Input::Mark("a".to_owned()), ms(0));
        playout.handle(Input::StreamEnded, ms(100));
        playout.advance(ms(900));
        assert!(!drain(&mut playout).iter().any(|output| matches!(output, Output::Mark { .. })));
        assert!(playout.into_heard()[800..].iter().all(|byte| *byte == mulaw::SILENCE));
    }

    #[test]
    fn the_buffer_has_an_end() {
        let mut playout = Playout::default();
        playout.handle(Input::Media(vec![mulaw::SILENCE; CAPACITY_BYTES - 1]), ms(0));
        playout.handle(Input::Media(vec![mulaw::SILENCE; 5]), ms(0));
        assert_eq!(playout.overflow_bytes(), 4);
    }
}
