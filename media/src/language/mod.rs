//! CORE: which of an agent's languages the caller speaks, by the words of the turns.
//!
//! Only words that hold a sentence together count, and scripts: loan words, names, numbers and backchannels stand in
//! sentences of any language. A clear turn switches at once; one that only leans to another language needs a second.

mod lists;
#[cfg(test)]
mod tests;

use crate::turn::words::is_backchannel;

/// So many words of another language switch at once, if nearly nothing speaks against it.
const CLEAR_WORDS_MIN: usize = 3;
/// With fewer of them a turn leans to no language.
const LEANING_WORDS_MIN: usize = 2;
/// How much of the words that count a clear turn needs, in percent.
const CLEAR_PERCENT_MIN: usize = 75;
/// The same of a turn that leans.
const LEANING_PERCENT_MIN: usize = 60;

/// Follows the caller from language to language.
#[derive(Debug, Clone)]
pub struct Follower {
    /// BCP 47 tags, the agent's own first.
    languages: Vec<String>,
    current: usize,
    /// What the last turn that said anything about it leaned to.
    leaning: Option<usize>,
}

impl Follower {
    /// Begins in the first of an agent's languages, `en-IN`; there must be one.
    pub fn new(first: &str, others: &[String]) -> Self {
        let languages = std::iter::once(first.to_owned()).chain(others.iter().cloned()).collect();
        Self { languages, current: 0, leaning: None }
    }

    /// The language that is spoken now.
    pub fn current(&self) -> &str {
        &self.languages[self.current]
    }

    /// Takes a turn of the caller. The language to go on in, if it is another one.
    pub fn turn(&mut self, text: &str) -> Option<&str> {
        // Who listens in Hindi may well speak English.
        if is_backchannel(text, "hi", &[]) {
            return None;
        }
        let words = words_of(text);
        let next = self.asked_for(&words).or_else(|| self.spoken(&words))?;
        self.go_to(next)
    }

    /// Somebody else has decided, such as the model. The language to go on in; `None` if it is spoken already or is none
    /// of the agent's.
    pub fn switch(&mut self, language: &str) -> Option<&str> {
        let wanted = primary(language);
        let next = self.languages.iter().position(|known| primary(known) == wanted)?;
        self.go_to(next)
    }

    fn go_to(&mut self, next: usize) -> Option<&str> {
        if next == self.current {
            return None;
        }
        (self.current, self.leaning) = (next, None);
        Some(&self.languages[next])
    }

    /// The other language that the caller asks for by its name.
    fn asked_for(&self, words: &[String]) -> Option<usize> {
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        if !has(lists::SPEAKING) || has(lists::NEGATIONS) {
            return None;
        }
        (0..self.languages.len()).filter(|at| *at != self.current).find(|at| {
            let names = lists::NAMES.iter().find(|(code, _)| *code == primary(&self.languages[*at]));
            names.is_some_and(|(_, names)| has(names))
        })
    }

    /// The other language that the turn is in, or that it and the one before lean to.
    fn spoken(&mut self, words: &[String]) -> Option<usize> {
        let mut votes = vec![0_usize; self.languages.len()];
        for at in words.iter().filter_map(|word| self.vote(word)) {
            votes[at] += 1;
        }
        let total: usize = votes.iter().sum();
        let (best, count) =
            votes.into_iter().enumerate().max_by_key(|(at, count)| (*count, *at == self.current))?;
        if count == 0 {
            return None;
        }
        let is = |words_min, percent_min| count >= words_min && count * 100 >= total * percent_min;
        if best == self.current || !is(LEANING_WORDS_MIN, LEANING_PERCENT_MIN) {
            self.leaning = None;
            return None;
        }
        let leaned = self.leaning.replace(best) == Some(best);
        (leaned || is(CLEAR_WORDS_MIN, CLEAR_PERCENT_MIN)).then_some(best)
    }

    /// Which language a word speaks for.
    fn vote(&self, word: &str) -> Option<usize> {
        let is_in = |list: &[&str]| list.contains(&word);
        if is_in(lists::EVERYWHERE) {
            None
        } else if is_in(lists::ENGLISH) || is_in(lists::ENGLISH_IN_DEVANAGARI) {
            self.one_of(&["en"])
        } else if is_in(lists::HINDI_IN_LATIN) {
            self.one_of(&["hi"])
        } else {
            self.one_of(languages_of_script(word.chars().next()?))
        }
    }

    /// The one that is spoken, or the first of the agent's, of some languages that share a script.
    fn one_of(&self, codes: &[&str]) -> Option<usize> {
        let fits = |at: &usize| codes.contains(&primary(&self.languages[*at]));
        Some(self.current).filter(fits).or_else(|| (0..self.languages.len()).find(fits))
    }
}

/// `hi` of `hi-IN`.
fn primary(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or_default()
}

fn words_of(text: &str) -> Vec<String> {
    let bare = |word: &str| {
        word.trim_matches(|c: char| c.is_ascii_punctuation() || matches!(c, '।' | '…' | '“' | '”'))
            .to_lowercase()
    };
    text.split(|c: char| c.is_whitespace() || c == '-').map(bare).filter(|word| !word.is_empty()).collect()
}

/// The languages that are written in the script of this letter; none for Latin, in which all of them are.
fn languages_of_script(letter: char) -> &'static [&'static str] {
    match letter {
        '\u{0900}'..='\u{097F}' => &["hi", "mr"],
        '\u{0980}'..='\u{09FF}' => &["bn"],
        '\u{0A00}'..='\u{0A7F}' => &["pa"],
        '\u{0A80}'..='\u{0AFF}' => &["gu"],
        '\u{0B00}'..='\u{0B7F}' => &["or"],
        '\u{0B80}'..='\u{0BFF}' => &["ta"],
        '\u{0C00}'..='\u{0C7F}' => &["te"],
        '\u{0C80}'..='\u{0CFF}' => &["kn"],
        '\u{0D00}'..='\u{0D7F}' => &["ml"],
        _ => &[],
    }
}
