//! CORE: what goes to the vendor: the audio in the pieces that it likes, and silence where the audio stops.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::audio::Format;

/// The vendor's model thinks in steps of this.
const PIECE: Duration = Duration::from_millis(80);
/// Audio waits no longer than this for the rest of its piece.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// The vendor's time is the audio's: a turn in which the audio stops would never end.
const GAP_MAX: Duration = Duration::from_millis(500);

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Out {
    /// Audio of the caller, never empty.
    Audio(Bytes),
    /// Sent in its place.
    Silence(Bytes),
}

/// The audio on its way to one socket.
#[derive(Debug, Default)]
pub struct Feed {
    format: Format,
    gathered: BytesMut,
    /// Since when some of it waits.
    waits_since: Option<Instant>,
    /// When the last audio came, or silence was sent for it.
    fed_at: Option<Instant>,
    in_turn: bool,
}

impl Feed {
    /// Nothing yet, of audio in this format.
    pub fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// Adds audio.
    pub fn push(&mut self, audio: &[u8], now: Instant) {
        self.gathered.extend_from_slice(audio);
        self.waits_since.get_or_insert(now);
        self.fed_at = Some(now);
    }

    /// A turn of the caller is under way, or none.
    pub fn set_in_turn(&mut self, in_turn: bool) {
        self.in_turn = in_turn;
    }

    /// The next thing to be sent by now.
    pub fn poll(&mut self, now: Instant) -> Option<Out> {
        let piece = self.format.bytes_of(PIECE);
        if self.gathered.len() >= piece {
            let piece = self.gathered.split_to(piece).freeze();
            self.waits_since = self.fed_at.filter(|_| !self.gathered.is_empty());
            return Some(Out::Audio(piece));
        }
        if self.wake_at()? > now {
            return None;
        }
        if self.waits_since.take().is_some() {
            return Some(Out::Audio(self.gathered.split().freeze()));
        }
        self.fed_at = Some(now);
        let silence = vec![self.format.silence(); self.format.bytes_of(GAP_MAX)];
        Some(Out::Silence(silence.into()))
    }

    /// When there will be something to send even if no audio comes.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.waits_since {
            Some(at) => Some(at + WAIT_MAX),
            None => self.fed_at.filter(|_| self.in_turn).map(|at| at + GAP_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh::clock;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What a call sends in which a frame comes at each of these times; the time and the bytes of each message.
    fn sent(frames_at_ms: &[u32], in_turn: bool, until_ms: u32) -> Vec<(u32, usize, bool)> {
        let t = clock::now();
        let mut feed = Feed::default();
        feed.set_in_turn(in_turn);
        let mut out = Vec::new();
        for ms in 0..until_ms {
            let now = t + ms * MS;
            for _ in frames_at_ms.iter().filter(|at| **at == ms) {
                feed.push(&[1; 160], now);
            }
            while let Some(one) = feed.poll(now) {
                out.push(match one {
                    Out::Audio(audio) => (ms, audio.len(), true),
                    Out::Silence(audio) => (ms, audio.len(), false),
                });
            }
            assert!(feed.wake_at().is_none_or(|at| at > now));
        }
        out
    }

    #[test]
    fn frames_go_in_fours_and_a_rest_waits_a_tenth_of_a_second() {
        let steady: Vec<u32> = (0..9).map(|n| n * 20).collect();
        assert_eq!(sent(&steady, false, 2000), [(60, 640, true), (140, 640, true), (260, 160, true)]);
        assert_eq!(sent(&[0; 9], false, 2000), [(0, 640, true), (0, 640, true), (100, 160, true)]);
    }

    #[test]
    fn a_gap_inside_a_turn_is_filled_with_silence_as_it_passes() {
        let wanted = [(100, 160, true), (500, 4000, false), (1000, 4000, false), (1500, 4000, false)];
        assert_eq!(sent(&[0], true, 1900), wanted);
        assert_eq!(sent(&[0], false, 1900), wanted[..1]);
        let resumed = [(100, 160, true), (500, 4000, false), (800, 160, true), (1200, 4000, false)];
        assert_eq!(sent(&[0, 700], true, 1500), resumed);
    }
}
