//! CORE: reads an agent's document from a request. It is checked whole: every bad field is told, by its path and with what
//! is allowed. What is left out is as in the agent that a laptop starts with.

mod languages;

use std::ops::RangeInclusive;

use prost_types::Duration;
use proto::tenancy::v1 as wire;

use super::{
    Document, Line, Model, Phrases, Transfer, Turn, Voice, VoiceFallback,
    languages::{Listening, ListeningFallback},
};
use crate::{ids::Number, seed, wire::Wrong};

const VOICE_VENDORS: &[&str] = &["cartesia", "sarvam"];
const LISTENING_VENDORS: &[&str] = &["deepgram", "sarvam"];
const SWITCH_LANGUAGE: &str = "switch_language";
/// Useless without somebody to transfer to.
const TRANSFER: &str = "transfer_call";
const TOOLS: &[&str] = &["end_call", "search_knowledge", "send_digits", SWITCH_LANGUAGE, TRANSFER];
/// What Deepgram and Cartesia both know; a region may follow, `en-IN`.
const LANGUAGES: &[&str] = &["de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"];
/// What Sarvam both hears and speaks.
const SARVAM_LANGUAGES: &[&str] = &["bn", "en", "gu", "hi", "kn", "ml", "mr", "or", "pa", "ta", "te"];
const KEYS: &[&str] = &["", "#", "*", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const PROMPT_MAX_BYTES: usize = 32 * 1024;
const GREETING_MAX_BYTES: usize = 2000;
const LINE_MAX_BYTES: usize = 500;
const NAME_MAX_BYTES: usize = 200;
const BACKCHANNEL_MAX_BYTES: usize = 40;
const BACKCHANNELS_MAX: usize = 100;
const FILLERS_MAX: usize = 2;
const IDLE_PROMPTS_MAX: usize = 2;
const TRANSFERS_MAX: usize = 20;
const TRANSFER_NAME_MAX_BYTES: usize = 60;

/// Every duration of a document and what it may be, in milliseconds.
const DURATIONS_MS: &[(&str, RangeInclusive<u64>)] = &[
    ("turn.endpointing_delay_min", 50..=2000),
    ("turn.endpointing_delay_max", 300..=10_000),
    ("turn.endpointing_delay_question", 50..=3000),
    ("turn.endpointing_delay_open", 100..=10_000),
    ("turn.barge_in_duration_min", 60..=2000),
    ("turn.false_barge_in_timeout", 200..=5000),
    ("turn.idle_timeout", 2000..=120_000),
    ("turn.dtmf_timeout", 500..=20_000),
    ("turn.reprompt_delay", 300..=10_000),
    ("turn.goodbye_timeout", 500..=30_000),
    ("phrases.filler_delays", 200..=20_000),
    ("phrases.duration_warning_before", 5000..=600_000),
    ("call_duration_max", 10_000..=14_400_000),
];

/// Every number of a document and what it may be.
const NUMBERS: &[(&str, RangeInclusive<i32>)] =
    &[("turn.barge_in_words_min", 1..=10), ("model.max_tokens", 1..=4096)];

/// The document that a request states.
///
/// # Errors
/// Every bad field, by its path behind `agent.`.
pub fn read(agent: wire::Agent) -> Result<Document, Wrong> {
    let mut check = Check::default();
    let document = check.document(agent);
    if check.wrong.is_empty() { Ok(document) } else { Err(check.wrong) }
}

#[derive(Default)]
struct Check {
    wrong: Wrong,
}

impl Check {
    fn document(&mut self, agent: wire::Agent) -> Document {
        let default = seed::front_desk();
        self.text("display_name", &agent.display_name, 0, NAME_MAX_BYTES);
        self.text("prompt", agent.prompt.trim(), 1, PROMPT_MAX_BYTES);
        self.text("greeting", &agent.greeting, 0, GREETING_MAX_BYTES);
        let apology = or(agent.apology, default.apology);
        self.text("apology", &apology, 1, LINE_MAX_BYTES);
        let language = or(agent.language, default.language);
        for (at, tool) in agent.tools.iter().enumerate() {
            self.one_of(&format!("tools[{at}]"), tool, TOOLS);
            if agent.tools[..at].contains(tool) {
                self.refuse(&format!("tools[{at}]"), "must not be named twice");
            }
        }
        let transfers = self.transfers(agent.transfers);
        if transfers.is_empty() && agent.tools.iter().any(|tool| tool == TRANSFER) {
            self.refuse("transfers", "must name somebody where transfer_call is among the tools");
        }
        let listening = self.listening("listening", agent.listening.unwrap_or_default());
        let voice = self.voice("voice", agent.voice.unwrap_or_default(), default.voice);
        self.language("language", &language, [&voice.vendor, &listening.vendor]);
        self.fallbacks(("voice", &voice), ("listening", &listening), &language);
        let languages = self.languages(agent.languages, &language, &voice, &listening);
        if let Some(at) =
            agent.tools.iter().position(|tool| tool == SWITCH_LANGUAGE).filter(|_| languages.len() < 2)
        {
            self.refuse(&format!("tools[{at}]"), "needs two or more in languages");
        }
        Document {
            display_name: agent.display_name,
            prompt: agent.prompt.trim().to_owned(),
            greeting: agent.greeting,
            language,
            voice,
            model: self.model(agent.model.unwrap_or_default(), default.model),
            turn: match agent.turn {
                Some(turn) => self.turn(turn),
                None => default.turn,
            },
            tools: agent.tools,
            apology,
            phrases: match agent.phrases {
                Some(phrases) => self.phrases(phrases),
                None => default.phrases,
            },
            listening_vendor: listening.vendor,
            listening_model: listening.model,
            listening_fallback: listening.fallback,
            call_duration_s_max: self
                .duration("call_duration_max", agent.call_duration_max)
                .map(|ms| ms / 1000),
            transfers,
            languages,
        }
    }

    fn transfers(&mut self, given: Vec<wire::TransferTarget>) -> Vec<Transfer> {
        if given.len() > TRANSFERS_MAX {
            self.refuse("transfers", format!("must be at most {TRANSFERS_MAX}"));
        }
        let mut transfers: Vec<Transfer> = Vec::new();
        for (at, target) in given.into_iter().enumerate().take(TRANSFERS_MAX) {
            let name = target.name.trim().to_owned();
            self.text(&format!("transfers[{at}].name"), &name, 1, TRANSFER_NAME_MAX_BYTES);
            if transfers.iter().any(|known| known.name == name) {
                self.refuse(&format!("transfers[{at}].name"), "must not be given twice");
            }
            if Number::read(&target.number).is_none() {
                self.refuse(&format!("transfers[{at}].number"), Number::ALLOWED);
            }
            transfers.push(Transfer { name, number: target.number });
        }
        transfers
    }

    fn listening(&mut self, at: &str, listening: wire::Listening) -> Listening {
        let vendor = or(listening.vendor, "deepgram".into());
        self.one_of(&format!("{at}.vendor"), &vendor, LISTENING_VENDORS);
        self.text(&format!("{at}.model"), &listening.model, 0, NAME_MAX_BYTES);
        let fallback = listening.fallback.map(|given| {
            self.one_of(&format!("{at}.fallback.vendor"), &given.vendor, LISTENING_VENDORS);
            self.text(&format!("{at}.fallback.model"), &given.model, 0, NAME_MAX_BYTES);
            ListeningFallback { vendor: given.vendor, model: given.model }
        });
        Listening { vendor, model: listening.model, fallback }
    }

    /// Those who stand in are others, and know the language as well.
    fn fallbacks(&mut self, voice: (&str, &Voice), listening: (&str, &Listening), language: &str) {
        let primary = language.split('-').next().unwrap_or_default();
        let ((at, voice), (heard_at, listening)) = (voice, listening);
        if let Some(other) = &voice.fallback {
            let is_same = (&other.vendor, &other.voice_id, &other.model)
                == (&voice.vendor, &voice.voice_id, &voice.model);
            self.stand_in(&format!("{at}.fallback"), is_same, &other.vendor, primary);
        }
        if let Some(other) = &listening.fallback {
            let is_same = (&other.vendor, &other.model) == (&listening.vendor, &listening.model);
            self.stand_in(&format!("{heard_at}.fallback"), is_same, &other.vendor, primary);
        }
    }

    fn stand_in(&mut self, at: &str, is_same: bool, vendor: &str, language: &str) {
        if is_same {
            self.refuse(at, "must be another than the one that it stands in for");
        }
        if !languages_of(vendor).contains(&language) {
            self.refuse(
                &format!("{at}.vendor"),
                format!("must be a vendor that knows the language {language}"),
            );
        }
    }

    fn voice(&mut self, at: &str, voice: wire::Voice, default: Voice) -> Voice {
        let voice = Voice {
            vendor: or(voice.vendor, default.vendor),
            voice_id: or(voice.voice_id, default.voice_id),
            model: or(voice.model, default.model),
            fallback: voice.fallback.map(|given| VoiceFallback {
                vendor: given.vendor,
                voice_id: given.voice_id,
                model: given.model,
            }),
        };
        if let Some(other) = &voice.fallback {
            self.one_of(&format!("{at}.fallback.vendor"), &other.vendor, VOICE_VENDORS);
            self.text(&format!("{at}.fallback.voice_id"), &other.voice_id, 1, NAME_MAX_BYTES);
            self.text(&format!("{at}.fallback.model"), &other.model, 1, NAME_MAX_BYTES);
        }
        self.one_of(&format!("{at}.vendor"), &voice.vendor, VOICE_VENDORS);
        self.text(&format!("{at}.voice_id"), &voice.voice_id, 1, NAME_MAX_BYTES);
        self.text(&format!("{at}.model"), &voice.model, 1, NAME_MAX_BYTES);
        voice
    }

    fn model(&mut self, model: wire::Model, default: Model) -> Model {
        let model = Model {
            model: or(model.model, default.model),
            max_tokens: self.number("model.max_tokens", model.max_tokens, default.max_tokens),
            fallback: model.fallback,
        };
        self.text("model.model", &model.model, 1, NAME_MAX_BYTES);
        self.text("model.fallback", &model.fallback, 0, NAME_MAX_BYTES);
        if model.fallback == model.model {
            self.refuse("model.fallback", "must be another than the one that it stands in for");
        }
        model
    }

    fn turn(&mut self, turn: wire::TurnSettings) -> Turn {
        let default = Turn::default();
        self.lines("turn.backchannels", &turn.backchannels, BACKCHANNELS_MAX, BACKCHANNEL_MAX_BYTES);
        self.one_of("turn.dtmf_terminator", &turn.dtmf_terminator, KEYS);
        let mut duration =
            |name: &str, given, default| self.duration(&format!("turn.{name}"), given).unwrap_or(default);
        let turn = Turn {
            endpointing_delay_ms_min: duration(
                "endpointing_delay_min",
                turn.endpointing_delay_min,
                default.endpointing_delay_ms_min,
            ),
            endpointing_delay_ms_max: duration(
                "endpointing_delay_max",
                turn.endpointing_delay_max,
                default.endpointing_delay_ms_max,
            ),
            endpointing_delay_ms_question: duration(
                "endpointing_delay_question",
                turn.endpointing_delay_question,
                default.endpointing_delay_ms_question,
            ),
            endpointing_delay_ms_open: duration(
                "endpointing_delay_open",
                turn.endpointing_delay_open,
                default.endpointing_delay_ms_open,
            ),
            barge_in_duration_ms_min: duration(
                "barge_in_duration_min",
                turn.barge_in_duration_min,
                default.barge_in_duration_ms_min,
            ),
            false_barge_in_timeout_ms: duration(
                "false_barge_in_timeout",
                turn.false_barge_in_timeout,
                default.false_barge_in_timeout_ms,
            ),
            dtmf_timeout_ms: duration("dtmf_timeout", turn.dtmf_timeout, default.dtmf_timeout_ms),
            reprompt_delay_ms: duration("reprompt_delay", turn.reprompt_delay, default.reprompt_delay_ms),
            goodbye_timeout_ms: duration("goodbye_timeout", turn.goodbye_timeout, default.goodbye_timeout_ms),
            idle_timeout_ms: self.duration("turn.idle_timeout", turn.idle_timeout),
            barge_in_words_min: self.number(
                "turn.barge_in_words_min",
                turn.barge_in_words_min,
                default.barge_in_words_min,
            ),
            preemptive: turn.preemptive,
            backchannels: turn.backchannels,
            dtmf_terminator: turn.dtmf_terminator,
        };
        for (name, delay) in [
            ("turn.endpointing_delay_min", turn.endpointing_delay_ms_min),
            ("turn.endpointing_delay_question", turn.endpointing_delay_ms_question),
            ("turn.endpointing_delay_open", turn.endpointing_delay_ms_open),
        ] {
            if delay > turn.endpointing_delay_ms_max {
                let max = seconds(turn.endpointing_delay_ms_max);
                self.refuse(name, format!("must be at most turn.endpointing_delay_max, {max}"));
            }
        }
        turn
    }

    fn phrases(&mut self, phrases: wire::Phrases) -> Phrases {
        self.texts("phrases", &phrases);
        let default = Phrases::default();
        let filler_delays_ms = self.filler_delays(phrases.filler_delays, default.filler_delays_ms);
        let warning_before =
            self.duration("phrases.duration_warning_before", phrases.duration_warning_before);
        let mut uninterruptible = Vec::new();
        for (at, line) in phrases.uninterruptible.into_iter().enumerate() {
            match Line::from_wire(line) {
                Some(line) if !uninterruptible.contains(&line) => uninterruptible.push(line),
                _ => self.refuse(
                    &format!("phrases.uninterruptible[{at}]"),
                    "must be a line of the contract's, named once, such as LINE_GREETING",
                ),
            }
        }
        Phrases {
            fillers: phrases.fillers,
            idle_prompts: phrases.idle_prompts,
            idle_goodbye: phrases.idle_goodbye,
            reprompt: phrases.reprompt,
            duration_warning: phrases.duration_warning,
            duration_goodbye: phrases.duration_goodbye,
            filler_delays_ms,
            duration_warning_before_ms: warning_before.unwrap_or(default.duration_warning_before_ms),
            uninterruptible,
        }
    }

    /// The lines themselves.
    fn texts(&mut self, at: &str, phrases: &wire::Phrases) {
        self.lines(&format!("{at}.fillers"), &phrases.fillers, FILLERS_MAX, LINE_MAX_BYTES);
        self.lines(&format!("{at}.idle_prompts"), &phrases.idle_prompts, IDLE_PROMPTS_MAX, LINE_MAX_BYTES);
        for (name, line) in [
            ("idle_goodbye", &phrases.idle_goodbye),
            ("reprompt", &phrases.reprompt),
            ("duration_warning", &phrases.duration_warning),
            ("duration_goodbye", &phrases.duration_goodbye),
        ] {
            self.text(&format!("{at}.{name}"), line, 0, LINE_MAX_BYTES);
        }
    }

    fn filler_delays(&mut self, given: Vec<Duration>, default: Vec<u64>) -> Vec<u64> {
        let field = "phrases.filler_delays";
        if given.len() > FILLERS_MAX {
            self.refuse(field, format!("must be at most {FILLERS_MAX}"));
        }
        let delays: Vec<_> = given
            .into_iter()
            .take(FILLERS_MAX)
            .filter_map(|delay| self.duration(field, Some(delay)))
            .collect();
        if !delays.is_sorted_by(|earlier, later| earlier < later) {
            self.refuse(field, "must grow from one to the next");
        }
        if delays.is_empty() { default } else { delays }
    }

    /// Notes a bad field. Of several faults of one field the first is told: the others may go with it.
    fn refuse(&mut self, field: &str, why: impl Into<String>) {
        let field = format!("agent.{field}");
        if self.wrong.iter().all(|(known, _)| *known != field) {
            self.wrong.push((field, why.into()));
        }
    }

    fn text(&mut self, field: &str, text: &str, min: usize, max: usize) {
        if (min..=max).contains(&text.len()) && !text.contains('\0') {
            return;
        }
        if text.len() < min {
            self.refuse(field, "must not be empty");
        } else {
            self.refuse(field, format!("must be text of at most {max} bytes in UTF-8, without NUL"));
        }
    }

    fn lines(&mut self, field: &str, lines: &[String], count_max: usize, max: usize) {
        if lines.len() > count_max {
            self.refuse(field, format!("must be at most {count_max}"));
        }
        for (at, line) in lines.iter().enumerate().take(count_max) {
            self.text(&format!("{field}[{at}]"), line, 1, max);
        }
    }

    fn one_of(&mut self, field: &str, text: &str, allowed: &[&str]) {
        if !allowed.contains(&text) {
            let allowed: Vec<_> =
                allowed.iter().map(|one| if one.is_empty() { "empty" } else { one }).collect();
            self.refuse(field, format!("must be one of {}", allowed.join(", ")));
        }
    }

    fn language(&mut self, field: &str, tag: &str, vendors: [&str; 2]) {
        let [spoken, heard] = vendors.map(languages_of);
        let allowed: Vec<_> = spoken.iter().copied().filter(|language| heard.contains(language)).collect();
        let (primary, region) = tag.split_once('-').unwrap_or((tag, "US"));
        let is_region = region.len() == 2 && region.bytes().all(|b| b.is_ascii_alphabetic());
        if !allowed.contains(&primary) || !is_region {
            let why = format!(
                "must be a language such as en, with or without a region such as en-IN; the languages of these \
                 vendors are {}",
                allowed.join(", ")
            );
            self.refuse(field, why);
        }
    }

    /// A number of the table; 0 is left out.
    fn number(&mut self, field: &str, given: i32, default: i32) -> i32 {
        if given == 0 {
            return default;
        }
        let allowed = NUMBERS.iter().find(|(name, _)| *name == field).map(|(_, allowed)| allowed);
        if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(&given)) {
            self.refuse(field, format!("must be from {} to {}", allowed.start(), allowed.end()));
        }
        given
    }

    /// A duration of the table, in milliseconds.
    fn duration(&mut self, field: &str, given: Option<Duration>) -> Option<u64> {
        let given = given?;
        let millis = proto::from_wire(&given).as_millis().try_into().unwrap_or(u64::MAX);
        let allowed = DURATIONS_MS.iter().find(|(name, _)| *name == field).map(|(_, allowed)| allowed);
        let negative = given.seconds < 0 || given.nanos < 0;
        if let Some(allowed) = allowed.filter(|allowed| negative || !allowed.contains(&millis)) {
            let (min, max) = (seconds(*allowed.start()), seconds(*allowed.end()));
            self.refuse(field, format!("must be from {min} to {max}"));
        }
        Some(millis)
    }
}

