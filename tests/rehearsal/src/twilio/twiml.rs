//! TwiML: the verbs a voice agent answers with. Stricter than the vendor, which ignores what it does not know: a verb
//! or a nested element that this carrier does not play is an error, so that a typing mistake cannot pass.

use std::time::Duration;

use roxmltree::{Document, Node};

/// The largest document the vendor takes.
pub const MAX_BYTES: usize = 64 * 1024;

const MAX_PARAMETER_CHARS: usize = 500;

/// One verb of a `<Response>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Connect(Connect),
    Redirect {
        url: String,
        method: Method,
    },
    Hangup,
    Dial(Dial),
    /// `<Play digits>`.
    Keys(String),
    Reject {
        reason: String,
    },
    /// `<Say>`, `<Play>` and `<Pause>`: this carrier plays silence of about the right length.
    Quiet {
        name: &'static str,
        length: Duration,
    },
}

/// `<Dial><Number>`: blocks the document until the other party is gone, or does not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// What to ask then.
    pub action: Option<String>,
    pub method: Method,
    /// E.164.
    pub number: String,
}

/// `<Connect><Stream>`: blocks the document until the media stream ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// What to ask when the stream has ended; verbs after this one are then not reached.
    pub action: Option<String>,
    pub method: Method,
    pub stream: Stream,
}

/// The `<Stream>` noun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// As written: the upgrade's signature is over this text.
    pub url: String,
    /// Where to tell how it does.
    pub status_callback: Option<String>,
    pub parameters: Vec<(String, String)>,
}

/// How a URL is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// Why a document cannot be run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TwimlError {
    #[error("the document is not well-formed XML: {0}")]
    NotXml(String),
    #[error("the document's root is <{0}>, it must be <Response>")]
    NotResponse(String),
    #[error("<{parent}> holds <{child}>, which this carrier does not know")]
    UnknownElement { parent: String, child: String },
    #[error("<{element}> needs the attribute {attribute}")]
    MissingAttribute { element: &'static str, attribute: &'static str },
    #[error("{attribute}=\"{value}\" of <{element}> is not allowed; {allowed}")]
    BadAttribute { element: &'static str, attribute: &'static str, value: String, allowed: &'static str },
    #[error("<Connect> needs exactly one <Stream>")]
    NotOneStream,
    #[error("<Dial> needs exactly one <Number>, in E.164")]
    NotOneNumber,
    #[error("<Redirect> needs a URL as its text")]
    NoRedirectUrl,
}

/// The verbs of a document, in order.
pub fn parse(text: &str) -> Result<Vec<Verb>, TwimlError> {
    let document = Document::parse(text).map_err(|error| TwimlError::NotXml(error.to_string()))?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err(TwimlError::NotResponse(root.tag_name().name().to_owned()));
    }
    root.children().filter(Node::is_element).map(verb).collect()
}

fn verb(node: Node<'_, '_>) -> Result<Verb, TwimlError> {
    match node.tag_name().name() {
        "Connect" => connect(node).map(Verb::Connect),
        "Redirect" => {
            let url =
                node.text().map(str::trim).filter(|url| !url.is_empty()).ok_or(TwimlError::NoRedirectUrl)?;
            Ok(Verb::Redirect { url: url.to_owned(), method: method(node, "Redirect")? })
        }
        "Hangup" => Ok(Verb::Hangup),
        "Reject" => {
            let reason = node.attribute("reason").unwrap_or("rejected");
            if !matches!(reason, "rejected" | "busy") {
                return Err(bad("Reject", "reason", reason, "use rejected or busy"));
            }
            Ok(Verb::Reject { reason: reason.to_owned() })
        }
        // About 15 characters a second, as speech goes.
        "Say" => {
            let chars = node.text().unwrap_or_default().trim().chars().count() as u64;
            Ok(Verb::Quiet { name: "Say", length: Duration::from_millis(chars * 65) })
        }
        "Dial" => dial(node).map(Verb::Dial),
        "Play" if node.attribute("digits").is_some() => keys(node).map(Verb::Keys),
        "Play" => Ok(Verb::Quiet { name: "Play", length: Duration::from_secs(2) }),
        "Pause" => {
            let length = node.attribute("length").unwrap_or("1");
            let seconds: u32 =
                length.parse().map_err(|_| bad("Pause", "length", length, "use whole seconds"))?;
            Ok(Verb::Quiet { name: "Pause", length: Duration::from_secs(seconds.into()) })
        }
        other => Err(unknown("Response", other)),
    }
}

fn connect(node: Node<'_, '_>) -> Result<Connect, TwimlError> {
    let mut streams = Vec::new();
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Stream" => streams.push(stream(child)?),
            other => return Err(unknown("Connect", other)),
        }
    }
    let stream = streams.pop().filter(|_| streams.is_empty()).ok_or(TwimlError::NotOneStream)?;
    let action = node.attribute("action").map(str::to_owned);
    Ok(Connect { action, method: method(node, "Connect")?, stream })
}

fn dial(node: Node<'_, '_>) -> Result<Dial, TwimlError> {
    let mut numbers = Vec::new();
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Number" => numbers.push(child.text().unwrap_or_default().trim().to_owned()),
            other => return Err(unknown("Dial", other)),
        }
    }
    let is_e164 = |number: &String| {
        number.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    let number = numbers.pop().filter(|_| numbers.is_empty()).filter(is_e164);
    let timeout = node.attribute("timeout").unwrap_or("30");
    if !timeout.parse::<u32>().is_ok_and(|seconds| (5..=600).contains(&seconds)) {
        return Err(bad("Dial", "timeout", timeout, "use 5 to 600 seconds"));
    }
    Ok(Dial {
        action: node.attribute("action").map(str::to_owned),
        method: method(node, "Dial")?,
        number: number.ok_or(TwimlError::NotOneNumber)?,
    })
}

