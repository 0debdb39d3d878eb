//! CORE. Twilio's Media Streams dialect.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Deserialize;

use super::{
    Command, Event, Format, Media, Playout, ProtocolError, Start, Wire,
    field::{Number, key, plain},
};

/// One Twilio media stream.
#[derive(Debug, Default)]
pub struct Twilio {
    stream_sid: Option<String>,
}

impl Wire for Twilio {
    fn decode<'a>(&mut self, text: &'a str) -> Result<Event<'a>, ProtocolError> {
        let message: Message<'a> = serde_json::from_str(text).map_err(|_| ProtocolError::Malformed)?;
        match message.event.as_ref() {
            "connected" if self.stream_sid.is_none() => Ok(Event::Connected),
            "connected" => Err(ProtocolError::OutOfOrder),
            "start" => self.start(message),
            "media" if self.stream_sid.is_none() => Err(ProtocolError::AudioBeforeStart),
            "media" => {
                self.check_stream(&message)?;
                media(message.media.ok_or(ProtocolError::Missing("media"))?)
            }
            "dtmf" => {
                self.check_stream(&message)?;
                Ok(dtmf(&message.dtmf.ok_or(ProtocolError::Missing("dtmf"))?))
            }
            "mark" => {
                self.check_stream(&message)?;
                let mark = message.mark.ok_or(ProtocolError::Missing("mark"))?;
                Ok(Event::Mark { name: mark.name })
            }
            "stop" => {
                self.check_stream(&message)?;
                Ok(Event::Stop)
            }
            _ => Ok(Event::Unknown),
        }
    }

    fn encode(&mut self, command: &Command) -> String {
        // A stream SID was accepted from the carrier's own JSON; it is checked there to need no escaping here.
        let sid = self.stream_sid.as_deref().unwrap_or_default();
        match command {
            Command::Media(payload) => {
                let mut out = String::with_capacity(payload.len() * 4 / 3 + sid.len() + 64);
                out.push_str(r#"{"event":"media","streamSid":""#);
                out.push_str(sid);
                out.push_str(r#"","media":{"payload":""#);
                BASE64_STANDARD.encode_string(payload, &mut out);
                out.push_str(r#""}}"#);
                out
            }
            // Names come from the media role: quoting them costs nothing at a few marks an utterance.
            Command::Mark(name) => {
                let name = serde_json::Value::from(name.as_str());
                format!(r#"{{"event":"mark","streamSid":"{sid}","mark":{{"name":{name}}}}}"#)
            }
            Command::Clear => format!(r#"{{"event":"clear","streamSid":"{sid}"}}"#),
        }
    }

    fn playout(&self) -> Playout {
        // Twilio takes messages of any size, and each costs both sides a wake-up.
        Playout { frame: Duration::from_millis(60), lead: Duration::from_millis(200) }
    }
}

impl Twilio {
    fn start<'a>(&mut self, message: Message<'a>) -> Result<Event<'a>, ProtocolError> {
        if self.stream_sid.is_some() {
            return Err(ProtocolError::OutOfOrder);
        }
        let start = message.start.ok_or(ProtocolError::Missing("start"))?;
        if message.stream_sid.as_ref().is_some_and(|outer| *outer != start.stream_sid) {
            return Err(ProtocolError::WrongStream);
        }
        if !plain(&start.stream_sid) {
            return Err(ProtocolError::Missing("a stream sid of letters and digits"));
        }
        let format = start.media_format;
        if format.encoding != "audio/x-mulaw" || format.sample_rate.0 != 8_000 || format.channels.0 != 1 {
            return Err(ProtocolError::UnsupportedFormat);
        }
        self.stream_sid = Some(start.stream_sid.clone().into_owned());
        Ok(Event::Start(Start {
            stream_sid: start.stream_sid,
            call_sid: start.call_sid,
            account_sid: start.account_sid,
            format: Format::MULAW_8K,
            parameters: start.custom_parameters.into_iter().collect(),
        }))
    }

    fn check_stream(&self, message: &Message<'_>) -> Result<(), ProtocolError> {
        let own = self.stream_sid.as_deref().ok_or(ProtocolError::OutOfOrder)?;
        match message.stream_sid.as_deref() {
            Some(sid) if sid == own => Ok(()),
            Some(_) => Err(ProtocolError::WrongStream),
            None => Err(ProtocolError::Missing("streamSid")),
        }
    }
}

fn media<'a>(media: WireMedia<'_>) -> Result<Event<'a>, ProtocolError> {
    // A bidirectional stream carries the caller only; what it would carry of us must not be heard as the caller.
    if media.track.is_some_and(|track| track.starts_with("outbound")) {
        return Ok(Event::Unknown);
    }
    let payload = BASE64_STANDARD.decode(media.payload.as_bytes()).map_err(|_| ProtocolError::BadBase64)?;
    Ok(Event::Media(Media {
        payload: Bytes::from(payload),
        chunk: media.chunk.map(|number| number.0),
        offset: media.timestamp.map(|number| Duration::from_millis(number.0)),
    }))
}

fn dtmf<'a>(dtmf: &WireDtmf<'_>) -> Event<'a> {
    key(&dtmf.digit).map_or(Event::Unknown, |digit| Event::Dtmf { digit })
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, rename = "streamSid")]
    stream_sid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    start: Option<WireStart<'a>>,
    #[serde(borrow)]
    media: Option<WireMedia<'a>>,
    #[serde(borrow)]
    dtmf: Option<WireDtmf<'a>>,
    #[serde(borrow)]
    mark: Option<WireMark<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStart<'a> {
    #[serde(borrow)]
    account_sid: Cow<'a, str>,
    #[serde(borrow)]
    stream_sid: Cow<'a, str>,
    #[serde(borrow)]
    call_sid: Cow<'a, str>,
    #[serde(borrow)]
    media_format: WireFormat<'a>,
    #[serde(borrow, default)]
    custom_parameters: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFormat<'a> {
    #[serde(borrow)]
    encoding: Cow<'a, str>,
    sample_rate: Number,
    channels: Number,
}

#[derive(Deserialize)]
struct WireMedia<'a> {
    #[serde(borrow)]
    track: Option<Cow<'a, str>>,
    chunk: Option<Number>,
    timestamp: Option<Number>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WireDtmf<'a> {
    #[serde(borrow)]
    digit: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WireMark<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[cfg(test)]
mod tests;
