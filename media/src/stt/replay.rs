//! CORE: the audio since the last settled transcript, what is due of it, and how fast it may be sent.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};

use super::{Command, Kept};
use crate::audio::Format;

/// Audio kept for a replay; older audio is dropped and lost to the transcript.
const KEPT_MAX: Duration = Duration::from_secs(20);
/// Longer audio is sent in pieces of this length.
const PIECE_MAX: Duration = Duration::from_millis(100);
/// The vendor takes audio 1.25 times as fast as it is spoken.
const SPEED_PERCENT: u32 = 125;
/// How far sending may be ahead of that rate: half a second of audio, since frames arrive in small bursts.
const AHEAD_MAX: Duration = Duration::from_millis(400);
/// How often a backlog is drained.
pub const REPLAY_TICK: Duration = Duration::from_millis(20);
/// An answer to a finalize may end this much before the audio that it was asked for.
const ANSWER_TOLERANCE: Duration = Duration::from_millis(100);

/// What may be sent now.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Audio, never empty.
    Audio(Bytes),
    /// The request for the final transcript of the audio before it.
    Finalize,
}

/// Positions are bytes of the call's audio, from the first.
#[derive(Debug, Default)]
pub struct Replay {
    format: Format,
    kept: VecDeque<Bytes>,
    /// Position of the first byte kept.
    kept_from: u64,
    /// Position after the last byte kept.
    kept_to: u64,
    /// How many pieces of `kept` went out on the present socket.
    sent_count: usize,
    /// Position of the next byte to send.
    sent_to: u64,
    /// Position where the present socket's clock began.
    base: u64,
    /// Silence that the present socket was sent beside the call's audio: after which position, and how much.
    silences: VecDeque<(u64, u64)>,
    /// All such silence before what is settled.
    silent: u64,
    /// When the rate has made up for what was sent.
    even_at: Option<Instant>,
    /// The last finalize that is not answered: after which position.
    finalize: Option<u64>,
    finalize_sent: bool,
    settled: u64,
}

impl Replay {
    /// Nothing yet, of audio in this format.
    pub fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    fn duration_of(&self, bytes: u64) -> Duration {
        self.format.duration_of(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn bytes_of(&self, duration: Duration) -> u64 {
        self.format.bytes_of(duration) as u64
    }

    /// Adds audio of the caller.
    pub fn push(&mut self, mut audio: Bytes) {
        while !audio.is_empty() {
            let piece = audio.split_to(audio.len().min(self.format.bytes_of(PIECE_MAX)));
            self.kept_to += piece.len() as u64;
            self.kept.push_back(piece);
        }
        while self.kept_to - self.kept_from > self.bytes_of(KEPT_MAX) {
            self.drop_first();
        }
    }

    /// Asks for the final transcript of the audio so far; an earlier request that is not answered is part of it.
    pub fn finalize(&mut self) {
        self.finalize = Some(self.kept_to);
        self.finalize_sent = false;
    }

    /// The next thing that may be sent by now, in the order of the call.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        if !self.finalize_sent && self.finalize.is_some_and(|after| after <= self.sent_to) {
            self.finalize_sent = true;
            return Some(Due::Finalize);
        }
        let piece = self.kept.get(self.sent_count)?;
        let even_at = self.even_after(piece.len(), now);
        if even_at > now + AHEAD_MAX {
            return None;
        }
        self.even_at = Some(even_at);
        self.sent_count += 1;
        self.sent_to += piece.len() as u64;
        Some(Due::Audio(piece.clone()))
    }

    fn even_after(&self, bytes: usize, now: Instant) -> Instant {
        let sending = self.format.duration_of(bytes) * 100 / SPEED_PERCENT;
        self.even_at.map_or(now, |at| at.max(now)) + sending
    }

    /// So much silence was sent that is not in the call.
    pub fn sent_silence(&mut self, bytes: usize, now: Instant) {
        self.even_at = Some(self.even_after(bytes, now));
        match self.silences.back_mut() {
            Some((after, length)) if *after == self.sent_to => *length += bytes as u64,
            _ => self.silences.push_back((self.sent_to, bytes as u64)),
        }
    }

