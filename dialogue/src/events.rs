//! What this role reports, as metrics.

use std::time::Duration;

use metrics::{counter, describe_counter, histogram};

/// The model's first token came this long after the user turn.
pub(crate) fn first_token(delay: Duration) {
    histogram!("trunkline_ttft_seconds").record(delay.as_secs_f64());
}

const TOKENS: &str = "trunkline_tokens_total";

/// Says of the metrics what their names do not.
pub(crate) fn describe() {
    describe_counter!(
        TOKENS,
        "Tokens of the language model by kind. Those with discarded=\"true\" went into replies to tentative turns that \
         were never confirmed. Output tokens of an answer that was cut off are estimated from the text that came, at four \
         characters a token: the vendor tells the count only at an answer's end."
    );
    describe_counter!(
        STALE_EFFECTS,
        "Effects that a reply asked for and that were refused because it is not the current one."
    );
}

/// The requests of a reply cost this many tokens of a kind. Of an answer that was cut off the `output` is estimated.
pub(crate) fn tokens(kind: &'static str, count: u64, is_discarded: bool) {
    if count > 0 {
        let discarded = if is_discarded { "true" } else { "false" };
        counter!(TOKENS, "kind" => kind, "discarded" => discarded).increment(count);
    }
}

/// A reply came to its end: `done`, `failed` or `cancelled`; or `discarded`, which may be `done` or `failed` as well.
pub(crate) fn reply(outcome: &'static str) {
    counter!("trunkline_replies_total", "outcome" => outcome).increment(1);
}

/// Something stale came and was dropped.
pub(crate) fn refused(what: &'static str) {
    counter!("trunkline_stale_messages_total", "what" => what).increment(1);
}

const STALE_EFFECTS: &str = "trunkline_stale_effects_total";

/// An effect of a stale reply was refused: a `tool_call` that it asked for, a `tool_result` that it waited for, or the
/// `hang_up` after its last word.
pub(crate) fn refused_effect(kind: &'static str) {
    counter!(STALE_EFFECTS, "kind" => kind).increment(1);
}
