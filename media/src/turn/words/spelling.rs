//! Names that are spelled letter by letter: is the one at the end whole?

use super::{Tongue, Word, contains, is_in, lists, numbers::Number};

/// Shorter names are rare enough to wait for another letter.
const LETTERS_MIN: usize = 5;

fn letter(word: &Word, tongue: Tongue) -> Option<char> {
    let mut letters = word.text.chars();
    match (letters.next(), letters.next()) {
        (Some(c), None) if c.is_ascii_alphabetic() => Some(c),
        _ if tongue == Tongue::Mixed && is_in(lists::LETTERS_HI, word) => word.text.chars().last(),
        _ => None,
    }
}

/// The length of a spelled letter at the end of `words`, in words: "b", "b as in bravo", "b for bombay".
fn unit(words: &[Word], tongue: Tongue) -> Option<(usize, char)> {
    let text = |back: usize| words.len().checked_sub(back).map_or("", |at| words[at].text.as_str());
    let at = |back: usize| words.len().checked_sub(back).and_then(|at| letter(&words[at], tongue));
    if let Some(c) = at(1) {
        return Some((1, c));
    }
    if text(3) == "as" && text(2) == "in" {
        return at(4).map(|c| (4, c));
    }
    let linked = matches!(text(2), "for" | "फॉर") || text(2) == "like" && words.len() == 3;
    if linked { at(3).map(|c| (3, c)) } else { None }
}

pub(super) fn at_the_end(words: &[Word], tongue: Tongue) -> Number {
    let mut rest = words;
    let mut letters: Vec<char> = Vec::new();
    let mut explained = false;
    while let Some((length, c)) = unit(rest, tongue) {
        let doubled = rest.len() > length && rest[rest.len() - length - 1].text == "double";
        letters.extend(std::iter::repeat_n(c, if doubled { 2 } else { 1 }));
        explained |= length > 1;
        rest = &rest[..rest.len() - length - usize::from(doubled)];
    }
    letters.reverse();
    let spelled: String = letters.iter().collect();
    let announced = rest.iter().any(|word| word.text.starts_with("spel") || word.text.starts_with("स्पेल"));
    let enough = letters.len() >= 2 || explained || announced && !letters.is_empty();
    let same = letters.iter().all(|c| *c == letters[0]) && letters.len() > 1 && !spelled.is_ascii();
    if !enough || same || contains(lists::ACRONYMS, &spelled) && !announced {
        return Number::Any;
    }
    if rest.iter().any(|word| word.text == spelled) {
        return Number::Whole;
    }
    let prefix = rest.iter().any(|word| word.text.starts_with(&spelled) && letters.len() >= 2);
    if prefix || letters.len() < LETTERS_MIN { Number::Half } else { Number::Any }
}
