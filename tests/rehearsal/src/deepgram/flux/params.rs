//! The query of `/v2/listen` and the settings that `Configure` changes, checked as the vendor checks them.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::hearing::decode::Encoding;

const EOT_THRESHOLD: RangeInclusive<f64> = 0.5..=1.0;
const EAGER_EOT_THRESHOLD: RangeInclusive<f64> = 0.3..=0.9;
const EOT_TIMEOUT_MS: RangeInclusive<u64> = 500..=60_000;
const KEYTERM_TOKENS_MAX: usize = 500;

/// When a turn is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::deepgram) struct Thresholds {
    /// Confidence that ends a turn.
    pub(super) eot: f64,
    /// Confidence that makes its end likely; `None`: nobody wants to know.
    pub(super) eager: Option<f64>,
    /// Silence that ends a turn whatever was said.
    pub(super) timeout_ms: u64,
}

impl Thresholds {
    fn check(self) -> Result<Self, String> {
        range("eot_threshold", self.eot, &EOT_THRESHOLD)?;
        if let Some(eager) = self.eager {
            range("eager_eot_threshold", eager, &EAGER_EOT_THRESHOLD)?;
            if eager > self.eot {
                return Err("eager_eot_threshold: must not be above eot_threshold".to_owned());
            }
        }
        range("eot_timeout_ms", self.timeout_ms, &EOT_TIMEOUT_MS)?;
        Ok(self)
    }

    pub(super) fn json(self) -> Value {
        json!({
            "eot_threshold": self.eot,
            "eager_eot_threshold": self.eager,
            "eot_timeout_ms": self.timeout_ms,
        })
    }
}

/// What a connection asked for.
#[derive(Clone, Debug)]
pub(in crate::deepgram) struct Params {
    pub(in crate::deepgram) model: String,
    pub(in crate::deepgram) encoding: Encoding,
    pub(in crate::deepgram) tag: Option<String>,
    pub(super) thresholds: Thresholds,
    pub(super) keyterms: Vec<String>,
    pub(super) language_hints: Vec<String>,
    pub(super) numerals: bool,
}

impl Params {
    /// The error text says which parameter is wrong and what is allowed.
    pub(in crate::deepgram) fn parse(query: &str) -> Result<Self, String> {
        let (mut encoding, mut sample_rate) = (None, None);
        let mut params = Self {
            model: String::new(),
            encoding: Encoding::Mulaw,
            tag: None,
            thresholds: Thresholds { eot: 0.7, eager: None, timeout_ms: 5000 },
            keyterms: Vec::new(),
            language_hints: Vec::new(),
            numerals: false,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "model" => params.model = value.into_owned(),
                "encoding" => encoding = Some(value.into_owned()),
                "sample_rate" => sample_rate = Some(number(&name, &value)?),
                "eot_threshold" => params.thresholds.eot = number(&name, &value)?,
                "eager_eot_threshold" => params.thresholds.eager = Some(number(&name, &value)?),
                "eot_timeout_ms" => params.thresholds.timeout_ms = number(&name, &value)?,
                "keyterm" => params.keyterms.push(value.into_owned()),
                "language_hint" => params.language_hints.push(value.into_owned()),
                "tag" => params.tag = Some(value.into_owned()),
                "numerals" => params.numerals = flag(&name, &value)?,
                "profanity_filter" | "mip_opt_out" => {
                    flag(&name, &value)?;
                }
                "redact" if ["numbers", "aggressive_numbers"].contains(&value.as_ref()) => {}
                "redact" => return Err("redact: must be numbers or aggressive_numbers".to_owned()),
                unknown => return Err(format!("{unknown}: no such parameter")),
            }
        }
        params.encoding = Encoding::parse(encoding.as_deref(), sample_rate)?
            .ok_or("encoding: raw audio needs it beside sample_rate")?;
        params.check()
    }

    fn check(self) -> Result<Self, String> {
        match self.model.as_str() {
            "flux-general-en" if !self.language_hints.is_empty() => {
                return Err("language_hint: needs flux-general-multi".to_owned());
            }
            "flux-general-en" | "flux-general-multi" => {}
            "" => return Err("model: is required".to_owned()),
            other => return Err(format!("model: {other} is not served by /v2/listen")),
        }
        let tokens: usize = self.keyterms.iter().map(|term| term.split_whitespace().count().max(1)).sum();
        if tokens > KEYTERM_TOKENS_MAX {
            return Err(format!("keyterm: at most {KEYTERM_TOKENS_MAX} tokens in all"));
        }
        self.thresholds.check()?;
        Ok(self)
    }

    /// What a `Configure` makes of it: keys that are absent stay as they are.
    pub(super) fn configured(&self, message: &Value) -> Result<Self, String> {
        let mut params = self.clone();
        let thresholds = &message["thresholds"];
        let float = |name: &str| given(thresholds, name, Value::as_f64);
        params.thresholds.eot = float("eot_threshold")?.unwrap_or(params.thresholds.eot);
        params.thresholds.eager = float("eager_eot_threshold")?.or(params.thresholds.eager);
        params.thresholds.timeout_ms =
            given(thresholds, "eot_timeout_ms", Value::as_u64)?.unwrap_or(params.thresholds.timeout_ms);
        params.keyterms = given(message, "keyterms", texts)?.unwrap_or(params.keyterms);
        params.language_hints = given(message, "language_hints", texts)?.unwrap_or(params.language_hints);
        params.numerals = given(message, "numerals", Value::as_bool)?.unwrap_or(params.numerals);
        params.check()
    }
}

