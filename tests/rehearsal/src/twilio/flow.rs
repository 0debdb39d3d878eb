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
        let mut params = vec![("CallStatus", "in-progress")];
        params.extend(next.stream_sid.as_deref().map(|stream_sid| ("StreamSid", stream_sid)));
        let asked = leg.webhook.ask(&next.url, next.method, &params, Some(&leg.plan.auth_token));
        answer = match or_end(asked, &leg.hang_up, leg.deadline).await {
            Ok(answer) => answer,
            Err(ended) => return ended,
        };
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

async fn run_document(leg: &mut Leg, document_url: &str, verbs: Vec<Verb>) -> Result<Next, Ended> {
    for verb in verbs {
        match verb {
            Verb::Connect(connect) => {
                let offered = offered(leg, &connect.stream);
                let end = stream::run(leg, offered).await;
                if let StreamEnd::CallOver(ended) = end {
                    return Err(ended);
                }
                if let Some(action) = connect.action {
                    let stream_sid = leg.report.streams.last().map(|stream| stream.stream_sid.clone());
                    return Next::resolve(document_url, &action, connect.method, stream_sid);
                }
            }
            Verb::Redirect { url, method } => return Next::resolve(document_url, &url, method, None),
            Verb::Hangup => return Err(Ended::ServerHungUp),
            Verb::Reject { reason } => return Err(Ended::Rejected { reason }),
            Verb::Quiet { name, length } => stay_quiet(leg, name, length).await?,
        }
    }
    Err(Ended::TwimlEnded)
}

async fn stay_quiet(leg: &mut Leg, verb: &'static str, length: Duration) -> Result<(), Ended> {
    let now = clock::now();
    let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(call_sid = leg.call_sid, verb, length_ms, "silence in the place of a verb");
    leg.tell(leg.clock.stamp(now), What::Quiet { verb: verb.to_owned(), length_ms });
    let until = (now + length).min(leg.deadline);
    tokio::select! {
        () = tokio::time::sleep_until(until.into()) => {}
        () = leg.hang_up.cancelled() => return Err(Ended::CallerHungUp),
    }
    if until == leg.deadline { Err(Ended::MaxDuration) } else { Ok(()) }
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

/// The next document to ask for.
struct Next {
    url: String,
    method: Method,
    stream_sid: Option<String>,
}

impl Next {
    fn resolve(
        document_url: &str,
        reference: &str,
        method: Method,
        stream_sid: Option<String>,
    ) -> Result<Self, Ended> {
        // An absolute URL stays as written: its signature is over that text.
        let url = match Url::parse(reference) {
            Ok(_) => reference.to_owned(),
            Err(_) => Url::parse(document_url)
                .and_then(|base| base.join(reference))
                .map_err(|error| Ended::BadTwiml { error: format!("\"{reference}\" is not a URL: {error}") })?
                .into(),
        };
        Ok(Self { url, method, stream_sid })
    }
}
