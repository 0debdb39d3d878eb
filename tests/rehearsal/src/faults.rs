//! Which faults a server shows next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// What can befall any vendor, in words common to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// Nobody listens at its address, and what was open is reset.
    Refused,
    /// The key is not taken: 401 or 403.
    Auth,
    /// Too much at once: 429.
    Rate,
    /// Too much for the vendor: 529 or its like.
    Overloaded,
    /// Connections are reset.
    Reset,
    /// Connections stay open, and nothing comes or goes on them, not even their end.
    HalfOpen,
    /// Connections live and pings are answered, and nothing else is.
    Stall,
    /// What is said is not the protocol.
    Garbage,
}

impl Ailment {
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Auth,
        Self::Rate,
        Self::Overloaded,
        Self::Reset,
        Self::HalfOpen,
        Self::Stall,
        Self::Garbage,
    ];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Auth => "auth",
            Self::Rate => "rate",
            Self::Overloaded => "overloaded",
            Self::Reset => "reset",
            Self::HalfOpen => "halfopen",
            Self::Stall => "stall",
            Self::Garbage => "garbage",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// True if it is answered to a request, in the words of the vendor.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Auth | Self::Rate | Self::Overloaded)
    }
}

/// An ailment and its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    pub ailment: Ailment,
    /// It first shows when so much was said on a connection from now on; then at once on every other. A refusal does
    /// not wait.
    pub after_bytes: u64,
    /// From when it first shows; connections that showed it stay as they are. `None`: for good.
    pub lasts: Option<Duration>,
}
