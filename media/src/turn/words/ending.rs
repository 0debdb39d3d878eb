//! How a turn's words end: the order of the rules, and the rules of open ends.

use super::{
    Ending, Mark, Tongue, Word, contains, is_in, lists,
    numbers::{self, Number},
    phrase_length, question, spelling,
};

pub(super) fn of(words: &[Word], tongue: Tongue) -> Ending {
    let Some(last) = words.last() else { return Ending::Unknown };
    if last.mark == Mark::Pause {
        return Ending::Open;
    }
    match numbers::at_the_end(words, tongue) {
        Number::Half => return Ending::Open,
        Number::Whole => return Ending::Finished,
        Number::Any => {}
    }
    match spelling::at_the_end(words, tongue) {
        Number::Half => return Ending::Open,
        Number::Whole => return Ending::Finished,
        Number::Any => {}
    }
    let sentence = last_sentence(words);
    if last.mark == Mark::Question && sentence.len() == 1 {
        return Ending::Question;
    }
    if is_open(sentence) || tongue == Tongue::Mixed && is_open_hindi(sentence) {
        return Ending::Open;
    }
    match question::of(sentence, tongue) {
        question::Form::Finished => Ending::Question,
        question::Form::Open => Ending::Open,
        question::Form::None if is_finished(sentence, tongue) => Ending::Finished,
        question::Form::None => Ending::Unknown,
    }
}

fn last_sentence(words: &[Word]) -> &[Word] {
    let body = &words[..words.len() - 1];
    let start = body.iter().rposition(|word| matches!(word.mark, Mark::Stop | Mark::Question));
    &words[start.map_or(0, |at| at + 1)..]
}

fn is_finished(sentence: &[Word], tongue: Tongue) -> bool {
    let Some(last) = sentence.last() else { return false };
    last.mark == Mark::Stop
        || is_answer(sentence, tongue)
        || ends_with(sentence, lists::CLOSERS)
        || tongue == Tongue::Mixed && is_in(lists::VERBS_HI, last)
}

/// All words belong to complete short answers or backchannels.
fn is_answer(sentence: &[Word], tongue: Tongue) -> bool {
    let known = |phrase: &str| {
        let english = contains(lists::ANSWERS, phrase) || contains(lists::BACKCHANNELS, phrase);
        let hindi = contains(lists::ANSWERS_HI, phrase) || contains(lists::BACKCHANNELS_HI, phrase);
        english || tongue == Tongue::Mixed && hindi || contains(lists::FILLERS, phrase)
    };
    let mut rest = sentence;
    while !rest.is_empty() {
        match phrase_length(rest, known) {
            0 => return false,
            length => rest = &rest[length..],
        }
    }
    true
}

pub(super) fn ends_with(words: &[Word], list: &[&str]) -> bool {
    (1..=words.len().min(4)).any(|length| contains(list, &super::join(&words[words.len() - length..])))
}

/// The text of the word `back` places before the last; empty before the start.
pub(super) fn back(words: &[Word], back: usize) -> &str {
    words.len().checked_sub(back + 1).map_or("", |at| &words[at].text)
}

