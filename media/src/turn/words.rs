//! CORE: what words say about the floor: whether they end a turn, only show that one listens, or are our own.
//!
//! Transcripts come with and without punctuation and capitals, in Latin and in Devanagari script; all rules work on
//! words folded to one spelling. Languages are BCP 47 tags: `en` outside India means the English lists, everything
//! else means English and Hindi together, since Indian callers mix them within a sentence.

mod ending;
mod lists;
mod numbers;
mod question;
mod spelling;

use std::borrow::Cow;

/// What the words so far say about the end of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A finished question: its asker waits.
    Question,
    /// A finished sentence or a known complete answer.
    Finished,
    /// More must follow: a trailing "and", a number too short, a name half spelled.
    Open,
    /// The words say nothing about it.
    Unknown,
}

/// What the end of `text`, the caller's turn so far, says. An open end beats punctuation: vendors put a full stop
/// after anything.
pub fn ending(text: &str, language: &str) -> Ending {
    ending::of(&words_of(text), Tongue::of(language))
}

/// True when `text` only shows that its speaker listens ("mm-hm", "okay, right", "अच्छा जी"): all of its words are
/// backchannels, with any voiced filler between them. Words that take the floor ("no", "stop", "wait", "sorry",
/// "hello") and requests to say it again ("huh?") are none. Empty text is none.
///
/// `extra` holds an agent's own backchannels; a phrase of up to four words counts as a whole.
pub fn is_backchannel(text: &str, language: &str, extra: &[String]) -> bool {
    let words = words_of(text);
    let repair = words.last().is_some_and(|last| last.mark == Mark::Question && is_in(lists::REPAIRS, last));
    let kinds = kinds(&words, Tongue::of(language), extra);
    !repair && kinds.contains(&Kind::Backchannel) && !kinds.contains(&Kind::Content)
}

/// True when more words can still make `text` a backchannel: it is the beginning of one, such as the "got" of "got it".
pub fn begins_backchannel(text: &str, language: &str, extra: &[String]) -> bool {
    let words = words_of(text);
    let kinds = kinds(&words, Tongue::of(language), extra);
    let Some(from) = kinds.iter().position(|kind| *kind == Kind::Content) else { return false };
    let begun = format!("{} ", join(&words[from..]));
    let begins = |phrase: &&str| phrase.starts_with(&begun);
    lists::BACKCHANNELS.iter().any(begins)
        || Tongue::of(language) == Tongue::Mixed && lists::BACKCHANNELS_HI.iter().any(begins)
        || extra.iter().any(|phrase| begins(&join(&words_of(phrase)).as_str()))
}

/// True when a word of `text` asks for the floor, however softly it is said, or when it is a question.
pub fn asks_for_floor(text: &str, language: &str) -> bool {
    let words = words_of(text);
    let hindi = Tongue::of(language) == Tongue::Mixed;
    let asks = |word: &Word| is_in(lists::FLOOR, word) || hindi && is_in(lists::FLOOR_HI, word);
    words.iter().any(|word| word.mark == Mark::Question || asks(word))
}

/// How many words of `text` are neither part of a backchannel nor a voiced filler ("um").
pub fn content_words(text: &str, language: &str, extra: &[String]) -> usize {
    let kinds = kinds(&words_of(text), Tongue::of(language), extra);
    kinds.into_iter().filter(|kind| *kind == Kind::Content).count()
}

/// Fewer words than these may be the caller repeating a choice that we offered, so they are never called an echo.
const ECHO_WORDS_MIN: usize = 3;

/// True when `text` is a run of what we have said lately, `spoken`: it can be found there with at most one word in
/// four wrong, missing or too many.
pub fn is_echo_of(text: &str, spoken: &str) -> bool {
    let heard = words_of(text);
    heard.len() >= ECHO_WORDS_MIN && distance_within(&heard, &words_of(spoken)) * 4 <= heard.len()
}

/// True when all words of `text` stand side by side in `spoken`.
pub fn are_among(text: &str, spoken: &str) -> bool {
    let heard = words_of(text);
    !heard.is_empty() && distance_within(&heard, &words_of(spoken)) == 0
}

/// True when at least half of the words of `before` stand in `after`: it is the same, heard further or better.
pub fn say_alike(after: &str, before: &str) -> bool {
    let before = words_of(before);
    distance_within(&before, &words_of(after)) * 2 <= before.len()
}

/// The smallest number of edits that turns `heard` into some run of words of `spoken`.
fn distance_within(heard: &[Word], spoken: &[Word]) -> usize {
    // Column by column over `spoken`; a match may start and end anywhere in it.
    let mut column: Vec<usize> = (0..=heard.len()).collect();
    let mut best = heard.len();
    for said in spoken {
        let mut diagonal = 0;
        for (row, word) in heard.iter().enumerate() {
            let same = numbers::canonical(&word.text) == numbers::canonical(&said.text);
            let cost = (diagonal + usize::from(!same)).min(column[row] + 1).min(column[row + 1] + 1);
            diagonal = column[row + 1];
            column[row + 1] = cost;
        }
        best = best.min(column[heard.len()]);
    }
    best
}

/// Which lists hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tongue {
    English,
    /// English and Hindi; numbers are India's.
    Mixed,
}

