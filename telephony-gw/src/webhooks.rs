//! Twilio's webhooks: a call announces itself, asks what comes after a stream, and says that it is over.

use std::sync::Arc;

use axum::{
    extract::{OriginalUri, Path, State},
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use mesh::Pii;
use proto::types::v1::{Carrier, CarrierOutcome, Direction, carrier_action::Action};
use url::form_urlencoded;

use crate::{
    admission::Step,
    arrival::{self, Arrival, NotAdmitted},
    dialling::{self, Dialling},
    events::{WebhookAnswered, WebhookRefused},
    shared::Shared,
    twilio::{
        signature::{self, Signed},
        twiml,
    },
};

/// The longest number or name of a party that is taken over.
pub const PARTY_CHARS_MAX: usize = 64;

/// The query of the URL that asks what comes after an action.
const ACTED: &str = "acted";

/// `POST /twilio/voice`: a call announces itself.
pub async fn voice(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Forbidden> {
    let form = signed_form(&shared, "voice", &uri, &headers, &body)?;
    let announced = arrival::announce(&shared, &form.arrival()).await;
    let result = announced.as_ref().map_or_else(NotAdmitted::label, |_| "admitted");
    let document = match announced {
        Ok(step) | Err(NotAdmitted::Repeated(step)) => step_document(&shared, &step),
        Err(NotAdmitted::Incomplete | NotAdmitted::UnknownNumber) => twiml::reject(),
        Err(
            NotAdmitted::Draining
            | NotAdmitted::Full
            | NotAdmitted::VendorFull(_)
            | NotAdmitted::TenancyAway(_),
        ) => twiml::busy(),
    };
    WebhookAnswered { route: "voice", result, call_sid: &form.call_sid }.emit();
    Ok(xml(document))
}

/// What the carrier does next with a call that it asks about.
enum After {
    /// What it was asked to, and has not begun.
    Act(Action),
    /// Another stream, or the end.
    Step(Step),
}

/// `POST /twilio/after/{token}`: a media stream is over, or could not be opened; with the query `acted`, what was to be
/// done between two streams.
pub async fn after(
    State(shared): State<Arc<Shared>>,
    Path(token): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Forbidden> {
    let form = signed_form(&shared, "after", &uri, &headers, &body)?;
    let has_acted = uri.query() == Some(ACTED);
    let (result, document) = match next_step(&shared, &token, &form, has_acted) {
        After::Act(action) => ("act", action_document(&shared, &action, &token)),
        After::Step(step) => {
            let result = if step == Step::HangUp { "hang_up" } else { "resumed" };
            (result, step_document(&shared, &step))
        }
    };
    WebhookAnswered { route: "after", result, call_sid: &form.call_sid }.emit();
    Ok(xml(document))
}

/// `POST /twilio/status`: the call's state at the carrier.
pub async fn status(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Forbidden> {
    let form = signed_form(&shared, "status", &uri, &headers, &body)?;
    let result = if form.is_over() {
        arrival::end_by_carrier(&shared, &form.call_sid);
        "call_over"
    } else {
        "noted"
    };
    WebhookAnswered { route: "status", result, call_sid: &form.call_sid }.emit();
    Ok(xml(twiml::empty()))
}

/// `POST /twilio/status/{call_id}`: how far the dialling of a call that we place has come. Callbacks keep no order.
pub async fn dial_status(
    State(shared): State<Arc<Shared>>,
    Path(call_id): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Forbidden> {
    let form = signed_form(&shared, "dial_status", &uri, &headers, &body)?;
    let result = dialling::told(&shared, &call_id, &form.call_sid, Dialling::of_twilio(&form.call_status));
    WebhookAnswered { route: "dial_status", result, call_sid: &form.call_sid }.emit();
    Ok(xml(twiml::empty()))
}

/// `POST /twilio/stream/{token}`: how a media stream does, as a second witness beside its socket.
pub async fn stream_status(
    State(shared): State<Arc<Shared>>,
    Path(token): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Forbidden> {
    let form = signed_form(&shared, "stream", &uri, &headers, &body)?;
    let result = match form.stream_event.as_str() {
        "stream-stopped" | "stream-error" => arrival::stream_gone(&shared, &token, &form.call_sid),
        _ => "noted",
    };
    WebhookAnswered { route: "stream", result, call_sid: &form.call_sid }.emit();
    Ok(xml(twiml::empty()))
}

fn next_step(shared: &Shared, token: &str, form: &Form, has_acted: bool) -> After {
    let mut table = shared.table();
    let hang_up = After::Step(Step::HangUp);
    let Some(call_id) = table.call_of_token(token).map(str::to_owned) else { return hang_up };
    if !table.name(&call_id, &form.call_sid) {
        return hang_up;
    }
    // A question about an earlier stream came late or twice.
    let current = table.is_current(&call_id, token);
    let action = table.action(&call_id).filter(|_| current).and_then(|action| action.action.clone());
    drop(table);
    let step = match &action {
        Some(action) if has_acted => {
            Some(arrival::action_ended(shared, &call_id, token, form.outcome(action)))
        }
        _ => None,
    };
    if form.is_over() {
        arrival::end_by_carrier(shared, &form.call_sid);
        return hang_up;
    }
    match (step, action) {
        (Some(step), _) => After::Step(step),
        // The stream ended by itself before the carrier was told what to do.
        (None, Some(action)) => {
            arrival::acts(shared, &call_id);
            After::Act(action)
        }
        (None, None) => After::Step(arrival::next_step(shared, &call_id, token)),
    }
}

/// What of a webhook matters here. Twilio adds parameters without notice.
#[derive(Debug, Default)]
pub struct Form {
    call_sid: String,
    account_sid: String,
    call_status: String,
    dial_status: String,
    direction: String,
    stream_event: String,
    from: Pii<String>,
    to: Pii<String>,
}

impl Form {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let value = || value.chars().take(PARTY_CHARS_MAX).collect::<String>();
            match name.as_ref() {
                "CallSid" => form.call_sid = value(),
                "AccountSid" => form.account_sid = value(),
                "CallStatus" => form.call_status = value(),
                "DialCallStatus" => form.dial_status = value(),
                "StreamEvent" => form.stream_event = value(),
                "Direction" => form.direction = value(),
                "From" => form.from = value().into(),
                "To" => form.to = value().into(),
                _ => {}
            }
        }
        form
    }

    /// True when the carrier says that the call is over.
    pub fn is_over(&self) -> bool {
        matches!(self.call_status.as_str(), "completed" | "busy" | "failed" | "no-answer" | "canceled")
    }

    /// What came of an action that is over.
    fn outcome(&self, action: &Action) -> CarrierOutcome {
        match action {
            Action::Transfer(_) => dial_outcome(&self.dial_status),
            Action::SendDigits(_) => CarrierOutcome::Completed,
        }
    }

    fn direction(&self) -> Direction {
        if self.direction.starts_with("outbound") { Direction::Outbound } else { Direction::Inbound }
    }

    /// The call that it announces.
    pub fn arrival(&self) -> Arrival {
        let direction = self.direction();
        let ours = if direction == Direction::Outbound { &self.from } else { &self.to };
        Arrival {
            carrier: Carrier::Twilio,
            call_sid: self.call_sid.clone(),
            account_sid: Some(self.account_sid.clone()),
            direction,
            from: self.from.clone(),
            to: self.to.clone(),
            ours: ours.clone(),
        }
    }
}

/// What a carrier calls the end of a call to somebody else.
pub fn dial_outcome(status: &str) -> CarrierOutcome {
    match status {
        "completed" | "answered" => CarrierOutcome::Completed,
        "busy" => CarrierOutcome::Busy,
        "no-answer" => CarrierOutcome::NoAnswer,
        "canceled" => CarrierOutcome::Canceled,
        _ => CarrierOutcome::Failed,
    }
}

/// A webhook whose signature is missing or wrong, and why.
pub struct Forbidden(String);

impl IntoResponse for Forbidden {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, format!("webhook refused: {}\n", self.0)).into_response()
    }
}

/// The form of a webhook whose signature fits.
fn signed_form(
    shared: &Shared,
    route: &'static str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Form, Forbidden> {
    let refuse = |why: &dyn std::fmt::Display| {
        WebhookRefused { route, why }.emit();
        Forbidden(why.to_string())
    };
    let Some(account) = &shared.config.twilio else {
        return Err(refuse(&"no twilio auth token is configured"));
    };
    let url = format!("{}{}", base_url(shared), uri.path_and_query().map_or("/", |path| path.as_str()));
    let signed = Signed {
        url: &url,
        body,
        signature: header(headers, signature::HEADER),
        settings: header(headers, signature::SETTINGS_HEADER),
    };
    signature::check(account.auth_token.expose(), signed).map_err(|why| refuse(&why))?;
    let form = Form::parse(body);
    if account.account_sid.as_ref().is_some_and(|own| *own != form.account_sid) {
        return Err(refuse(&"the account sid is not the configured one"));
    }
    Ok(form)
}

/// A header's text, if it is there.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The base URL that carriers call, without a slash at its end.
pub fn base_url(shared: &Shared) -> &str {
    shared.config.public_url.as_str().trim_end_matches('/')
}

/// The URL of a call's media socket, as it is written in the TwiML.
pub fn stream_url(shared: &Shared, token: &str) -> String {
    // `http` becomes `ws` and `https` becomes `wss`.
    let rest = base_url(shared).strip_prefix("http").unwrap_or_default();
    format!("ws{rest}/twilio/media/{}/{token}", shared.config.node)
}

/// The document that lets a call take its next step.
pub fn step_document(shared: &Shared, step: &Step) -> String {
    match step {
        Step::Connect { token, call_id } => twiml::connect(&twiml::Connect {
            stream_url: &stream_url(shared, token.expose()),
            after_url: &format!("{}/twilio/after/{}", base_url(shared), token.expose()),
            status_url: &format!("{}/twilio/stream/{}", base_url(shared), token.expose()),
            call_id,
        }),
        Step::HangUp => twiml::hang_up(),
    }
}

/// The document that does what the media stream cannot.
pub fn action_document(shared: &Shared, action: &Action, token: &str) -> String {
    twiml::act(action, &format!("{}/twilio/after/{token}?{ACTED}", base_url(shared)))
}

fn xml(document: String) -> Response {
    ([(CONTENT_TYPE, "text/xml")], document).into_response()
}
