//! CORE: which passages answer best, and how many of them are worth saying.

use std::collections::HashSet;

/// The share of the shorter passage's words that the longer one must hold for the two to say the same.
const SAME_WORDS_MIN: f32 = 0.9;

/// The cosine of two vectors of length 1: their dot product.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    // Sixteen independent sums, so that the compiler can use the widest registers there are.
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The `limit` highest scores, best first.
pub fn top<T>(mut scored: Vec<(f32, T)>, limit: usize) -> Vec<(f32, T)> {
    if limit == 0 {
        return Vec::new();
    }
    if scored.len() > limit {
        scored.select_nth_unstable_by(limit - 1, |a, b| b.0.total_cmp(&a.0));
        scored.truncate(limit);
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored
}

/// Of passages ordered best first, those worth giving back: without any that says the same as a better one, at most
/// `limit`, and together at most `chars_max` characters. The best is always among them.
pub fn select<T>(ranked: Vec<T>, text: impl Fn(&T) -> &str, limit: usize, chars_max: usize) -> Vec<T> {
    let mut chosen: Vec<T> = Vec::new();
    let mut seen: Vec<HashSet<String>> = Vec::new();
    let mut chars = 0;
    for passage in ranked {
        if chosen.len() == limit {
            break;
        }
        let words = words(text(&passage));
        if seen.iter().any(|better| same(better, &words)) {
            continue;
        }
        let length = text(&passage).chars().count();
        if !chosen.is_empty() && chars + length > chars_max {
            continue;
        }
        chars += length;
        seen.push(words);
        chosen.push(passage);
    }
    chosen
}

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a passage has a few hundred words")]
fn same(a: &HashSet<String>, b: &HashSet<String>) -> bool {
    let shorter = a.len().min(b.len()) as f32;
    a.intersection(b).count() as f32 >= SAME_WORDS_MIN * shorter && shorter > 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_passage_that_says_the_same_is_left_out() {
        let ranked =
            vec!["Breakfast is from seven to ten.", "breakfast is from SEVEN to ten", "Parking is free."];
        let chosen = select(ranked, |text| text, 4, 1000);
        assert_eq!(chosen, ["Breakfast is from seven to ten.", "Parking is free."]);
    }

    #[test]
    fn the_budget_cuts_but_never_to_nothing() {
        let ranked = vec!["aaaa bbbb cccc", "dddd eeee ffff gggg", "hh"];
        assert_eq!(select(ranked.clone(), |text| text, 4, 16), ["aaaa bbbb cccc", "hh"]);
        assert_eq!(select(ranked.clone(), |text| text, 4, 1), ["aaaa bbbb cccc"]);
        assert_eq!(select(ranked, |text| text, 1, 1000).len(), 1);
    }

    proptest! {
        #[test]
        fn top_is_the_head_of_a_full_sort(scores in prop::collection::vec(-1.0_f32..1.0, 0..200), limit in 0_usize..30) {
            let scored: Vec<(f32, usize)> = scores.iter().copied().zip(0..).collect();
            let mut expected = scores;
            expected.sort_by(|a, b| b.total_cmp(a));
            expected.truncate(limit);
            let found: Vec<f32> = top(scored, limit).into_iter().map(|(score, _)| score).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_cosine_is_the_plain_sum(pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..100)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let plain: f64 = pairs.iter().map(|&(x, y)| f64::from(x) * f64::from(y)).sum();
            prop_assert!((f64::from(cosine(&a, &b)) - plain).abs() < 1e-4);
        }
    }
}
