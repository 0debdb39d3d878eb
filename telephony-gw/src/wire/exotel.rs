//! CORE. Exotel's dialect, of Voicebot applets and of the Connect API: JSON like Twilio's, PCM for audio.
//!
//! The vendor's documents disagree with each other, so both spellings of a name are read (`stream_sid` and
//! `streamSid`), and numbers as strings or bare; snake_case with string numbers is sent.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use proto::types::v1::AudioEncoding;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Command, Event, Format, Media, Playout, ProtocolError, Start, Wire,
    field::{Legible, key, plain},
};

/// What is sent must be a multiple of this: the rest of a payload would wait, and leave a gap.
const PAYLOAD_MULTIPLE: usize = 320;
/// The rates of a stream.
pub const RATES_HZ: [u32; 3] = [8_000, 16_000, 24_000];

/// One Exotel media stream.
#[derive(Debug)]
pub struct Exotel {
    /// What the URL asked for; the carrier's own word in `start` stands over it.
    sample_rate_hz: u32,
    stream_sid: Option<String>,
    /// Messages sent.
    sequence: u64,
    /// Audio messages sent.
    chunks: u64,
    /// Bytes of audio sent, padding included.
    sent_bytes: u64,
}

impl Exotel {
    /// A stream whose URL asked for this rate.
    pub fn new(sample_rate_hz: u32) -> Self {
        Self { sample_rate_hz, stream_sid: None, sequence: 0, chunks: 0, sent_bytes: 0 }
    }

    /// The rate that a media URL asks for; the vendor's default if it does not say, `None` if there is no such rate.
    pub fn rate_of_query(query: Option<&str>) -> Option<u32> {
        let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        match pairs.find(|(name, _)| name == "sample-rate") {
            Some((_, rate)) => RATES_HZ.into_iter().find(|known| known.to_string() == rate),
            None => Some(RATES_HZ[0]),
        }
    }

    fn format(&self) -> Format {
        Format { encoding: AudioEncoding::PcmS16le, sample_rate_hz: self.sample_rate_hz }
    }

    fn start<'a>(&mut self, message: Message<'a>) -> Result<Event<'a>, ProtocolError> {
        if self.stream_sid.is_some() {
            return Err(ProtocolError::OutOfOrder);
        }
        let start = message.start.as_ref().ok_or(ProtocolError::Missing("start"))?;
        let stream_sid = text(start, &["stream_sid", "streamSid"])
            .or_else(|| message.stream_sid().map(str::to_owned))
            .filter(|sid| plain(sid))
            .ok_or(ProtocolError::Missing("a stream_sid of letters and digits"))?;
        if message.stream_sid().is_some_and(|outer| outer != stream_sid) {
            return Err(ProtocolError::WrongStream);
        }
        let call_sid =
            text(start, &["call_sid", "callSid"]).ok_or(ProtocolError::Missing("start.call_sid"))?;
        self.sample_rate_hz = self.rate(start)?;
        self.stream_sid = Some(stream_sid.clone());
        let parameters = field(start, &["custom_parameters", "customParameters"]).and_then(Value::as_object);
        let parameters = parameters.into_iter().flatten();
        Ok(Event::Start(Start {
            stream_sid: stream_sid.into(),
            call_sid: call_sid.into(),
            account_sid: text(start, &["account_sid", "accountSid"]).unwrap_or_default().into(),
            format: self.format(),
            parameters: parameters
                .filter_map(|(name, value)| Some((Cow::from(name.clone()), Cow::from(written(value)?))))
                .collect(),
        }))
    }

    /// The stream's rate: the value of `start` over silence, what was asked for over a missing value.
    fn rate(&self, start: &Value) -> Result<u32, ProtocolError> {
        let Some(format) = field(start, &["media_format", "mediaFormat"]) else {
            return Ok(self.sample_rate_hz);
        };
        // The encoding has as many names as there are documents; the ones of another codec are what matters.
        let encoding = text(format, &["encoding"]).unwrap_or_default().to_ascii_lowercase();
        if ["law", "opus", "mp3"].iter().any(|other| encoding.contains(other)) {
            return Err(ProtocolError::UnsupportedFormat);
        }
        let Some(rate) = text(format, &["sample_rate", "sampleRate"]) else { return Ok(self.sample_rate_hz) };
        let digits: String = rate.chars().take_while(char::is_ascii_digit).collect();
        let rate = digits.parse().map_err(|_| ProtocolError::UnsupportedFormat)?;
        if RATES_HZ.contains(&rate) { Ok(rate) } else { Err(ProtocolError::UnsupportedFormat) }
    }

    fn check_stream(&self, message: &Message<'_>) -> Result<(), ProtocolError> {
        let own = self.stream_sid.as_deref().ok_or(ProtocolError::OutOfOrder)?;
        match message.stream_sid() {
            Some(sid) if sid != own => Err(ProtocolError::WrongStream),
            // Some messages of some applets do not name it, and a socket carries one stream.
            _ => Ok(()),
        }
    }
}

