//! Numbers that are read out digit by digit: is the one at the end whole?

use super::{Tongue, Word, contains, is_in, lists};

/// What stands at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// More digits or letters must come.
    Half,
    /// As long as such a thing is.
    Whole,
    /// None, or one of which the length says nothing.
    Any,
}

#[rustfmt::skip]
const WORDS: &[(&str, &str)] = &[
    ("zero", "0"), ("oh", "0"), ("o", "0"), ("nought", "0"), ("one", "1"), ("two", "2"), ("three", "3"), ("four", "4"), ("five", "5"),
    ("six", "6"), ("seven", "7"), ("eight", "8"), ("nine", "9"), ("ten", "10"), ("eleven", "11"), ("twelve", "12"),
    ("thirteen", "13"), ("fourteen", "14"), ("fifteen", "15"), ("sixteen", "16"), ("seventeen", "17"), ("eighteen", "18"),
    ("nineteen", "19"), ("twenty", "20"), ("thirty", "30"), ("forty", "40"), ("fifty", "50"), ("sixty", "60"),
    ("seventy", "70"), ("eighty", "80"), ("ninety", "90"),
    ("शून्य", "0"), ("जीरो", "0"), ("एक", "1"), ("दो", "2"), ("तीन", "3"), ("चार", "4"), ("पांच", "5"), ("छह", "6"), ("छः", "6"),
    ("छे", "6"), ("छ", "6"), ("सात", "7"), ("आठ", "8"), ("नौ", "9"), ("वन", "1"), ("टू", "2"), ("थ्री", "3"), ("फोर", "4"), ("फाइव", "5"),
    ("सिक्स", "6"), ("सेवन", "7"), ("एट", "8"), ("नाइन", "9"),
    ("shunya", "0"), ("ek", "1"), ("teen", "3"), ("char", "4"), ("chaar", "4"), ("panch", "5"), ("paanch", "5"),
    ("chhe", "6"), ("che", "6"), ("chhah", "6"), ("saat", "7"), ("aath", "8"), ("nau", "9"),
];

/// A number word as digits, any other word as it is.
pub(super) fn canonical(word: &str) -> &str {
    WORDS.iter().find(|(name, _)| *name == word).map_or(word, |(_, digits)| digits)
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || ('०'..='९').contains(&c))
}

fn is_number(word: &Word) -> bool {
    is_digits(canonical(&word.text)) || matches!(word.text.as_str(), "do")
}

fn is_repeat(word: &str) -> bool {
    matches!(word, "double" | "triple" | "डबल" | "ट्रिपल" | "डबल्स")
}

/// The numbers at the end, and how many digits they are.
struct Run<'a> {
    words: &'a [Word],
    before: &'a [Word],
    digits: usize,
}

fn run(words: &[Word], tongue: Tongue) -> Run<'_> {
    let is_part = |word: &Word| {
        // "do" is Hindi for two, and English for anything but.
        (is_number(word) && (word.text != "do" || tongue == Tongue::Mixed))
            || is_repeat(&word.text)
            || is_in(lists::FILLERS, word)
    };
    let mut start = words.iter().rposition(|word| !is_part(word)).map_or(0, |at| at + 1);
    while words.get(start).is_some_and(|word| is_in(lists::FILLERS, word)) {
        start += 1;
    }
    let mut digits = 0;
    let mut tens = false;
    for word in &words[start..] {
        let value = if word.text == "do" { "2" } else { canonical(&word.text) };
        let spoken = value != word.text;
        digits += match word.text.as_str() {
            "double" | "डबल" => 1,
            "triple" | "ट्रिपल" => 2,
            // "Twenty two" is two digits.
            _ if is_digits(value) && spoken && tens && value.len() == 1 && value != "0" => 0,
            _ if is_digits(value) => value.chars().count(),
            _ => 0,
        };
        tens = spoken && value.len() == 2 && value.ends_with('0') && value != "10";
    }
    Run { words: &words[start..], before: &words[..start], digits }
}

/// How many digits a number has by what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Phone,
    AtLeast(usize),
}

