//! CORE: numbers, rupees, dates and telephone numbers in the form that the vendor reads the way the language's speakers
//! say them.
//!
//! The vendor's models read numbers in each of their languages by themselves, but take a long one without separators for
//! digits, a telephone number for a quantity, and know India's groups only where the commas stand for them. So this only
//! rewrites what would be misread; spelling out is the vendor's.

use crate::socket::primary_language;

/// Words soon after which digits are a code, read one by one.
const CODES: [&str; 12] =
    ["pin", "pincode", "otp", "code", "id", "number", "no", "पिन", "कोड", "ओटीपी", "नंबर", "आईडी"];
const CURRENCY: [&str; 4] = ["₹", "Rs.", "Rs", "INR"];
/// How many words later that is at the most.
const CODE_AFTER_MAX: usize = 3;
/// A number of four digits can be a year, and is read well as it is.
const GROUPED_DIGITS_MIN: usize = 5;

/// What some languages call things.
struct Names {
    rupees: &'static str,
    paise: &'static str,
    months: [&'static str; 12],
}

const ENGLISH: Names = Names {
    rupees: "rupees",
    paise: "paise",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
};
const HINDI: Names = Names {
    rupees: "रुपये",
    paise: "पैसे",
    months: ["जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून", "जुलाई", "अगस्त", "सितंबर", "अक्टूबर", "नवंबर", "दिसंबर"],
};

/// The text as it is to be read. Where the language's names are not known here, they are left to the vendor.
pub fn spoken(language: &str, text: &str) -> String {
    let names = match primary_language(language).as_str() {
        "en" => Some(&ENGLISH),
        "hi" => Some(&HINDI),
        _ => None,
    };
    let pieces: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    // How long ago a word announced a code.
    let mut announced = usize::MAX;
    while let Some(piece) = pieces.get(at) {
        let word = piece.trim_end();
        // A currency's sign, or the first half of a telephone number, belongs to what follows.
        let next = pieces.get(at + 1).map_or("", |next| next.trim_end());
        let pair = format!("{word}{next}");
        let read = if CURRENCY.contains(&word) || is_half_number(word, next) {
            read(&pair, announced < CODE_AFTER_MAX, names).map(|read| (read, 2))
        } else {
            None
        };
        let read = read.or_else(|| Some((read_word(word, announced < CODE_AFTER_MAX, names)?, 1)));
        let (read, taken) = read.unwrap_or_else(|| (word.to_owned(), 1));
        let last = pieces[at + taken - 1];
        out.push_str(&read);
        out.push_str(&last[last.trim_end().len()..]);
        let name = last.trim_matches(|c: char| c.is_ascii_punctuation() || c.is_whitespace()).to_lowercase();
        announced = if CODES.contains(&name.as_str()) { 0 } else { announced.saturating_add(1) };
        at += taken;
    }
    out
}

fn read_word(word: &str, is_code: bool, names: Option<&Names>) -> Option<String> {
    if !word.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    read(word, is_code, names)
}

/// `98765 43210`
fn is_half_number(word: &str, next: &str) -> bool {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    digits(word) && digits(next.trim_end_matches(|c: char| !c.is_ascii_digit()))
}

/// A word with digits in it, without the punctuation around it.
fn read(word: &str, is_code: bool, names: Option<&Names>) -> Option<String> {
    let starts = |c: char| c.is_ascii_digit() || matches!(c, '+' | '₹') || c.is_alphabetic();
    let start = word.find(starts)?;
    let end = word.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (core, tail) = (word.get(start..end)?, &word[end..]);
    let amount = tail
        .strip_prefix("/-")
        .map(|_| format!("₹{}", CURRENCY.iter().find_map(|sign| core.strip_prefix(sign)).unwrap_or(core)));
    let tail = tail.strip_prefix("/-").unwrap_or(tail);
    let core = amount.as_deref().unwrap_or(core);
    if tail.starts_with(char::is_alphabetic) {
        return None;
    }
    let core = rupees(core, names)
        .or_else(|| date(core, names?))
        .or_else(|| telephone(core))
        .or_else(|| code(core, is_code))
        .or_else(|| number(core))?;
    Some(format!("{}{core}{tail}", &word[..start]))
}

fn rupees(core: &str, names: Option<&Names>) -> Option<String> {
    let amount = CURRENCY.iter().find_map(|sign| core.strip_prefix(sign))?;
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let whole = grouped(&digits_of(whole)?);
    let Some(names) = names else {
        return Some(format!("₹{whole}{}{part}", if part.is_empty() { "" } else { "." }));
    };
    let paise: u32 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    let rest = if paise == 0 { String::new() } else { format!(" {paise} {}", names.paise) };
    Some(format!("{whole} {}{rest}", names.rupees))
}

/// `2026-11-22`, `22/11/2026` or `22-11-2026`: the day comes first in India.
fn date(core: &str, names: &Names) -> Option<String> {
    let parts: Vec<&str> = core.split(['-', '/']).collect();
    let [a, b, c] = parts[..] else { return None };
    let (day, month, year) = if a.len() == 4 { (c, b, a) } else { (a, b, c) };
    if year.len() != 4 || !year.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let day: u32 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = names.months.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(format!("{day} {month} {year}"))
}

/// Digit by digit, the last ten in two groups as they are said.
fn telephone(core: &str) -> Option<String> {
    let (international, rest) = match core.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, core),
    };
    let digits: String = rest.split('-').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let is_number = match digits.len() {
        10 => digits.starts_with(['6', '7', '8', '9']),
        11 => digits.starts_with('0') || digits.starts_with("1800"),
        12 => digits.starts_with("91"),
        _ => false,
    };
    let is_international = international && (8..=15).contains(&digits.len());
    if !(is_number || is_international) {
        return None;
    }
    let (head, tail) = digits.split_at(digits.len().saturating_sub(10));
    let (first, second) = tail.split_at(tail.len().saturating_sub(5));
    let groups = [head, first, second].map(one_by_one);
    let said: Vec<&str> = groups.iter().map(String::as_str).filter(|group| !group.is_empty()).collect();
    Some(format!("{}{}", if international { "+" } else { "" }, said.join(", ")))
}