/// Open unless one of these words stands before; "" is the start of the sentence.
#[rustfmt::skip]
const OPEN_UNLESS_AFTER: &[(&str, &[&str])] = &[
    ("a", &["plan", "vitamin", "option", "block", "section", "wing", "gate", "type", "terminal", "building", "unit", "grade", "an", "class", "hepatitis", "s"]),
    ("so", &["think", "thought", "hope", "guess", "believe", "suppose", "say", "said", "or", "even", "not", "do", "did", "why", "how", "quite", "is"]),
    ("to", &[]), ("with", &[]), ("from", &[]), ("for", &[]), ("at", &[]), ("about", &[]),
    ("by", &["stand", "come", "drop", "stop", "pass", "go", "close"]),
    ("of", &["know", "think", "heard", "aware", "sort", "kind", "thought", "care"]),
    ("in", &["check", "checking", "checked", "come", "coming", "came", "log", "logged", "logging", "sign", "signed", "get", "getting", "got", "let", "fill", "filled", "move", "moving", "moved", "type", "walk", "drop", "plug", "stay", "dial", "all", "book"]),
    ("on", &["go", "come", "later", "move", "turn", "turned", "going", "carry", "keep", "now", "so", "try", "log", "is", "it", "early", "that's"]),
    ("her", &["tell", "call", "ask", "with", "to", "for", "from", "about", "see", "know", "love", "like", "of", "than", "told", "asked", "called", "saw", "met", "help"]),
    ("his", &["is", "was", "it's", "not", "of"]),
    ("is", &["it", "he", "she", "there", "here", "everything"]), ("was", &["it", "he", "she", "there", "i"]),
    ("are", &["we", "you", "they", "there", "here", "these", "those"]), ("were", &["you", "they", "there"]), 
    ("who", &["", "know", "sure", "remember", "matter", "else", "says"]), ("which", &["", "know", "sure", "matter", "remember"]),
    ("where", &["", "know", "sure", "remember", "matter", "no", "else", "from", "to"]),
    ("when", &["", "know", "sure", "since", "until", "till", "remember", "from", "say", "said", "matter", "by"]),
    ("since", &["ever"]), ("while", &["a", "little", "long", "short", "quite"]),
    ("after", &["day", "week", "month", "year", "night", "morning", "soon", "right", "shortly", "ever", "look", "looked"]),
    ("like", &["you", "that", "not", "this", "they"]),
    ("such", &["as"]), ("other", &["each"]), ("hmm", &["mm", "m", "hm", "hmm", "uh", "um"]),
];

