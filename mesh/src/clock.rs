//! The only reader of the clock. Cores take time as an argument; shells take it from here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic instant, for waits and for the cores.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
pub fn now() -> Instant {
    // Tokio's clock stands still under `tokio::time::pause`, so tests of shells control it too.
    tokio::time::Instant::now().into_std()
}

/// Wall-clock time, for tokens, records and logs.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Wall-clock time since 1970.
pub fn since_epoch() -> Duration {
    wall().duration_since(UNIX_EPOCH).unwrap_or_default()
}