/// Digits that are no quantity.
fn code(core: &str, announced: bool) -> Option<String> {
    let is_code = core.len() >= 4 && core.bytes().all(|b| b.is_ascii_digit());
    let zero = core.starts_with('0') && core.len() >= GROUPED_DIGITS_MIN;
    (is_code && (announced || zero)).then(|| one_by_one(core))
}

fn number(core: &str) -> Option<String> {
    let (whole, part) = core.split_once('.').unwrap_or((core, ""));
    let digits = digits_of(whole)?;
    if digits.len() < GROUPED_DIGITS_MIN || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{}{point}{part}", grouped(&digits)))
}

/// The digits of a number with or without commas, in India's groups or in threes.
fn digits_of(text: &str) -> Option<String> {
    let mut groups = text.split(',').rev();
    let last = groups.next()?;
    let has_commas = text.contains(',');
    let fits = |group: &str| matches!(group.len(), 1..=3);
    let valid = !last.is_empty() && (!has_commas || last.len() == 3) && groups.all(fits);
    let digits: String = text.split(',').collect();
    (valid && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// Thousands, and above them twos: lakhs and crores.
fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        let left = digits.len() - at;
        if at > 0 && left >= 3 && left % 2 == 1 && digits.len() >= GROUPED_DIGITS_MIN {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn one_by_one(digits: &str) -> String {
    digits.chars().map(String::from).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_as_it_is_said_in_india() {
        for (written, said) in [
            ("The rent is Rs. 150000 a month.", "The rent is 1,50,000 rupees a month."),
            ("It costs ₹12,500.50, taxes included.", "It costs 12,500 rupees 50 paise, taxes included."),
            ("Pay 500/- now.", "Pay 500 rupees now."),
            ("Pay ₹500/- now.", "Pay 500 rupees now."),
            ("INR 25000000 in all", "2,50,00,000 rupees in all"),
            ("1,234,567 people", "12,34,567 people"),
            ("12345678 people", "1,23,45,678 people"),
            ("Call 9876543210.", "Call 9 8 7 6 5, 4 3 2 1 0."),
            ("Call 98765 43210, please.", "Call 9 8 7 6 5, 4 3 2 1 0, please."),
            ("Call +919876543210.", "Call +9 1, 9 8 7 6 5, 4 3 2 1 0."),
            ("Your OTP is 482913.", "Your OTP is 4 8 2 9 1 3."),
            ("OTP: 482913.", "OTP: 4 8 2 9 1 3."),
            ("PIN code 560001", "PIN code 5 6 0 0 0 1"),
            ("on 22/11/2026 at 10:30", "on 22 November 2026 at 10:30"),
            ("from 2026-11-05", "from 5 November 2026"),
            ("in 2026, room 1204, 9.5 out of 10", "in 2026, room 1204, 9.5 out of 10"),
            ("99/99/2026 and 1,2,3 and 3rd and 10000m", "99/99/2026 and 1,2,3 and 3rd and 10000m"),
        ] {
            assert_eq!(spoken("en-IN", written), said);
        }
    }

    #[test]
    fn hindi() {
        for (written, said) in [
            ("आपका बैलेंस ₹150000 है।", "आपका बैलेंस 1,50,000 रुपये है।"),
            ("कुल Rs 99.5 हुए।", "कुल 99 रुपये 50 पैसे हुए।"),
            ("तारीख 15/08/2026 है।", "तारीख 15 अगस्त 2026 है।"),
            ("नंबर 9876543210 पर फ़ोन करें।", "नंबर 9 8 7 6 5, 4 3 2 1 0 पर फ़ोन करें।"),
            ("आवेदन 25000000 लोगों ने किया।", "आवेदन 2,50,00,000 लोगों ने किया।"),
            ("अभी 500/- दीजिए।", "अभी 500 रुपये दीजिए।"),
            ("+919876543210 मिलाइए।", "+9 1, 9 8 7 6 5, 4 3 2 1 0 मिलाइए।"),
            ("98765 43210 मेरा है।", "9 8 7 6 5, 4 3 2 1 0 मेरा है।"),
            ("आपका ओटीपी 482913 है।", "आपका ओटीपी 4 8 2 9 1 3 है।"),
            ("2026-11-05 से", "5 नवंबर 2026 से"),
            ("कमरा 1204, 2026 में, 10:30 बजे", "कमरा 1204, 2026 में, 10:30 बजे"),
            ("पिन 560001", "पिन 5 6 0 0 0 1"),
            ("नमस्ते, कैसे हैं?", "नमस्ते, कैसे हैं?"),
        ] {
            assert_eq!(spoken("hi-IN", written), said);
        }
    }

    #[test]
    fn other_languages_keep_their_own_names() {
        assert_eq!(spoken("ta-IN", "₹150000, 15/08/2026"), "₹1,50,000, 15/08/2026");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_no_digit_is_lost(text in "[0-9₹+,./ RsINR-]{0,40}|\\PC{0,40}") {
            let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
            // Dates lose leading zeros and amounts their empty paise, and nothing else is lost.
            let said = spoken("ta-IN", &text);
            proptest::prop_assert_eq!(digits(&said), digits(&text));
            spoken("hi", &text);
        }
    }
}
