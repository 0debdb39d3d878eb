//! CORE: how many texts go into one request.

use std::ops::Range;

/// The most texts of a request: fewer than the vendor takes, for the sake of latency.
const TEXTS_MAX: usize = 128;

/// What the vendor puts in front of each text counts too.
const PREFIX_TOKENS: usize = 16;

/// Runs of texts of at most 128 each and together at most 80 % of the vendor's limit, by an estimate that errs high. A
/// text that alone is over the limit gets a run of its own.
pub fn batches(texts: &[String], request_tokens_max: usize) -> Vec<Range<usize>> {
    let budget = request_tokens_max / 5 * 4;
    let mut batches = Vec::new();
    let mut start = 0;
    let mut tokens = 0;
    for (at, text) in texts.iter().enumerate() {
        let estimate = estimated_tokens(text);
        if at > start && (at - start == TEXTS_MAX || tokens + estimate > budget) {
            batches.push(start..at);
            start = at;
            tokens = 0;
        }
        tokens += estimate;
    }
    if start < texts.len() {
        batches.push(start..texts.len());
    }
    batches
}

/// Three bytes a token: above what English needs, and one a character in Indic scripts.
fn estimated_tokens(text: &str) -> usize {
    text.len() / 3 + PREFIX_TOKENS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_over_the_limit_goes_alone() {
        let texts = ["a".repeat(30), "b".repeat(9000), "c".repeat(30)];
        assert_eq!(batches(&texts, 1000), [0..1, 1..2, 2..3]);
        assert!(batches(&[], 1000).is_empty());
    }

    proptest! {
        #[test]
        fn every_text_is_in_one_batch_within_the_limits(lengths in prop::collection::vec(0_usize..3000, 0..400)) {
            let texts: Vec<String> = lengths.iter().map(|&length| "x".repeat(length)).collect();
            let mut next = 0;
            for batch in batches(&texts, 20_000) {
                prop_assert_eq!(batch.start, next);
                prop_assert!((1..=TEXTS_MAX).contains(&batch.len()));
                prop_assert!(texts[batch.clone()].iter().map(|text| estimated_tokens(text)).sum::<usize>() <= 16_000);
                next = batch.end;
            }
            prop_assert_eq!(next, texts.len());
        }
    }
}
