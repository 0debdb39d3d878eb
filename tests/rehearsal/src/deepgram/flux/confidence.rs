//! CORE: how sure one may be that a caller who was silent for a while has finished.
//!
//! The longer the silence, the surer; and the words say how fast: a question waits for its answer, and nobody stops
//! after "and".

use crate::recordings::Heard;

/// What the words of a turn promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// A question.
    Question,
    /// A sentence that is complete.
    Complete,
    /// It could be all, and more could come.
    Unclear,
    /// More must come.
    Open,
}

/// Words that nobody ends with, in English and Hindi.
const LEADING_ON: &str = " a an and are as at because but by for from i if in is it's its like my of on or our so than \
    that the then to uh um was we when which with your aur lekin kyonki toh ya mera meri और लेकिन क्योंकि तो या मेरा मेरी ";
const NUMBERS: &str = " zero oh one two three four five six seven eight nine ten double triple hundred thousand \
    ek do teen char paanch chhah saat aath nau das एक दो तीन चार पांच छह सात आठ नौ दस ";

impl Promise {
    /// Of the words heard so far in a turn.
    pub(super) fn of(words: &[Heard]) -> Self {
        let Some(last) = words.last() else { return Self::Open };
        let plain = last.text.trim_matches(|c: char| c.is_ascii_punctuation() || c == '।').to_lowercase();
        let contains = |list: &str| list.contains(&format!(" {plain} "));
        let ending = last.text.chars().last().unwrap_or_default();
        // A recording that was cut off, or that pauses.
        if last.more || plain.is_empty() || contains(LEADING_ON) {
            return Self::Open;
        }
        match ending {
            '?' => Self::Question,
            '.' | '!' | '।' => Self::Complete,
            ',' | ';' | ':' | '-' | '–' | '—' | '…' => Self::Open,
            // Digits that are dictated one by one, or spelled letters.
            _ if contains(NUMBERS) || plain.chars().count() == 1 => Self::Open,
            _ if plain.chars().all(|c| c.is_numeric()) => Self::Open,
            _ => Self::Unclear,
        }
    }

    /// The confidence after so much silence: towards `most` by the usual law of a thing that may happen at any moment.
    pub(super) fn confidence(self, silence_ms: u64) -> f64 {
        let (most, pace_ms) = match self {
            Self::Question => (0.97, 185.0),
            Self::Complete => (0.97, 210.0),
            Self::Unclear => (0.9, 600.0),
            Self::Open => (0.25, 600.0),
        };
        most * (1.0 - (-(silence_ms as f64) / pace_ms).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(text: &str) -> Promise {
        let heard = |text: &str| Heard { text: text.to_owned(), start: 0, end: 1, more: false };
        Promise::of(&text.split(' ').map(heard).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_words_say_whether_more_must_come() {
        for (text, wanted) in [
            ("Hello, what are your opening hours?", Promise::Question),
            ("My parcel has not arrived yet.", Promise::Complete),
            ("मेरा पार्सल नहीं आया।", Promise::Complete),
            ("today", Promise::Unclear),
            ("I would like to book a table and", Promise::Open),
            ("I would like to book a table and.", Promise::Open),
            ("मुझे टिकट चाहिए और", Promise::Open),
            ("Well,", Promise::Open),
            ("My number is four one five", Promise::Open),
            ("It is 415", Promise::Open),
            ("It is 415.", Promise::Complete),
            ("It is spelled S", Promise::Open),
        ] {
            assert_eq!(promise(text), wanted, "{text}");
        }
        let cut = [Heard { text: "hours?".to_owned(), start: 0, end: 1, more: true }];
        assert_eq!((Promise::of(&cut), Promise::of(&[])), (Promise::Open, Promise::Open));
    }

    #[test]
    fn a_finished_turn_ends_soon_and_an_open_one_never_by_itself() {
        let reaches = |promise: Promise, threshold| {
            (0..10_000).find(|silence_ms| promise.confidence(*silence_ms) >= threshold)
        };
        let question = reaches(Promise::Question, 0.7).expect("in time");
        let complete = reaches(Promise::Complete, 0.7).expect("in time");
        assert!(200 < question && question < complete && complete < 280, "{question} {complete}");
        assert!(reaches(Promise::Complete, 0.5).is_some_and(|eager| (100..200).contains(&eager)));
        assert!(reaches(Promise::Unclear, 0.7).is_some_and(|late| (700..1100).contains(&late)));
        assert_eq!((reaches(Promise::Open, 0.3), reaches(Promise::Question, 1.0)), (None, None));
    }
}
