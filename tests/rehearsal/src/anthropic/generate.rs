//! The answer as it comes: late, in pieces, and sometimes not to its end.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::cache::Usage;
use super::check::Request;
use super::steps::{Plan, Step};
use super::{Correlation, Fault, Shared, reply};
use crate::clock;
use crate::events::micros;
use crate::loopback::Connection;

/// Events that wait for a slow reader; after that the generation waits.
const QUEUED: usize = 16;

/// An accepted request on its way to an answer.
pub(super) struct Generation {
    pub(super) server: Arc<Shared>,
    pub(super) connection: Connection,
    pub(super) about: Correlation,
    pub(super) request: Request,
    pub(super) usage: Usage,
    pub(super) fault: Option<Fault>,
}

/// What was generated so far.
#[derive(Clone, Default)]
struct Spoken {
    text: String,
    /// When each piece of the text had been sent, with the length of the text up to its end: `[at_us, chars]`.
    sent: Vec<[u64; 2]>,
}

/// How a stream ended.
enum End {
    Done,
    Failed,
    /// The reader is gone.
    Gone,
}

impl Generation {
    /// The answer's headers come with the first token.
    pub(super) async fn respond(self) -> Response {
        let (events, received) = mpsc::channel(QUEUED);
        let (begin, begun) = oneshot::channel();
        let stream = self.request.stream;
        tokio::spawn(self.run(events, begin));
        let whole = begun.await.ok().flatten();
        if !stream && let Some(message) = whole {
            return axum::Json(message).into_response();
        }
        let body = Body::from_stream(ReceiverStream::new(received).map(Ok::<Bytes, Infallible>));
        ([("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")], body)
            .into_response()
    }

    async fn run(self, events: mpsc::Sender<Bytes>, begin: oneshot::Sender<Option<Value>>) {
        let spoken = Mutex::default();
        let mut plan = self.plan();
        let ended = tokio::select! {
            // The body is dropped when the client closes its end: that is how a generation is cancelled.
            () = events.closed() => End::Gone,
            end = self.generate(&mut plan, &events, begin, &spoken) => end,
        };
        let Spoken { text, sent } = spoken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let event = match ended {
            End::Done => self.about.event("done").with("stop_reason", plan.stop_reason),
            End::Failed => self.about.event("failed").with("fault", format!("{:?}", self.fault)),
            End::Gone => self.about.event("cancelled"),
        };
        let event = event.with("text", text).with("text_sent", json!(sent));
        self.server.log.push(event.with("output_tokens", plan.output_tokens));
    }

    fn plan(&self) -> Plan {
        let mut blocks = reply::compose(&self.request, self.server.long_answers);
        if matches!(self.fault, Some(Fault::Refusal)) || self.request.max_tokens == 0 {
            blocks.clear();
        }
        let mut plan = Plan::new(&self.request, blocks, &self.server.dice);
        match self.fault {
            Some(Fault::Refusal) => plan.stop_reason = "refusal",
            Some(Fault::MaxTokens) => plan.cut_in_last_block(),
            _ if self.request.max_tokens == 0 => plan.stop_reason = "max_tokens",
            _ => {}
        }
        plan
    }

    async fn generate(
        &self,
        plan: &mut Plan,
        events: &mpsc::Sender<Bytes>,
        begin: oneshot::Sender<Option<Value>>,
        spoken: &Mutex<Spoken>,
    ) -> End {
        if let Some(Fault::Hang(time)) = self.fault {
            tokio::time::sleep(time).await;
        }
        tokio::time::sleep(self.server.first_token.draw(&self.server.dice)).await;
        self.server.cache.lock().unwrap_or_else(PoisonError::into_inner).commit(&self.usage, clock::now());
        if !self.request.stream {
            return self.whole(plan, begin, spoken).await;
        }
        let out = Outgoing { generation: self, events };
        if begin.send(None).is_err() {
            return End::Gone;
        }
        match out.stream(plan, spoken).await {
            Ok(end) => end,
            Err(Gone) => End::Gone,
        }
    }

    async fn whole(&self, plan: &Plan, begin: oneshot::Sender<Option<Value>>, spoken: &Mutex<Spoken>) -> End {
        if let Some(Fault::Stall { time, .. }) = self.fault {
            tokio::time::sleep(time).await;
        }
        for step in &plan.steps {
            if let Step::Delta { delta, tokens, .. } = step {
                self.wait_for_tokens(*tokens).await;
                append(spoken, delta);
            }
        }
        if self.breaks() {
            self.connection.reset();
            return End::Failed;
        }
        let mut message = self.message(plan.content(), plan.output_tokens);
        message["stop_reason"] = json!(plan.stop_reason);
        message["stop_sequence"] = json!(plan.stop_sequence);
        message["stop_details"] = stop_details(plan);
        if begin.send(Some(message)).is_err() { End::Gone } else { End::Done }
    }

    async fn wait_for_tokens(&self, tokens: u64) {
        for _ in 0..tokens {
            tokio::time::sleep(self.server.next_token.draw(&self.server.dice)).await;
        }
    }

    /// Of a request that is not streamed: whether a fault of the stream takes the whole answer.
    fn breaks(&self) -> bool {
        matches!(
            self.fault,
            Some(Fault::Cut { .. } | Fault::Reset { .. } | Fault::OverloadedMidStream { .. })
        )
    }

