//! The messages of a media stream. Numbers are strings, as the vendor writes them; what the server may send is three
//! events with exactly their fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::carrier::dialect::{Dialect, FromServer, Invalid};

/// Writes the carrier's messages with their sequence numbers.
#[derive(Debug)]
pub struct Writer {
    account_sid: String,
    call_sid: String,
    stream_sid: String,
    sequence: u64,
    chunk: u64,
}

impl Writer {
    /// A writer for a new stream.
    pub fn new(account_sid: &str, call_sid: &str, stream_sid: &str) -> Self {
        let [account_sid, call_sid, stream_sid] = [account_sid, call_sid, stream_sid].map(str::to_owned);
        Self { account_sid, call_sid, stream_sid, sequence: 0, chunk: 0 }
    }

    /// `connected`: the one message without a sequence number.
    pub fn connected() -> String {
        json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}).to_string()
    }

    /// `start`, with the `<Parameter>`s of the TwiML.
    pub fn start(&mut self, parameters: &[(String, String)]) -> String {
        let custom: serde_json::Map<String, Value> =
            parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let body = json!({
            "accountSid": self.account_sid, "streamSid": self.stream_sid, "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": custom,
        });
        self.message("start", body)
    }

    /// `media`: sound of the caller that begins `timestamp_ms` after the start of the stream.
    pub fn media(&mut self, timestamp_ms: u64, sound: &[u8]) -> String {
        self.chunk += 1;
        let body = json!({
            "track": "inbound", "chunk": self.chunk.to_string(), "timestamp": timestamp_ms.to_string(),
            "payload": BASE64.encode(sound),
        });
        self.message("media", body)
    }

    /// `dtmf`: one key.
    pub fn dtmf(&mut self, digit: char) -> String {
        self.message("dtmf", json!({"track": "inbound_track", "digit": digit.to_string()}))
    }

    /// `mark`: the echo of the server's mark.
    pub fn mark(&mut self, name: &str) -> String {
        self.message("mark", json!({"name": name}))
    }

    /// `stop`: the carrier ends the stream.
    pub fn stop(&mut self) -> String {
        let body = json!({"accountSid": self.account_sid, "callSid": self.call_sid});
        self.message("stop", body)
    }

    fn message(&mut self, event: &str, body: Value) -> String {
        self.sequence += 1;
        let mut message = json!({
            "event": event, "sequenceNumber": self.sequence.to_string(), "streamSid": self.stream_sid,
        });
        message[event] = body;
        message.to_string()
    }
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase", deny_unknown_fields)]
enum Message {
    Media {
        #[serde(rename = "streamSid")]
        stream_sid: String,
        media: MediaBody,
    },
    Mark {
        #[serde(rename = "streamSid")]
        stream_sid: String,
        mark: MarkBody,
    },
    Clear {
        #[serde(rename = "streamSid")]
        stream_sid: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MediaBody {
    payload: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkBody {
    name: String,
}

/// Reads a message of the server on the stream `stream_sid`.
pub fn parse(text: &str, stream_sid: &str) -> Result<FromServer, Invalid> {
    let message: Message = serde_json::from_str(text).map_err(|error| Invalid(error.to_string()))?;
    let (named, parsed) = match message {
        Message::Media { stream_sid, media } => {
            let sound =
                BASE64.decode(&media.payload).map_err(|error| Invalid(format!("media.payload: {error}")))?;
            (stream_sid, FromServer::Media(sound))
        }
        Message::Mark { stream_sid, mark } => (stream_sid, FromServer::Mark(mark.name)),
        Message::Clear { stream_sid } => (stream_sid, FromServer::Clear),
    };
    if named != stream_sid {
        return Err(Invalid("streamSid is not this stream's".to_owned()));
    }
    Ok(parsed)
}

/// Twilio's messages on one stream.
pub struct TwilioDialect {
    writer: Writer,
}

impl TwilioDialect {
    /// The messages of a new stream.
    pub fn new(account_sid: &str, call_sid: &str, stream_sid: &str) -> Self {
        Self { writer: Writer::new(account_sid, call_sid, stream_sid) }
    }
}

impl Dialect for TwilioDialect {
    fn connected(&mut self) -> String {
        Writer::connected()
    }

    fn start(&mut self, parameters: &[(String, String)]) -> String {
        self.writer.start(parameters)
    }

    fn media(&mut self, timestamp_ms: u64, sound: &[u8]) -> Option<String> {
        Some(self.writer.media(timestamp_ms, sound))
    }

    fn dtmf(&mut self, key: char) -> String {
        self.writer.dtmf(key)
    }

    fn mark(&mut self, name: &str) -> String {
        self.writer.mark(name)
    }

    fn stop(&mut self, _: bool) -> String {
        self.writer.stop()
    }

    fn parse(&mut self, text: &str) -> Result<FromServer, Invalid> {
        parse(text, &self.writer.stream_sid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_strings_and_count_from_start() {
        let mut writer = Writer::new("AC1", "CA1", "MZ1");
        assert_eq!(
            value(&Writer::connected()),
            json!({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        );
        let start = value(&writer.start(&[("call_id".to_owned(), "7".to_owned())]));
        assert_eq!(start["sequenceNumber"], "1");
        assert_eq!(start["start"]["customParameters"], json!({"call_id": "7"}));
        assert_eq!(
            start["start"]["mediaFormat"],
            json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1})
        );
        assert_eq!(
            value(&writer.media(20, &[0xFF; 3])),
            json!({"event": "media", "sequenceNumber": "2", "streamSid": "MZ1",
                   "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": "////"}})
        );
        assert_eq!(value(&writer.dtmf('#'))["dtmf"], json!({"track": "inbound_track", "digit": "#"}));
        assert_eq!(value(&writer.mark("m"))["mark"], json!({"name": "m"}));
        let stop = value(&writer.stop());
        assert_eq!((&stop["sequenceNumber"], &stop["stop"]["callSid"]), (&json!("5"), &json!("CA1")));
    }

    #[test]
    fn the_three_events_are_read() {
        let media = r#"{"event":"media","streamSid":"MZ1","media":{"payload":"////"}}"#;
        assert_eq!(parse(media, "MZ1"), Ok(FromServer::Media(vec![0xFF; 3])));
        let mark = r#"{"streamSid":"MZ1","mark":{"name":"a"},"event":"mark"}"#;
        assert_eq!(parse(mark, "MZ1"), Ok(FromServer::Mark("a".to_owned())));
        assert_eq!(parse(r#"{"event":"clear","streamSid":"MZ1"}"#, "MZ1"), Ok(FromServer::Clear));
    }

    #[test]
    fn anything_else_is_dropped() {
        for text in [
            "{",
            r#"{"event":"hangup","streamSid":"MZ1"}"#,
            r#"{"event":"clear"}"#,
            r#"{"event":"clear","streamSid":"MZ2"}"#,
            r#"{"event":"clear","streamSid":"MZ1","extra":1}"#,
            r#"{"event":"mark","streamSid":"MZ1"}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"////","track":"outbound"}}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"///"}}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"//_-"}}"#,
        ] {
            assert!(parse(text, "MZ1").is_err(), "{text}");
        }
    }
}
