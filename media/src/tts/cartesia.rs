//! Cartesia over its WebSocket: one socket a call, one context a take.
//!
//! Cancelling stops only text that has not begun to be generated, so events of a cancelled context are dropped here. No
//! context survives its socket: each one open then is told as lost, and the next command dials again.

mod message;

use std::{collections::HashMap, time::Duration};

use futures_util::{SinkExt, StreamExt};
use mesh::clock;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

use super::{Command, Event, Session, Settings, Synthesizer, Take};
use message::Incoming;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The API version whose messages this adapter speaks.
const API_VERSION: &str = "2026-03-01";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const BACKOFF: [Duration; 3] =
    [Duration::from_millis(0), Duration::from_millis(150), Duration::from_millis(500)];
/// A command that cannot be written in this time means that the socket is dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens sessions with Cartesia.
#[derive(Debug, Default)]
pub struct Cartesia;

impl Synthesizer for Cartesia {
    fn open(&self, settings: Settings) -> Session {
        let (commands, command_rx) = mpsc::channel(64);
        let (event_tx, events) = mpsc::channel(64);
        tokio::spawn(run(settings, command_rx, event_tx));
        Session { commands, events }
    }
}

/// The contexts that are open on the present socket.
#[derive(Default)]
struct Contexts(HashMap<String, Take>);

impl Contexts {
    fn lose_all(&mut self, detail: &str) -> Vec<Event> {
        self.0.drain().map(|(_, take)| Event::Lost { take, detail: detail.to_owned() }).collect()
    }
}

enum DialError {
    Refused(String),
    Passing(String),
}

async fn run(settings: Settings, mut commands: mpsc::Receiver<Command>, events: mpsc::Sender<Event>) {
    // The first socket is opened before it is needed; later ones when a command comes.
    let mut pending = None;
    let mut reconnect = false;
    loop {
        if reconnect && pending.is_none() {
            pending = match commands.recv().await {
                Some(Command::Cancel { .. }) => continue,
                Some(command) => Some(command),
                None => return,
            };
        }
        let socket = match dial_again(&settings).await {
            Ok(socket) => socket,
            Err(detail) => {
                let _ = events.send(Event::Unavailable { detail }).await;
                return;
            }
        };
        let mut contexts = Contexts::default();
        let Some(detail) =
            converse(socket, &settings, &mut commands, &events, &mut contexts, pending.take()).await
        else {
            return;
        };
        tracing::info!(vendor = "cartesia", call_id = settings.call_id, detail, "synthesis socket lost");
        metrics::counter!("trunkline_vendor_reconnects_total", "vendor" => "cartesia").increment(1);
        reconnect = true;
        for event in contexts.lose_all(&detail) {
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

async fn dial_again(settings: &Settings) -> Result<Socket, String> {
    let mut last = String::new();
    for wait in BACKOFF {
        tokio::time::sleep(wait).await;
        match dial(settings).await {
            Ok(socket) => return Ok(socket),
            Err(DialError::Refused(detail)) => return Err(detail),
            Err(DialError::Passing(detail)) => last = detail,
        }
    }
    Err(last)
}

async fn dial(settings: &Settings) -> Result<Socket, DialError> {
    let mut url = crate::ws_origin(&settings.base_url);
    url.set_path("/tts/websocket");
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|error| DialError::Refused(format!("the base URL cannot be dialled: {error}")))?;
    let key = HeaderValue::from_str(settings.api_key.expose())
        .map_err(|_| DialError::Refused("the key cannot stand in a header".into()))?;
    request.headers_mut().insert("x-api-key", key);
    request.headers_mut().insert("cartesia-version", HeaderValue::from_static(API_VERSION));
    let config = WebSocketConfig::default()
        .read_buffer_size(8192)
        .write_buffer_size(0)
        .max_message_size(Some(4 << 20))
        .max_frame_size(Some(4 << 20));
    match timeout(CONNECT_TIMEOUT, connect_async_with_config(request, Some(config), true)).await {
        Ok(Ok((socket, response))) => {
            let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("-");
            tracing::debug!(vendor = "cartesia", call_id = settings.call_id, request_id = id, "connected");
            Ok(socket)
        }
        Ok(Err(Error::Http(response))) => {
            let status = response.status();
            let detail = format!("refused with HTTP {status}");
            Err(if status.as_u16() == 429 || status.is_server_error() {
                DialError::Passing(detail)
            } else {
                DialError::Refused(detail)
            })
        }
        Ok(Err(error)) => Err(DialError::Passing(error.to_string())),
        Err(_) => Err(DialError::Passing("no answer to the upgrade in time".into())),
    }
}

/// Runs one socket. `None`: the session was dropped. `Some(detail)`: the socket is lost.
async fn converse(
    socket: Socket,
    settings: &Settings,
    commands: &mut mpsc::Receiver<Command>,
    events: &mpsc::Sender<Event>,
    contexts: &mut Contexts,
    first: Option<Command>,
) -> Option<String> {
    let (mut sink, mut stream) = socket.split();
    let mut next = first;
    loop {
        if let Some(command) = next.take()
            && let Some(text) = outgoing(command, settings, contexts)
        {
            match timeout(SEND_TIMEOUT, sink.send(Message::text(text))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Some(error.to_string()),
                Err(_) => return Some("a command could not be written in time".into()),
            }
        }
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => next = Some(command),
                None => {
                    let _ = timeout(Duration::from_secs(1), sink.close()).await;
                    return None;
                }
            },
            message = stream.next() => {
                let event = match message {
                    Some(Ok(Message::Text(text))) => incoming(&text, contexts),
                    Some(Ok(Message::Close(frame))) => {
                        let why = frame.map_or_else(String::new, |frame| format!("{} {}", frame.code, frame.reason));
                        return Some(format!("closed by the vendor: {why}"));
                    }
                    Some(Ok(_)) => None,
                    Some(Err(error)) => return Some(error.to_string()),
                    None => return Some("closed by the vendor".into()),
                };
                if let Some(event) = event
                    && events.send(event).await.is_err()
                {
                    return None;
                }
            }
        }
    }
}

