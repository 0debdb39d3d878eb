//! What Twilio does with a call: it runs the TwiML that the webhooks answer.

use std::time::Duration;

use http::HeaderValue;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use url::Url;

use super::signature;
use super::twiml::{self, Method, Verb};
use super::wire::TwilioDialect;
use crate::carrier::socket::Refused;
use crate::carrier::stream::{self, Offered, StreamEnd};
use crate::carrier::webhook::{Answer, AskError, Webhook};
use crate::carrier::{Ended, Leg, Plan, What, or_end, sid};
use crate::clock;

/// Documents without a media stream between them before a call is given up.
const MAX_DOCUMENTS: usize = 20;
/// How long one key sounds, with the pause after it.
const KEY_LENGTH: Duration = Duration::from_millis(250);
/// Between two callbacks that tell of the same.
const CALLBACKS_APART: Duration = Duration::from_millis(300);

/// Posts the voice webhook.
pub(crate) async fn announce(webhook: &Webhook, plan: &Plan) -> Result<Answer, AskError> {
    webhook.ask(&webhook.voice_url(), Method::Post, &[], Some(&plan.auth_token)).await
}

/// Runs documents until the call ends.
pub(crate) async fn follow(leg: &mut Leg, mut answer: Answer) -> Ended {
    let mut documents_left = MAX_DOCUMENTS;
    loop {
        let streams_before = leg.report.streams.len();
        let next = match read_document(leg, &answer) {
            Ok(verbs) => run_document(leg, &answer.url, verbs).await,
            Err(ended) => return ended,
        };
        let streamed = leg.report.streams[streams_before..].iter().any(|stream| stream.started.is_some());
        documents_left = if streamed { MAX_DOCUMENTS } else { documents_left - 1 };
        let next = match next {
            Ok(_) if documents_left == 0 => return Ended::TwimlLoop,
            Ok(next) => next,
            Err(ended) => return ended,
        };
        let next = match next {
            Then::Ask(next) => next,
            Then::Run(text) => {
                let (url, content_type) = (answer.url, "text/xml".to_owned());
                answer = Answer { url, status: 200, content_type, text, read: clock::now() };
                continue;
            }
        };
        if next.caller_left {
            return leave(leg, &next).await;
        }
        let asked = ask(leg, &next, "in-progress");
        answer = match or_end(asked, &leg.hang_up, leg.deadline).await {
            Ok(answer) => answer,
            Err(ended) => return ended,
        };
    }
}

async fn ask(leg: &Leg, next: &Next, call_status: &str) -> Result<Answer, AskError> {
    let mut params = vec![("CallStatus", call_status)];
    params.extend(next.params.iter().map(|(name, value)| (*name, value.as_str())));
    leg.webhook.ask(&next.url, next.method, &params, Some(&leg.plan.auth_token)).await
}

/// The caller has gone while somebody else was dialled: that is told in any order.
async fn leave(leg: &mut Leg, next: &Next) -> Ended {
    let status = ("CallStatus", "completed");
    let url = leg.webhook.url("twilio/status");
    let told = leg.webhook.ask(&url, Method::Post, &[status], Some(&leg.plan.auth_token)).await;
    tokio::time::sleep(CALLBACKS_APART).await;
    match (told, ask(leg, next, "completed").await) {
        (Ok(_), Ok(_)) => Ended::CallerHungUp,
        (Err(error), _) | (_, Err(error)) => Ended::WebhookFailed { error: error.to_string() },
    }
}

fn read_document(leg: &mut Leg, answer: &Answer) -> Result<Vec<Verb>, Ended> {
    leg.answered(answer);
    if answer.status != 200 {
        return Err(Ended::WebhookRefused { status: answer.status });
    }
    if !answer.is_xml() {
        let error =
            format!("content-type is \"{}\", it must be text/xml or application/xml", answer.content_type);
        return Err(Ended::BadTwiml { error });
    }
    twiml::parse(&answer.text).map_err(|error| Ended::BadTwiml { error: error.to_string() })
}

