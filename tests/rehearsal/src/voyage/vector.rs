//! Vectors from words.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::words;

/// Vectors are filled block by block, so that the beginning of a longer one is a shorter one (after normalising).
const BLOCK: usize = 256;
/// Entries that a word sets in each block. Two words meet in an entry now and then, with a random sign.
const ENTRIES: usize = 6;
/// What "the" counts against "balance".
const STOP_WORD_WEIGHT: f32 = 0.08;

/// A vector of length 1.
pub(super) fn embed(text: &str, family: &str, dimension: usize) -> Vec<f32> {
    let mut counts: BTreeMap<String, f32> = BTreeMap::new();
    for word in words::words(text) {
        let weight = if words::is_stop_word(&word) { STOP_WORD_WEIGHT } else { 1.0 };
        *counts.entry(words::stem(&word).to_owned()).or_default() += weight;
    }
    if counts.is_empty() {
        counts.insert(text.to_owned(), 1.0);
    }
    let mut vector = vec![0.0; dimension];
    for (word, count) in &counts {
        for (block, entries) in vector.chunks_mut(BLOCK).enumerate() {
            let mut bits = hash(&(family, word, block));
            for _ in 0..ENTRIES {
                let sign = if bits & 1 == 0 { 1.0 } else { -1.0 };
                // Said twice is not twice as much about it.
                entries[(bits >> 1) as usize % BLOCK] += sign * count.sqrt();
                bits >>= 9;
            }
        }
    }
    let length = vector.iter().map(|entry| entry * entry).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|entry| *entry /= length);
    vector
}

/// The same in every process: the hasher has fixed keys.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &str, b: &str) -> f32 {
        dot(&embed(a, "voyage-4", 1024), &embed(b, "voyage-4", 1024))
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn common_words_bring_texts_together() {
        let question = "When do you open on Sundays?";
        let right = near(question, "The clinic opens at nine on Sunday.");
        let wrong = near(question, "Parking is free for two hours behind the building.");
        assert!(right > 0.4 && wrong < 0.1, "{right} {wrong}");
        assert!((near(question, question) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn families_do_not_mix_and_prefixes_are_vectors() {
        let text = "refunds take five days";
        let full = embed(text, "voyage-4", 2048);
        assert!(dot(&full, &embed(text, "voyage-3.5", 2048)).abs() < 0.2);
        let short = embed(text, "voyage-4", 256);
        let length = full[..256].iter().map(|entry| entry * entry).sum::<f32>().sqrt();
        let cut: Vec<f32> = full[..256].iter().map(|entry| entry / length).collect();
        assert!((dot(&cut, &short) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_text_without_words_has_a_vector_too() {
        assert!(near("?!", "?!") > 0.99);
        assert!(near("?!", "...").abs() < 0.5);
    }
}