    /// Waits if the stall is due before delta number `next` (from 0), and says whether the stream breaks there.
    async fn fault_at(&self, next: usize) -> bool {
        match self.fault {
            Some(Fault::Stall { after_deltas, time }) if after_deltas == next => {
                tokio::time::sleep(time).await;
                false
            }
            Some(
                Fault::Cut { after_deltas }
                | Fault::Reset { after_deltas }
                | Fault::OverloadedMidStream { after_deltas },
            ) => after_deltas == next,
            _ => false,
        }
    }

    fn message(&self, content: Vec<Value>, output_tokens: u64) -> Value {
        json!({
            "id": format!("msg_{}", uuid::Uuid::new_v4().simple()),
            "type": "message",
            "role": "assistant",
            "model": self.request.model_name,
            "content": content,
            "stop_reason": null,
            "stop_sequence": null,
            "usage": self.usage.to_json(output_tokens),
        })
    }
}

struct Gone;

struct Outgoing<'a> {
    generation: &'a Generation,
    events: &'a mpsc::Sender<Bytes>,
}

impl Outgoing<'_> {
    async fn stream(&self, plan: &Plan, spoken: &Mutex<Spoken>) -> Result<End, Gone> {
        let generation = self.generation;
        let server = &generation.server;
        self.send(json!({"type": "message_start", "message": generation.message(Vec::new(), 1)})).await?;
        let odd = server.dice.roll() < 0.25;
        let mut deltas = 0;
        for step in &plan.steps {
            match step {
                Step::Start { index, block } => {
                    self.send(json!({"type": "content_block_start", "index": index, "content_block": block}))
                        .await?;
                    self.send(json!({"type": "ping"})).await?;
                }
                Step::Delta { index, delta, tokens } => {
                    if generation.fault_at(deltas).await {
                        return self.break_off().await;
                    }
                    generation.wait_for_tokens(*tokens).await;
                    self.send(json!({"type": "content_block_delta", "index": index, "delta": delta})).await?;
                    append(spoken, delta);
                    deltas += 1;
                    if deltas == 1 {
                        server.log.push(generation.about.event("first_token"));
                    }
                    if odd && deltas == 2 {
                        self.strange(*index).await?;
                    }
                }
                Step::Stop { index } => {
                    self.send(json!({"type": "content_block_stop", "index": index})).await?
                }
            }
        }
        if generation.fault_at(deltas).await || generation.breaks() {
            return self.break_off().await;
        }
        self.finish(plan, odd).await?;
        Ok(End::Done)
    }

    /// What a client does not know it must pass over.
    async fn strange(&self, index: usize) -> Result<(), Gone> {
        self.send(json!({"type": "rehearsal_notice", "note": "an event of a later version"})).await?;
        let delta = json!({"type": "rehearsal_delta", "text": "not to be spoken"});
        self.send(json!({"type": "content_block_delta", "index": index, "delta": delta})).await
    }

    async fn finish(&self, plan: &Plan, odd: bool) -> Result<(), Gone> {
        if odd {
            let usage = json!({"output_tokens": plan.output_tokens / 2});
            let delta = json!({"stop_reason": null, "stop_sequence": null});
            self.send(json!({"type": "message_delta", "delta": delta, "usage": usage})).await?;
        }
        let mut delta = json!({"stop_reason": plan.stop_reason, "stop_sequence": plan.stop_sequence});
        if plan.stop_reason == "refusal" {
            delta["stop_details"] = stop_details(plan);
        }
        // Cumulative: it stands in place of what came before.
        let usage = json!({"output_tokens": plan.output_tokens});
        self.send(json!({"type": "message_delta", "delta": delta, "usage": usage})).await?;
        self.send(json!({"type": "message_stop"})).await
    }

    async fn break_off(&self) -> Result<End, Gone> {
        match self.generation.fault {
            Some(Fault::OverloadedMidStream { .. }) => {
                let error = json!({"type": "overloaded_error", "message": "Overloaded"});
                self.send(json!({"type": "error", "error": error})).await?;
            }
            Some(Fault::Reset { .. }) => self.generation.connection.reset(),
            _ => {}
        }
        Ok(End::Failed)
    }

    /// One event, now and then in two pieces that arrive apart, the cut inside a character if there is a long one.
    async fn send(&self, data: Value) -> Result<(), Gone> {
        let name = data["type"].as_str().unwrap_or_default();
        let bytes = Bytes::from(format!("event: {name}\ndata: {data}\n\n"));
        let dice = &self.generation.server.dice;
        let long_character = bytes.iter().position(|byte| !byte.is_ascii());
        let cut = match long_character {
            Some(at) => Some(at + 1),
            None if dice.roll() < 0.1 => Some((dice.roll() * bytes.len() as f64) as usize),
            None => None,
        };
        let Some(cut) = cut.filter(|cut| (1..bytes.len()).contains(cut)) else {
            return self.put(bytes).await;
        };
        self.put(bytes.slice(..cut)).await?;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        self.put(bytes.slice(cut..)).await
    }

    async fn put(&self, bytes: Bytes) -> Result<(), Gone> {
        self.events.send(bytes).await.map_err(|_| Gone)
    }
}

fn append(spoken: &Mutex<Spoken>, delta: &Value) {
    let Some(text) = delta["text"].as_str() else { return };
    let mut spoken = spoken.lock().unwrap_or_else(PoisonError::into_inner);
    spoken.text.push_str(text);
    let chars = spoken.text.chars().count() as u64;
    spoken.sent.push([micros(clock::time_of_day()), chars]);
}

fn stop_details(plan: &Plan) -> Value {
    match plan.stop_reason {
        "refusal" => json!({"type": "refusal", "category": "general_harms", "explanation": null}),
        _ => Value::Null,
    }
}
