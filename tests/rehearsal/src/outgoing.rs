//! What a server says on a WebSocket, one message after another.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the client may take to read what is written and to close its end.
const CLOSING: Duration = Duration::from_secs(10);

/// A message on its way.
pub(crate) enum Outgoing {
    Event(Value),
    /// The last one: the code and the reason.
    Close(u16, &'static str),
}

/// Writes messages until the socket is closed or nobody sends any more. A slow reader holds up the queue.
pub(crate) async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = queue.recv().await {
        let sent = match outgoing {
            Outgoing::Event(event) => sink.send(Message::Text(event.to_string().into())).await,
            Outgoing::Close(code, reason) => {
                let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Ends a socket whose last message is queued, at the pace of the client's reading. What the client still sends is read: a
/// TCP connection that is closed with something unread is reset, and the client loses what it has not read.
pub(crate) async fn finish(mut writer: JoinHandle<()>, mut frames: SplitStream<WebSocket>) {
    let client = async { while let Some(Ok(_)) = frames.next().await {} };
    tokio::pin!(client);
    tokio::select! {
        _ = &mut writer => { let _ = timeout(CLOSING, client).await; }
        () = &mut client => writer.abort(),
    }
}
