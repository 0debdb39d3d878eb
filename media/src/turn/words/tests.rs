use proptest::prelude::*;

use super::{Ending, content_words, ending, fold, is_backchannel, is_echo_of, lists, words_of};

mod backchannels;
mod endings;

/// How many utterances of a table the rules may get wrong, in per cent: natural language keeps exceptions.
const MISSES_MAX_PERCENT: usize = 5;

/// Prints the misses of a table and its score; fails when there are too many.
pub(super) fn report(table: &str, total: usize, misses: &[String]) {
    println!("{table}: {}/{total}", total - misses.len());
    misses.iter().for_each(|miss| println!("    {miss}"));
    assert!(misses.len() * 100 <= total * MISSES_MAX_PERCENT, "{table}: {} of {total} missed", misses.len());
}

#[test]
fn lists_are_sorted_folded_and_without_repeats() {
    let lists = [
        lists::BACKCHANNELS,
        lists::FLOOR,
        lists::FLOOR_HI,
        lists::BACKCHANNELS_HI,
        lists::FILLERS,
        lists::REPAIRS,
        lists::ANSWERS,
        lists::ANSWERS_HI,
        lists::CLOSERS,
        lists::OPEN,
        lists::OPEN_HI,
        lists::OBLIQUE_HI,
        lists::OPEN_PRONOUNS_HI,
        lists::SPEAKER_HI,
        lists::INTERROGATIVES_HI,
        lists::UNSURE_HI,
        lists::VERBS_HI,
        lists::COPULA_PENDING_HI,
        lists::WH,
        lists::RELATIVES,
        lists::AUXILIARIES,
        lists::LOOSE_AUXILIARIES,
        lists::SUBJECTS,
        lists::PRONOUNS,
        lists::NOT_SUBJECTS,
        lists::MID_QUESTIONS,
        lists::EMBEDDING,
        lists::TRANSITIVE,
        lists::OBJECT_QUESTIONS,
        lists::TAGS,
        lists::LEADS,
        lists::LEAD_PAIRS,
        lists::OBJECT_PREPOSITIONS,
        lists::STRANDERS,
        lists::PHONES,
        lists::NUMBER_WORDS,
        lists::ACCOUNTS,
        lists::CARDS,
        lists::LABELS,
        lists::LINKS,
        lists::ACRONYMS,
        lists::LETTERS_HI,
    ];
    for list in lists {
        assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        for entry in list {
            let folded: Vec<String> = entry.split(' ').map(fold).collect();
            assert_eq!(folded.join(" ").trim_start_matches('\''), entry.trim_start_matches('\''));
        }
    }
}

#[test]
fn one_spelling_for_many() {
    let folded = |text| words_of(text).into_iter().map(|word| word.text).collect::<Vec<_>>();
    assert_eq!(folded("OKAYYY, that’s  \"Fine\"!"), ["okay", "that's", "fine"]);
    assert_eq!(folded("हाँ। ज़रूर हाँजी"), ["हां", "जरूर", "हांजी"]);
    assert_eq!(folded("Uh-huh ... S.M.I at 5:30 p.m."), ["uh", "huh", "s", "m", "i", "at", "5:30", "p", "m"]);
    assert_eq!(folded("— ? ,"), Vec::<String>::new());
}

#[test]
fn counts_words_that_are_more_than_listening() {
    let count = |text| content_words(text, "en-US", &[]);
    assert_eq!(count("yeah okay um"), 0);
    assert_eq!(count("uh-huh, I see"), 0);
    assert_eq!(count("okay but not on Monday"), 4);
    assert_eq!(count("no"), 1);
    assert_eq!(content_words("अच्छा लेकिन कल नहीं", "hi", &[]), 3);
    assert_eq!(content_words("roger roger houston", "en", &["houston".into()]), 0);
}

#[test]
fn an_agent_has_backchannels_of_its_own() {
    let extra = ["Jolly good".to_owned(), "tip-top".to_owned()];
    assert!(is_backchannel("jolly good!", "en-GB", &extra));
    assert!(is_backchannel("yeah, tip top", "en-GB", &extra));
    assert!(!is_backchannel("tip top", "en-GB", &[]));
}

const SPOKEN: &str = "Thank you for calling Harbour House. We have rooms from one hundred and twenty dollars a night, \
                      breakfast is included, and parking is free. Which day would you like to arrive?";

#[test]
fn knows_our_own_words_again() {
    for echo in [
        "thank you for calling",
        "We have rooms from one hundred",
        "breakfast is included and parking is free",
        "breakfast is concluded and parking",
        "have rooms from a hundred and twenty dollars",
        "which they would you like to arrive",
        "Which day would you like to arrive?",
        "rooms from 1 hundred and 20 dollars",
    ] {
        assert!(is_echo_of(echo, SPOKEN), "{echo}");
    }
}

#[test]
fn a_caller_is_no_echo() {
    for words in [
        "",
        "yes",
        "parking",
        "is breakfast",
        "I would like to arrive on Monday",
        "thank you but no",
        "how much is parking",
        "can I arrive at night",
        "do you have a room with breakfast",
        "a hundred dollars is too much",
        "arrive to like you would",
    ] {
        assert!(!is_echo_of(words, SPOKEN), "{words}");
    }
    assert!(!is_echo_of("yes please go on", ""));
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,80}", language in "[a-zA-Z-]{0,8}") {
        let _ = ending(&text, &language);
        let words = words_of(&text).len();
        let content = content_words(&text, &language, &[]);
        prop_assert!(content <= words);
        prop_assert!(!is_backchannel(&text, &language, &[]) || content == 0);
        prop_assert!(!is_echo_of(&text, "") || text.is_empty());
    }

    #[test]
    fn case_and_a_full_stop_do_not_close_an_open_end(
        start in "(i would like|my brother|the booking|we need it)",
        tail in "(and|but|because|the|my|um|to|with|or)",
    ) {
        for text in [format!("{start} {tail}"), format!("{start} {tail}."), format!("{start} {tail}").to_uppercase()] {
            prop_assert_eq!(ending(&text, "en"), Ending::Open, "{}", text);
        }
    }

    #[test]
    fn a_run_of_our_words_is_an_echo_whatever_its_case(from in 0usize..20, count in 3usize..12) {
        let run: Vec<&str> = SPOKEN.split(' ').skip(from).take(count).collect();
        let run = run.join(" ").to_uppercase().replace(['.', ','], "");
        prop_assert!(is_echo_of(&run, SPOKEN), "{}", run);
    }

    #[test]
    fn repeating_a_backchannel_leaves_it_one(
        word in "(mm-hm|yeah|okay|right|हाँ|ठीक है|theek hai|i see)", times in 1usize..5, mark in "[.,!]?",
    ) {
        let text = format!("{} ", word).repeat(times) + &mark;
        prop_assert!(is_backchannel(&text, "hi-IN", &[]), "{}", text);
        let interrupts = text + " रुकिए";
        prop_assert!(!is_backchannel(&interrupts, "hi-IN", &[]));
    }
}
