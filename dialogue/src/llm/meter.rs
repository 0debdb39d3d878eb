//! What the requests of one reply cost, told once it is known whether the reply was wanted.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::events;

/// Tokens, as the vendor counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the request, not from the cache.
    pub input: u64,
    /// Of the request, written to the cache.
    pub cache_write: u64,
    /// Of the request, read from the cache.
    pub cache_read: u64,
    /// Of the answer.
    pub output: u64,
}

/// Meters one reply. The count is reported when the last holder drops it: the session, and each request under way.
pub struct Meter {
    usage: Mutex<Usage>,
    is_certain: AtomicBool,
}

impl Meter {
    /// For a reply to a turn that is certain, or is not yet.
    pub fn new(is_certain: bool) -> Self {
        Self { usage: Mutex::default(), is_certain: is_certain.into() }
    }

    /// The turn is certain: the tenant pays for the reply.
    pub fn confirm(&self) {
        self.is_certain.store(true, Ordering::Relaxed);
    }

    /// Adds what a request cost.
    pub fn add(&self, usage: Usage) {
        let mut sum = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        // The counts are the vendor's, who may say anything.
        let add = |sum: &mut u64, count| *sum = sum.saturating_add(count);
        add(&mut sum.input, usage.input);
        add(&mut sum.cache_write, usage.cache_write);
        add(&mut sum.cache_read, usage.cache_read);
        add(&mut sum.output, usage.output);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let usage = *self.usage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let is_discarded = !*self.is_certain.get_mut();
        events::tokens("input", usage.input, is_discarded);
        events::tokens("cache_write", usage.cache_write, is_discarded);
        events::tokens("cache_read", usage.cache_read, is_discarded);
        events::tokens("output", usage.output, is_discarded);
    }
}
