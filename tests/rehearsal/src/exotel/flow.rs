//! What Exotel does with a call: voice URL -> media stream -> Passthru, and from there back or to the end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use url::Url;

use super::Settings;
use super::wire::{ExotelDialect, Names};
use crate::carrier::socket::{self, Refused};
use crate::carrier::stream::{self, Offered, StreamEnd};
use crate::carrier::webhook::{Answer, AskError, Webhook};
use crate::carrier::{Ended, Leg, Plan, or_end, sid};

/// How often a flow leads back to the stream before it is given up.
const STREAMS_MAX: usize = 20;
/// Custom parameters of a stream: how many, and how long in all.
const PARAMETERS_MAX: (usize, usize) = (3, 256);

/// Asks one of the server's Exotel webhooks.
pub(crate) async fn ask(
    webhook: &Webhook,
    plan: &Plan,
    what: &str,
    more_params: &[(&str, &str)],
) -> Result<Answer, AskError> {
    webhook.get(&webhook.url(&format!("exotel/{}/{what}", plan.auth_token)), more_params).await
}

/// Runs the flow until the call ends.
pub(crate) async fn follow(leg: &mut Leg, settings: &Settings, mut answer: Answer) -> Ended {
    for _ in 0..STREAMS_MAX {
        leg.answered(&answer);
        if answer.status != 200 {
            return Ended::WebhookRefused { status: answer.status };
        }
        let ended = match url_of(&answer.text) {
            Ok(url) => run_stream(leg, settings, &url).await,
            Err(error) => return Ended::BadAnswer { error },
        };
        // A caller who has gone is told of too, but nothing comes of the answer.
        let by = if ended.is_some() { "user" } else { "bot" };
        let asked = passthru(leg, by).await;
        if let Some(ended) = ended {
            return ended;
        }
        let gone_on = match goes_on(asked) {
            Ok(()) if settings.connects => connect(leg).await,
            gone_on => gone_on,
        };
        if let Err(ended) = gone_on {
            return ended;
        }
        let again = ask(&leg.webhook, &leg.plan, "voice", &[]);
        answer = match or_end(again, &leg.hang_up, leg.deadline).await {
            Ok(answer) => answer,
            Err(ended) => return ended,
        };
    }
    Ended::TwimlLoop
}

/// Runs the one stream of a call that the server asked for: there is no flow around it.
pub(crate) async fn stream_alone(leg: &mut Leg, settings: &Settings, url: &str) -> Ended {
    run_stream(leg, settings, url).await.unwrap_or(Ended::ServerHungUp)
}

fn goes_on(asked: Result<u16, Ended>) -> Result<(), Ended> {
    match asked? {
        302 => Ok(()),
        200 => Err(Ended::ServerHungUp),
        status => Err(Ended::WebhookRefused { status }),
    }
}

/// The part of the flow that dials somebody, if the server wants it, and asks what comes after that.
async fn connect(leg: &mut Leg) -> Result<(), Ended> {
    let failed = |error: AskError| Ended::WebhookFailed { error: error.to_string() };
    let asked = ask(&leg.webhook, &leg.plan, "transfer", &[]).await.map_err(failed)?;
    leg.answered(&asked);
    match asked.status {
        302 => return Ok(()),
        200 => {}
        status => return Err(Ended::WebhookRefused { status }),
    }
    let whom = ask(&leg.webhook, &leg.plan, "connect", &[]).await.map_err(failed)?;
    leg.answered(&whom);
    let answer: Value = serde_json::from_str(&whom.text).unwrap_or_default();
    let numbers = answer["destination"]["numbers"].as_array().map_or(&[][..], Vec::as_slice);
    let [Value::String(number)] = numbers else {
        let error = "the answer needs destination.numbers with one number".to_owned();
        return Err(Ended::BadAnswer { error });
    };
    let end = leg.dial(number).await?;
    let call_type = match (end.caller_left, end.status) {
        (true, _) => "client-hangup",
        (false, "completed") => "completed",
        (false, _) => "incomplete",
    };
    let params = [
        ("CallType", call_type),
        ("DialCallStatus", end.status),
        ("DialWhomNumber", number.as_str()),
        ("DialCallDuration", if end.status == "completed" { "2" } else { "0" }),
    ];
    let after = ask(&leg.webhook, &leg.plan, "passthru", &params).await.map_err(failed)?;
    leg.answered(&after);
    if end.caller_left {
        return Err(Ended::CallerHungUp);
    }
    goes_on(Ok(after.status))
}

/// Runs one stream, whose handshake may fail once. The end of the call, if it ended with it.
async fn run_stream(leg: &mut Leg, settings: &Settings, url: &str) -> Option<Ended> {
    if settings.first_handshake_fails
        && let Ok(request) = request(&leg.webhook, url)
    {
        // The connection is gone before a word was said on it.
        drop(socket::dial(request).await);
    }
    for _ in 0..2 {
        let offered = offered(leg, settings, url);
        match stream::run(leg, offered).await {
            StreamEnd::CallOver(ended) => return Some(ended),
            // This carrier has no API that could.
            StreamEnd::Redirected(_) | StreamEnd::ServerClosed => {}
        }
        if leg.report.streams.last().is_some_and(|stream| stream.opened.is_some()) {
            return None;
        }
    }
    Some(Ended::StreamFailed)
}

