//! Accepts media WebSockets: the token before the upgrade, then `connected` and `start` under a deadline.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum::{
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use proto::types::v1::DialState;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite;

use crate::{
    admission::Refusal,
    dialling,
    events::MediaSocketRefused,
    exotel,
    session::{Carrier, Note, Session},
    shared::Shared,
    twilio::signature::{self, Signed},
    webhooks::{header, stream_url},
    wire::{Event, Format, ProtocolError, Wire, exotel::Exotel, twilio::Twilio},
};

/// The largest message of a carrier: its usual one has 400 bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long after a call its carrier may take to ask what comes next.
const AFTER_GRACE: Duration = Duration::from_secs(2);
/// How long a refused carrier has to read why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// `GET /twilio/media/{node}/{token}`: the media WebSocket of an admitted call.
pub async fn twilio(
    State(shared): State<Arc<Shared>>,
    Path((node, token)): Path<(String, String)>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let signed = check_signature(&shared, &token, &headers);
    let wire = Twilio::default();
    open(shared, (node, token), signed.map(|()| wire).map_err(|why| ("wrong_signature", why)), upgrade)
}

/// `GET /exotel/media/{node}/{token}?sample-rate=8000`: likewise. The carrier dials a second time when a handshake
/// fails; the token is good for it, since no `start` has spent it.
pub async fn exotel(
    State(shared): State<Arc<Shared>>,
    Path((node, token)): Path<(String, String)>,
    parts: Parts,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let wire = match exotel::check_upgrade(&shared, &parts) {
        Err(why) => Err(("wrong_credentials", why)),
        Ok(()) => Exotel::rate_of_query(parts.uri.query())
            .map(Exotel::new)
            .ok_or(("wrong_rate", exotel::Refused::SampleRate)),
    };
    open(shared, (node, token), wire, upgrade)
}

/// Opens the socket if `wire`, which the carrier's own checks gave, and the token are good.
fn open<W: Wire + 'static, E: fmt::Display>(
    shared: Arc<Shared>,
    (node, token): (String, String),
    wire: Result<W, (&'static str, E)>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let refuse = |code: StatusCode, reason: &'static str, why: &dyn fmt::Display| {
        MediaSocketRefused { reason, why, token: Some(&token), call_id: None }.emit();
        // The other side learns nothing of what is wrong with its token.
        (code, code.canonical_reason().unwrap_or_default()).into_response()
    };
    if node != shared.config.node {
        return refuse(StatusCode::NOT_FOUND, "other_node", &"the url names another node");
    }
    let checked = shared.table().check(&token);
    if let Err(refusal) = checked {
        let code = match refusal {
            Refusal::UnknownToken => StatusCode::NOT_FOUND,
            Refusal::UsedToken | Refusal::CallOver | Refusal::OtherCall => StatusCode::FORBIDDEN,
        };
        return refuse(code, refusal.label(), &refusal);
    }
    let wire: Box<dyn Wire> = match wire {
        Ok(wire) => Box::new(wire),
        Err((reason, why)) => return refuse(StatusCode::FORBIDDEN, reason, &why),
    };
    let Ok(permit) = Arc::clone(&shared.handshakes).try_acquire_owned() else {
        return refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "handshakes_full",
            &"too many sockets without a start",
        );
    };
    match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_frame_size(MESSAGE_BYTES_MAX)
            // Small buffers: a carrier's frame has 400 bytes, and there is a pair of them for every call.
            .read_buffer_size(4_096)
            .write_buffer_size(0)
            .on_upgrade(move |socket| accept(shared, token, (socket, wire), permit)),
        Err(rejection) => refuse(StatusCode::BAD_REQUEST, "no_upgrade", &rejection),
    }
}

/// `GET /twilio/media/{node}` or `/exotel/media/{node}` without a token.
pub async fn media_without_token() -> Response {
    let why = &"the url has no token";
    MediaSocketRefused { reason: "no_token", why, token: None, call_id: None }.emit();
    (StatusCode::NOT_FOUND, "Not Found").into_response()
}

/// The signature of the upgrade, if the carrier sent one: the token in the path is what admits it.
fn check_signature(shared: &Shared, token: &str, headers: &HeaderMap) -> Result<(), signature::Refusal> {
    let (Some(account), Some(given)) = (&shared.config.twilio, header(headers, signature::HEADER)) else {
        return Ok(());
    };
    let url = stream_url(shared, token);
    let settings = header(headers, signature::SETTINGS_HEADER);
    let signed = Signed { url: &url, body: b"", signature: Some(given), settings };
    signature::check(account.auth_token.expose(), signed)
}

/// Why an open socket is refused.
#[derive(Debug, thiserror::Error)]
enum SocketRefusal {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Token(#[from] Refusal),
    #[error("no start came in time")]
    StartTimeout,
    #[error("the socket closed before start")]
    ClosedEarly,
    #[error("the call cannot take the stream at the moment")]
    CallBusy,
}

impl SocketRefusal {
    fn label(&self) -> &'static str {
        match self {
            Self::Protocol(error) => error.label(),
            Self::Token(refusal) => refusal.label(),
            Self::StartTimeout => "start_timeout",
            Self::ClosedEarly => "closed_before_start",
            Self::CallBusy => "call_busy",
        }
    }

