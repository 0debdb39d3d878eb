//! CORE: where the words of a text lie in its audio, for a vendor that does not say.

use std::time::Duration;

use crate::tts::Word;

/// How much of ordinary speech lies in a second, in the units of [`weight`].
const A_SECOND: u32 = 17;
/// A pause at the end of a clause, and one at the end of a sentence.
const CLAUSE: u32 = 3;
const SENTENCE: u32 = 5;

/// The words of `text`, whose audio is `length` long and begins at `from`: each takes a share by its letters.
pub fn whole(text: &str, from: Duration, length: Duration) -> Vec<Word> {
    let total: u32 = text.split_whitespace().map(|word| weight(word) + pause(word)).sum();
    // The last word is followed by the end of the audio, not by a pause.
    let total = total - text.split_whitespace().last().map_or(0, pause);
    laid_out(text, from, |passed| length * passed / total.max(1))
}

/// The words of `text` that are spoken by `until`, where its audio broke off.
pub fn begun(text: &str, from: Duration, until: Duration) -> Vec<Word> {
    let mut words = laid_out(text, from, |passed| Duration::from_secs(1) * passed / A_SECOND);
    words.retain(|word| word.end <= until);
    words
}

fn laid_out(text: &str, from: Duration, place: impl Fn(u32) -> Duration) -> Vec<Word> {
    let mut passed = 0;
    let word = |word: &str| {
        passed += weight(word);
        let end = from + place(passed);
        passed += pause(word);
        Word { text: word.to_owned(), end }
    };
    text.split_whitespace().map(word).collect()
}

/// Letters, and the gap before the word. Digits are read out: `5` takes as long as `five`.
fn weight(word: &str) -> u32 {
    1 + word
        .chars()
        .map(|c| match c {
            c if c.is_ascii_digit() => 4,
            c => u32::from(c.is_alphanumeric()),
        })
        .sum::<u32>()
}

fn pause(word: &str) -> u32 {
    match word.trim_end_matches(['"', '\'', ')']).chars().next_back() {
        Some(',' | ';' | ':') => CLAUSE,
        Some('.' | '!' | '?' | '।') => SENTENCE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn words_share_the_audio_and_end_with_it() {
        let words = whole("Yes, of course. It is 500 rupees.", SECOND, 3 * SECOND);
        assert_eq!(words.len(), 7);
        assert!(words.is_sorted_by_key(|word| word.end));
        assert_eq!(words.last().map(|word| word.end), Some(4 * SECOND));
        assert!(words[5].end - words[4].end > SECOND / 2, "digits take their time: {words:?}");
        assert!(whole("", SECOND, SECOND).is_empty());
    }

    #[test]
    fn of_audio_that_broke_off_only_what_can_have_been_said_counts() {
        assert!(begun("नमस्ते जी", SECOND, SECOND).is_empty());
        let words = begun("One thing after another is said here, and so on.", SECOND, 2 * SECOND);
        assert_eq!(
            words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(),
            ["One", "thing", "after"]
        );
    }
}
