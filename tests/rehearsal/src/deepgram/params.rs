//! The query of `/v1/listen`, checked as the vendor checks it.

use crate::hearing::Options;
use crate::hearing::decode::Encoding;

/// Names whose value is `true` or `false`.
const FLAGS: &[&str] = &[
    "detect_entities",
    "diarize",
    "dictation",
    "filler_words",
    "interim_results",
    "mip_opt_out",
    "multichannel",
    "no_delay",
    "numerals",
    "profanity_filter",
    "punctuate",
    "smart_format",
    "vad_events",
];
/// Names whose value is a text that changes nothing here.
const TEXTS: &[&str] =
    &["callback", "callback_method", "diarize_model", "extra", "redact", "replace", "search", "version"];
const UTTERANCE_END_MS_MIN: u64 = 1000;
/// The vendor's default: an utterance ends with the first pause.
const ENDPOINTING_MS: u64 = 10;
const KEYTERM_TOKENS_MAX: usize = 500;

/// What a connection asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pub(super) model: String,
    pub(super) language: String,
    /// Raw audio needs it; without it nothing that comes can be decoded.
    pub(super) encoding: Option<Encoding>,
    pub(super) interim_results: bool,
    pub(super) vad_events: bool,
    /// Capitals and punctuation are wanted.
    pub(super) formatted: bool,
    /// `None`: utterances are not ended by silence.
    pub(super) endpointing_ms: Option<u64>,
    pub(super) utterance_end_ms: Option<u64>,
    /// Which call this is, in the words of the client.
    pub(super) tag: Option<String>,
}

impl Params {
    /// The error text says which parameter is wrong and what is allowed.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut params =
            Self { language: "en".to_owned(), endpointing_ms: Some(ENDPOINTING_MS), ..Self::default() };
        let (mut encoding, mut sample_rate) = (None, None);
        let (mut keyterm_tokens, mut hints, mut keywords) = (0, false, false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "model" => params.model = value.into_owned(),
                "language" => params.language = value.into_owned(),
                "language_hint" => hints = true,
                "encoding" => encoding = Some(value.into_owned()),
                "sample_rate" => sample_rate = Some(number(&name, &value)?),
                "channels" if value != "1" => return Err("channels: only 1 is rehearsed".to_owned()),
                "channels" => {}
                "endpointing" if value == "false" => params.endpointing_ms = None,
                "endpointing" => params.endpointing_ms = Some(number(&name, &value)?),
                "utterance_end_ms" => params.utterance_end_ms = Some(number(&name, &value)?),
                "keyterm" => keyterm_tokens += value.split_whitespace().count().max(1),
                "keywords" => keywords = true,
                "tag" => params.tag = Some(value.into_owned()),
                flag if FLAGS.contains(&flag) => params.set_flag(flag, &value)?,
                text if TEXTS.contains(&text) => {}
                unknown => return Err(format!("{unknown}: no such parameter")),
            }
        }
        params.encoding = Encoding::parse(encoding.as_deref(), sample_rate)?;
        params.check_model(keyterm_tokens, keywords, hints)?;
        params.check_utterance_end()?;
        Ok(params)
    }

    /// What of it changes how a call is heard.
    pub(super) fn hearing(&self) -> Options {
        Options {
            interim_results: self.interim_results,
            vad_events: self.vad_events,
            endpointing_ms: self.endpointing_ms,
            utterance_end_ms: self.utterance_end_ms,
        }
    }

    fn set_flag(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = match value {
            "true" => true,
            "false" => false,
            _ => return Err(format!("{name}: must be true or false")),
        };
        match name {
            "interim_results" => self.interim_results = value,
            "vad_events" => self.vad_events = value,
            "punctuate" | "smart_format" => self.formatted |= value,
            "multichannel" if value => return Err("multichannel: is not rehearsed".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn check_model(&self, keyterm_tokens: usize, keywords: bool, hints: bool) -> Result<(), String> {
        let model = self.model.as_str();
        let family = model.split('-').take(2).collect::<Vec<_>>().join("-");
        if model.starts_with("flux") {
            return Err(format!("model: {model} is served by /v2/listen"));
        }
        if !["", "nova-2", "nova-3"].contains(&family.as_str()) {
            return Err(format!("model: no such model {model}"));
        }
        let nova_3 = family == "nova-3";
        if keyterm_tokens > 0 && !nova_3 {
            return Err("keyterm: needs model nova-3".to_owned());
        }
        if keyterm_tokens > KEYTERM_TOKENS_MAX {
            return Err(format!("keyterm: at most {KEYTERM_TOKENS_MAX} tokens in all"));
        }
        if keywords && nova_3 {
            return Err("keywords: not supported by nova-3, use keyterm".to_owned());
        }
        if nova_3 && self.language == "hi-Latn" {
            return Err("language: hi-Latn is not supported by nova-3".to_owned());
        }
        if hints && self.language != "multi" {
            return Err("language_hint: needs language=multi".to_owned());
        }
        Ok(())
    }

    fn check_utterance_end(&self) -> Result<(), String> {
        match self.utterance_end_ms {
            Some(ms) if ms < UTTERANCE_END_MS_MIN => {
                Err(format!("utterance_end_ms: must be at least {UTTERANCE_END_MS_MIN}"))
            }
            Some(_) if !self.interim_results => {
                Err("utterance_end_ms: needs interim_results=true".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: must be a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_telephone_call_asks_for_is_taken() {
        let params = Params::parse(
            "model=nova-3&language=hi&encoding=mulaw&sample_rate=8000&channels=1&interim_results=true\
             &endpointing=300&utterance_end_ms=1000&vad_events=true&smart_format=true&tag=call-7&keyterm=Trunk%20line",
        )
        .expect("the vendor takes it");
        assert_eq!((params.endpointing_ms, params.utterance_end_ms), (Some(300), Some(1000)));
        assert!(params.interim_results && params.vad_events && params.formatted);
        assert_eq!(params.tag.as_deref(), Some("call-7"));
        let usual = Params::parse("").expect("everything has a default");
        assert_eq!((usual.endpointing_ms, usual.encoding), (Some(10), None));
        assert_eq!(Params::parse("endpointing=false").map(|params| params.endpointing_ms), Ok(None));
    }

    #[test]
    fn what_the_vendor_refuses_is_refused_by_name() {
        let refused = [
            ("model=flux-general-en", "model"),
            ("model=nova-9", "model"),
            ("encoding=mulaw", "sample_rate"),
            ("encoding=mulaw&sample_rate=eight", "sample_rate"),
            ("encoding=pcm&sample_rate=8000", "encoding"),
            ("utterance_end_ms=500&interim_results=true", "utterance_end_ms"),
            ("utterance_end_ms=1000", "utterance_end_ms"),
            ("interim_results=True", "interim_results"),
            ("model=nova-3&keywords=a", "keywords"),
            ("model=nova-2&keyterm=a", "keyterm"),
            ("model=nova-3&language=hi-Latn", "language"),
            ("language_hint=hi", "language_hint"),
            ("eot_threshold=0.7", "eot_threshold"),
        ];
        for (query, name) in refused {
            let error = Params::parse(query).expect_err(query);
            assert!(error.starts_with(name), "{query}: {error}");
        }
    }
}
