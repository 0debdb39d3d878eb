//! What every rehearsal server can be set to: how late it answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A delay with a fixed part and a random part of at most `jitter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    pub fixed: Duration,
    pub jitter: Duration,
}

impl Latency {
    /// A delay that is always the same, in milliseconds.
    pub const fn fixed_ms(ms: u64) -> Self {
        Self { fixed: Duration::from_millis(ms), jitter: Duration::ZERO }
    }

    /// The same delay with up to `jitter_ms` more.
    pub const fn with_jitter_ms(self, jitter_ms: u64) -> Self {
        Self { fixed: self.fixed, jitter: Duration::from_millis(jitter_ms) }
    }

    /// The next delay.
    pub fn draw(&self, dice: &Dice) -> Duration {
        self.fixed + self.jitter.mul_f64(dice.roll())
    }
}

/// The randomness of one server; the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A number of `0.0..1.0`.
    pub fn roll(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_lie_within_the_jitter_and_repeat_with_the_seed() {
        let latency = Latency::fixed_ms(100).with_jitter_ms(50);
        let draw = |seed| {
            let dice = Dice::new(seed);
            (0..100).map(|_| latency.draw(&dice)).collect::<Vec<_>>()
        };
        let delays = draw(1);
        let allowed = Duration::from_millis(100)..Duration::from_millis(150);
        assert!(delays.iter().all(|delay| allowed.contains(delay)));
        assert!(delays.iter().max() > delays.iter().min());
        assert_eq!(delays, draw(1));
        assert_ne!(delays, draw(2));
    }
}
