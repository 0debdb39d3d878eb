//! CORE: the audio since the last settled transcript, and how fast it may be sent.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

/// Bytes of mu-law at 8 kHz in a second.
const BYTES_A_SECOND: u64 = 8000;
/// Audio kept for a replay; older audio is dropped and lost to the transcript.
const KEPT_MAX: u64 = 20 * BYTES_A_SECOND;
/// Sent at once before the rate counts: frames arrive in small bursts.
const BURST: u64 = BYTES_A_SECOND;

/// Positions are bytes of the call's audio, from the first.
#[derive(Debug, Default)]
pub struct Replay {
    kept: VecDeque<Bytes>,
    /// Position of the first byte kept.
    kept_from: u64,
    /// How many pieces of `kept` went out on the present socket.
    sent_count: usize,
    /// Position of the next byte to send.
    sent_to: u64,
    /// Position where the present socket's clock began.
    base: u64,
    /// When the present socket opened, for the rate; `None` while nothing was lost.
    opened_at: Option<Instant>,
    settled: u64,
}

fn duration_of(bytes: u64) -> Duration {
    Duration::from_micros(bytes * 1_000_000 / BYTES_A_SECOND)
}

fn bytes_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / BYTES_A_SECOND) * BYTES_A_SECOND / 1_000_000
}

impl Replay {
    /// Adds audio of the caller.
    pub fn push(&mut self, audio: Bytes) {
        self.kept.push_back(audio);
        while self.kept.iter().map(|piece| piece.len() as u64).sum::<u64>() > KEPT_MAX {
            if self.drop_first().is_none() {
                break;
            }
        }
    }

    /// The next piece that may be sent by now.
    pub fn due(&mut self, now: Instant) -> Option<Bytes> {
        let piece = self.kept.get(self.sent_count)?.clone();
        if let Some(opened_at) = self.opened_at {
            let elapsed = bytes_of(now.saturating_duration_since(opened_at));
            if self.sent_to - self.base + piece.len() as u64 > BURST + elapsed + elapsed / 5 {
                return None;
            }
        }
        self.sent_count += 1;
        self.sent_to += piece.len() as u64;
        Some(piece)
    }

    /// True while pieces wait for the rate.
    pub fn is_behind(&self) -> bool {
        self.sent_count < self.kept.len()
    }

    /// A new socket is open: its clock starts at the first byte kept, and everything kept is due again.
    pub fn reconnected(&mut self, now: Instant) {
        self.opened_at = Some(now);
        self.sent_count = 0;
        self.sent_to = self.kept_from;
        self.base = self.kept_from;
    }

    /// A point of the present socket's clock on the call's audio clock.
    pub fn to_call(&self, offset: Duration) -> Duration {
        duration_of(self.base) + offset
    }

    /// The transcript up to here is settled: its audio is not needed again.
    pub fn settle(&mut self, end: Duration) {
        self.settled = self.settled.max(bytes_of(end));
        while self.sent_count > 0
            && self.kept.front().is_some_and(|piece| self.kept_from + piece.len() as u64 <= self.settled)
        {
            self.drop_first();
        }
    }

    /// Up to where the transcript is settled.
    pub fn settled(&self) -> Duration {
        duration_of(self.settled)
    }

    fn drop_first(&mut self) -> Option<()> {
        let piece = self.kept.pop_front()?;
        self.kept_from += piece.len() as u64;
        if self.sent_count > 0 {
            self.sent_count -= 1;
        } else {
            self.sent_to = self.kept_from;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Bytes {
        Bytes::from_static(&[0xFF; 160])
    }

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin for virtual time")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn settled_audio_is_forgotten_and_the_rest_is_sent_again_on_the_calls_clock() {
        let t = origin();
        let mut replay = Replay::default();
        replay.reconnected(t);
        for _ in 0..50 {
            replay.push(frame());
            assert!(replay.due(t + Duration::from_secs(1)).is_some());
        }
        replay.settle(Duration::from_millis(600));
        replay.reconnected(t + Duration::from_secs(2));
        let again = std::iter::from_fn(|| replay.due(t + Duration::from_secs(2))).count();
        assert_eq!(again, 20);
        assert_eq!(replay.to_call(Duration::from_millis(100)), Duration::from_millis(700));
    }

    #[test]
    fn a_backlog_never_goes_faster_than_the_vendor_takes_it() {
        let t = origin();
        let mut replay = Replay::default();
        for _ in 0..500 {
            replay.push(frame());
        }
        replay.reconnected(t);
        let mut sent = 0;
        for step in 0..200u64 {
            let now = t + Duration::from_millis(step * 20);
            while let Some(piece) = replay.due(now) {
                sent += piece.len() as u64;
            }
            assert!(sent <= BURST + step * 20 * 8 * 5 / 4);
        }
        assert!(sent > BURST + 3 * BYTES_A_SECOND);
    }

    #[test]
    fn audio_beyond_the_limit_drops_the_oldest() {
        let mut replay = Replay::default();
        for _ in 0..1200 {
            replay.push(frame());
        }
        replay.reconnected(origin());
        assert_eq!(replay.to_call(Duration::ZERO), Duration::from_secs(4));
    }
}
