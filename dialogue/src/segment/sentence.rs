//! Where sentences and clauses end.

/// What ends at a place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundary {
    /// Nothing.
    None,
    /// A clause.
    Clause,
    /// A sentence.
    Sentence,
}

/// Words that end with a full stop and end no sentence, without the stop.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "inc", "ltd", "co", "corp", "dept",
    "approx", "est", "ave", "rd", "blvd", "apt", "mt", "ft", "gen", "col", "sgt", "capt", "lt", "rev", "hon",
    "gov", "sen", "rep", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    "tel", "ext", "no", "nos", "fig", "smt",
];

/// What ends where white space `c` follows `text`.
pub(super) fn boundary(text: &str, c: char) -> Boundary {
    if c == '\n' {
        return Boundary::Sentence;
    }
    let token = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    let is_first = token.len() == text.len();
    let token = token.trim_end_matches(['"', '\'', ')', '”', '’', '»']);
    let Some(last) = token.chars().next_back() else { return Boundary::None };
    let before = &token[..token.len() - last.len_utf8()];
    match last {
        '!' | '?' | '।' | '॥' | '۔' | '؟' => Boundary::Sentence,
        '.' if before.ends_with('.') => Boundary::Clause,
        '…' => Boundary::Clause,
        '.' if is_abbreviation(before) || (is_first && is_number(before)) => Boundary::None,
        '.' => Boundary::Sentence,
        // "On March 5, 2026" and "between 10, 20" read as one.
        ',' | ':' if before.ends_with(|c: char| c.is_ascii_digit()) => Boundary::None,
        ',' | ';' | ':' | '—' | '–' | '،' => Boundary::Clause,
        '-' if before.is_empty() => Boundary::Clause,
        _ => Boundary::None,
    }
}

/// True where a dash without white space around it ends a clause, now that `next` is known to follow.
pub(super) fn dash_ends_before(text: &str, next: char) -> bool {
    text.ends_with('—') && next.is_alphanumeric() && !next.is_ascii_digit()
}

fn is_abbreviation(word: &str) -> bool {
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let single_letters = !word.is_empty()
        && word.split('.').all(|part| {
            let mut chars = part.chars();
            chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
        });
    // "I." and "a." are words; "J. Smith" and "U.S. law" are not the end of anything.
    let is_pronoun = word == "I" || word == "a";
    (single_letters && !is_pronoun) || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_digit())
}
