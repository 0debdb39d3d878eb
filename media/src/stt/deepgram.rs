//! Deepgram Nova over its WebSocket, `/v1/listen`. The carrier's mu-law goes through untouched.
//!
//! The audio since the last settled transcript is kept; when the socket is lost it is dialled again and that audio is
//! sent again, at no more than 1.25 times real time, which is what the vendor takes.

mod message;
mod replay;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mesh::clock;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

use super::{Command, Event, Session, Settings, Transcriber};
use message::Incoming;
use replay::Replay;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The vendor closes after 10 s without audio or text.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
const BACKOFF: [Duration; 4] = [
    Duration::from_millis(0),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
];
/// How often a backlog is drained after a reconnect.
const REPLAY_TICK: Duration = Duration::from_millis(20);

/// Opens sessions with Deepgram Nova.
#[derive(Debug, Default)]
pub struct Deepgram;

impl Transcriber for Deepgram {
    fn open(&self, settings: Settings) -> Session {
        let (commands, command_rx) = mpsc::channel(256);
        let (event_tx, events) = mpsc::channel(64);
        tokio::spawn(run(settings, command_rx, event_tx));
        Session { commands, events }
    }
}

/// Why a connection ended.
enum End {
    /// The session was dropped: all is well.
    Closed,
    /// The connection broke; dial again.
    Lost(String),
}

/// Whether dialling again can help.
enum DialError {
    Refused(String),
    Passing(String),
}

async fn run(settings: Settings, mut commands: mpsc::Receiver<Command>, events: mpsc::Sender<Event>) {
    let mut replay = Replay::default();
    let mut lost: Option<String> = None;
    loop {
        let socket = match dial_again(&settings, &mut commands, &mut replay).await {
            Ok(Some(socket)) => socket,
            Ok(None) => return,
            Err(detail) => {
                let _ = events.send(Event::Unavailable { detail }).await;
                return;
            }
        };
        if let Some(detail) = lost.take()
            && events.send(Event::Reconnected { detail }).await.is_err()
        {
            return;
        }
        match converse(socket, &mut commands, &events, &mut replay).await {
            End::Closed => return,
            End::Lost(detail) => {
                tracing::warn!(vendor = "deepgram", call_id = settings.call_id, detail, "transcription lost");
                metrics::counter!("trunkline_vendor_reconnects_total", "vendor" => "deepgram").increment(1);
                lost = Some(detail);
            }
        }
    }
}

/// Dials with a few attempts, keeping what the caller says meanwhile. `Ok(None)`: the session was dropped.
async fn dial_again(
    settings: &Settings,
    commands: &mut mpsc::Receiver<Command>,
    replay: &mut Replay,
) -> Result<Option<Socket>, String> {
    let mut last = String::new();
    for wait in BACKOFF {
        let attempt = async {
            tokio::time::sleep(wait).await;
            dial(settings).await
        };
        tokio::pin!(attempt);
        let result = loop {
            tokio::select! {
                result = &mut attempt => break result,
                command = commands.recv() => match command {
                    Some(Command::Audio(audio)) => replay.push(audio),
                    Some(Command::Finalize) => {}
                    None => return Ok(None),
                },
            }
        };
        match result {
            Ok(socket) => {
                replay.reconnected(clock::now());
                return Ok(Some(socket));
            }
            Err(DialError::Refused(detail)) => return Err(detail),
            Err(DialError::Passing(detail)) => last = detail,
        }
    }
    Err(last)
}

