//! What every rehearsal server can be set to: how late it answers, and which faults it shows.

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

/// A value that tests change while the server runs; what is begun afterwards sees the new one.
#[derive(Clone, Debug, Default)]
pub struct Switch<T>(Arc<Mutex<T>>);

impl<T: Clone> Switch<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    pub fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    pub fn get(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
