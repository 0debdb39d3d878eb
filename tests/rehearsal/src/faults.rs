//! Which faults a server shows next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The faults of the requests (or contexts) to come.
#[derive(Clone, Debug)]
pub struct Faults<F> {
    /// One entry for each of the next requests, in order; `None` lets that one pass.
    pub next: VecDeque<Option<F>>,
    /// What every request after those shows.
    pub always: Option<F>,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self { next: VecDeque::new(), always: None }
    }
}

impl<F> Faults<F> {
    /// The next request shows `fault`, those after it none.
    pub fn once(fault: F) -> Self {
        Self { next: VecDeque::from([Some(fault)]), always: None }
    }

    /// Every request shows `fault`.
    pub fn always(fault: F) -> Self {
        Self { next: VecDeque::new(), always: Some(fault) }
    }
}

/// The faults of a running server.
#[derive(Clone, Debug)]
pub(crate) struct FaultQueue<F>(Arc<Mutex<Faults<F>>>);

impl<F: Clone> FaultQueue<F> {
    pub(crate) fn new(faults: Faults<F>) -> Self {
        Self(Arc::new(Mutex::new(faults)))
    }

    pub(crate) fn set(&self, faults: Faults<F>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    pub(crate) fn take(&self) -> Option<F> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match faults.next.pop_front() {
            Some(next) => next,
            None => faults.always.clone(),
        }
    }
}
