//! An agent's languages as a call needs them.

use proto::tenancy::v1::{Agent, Language};

/// The agent's languages, in its order and with nothing left out; the first is the one a call begins in.
pub fn languages(agent: &Agent) -> Vec<Language> {
    let own = Language {
        language: agent.language.clone(),
        voice: agent.voice.clone(),
        listening: agent.listening.clone(),
        apology: agent.apology.clone(),
        phrases: agent.phrases.clone(),
    };
    if agent.languages.is_empty() {
        return vec![own];
    }
    let mut languages = agent.languages.clone();
    for (at, language) in languages.iter_mut().enumerate() {
        language.voice = language.voice.take().or_else(|| own.voice.clone());
        language.listening = language.listening.take().or_else(|| own.listening.clone());
        if at == 0 {
            language.phrases = language.phrases.take().or_else(|| own.phrases.clone());
            if language.apology.is_empty() {
                language.apology.clone_from(&own.apology);
            }
        }
    }
    languages
}