impl Tongue {
    fn of(language: &str) -> Self {
        let tag = language.to_ascii_lowercase();
        let mut subtags = tag.split(['-', '_']);
        let english = subtags.next() == Some("en");
        if english && !subtags.any(|subtag| subtag == "in") { Self::English } else { Self::Mixed }
    }
}

/// What stands behind a word, folded to what matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    /// A full stop, an exclamation mark or a danda.
    Stop,
    Question,
    /// A comma, a dash, an ellipsis: the speaker goes on.
    Pause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    mark: Mark,
}

impl Word {
    fn new(text: String) -> Self {
        Self { text, mark: Mark::None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Backchannel,
    Filler,
    Content,
}

/// The longest phrase in the lists, in words.
const PHRASE_WORDS_MAX: usize = 4;

fn kinds(words: &[Word], tongue: Tongue, extra: &[String]) -> Vec<Kind> {
    let extra: Vec<String> = extra.iter().map(|phrase| join(&words_of(phrase))).collect();
    let mut kinds = Vec::with_capacity(words.len());
    while kinds.len() < words.len() {
        let rest = &words[kinds.len()..];
        let length = phrase_length(rest, |phrase| {
            contains(lists::BACKCHANNELS, phrase)
                || tongue == Tongue::Mixed && contains(lists::BACKCHANNELS_HI, phrase)
                || extra.iter().any(|own| own == phrase)
        });
        match length {
            0 if is_in(lists::FILLERS, &rest[0]) => kinds.push(Kind::Filler),
            0 => kinds.push(Kind::Content),
            length => kinds.extend(std::iter::repeat_n(Kind::Backchannel, length)),
        }
    }
    kinds
}

/// How many words the longest phrase has that starts `words` and satisfies `known`; 0 without one.
fn phrase_length(words: &[Word], known: impl Fn(&str) -> bool) -> usize {
    let longest = words.len().min(PHRASE_WORDS_MAX);
    (1..=longest).rev().find(|length| known(&join(&words[..*length]))).unwrap_or(0)
}

fn join(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// `list` is sorted; a test holds it to that.
fn contains(list: &[&str], text: &str) -> bool {
    list.binary_search(&text).is_ok()
}

fn is_in(list: &[&str], word: &Word) -> bool {
    contains(list, &word.text)
}

/// The words of `text`, folded, each with the mark behind it.
fn words_of(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for raw in text.split_whitespace() {
        let core = raw.trim_end_matches(|c| !is_letter(c));
        let separators: &[char] = if is_dotted(core) { &['.'] } else { &['-', '/', '–', '—', '_'] };
        words.extend(core.split(separators).map(fold).filter(|text| !text.is_empty()).map(Word::new));
        let mark = mark_of(&raw[core.len()..]);
        // A mark that stands alone belongs to the word before it.
        if let Some(last) = words.last_mut()
            && mark != Mark::None
        {
            last.mark = mark;
        }
    }
    words
}

/// "S.M.I" and "p.m": letters with dots between them.
fn is_dotted(core: &str) -> bool {
    core.contains('.')
        && core.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic))
}

fn mark_of(tail: &str) -> Mark {
    if tail.contains(['?', '？', '؟']) {
        Mark::Question
    } else if tail.contains([',', ';', ':', '…', '-', '–', '—', '،']) || tail.contains("..") {
        Mark::Pause
    } else if tail.contains(['.', '!', '।', '॥', '！']) {
        Mark::Stop
    } else {
        Mark::None
    }
}

/// True for what can be part of a word. Vowel signs of Indian scripts are no letters to the Unicode tables of the
/// standard library, so outside of ASCII all but the known punctuation counts.
fn is_letter(c: char) -> bool {
    const PUNCTUATION: &str = "…‘’“”–—।॥¿¡،؟？！«»•";
    c.is_ascii_alphanumeric() || !c.is_ascii() && !c.is_whitespace() && !PUNCTUATION.contains(c)
}

/// One spelling for a word: lower case, no punctuation but an apostrophe inside and the marks inside a number, drawn
/// out letters shortened ("okayyy"), Devanagari without nukta and with one nasal sign.
fn fold(raw: &str) -> String {
    let straight: Cow<str> = if raw.contains('’') { raw.replace('’', "'").into() } else { raw.into() };
    let number = straight.contains(|c: char| c.is_ascii_digit());
    let mut folded = String::with_capacity(straight.len());
    for c in straight.trim_matches('\'').chars().flat_map(char::to_lowercase) {
        let c = match c {
            'ँ' => 'ं',
            '\u{93c}' | '\u{200c}' | '\u{200d}' => continue,
            '\u{958}' => 'क',
            '\u{959}' => 'ख',
            '\u{95a}' => 'ग',
            '\u{95b}' => 'ज',
            '\u{95c}' => 'ड',
            '\u{95d}' => 'ढ',
            '\u{95e}' => 'फ',
            '\u{95f}' => 'य',
            c if is_letter(c) || c == '\'' || number && matches!(c, ':' | '.' | '$' | '%') => c,
            _ => continue,
        };
        folded.push(c);
    }
    if number { folded } else { shorten(&folded) }
}

/// Runs of three and more of a letter become one.
fn shorten(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    let runs = letters.chunk_by(|a, b| a == b);
    runs.flat_map(|run| if run.len() > 2 { &run[..1] } else { run }).collect()
}

#[cfg(test)]
mod tests;