/// The value of a key, `None` when it is absent or null.
fn given<'a, T>(
    json: &'a Value,
    name: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, String> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| format!("{name}: is of the wrong type")),
    }
}

fn texts(json: &Value) -> Option<Vec<String>> {
    json.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn range<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: T,
    allowed: &RangeInclusive<T>,
) -> Result<(), String> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(format!("{name}: must be {} to {}", allowed.start(), allowed.end()))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: must be a number"))
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| format!("{name}: must be true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "model=flux-general-en&encoding=mulaw&sample_rate=8000";

    #[test]
    fn what_a_telephone_call_asks_for_is_taken() {
        let query = format!(
            "{PHONE}&eot_threshold=0.8&eager_eot_threshold=0.5&eot_timeout_ms=3000&tag=call-7&keyterm=Trunkline"
        );
        let params = Params::parse(&query).expect("the vendor takes it");
        let wanted = Thresholds { eot: 0.8, eager: Some(0.5), timeout_ms: 3000 };
        assert_eq!((params.thresholds, params.tag.as_deref()), (wanted, Some("call-7")));
        let usual = Params::parse(PHONE).expect("the rest has defaults");
        assert_eq!(usual.thresholds, Thresholds { eot: 0.7, eager: None, timeout_ms: 5000 });
    }

    #[test]
    fn what_the_vendor_refuses_is_refused_by_name() {
        let refused = [
            ("eot_threshold=0.49", "eot_threshold"),
            ("eot_threshold=1.01", "eot_threshold"),
            ("eot_threshold=NaN", "eot_threshold"),
            ("eager_eot_threshold=0.29", "eager_eot_threshold"),
            ("eot_threshold=1&eager_eot_threshold=0.91", "eager_eot_threshold"),
            ("eot_threshold=0.6&eager_eot_threshold=0.61", "eager_eot_threshold"),
            ("eot_timeout_ms=499", "eot_timeout_ms"),
            ("eot_timeout_ms=60001", "eot_timeout_ms"),
            ("eot_timeout_ms=1.5", "eot_timeout_ms"),
            ("language_hint=hi", "language_hint"),
            ("redact=names", "redact"),
            ("interim_results=true", "interim_results"),
            ("endpointing=300", "endpointing"),
            ("channels=1", "channels"),
            ("model=nova-3", "model"),
            ("encoding=pcm", "encoding"),
        ];
        for (extra, name) in refused {
            let error = Params::parse(&format!("{PHONE}&{extra}")).expect_err(extra);
            assert!(error.starts_with(name), "{extra}: {error}");
        }
        assert!(
            Params::parse("encoding=mulaw&sample_rate=8000").is_err_and(|error| error.starts_with("model"))
        );
        assert!(Params::parse("model=flux-general-en").is_err_and(|error| error.starts_with("encoding")));
    }

    #[test]
    fn a_configuration_changes_what_it_names() {
        let params = Params::parse(&format!("{PHONE}&keyterm=a&eager_eot_threshold=0.4")).expect("taken");
        let changed = params
            .configured(&json!({"thresholds": {"eot_threshold": 0.9}, "keyterms": [], "numerals": true}))
            .expect("allowed");
        assert_eq!(changed.thresholds, Thresholds { eot: 0.9, ..params.thresholds });
        assert!(changed.keyterms.is_empty() && changed.numerals);
        for wrong in [
            json!({"thresholds": {"eot_threshold": 0.3}}),
            json!({"thresholds": {"eot_timeout_ms": "soon"}}),
            json!({"keyterms": "a"}),
            json!({"keyterms": vec!["a"; 501]}),
            json!({"language_hints": ["hi"]}),
        ] {
            assert!(params.configured(&wrong).is_err(), "{wrong}");
        }
    }
}