fn keys(node: Node<'_, '_>) -> Result<String, TwimlError> {
    let digits = required(node, "Play", "digits")?;
    let allowed = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#' | 'w' | 'W');
    if digits.is_empty() || !digits.chars().all(allowed) {
        return Err(bad("Play", "digits", digits, "use 0-9, *, # and w"));
    }
    Ok(digits.to_owned())
}

fn stream(node: Node<'_, '_>) -> Result<Stream, TwimlError> {
    let url = required(node, "Stream", "url")?;
    if let Some(track) = node.attribute("track").filter(|track| *track != "inbound_track") {
        return Err(bad("Stream", "track", track, "a stream that also plays takes inbound_track only"));
    }
    let mut parameters = Vec::new();
    for child in node.children().filter(Node::is_element) {
        if child.tag_name().name() != "Parameter" {
            return Err(unknown("Stream", child.tag_name().name()));
        }
        let name = required(child, "Parameter", "name")?;
        let value = required(child, "Parameter", "value")?;
        if name.chars().count() + value.chars().count() >= MAX_PARAMETER_CHARS {
            return Err(bad(
                "Parameter",
                "value",
                value,
                "name and value must be under 500 characters together",
            ));
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    let status_callback = node.attribute("statusCallback").map(str::to_owned);
    if node.attribute("statusCallbackMethod").is_some_and(|method| method != "POST") {
        return Err(bad("Stream", "statusCallbackMethod", "GET", "only POST is rehearsed"));
    }
    Ok(Stream { url: url.to_owned(), status_callback, parameters })
}

fn method(node: Node<'_, '_>, element: &'static str) -> Result<Method, TwimlError> {
    match node.attribute("method").unwrap_or("POST") {
        "POST" => Ok(Method::Post),
        "GET" => Ok(Method::Get),
        other => Err(bad(element, "method", other, "use GET or POST")),
    }
}

fn required<'a>(
    node: Node<'a, '_>,
    element: &'static str,
    attribute: &'static str,
) -> Result<&'a str, TwimlError> {
    node.attribute(attribute).ok_or(TwimlError::MissingAttribute { element, attribute })
}

fn bad(element: &'static str, attribute: &'static str, value: &str, allowed: &'static str) -> TwimlError {
    TwimlError::BadAttribute { element, attribute, value: value.to_owned(), allowed }
}

fn unknown(parent: &str, child: &str) -> TwimlError {
    TwimlError::UnknownElement { parent: parent.to_owned(), child: child.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_answer_to_an_incoming_call() {
        let verbs = parse(
            r#"<?xml version="1.0" encoding="UTF-8"?>
            <Response>
              <Connect action="https://app.example/after?a=1&amp;b=2" method="POST">
                <Stream url="wss://app.example/media/n/t"><Parameter name="call_id" value="&lt;7&gt;"/></Stream>
              </Connect>
              <Redirect method="GET"> /again </Redirect>
              <Pause length="3"/><Hangup/>
            </Response>"#,
        )
        .unwrap();
        assert_eq!(
            verbs,
            [
                Verb::Connect(Connect {
                    action: Some("https://app.example/after?a=1&b=2".to_owned()),
                    method: Method::Post,
                    stream: Stream {
                        url: "wss://app.example/media/n/t".to_owned(),
                        status_callback: None,
                        parameters: vec![("call_id".to_owned(), "<7>".to_owned())],
                    },
                }),
                Verb::Redirect { url: "/again".to_owned(), method: Method::Get },
                Verb::Quiet { name: "Pause", length: Duration::from_secs(3) },
                Verb::Hangup,
            ]
        );
    }

    #[test]
    fn reads_what_is_done_between_two_streams() {
        let verbs = parse(
            r#"<Response><Dial action="/after" timeout="25"><Number>+12025550101</Number></Dial>
            <Play digits="1w2#"/></Response>"#,
        )
        .unwrap();
        let dial = Dial {
            action: Some("/after".to_owned()),
            method: Method::Post,
            number: "+12025550101".to_owned(),
        };
        assert_eq!(verbs, [Verb::Dial(dial), Verb::Keys("1w2#".to_owned())]);
        for text in [
            "<Dial/>",
            "<Dial><Number>0800</Number></Dial>",
            "<Dial timeout='1'><Number>+12025550101</Number></Dial>",
            "<Play digits='x'/>",
        ] {
            assert!(parse(&format!("<Response>{text}</Response>")).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_run() {
        let long = format!(
            r#"<Response><Connect><Stream url="wss://h/m"><Parameter name="n" value="{}"/></Stream></Connect></Response>"#,
            "v".repeat(499)
        );
        for (text, expected) in [
            ("not xml", "not well-formed"),
            ("<Reply/>", "must be <Response>"),
            ("<Response><Conect/></Response>", "<Conect>"),
            ("<Response><Connect/></Response>", "exactly one <Stream>"),
            ("<Response><Connect><Stream/></Connect></Response>", "attribute url"),
            (
                r#"<Response><Connect><Stream url="wss://h/m" track="both_tracks"/></Connect></Response>"#,
                "inbound_track only",
            ),
            ("<Response><Redirect/></Response>", "URL"),
            (r#"<Response><Redirect method="PUT">/x</Redirect></Response>"#, "GET or POST"),
            (&long, "under 500"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
