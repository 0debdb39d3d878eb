//! Exotel's webhooks: a call announces itself, asks what comes after a stream, and says that it is over.
//!
//! Exotel signs nothing. What admits a request is the secret in its path, and the list of addresses where there is one.

pub mod network;
pub mod number;
pub mod params;
pub mod rest;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use proto::types::v1::{Carrier, CarrierOutcome, Direction, carrier_action::Action};
use sha2::{Digest, Sha256};

use crate::{
    admission::Step,
    arrival::{self, Arrival, NotAdmitted},
    config::ExotelAccount,
    dialling::{self, Dialling},
    events::{WebhookAnswered, WebhookRefused},
    shared::Shared,
    twilio::twiml::RING_S,
    webhooks::{base_url, header as text_of},
};
use params::Params;

/// The user of the media socket's Basic authentication; the secret is its password.
const USER: &str = "exotel";
/// The header in which a proxy says whom it speaks for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// How long Exotel's API may take to confirm what an unsigned callback says.
const RECHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing can be checked.
    #[error("no exotel secret is configured")]
    NotConfigured,
    /// The path has another secret.
    #[error("the secret in the path is wrong")]
    Secret,
    /// It does not come from Exotel.
    #[error("the address is not on the list of exotel's")]
    Address,
    /// The media socket's authorization is not the one that its URL had.
    #[error("the authorization is not the one of the url")]
    Authorization,
    /// The media URL asks for a rate that there is not.
    #[error("the sample-rate must be 8000, 16000 or 24000")]
    SampleRate,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, format!("webhook refused: {self}\n")).into_response()
    }
}