pub(super) fn at_the_end(words: &[Word], tongue: Tongue) -> Number {
    let run = run(words, tongue);
    if run.digits == 0 {
        return Number::Any;
    }
    if run.words.last().is_some_and(|last| is_repeat(&last.text)) {
        return Number::Half;
    }
    match length(&run) {
        Some(Length::Phone) => phone(run.digits, tongue),
        Some(Length::AtLeast(digits)) if run.digits < digits => Number::Half,
        Some(Length::AtLeast(_)) => Number::Any,
        None => bare(&run, tongue),
    }
}

fn phone(digits: usize, tongue: Tongue) -> Number {
    match (digits, tongue) {
        (10.., _) => Number::Whole,
        // A local number; eight and nine digits are on the way to ten.
        (7, Tongue::English) => Number::Any,
        _ => Number::Half,
    }
}

/// Digits with nothing that names them: the groups in which people read telephone numbers are half of one.
fn bare(run: &Run, tongue: Tongue) -> Number {
    let alone = run.before.iter().all(|word| is_in(lists::LINKS, word) || is_in(lists::LEADS, word));
    let single = |word: &Word| {
        let value = canonical(&word.text);
        value.len() == 1 || value == word.text || word.text == "do"
    };
    if alone && run.digits >= 10 {
        return Number::Whole;
    }
    if !alone || run.words.len() < 2 || !run.words.iter().all(single) {
        return Number::Any;
    }
    match (run.digits, tongue) {
        (3 | 8 | 9, _) | (6, Tongue::English) | (5 | 7, Tongue::Mixed) => Number::Half,
        _ => Number::Any,
    }
}

fn length(run: &Run) -> Option<Length> {
    let links = run.before.iter().rev().take_while(|word| is_link(word)).take(6).count();
    let (head, skipped) = run.before.split_at(run.before.len() - links);
    if skipped.iter().chain(head.last()).any(|word| matches!(word.text.as_str(), "ending" | "ends" | "last"))
    {
        return Some(Length::AtLeast(4));
    }
    let back = |n: usize| head.len().checked_sub(n).map_or("", |at| head[at].text.as_str());
    match back(1) {
        "of" => None,
        number if contains(lists::NUMBER_WORDS, number) => numbered(back(2), back(3), run, links),
        "code" => by_code(back(2)),
        "zip" => Some(Length::AtLeast(5)),
        "pincode" | "पिनकोड" => Some(Length::AtLeast(6)),
        "pin" | "otp" | "ओटीपी" | "पिन" => Some(Length::AtLeast(4)),
        "cvv" => Some(Length::AtLeast(3)),
        "aadhaar" | "aadhar" | "आधार" => Some(Length::AtLeast(12)),
        // "My phone is two zero two" reads a number, "I have an account two" does not.
        name if contains(lists::PHONES, name) && links > 0 => Some(Length::Phone),
        name if contains(lists::ACCOUNTS, name) && links > 0 && run.words.len() > 1 => {
            Some(Length::AtLeast(7))
        }
        _ => None,
    }
}

fn is_link(word: &Word) -> bool {
    is_in(lists::LINKS, word) && word.text != "code"
}

/// What a word before "number" makes of it.
fn numbered(name: &str, before: &str, run: &Run, links: usize) -> Option<Length> {
    let label = links == 0 && run.words.len() == 1 && run.digits <= 2;
    match name {
        name if contains(lists::LABELS, name) => None,
        name if contains(lists::CARDS, name) => Some(Length::AtLeast(13)),
        "pin" => Some(Length::AtLeast(4)),
        "aadhaar" | "aadhar" | "आधार" => Some(Length::AtLeast(12)),
        name if contains(lists::ACCOUNTS, name) => {
            let long = matches!(name, "account" | "अकाउंट" | "खाता" | "खाते" | "khata") || before == "account";
            Some(Length::AtLeast(if long { 7 } else { 5 }))
        }
        _ if label => None,
        _ => Some(Length::Phone),
    }
}

fn by_code(name: &str) -> Option<Length> {
    match name {
        "area" => Some(Length::AtLeast(3)),
        "zip" | "postal" => Some(Length::AtLeast(5)),
        "pin" => Some(Length::AtLeast(6)),
        "country" => None,
        _ => Some(Length::AtLeast(4)),
    }
}
