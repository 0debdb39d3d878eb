//! Questions without a question mark: by their first words in English, by a question word anywhere in Hindi.

use super::{Mark, Tongue, Word, contains, ending, is_in, join, lists};

/// What a sentence is as a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    None,
    /// A question that lacks its verb, its subject or its object.
    Open,
    Finished,
}

/// `sentence` has no open end.
pub(super) fn of(sentence: &[Word], tongue: Tongue) -> Form {
    if sentence.last().is_some_and(|last| last.mark == Mark::Question)
        || ending::ends_with(sentence, lists::TAGS)
    {
        return Form::Finished;
    }
    if tongue == Tongue::Mixed && asks_in_hindi(sentence) {
        return Form::Finished;
    }
    let start = skip_leads(sentence);
    match form(&sentence[start..]) {
        Form::None => (start + 1..sentence.len().saturating_sub(1))
            .filter(|at| contains(lists::MID_QUESTIONS, &join(&sentence[*at..at + 2])))
            .filter(|at| !contains(lists::EMBEDDING, &sentence[at - 1].text))
            .map(|at| form(&sentence[at..]))
            .find(|form| *form != Form::None)
            .unwrap_or(Form::None),
        form => form,
    }
}

fn asks_in_hindi(sentence: &[Word]) -> bool {
    let unsure = sentence.windows(2).any(|pair| contains(lists::UNSURE_HI, &join(pair)));
    !unsure && sentence.iter().any(|word| is_in(lists::INTERROGATIVES_HI, word))
}

fn skip_leads(sentence: &[Word]) -> usize {
    let mut at = 0;
    while at < sentence.len() {
        if at + 2 <= sentence.len() && contains(lists::LEAD_PAIRS, &join(&sentence[at..at + 2])) {
            at += 2;
        } else if is_in(lists::LEADS, &sentence[at]) {
            at += 1;
        } else {
            break;
        }
    }
    at
}

fn form(question: &[Word]) -> Form {
    let first = question.first().map_or("", |word| &word.text);
    if contains(lists::WH, first) {
        with_question_word(question)
    } else if contains(lists::AUXILIARIES, first) {
        with_auxiliary(question)
    } else {
        Form::None
    }
}

fn with_question_word(question: &[Word]) -> Form {
    let first = question[0].text.as_str();
    let Some(second) = question.get(1).map(|word| word.text.as_str()) else { return Form::Finished };
    let clause = matches!(second, "i" | "you" | "we" | "they" | "he" | "she" | "it");
    let determined = matches!(second, "the" | "my" | "our" | "your");
    let exclaimed = first == "what" && matches!(second, "a" | "an") || first == "which" && second == "means";
    if clause || exclaimed || determined && matches!(first, "when" | "where" | "how" | "what") {
        return Form::None;
    }
    // Alone and without a mark, "how much" is more often the beginning of a question than all of it.
    if question.len() == 2 && first == "how" && matches!(second, "much" | "many" | "long" | "far" | "often") {
        return Form::Open;
    }
    let (last, prev) = (ending::back(question, 0), ending::back(question, 1));
    let embedded = question[1..].iter().any(|word| is_in(lists::WH, word));
    // "What is", "what time does" lack the subject; "how do you", "what time do you" the verb.
    let lacks_subject = contains(lists::AUXILIARIES, last) && !contains(lists::PRONOUNS, prev) && !embedded;
    let being = matches!(prev, "is" | "are" | "was" | "were" | "am" | "could" | "dare");
    let lacks_verb = contains(lists::PRONOUNS, last) && contains(lists::AUXILIARIES, prev) && !being;
    if lacks_subject || lacks_verb || lacks_object(question) { Form::Open } else { Form::Finished }
}

fn with_auxiliary(question: &[Word]) -> Form {
    let first = question[0].text.as_str();
    let Some(second) = question.get(1).map(|word| word.text.as_str()) else { return Form::None };
    let subject = match first {
        "have" | "had" | "may" | "might" | "do" | "don't" | "will" => {
            contains(lists::PRONOUNS, second) || contains(lists::SUBJECTS, second) && first != "have"
        }
        first if contains(lists::LOOSE_AUXILIARIES, first) => !contains(lists::NOT_SUBJECTS, second),
        _ => contains(lists::SUBJECTS, second),
    };
    if !subject {
        return Form::None;
    }
    let pleading = ending::back(question, 0) == "please" && question.len() == 3;
    if question.len() == 2 || pleading || lacks_object(question) { Form::Open } else { Form::Finished }
}

/// "Do you have", "can you tell me": the object must follow, unless the question asks for it.
fn lacks_object(question: &[Word]) -> bool {
    let (last, prev) = (ending::back(question, 0), ending::back(question, 1));
    let given = last == "me" && matches!(prev, "tell" | "give" | "send" | "show" | "bring" | "get" | "book");
    let transitive = contains(lists::TRANSITIVE, last) && last != "please" || given;
    transitive && !question.iter().any(|word| is_in(lists::OBJECT_QUESTIONS, word))
}
