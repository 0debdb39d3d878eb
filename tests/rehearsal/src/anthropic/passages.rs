//! The sentences of found passages that answer a question.

use std::collections::HashMap;

use serde_json::Value;

use crate::words;

struct Sentence {
    text: String,
    stems: Vec<String>,
    /// Of its passage, heading included.
    around: Vec<String>,
}

/// The text of a `tool_result`: a string, text blocks, or JSON of some shape with texts in it.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(json @ (Value::Array(_) | Value::Object(_))) => text_of(&json),
            _ => text.clone(),
        },
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join("\n\n"),
        Value::Object(fields) => match fields.get("text") {
            Some(text) => text_of(text),
            None => fields.values().filter(|v| !v.is_number()).map(text_of).collect::<Vec<_>>().join("\n\n"),
        },
        _ => String::new(),
    }
}

/// The up to `limit` sentences of `found` that share most with the question, in their own order; empty when none
/// shares a word that matters. A second sentence is taken only if it is nearly as good, unless `all` are wanted.
pub(super) fn best(question: &str, found: &str, limit: usize, all: bool) -> Vec<String> {
    let asked = content_stems(question);
    let sentences = sentences(found);
    let mut frequency: HashMap<&str, f32> = HashMap::new();
    for sentence in &sentences {
        for stem in &sentence.stems {
            *frequency.entry(stem).or_default() += 1.0;
        }
    }
    let rarity =
        |stem: &str| (1.0 + sentences.len() as f32 / frequency.get(stem).copied().unwrap_or(1.0)).ln();
    let score = |sentence: &Sentence| -> f32 {
        let weigh = |stems: &[String]| {
            asked.iter().filter(|stem| stems.contains(stem)).map(|s| rarity(s)).sum::<f32>()
        };
        weigh(&sentence.stems) + 0.3 * weigh(&sentence.around)
    };
    let mut scored: Vec<(usize, f32)> =
        sentences.iter().map(score).enumerate().filter(|(_, s)| *s > 0.0).collect();
    // Stable: of equals the first comes first, as retrieval ranked them.
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = scored.first().map_or(0.0, |(_, score)| *score);
    scored.retain(|(_, score)| all || *score >= 0.75 * top);
    scored.truncate(limit);
    scored.sort_by_key(|(index, _)| *index);
    scored.into_iter().map(|(index, _)| sentences[index].text.clone()).collect()
}

/// The stems of the words that say what a text is about.
fn content_stems(text: &str) -> Vec<String> {
    let words = words::words(text);
    let mut stems: Vec<String> = words
        .iter()
        .filter(|word| !words::is_stop_word(word))
        .map(|word| words::stem(word).to_owned())
        .collect();
    stems.sort();
    stems.dedup();
    stems
}

fn sentences(found: &str) -> Vec<Sentence> {
    let mut sentences: Vec<Sentence> = Vec::new();
    for passage in found.split("\n\n") {
        let around = content_stems(passage);
        for line in passage.lines().map(clean) {
            for text in split(&line) {
                // A line that is no sentence is a heading: it says what the passage is about, and is not spoken.
                let spoken = text.ends_with(['.', '!', '?', '।']) || text.split_whitespace().count() > 6;
                if spoken && !sentences.iter().any(|earlier| earlier.text == text) {
                    let stems = content_stems(&text);
                    sentences.push(Sentence { text, stems, around: around.clone() });
                }
            }
        }
    }
    sentences
}

/// Without the marks of Markdown and of numbered lists.
fn clean(line: &str) -> String {
    let line = line.trim().trim_start_matches(['#', '-', '*', '>', ' ']);
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((number, rest)) if number.chars().all(|c| c.is_ascii_digit()) => rest.trim_start(),
        _ => line,
    };
    line.replace("**", "").replace('`', "")
}

fn split(line: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        if c.is_whitespace() && matches!(before, '.' | '!' | '?' | '।') {
            sentences.push(String::new());
        } else if let Some(sentence) = sentences.last_mut() {
            sentence.push(c);
        }
        before = c;
    }
    sentences
        .iter()
        .map(|sentence| sentence.trim().to_owned())
        .filter(|sentence| !sentence.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: &str = "[1] Opening hours\nWe are open from nine to six on weekdays. On Sundays the shop is closed.\n\n\
                         ## Delivery\nDelivery takes three to five days. It costs four euros.";

    #[test]
    fn the_sentence_with_the_questions_words_is_chosen() {
        assert_eq!(
            best("When are you open on weekdays?", FOUND, 2, false),
            ["We are open from nine to six on weekdays."]
        );
        assert_eq!(
            best("How long does a delivery take?", FOUND, 1, false),
            ["Delivery takes three to five days."]
        );
        assert!(best("Do you sell bicycles?", FOUND, 2, false).is_empty());
    }

    #[test]
    fn a_heading_helps_the_sentences_under_it() {
        let both = best("What does delivery cost?", FOUND, 2, false);
        assert_eq!(both.last().map(String::as_str), Some("It costs four euros."));
    }

    #[test]
    fn results_of_any_shape_are_read() {
        let json = serde_json::json!([{"type": "text", "text": "[{\"title\":\"T\",\"text\":\"One. Two.\",\"score\":1}]"}]);
        assert_eq!(text_of(&json), "One. Two.");
        assert_eq!(text_of(&Value::String("plain".to_owned())), "plain");
    }
}
