//! A server that says exactly what a test wants, word by word.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use url::Url;

use super::PATIENCE;

/// A listening server.
pub struct Raw(TcpListener);

impl Raw {
    pub async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port is free"))
    }

    pub fn base_url(&self) -> Url {
        format!("http://{}", self.0.local_addr().expect("bound")).parse().expect("a URL")
    }

    /// Takes the next connection and says nothing on it.
    pub async fn connection(&self) -> TcpStream {
        timeout(PATIENCE, self.0.accept()).await.expect("it is dialled").expect("a connection").0
    }

    /// Takes the next connection.
    #[expect(clippy::result_large_err, reason = "the library's own callback")]
    pub async fn accept(&self) -> (Request, Line) {
        let mut seen = None;
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            seen = Some(request.clone());
            Ok(response)
        };
        let socket = accept_hdr_async(self.connection().await, look).await.expect("a WebSocket");
        (seen.expect("the upgrade was seen"), Line(socket))
    }

    /// Refuses the next upgrade.
    pub async fn refuse(&self, status: u16) {
        let mut connection = self.connection().await;
        let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        connection.write_all(answer.as_bytes()).await.expect("written");
        // The request is read to its end, or the answer could be lost in a reset.
        let _ = timeout(Duration::from_millis(100), connection.readable()).await;
        let mut request = [0; 4096];
        let _ = connection.try_read(&mut request);
        let _ = connection.shutdown().await;
    }

    /// True if somebody dials within that time.
    pub async fn is_dialled(&self, within: Duration) -> bool {
        timeout(within, self.0.accept()).await.is_ok()
    }
}

/// An accepted socket.
pub struct Line(WebSocketStream<TcpStream>);

impl Line {
    pub async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.expect("sent");
    }

    pub async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.0.close(Some(frame)).await.expect("sent");
    }

    /// The next message; pings, which are answered, say nothing.
    pub async fn next(&mut self) -> Message {
        loop {
            match self.frame().await {
                Message::Ping(_) => {}
                message => return message,
            }
        }
    }

    /// Reads, and tells whether the socket is still there.
    pub async fn is_open(&mut self) -> bool {
        matches!(self.0.next().await, Some(Ok(message)) if !message.is_close())
    }

    /// The next message, or a ping.
    pub async fn frame(&mut self) -> Message {
        let next = timeout(PATIENCE, self.0.next()).await.expect("something comes");
        next.expect("the socket lives").expect("a message")
    }

    /// The next text as JSON; audio before it is skipped.
    pub async fn text(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.next().await {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }
}