async fn dial(settings: &Settings) -> Result<Socket, DialError> {
    let url = listen_url(settings);
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|error| DialError::Refused(format!("the base URL cannot be dialled: {error}")))?;
    let key = HeaderValue::from_str(&format!("Token {}", settings.api_key.expose()))
        .map_err(|_| DialError::Refused("the key cannot stand in a header".into()))?;
    request.headers_mut().insert("authorization", key);
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(1 << 20))
        .max_frame_size(Some(1 << 20));
    match timeout(CONNECT_TIMEOUT, connect_async_with_config(request, Some(config), true)).await {
        Ok(Ok((socket, response))) => {
            let id = response.headers().get("dg-request-id").and_then(|id| id.to_str().ok()).unwrap_or("-");
            tracing::debug!(vendor = "deepgram", call_id = settings.call_id, request_id = id, "connected");
            Ok(socket)
        }
        Ok(Err(Error::Http(response))) => {
            let status = response.status();
            let code = response.headers().get("dg-error").and_then(|code| code.to_str().ok()).unwrap_or("-");
            let detail = format!("refused with HTTP {status}, dg-error {code}");
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

fn listen_url(settings: &Settings) -> url::Url {
    let mut url = crate::ws_origin(&settings.base_url);
    url.set_path("/v1/listen");
    url.query_pairs_mut()
        .append_pair("model", &settings.model)
        .append_pair("language", &settings.language)
        .append_pair("encoding", "mulaw")
        .append_pair("sample_rate", "8000")
        .append_pair("channels", "1")
        .append_pair("interim_results", "true")
        .append_pair("endpointing", "300")
        .append_pair("utterance_end_ms", "1000")
        .append_pair("punctuate", "true")
        .append_pair("tag", &settings.call_id);
    url
}

async fn converse(
    socket: Socket,
    commands: &mut mpsc::Receiver<Command>,
    events: &mpsc::Sender<Event>,
    replay: &mut Replay,
) -> End {
    let (mut sink, mut stream) = socket.split();
    let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
    let mut drain = tokio::time::interval(REPLAY_TICK);
    keep_alive.reset();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let sent = match command {
                    Some(Command::Audio(audio)) => {
                        replay.push(audio);
                        send_due(&mut sink, replay).await
                    }
                    Some(Command::Finalize) => sink.send(Message::text(message::FINALIZE)).await,
                    None => return close(sink, stream).await,
                };
                keep_alive.reset();
                if let Err(error) = sent {
                    return End::Lost(error.to_string());
                }
            }
            _ = drain.tick(), if replay.is_behind() => {
                if let Err(error) = send_due(&mut sink, replay).await {
                    return End::Lost(error.to_string());
                }
            }
            _ = keep_alive.tick() => {
                if let Err(error) = sink.send(Message::text(message::KEEP_ALIVE)).await {
                    return End::Lost(error.to_string());
                }
            }
            message = stream.next() => {
                let event = match message {
                    Some(Ok(Message::Text(text))) => incoming(&text, replay),
                    Some(Ok(Message::Close(frame))) => {
                        let why = frame.map_or_else(String::new, |frame| format!("{} {}", frame.code, frame.reason));
                        return End::Lost(format!("closed by the vendor: {why}"));
                    }
                    Some(Ok(_)) => None,
                    Some(Err(error)) => return End::Lost(error.to_string()),
                    None => return End::Lost("closed by the vendor".into()),
                };
                if let Some(event) = event
                    && events.send(event).await.is_err()
                {
                    return close(sink, stream).await;
                }
            }
        }
    }
}

type Sink = futures_util::stream::SplitSink<Socket, Message>;

async fn send_due(sink: &mut Sink, replay: &mut Replay) -> Result<(), Error> {
    while let Some(audio) = replay.due(clock::now()) {
        // An empty binary message would end the stream.
        if !audio.is_empty() {
            sink.send(Message::Binary(audio)).await?;
        }
    }
    Ok(())
}

fn incoming(text: &str, replay: &mut Replay) -> Option<Event> {
    match message::parse(text)? {
        Incoming::Transcript(mut transcript, start) => {
            transcript.end = replay.to_call(transcript.end);
            if transcript.is_final {
                let before = replay.settled();
                replay.settle(transcript.end);
                // Audio that was sent again can bring words that were settled before the socket was lost.
                if replay.to_call(start) + Duration::from_millis(20) < before && transcript.end <= before {
                    return None;
                }
            }
            Some(Event::Transcript(transcript))
        }
        Incoming::UtteranceEnd => Some(Event::UtteranceEnd),
        Incoming::Error(detail) => {
            tracing::warn!(vendor = "deepgram", detail, "error message");
            None
        }
    }
}

/// Ends the vendor's stream in good order, so that it stops billing.
async fn close(mut sink: Sink, mut stream: futures_util::stream::SplitStream<Socket>) -> End {
    let farewell = async {
        let _ = sink.send(Message::text(message::CLOSE_STREAM)).await;
        while let Some(Ok(message)) = stream.next().await {
            if message.is_close() {
                break;
            }
        }
        let _ = sink.close().await;
    };
    let _ = timeout(CLOSE_TIMEOUT, farewell).await;
    End::Closed
}
