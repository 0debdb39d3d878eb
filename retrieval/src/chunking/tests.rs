use proptest::prelude::*;

use super::*;

fn split(document: &str) -> Vec<(String, String)> {
    passages(document).into_iter().map(|p| (p.headings.join(" > "), p.text)).collect()
}

fn without_whitespace(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn a_section_is_a_passage_below_its_headings() {
    let document =
        "# House\n\nWelcome.\n\n## Meals\n### Breakfast\nFrom seven.\n\nIn the hall.\n## Parking\nFree.\n";
    assert_eq!(
        split(document),
        [
            (String::new(), "# House\n\nWelcome.".to_owned()),
            ("House".to_owned(), "## Meals\n### Breakfast\nFrom seven.\n\nIn the hall.".to_owned()),
            ("House".to_owned(), "## Parking\nFree.".to_owned()),
        ]
    );
}

#[test]
fn a_long_section_goes_on_below_its_own_heading() {
    let sentence = "The kettle in the room is filled every morning by the staff. ";
    let document = format!("# House\n## Rooms\n{}", sentence.repeat(40));
    let parts = split(&document);
    assert!(parts.len() > 2);
    assert_eq!(parts[0].0, "");
    assert!(
        parts[0].1.starts_with("# House\n## Rooms\nThe kettle"),
        "the heading stays with its first words"
    );
    for (headings, text) in &parts[1..] {
        assert_eq!(headings, "House > Rooms");
        assert!(text.starts_with("The kettle") && text.ends_with("staff."), "{text}");
    }
}

#[test]
fn paragraphs_share_a_passage_until_it_is_full() {
    let paragraph = |word: &str| format!("{}\n\n", [word; 60].join(" "));
    let document: String = ["one", "two", "six", "ten", "old"].map(paragraph).concat();
    let parts = split(&document);
    assert_eq!(parts.len(), 2);
    assert!(parts[0].1.starts_with("one") && parts[0].1.ends_with("ten"));
    assert!(parts[1].1.starts_with("old"));
}

#[test]
fn a_hash_in_code_or_in_a_word_is_no_heading() {
    let document = "Press #5 twice.\n```\n# not a heading\n```\n#tag\n";
    assert_eq!(split(document), [(String::new(), document.trim().to_owned())]);
    assert_eq!(first_heading(document), None);
    assert_eq!(first_heading("\u{feff}# Prices #\n").as_deref(), Some("Prices"));
}

#[test]
fn a_title_is_not_repeated_as_context() {
    let passage = Passage { headings: vec!["House".into(), "Rooms".into()], text: "Kettle.".into() };
    assert_eq!(passage.in_context("House"), "Rooms\nKettle.");
    assert_eq!(passage.in_context("Prices"), "House > Rooms\nKettle.");
    let passage = Passage { headings: vec!["House".into()], text: "Kettle.".into() };
    assert_eq!(passage.in_context("House"), "Kettle.");
}

#[test]
fn nothing_comes_of_nothing() {
    assert_eq!(passages(""), []);
    assert_eq!(passages(" \n\t\n\u{3000}"), []);
}

/// Markdown-like text, and text of any characters at all, long lines among them.
fn documents() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just(String::new()),
        "#{1,7} [a-zà-ü ]{0,30}",
        "[A-Za-z,']{1,12}( [a-z]{1,9}){0,40}[.!?]",
        "[क-ह]{1,8}( [क-ह]{1,8}){0,60}।",
        "```",
        "\\PC{0,60}",
        "[x😀]{900,2200}",
    ];
    prop::collection::vec(line, 0..30).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_text_is_lost_or_doubled(document in documents()) {
        let parts: String = passages(&document).into_iter().map(|passage| passage.text).collect();
        prop_assert_eq!(without_whitespace(&parts), without_whitespace(&document));
    }

    #[test]
    fn no_passage_is_too_long_or_empty(document in documents()) {
        for passage in passages(&document) {
            let length = passage.text.chars().count();
            prop_assert!((1..=PASSAGE_CHARS_MAX).contains(&length), "{}", length);
        }
    }
}
