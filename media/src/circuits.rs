//! The circuit breakers of the speech vendors: one for each vendor and key, shared by all calls of the process.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
};

use mesh::{Pii, circuit::Circuits, clock};
use url::Url;

/// What a session is told that is not even dialled.
pub const NOT_ASKED: &str = "not asked, since it failed in the calls before";

static CIRCUITS: LazyLock<Circuits<(&'static str, u64)>> = LazyLock::new(Circuits::default);

/// One session's view of its vendor's circuit.
#[derive(Debug, Clone)]
pub struct Breaker {
    vendor: &'static str,
    /// Tells keys apart, and stands-in for a vendor, without keeping the key.
    account: u64,
    worked: bool,
    failed: bool,
}

impl Breaker {
    /// Of a vendor at an origin, with this key.
    pub fn new(vendor: &'static str, base_url: &Url, key: &Pii<String>) -> Self {
        let mut hasher = DefaultHasher::new();
        (base_url.as_str(), key.expose()).hash(&mut hasher);
        Self { vendor, account: hasher.finish(), worked: false, failed: false }
    }

    /// Whether the vendor may be dialled for a new session.
    pub fn lets_through(&self) -> bool {
        CIRCUITS.lets_through(&(self.vendor, self.account), clock::now())
    }

    /// The vendor did what it is for.
    pub fn works(&mut self) {
        self.failed = false;
        if !std::mem::replace(&mut self.worked, true) && CIRCUITS.succeeded(&(self.vendor, self.account)) {
            tracing::info!(vendor = self.vendor, "the vendor is asked again");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => self.vendor).decrement(1.0);
        }
    }

    /// The vendor could not be had, or did nothing. However often that happens to one call in a row, it counts once.
    pub fn fails(&mut self) {
        self.worked = false;
        if !std::mem::replace(&mut self.failed, true)
            && CIRCUITS.failed((self.vendor, self.account), clock::now())
        {
            tracing::warn!(vendor = self.vendor, "the vendor is not asked for a while");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => self.vendor).increment(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(key: &str) -> Breaker {
        Breaker::new("nobody", &"http://localhost".parse().expect("a URL"), &key.to_owned().into())
    }

    #[test]
    fn a_call_counts_once_until_the_vendor_works_for_it() {
        let mut one = breaker("a");
        for _ in 0..10 {
            one.fails();
        }
        breaker("a").fails();
        assert!(breaker("a").lets_through(), "two calls");
        one.works();
        one.fails();
        assert!(breaker("a").lets_through(), "a success ends what was counted before");
        breaker("a").fails();
        breaker("a").fails();
        assert!(!breaker("a").lets_through(), "three calls");
        assert!(breaker("b").lets_through(), "another key");
    }
}