/// The languages that a vendor knows.
fn languages_of(vendor: &str) -> &'static [&'static str] {
    if vendor == "sarvam" { SARVAM_LANGUAGES } else { LANGUAGES }
}

fn or(given: String, default: String) -> String {
    if given.is_empty() { default } else { given }
}

/// As JSON writes a duration.
fn seconds(millis: u64) -> String {
    if millis.is_multiple_of(1000) {
        format!("{}s", millis / 1000)
    } else {
        format!("{}.{:03}s", millis / 1000, millis % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration(millis: u64) -> Option<Duration> {
        Some(proto::to_wire(std::time::Duration::from_millis(millis)))
    }

    #[test]
    fn a_prompt_is_enough_and_the_rest_is_the_demos() {
        let agent = wire::Agent { prompt: " Answer. ".into(), ..wire::Agent::default() };
        let document = read(agent).unwrap();
        let demo = seed::front_desk();
        assert_eq!(document.prompt, "Answer.");
        assert_eq!((document.turn, document.voice, document.model), (demo.turn, demo.voice, demo.model));
        assert_eq!((document.language.as_str(), document.greeting.as_str()), ("en", ""));
    }

    #[test]
    fn what_is_stored_can_be_read_back() {
        let demo = seed::front_desk();
        assert_eq!(read(demo.clone().into_wire()), Ok(demo));
    }

    #[test]
    fn every_bad_field_is_told_with_its_path_and_what_is_allowed() {
        let mut agent = seed::front_desk().into_wire();
        agent.prompt = "x".repeat(PROMPT_MAX_BYTES + 1);
        agent.language = "xx".into();
        agent.tools = vec!["end_call".into(), "dig".into(), "end_call".into()];
        agent.voice.as_mut().unwrap().vendor = "acme".into();
        agent.model.as_mut().unwrap().max_tokens = 5000;
        agent.call_duration_max = duration(1);
        let target =
            |name: &str, number: &str| wire::TransferTarget { name: name.into(), number: number.into() };
        agent.transfers = vec![
            target("reception", "+12025550101"),
            target("reception", "+12025550102"),
            target("", "0800"),
        ];
        let phrases = agent.phrases.as_mut().unwrap();
        phrases.filler_delays = [duration(30_000), duration(1)].into_iter().flatten().collect();
        phrases.uninterruptible = vec![wire::Line::Greeting.into(), 0];
        let turn = agent.turn.as_mut().unwrap();
        turn.endpointing_delay_min = duration(1500);
        turn.endpointing_delay_max = duration(1000);
        // Out of its own range, and over the maximum.
        turn.endpointing_delay_question = duration(90_000);
        turn.idle_timeout = Some(Duration { seconds: -5, nanos: 0 });
        turn.dtmf_terminator = "##".into();
        let wrong = read(agent).unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|(field, _)| field.as_str()).collect();
        let mut expected = [
            "agent.prompt",
            "agent.language",
            "agent.tools[1]",
            "agent.tools[2]",
            "agent.voice.vendor",
            "agent.model.max_tokens",
            "agent.turn.dtmf_terminator",
            "agent.turn.idle_timeout",
            "agent.turn.endpointing_delay_min",
            "agent.turn.endpointing_delay_open",
            "agent.turn.endpointing_delay_question",
            "agent.call_duration_max",
            "agent.transfers[1].name",
            "agent.transfers[2].name",
            "agent.transfers[2].number",
            "agent.phrases.filler_delays",
            "agent.phrases.uninterruptible[1]",
        ];
        let mut found = fields.clone();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{wrong:?}");
        let why = &wrong.iter().find(|(field, _)| field == "agent.turn.idle_timeout").unwrap().1;
        assert_eq!(why, "must be from 2s to 120s");
    }

    #[test]
    fn who_stands_in_is_another_and_knows_the_language() {
        let mut agent = seed::front_desk().into_wire();
        let sarvam = wire::VoiceFallback {
            vendor: "sarvam".into(),
            voice_id: "shubh".into(),
            model: "bulbul:v3".into(),
        };
        agent.voice.as_mut().unwrap().fallback = Some(sarvam.clone());
        agent.listening.as_mut().unwrap().fallback =
            Some(wire::ListeningFallback { vendor: "sarvam".into(), model: String::new() });
        agent.model.as_mut().unwrap().fallback = "claude-haiku-4-5".into();
        let document = read(agent.clone()).unwrap();
        assert_eq!(read(document.clone().into_wire()), Ok(document));

        agent.language = "fr".into();
        agent.voice.as_mut().unwrap().fallback =
            Some(wire::VoiceFallback { voice_id: String::new(), ..sarvam });
        agent.listening.as_mut().unwrap().fallback =
            Some(wire::ListeningFallback { vendor: "deepgram".into(), model: String::new() });
        agent.model.as_mut().unwrap().fallback = agent.model.as_ref().unwrap().model.clone();
        let mut wrong: Vec<_> = read(agent).unwrap_err().into_iter().map(|(field, _)| field).collect();
        wrong.sort_unstable();
        let expected = [
            "agent.listening.fallback",
            "agent.model.fallback",
            "agent.voice.fallback.vendor",
            "agent.voice.fallback.voice_id",
        ];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn who_transfers_names_somebody() {
        let mut agent = seed::front_desk().into_wire();
        agent.tools.push(TRANSFER.into());
        assert_eq!(read(agent.clone()).unwrap_err()[0].0, "agent.transfers");
        agent.transfers =
            vec![wire::TransferTarget { name: "reception".into(), number: "+12025550101".into() }];
        let document = read(agent).unwrap();
        assert_eq!(read(document.clone().into_wire()), Ok(document));
    }

    #[test]
    fn a_language_is_one_that_both_vendors_know() {
        let read = |language: &str, speaks: &str, listens: &str| {
            let mut agent = seed::front_desk().into_wire();
            agent.language = language.into();
            agent.voice.as_mut().unwrap().vendor = speaks.into();
            agent.listening.as_mut().unwrap().vendor = listens.into();
            read(agent).map_err(|wrong| wrong.into_iter().map(|(field, _)| field).collect::<Vec<_>>())
        };
        for language in ["ta-IN", "or", "en-IN", "hi"] {
            assert!(read(language, "sarvam", "sarvam").is_ok(), "{language}");
        }
        for (language, speaks, listens) in
            [("ta", "cartesia", "deepgram"), ("ta", "sarvam", "deepgram"), ("fr", "sarvam", "sarvam")]
        {
            assert_eq!(read(language, speaks, listens), Err(vec!["agent.language".to_owned()]));
        }
        assert!(read("hi", "sarvam", "deepgram").is_ok());
    }

    #[test]
    fn the_tables_name_fields_of_the_contract() {
        let pool = &crate::mask::CONTRACTS;
        let agent = pool.get_message_by_name("trunkline.tenancy.v1.Agent").unwrap();
        for path in DURATIONS_MS.iter().map(|(path, _)| path).chain(NUMBERS.iter().map(|(path, _)| path)) {
            let mut message = agent.clone();
            for (at, name) in path.split('.').enumerate() {
                let field = message.get_field_by_name(name).unwrap_or_else(|| panic!("{path}"));
                if at + 1 < path.split('.').count() {
                    message = field.kind().as_message().unwrap().clone();
                }
            }
        }
    }
}
