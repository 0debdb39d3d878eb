//! What a server says on a WebSocket, one message after another.

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use serde_json::Value;
use tokio::sync::mpsc;

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