/// Open only if one of these words stands before.
#[rustfmt::skip]
const OPEN_AFTER: &[(&str, &[&str])] = &[
    ("that", &["think", "thought", "believe", "hope", "heard", "such", "noticed", "said", "say", "saying", "means", "mean", "is", "was", "so", "now", "given", "afraid", "and", "but"]),
    ("then", &["and", "so", "but", ""]), ("also", &["", "and", "but", "then"]),
    ("well", &["", "yeah", "okay", "ok", "and", "but", "oh", "so", "no", "yes", "um", "uh"]),
    ("actually", &["", "and", "but", "so", "well", "no", "yeah"]), ("maybe", &["or", "and", "but", "so", "well"]),
    ("really", &["i", "it's", "we", "i'm", "is", "was"]),
    ("some", &["need", "want", "have", "get", "book", "for", "with", "are", "there", "with"]),
    ("me", &["let"]), ("see", &["let me", "let's", "lemme"]), ("check", &["let me", "lemme"]), ("look", &["let me"]), ("think", &["let me"]), ("find", &["let me"]), ("get", &["let me"]),
    ("like", &["would", "i'd", "we'd"]), ("wait", &["", "wait", "oh", "no", "okay", "ok"]),

    ("gmail", &["at"]), ("yahoo", &["at"]), ("hotmail", &["at"]), ("outlook", &["at"]), ("point", &["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "zero"]),
    ("can", &["how", "what", "where", "when", "who", "and", "so"]), ("do", &["how", "what", "where", "when", "why", "and"]), ("does", &["how", "what", "where", "when", "why", "time", "it's"]), ("did", &["how", "what", "where", "when", "why"]),
    ("would", &["what", "how", "who", "when", "where", "which", "and"]), ("should", &["what", "how", "who", "when", "where", "which"]), ("could", &["how", "and"]), ("will", &["when", "what", "how", "who"]),
    ("we", &["", "and", "but", "so", "if", "when", "because", "that", "can", "could", "do", "should", "are", "will", "did", "have", "or"]),
    ("they", &["", "and", "but", "so", "if", "when", "because", "that", "can", "could", "do", "should", "did", "or"]),
    ("he", &["", "and", "but", "so", "if", "when", "because", "that", "or"]), ("she", &["", "and", "but", "so", "if", "when", "because", "that", "or"]),
    ("you", &["and", "but", "so", "if", "when", "because", "that"]), ("it", &["and", "but", "so", "if", "when", "because"]),
];

fn is_open(sentence: &[Word]) -> bool {
    let last = sentence.last().map_or("", |word| &word.text);
    let (prev, prev2) = (back(sentence, 1), back(sentence, 2));
    if answers_itself(sentence)
        || is_indirect(sentence)
        || contains(lists::OBJECT_PREPOSITIONS, last) && has_object_earlier(sentence)
    {
        return false;
    }
    if is_wait(sentence) || is_begun_wish(sentence) || is_discourse_filler(last, prev, prev2) {
        return true;
    }
    if contains(lists::OPEN, last) {
        // "Neither do I", "so am I".
        return !(last == "i" && matches!(prev2, "so" | "neither" | "nor"));
    }
    let pair = [prev2, prev].join(" ");
    let stands_after = |words: &[&str]| words.contains(&prev) || words.contains(&pair.as_str());
    let unless = OPEN_UNLESS_AFTER.iter().find(|(word, _)| *word == last);
    let only = OPEN_AFTER.iter().find(|(word, _)| *word == last);
    unless.is_some_and(|(_, words)| !stands_after(words))
        || only.is_some_and(|(_, words)| stands_after(words))
}

/// "Who am I speaking with", "that's what I'm calling about", and any preposition before a question mark.
fn has_object_earlier(sentence: &[Word]) -> bool {
    let last = &sentence[sentence.len() - 1];
    if last.mark == Mark::Question {
        return true;
    }
    let prev = back(sentence, 1);
    let before = &sentence[..sentence.len() - 1];
    let participle = prev.ends_with("ing") && !(last.text == "to" && matches!(prev, "going" | "trying"));
    let clause_over = contains(lists::STRANDERS, prev) || participle;
    let relative = before.iter().any(|word| is_in(lists::RELATIVES, word));
    // "What is the room like".
    let likeness = last.text == "like" && !matches!(prev, "would" | "i'd" | "we'd");
    let asked = before.iter().any(|word| matches!(word.text.as_str(), "what" | "what's" | "whats"));
    relative && clause_over && !matches!(prev, "go") || likeness && asked
}

/// "Tell me where the station is": the verb ends the clause of a question word.
fn is_indirect(sentence: &[Word]) -> bool {
    let asked = |pair: &[Word]| {
        let verb = pair[0].text.as_str();
        matches!(verb, "me" | "know" | "knows" | "sure" | "ask" | "asking" | "wondering" | "remember" | "see")
            && is_in(lists::WH, &pair[1])
    };
    matches!(back(sentence, 0), "is" | "are" | "was" | "were")
        && sentence[..sentence.len() - 1]
            .windows(2)
            .enumerate()
            .any(|(at, pair)| at + 3 < sentence.len() && asked(pair))
}

/// "Yes I am", "no it is": the verb of a short answer.
fn answers_itself(sentence: &[Word]) -> bool {
    let words: Vec<&str> = sentence.iter().map(|word| word.text.as_str()).collect();
    match words[..] {
        [yes, pronoun, verb] => {
            matches!(yes, "yes" | "yeah" | "yep" | "no" | "nope" | "oh" | "okay" | "sure")
                && contains(lists::PRONOUNS, pronoun)
                && contains(lists::AUXILIARIES, verb)
        }
        _ => false,
    }
}

/// The caller asks us to wait: more will come.
fn is_wait(sentence: &[Word]) -> bool {
    let (last, prev, prev2) = (back(sentence, 0), back(sentence, 1), back(sentence, 2));
    match last {
        "second" | "sec" | "moment" | "minute" => {
            matches!(prev, "one" | "a" | "just")
                && !matches!(prev2, "in" | "for" | "every")
                && sentence.len() <= 6
        }
        "on" => matches!(prev, "hold" | "hang"),
        _ => false,
    }
}

/// "I want", "I'd like", "please tell me": the object is missing, and no earlier word is it.
fn is_begun_wish(sentence: &[Word]) -> bool {
    let (last, prev) = (back(sentence, 0), back(sentence, 1));
    let object = sentence[..sentence.len() - 1]
        .iter()
        .any(|word| is_in(lists::RELATIVES, word) && !matches!(word.text.as_str(), "thing" | "things"));
    let speaker = matches!(prev, "i" | "we" | "just" | "also" | "really" | "only");
    let other = matches!((prev, last), ("he" | "she", "wants" | "needs") | ("they", "want" | "need"));
    let wish = matches!(last, "want" | "need" | "prefer")
        && (speaker || matches!(prev, "i'd" | "we'd" | "would"))
        || other
        || last == "have" && matches!(prev, "i" | "i'll" | "we")
        || last == "me" && matches!(prev, "tell" | "give" | "send" | "show" | "bring") && sentence.len() <= 4;
    let introduction =
        sentence.len() == 2 && prev == "my" && matches!(last, "name" | "number" | "address" | "email");
    wish && !object || introduction
}

fn is_discourse_filler(last: &str, prev: &str, prev2: &str) -> bool {
    match (prev, last) {
        ("you", "know") => !matches!(
            prev2,
            "do" | "did"
                | "if"
                | "how"
                | "as"
                | "let"
                | "when"
                | "should"
                | "don't"
                | "would"
                | "what"
                | "that"
        ),
        ("i", "mean") => !matches!(prev2, "what" | "know"),
        _ => false,
    }
}

fn is_open_hindi(sentence: &[Word]) -> bool {
    let Some((last, before)) = sentence.split_last() else { return false };
    let (prev, prev2) = (back(sentence, 1), back(sentence, 2));
    // "कहाँ पर", "कितने का", "क्या मतलब" ask with what stands before them.
    if contains(lists::INTERROGATIVES_HI, prev) && before.len() <= 6 && !is_in(lists::OPEN_PRONOUNS_HI, last)
    {
        return false;
    }
    let speaker = before.iter().any(|word| is_in(lists::SPEAKER_HI, word));
    if lacks_verb_hindi(sentence) {
        return true;
    }
    match last.text.as_str() {
        "तो" | "toh" if matches!(prev, "नहीं" | "nahi" | "nahin") => false,
        "है" | "hai" => {
            let asked = before.iter().any(|word| is_in(lists::INTERROGATIVES_HI, word));
            let address = is_possessive_hindi(prev2) && matches!(prev, "पता" | "pata");
            !asked && (contains(lists::COPULA_PENDING_HI, prev) || address)
        }
        // "मैंने बुकिंग की": the verb, not the genitive.
        "की" | "ki" => !before.iter().any(|word| word.text.ends_with("ने") || word.text.ends_with("ne")),
        "आप" | "aap" | "हम" | "ये" | "यह" | "वो" => {
            matches!(prev, "क्या" | "kya" | "अगर" | "और" | "लेकिन" | "कि")
        }
        text if contains(lists::OPEN_HI, text) => true,
        text if contains(lists::COPULA_PENDING_HI, text) => is_possessive_hindi(prev),
        text => contains(lists::OBLIQUE_HI, text) && speaker,
    }
}

fn is_possessive_hindi(word: &str) -> bool {
    matches!(word, "मेरा" | "मेरी" | "हमारा" | "हमारी" | "mera" | "meri" | "hamara" | "hamari")
}

/// "मुझे एक कमरा": what happens to the speaker is still to come. Imperatives and futures count as verbs by their endings.
fn lacks_verb_hindi(sentence: &[Word]) -> bool {
    let begun =
        sentence.iter().find(|word| !is_in(lists::LEADS, word) && !is_in(lists::BACKCHANNELS_HI, word));
    let speaker = begun.is_some_and(|word| {
        matches!(
            word.text.as_str(),
            "मुझे" | "मुझको"
                | "हमें"
                | "हमको"
                | "mujhe"
                | "mujhko"
                | "hume"
                | "humein"
                | "humko"
        )
    });
    let Some(last) = sentence.last().filter(|last| speaker && last.mark == Mark::None) else { return false };
    const ENDINGS: &[&str] = &[
        "ो",
        "ओ",
        "िए",
        "इए",
        "िये",
        "इये",
        "ा",
        "ी",
        "े",
        "ई",
        "या",
        "मालूम",
        "iye",
        "o",
        "a",
        "e",
        "i",
        "maloom",
    ];
    !is_in(lists::VERBS_HI, last) && !ENDINGS.iter().any(|ending| last.text.ends_with(ending))
}
