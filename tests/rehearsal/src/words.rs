//! Words as the rehearsals compare them: lower case, without punctuation, endings cut a little.

/// The words of `text` in lower case; apostrophes are dropped (`don't` is `dont`).
pub(crate) fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’') && !is_mark(c))
        .map(|word| word.chars().filter(|c| c.is_alphanumeric() || is_mark(*c)).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Indian scripts write vowels as combining marks, which are no letters to `char::is_alphanumeric` but part of a word.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0900}'..='\u{0DFF}') && !matches!(c, '\u{0964}' | '\u{0965}')
}

/// Whether the word says next to nothing about what a text is about.
pub(crate) fn is_stop_word(word: &str) -> bool {
    const STOP_WORDS: &str = " a about after all also am an and any are as at be been before but by can could did do \
        does for from get give had has have hello hi how i id if im in into is it its just know let like may me might \
        more much my need no not of off ok okay on one only or our out please say see she should so some tell thank \
        thanks that thats the their them then there these they this those to too uh um up us very want was we well \
        were what whats when where which who why will with would yes you your ";
    STOP_WORDS.contains(&format!(" {word} "))
}

/// The word without its common English endings, so that `opens`, `opened` and `openings` are one.
pub(crate) fn stem(word: &str) -> &str {
    // Twice: `sundays` loses its plural first and then what `sunday` loses.
    if word.is_ascii() { cut_ending(cut_ending(word)) } else { word }
}

fn cut_ending(word: &str) -> &str {
    for ending in ["ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "s", "ly", "e", "y"] {
        let Some(root) = word.strip_suffix(ending).filter(|root| root.len() >= 3) else { continue };
        if ending == "s" && root.ends_with('s') {
            continue;
        }
        // `stopped` -> `stop`: a doubled consonant belongs to the ending.
        let last = root.as_bytes()[root.len() - 1];
        let doubled = root.as_bytes()[root.len() - 2] == last && !matches!(last, b'l' | b's');
        return if doubled && root.len() > 3 { &root[..root.len() - 1] } else { root };
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_case_punctuation_and_apostrophes() {
        assert_eq!(words("That's ALL, thank-you!"), ["thats", "all", "thank", "you"]);
        assert_eq!(words("नमस्ते दुनिया।"), ["नमस्ते", "दुनिया"]);
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for forms in [
            ["opens", "opened", "opening"],
            ["delivery", "deliveries", "delivery"],
            ["stop", "stopped", "stops"],
        ] {
            assert!(forms.iter().all(|form| stem(form) == stem(forms[0])), "{forms:?}");
        }
        assert_eq!(stem("address"), "address");
        assert_ne!(stem("price"), stem("print"));
    }
}
