//! CORE: a reply's text, as the model writes it, into segments that can be spoken.
//!
//! The first segment ends as early as a clause allows, so that the voice starts soon; later ones end with a sentence, or
//! with a clause when the sentence is long. Cuts fall after white space only, so numbers, addresses and the like stay
//! whole. Every decision looks at one character at a time: how the text was split on its way changes nothing.

mod sanitise;
mod sentence;

#[cfg(test)]
mod tests;

pub use sanitise::Sanitiser;
use sentence::Boundary;

/// A segment shorter than this in words and in characters waits for the next boundary.
const WORDS_MIN: usize = 3;
const CHARS_MIN: usize = 12;
/// A later segment this long also ends with a clause.
const CLAUSE_CHARS: usize = 80;
/// A segment this long ends at the next white space.
const CHARS_MAX: usize = 240;
/// Not words any more: a run without white space is cut here.
const RUN_CHARS_MAX: usize = 600;

/// Cuts one reply.
#[derive(Default)]
pub struct Segmenter {
    sanitiser: Sanitiser,
    clean: String,
    open: String,
    first_is_out: bool,
}

impl Segmenter {
    /// Takes the next piece of the reply and returns the segments that it completed.
    pub fn push(&mut self, delta: &str) -> Vec<String> {
        self.clean.clear();
        let mut clean = std::mem::take(&mut self.clean);
        self.sanitiser.push(delta, &mut clean);
        let segments = self.cut(&clean);
        self.clean = clean;
        segments
    }

    /// Ends a run of text: returns what is left, if it can be spoken. `goes_on` says that more text of the same reply
    /// follows after a pause, so that the words on both sides are kept apart.
    pub fn flush(&mut self, goes_on: bool) -> Option<String> {
        self.sanitiser.end_run(goes_on);
        let mut rest = std::mem::take(&mut self.open);
        if !rest.contains(char::is_alphanumeric) {
            return None;
        }
        if goes_on && !rest.ends_with(char::is_whitespace) {
            rest.push(' ');
        }
        self.first_is_out = true;
        Some(rest)
    }

    fn cut(&mut self, clean: &str) -> Vec<String> {
        let mut segments = Vec::new();
        for c in clean.chars() {
            if sentence::dash_ends_before(&self.open, c) && self.is_cut(Boundary::Clause) {
                segments.push(self.take());
            }
            let boundary = c.is_whitespace().then(|| sentence::boundary(&self.open, c));
            self.open.push(c);
            let chars = self.open.chars().count();
            let cut = match boundary {
                Some(boundary) => self.is_cut(boundary) || (chars >= CHARS_MAX && self.is_long_enough()),
                None => chars >= RUN_CHARS_MAX,
            };
            if cut {
                segments.push(self.take());
            }
        }
        segments
    }

    fn is_cut(&self, boundary: Boundary) -> bool {
        let enough = match boundary {
            Boundary::None => false,
            Boundary::Sentence => true,
            Boundary::Clause => !self.first_is_out || self.open.chars().count() >= CLAUSE_CHARS,
        };
        enough && self.is_long_enough()
    }

    fn is_long_enough(&self) -> bool {
        let words = self.open.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
        let chars = self.open.trim_end().chars().count();
        words >= WORDS_MIN || (words > 0 && chars >= CHARS_MIN)
    }

    fn take(&mut self) -> String {
        self.first_is_out = true;
        std::mem::take(&mut self.open)
    }
}
