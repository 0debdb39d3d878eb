//! CORE. What Exotel tells in a webhook: in the query, as a form, as multipart, or as JSON.

use mesh::Pii;
use proto::types::v1::CarrierOutcome;
use serde_json::Value;
use url::form_urlencoded;

use super::number::e164;
use crate::webhooks::{PARTY_CHARS_MAX, dial_outcome};

/// What of a webhook matters here.
#[derive(Debug, Default)]
pub struct Params {
    /// The carrier's name of the call.
    pub call_sid: String,
    /// `incoming` or `outbound-dial`.
    pub direction: String,
    /// The calling party, E.164 where it can be made of what came.
    pub from: Pii<String>,
    /// The called party: the ExoPhone.
    pub to: Pii<String>,
    /// Of a status callback: `completed`, `failed`, ...
    pub status: String,
    /// Of a status callback: `answered` or `terminal`.
    pub event_type: String,
    /// After a stream: its name.
    pub stream_sid: String,
    /// After a stream: `bot`, `user` or `NA`.
    pub disconnected_by: String,
    /// `client-hangup` when the caller has hung up. After somebody was dialled: `completed`, or `incomplete`.
    pub call_type: String,
    /// After somebody was dialled, where the flow tells it: `completed`, `busy`, ...
    pub dial_status: String,
    /// After somebody was dialled, where the flow tells it: for how many seconds they spoke.
    pub dial_duration: String,
}

