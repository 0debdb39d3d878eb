//! Small things that every message has: times, etags, and fields that are wrong.

use prost_types::Timestamp;

/// What is wrong with a request: fields in proto path form, and what is allowed.
pub type Wrong = Vec<(String, String)>;

/// A stored time, microseconds since 1970, in the contract's form.
pub fn timestamp(micros: i64) -> Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) * 1000;
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// The etag of something that changed last at a time.
pub fn etag(updated_at: i64) -> String {
    format!("{updated_at:x}")
}
