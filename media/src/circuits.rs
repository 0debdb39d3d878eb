//! The circuit breakers of the speech vendors: one for each vendor, service and key, shared by all calls of the
//! process.

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
    call_id: String,
    worked: bool,
}

impl Breaker {
    /// A call's, of what a vendor does (`stt`, `tts`) at an origin with this key.
    pub fn new(
        vendor: &'static str,
        service: &'static str,
        base_url: &Url,
        key: &Pii<String>,
        call_id: &str,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        (service, base_url.as_str(), key.expose()).hash(&mut hasher);
        Self { vendor, account: hasher.finish(), call_id: call_id.to_owned(), worked: false }
    }

    /// Whether the vendor may be dialled for a new session.
    pub fn lets_through(&self) -> bool {
        CIRCUITS.lets_through(&(self.vendor, self.account), &self.call_id, clock::now())
    }

    /// The vendor did what it is for.
    pub fn works(&mut self) {
        if !std::mem::replace(&mut self.worked, true) && CIRCUITS.succeeded(&(self.vendor, self.account)) {
            tracing::info!(vendor = self.vendor, "the vendor is asked again");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => self.vendor).decrement(1.0);
        }
    }

    /// The vendor could not be had, or did nothing.
    pub fn fails(&mut self) {
        self.worked = false;
        if CIRCUITS.failed((self.vendor, self.account), &self.call_id, clock::now()) {
            tracing::warn!(vendor = self.vendor, "the vendor is not asked for a while");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => self.vendor).increment(1.0);
        }
    }
}
