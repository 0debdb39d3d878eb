//! Words that name themselves: made up, never used twice in a call, and known to no list of the product.

use std::collections::BTreeMap;

/// Who says a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The reply of this epoch.
    Reply(i64),
    /// A line of the agent's: its place in the list of lines.
    Line(usize),
    /// The caller, in the utterance of this number.
    Caller(usize),
}

/// A word's owner and its place among the owner's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Whose.
    pub owner: Owner,
    /// From 0.
    pub place: usize,
}

/// All made-up words of a call.
#[derive(Default)]
pub struct Words {
    known: BTreeMap<String, Word>,
    counts: BTreeMap<Owner, usize>,
}

const CONSONANTS: &[u8] = b"bdfgjklmnprstv";
const VOWELS: &[u8] = b"aeiou";

impl Words {
    /// A new word of this owner.
    pub fn make(&mut self, owner: Owner) -> String {
        let mut number = self.known.len();
        let mut text = String::from("z");
        for syllable in 0.. {
            if syllable > 1 && number == 0 && !(syllable + self.known.len()).is_multiple_of(3) {
                break;
            }
            text.push(char::from(VOWELS[number % VOWELS.len()]));
            number /= VOWELS.len();
            text.push(char::from(CONSONANTS[number % CONSONANTS.len()]));
            number /= CONSONANTS.len();
        }
        text.push('x');
        let count = self.counts.entry(owner).or_default();
        self.known.insert(text.clone(), Word { owner, place: *count });
        *count += 1;
        text
    }

    /// The word, whatever stands around it.
    pub fn find(&self, text: &str) -> Option<Word> {
        let text = text.trim_matches(|c: char| !c.is_alphanumeric());
        self.known.get(text).copied()
    }

    /// How many words an owner has.
    pub fn count(&self, owner: Owner) -> usize {
        self.counts.get(&owner).copied().unwrap_or(0)
    }

    /// The made-up words of a text, in order.
    pub fn of_text<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Word> + 'a {
        text.split(|c: char| c.is_whitespace() || c == '—').filter_map(|word| self.find(word))
    }
}
