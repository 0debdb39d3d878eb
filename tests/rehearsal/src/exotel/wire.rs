//! The messages of an Exotel stream. Which spelling, and whether a number is a string, changes from stream to stream, as
//! it does from one of the vendor's documents to the next; what the server may send has one form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Style;
use super::audio::{Downlink, Uplink};
use crate::carrier::dialect::{Dialect, FromServer, Invalid, has_wav_header};
use crate::carrier::mulaw;

/// A payload must be a multiple of this.
pub const PAYLOAD_MULTIPLE: usize = 320;
/// The longest payload.
pub const PAYLOAD_MAX: usize = 100_000;
/// What is heard after a payload that is not such a multiple: 20 ms of nothing.
const GAP: [u8; 160] = [mulaw::SILENCE; 160];
const TICK_MS: u64 = 20;

/// What is the same in all messages of a stream.
#[derive(Clone, Debug)]
pub struct Names {
    pub account_sid: String,
    pub call_sid: String,
    pub stream_sid: String,
    pub from: String,
    pub to: String,
}

/// Exotel's messages on one stream.
pub struct ExotelDialect {
    names: Names,
    rate_hz: u32,
    frame_ms: u64,
    marks_return_on_clear: bool,
    style: Style,
    sequence: u64,
    chunk: u64,
    gathered: Vec<u8>,
    /// Where the gathered sound begins.
    gathered_from_ms: u64,
    uplink: Uplink,
    downlink: Downlink,
}

impl ExotelDialect {
    /// The messages of a new stream at this rate. The same seed gives the same spellings.
    pub fn new(names: Names, rate_hz: u32, settings: &super::Settings, seed: u64) -> Self {
        Self {
            names,
            rate_hz,
            frame_ms: settings.frame_ms.into(),
            marks_return_on_clear: settings.marks_return_on_clear,
            style: settings.style.clone().unwrap_or_else(|| Style::of(seed)),
            sequence: 0,
            chunk: 0,
            gathered: Vec::new(),
            gathered_from_ms: 0,
            uplink: Uplink::new(rate_hz),
            downlink: Downlink::new(rate_hz),
        }
    }

    /// A number as this stream has it.
    fn number(&self, value: u64) -> Value {
        if self.style.text_numbers { Value::from(value.to_string()) } else { Value::from(value) }
    }

    fn name(&self, snake: &'static str) -> String {
        if !self.style.camel {
            return snake.to_owned();
        }
        let mut words = snake.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
    }

    fn message(&mut self, event: &str, body: Value) -> String {
        self.sequence += 1;
        let sequence = self.number(self.sequence);
        let mut message = json!({"event": event});
        message[self.name("stream_sid")] = Value::from(self.names.stream_sid.as_str());
        message[self.name("sequence_number")] = sequence;
        message[event] = body;
        message.to_string()
    }

    fn media_format(&self) -> Value {
        let mut format = json!({"encoding": self.style.encoding, "bit_rate": "128kbps"});
        let rate = match self.style.rate_unit {
            Some("") => self.number(self.rate_hz.into()),
            Some(unit) => Value::from(format!("{}{unit}", self.rate_hz)),
            None => return format,
        };
        format[self.name("sample_rate")] = rate;
        format
    }
}

impl Dialect for ExotelDialect {
    fn connected(&mut self) -> String {
        // As older samples have it, with those that write numbers bare.
        let message = match self.style.text_numbers {
            true => json!({"event": "connected"}),
            false => json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
        };
        message.to_string()
    }

    fn start(&mut self, parameters: &[(String, String)]) -> String {
        let custom: serde_json::Map<String, Value> =
            parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let format = self.media_format();
        let mut body = json!({"from": self.names.from, "to": self.names.to});
        body[self.name("stream_sid")] = Value::from(self.names.stream_sid.as_str());
        body[self.name("call_sid")] = Value::from(self.names.call_sid.as_str());
        body[self.name("account_sid")] = Value::from(self.names.account_sid.as_str());
        body[self.name("custom_parameters")] = custom.into();
        body[self.name("media_format")] = format;
        self.message("start", body)
    }

