//! Circuit breakers: whoever failed again and again is not asked for a while, so that nobody waits for the dead.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Calls that failed in a window and so open a circuit.
const FAILED_MAX: usize = 3;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// How long an open circuit lets nobody through; then one attempt tells whether it closes.
const OPEN: Duration = Duration::from_secs(15);
/// An attempt that tells nothing for so long does not stand in the way of the next.
const PROBE: Duration = Duration::from_secs(10);

/// CORE: one circuit.
#[derive(Debug, Default)]
pub struct Circuit {
    /// The calls that failed in the window that began with the first.
    failed: Vec<u64>,
    window_ends_at: Option<Instant>,
    /// Nobody is let through before.
    opens_until: Option<Instant>,
    /// But the call that tries.
    trying: Option<u64>,
}

impl Circuit {
    /// Whether this call may try now. Of an open circuit whose time is over one is let through, as often as it asks.
    pub fn lets_through(&mut self, call: u64, now: Instant) -> bool {
        match self.opens_until {
            Some(until) if now < until => self.trying == Some(call),
            Some(_) => {
                (self.opens_until, self.trying) = (Some(now + PROBE), Some(call));
                true
            }
            None => true,
        }
    }

    /// An attempt succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// An attempt of this call failed: not the request, but whoever was asked. However often it does, it counts once.
    pub fn failed(&mut self, call: u64, now: Instant) {
        if self.opens_until.is_some() {
            (self.opens_until, self.trying) = (Some(now + OPEN), None);
            return;
        }
        if self.window_ends_at.is_none_or(|end| now >= end) {
            self.failed.clear();
            self.window_ends_at = Some(now + WINDOW);
        }
        if !self.failed.contains(&call) {
            self.failed.push(call);
        }
        if self.failed.len() >= FAILED_MAX {
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
    pub fn lets_through(&self, key: &K, call: &str, now: Instant) -> bool {
        self.all().get_mut(key).is_none_or(|circuit| circuit.lets_through(number(call), now))
    }

    /// An attempt succeeded. True if that closed the circuit.
    pub fn succeeded(&self, key: &K) -> bool {
        self.all().remove(key).is_some_and(|circuit| circuit.is_open())
    }

    /// An attempt of a call failed. True if that opened the circuit.
    pub fn failed(&self, key: K, call: &str, now: Instant) -> bool {
        let mut all = self.all();
        let circuit = all.entry(key).or_default();
        let was_open = circuit.is_open();
        circuit.failed(number(call), now);
        circuit.is_open() && !was_open
    }

    fn all(&self) -> MutexGuard<'_, HashMap<K, Circuit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells calls apart.
fn number(call: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    call.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn opened(t: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for call in 0..FAILED_MAX as u64 {
            assert!(circuit.lets_through(call, t));
            circuit.failed(call, t);
        }
        circuit
    }

    #[test]
    fn failures_in_a_window_open_it_for_a_while() {
        let t = crate::clock::now();
        let mut circuit = opened(t);
        assert!(circuit.is_open());
        assert!(!circuit.lets_through(9, t));
        assert!(!circuit.lets_through(9, t + OPEN - Duration::from_millis(1)));
    }

    #[test]
    fn failures_that_are_far_apart_do_not() {
        let t = crate::clock::now();
        let mut circuit = Circuit::default();
        for n in 0..20 {
            circuit.failed(n.into(), t + n * (WINDOW / 2 + S));
            assert!(!circuit.is_open(), "after {n}");
        }
    }

    #[test]
    fn one_is_let_through_to_try_and_decides() {
        let t = crate::clock::now();
        let mut circuit = opened(t);
        assert!(circuit.lets_through(1, t + OPEN), "the first");
        assert!(!circuit.lets_through(2, t + OPEN), "and no other meanwhile");
        assert!(circuit.lets_through(1, t + OPEN), "that one with all it needs");
        circuit.failed(1, t + OPEN + S);
        assert!(!circuit.lets_through(1, t + 2 * OPEN));
        assert!(circuit.lets_through(2, t + 2 * OPEN + S));
        circuit.succeeded();
        assert!(!circuit.is_open());
        assert!(circuit.lets_through(3, t + 2 * OPEN + S) && circuit.lets_through(4, t + 2 * OPEN + S));
    }

    #[test]
    fn a_try_that_tells_nothing_makes_way() {
        let t = crate::clock::now();
        let mut circuit = opened(t);
        assert!(circuit.lets_through(1, t + OPEN));
        assert!(!circuit.lets_through(2, t + OPEN + PROBE - S));
        assert!(circuit.lets_through(2, t + OPEN + PROBE));
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let t = crate::clock::now();
        let circuits = Circuits::default();
        for call in ["1", "2", "2", "2"] {
            assert!(!circuits.failed("a", call, t), "two calls");
        }
        assert!(!circuits.succeeded(&"a"), "it was not open");
        assert!(!circuits.failed("a", "3", t));
        assert!(
            !circuits.failed("b", "1", t) && !circuits.failed("b", "2", t) && circuits.failed("b", "3", t)
        );
        assert!(circuits.lets_through(&"a", "4", t) && !circuits.lets_through(&"b", "4", t));
        assert!(circuits.succeeded(&"b"));
    }
}