    /// True while something waits for the rate.
    pub fn is_due_later(&self) -> bool {
        self.sent_count < self.kept.len() || (self.finalize.is_some() && !self.finalize_sent)
    }

    /// A new socket is open: its clock starts at the first byte kept, everything kept is due again, and so is a finalize
    /// whose answer was lost.
    pub fn reconnected(&mut self) {
        self.silences.clear();
        self.silent = 0;
        self.even_at = None;
        self.sent_count = 0;
        self.sent_to = self.kept_from;
        self.base = self.kept_from;
        self.finalize_sent = false;
    }

    /// A point of the present socket's clock on the call's audio clock; nothing lies after what was sent.
    pub fn to_call(&self, offset: Duration) -> Duration {
        let mut left = self.bytes_of(offset).saturating_sub(self.silent);
        let mut from = self.base;
        for &(after, length) in &self.silences {
            let before = after.saturating_sub(from);
            if left <= before {
                break;
            }
            left = (left - before).saturating_sub(length);
            from = from.max(after);
        }
        self.duration_of(from.saturating_add(left).min(self.sent_to))
    }

    /// The transcript up to `end`, on the call's clock, is settled: its audio is not needed again. `over`: it may answer
    /// a finalize.
    pub fn settle(&mut self, end: Duration, over: bool) {
        self.settled = self.settled.max(self.bytes_of(end).min(self.sent_to));
        if over {
            let answered_to = self.settled + self.bytes_of(ANSWER_TOLERANCE);
            self.finalize = self.finalize.filter(|after| answered_to < *after);
        }
        while let Some((_, length)) = self.silences.pop_front_if(|(after, _)| *after < self.settled) {
            self.silent += length;
        }
        while self.sent_count > 0 && self.kept_from < self.settled {
            let done = self.settled - self.kept_from;
            match self.kept.front_mut() {
                Some(piece) if (piece.len() as u64) > done => {
                    piece.advance(usize::try_from(done).unwrap_or(0));
                    self.kept_from = self.settled;
                }
                _ => self.drop_first(),
            }
        }
    }

    /// How much of the call's audio was sent.
    pub fn sent(&self) -> Duration {
        self.duration_of(self.sent_to)
    }

    /// After how much of the call's audio a finalize stands that was sent and is not answered.
    pub fn asked(&self) -> Option<Duration> {
        self.finalize.filter(|_| self.finalize_sent).map(|after| self.duration_of(after))
    }

    /// How much of the call's audio was sent and is not settled.
    pub fn unsettled(&self) -> Duration {
        self.duration_of(self.sent_to.saturating_sub(self.settled.max(self.base)))
    }

    /// What is not settled, for another session.
    pub fn kept(&self) -> Kept {
        let audio: Vec<u8> = self.kept.iter().flatten().copied().collect();
        let from = self.duration_of(self.kept_from);
        Kept { from, audio: audio.into(), finalize: self.finalize.is_some() }
    }

    /// Takes a command of the session.
    pub fn take(&mut self, command: Command) {
        match command {
            Command::Audio(audio) => self.push(audio),
            Command::Finalize => self.finalize(),
            Command::CatchUp(kept) => {
                self.push(kept.audio);
                if kept.finalize {
                    self.finalize();
                }
            }
            Command::Speaking(_) => {}
        }
    }

    /// How much audio is kept.
    #[cfg(any(test, feature = "fuzz"))]
    pub fn kept_length(&self) -> Duration {
        self.duration_of(self.kept_to - self.kept_from)
    }

    fn drop_first(&mut self) {
        let Some(piece) = self.kept.pop_front() else { return };
        let length = piece.len() as u64;
        self.kept_from += length;
        if self.sent_count > 0 {
            self.sent_count -= 1;
        } else {
            // The socket never gets to hear it: its clock goes on with the audio after it.
            self.sent_to += length;
            self.base += length;
        }
    }
}

#[cfg(test)]
mod tests;
