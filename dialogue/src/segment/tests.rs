use proptest::prelude::*;

use super::*;

fn segments<'a>(deltas: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut segmenter = Segmenter::default();
    let mut segments: Vec<String> = deltas.into_iter().flat_map(|delta| segmenter.push(delta)).collect();
    segments.extend(segmenter.flush(false));
    segments
}

fn clean(text: &str) -> String {
    let mut out = String::new();
    Sanitiser::default().push(text, &mut out);
    out
}

#[test]
fn the_first_segment_is_a_clause_and_later_ones_are_sentences() {
    assert_eq!(
        segments(["Sure, I can help, of course I can. First, tell me your name, please. Then we go on."]),
        ["Sure, I can help, ", "of course I can. ", "First, tell me your name, please. ", "Then we go on."]
    );
    assert_eq!(segments(["We open at nine — every day. Yes."]), ["We open at nine — ", "every day. Yes."]);
    assert_eq!(segments(["We open late—nine in fact. Bye."]), ["We open late—", "nine in fact. ", "Bye."]);
}

#[test]
fn short_sentences_wait_for_the_next() {
    assert_eq!(segments(["Ok. Yes. Let me look."]), ["Ok. Yes. Let me look."]);
}

#[test]
fn a_segment_is_out_as_soon_as_its_white_space_came() {
    let mut segmenter = Segmenter::default();
    assert!(segmenter.push("Let me see,").is_empty());
    assert_eq!(segmenter.push(" "), ["Let me see, "]);
}

#[test]
fn tokens_with_punctuation_inside_stay_whole() {
    for token in [
        "3.14",
        "$1,000",
        "10:30",
        "Mr. Smith",
        "Dr. Jones",
        "e.g. tomorrow",
        "the U.S. office",
        "info@example.com",
        "https://example.com/a,b;c?d=1",
        "March 5, 2026",
        "J. Smith",
        "at 9 a.m. today",
        "St. Mary",
    ] {
        let text =
            format!("It is about the one that they call {token} as far as I know from here. Goodbye then.");
        let segments = segments([text.as_str()]);
        assert_eq!(segments.concat(), text);
        assert!(segments.iter().any(|segment| segment.contains(token)), "{token}: {segments:?}");
    }
    assert_eq!(segments(["It costs 5. Do you want it?"]), ["It costs 5. ", "Do you want it?"]);
    assert_eq!(segments(["1. Ring the bell. 2. Wait for it."])[0], "1. Ring the bell. ");
}

#[test]
fn long_sentences_end_with_a_clause_and_endless_ones_anywhere() {
    let clause = "and then the next thing happens, ";
    let text = format!("Listen to me. {}", clause.repeat(10));
    let cut = segments([text.as_str()]);
    assert!(
        cut[1..].iter().all(|segment| segment.ends_with(", ") && segment.chars().count() < 130),
        "{cut:?}"
    );
    let endless = "word ".repeat(200);
    assert!(segments([endless.as_str()]).iter().all(|segment| segment.chars().count() <= CHARS_MAX));
    let run = "x".repeat(2000);
    assert!(segments([run.as_str()]).iter().all(|segment| segment.chars().count() <= RUN_CHARS_MAX));
}

#[test]
fn what_cannot_be_spoken_is_taken_out() {
    for (text, spoken) in [
        ("**Bold** and _soft_ and `code`", "Bold and soft and code"),
        ("# Title\nWords", "Title\nWords"),
        ("- one\n- two\n* three", "one\ntwo\nthree"),
        ("minus -5 and 2-3", "minus -5 and 2-3"),
        ("-5 degrees", "-5 degrees"),
        ("See [our page](https://example.com) now", "See our page now"),
        ("Hi 😀 there 👩‍👩‍👧 you ❤️!", "Hi there you !"),
        ("if x < 5 and y > 3", "if x less than 5 and y greater than 3"),
        ("<break time=\"1s\"/> [laughter] ok", "break time=\"1s\"/ laughter ok"),
        ("file_name of _you_", "file_name of you"),
        ("क्‍ष नमस्ते", "क्‍ष नमस्ते"),
        ("a \n\n  b", "a b"),
    ] {
        assert_eq!(clean(text), spoken, "{text:?}");
    }
}

#[test]
fn a_pause_for_a_tool_keeps_the_words_apart() {
    let mut segmenter = Segmenter::default();
    let mut all = segmenter.push("Let me look.");
    all.extend(segmenter.flush(true));
    all.extend(segmenter.push("It is open."));
    all.extend(segmenter.flush(false));
    assert_eq!(all, ["Let me look. ", "It is open."]);
}

fn reply() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z]{1,9}",
        "[ \\n]{1,3}",
        "[.,;:!?—–…*_`#<>()\\[\\]-]{1,2}",
        "[0-9]{1,3}[.,:][0-9]{1,2}",
        Just("Mr. ".to_owned()),
        Just("e.g. ".to_owned()),
        Just("😀".to_owned()),
        Just("नमस्ते। ".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn delta_boundaries_change_nothing_and_no_word_is_lost(
        text in reply(),
        cuts in prop::collection::vec(1usize..7, 1..50),
    ) {
        let chars: Vec<char> = text.chars().collect();
        let (mut deltas, mut rest) = (Vec::new(), chars.as_slice());
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() { break; }
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            deltas.push(head.iter().collect::<String>());
            rest = tail;
        }
        let whole = segments([text.as_str()]);
        prop_assert_eq!(&segments(deltas.iter().map(String::as_str)), &whole);
        let (joined, clean) = (whole.concat(), clean(&text));
        let tail = clean.strip_prefix(joined.as_str());
        prop_assert!(tail.is_some_and(|tail| !tail.contains(char::is_alphanumeric)), "{:?} of {:?}", joined, clean);
        for segment in &whole {
            prop_assert!(segment.contains(char::is_alphanumeric));
            prop_assert!(!segment.contains(['<', '>', '*', '`', '[', ']', '😀']));
        }
    }
}