/// `GET /exotel/{secret}/voice`: a call asks for the URL of its media socket.
///
/// # Errors
/// Why the request is refused.
pub async fn voice(
    State(shared): State<Arc<Shared>>,
    Path(secret): Path<String>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Refused> {
    let (account, params) = admitted(&shared, "exotel_voice", &secret, &parts, &body)?;
    come_back(&shared, &params.call_sid, &params);
    let announced = arrival::announce(&shared, &arrival_of(account, &params)).await;
    let result = announced.as_ref().map_or_else(NotAdmitted::label, |_| "admitted");
    WebhookAnswered { route: "exotel_voice", result, call_sid: &params.call_sid }.emit();
    Ok(match announced {
        Ok(Step::Connect { token, call_id })
        | Err(NotAdmitted::Repeated(Step::Connect { token, call_id })) => {
            let url = stream_url(&shared, account, token.expose(), &call_id);
            axum::Json(serde_json::json!({ "url": url })).into_response()
        }
        // Any other status lets the flow go on, without us.
        Ok(Step::HangUp) | Err(NotAdmitted::Repeated(Step::HangUp)) => StatusCode::GONE.into_response(),
        Err(NotAdmitted::Incomplete) => StatusCode::BAD_REQUEST.into_response(),
        Err(NotAdmitted::UnknownNumber) => StatusCode::NOT_FOUND.into_response(),
        Err(
            NotAdmitted::Draining
            | NotAdmitted::Full
            | NotAdmitted::VendorFull(_)
            | NotAdmitted::TenancyAway(_),
        ) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    })
}

/// `GET /exotel/{secret}/passthru`: the flow asks for the agent's decision, after a stream or after somebody was dialled.
/// Found (302) if the call goes on, so that the flow leads to the next question and back to the stream; OK (200) if it is
/// over.
///
/// # Errors
/// Why the request is refused.
pub async fn passthru(
    State(shared): State<Arc<Shared>>,
    Path(secret): Path<String>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Refused> {
    let (_, params) = admitted(&shared, "exotel_passthru", &secret, &parts, &body)?;
    let (result, status) = match next_step(&shared, &params, true) {
        None => ("act", StatusCode::FOUND),
        Some(Step::Connect { .. }) => ("resumed", StatusCode::FOUND),
        Some(Step::HangUp) => ("hang_up", StatusCode::OK),
    };
    WebhookAnswered { route: "exotel_passthru", result, call_sid: &params.call_sid }.emit();
    Ok(status.into_response())
}

/// `GET /exotel/{secret}/transfer`: the flow asks how a call goes on. OK (200) if somebody is to be dialled; Found (302) if
/// it leads back to the stream.
///
/// # Errors
/// Why the request is refused.
pub async fn transfer(
    State(shared): State<Arc<Shared>>,
    Path(secret): Path<String>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Refused> {
    let (_, params) = admitted(&shared, "exotel_transfer", &secret, &parts, &body)?;
    let table = shared.table();
    let call_id = table.call_of_sid(&params.call_sid);
    let dials = call_id.is_some_and(|call_id| table.action(call_id).is_some() && !table.is_dialled(call_id));
    drop(table);
    let (result, status) = if dials { ("act", StatusCode::OK) } else { ("resumed", StatusCode::FOUND) };
    WebhookAnswered { route: "exotel_transfer", result, call_sid: &params.call_sid }.emit();
    Ok(status.into_response())
}

/// `GET /exotel/{secret}/connect`: the flow asks whom to dial.
///
/// # Errors
/// Why the request is refused.
pub async fn connect(
    State(shared): State<Arc<Shared>>,
    Path(secret): Path<String>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Refused> {
    let (_, params) = admitted(&shared, "exotel_connect", &secret, &parts, &body)?;
    let mut table = shared.table();
    let call_id = table.call_of_sid(&params.call_sid).map(str::to_owned);
    let whom = call_id.and_then(|call_id| {
        let (action, context) = table.dial(&call_id)?;
        let Some(Action::Transfer(transfer)) = &action.action else { return None };
        let ours = match context.direction() {
            Direction::Outbound => &context.from_number,
            _ => &context.to_number,
        };
        Some(serde_json::json!({
            "fetch_after_attempt": false,
            "destination": {"numbers": [transfer.to_number]},
            "outgoing_phone_number": ours,
            "max_ringing_duration": RING_S,
        }))
    });
    drop(table);
    let result = if whom.is_some() { "act" } else { "nobody" };
    WebhookAnswered { route: "exotel_connect", result, call_sid: &params.call_sid }.emit();
    Ok(match whom {
        Some(whom) => axum::Json(whom).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// `POST /exotel/{secret}/status`: the call's state at the carrier. Callbacks come late, twice, or not at all.
///
/// # Errors
/// Why the request is refused.
pub async fn status(
    State(shared): State<Arc<Shared>>,
    Path(secret): Path<String>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Refused> {
    let (_, params) = admitted(&shared, "exotel_status", &secret, &parts, &body)?;
    let result = if !params.is_over() {
        "noted"
    } else if is_alive(&shared, &params.call_sid).await {
        "doubted"
    } else {
        arrival::end_by_carrier(&shared, &params.call_sid);
        "call_over"
    };
    WebhookAnswered { route: "exotel_status", result, call_sid: &params.call_sid }.emit();
    Ok(StatusCode::OK.into_response())
}

/// `POST /exotel/{secret}/status/{call_id}`: how far the dialling of a call that we place has come.
///
/// # Errors
/// Why the request is refused.
pub async fn dial_status(
    State(shared): State<Arc<Shared>>,
    Path((secret, call_id)): Path<(String, String)>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Refused> {
    let (_, params) = admitted(&shared, "exotel_dial_status", &secret, &parts, &body)?;
    let dialling = Dialling::of_exotel(&params.event_type, &params.status);
    // The callback may be what first tells the call's name.
    let is_known = shared.table().name(&call_id, &params.call_sid);
    let is_end = is_known && matches!(dialling, Dialling::Over(_));
    let result = if is_end && is_alive(&shared, &params.call_sid).await {
        "doubted"
    } else {
        dialling::told(&shared, &call_id, &params.call_sid, dialling)
    };
    WebhookAnswered { route: "exotel_dial_status", result, call_sid: &params.call_sid }.emit();
    Ok(StatusCode::OK.into_response())
}

/// True if a call of ours goes on by the word of Exotel's API, whatever an unsigned callback says. Without an account to
/// ask with, or an answer, the callback is believed.
async fn is_alive(shared: &Shared, call_sid: &str) -> bool {
    let is_ours = {
        let table = shared.table();
        table.call_of_sid(call_sid).is_some_and(|call_id| table.is_in_progress(call_id))
    };
    let Some(calls) = shared.exotel.as_ref().filter(|_| is_ours) else { return false };
    let status = tokio::time::timeout(RECHECK_TIMEOUT, calls.status(call_sid)).await;
    matches!(status, Ok(Ok(status)) if matches!(status.as_str(), "queued" | "ringing" | "in-progress"))
}

/// Checks the upgrade of a media socket. Its authorization must fit if it is there: the token in the path is what
/// admits it.
///
/// # Errors
/// Why the socket is refused.
pub fn check_upgrade(shared: &Shared, parts: &Parts) -> Result<(), Refused> {
    let account = shared.config.exotel.as_ref().ok_or(Refused::NotConfigured)?;
    check_address(account, parts)?;
    let Some(given) = text_of(&parts.headers, header::AUTHORIZATION.as_str()) else { return Ok(()) };
    let wanted = BASE64_STANDARD.encode(format!("{USER}:{}", account.secret.expose()));
    let given = given.strip_prefix("Basic ").unwrap_or_default().trim();
    if same(given, &wanted) { Ok(()) } else { Err(Refused::Authorization) }
}

fn admitted<'a>(
    shared: &'a Shared,
    route: &'static str,
    secret: &str,
    parts: &Parts,
    body: &[u8],
) -> Result<(&'a ExotelAccount, Params), Refused> {
    let check = || {
        let account = shared.config.exotel.as_ref().ok_or(Refused::NotConfigured)?;
        check_address(account, parts)?;
        if same(secret, account.secret.expose()) { Ok(account) } else { Err(Refused::Secret) }
    };
    let account = check().inspect_err(|why| WebhookRefused { route, why }.emit())?;
    let content_type = text_of(&parts.headers, header::CONTENT_TYPE.as_str());
    Ok((account, Params::parse(parts.uri.query(), content_type, body)))
}

/// Compares without telling by the time it takes how much fits.
fn same(given: &str, wanted: &str) -> bool {
    Sha256::digest(given) == Sha256::digest(wanted)
}

fn check_address(account: &ExotelAccount, parts: &Parts) -> Result<(), Refused> {
    if account.networks.is_empty() {
        return Ok(());
    }
    let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>().map(|info| info.0.ip());
    let address = peer.map(|peer| client_of(peer, &parts.headers)).ok_or(Refused::Address)?;
    let known = account.networks.iter().any(|network| network.contains(address));
    if known { Ok(()) } else { Err(Refused::Address) }
}

/// Who asks: the peer, or whom it speaks for when it is a proxy on a private address.
fn client_of(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let private = match peer.to_canonical() {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private(),
        IpAddr::V6(peer) => peer.is_loopback() || peer.is_unique_local(),
    };
    let forwarded = text_of(headers, FORWARDED_FOR).and_then(|list| list.rsplit(',').next());
    forwarded.filter(|_| private).and_then(|address| address.trim().parse().ok()).unwrap_or(peer)
}

fn arrival_of(account: &ExotelAccount, params: &Params) -> Arrival {
    let outbound = params.direction.starts_with("outbound");
    Arrival {
        carrier: Carrier::Exotel,
        call_sid: params.call_sid.clone(),
        account_sid: account.account_sid.clone(),
        direction: if outbound { Direction::Outbound } else { Direction::Inbound },
        from: params.from.clone(),
        to: params.to.clone(),
        // A flow has the ExoPhone as the called party, whoever dialled.
        ours: params.to.clone(),
    }
}

/// What comes next; `None`: what the carrier was asked to do, which it `may_act` on from here.
fn next_step(shared: &Shared, params: &Params, may_act: bool) -> Option<Step> {
    let table = shared.table();
    let Some(call_id) = table.call_of_sid(&params.call_sid).map(str::to_owned) else {
        return Some(Step::HangUp);
    };
    let token = table.current_token(&call_id).cloned();
    let (acts, dialled) = (table.action(&call_id).is_some(), table.is_dialled(&call_id));
    let is_late = table.is_past_stream(&call_id, &params.stream_sid) && table.is_in_progress(&call_id);
    drop(table);
    if let (true, false, Some(token)) = (is_late, params.is_over(), &token) {
        // The question about an earlier stream, late or once more: the call went on then, and is not touched.
        return Some(Step::Connect { token: token.clone(), call_id });
    }
    let token = token.as_ref().map_or("", |token| token.expose());
    // Where nobody asked whom to dial, whatever is told is not about that.
    let outcome = if dialled { params.outcome() } else { CarrierOutcome::Failed };
    let ended =
        (acts && (dialled || !may_act)).then(|| arrival::action_ended(shared, &call_id, token, outcome));
    if params.is_over() {
        arrival::end_by_carrier(shared, &params.call_sid);
        return Some(Step::HangUp);
    }
    match ended {
        None if acts => None,
        None => Some(arrival::next_step(shared, &call_id, token)),
        ended => ended,
    }
}

/// A flow that leads back to the stream although somebody was to be dialled: nobody was, or nobody asked what came of it.
fn come_back(shared: &Shared, call_sid: &str, params: &Params) {
    let table = shared.table();
    let acts = table.call_of_sid(call_sid).is_some_and(|call_id| table.action(call_id).is_some());
    drop(table);
    if acts {
        next_step(shared, params, false);
    }
}

/// The URL of a call's media socket, with what its upgrade is to show. The call's id comes back as a custom parameter.
pub fn stream_url(shared: &Shared, account: &ExotelAccount, token: &str, call_id: &str) -> String {
    // `http` becomes `ws` and `https` becomes `wss`.
    let rest = base_url(shared).strip_prefix("http").unwrap_or_default();
    let (scheme, place) = rest.split_once("://").unwrap_or_default();
    let secret = account.secret.expose();
    let (node, rate) = (&shared.config.node, account.sample_rate_hz);
    format!(
        "ws{scheme}://{USER}:{secret}@{place}/exotel/media/{node}/{token}?sample-rate={rate}&call_id={call_id}"
    )
}