fn context_id(settings: &Settings, take: Take) -> String {
    format!("{}-{}t{}", settings.call_id, take.epoch, take.number)
}

fn outgoing(command: Command, settings: &Settings, contexts: &mut Contexts) -> Option<String> {
    match command {
        Command::Speak { take, text } => {
            let id = context_id(settings, take);
            let body = message::generation(settings, &id, &message::speakable(&text), true);
            contexts.0.insert(id, take);
            Some(body)
        }
        Command::Finish { take } => {
            let id = context_id(settings, take);
            contexts.0.contains_key(&id).then(|| message::generation(settings, &id, "", false))
        }
        Command::Cancel { take } => {
            let id = context_id(settings, take);
            contexts.0.remove(&id).map(|_| message::cancel(&id))
        }
    }
}

/// Turns a message into an event; messages of unknown or cancelled contexts are dropped.
fn incoming(text: &str, contexts: &mut Contexts) -> Option<Event> {
    match message::parse(text) {
        Incoming::Chunk { context_id, payload } => {
            contexts.0.get(&context_id).map(|take| Event::Audio { take: *take, payload })
        }
        Incoming::Words { context_id, words } => {
            contexts.0.get(&context_id).map(|take| Event::Words { take: *take, words })
        }
        Incoming::Done { context_id } => contexts.0.remove(&context_id).map(|take| Event::Done { take }),
        Incoming::Error { context_id, detail } => {
            tracing::warn!(vendor = "cartesia", detail, at = ?clock::now(), "error message");
            let take = contexts.0.remove(&context_id?)?;
            Some(Event::Lost { take, detail })
        }
        Incoming::Other => None,
    }
}
