//! CORE: which words of an utterance lie before a point of its audio.

use std::time::Duration;

/// A word of synthesised speech and where it ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word as the vendor writes it.
    pub text: String,
    /// End of the word, from the start of the audio it belongs to.
    pub end: Duration,
}

/// Letters a second of ordinary speech, for audio whose vendor gives no word times.
const LETTERS_A_SECOND: u128 = 14;

/// Which words end where, over the text of one utterance.
///
/// Vendors split and join words in their own ways, so text and times are aligned by the count of letters and digits,
/// which both sides share.
#[derive(Debug, Default)]
pub struct Timeline {
    ends: Vec<(usize, Duration)>,
    /// The vendor gives times: where none is known, nothing was spoken.
    is_timed: bool,
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

impl Timeline {
    /// No word yet; `is_timed` where the vendor is known to give times.
    pub fn new(is_timed: bool) -> Self {
        Self { ends: Vec::new(), is_timed }
    }

    /// Adds words in order; `base` is where their audio begins within the utterance.
    pub fn extend(&mut self, words: &[Word], base: Duration) {
        let mut count = self.ends.last().map_or(0, |(count, _)| *count);
        self.is_timed |= !words.is_empty();
        for word in words {
            count += letters(&word.text);
            self.ends.push((count, base + word.end));
        }
    }

    /// Forgets the words that end after `position`: their audio was lost.
    pub fn truncate(&mut self, position: Duration) {
        self.ends.retain(|(_, end)| *end <= position);
    }

    /// Where the last known word ends.
    pub fn end(&self) -> Duration {
        self.ends.last().map_or(Duration::ZERO, |(_, end)| *end)
    }

    /// The part of `text` that ends at or before `position`: whole words, no trailing white space.
    ///
    /// `total` is the length of the utterance's audio where it is known; it serves a vendor that gives no times.
    pub fn text_before<'a>(&self, text: &'a str, position: Duration, total: Option<Duration>) -> &'a str {
        let heard = if !self.is_timed {
            estimate(letters(text), position, total)
        } else {
            self.ends.iter().take_while(|(_, end)| *end <= position).last().map_or(0, |(count, _)| *count)
        };
        cut_at_word(text, heard)
    }
}

fn estimate(all: usize, position: Duration, total: Option<Duration>) -> usize {
    let count = match total {
        Some(total) if !total.is_zero() => all as u128 * position.as_millis() / total.as_millis().max(1),
        _ => LETTERS_A_SECOND * position.as_millis() / 1000,
    };
    usize::try_from(count).unwrap_or(all).min(all)
}

/// The longest run of whole words of `text` that holds no more than `count` letters.
fn cut_at_word(text: &str, count: usize) -> &str {
    let mut seen = 0;
    let mut end = 0;
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        seen += letters(word);
        if seen > count {
            break;
        }
        at += word.len();
        if letters(word) > 0 || end > 0 {
            end = at;
        }
    }
    if count == 0 { "" } else { text[..end].trim_end() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[(&str, u64)]) -> Vec<Word> {
        list.iter().map(|(w, ms)| Word { text: (*w).into(), end: Duration::from_millis(*ms) }).collect()
    }

    #[test]
    fn cuts_between_words_and_keeps_punctuation() {
        let mut timeline = Timeline::default();
        timeline.extend(&words(&[("We", 200), ("open", 500), ("at", 600), ("9:30.", 1200)]), Duration::ZERO);
        let text = "We open at 9:30. Anything else?";
        let at = |ms| timeline.text_before(text, Duration::from_millis(ms), None);
        assert_eq!(at(0), "");
        assert_eq!(at(499), "We");
        assert_eq!(at(500), "We open");
        assert_eq!(at(1199), "We open at");
        assert_eq!(at(5000), "We open at 9:30.");
    }

    #[test]
    fn survives_a_vendor_that_splits_words_differently() {
        let mut timeline = Timeline::default();
        timeline.extend(&words(&[("twenty", 300), ("-five", 600), ("rooms", 900)]), Duration::ZERO);
        assert_eq!(timeline.text_before("twenty-five rooms", Duration::from_millis(350), None), "");
        assert_eq!(
            timeline.text_before("twenty-five rooms", Duration::from_millis(650), None),
            "twenty-five"
        );
    }

    #[test]
    fn without_times_it_goes_by_the_share_of_the_audio() {
        let timeline = Timeline::default();
        let text = "aaaa bbbb cccc dddd";
        assert_eq!(
            timeline.text_before(text, Duration::from_secs(1), Some(Duration::from_secs(2))),
            "aaaa bbbb"
        );
        assert_eq!(timeline.text_before("", Duration::from_secs(1), None), "");
    }

    #[test]
    fn a_vendor_that_gives_times_is_not_estimated_when_they_are_all_taken_back() {
        let mut timeline = Timeline::default();
        timeline.extend(&words(&[("aaaa", 400), ("bbbb", 800)]), Duration::ZERO);
        timeline.truncate(Duration::from_millis(300));
        let at = Duration::from_millis(300);
        assert_eq!(timeline.text_before("aaaa bbbb", at, Some(at)), "");
    }

    #[test]
    fn never_panics_on_other_scripts() {
        let mut timeline = Timeline::default();
        timeline.extend(&words(&[("नमस्ते", 400)]), Duration::ZERO);
        assert_eq!(timeline.text_before("नमस्ते जी", Duration::from_millis(400), None), "नमस्ते");
    }
}
