//! The only reader of the clock in this crate.

use std::time::{Instant, SystemTime};

/// The monotonic time, for delays and deadlines.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the monotonic clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day, for events that are compared with those of other processes.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the time of day")]
pub fn time_of_day() -> SystemTime {
    SystemTime::now()
}