impl Wire for Exotel {
    fn decode<'a>(&mut self, text: &'a str) -> Result<Event<'a>, ProtocolError> {
        let message: Message<'a> = serde_json::from_str(text).map_err(|_| ProtocolError::Malformed)?;
        match message.event.as_ref() {
            "connected" if self.stream_sid.is_none() => return Ok(Event::Connected),
            "connected" => return Err(ProtocolError::OutOfOrder),
            "start" => return self.start(message),
            "media" if self.stream_sid.is_none() => return Err(ProtocolError::AudioBeforeStart),
            "media" | "dtmf" | "mark" | "stop" => self.check_stream(&message)?,
            _ => return Ok(Event::Unknown),
        }
        match message.event.as_ref() {
            "media" => media(message.media.ok_or(ProtocolError::Missing("media"))?),
            "dtmf" => {
                let digit = body(&message.dtmf, "digit").ok_or(ProtocolError::Missing("dtmf.digit"))?;
                Ok(key(digit.trim_matches('"')).map_or(Event::Unknown, |digit| Event::Dtmf { digit }))
            }
            "mark" => {
                let name = body(&message.mark, "name").ok_or(ProtocolError::Missing("mark.name"))?;
                Ok(Event::Mark { name: name.into() })
            }
            // The flow has taken the stream away: it may come back to the call with another one.
            _ if body(&message.stop, "reason").as_deref() == Some("stopped") => Ok(Event::StreamOver),
            _ => Ok(Event::Stop),
        }
    }

    fn encode(&mut self, command: &Command) -> String {
        self.sequence += 1;
        let sequence = self.sequence;
        // A stream SID was accepted from the carrier's own JSON; it is checked there to need no escaping here.
        let sid = self.stream_sid.as_deref().unwrap_or_default();
        match command {
            Command::Media(payload) => {
                let at_ms = self.format().duration_of(self.sent_bytes).as_millis();
                let padded_bytes = payload.len().next_multiple_of(PAYLOAD_MULTIPLE);
                self.chunks += 1;
                self.sent_bytes += padded_bytes as u64;
                let mut out = format!(
                    r#"{{"event":"media","stream_sid":"{sid}","sequence_number":"{sequence}","media":{{"chunk":"{}","timestamp":"{at_ms}","payload":""#,
                    self.chunks,
                );
                out.reserve(padded_bytes * 4 / 3 + 16);
                if payload.len() == padded_bytes {
                    BASE64_STANDARD.encode_string(payload, &mut out);
                } else {
                    let mut padded = payload.to_vec();
                    padded.resize(padded_bytes, 0);
                    BASE64_STANDARD.encode_string(padded, &mut out);
                }
                out.push_str(r#""}}"#);
                out
            }
            Command::Mark(name) => {
                let name = Value::from(name.as_str());
                format!(
                    r#"{{"event":"mark","stream_sid":"{sid}","sequence_number":"{sequence}","mark":{{"name":{name}}}}}"#
                )
            }
            Command::Clear => format!(r#"{{"event":"clear","stream_sid":"{sid}"}}"#),
        }
    }

    fn playout(&self) -> Playout {
        Playout { frame: Duration::from_millis(100), lead: Duration::from_millis(200) }
    }
}

fn media<'a>(media: WireMedia<'_>) -> Result<Event<'a>, ProtocolError> {
    let mut payload =
        BASE64_STANDARD.decode(media.payload.as_bytes()).map_err(|_| ProtocolError::BadBase64)?;
    // Half a sample would shift every one after it.
    payload.truncate(payload.len() & !1);
    Ok(Event::Media(Media {
        payload: Bytes::from(payload),
        chunk: media.chunk.0,
        offset: media.timestamp.0.map(Duration::from_millis),
    }))
}

/// A field by any of its names.
fn field<'a>(object: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| object.get(name)).filter(|value| !value.is_null())
}

/// The text of a field, which may be written as a number.
fn text(object: &Value, names: &[&str]) -> Option<String> {
    written(field(object, names)?).filter(|text| !text.is_empty())
}

fn body(object: &Option<Value>, name: &str) -> Option<String> {
    text(object.as_ref()?, &[name])
}

fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// All but audio is rare and has no certain shape: it is looked into field by field.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    stream_sid: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "streamSid")]
    stream_sid_camel: Option<Cow<'a, str>>,
    start: Option<Value>,
    #[serde(borrow)]
    media: Option<WireMedia<'a>>,
    dtmf: Option<Value>,
    mark: Option<Value>,
    stop: Option<Value>,
}

impl Message<'_> {
    fn stream_sid(&self) -> Option<&str> {
        self.stream_sid.as_deref().or(self.stream_sid_camel.as_deref())
    }
}

#[derive(Deserialize)]
struct WireMedia<'a> {
    #[serde(default)]
    chunk: Legible,
    #[serde(default)]
    timestamp: Legible,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[cfg(test)]
mod tests;