    fn close_code(&self) -> u16 {
        match self {
            Self::Protocol(error) => error.close_code(),
            Self::Token(_) | Self::StartTimeout => 1008,
            Self::ClosedEarly => 1000,
            Self::CallBusy => 1013,
        }
    }
}

async fn accept(
    shared: Arc<Shared>,
    token: String,
    (mut socket, mut wire): (WebSocket, Box<dyn Wire>),
    permit: OwnedSemaphorePermit,
) {
    let started = tokio::time::timeout(shared.config.start_timeout, read_start(&mut socket, wire.as_mut()))
        .await
        .unwrap_or(Err(SocketRefusal::StartTimeout));
    let session = match started {
        Ok(started) => {
            let carrier = Carrier { socket, wire, format: started.format };
            bind(&shared, &token, &started, carrier)
        }
        Err(refusal) => Err((refusal, Box::new(socket))),
    };
    match session {
        Ok(session) => {
            drop(permit);
            if let Some(session) = session {
                let in_flight = shared.drain.in_flight();
                session.run().await;
                // The carrier asks what comes next when the stream is over: a draining node is still there to answer.
                tokio::spawn(async move {
                    tokio::time::sleep(AFTER_GRACE).await;
                    drop(in_flight);
                });
            }
        }
        Err((refusal, mut socket)) => {
            MediaSocketRefused { reason: refusal.label(), why: &refusal, token: Some(&token), call_id: None }
                .emit();
            // The permit is held: a refused socket counts until it is gone.
            let _ = tokio::time::timeout(FAREWELL_TIMEOUT, refuse(&mut socket, &refusal)).await;
        }
    }
}

/// What a `start` says that is needed to accept it.
struct Started {
    stream_sid: String,
    call_sid: String,
    account_sid: String,
    format: Format,
}

async fn read_start(socket: &mut WebSocket, wire: &mut dyn Wire) -> Result<Started, SocketRefusal> {
    loop {
        let text = match socket.recv().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => return Err(ProtocolError::Binary.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return Err(SocketRefusal::ClosedEarly),
            Some(Err(error)) => {
                return Err(violation(error).map_or(SocketRefusal::ClosedEarly, Into::into));
            }
        };
        match wire.decode(&text)? {
            Event::Start(start) => {
                return Ok(Started {
                    stream_sid: start.stream_sid.into_owned(),
                    call_sid: start.call_sid.into_owned(),
                    account_sid: start.account_sid.into_owned(),
                    format: start.format,
                });
            }
            // Before a start the dialect lets nothing else through that means anything.
            _ => continue,
        }
    }
}

/// Binds a started socket to its call: a new session for its first stream, a note to the one it has for a later.
fn bind(
    shared: &Arc<Shared>,
    token: &str,
    started: &Started,
    carrier: Carrier,
) -> Result<Option<Box<Session>>, (SocketRefusal, Box<WebSocket>)> {
    let mut table = shared.table();
    let Started { stream_sid, call_sid, account_sid, .. } = started;
    let accepted = match table.start(token, stream_sid, call_sid, account_sid) {
        Ok(accepted) => accepted,
        Err(refusal) => return Err((refusal.into(), Box::new(carrier.socket))),
    };
    if let Some(inbox) = accepted.held.inbox.take() {
        let in_flight = Arc::clone(&accepted.held.in_flight);
        let context = accepted.context;
        drop(table);
        // Whoever is connected has answered, whatever the carrier told of it.
        dialling::progressed(shared, &context.call_id, DialState::Answered);
        let session = Session::new(Arc::clone(shared), context, carrier, inbox, in_flight);
        return Ok(Some(Box::new(session)));
    }
    match accepted.held.notes.try_send(Note::Attach(Box::new(carrier))) {
        Ok(()) => Ok(None),
        Err(error) => match error.into_inner() {
            Note::Attach(carrier) => Err((SocketRefusal::CallBusy, Box::new(carrier.socket))),
            Note::StreamOver
            | Note::StreamGone
            | Note::CarrierOver
            | Note::Acts
            | Note::ActionEnded(_)
            | Note::HangUp
            | Note::GaveUp => Ok(None),
        },
    }
}

async fn refuse(socket: &mut WebSocket, refusal: &SocketRefusal) {
    let reason = Cow::from(refusal.to_string());
    if socket.send(close(refusal.close_code(), &reason)).await.is_ok() {
        // Closing with unread input would reset the connection, and the reason might never be read.
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

/// A close message.
pub fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}

/// What of the protocol a socket error violates; `None` if the connection just broke.
pub fn violation(error: axum::Error) -> Option<ProtocolError> {
    use tungstenite::{Error, error::ProtocolError as Ws};
    match error.into_inner().downcast_ref::<Error>()? {
        Error::Capacity(_) => Some(ProtocolError::TooLong),
        Error::Utf8(_) => Some(ProtocolError::Malformed),
        Error::Protocol(Ws::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(ProtocolError::Framing),
        _ => None,
    }
}
