//! Twilio's webhooks: a call announces itself, asks what comes after a stream, and says that it is over.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{OriginalUri, Path, State},
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use mesh::{Pii, clock, error::reason_of};
use proto::{
    tenancy::v1::ResolveNumberResponse,
    types::v1::{CallContext, Carrier, Direction, EndReason, ErrorReason},
};
use tonic::{Code, Status};
use url::form_urlencoded;

use crate::{
    admission::{Announced, Step, Token},
    events::{CallAdmitted, WebhookAnswered, WebhookRefused},
    session::Note,
    shared::{Held, Shared},
    twilio::{
        signature::{self, Signed},
        twiml,
    },
};

/// The longest number or name of a party that is taken over.
const PARTY_CHARS_MAX: usize = 64;

/// `POST /twilio/voice`: a call announces itself.
pub async fn voice(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Forbidden> {
    let form = signed_form(&shared, "voice", &uri, &headers, &body)?;
    let (result, document) = match announce(&shared, &form).await {
        Ok(step) => ("admitted", step_document(&shared, &step)),
        Err(NotAdmitted::Repeated(step)) => ("repeated", step_document(&shared, &step)),
        Err(NotAdmitted::Incomplete) => ("incomplete", twiml::reject()),
        Err(NotAdmitted::Draining) => ("draining", twiml::busy()),
        Err(NotAdmitted::Full) => ("full", twiml::busy()),
        Err(NotAdmitted::UnknownNumber) => ("unknown_number", twiml::reject()),
        Err(NotAdmitted::TenancyAway(status)) => {
            tracing::error!(code = ?status.code(), error = status.message(), "number not resolved");
            ("tenancy_away", twiml::busy())
        }
    };
    WebhookAnswered { route: "voice", result, call_sid: &form.call_sid }.emit();
    Ok(xml(document))
}

/// `POST /twilio/after/{token}`: a media stream is over, or could not be opened.
pub async fn after(
    State(shared): State<Arc<Shared>>,
    Path(token): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Forbidden> {
    let form = signed_form(&shared, "after", &uri, &headers, &body)?;
    let step = next_step(&shared, &token, &form);
    let result = if step == Step::HangUp { "hang_up" } else { "resumed" };
    WebhookAnswered { route: "after", result, call_sid: &form.call_sid }.emit();
    Ok(xml(step_document(&shared, &step)))
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
        end_by_carrier(&shared, &form.call_sid);
        "call_over"
    } else {
        "noted"
    };
    WebhookAnswered { route: "status", result, call_sid: &form.call_sid }.emit();
    Ok(xml(twiml::empty()))
}

/// Why a call is not admitted.
enum NotAdmitted {
    Repeated(Step),
    Incomplete,
    Draining,
    Full,
    UnknownNumber,
    TenancyAway(Status),
}

async fn announce(shared: &Shared, form: &Form) -> Result<Step, NotAdmitted> {
    if form.call_sid.is_empty() || form.to.expose().is_empty() {
        return Err(NotAdmitted::Incomplete);
    }
    {
        let table = shared.table();
        if let Some(call_id) = table.call_of_sid(&form.call_sid) {
            return Err(NotAdmitted::Repeated(table.first_step(call_id)));
        }
        if shared.drain.is_draining() {
            return Err(NotAdmitted::Draining);
        }
        if table.is_full() {
            return Err(NotAdmitted::Full);
        }
    }
    let owner = resolve(shared, form).await?;
    let context = Arc::new(CallContext {
        call_id: uuid::Uuid::now_v7().to_string(),
        tenant: owner.tenant,
        agent: owner.agent,
        agent_version: owner.agent_version,
        carrier: Carrier::Twilio.into(),
        direction: form.direction().into(),
        from_number: form.from.expose().clone(),
        to_number: form.to.expose().clone(),
    });
    admit(shared, form, context)
}

async fn resolve(shared: &Shared, form: &Form) -> Result<ResolveNumberResponse, NotAdmitted> {
    shared.routes.resolve(form.ours(), Carrier::Twilio).await.map_err(|status| {
        // A number that the contract cannot even express is one that nobody owns.
        if status.code() == Code::NotFound || reason_of(&status) == Some(ErrorReason::InvalidField) {
            NotAdmitted::UnknownNumber
        } else {
            NotAdmitted::TenancyAway(status)
        }
    })
}

fn admit(shared: &Shared, form: &Form, context: Arc<CallContext>) -> Result<Step, NotAdmitted> {
    let token = new_token();
    let call_id = context.call_id.clone();
    let announced = Announced {
        context: Arc::clone(&context),
        call_sid: form.call_sid.clone(),
        account_sid: form.account_sid.clone(),
    };
    let mut table = shared.table();
    // The same webhook may have come twice while the number was resolved.
    if let Some(call_id) = table.call_of_sid(&form.call_sid) {
        return Err(NotAdmitted::Repeated(table.first_step(call_id)));
    }
    if shared.drain.is_draining() {
        return Err(NotAdmitted::Draining);
    }
    table
        .admit(announced, token.clone(), Held::new(&shared.drain), clock::now())
        .map_err(|_| NotAdmitted::Full)?;
    let in_progress = table.in_progress();
    drop(table);
    CallAdmitted { context: &context, in_progress }.emit();
    Ok(Step::Connect { token, call_id })
}

fn next_step(shared: &Shared, token: &str, form: &Form) -> Step {
    let mut table = shared.table();
    let Some(call_id) = table.call_of_token(token).map(str::to_owned) else { return Step::HangUp };
    if !table.is_announced_as(&call_id, &form.call_sid) {
        return Step::HangUp;
    }
    if form.is_over() {
        drop(table);
        end_by_carrier(shared, &form.call_sid);
        return Step::HangUp;
    }
    let current = table.is_current(&call_id, token);
    let step = table.next_step(&call_id, token, new_token(), clock::now());
    if !current {
        return step;
    }
    if let Some(held) = table.connected(&call_id) {
        // The carrier knows that the stream is over, perhaps before our socket does.
        let note = if step == Step::HangUp { Note::GaveUp } else { Note::StreamOver };
        let _ = held.notes.try_send(note);
    } else if step == Step::HangUp {
        drop(table);
        shared.end(&call_id, EndReason::CarrierLost, Duration::ZERO);
    }
    step
}

fn end_by_carrier(shared: &Shared, call_sid: &str) {
    let mut table = shared.table();
    let Some(call_id) = table.call_of_sid(call_sid).map(str::to_owned) else { return };
    if let Some(held) = table.connected(&call_id) {
        let _ = held.notes.try_send(Note::CarrierOver);
        return;
    }
    drop(table);
    shared.end(&call_id, EndReason::CallerHangup, Duration::ZERO);
}

fn new_token() -> Token {
    Token::from_random(rand::random())
}

/// What of a webhook matters here. Twilio adds parameters without notice.
#[derive(Debug, Default)]
struct Form {
    call_sid: String,
    account_sid: String,
    call_status: String,
    direction: String,
    from: Pii<String>,
    to: Pii<String>,
}

impl Form {
    fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let value = || value.chars().take(PARTY_CHARS_MAX).collect::<String>();
            match name.as_ref() {
                "CallSid" => form.call_sid = value(),
                "AccountSid" => form.account_sid = value(),
                "CallStatus" => form.call_status = value(),
                "Direction" => form.direction = value(),
                "From" => form.from = value().into(),
                "To" => form.to = value().into(),
                _ => {}
            }
        }
        form
    }

    fn is_over(&self) -> bool {
        matches!(self.call_status.as_str(), "completed" | "busy" | "failed" | "no-answer" | "canceled")
    }

    fn direction(&self) -> Direction {
        if self.direction.starts_with("outbound") { Direction::Outbound } else { Direction::Inbound }
    }

    /// The number of the call that is ours.
    fn ours(&self) -> &Pii<String> {
        if self.direction() == Direction::Outbound { &self.from } else { &self.to }
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

fn base_url(shared: &Shared) -> &str {
    shared.config.public_url.as_str().trim_end_matches('/')
}

/// The URL of a call's media socket, as it is written in the TwiML.
pub fn stream_url(shared: &Shared, token: &str) -> String {
    // `http` becomes `ws` and `https` becomes `wss`.
    let rest = base_url(shared).strip_prefix("http").unwrap_or_default();
    format!("ws{rest}/twilio/media/{}/{token}", shared.config.node)
}

fn step_document(shared: &Shared, step: &Step) -> String {
    match step {
        Step::Connect { token, call_id } => twiml::connect(&twiml::Connect {
            stream_url: &stream_url(shared, token.expose()),
            after_url: &format!("{}/twilio/after/{}", base_url(shared), token.expose()),
            call_id,
        }),
        Step::HangUp => twiml::hang_up(),
    }
}

fn xml(document: String) -> Response {
    ([(CONTENT_TYPE, "text/xml")], document).into_response()
}