    fn media(&mut self, timestamp_ms: u64, sound: &[u8]) -> Option<String> {
        if self.gathered.is_empty() {
            self.gathered_from_ms = timestamp_ms;
        }
        let audio = self.uplink.encode(sound);
        self.gathered.extend(audio);
        let gathered_ms = timestamp_ms + TICK_MS - self.gathered_from_ms;
        if gathered_ms < self.frame_ms {
            return None;
        }
        self.chunk += 1;
        let body = json!({
            "chunk": self.number(self.chunk), "timestamp": self.number(self.gathered_from_ms),
            "payload": BASE64.encode(std::mem::take(&mut self.gathered)),
        });
        Some(self.message("media", body))
    }

    fn dtmf(&mut self, key: char) -> String {
        let duration = self.number(100);
        self.message("dtmf", json!({"digit": key.to_string(), "duration": duration}))
    }

    fn mark(&mut self, name: &str) -> String {
        self.message("mark", json!({"name": name}))
    }

    fn stop(&mut self, hung_up: bool) -> String {
        let mut body = json!({"reason": if hung_up { "callended" } else { "stopped" }});
        body[self.name("call_sid")] = Value::from(self.names.call_sid.as_str());
        body[self.name("account_sid")] = Value::from(self.names.account_sid.as_str());
        self.message("stop", body)
    }

    fn parse(&mut self, text: &str) -> Result<FromServer, Invalid> {
        let message: Message = serde_json::from_str(text).map_err(|error| Invalid(error.to_string()))?;
        let (named, parsed) = match message {
            Message::Media { stream_sid, media, .. } => {
                let audio = BASE64
                    .decode(&media.payload)
                    .map_err(|error| Invalid(format!("media.payload: {error}")))?;
                (stream_sid, self.heard(&audio)?)
            }
            Message::Mark { stream_sid, mark, .. } => (stream_sid, FromServer::Mark(mark.name)),
            Message::Clear { stream_sid, .. } => (stream_sid, FromServer::Clear),
        };
        if named != self.names.stream_sid {
            return Err(Invalid("stream_sid is not this stream's".to_owned()));
        }
        Ok(parsed)
    }

    fn returns_cleared_marks(&self) -> bool {
        self.marks_return_on_clear
    }
}

