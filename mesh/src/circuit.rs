//! Circuit breakers: whoever failed again and again is not asked for a while, so that nobody waits for the dead.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a window that open a circuit.
const FAILURES_MAX: u32 = 3;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// How long an open circuit lets nobody through; then one attempt tells whether it closes.
const OPEN: Duration = Duration::from_secs(15);
/// An attempt that tells nothing for so long does not stand in the way of the next.
const PROBE: Duration = Duration::from_secs(10);

/// CORE: one circuit.
#[derive(Debug, Default)]
pub struct Circuit {
    /// Of the window that began with the first.
    failures: u32,
    window_ends_at: Option<Instant>,
    /// Nobody is let through before.
    opens_until: Option<Instant>,
}

impl Circuit {
    /// Whether somebody may try now. Of an open circuit whose time is over one is let through.
    pub fn lets_through(&mut self, now: Instant) -> bool {
        match self.opens_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.opens_until = Some(now + PROBE);
                true
            }
            None => true,
        }
    }

    /// An attempt succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// An attempt failed: not the request, but whoever was asked.
    pub fn failed(&mut self, now: Instant) {
        if self.opens_until.is_some() {
            self.opens_until = Some(now + OPEN);
            return;
        }
        if self.window_ends_at.is_none_or(|end| now >= end) {
            (self.failures, self.window_ends_at) = (0, Some(now + WINDOW));
        }
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            self.opens_until = Some(now + OPEN);
        }
    }

    /// Whether it is open: failures in a row that no success has ended.
    pub fn is_open(&self) -> bool {
        self.opens_until.is_some()
    }
}

/// The circuits of a node, by whatever tells those apart who fail together.
#[derive(Debug)]
pub struct Circuits<K>(Mutex<HashMap<K, Circuit>>);

impl<K> Default for Circuits<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Circuits<K> {
    /// As [`Circuit::lets_through`].
    pub fn lets_through(&self, key: &K, now: Instant) -> bool {
        self.all().get_mut(key).is_none_or(|circuit| circuit.lets_through(now))
    }

    /// An attempt succeeded. True if that closed the circuit.
    pub fn succeeded(&self, key: &K) -> bool {
        self.all().remove(key).is_some_and(|circuit| circuit.is_open())
    }

    /// An attempt failed. True if that opened the circuit.
    pub fn failed(&self, key: K, now: Instant) -> bool {
        let mut all = self.all();
        let circuit = all.entry(key).or_default();
        let was_open = circuit.is_open();
        circuit.failed(now);
        circuit.is_open() && !was_open
    }

    fn all(&self) -> MutexGuard<'_, HashMap<K, Circuit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn opened(t: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..FAILURES_MAX {
            assert!(circuit.lets_through(t));
            circuit.failed(t);
        }
        circuit
    }

    #[test]
    fn failures_in_a_window_open_it_for_a_while() {
        let t = crate::clock::now();
        let mut circuit = opened(t);
        assert!(circuit.is_open());
        assert!(!circuit.lets_through(t));
        assert!(!circuit.lets_through(t + OPEN - Duration::from_millis(1)));
    }

    #[test]
    fn failures_that_are_far_apart_do_not() {
        let t = crate::clock::now();
        let mut circuit = Circuit::default();
        for n in 0..20 {
            circuit.failed(t + n * (WINDOW / 2 + S));
            assert!(!circuit.is_open(), "after {n}");
        }
    }

    #[test]
    fn one_is_let_through_to_try_and_decides() {
        let t = crate::clock::now();
        let mut circuit = opened(t);
        assert!(circuit.lets_through(t + OPEN), "the first");
        assert!(!circuit.lets_through(t + OPEN), "and no other meanwhile");
        circuit.failed(t + OPEN + S);
        assert!(!circuit.lets_through(t + 2 * OPEN));
        assert!(circuit.lets_through(t + 2 * OPEN + S));
        circuit.succeeded();
        assert!(!circuit.is_open());
        assert!(circuit.lets_through(t + 2 * OPEN + S) && circuit.lets_through(t + 2 * OPEN + S));
    }

    #[test]
    fn a_try_that_tells_nothing_makes_way() {
        let t = crate::clock::now();
        let mut circuit = opened(t);
        assert!(circuit.lets_through(t + OPEN));
        assert!(!circuit.lets_through(t + OPEN + PROBE - S));
        assert!(circuit.lets_through(t + OPEN + PROBE));
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let t = crate::clock::now();
        let circuits = Circuits::default();
        for _ in 1..FAILURES_MAX {
            assert!(!circuits.failed("a", t));
        }
        assert!(!circuits.succeeded(&"a"), "it was not open");
        assert!(!circuits.failed("a", t));
        assert!(!circuits.failed("b", t) && !circuits.failed("b", t) && circuits.failed("b", t));
        assert!(circuits.lets_through(&"a", t) && !circuits.lets_through(&"b", t));
        assert!(circuits.succeeded(&"b"));
    }
}
