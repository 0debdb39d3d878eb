//! The carrier's end of a media WebSocket: how it is dialled, and a reader that stamps what arrives.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::task::AbortOnDropHandle;

use crate::clock;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages of the server between the socket and the play-out; when it is full the socket is not read.
const ARRIVAL_CAPACITY: usize = 256;

/// A media WebSocket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A handshake that was not answered with 101 (31920).
#[derive(Debug)]
pub struct Refused {
    pub status: Option<u16>,
    pub text: String,
}

impl Refused {
    pub(crate) fn because(text: impl Into<String>) -> Self {
        Self { status: None, text: text.into() }
    }
}

/// Something that came from the server, with the time at which it left the socket.
pub struct Arrival {
    pub at: Instant,
    pub what: Received,
}

/// What came from the server.
#[derive(Debug)]
pub enum Received {
    Text(Utf8Bytes),
    Binary,
    /// The last one: a close frame.
    Closed {
        code: Option<u16>,
        reason: String,
    },
    /// The last one: the connection broke.
    Lost(String),
}

/// Opens a media WebSocket.
pub async fn dial(request: http::Request<()>) -> Result<Socket, Refused> {
    // Frames are small and must leave at once; the default buffers would be most of a call's memory.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(0);
    let handshake = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(Error::Http(response))) => {
            let status = response.status().as_u16();
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Err(Refused {
                status: Some(status),
                text: format!("the handshake was answered with {status}: {body}"),
            })
        }
        Ok(Err(error)) => Err(Refused::because(format!("the handshake failed: {error}"))),
        Err(_) => Err(Refused::because(format!("no handshake within {} s", HANDSHAKE_TIMEOUT.as_secs()))),
    }
}

/// Reads a socket until its end; the last arrival is `Closed` or `Lost`.
pub fn read(mut stream: SplitStream<Socket>) -> (mpsc::Receiver<Arrival>, AbortOnDropHandle<()>) {
    let (sender, arrivals) = mpsc::channel(ARRIVAL_CAPACITY);
    let reader = tokio::spawn(async move {
        loop {
            let message = stream.next().await;
            let at = clock::now();
            let what = match message {
                Some(Ok(Message::Text(text))) => Received::Text(text),
                Some(Ok(Message::Binary(_))) => Received::Binary,
                Some(Ok(Message::Close(frame))) => Received::Closed {
                    code: frame.as_ref().map(|frame| frame.code.into()),
                    reason: frame.map(|frame| frame.reason.to_string()).unwrap_or_default(),
                },
                Some(Ok(_)) => continue,
                Some(Err(error)) => Received::Lost(error.to_string()),
                None => Received::Lost("the connection ended without a close frame".to_owned()),
            };
            let last = matches!(what, Received::Closed { .. } | Received::Lost(_));
            if sender.send(Arrival { at, what }).await.is_err() || last {
                return;
            }
        }
    });
    (arrivals, AbortOnDropHandle::new(reader))
}