async fn run_document(leg: &mut Leg, document_url: &str, verbs: Vec<Verb>) -> Result<Then, Ended> {
    for verb in verbs {
        match verb {
            Verb::Connect(connect) => {
                let offered = offered(leg, &connect.stream);
                let end = stream::run(leg, offered).await;
                tell_of_stream(leg, &connect.stream).await;
                match end {
                    StreamEnd::CallOver(ended) => return Err(ended),
                    StreamEnd::Redirected(document) => return Ok(Then::Run(document)),
                    StreamEnd::ServerClosed => {}
                }
                if let Some(action) = connect.action {
                    let stream_sid = leg.report.streams.last().map(|stream| stream.stream_sid.clone());
                    let mut next = Next::resolve(document_url, &action, connect.method)?;
                    next.params.extend(stream_sid.map(|stream_sid| ("StreamSid", stream_sid)));
                    return Ok(Then::Ask(next));
                }
            }
            Verb::Dial(dial) => {
                let end = leg.dial(&dial.number).await?;
                if let Some(action) = dial.action {
                    let mut next = Next::resolve(document_url, &action, dial.method)?;
                    next.params.push(("DialCallStatus", end.status.to_owned()));
                    next.params.push(("DialCallSid", sid("CA")));
                    next.caller_left = end.caller_left;
                    return Ok(Then::Ask(next));
                }
            }
            Verb::Keys(keys) => {
                leg.pass(KEY_LENGTH * u32::try_from(keys.len()).unwrap_or(1)).await?;
                leg.report.keys_sent.push_str(&keys);
                leg.tell(leg.clock.stamp(clock::now()), What::KeysSent { keys });
            }
            Verb::Redirect { url, method } => {
                return Next::resolve(document_url, &url, method).map(Then::Ask);
            }
            Verb::Hangup => return Err(Ended::ServerHungUp),
            Verb::Reject { reason } => return Err(Ended::Rejected { reason }),
            Verb::Quiet { name, length } => stay_quiet(leg, name, length).await?,
        }
    }
    Err(Ended::TwimlEnded)
}

/// Tells how a stream did that is over. Both callbacks come late here, as they may.
async fn tell_of_stream(leg: &Leg, noun: &twiml::Stream) {
    let (Some(url), Some(stream)) = (&noun.status_callback, leg.report.streams.last()) else { return };
    let events = match stream.started {
        Some(_) => &["stream-started", "stream-stopped"][..],
        None => &["stream-error"],
    };
    for event in events {
        let params = [
            ("StreamSid", stream.stream_sid.as_str()),
            ("StreamName", &stream.stream_sid),
            ("StreamEvent", event),
        ];
        // What the server makes of it changes nothing.
        let _ = leg.webhook.ask(url, Method::Post, &params, Some(&leg.plan.auth_token)).await;
    }
}

async fn stay_quiet(leg: &mut Leg, verb: &'static str, length: Duration) -> Result<(), Ended> {
    let now = clock::now();
    let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(call_sid = leg.call_sid, verb, length_ms, "silence in the place of a verb");
    leg.tell(leg.clock.stamp(now), What::Quiet { verb: verb.to_owned(), length_ms });
    leg.pass(length).await
}

/// A `<Stream>` as it is dialled.
fn offered(leg: &Leg, noun: &twiml::Stream) -> Offered {
    let stream_sid = sid("MZ");
    Offered {
        request: request(
            &leg.webhook,
            &noun.url,
            Some(&signature::sign(&leg.plan.auth_token, &noun.url, &[])),
        ),
        url: noun.url.clone(),
        parameters: noun.parameters.clone(),
        dialect: Box::new(TwilioDialect::new(&leg.plan.account_sid, &leg.call_sid, &stream_sid)),
        stream_sid,
    }
}

/// The handshake of a media WebSocket at a URL as written in TwiML.
pub(crate) fn request(
    webhook: &Webhook,
    url: &str,
    signature: Option<&str>,
) -> Result<http::Request<()>, Refused> {
    let parsed =
        Url::parse(url).map_err(|error| Refused::because(format!("the stream URL is invalid: {error}")))?;
    if !matches!(parsed.scheme(), "ws" | "wss") {
        return Err(Refused::because("the stream URL must be wss"));
    }
    if parsed.query().is_some() {
        return Err(Refused::because("the stream URL must not have a query string; use <Parameter>"));
    }
    let mut request = webhook
        .dialled(&parsed)
        .as_str()
        .into_client_request()
        .map_err(|error| Refused::because(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert("user-agent", HeaderValue::from_static("Twilio.TmeWs/1.0"));
    if let Some(signature) = signature {
        let value = HeaderValue::from_str(signature).map_err(|error| Refused::because(error.to_string()))?;
        headers.insert("x-twilio-signature", value);
    }
    Ok(request)
}

/// What comes after a document.
enum Then {
    Ask(Next),
    /// This document, which the call was told to run.
    Run(String),
}

/// The next document to ask for.
struct Next {
    url: String,
    method: Method,
    params: Vec<(&'static str, String)>,
    /// The caller is gone: it is asked for out of courtesy.
    caller_left: bool,
}

impl Next {
    fn resolve(document_url: &str, reference: &str, method: Method) -> Result<Self, Ended> {
        // An absolute URL stays as written: its signature is over that text.
        let url = match Url::parse(reference) {
            Ok(_) => reference.to_owned(),
            Err(_) => Url::parse(document_url)
                .and_then(|base| base.join(reference))
                .map_err(|error| Ended::BadTwiml { error: format!("\"{reference}\" is not a URL: {error}") })?
                .into(),
        };
        Ok(Self { url, method, params: Vec::new(), caller_left: false })
    }
}
