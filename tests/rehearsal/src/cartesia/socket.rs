//! One WebSocket: messages in, the events of all its contexts out.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{Message as Frame, WebSocket};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::check::{self, Input, Message};
use super::context::{Command, Context};
use super::failure::{Failure, Version};
use super::{OpenSocket, Shared};
use crate::clock;
use crate::events::Event;
use crate::loopback::Connection;
use crate::outgoing::{self, Outgoing};

/// Events that wait for a slow reader; after that its contexts wait.
const QUEUED: usize = 64;
/// Inputs that wait for their context; after that the socket is not read.
const QUEUED_INPUTS: usize = 64;
/// Contexts that are remembered, so that a finished one is not taken for a new one.
const REMEMBERED: usize = 1000;

/// An accepted socket.
pub(super) struct Socket {
    pub(super) server: Arc<Shared>,
    pub(super) connection: Connection,
    pub(super) version: Version,
    /// Held for its count.
    pub(super) open: OpenSocket,
}

struct Known {
    /// Closed once the context has ended.
    commands: mpsc::Sender<Command>,
    fixed: Map<String, Value>,
}

impl Socket {
    pub(super) async fn run(self, websocket: WebSocket) {
        let (sink, mut frames) = websocket.split();
        let (events, queue) = mpsc::channel(QUEUED);
        let writer = tokio::spawn(outgoing::write(sink, queue));
        let mut known: HashMap<String, Known> = HashMap::new();
        let mut idle_at = clock::now() + self.server.idle;
        let reason = loop {
            let frame = tokio::select! {
                frame = frames.next() => frame,
                () = tokio::time::sleep_until(idle_at.into()) => {
                    if known.values().all(|context| context.commands.is_closed()) {
                        let _ = events.send(Outgoing::Close(1000, "idle for too long")).await;
                        break "idle";
                    }
                    idle_at = clock::now() + self.server.idle;
                    continue;
                }
            };
            let text = match frame {
                Some(Ok(Frame::Text(text))) => text,
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
                Some(Ok(Frame::Close(_))) => break "closed by the client",
                Some(Ok(Frame::Binary(_))) => {
                    self.invalid(&events).await;
                    break "a binary message";
                }
                Some(Err(_)) | None => break "broken off",
            };
            idle_at = clock::now() + self.server.idle;
            let Some(fields) = check::fields(&text) else {
                self.invalid(&events).await;
                break "invalid JSON";
            };
            if !self.message(fields, &mut known, &events).await {
                let _ = events.send(Outgoing::Close(1008, "unauthorized")).await;
                break "unauthorized";
            }
        };
        // Contexts end with their socket: their commands are closed here, their events nobody takes.
        drop(known);
        drop(events);
        outgoing::finish(writer, frames).await;
        self.server.log.push(Event::new("cartesia", self.connection.id(), "closed").with("reason", reason));
        drop(self.open);
    }

    /// False: the socket is to be closed.
    async fn message(
        &self,
        fields: Map<String, Value>,
        known: &mut HashMap<String, Known>,
        events: &mpsc::Sender<Outgoing>,
    ) -> bool {
        let context = fields.get("context_id").and_then(Value::as_str).map(str::to_owned);
        let failure = match check::message(fields, self.version) {
            Ok(Message::Cancel(id)) => {
                // Unknown, or ended a moment ago: there is nothing to stop.
                if let Some(context) = known.get(&id) {
                    let _ = context.commands.send(Command::Cancel).await;
                }
                return true;
            }
            Ok(Message::Generate(input)) => match self.generate(*input, known, events).await {
                Ok(()) => return true,
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        // An error ends its context, not the socket.
        if let Some(context) = context.as_ref().and_then(|id| known.get(id)) {
            let _ = context.commands.send(Command::End).await;
        }
        self.fail(&failure, context.as_deref(), events).await;
        failure.status != 401
    }

    async fn generate(
        &self,
        input: Input,
        known: &mut HashMap<String, Known>,
        events: &mpsc::Sender<Outgoing>,
    ) -> Result<(), Failure> {
        self.server.log.push(
            event(self.connection.id(), "transcript", &input.context)
                .with("text", input.transcript.as_str())
                .with("continue", input.more)
                .with("flush", input.flush),
        );
        if let Some(context) = known.get(&input.context) {
            if context.commands.is_closed() {
                return Err(Failure::bad("the context has finished or expired: use a new context_id"));
            }
            if context.fixed != input.fixed {
                return Err(Failure::bad("all inputs of a context must have the same fields"));
            }
            return match context.commands.send(Command::Input(input)).await {
                Ok(()) => Ok(()),
                Err(_) => Err(Failure::bad("the context has finished or expired: use a new context_id")),
            };
        }
        if let Some(ailment) = self.connection.refusal() {
            return Err(Failure::of(ailment));
        }
        let active = Arc::clone(&self.server.contexts).try_acquire_owned();
        let active = active.map_err(|_| Failure::too_many("generations"))?;
        if known.len() >= REMEMBERED {
            known.retain(|_, context| !context.commands.is_closed());
        }
        let (commands, inbox) = mpsc::channel(QUEUED_INPUTS);
        known.insert(input.context.clone(), Known { commands, fixed: input.fixed.clone() });
        let server = Arc::clone(&self.server);
        let context =
            Context::new(server, self.connection.clone(), self.version, input, events.clone(), active);
        tokio::spawn(context.run(inbox));
        Ok(())
    }

    async fn invalid(&self, events: &mpsc::Sender<Outgoing>) {
        self.fail(&Failure::bad("the message is not a JSON object"), None, events).await;
        let _ = events.send(Outgoing::Close(1007, "invalid JSON")).await;
    }

    async fn fail(&self, failure: &Failure, context: Option<&str>, events: &mpsc::Sender<Outgoing>) {
        let logged = event(self.connection.id(), "error", context.unwrap_or_default());
        self.server.log.push(logged.with("status", failure.status).with("reason", failure.message.as_str()));
        let _ = events.send(Outgoing::Event(failure.to_event(self.version, context))).await;
    }
}

/// An event about a context. The caller's part of its id is the call.
pub(super) fn event(connection: u64, name: &'static str, context: &str) -> Event {
    let call = context.rsplit_once('-').map(|(call, _)| call);
    Event::new("cartesia", connection, name).call(call).with("context", context)
}
