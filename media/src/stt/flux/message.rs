//! CORE: the messages of `/v2/listen`.

use std::time::Duration;

use serde::Deserialize;

/// What matters of a server message.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Audio may come.
    Connected,
    /// The state of a turn.
    Turn {
        /// What happened to it.
        kind: Kind,
        /// All of its words so far; may be empty.
        text: String,
        /// How much the vendor has heard, on its clock.
        end: Duration,
    },
    /// The vendor closes the socket for this.
    Error(String),
    /// For the log.
    Warning(String),
}

/// What happened to a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// Nothing but time.
    Update,
    /// Its first words.
    StartOfTurn,
    /// It is probably over.
    EagerEndOfTurn,
    /// It was not.
    TurnResumed,
    /// It is over.
    EndOfTurn,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Wire {
    Connected,
    TurnInfo {
        event: Kind,
        #[serde(default)]
        transcript: String,
        #[serde(default)]
        audio_window_end: f64,
    },
    Error(Complaint),
    Warning(Complaint),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: String,
    #[serde(default)]
    description: String,
}

impl Complaint {
    fn text(self) -> String {
        format!("{} {}", self.code, self.description)
    }
}

/// Reads a text message; `None` for those that change nothing.
pub fn parse(text: &str) -> Option<Incoming> {
    match serde_json::from_str(text) {
        Ok(Wire::Connected) => Some(Incoming::Connected),
        Ok(Wire::TurnInfo { event, transcript, audio_window_end }) => {
            let end = Duration::try_from_secs_f64(audio_window_end).unwrap_or_default();
            Some(Incoming::Turn { kind: event, text: transcript, end })
        }
        Ok(Wire::Error(complaint)) => Some(Incoming::Error(complaint.text())),
        Ok(Wire::Warning(complaint)) => Some(Incoming::Warning(complaint.text())),
        Ok(Wire::Other) => None,
        // The error's own text could quote the transcript.
        Err(error) => Some(Incoming::Warning(format!("unreadable message: {:?}", error.classify()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_vendor_documents() {
        let text = r#"{"type":"TurnInfo","request_id":"uuid","sequence_id":11,"event":"EndOfTurn","turn_index":0,
            "audio_window_start":0.0,"audio_window_end":2.4,"transcript":"I want to change my address.",
            "words":[{"word":"I","confidence":0.98,"start":0.4,"end":0.5}],"end_of_turn_confidence":0.86,
            "trigger":"model","languages":["en"],"languages_hinted":["en"]}"#;
        let text_of_turn = "I want to change my address.".to_owned();
        let end = Duration::from_millis(2400);
        assert_eq!(parse(text), Some(Incoming::Turn { kind: Kind::EndOfTurn, text: text_of_turn, end }));
        let connected = r#"{"type":"Connected","request_id":"uuid","sequence_id":0}"#;
        assert_eq!(parse(connected), Some(Incoming::Connected));
        let error =
            r#"{"type":"Error","sequence_id":7,"code":"UNPARSABLE_CLIENT_MESSAGE","description":"x"}"#;
        assert_eq!(parse(error), Some(Incoming::Error("UNPARSABLE_CLIENT_MESSAGE x".into())));
    }

    #[test]
    fn ignores_what_it_does_not_know() {
        assert_eq!(
            parse(r#"{"type":"ConfigureSuccess","sequence_id":4,"thresholds":{},"keyterms":[]}"#),
            None
        );
        for strange in
            ["{", "[]", r#"{"type":"TurnInfo","event":"Unheard"}"#, r#"{"type":"Warning","code":"c"}"#]
        {
            assert!(matches!(parse(strange), Some(Incoming::Warning(_))), "{strange}");
        }
    }
}
