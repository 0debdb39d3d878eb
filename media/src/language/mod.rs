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

/// What words say about the language that they are in.
struct Votes {
    best: usize,
    /// Words that speak for it.
    count: usize,
    /// Words that speak for any.
    total: usize,
}

impl Votes {
    fn lean(&self) -> bool {
        self.count >= LEANING_WORDS_MIN && self.count * 100 >= self.total * LEANING_PERCENT_MIN
    }

    fn are_clear(&self) -> bool {
        self.count >= CLEAR_WORDS_MIN && self.count * 100 >= self.total * CLEAR_PERCENT_MIN
    }
}

/// Follows the caller from language to language.
#[derive(Debug, Clone)]
pub struct Follower {
    /// BCP 47 tags; there is at least one.
    languages: Vec<String>,
    current: usize,
    /// What the last turn that said anything about it leaned to.
    leaning: Option<usize>,
}

impl Follower {
    /// Begins in the first of an agent's languages, BCP 47 tags such as `en-IN`, of which there must be one.
    pub fn new(languages: Vec<String>) -> Self {
        Self { languages, current: 0, leaning: None }
    }

    /// The place of the language that is spoken now among the agent's.
    pub fn current(&self) -> usize {
        self.current
    }

    /// Takes a turn of the caller. The place of the language to go on in, if it is another one.
    pub fn turn(&mut self, text: &str) -> Option<usize> {
        let words = self.telling(text)?;
        let next = self.asked_for(&words).or_else(|| self.spoken(&words))?;
        self.go_to(next)
    }

    /// The other language that this may be in, which is part of a turn or all of it.
    pub fn suspects(&self, text: &str) -> Option<usize> {
        let words = self.telling(text)?;
        let leaning = || self.votes(&words).filter(Votes::lean).map(|votes| votes.best);
        self.asked_for(&words).or_else(leaning).filter(|other| *other != self.current)
    }

    /// Somebody else has decided, such as the model. The place of the language to go on in; `None` if it is spoken already
    /// or is none of the agent's.
    pub fn switch(&mut self, language: &str) -> Option<usize> {
        let wanted = primary(language);
        let next = self.languages.iter().position(|known| primary(known) == wanted)?;
        self.go_to(next)
    }

    fn go_to(&mut self, next: usize) -> Option<usize> {
        if next == self.current {
            return None;
        }
        (self.current, self.leaning) = (next, None);
        Some(next)
    }

    /// The words of a text, if there is anything to be told from it.
    fn telling(&self, text: &str) -> Option<Vec<String>> {
        // Who listens in Hindi may well speak English.
        (self.languages.len() > 1 && !is_backchannel(text, "hi", &[])).then(|| words_of(text))
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
        let votes = self.votes(words)?;
        if votes.best == self.current || !votes.lean() {
            self.leaning = None;
            return None;
        }
        let leaned = self.leaning.replace(votes.best) == Some(votes.best);
        (leaned || votes.are_clear()).then_some(votes.best)
    }

    /// What the words say; `None` if nothing.
    fn votes(&self, words: &[String]) -> Option<Votes> {
        let mut votes = vec![0_usize; self.languages.len()];
        for at in words.iter().filter_map(|word| self.vote(word)) {
            votes[at] += 1;
        }
        let total = votes.iter().sum();
        let most = votes.into_iter().enumerate().max_by_key(|(at, count)| (*count, *at == self.current));
        most.filter(|(_, count)| *count > 0).map(|(best, count)| Votes { best, count, total })
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
