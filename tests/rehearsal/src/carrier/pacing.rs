//! When the caller's frames leave: on time, late by a little, or held up and then in a burst.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The carrier's network towards the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Each frame is late by up to this much; frames keep their order.
    pub jitter: Duration,
    pub stalls: Option<Stalls>,
    /// The same seed gives the same delays.
    pub seed: u64,
}

/// Moments in which nothing leaves; what has gathered follows at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalls {
    /// The mean time between them, which varies by half.
    pub every: Duration,
    pub length: Duration,
}

/// Gives each frame the time at which it leaves.
#[derive(Debug)]
pub struct Pacer {
    link: Link,
    dice: StdRng,
    last: Duration,
    stall_at: Option<Duration>,
}

impl Pacer {
    /// A pacer whose stalls begin after `now`.
    pub fn new(link: &Link, now: Duration) -> Self {
        let mut dice = StdRng::seed_from_u64(link.seed);
        let stall_at = link.stalls.as_ref().map(|stalls| now + draw_gap(&mut dice, stalls));
        Self { link: link.clone(), dice, last: Duration::ZERO, stall_at }
    }

    /// When the frame that is complete at `due` leaves. Never before `due`, never before the frame before it.
    pub fn leaves_at(&mut self, due: Duration) -> Duration {
        let mut at = due;
        if !self.link.jitter.is_zero() {
            at += self.link.jitter.mul_f64(self.dice.random::<f64>());
        }
        if let (Some(stalls), Some(begin)) = (&self.link.stalls, self.stall_at) {
            let end = begin + stalls.length;
            if at >= end {
                self.stall_at = Some(at + draw_gap(&mut self.dice, stalls));
            } else if at >= begin {
                at = end;
            }
        }
        self.last = self.last.max(at);
        self.last
    }
}

fn draw_gap(dice: &mut StdRng, stalls: &Stalls) -> Duration {
    stalls.every.mul_f64(dice.random_range(0.5..1.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn leaving(link: &Link, frames: u32) -> Vec<Duration> {
        let mut pacer = Pacer::new(link, Duration::ZERO);
        (1..=frames).map(|frame| pacer.leaves_at(FRAME * frame)).collect()
    }

    #[test]
    fn a_clean_link_is_exactly_on_time() {
        let expected: Vec<_> = (1..=500).map(|frame| FRAME * frame).collect();
        assert_eq!(leaving(&Link::default(), 500), expected);
    }

    #[test]
    fn jitter_delays_without_drift_and_keeps_the_order() {
        let link = Link { jitter: Duration::from_millis(60), stalls: None, seed: 3 };
        let times = leaving(&link, 2_000);
        assert_eq!(times, leaving(&link, 2_000));
        assert!(times.is_sorted());
        for (index, at) in times.iter().enumerate() {
            let due = FRAME * (index as u32 + 1);
            assert!(*at >= due && *at <= due + link.jitter, "frame {index} at {at:?}");
        }
        assert!(times.iter().enumerate().any(|(index, at)| *at > FRAME * (index as u32 + 1) + FRAME));
    }

    #[test]
    fn a_stall_ends_in_a_burst() {
        let length = Duration::from_millis(400);
        let stalls = Stalls { every: Duration::from_secs(2), length };
        let times = leaving(&Link { jitter: Duration::ZERO, stalls: Some(stalls), seed: 1 }, 1_500);
        let mut bursts = 0;
        for run in times.chunk_by(|a, b| a == b) {
            if run.len() > 1 {
                bursts += 1;
                assert!((19..=21).contains(&run.len()), "{} frames at once", run.len());
            }
        }
        assert!((8..=20).contains(&bursts), "{bursts} bursts in 30 s");
    }
}