impl ExotelDialect {
    fn heard(&mut self, audio: &[u8]) -> Result<FromServer, Invalid> {
        if audio.is_empty() || !audio.len().is_multiple_of(2) {
            return Err(Invalid(format!("media.payload: {} bytes are no 16-bit samples", audio.len())));
        }
        let mut sound = self.downlink.decode(audio);
        if audio.len() > PAYLOAD_MAX {
            return Ok(FromServer::Flawed(
                sound,
                format!("a payload of {} bytes is over 100 KB", audio.len()),
            ));
        }
        if !audio.len().is_multiple_of(PAYLOAD_MULTIPLE) {
            sound.extend(GAP);
            let why = format!("a payload of {} bytes is no multiple of 320: a gap is heard", audio.len());
            return Ok(FromServer::Flawed(sound, why));
        }
        if has_wav_header(audio) {
            return Ok(FromServer::Flawed(sound, "the header of a WAV file is heard as noise".to_owned()));
        }
        Ok(FromServer::Media(sound))
    }
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase", deny_unknown_fields)]
enum Message {
    Media {
        stream_sid: String,
        #[serde(default, rename = "sequence_number")]
        _sequence_number: Option<Value>,
        media: MediaBody,
    },
    Mark {
        stream_sid: String,
        #[serde(default, rename = "sequence_number")]
        _sequence_number: Option<Value>,
        mark: MarkBody,
    },
    Clear {
        stream_sid: String,
        #[serde(default, rename = "sequence_number")]
        _sequence_number: Option<Value>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MediaBody {
    #[serde(default, rename = "chunk")]
    _chunk: Option<Value>,
    #[serde(default, rename = "timestamp")]
    _timestamp: Option<Value>,
    payload: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkBody {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exotel::Settings;

    fn dialect(seed: u64, rate_hz: u32, settings: &Settings) -> ExotelDialect {
        let [account_sid, call_sid, stream_sid, from, to] =
            ["acme1", "c5a1", "9f3c", "+919812345678", "08047100100"].map(str::to_owned);
        ExotelDialect::new(Names { account_sid, call_sid, stream_sid, from, to }, rate_hz, settings, seed)
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn spellings_and_types_change_from_stream_to_stream() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let mut dialect = dialect(seed, 16_000, &Settings::default());
            let start = value(&dialect.start(&[("call_id".to_owned(), "7".to_owned())]));
            let camel = start.get("streamSid").is_some();
            let (body, custom) =
                (&start["start"], if camel { "customParameters" } else { "custom_parameters" });
            assert_eq!(body[custom]["call_id"], "7");
            let number = &start[if camel { "sequenceNumber" } else { "sequence_number" }];
            let format = &body[if camel { "mediaFormat" } else { "media_format" }];
            let rate = &format[if camel { "sampleRate" } else { "sample_rate" }];
            seen.extend([
                format!("camel {camel}"),
                format!("number {}", number.is_string()),
                format!("encoding {}", format["encoding"]),
                format!("rate {rate}"),
            ]);
        }
        assert_eq!(seen.len(), 2 + 2 + 4 + 4, "{seen:?}");
    }

    #[test]
    fn frames_are_gathered_to_the_length_of_a_message() {
        for (frame_ms, rate, bytes) in [(20, 8_000, 320), (40, 16_000, 1_280), (100, 24_000, 4_800)] {
            let settings = Settings { frame_ms, ..Settings::default() };
            let mut dialect = dialect(1, rate, &settings);
            let messages: Vec<Value> = (0..10)
                .filter_map(|n| dialect.media(n * 20, &[mulaw::SILENCE; 160]))
                .map(|text| value(&text))
                .collect();
            assert_eq!(messages.len() as u32, 200 / frame_ms);
            for (n, message) in messages.iter().enumerate() {
                let media = &message["media"];
                assert_eq!(BASE64.decode(media["payload"].as_str().unwrap()).unwrap().len(), bytes);
                let at = media["timestamp"].to_string();
                assert_eq!(at.trim_matches('"'), (n as u32 * frame_ms).to_string());
            }
        }
    }

    #[test]
    fn what_the_server_may_send_is_read_and_a_wrong_length_is_heard() {
        let mut dialect = dialect(1, 8_000, &Settings::default());
        let media = |bytes: usize| {
            let payload = BASE64.encode(vec![0; bytes]);
            json!({"event": "media", "stream_sid": "9f3c", "sequence_number": "1",
                   "media": {"chunk": "1", "timestamp": "0", "payload": payload}})
            .to_string()
        };
        assert_eq!(dialect.parse(&media(640)), Ok(FromServer::Media(vec![0xFF; 320])));
        let Ok(FromServer::Flawed(sound, why)) = dialect.parse(&media(330)) else { panic!("not flawed") };
        assert_eq!((sound.len(), why.contains("330")), (165 + 160, true));
        assert!(matches!(dialect.parse(&media(102_400)), Ok(FromServer::Flawed(..))));
        assert_eq!(dialect.parse(r#"{"event":"clear","stream_sid":"9f3c"}"#), Ok(FromServer::Clear));
        let mark = r#"{"event":"mark","stream_sid":"9f3c","sequence_number":"2","mark":{"name":"a"}}"#;
        assert_eq!(dialect.parse(mark), Ok(FromServer::Mark("a".to_owned())));
        for wrong in [
            media(331),
            media(0),
            mark.replace("stream_sid", "streamSid"),
            mark.replace("9f3c", "other"),
            mark.replace("\"mark\":{", "\"mark\":{\"extra\":1,"),
            r#"{"event":"hangup","stream_sid":"9f3c"}"#.to_owned(),
            "{".to_owned(),
        ] {
            assert!(dialect.parse(&wrong).is_err(), "{wrong}");
        }
    }
}