impl Params {
    /// Reads a request.
    pub fn parse(query: Option<&str>, content_type: Option<&str>, body: &[u8]) -> Self {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            params.take(&name, &value);
        }
        let content_type = content_type.unwrap_or_default().trim();
        if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
            for (name, value) in &fields {
                match value {
                    Value::String(value) => params.take(name, value),
                    Value::Object(_) => params.take(name, &value.to_string()),
                    _ => {}
                }
            }
        } else if let Some(boundary) = content_type
            .strip_prefix("multipart/form-data")
            .and_then(|rest| rest.split_once("boundary="))
            .map(|(_, boundary)| boundary.split(';').next().unwrap_or_default().trim_matches('"'))
        {
            params.take_multipart(boundary, &String::from_utf8_lossy(body));
        } else {
            for (name, value) in form_urlencoded::parse(body) {
                params.take(&name, &value);
            }
        }
        params
    }

    /// True when the carrier says that the call is over for good.
    pub fn is_over(&self) -> bool {
        self.disconnected_by == "user"
            || self.call_type == "client-hangup"
            || self.event_type == "terminal"
            || matches!(self.status.as_str(), "completed" | "failed" | "busy" | "no-answer" | "canceled")
    }

    /// What came of dialling somebody. The flow may tell no more than whether anybody was spoken with.
    pub fn outcome(&self) -> CarrierOutcome {
        let has_spoken = self.dial_duration.parse::<f64>().is_ok_and(|seconds| seconds > 0.0);
        match self.dial_status.as_str() {
            "" if has_spoken || self.call_type == "completed" => CarrierOutcome::Completed,
            "" => CarrierOutcome::NoAnswer,
            status => dial_outcome(status),
        }
    }

    fn take(&mut self, name: &str, text: &str) {
        let value = || text.trim_matches('"').chars().take(PARTY_CHARS_MAX).collect::<String>();
        match name {
            "CallSid" => self.call_sid = value(),
            "Direction" => self.direction = value(),
            "CallFrom" => self.from = e164(&value()).into(),
            "CallTo" => self.to = e164(&value()).into(),
            "From" if self.from.expose().is_empty() => self.from = e164(&value()).into(),
            "To" if self.to.expose().is_empty() => self.to = e164(&value()).into(),
            "Status" => self.status = value(),
            "EventType" => self.event_type = value(),
            "DialCallStatus" => self.dial_status = value(),
            "DialCallDuration" => self.dial_duration = value(),
            "CallType" => self.call_type = value(),
            "Stream[StreamSID]" => self.stream_sid = value(),
            "Stream[DisconnectedBy]" => self.disconnected_by = value(),
            "Stream" => self.take_stream(text),
            _ => {}
        }
    }

    /// The same as the fields `Stream[...]`, in one.
    fn take_stream(&mut self, text: &str) {
        let stream: Value = serde_json::from_str(text).unwrap_or_default();
        for name in ["StreamSID", "DisconnectedBy"] {
            if let Some(value) = stream[name].as_str() {
                self.take(&format!("Stream[{name}]"), value);
            }
        }
    }

    fn take_multipart(&mut self, boundary: &str, body: &str) {
        for part in body.split(&format!("--{boundary}")) {
            let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
            let name = head.split_once("name=\"").and_then(|(_, rest)| rest.split('"').next());
            if let Some(name) = name {
                self.take(name, value.strip_suffix("\r\n").unwrap_or(value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_with_its_quirks() {
        let params = Params::parse(
            Some(
                "CallSid=c5a1&CallFrom=09812345678&CallTo=08047100100&From=x&Direction=incoming&CallType=call-attempt\
                 &EndTime=1970-01-01+05%3A30%3A00&digits=%221234%22&Stream%5BDisconnectedBy%5D=bot",
            ),
            None,
            b"",
        );
        assert_eq!((params.call_sid.as_str(), params.direction.as_str()), ("c5a1", "incoming"));
        assert_eq!(
            (params.from.expose().as_str(), params.to.expose().as_str()),
            ("+919812345678", "+918047100100")
        );
        assert_eq!(params.disconnected_by, "bot");
        assert!(!params.is_over());
        let stream =
            "CallSid=c&Stream=%7B%22StreamSID%22%3A%229f3c%22%2C%22DisconnectedBy%22%3A%22user%22%7D";
        let params = Params::parse(Some(stream), None, b"");
        assert_eq!((params.is_over(), params.stream_sid.as_str()), (true, "9f3c"));
    }

    #[test]
    fn what_came_of_dialling_is_told_in_one_of_two_ways() {
        let outcome = |query: &str| Params::parse(Some(query), None, b"").outcome();
        assert_eq!(outcome("CallType=incomplete&DialCallStatus=busy"), CarrierOutcome::Busy);
        assert_eq!(outcome("CallType=completed&DialCallStatus=completed"), CarrierOutcome::Completed);
        assert_eq!(outcome("CallType=completed"), CarrierOutcome::Completed);
        assert_eq!(outcome("CallType=incomplete"), CarrierOutcome::NoAnswer);
        assert_eq!(outcome("CallType=call-attempt"), CarrierOutcome::NoAnswer);
        assert_eq!(outcome("CallType=call-attempt&DialCallDuration=12"), CarrierOutcome::Completed);
        assert_eq!(outcome("CallType=incomplete&DialCallDuration=0"), CarrierOutcome::NoAnswer);
        assert_eq!(outcome("DialCallDuration=12&DialCallStatus=busy"), CarrierOutcome::Busy, "its own word");
    }

    #[test]
    fn a_body_is_read_in_every_form() {
        let form = b"CallSid=c5a1&Status=completed&RecordingUrl=";
        let json = br#"{"CallSid":"c5a1","EventType":"terminal","Status":"completed","ConversationDuration":41,"Legs":[]}"#;
        let multipart = b"--b\r\nContent-Disposition: form-data; name=\"CallSid\"\r\n\r\nc5a1\r\n\
            --b\r\nContent-Disposition: form-data; name=\"Status\"\r\n\r\ncompleted\r\n--b--\r\n";
        for (content_type, body) in [
            ("application/x-www-form-urlencoded", &form[..]),
            ("application/json", json),
            ("multipart/form-data; boundary=b", multipart),
        ] {
            let params = Params::parse(None, Some(content_type), body);
            assert_eq!((params.call_sid.as_str(), params.is_over()), ("c5a1", true), "{content_type}");
        }
        let alive = br#"{"CallSid":"c5a1","EventType":"answered","Status":"in-progress"}"#;
        assert!(!Params::parse(None, None, alive).is_over());
    }

    proptest::proptest! {
        #[test]
        fn no_request_makes_it_panic(query in ".{0,80}", kind in ".{0,40}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            Params::parse(Some(&query), Some(&kind), &body);
            Params::parse(None, Some("multipart/form-data; boundary="), &body);
        }
    }
}