async fn passthru(leg: &mut Leg, disconnected_by: &str) -> Result<u16, Ended> {
    let stream_sid = leg.report.streams.last().map(|stream| stream.stream_sid.clone()).unwrap_or_default();
    let whole = serde_json::json!({"StreamSID": stream_sid, "Status": "completed", "DisconnectedBy": disconnected_by});
    // Either way is documented.
    let apart = [
        ("Stream[StreamSID]", stream_sid.as_str()),
        ("Stream[Status]", "completed"),
        ("Stream[DisconnectedBy]", disconnected_by),
    ];
    let whole = whole.to_string();
    let params =
        if leg.plan.link.seed.is_multiple_of(2) { &apart[..] } else { &[("Stream", whole.as_str())] };
    let asked = ask(&leg.webhook, &leg.plan, "passthru", params);
    let answer = asked.await.map_err(|error| Ended::WebhookFailed { error: error.to_string() })?;
    leg.answered(&answer);
    Ok(answer.status)
}

fn url_of(text: &str) -> Result<String, String> {
    let answer: Value =
        serde_json::from_str(text).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let url = answer["url"].as_str().ok_or("the answer has no \"url\"")?;
    let parsed = Url::parse(url).map_err(|error| format!("\"url\" is not a URL: {error}"))?;
    if !matches!(parsed.scheme(), "ws" | "wss") {
        return Err("\"url\" must be wss".to_owned());
    }
    let parameters = parameters(&parsed);
    let length: usize = parameters.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if parameters.len() > PARAMETERS_MAX.0 || length > PARAMETERS_MAX.1 {
        return Err("\"url\" has more than 3 custom parameters, or over 256 characters of them".to_owned());
    }
    Ok(url.to_owned())
}

/// The custom parameters of a stream's URL.
fn parameters(url: &Url) -> Vec<(String, String)> {
    let pairs = url.query_pairs().filter(|(name, _)| name != "sample-rate");
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn offered(leg: &Leg, settings: &Settings, url: &str) -> Offered {
    let parsed = Url::parse(url).ok();
    let rate = parsed.as_ref().and_then(|url| url.query_pairs().find(|(name, _)| name == "sample-rate"));
    let rate_hz = match rate.as_ref().map_or("8000", |(_, rate)| rate.as_ref()) {
        "16000" => 16_000,
        "24000" => 24_000,
        _ => 8_000,
    };
    let stream_sid = sid("");
    let names = Names {
        account_sid: leg.plan.account_sid.clone(),
        call_sid: leg.call_sid.clone(),
        stream_sid: stream_sid.clone(),
        from: leg.plan.from.clone(),
        to: written(&leg.plan.to, leg.plan.link.seed),
    };
    let dialect = ExotelDialect::new(names, rate_hz, settings, leg.plan.link.seed);
    Offered {
        request: request(&leg.webhook, url),
        url: url.to_owned(),
        parameters: parsed.as_ref().map(parameters).unwrap_or_default(),
        dialect: Box::new(dialect),
        stream_sid,
    }
}

/// The handshake of a media WebSocket: what stands before the host becomes Basic authorization, the query stays.
fn request(webhook: &Webhook, url: &str) -> Result<http::Request<()>, Refused> {
    let because = |error: String| Refused::because(format!("the stream URL is invalid: {error}"));
    let mut url = Url::parse(url).map_err(|error| because(error.to_string()))?;
    let credentials = (!url.username().is_empty()).then(|| {
        format!(
            "Basic {}",
            BASE64.encode(format!("{}:{}", url.username(), url.password().unwrap_or_default()))
        )
    });
    if url.set_username("").and_then(|()| url.set_password(None)).is_err() {
        return Err(because("it has no host".to_owned()));
    }
    let dialled = webhook.dialled(&url);
    let mut request = dialled.as_str().into_client_request().map_err(|error| because(error.to_string()))?;
    if let Some(credentials) = credentials {
        let value = HeaderValue::from_str(&credentials).map_err(|error| because(error.to_string()))?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// An Indian number in one of the carrier's forms.
fn written(number: &str, seed: u64) -> String {
    match (number.strip_prefix("+91"), seed % 3) {
        (Some(national), 0) => format!("0{national}"),
        (Some(national), 1) => format!("91{national}"),
        _ => number.to_owned(),
    }
}

/// What the vendor tells of an incoming call, in the voice URL's request and in a Passthru's.
pub(crate) fn call_params(plan: &Plan, call_sid: &str) -> Vec<(String, String)> {
    let to = written(&plan.to, plan.link.seed);
    [
        ("CallSid", call_sid),
        ("CallFrom", &plan.from),
        ("CallTo", &to),
        ("Direction", "incoming"),
        ("Created", "Sun, 22 Nov 2026 10:11:12"),
        ("DialCallDuration", "0"),
        ("StartTime", "2026-11-22 10:11:12"),
        // The beginning of 1970 in India: the call goes on.
        ("EndTime", "1970-01-01 05:30:00"),
        ("CallType", "call-attempt"),
        ("From", &plan.from),
        ("To", &to),
        ("CurrentTime", "2026-11-22 10:11:13"),
        ("digits", "\"\""),
        ("flow_id", "1052"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
