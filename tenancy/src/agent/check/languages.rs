//! CORE: the languages of an agent that changes them.

use proto::tenancy::v1 as wire;

use super::{Check, LINE_MAX_BYTES};
use crate::agent::{
    Language, Voice,
    languages::{Lines, Listening},
};

const LANGUAGES_MAX: usize = 5;

impl Check {
    /// The languages of an agent with this language, voice and listening of its own.
    pub(super) fn languages(
        &mut self,
        given: Vec<wire::Language>,
        own: &str,
        voice: &Voice,
        listening: &Listening,
    ) -> Vec<Language> {
        if given.len() > LANGUAGES_MAX {
            self.refuse("languages", format!("must be at most {LANGUAGES_MAX}"));
        }
        let mut languages: Vec<Language> = Vec::new();
        for (number, language) in given.into_iter().take(LANGUAGES_MAX).enumerate() {
            let at = format!("languages[{number}]");
            if languages.iter().any(|known| primary(&known.language) == primary(&language.language)) {
                self.refuse(&format!("{at}.language"), "must not be named twice, whatever its region");
            }
            if number == 0 && language.language != own {
                self.refuse(&format!("{at}.language"), format!("must be the agent's language, {own}"));
            }
            languages.push(self.one(&at, language, number == 0, voice, listening));
        }
        languages
    }

    fn one(
        &mut self,
        at: &str,
        given: wire::Language,
        is_first: bool,
        voice: &Voice,
        listening: &Listening,
    ) -> Language {
        let own_voice = given.voice.map(|own| {
            // Another vendor's voices and models are others.
            let is_same = own.vendor.is_empty() || own.vendor == voice.vendor;
            let default = if is_same { voice.clone() } else { Voice::default() };
            self.voice(&format!("{at}.voice"), own, default)
        });
        let own_listening = given.listening.map(|own| self.listening(&format!("{at}.listening"), own));
        let speaks = &own_voice.as_ref().unwrap_or(voice).vendor;
        let listens = &own_listening.as_ref().unwrap_or(listening).vendor;
        self.language(&format!("{at}.language"), &given.language, [speaks, listens]);
        let (voice_at, listening_at) = (format!("{at}.voice"), format!("{at}.listening"));
        let (voice_at, speaks) = own_voice.as_ref().map_or(("voice", voice), |own| (voice_at.as_str(), own));
        let (listening_at, listens) =
            own_listening.as_ref().map_or(("listening", listening), |own| (listening_at.as_str(), own));
        self.fallbacks((voice_at, speaks), (listening_at, listens), &given.language);
        let required = usize::from(!is_first);
        self.text(&format!("{at}.apology"), &given.apology, required, LINE_MAX_BYTES);
        if !is_first && given.phrases.is_none() {
            self.refuse(&format!("{at}.phrases"), "must be set: the agent's own are in another language");
        }
        Language {
            language: given.language,
            voice: own_voice,
            listening: own_listening,
            apology: given.apology,
            phrases: given.phrases.map(|phrases| self.lines_of(&format!("{at}.phrases"), phrases)),
        }
    }

    fn lines_of(&mut self, at: &str, phrases: wire::Phrases) -> Lines {
        self.texts(at, &phrases);
        for (name, is_set) in [
            ("filler_delays", !phrases.filler_delays.is_empty()),
            ("duration_warning_before", phrases.duration_warning_before.is_some()),
            ("uninterruptible", !phrases.uninterruptible.is_empty()),
        ] {
            if is_set {
                self.refuse(&format!("{at}.{name}"), format!("must be left out: it is agent.phrases.{name}"));
            }
        }
        Lines {
            fillers: phrases.fillers,
            idle_prompts: phrases.idle_prompts,
            idle_goodbye: phrases.idle_goodbye,
            reprompt: phrases.reprompt,
            duration_warning: phrases.duration_warning,
            duration_goodbye: phrases.duration_goodbye,
        }
    }
}

/// `hi` of `hi-IN`.
fn primary(language: &str) -> &str {
    language.split('-').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agent::read, seed};

    fn hindi() -> wire::Language {
        wire::Language {
            language: "hi-IN".into(),
            voice: Some(wire::Voice {
                vendor: "sarvam".into(),
                voice_id: "priya".into(),
                model: "bulbul:v3".into(),
                fallback: None,
            }),
            apology: "क्षमा कीजिए।".into(),
            phrases: Some(wire::Phrases {
                fillers: vec!["एक क्षण।".into()], ..wire::Phrases::default()
            }),
            ..wire::Language::default()
        }
    }

    fn agent(languages: Vec<wire::Language>) -> wire::Agent {
        wire::Agent { languages, ..seed::front_desk().into_wire() }
    }

    fn first() -> wire::Language {
        wire::Language { language: "en".into(), ..wire::Language::default() }
    }

    #[test]
    fn what_is_stored_can_be_read_back() {
        let mut given = agent(vec![first(), hindi()]);
        given.tools.push("switch_language".into());
        let document = read(given).unwrap();
        assert_eq!(document.languages.len(), 2);
        assert_eq!(read(document.clone().into_wire()), Ok(document));
    }

    #[test]
    fn every_bad_field_is_told_with_its_path() {
        let mut tamil = hindi();
        tamil.language = "ta".into();
        tamil.listening = Some(wire::Listening { vendor: "acme".into(), ..wire::Listening::default() });
        tamil.phrases.as_mut().unwrap().uninterruptible = vec![wire::Line::Greeting.into()];
        let bare = wire::Language { language: "en-IN".into(), ..wire::Language::default() };
        let deaf = wire::Language { language: "ta".into(), listening: None, ..hindi() };
        let wrong = read(agent(vec![hindi(), tamil, bare, deaf])).unwrap_err();
        let mut fields: Vec<_> = wrong.iter().map(|(field, _)| field.as_str()).collect();
        fields.sort_unstable();
        let expected = [
            "agent.languages[0].language",
            "agent.languages[1].language",
            "agent.languages[1].listening.vendor",
            "agent.languages[1].phrases.uninterruptible",
            "agent.languages[2].apology",
            "agent.languages[2].phrases",
            "agent.languages[3].language",
        ];
        assert_eq!(fields, expected, "{wrong:#?}");
    }

    #[test]
    fn there_is_nothing_to_switch_in_one_language() {
        let mut given = agent(vec![first()]);
        given.tools = vec!["switch_language".into()];
        let wrong = read(given).unwrap_err();
        assert_eq!(wrong, [("agent.tools[0]".into(), "needs two or more in languages".into())]);
    }
}
