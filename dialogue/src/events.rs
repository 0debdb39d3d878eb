//! What this role reports, as metrics.

use std::time::Duration;

use metrics::{counter, histogram};

/// The model's first token came this long after the user turn.
pub(crate) fn first_token(delay: Duration) {
    histogram!("trunkline_ttft_seconds").record(delay.as_secs_f64());
}

/// A message of the model cost this many tokens of a kind.
pub(crate) fn tokens(kind: &'static str, count: u64) {
    if count > 0 {
        counter!("trunkline_tokens_total", "kind" => kind).increment(count);
    }
}

/// A reply came to its end: `done`, `failed` or `cancelled`.
pub(crate) fn reply(outcome: &'static str) {
    counter!("trunkline_replies_total", "outcome" => outcome).increment(1);
}

/// Something stale came and was dropped.
pub(crate) fn refused(what: &'static str) {
    counter!("trunkline_stale_messages_total", "what" => what).increment(1);
}
