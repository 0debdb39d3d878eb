//! SHELL: one `Converse` stream. Media's messages, the model and the tools go into the conversation; what it decides
//! comes out.

mod open;
mod wire;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mesh::{ServiceError, auth::Caller, clock};
use proto::{
    dialogue::v1::{ConverseRequest, ConverseResponse, converse_response::Event as Wire},
    types::v1::ErrorReason,
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};
use tracing::Instrument;

use self::{open::Setup, wire::Step};
use crate::{
    conversation::{Conversation, Effect, Generation, Input, Output, ToolCall, ToolResult},
    events,
    llm::{self, Completion, Event, Meter},
    prompt,
    service::Shared,
};

/// What the model and the tools have written and the conversation has not read: a full queue slows the model down.
const INPUTS: usize = 64;
/// A reader that takes nothing for so long is gone.
const SEND: Duration = Duration::from_secs(5);
/// A tool that gives no result for so long has failed.
const TOOL: Duration = Duration::from_secs(10);

/// What the session's tasks tell.
enum Told {
    /// For the conversation.
    Input(Input),
    /// Another model answers.
    FellBack { epoch: i64, model: String, detail: String },
}

type Responses = mpsc::Sender<Result<ConverseResponse, Status>>;

/// Serves one stream until it ends.
pub(crate) async fn run(
    shared: Arc<Shared>,
    caller: Caller,
    mut requests: Streaming<ConverseRequest>,
    responses: Responses,
) {
    let _in_flight = shared.drain.in_flight();
    let result = match open::open(&shared, &caller, &mut requests).await {
        Ok(setup) => Session::new(shared, setup, responses.clone()).converse(requests).await,
        Err(status) => Err(status),
    };
    match result {
        Ok(()) => tracing::debug!("the conversation is over"),
        Err(status) => {
            tracing::warn!(code = ?status.code(), reason = ?mesh::error::reason_of(&status), "the conversation broke off");
            let _ = tokio::time::timeout(SEND, responses.send(Err(status))).await;
        }
    }
}

struct Session {
    shared: Arc<Shared>,
    setup: Setup,
    conversation: Conversation,
    inputs: (mpsc::Sender<Told>, mpsc::Receiver<Told>),
    responses: Responses,
    /// Dropping a task cancels its request to the vendor or the tool.
    model: Option<AbortOnDropHandle<()>>,
    tools: BTreeMap<(Generation, usize), AbortOnDropHandle<()>>,
    /// Of the newest reply, by its epoch.
    meter: Option<(i64, Arc<Meter>)>,
}

impl Session {
    fn new(shared: Arc<Shared>, setup: Setup, responses: Responses) -> Self {
        let conversation =
            Conversation::new(setup.toolbox.effects(), setup.epoch_min).speaking(&setup.profile.language);
        let inputs = mpsc::channel(INPUTS);
        Self {
            shared,
            setup,
            conversation,
            inputs,
            responses,
            model: None,
            tools: BTreeMap::new(),
            meter: None,
        }
    }

    async fn converse(mut self, mut requests: Streaming<ConverseRequest>) -> Result<(), Status> {
        let shared = self.shared.clone();
        let max = tokio::time::sleep(shared.config.session_duration_max);
        tokio::pin!(max);
        let started = Wire::Started(self.setup.started());
        self.send(self.setup.epoch_min, started).await?;
        loop {
            let input = tokio::select! {
                biased;
                message = requests.message() => match message? {
                    None => return Ok(()),
                    Some(message) => match wire::step(message)? {
                        Step::Input(input) => input,
                        Step::Nothing => continue,
                        Step::Stop => return Ok(()),
                    },
                },
                Some(told) = self.inputs.1.recv() => match told {
                    Told::Input(input) => input,
                    Told::FellBack { epoch, model, detail } => {
                        self.setup.model.clone_from(&model);
                        self.send(epoch, wire::model_changed(model, detail)).await?;
                        continue;
                    }
                },
                () = self.responses.closed() => return Ok(()),
                () = shared.drain.expired() => {
                    return Err(ServiceError::new(ErrorReason::Draining, "the node is stopping").into());
                }
                () = &mut max => {
                    let error = ServiceError::new(ErrorReason::DeadlinePassed, "the conversation reached its maximum duration");
                    return Err(error.into());
                }
            };
            if let Input::ToolDone(generation, index, _) = &input {
                self.tools.remove(&(*generation, *index));
            }
            self.conversation.handle(input, clock::now());
            while let Some(output) = self.conversation.poll() {
                self.perform(output).await?;
            }
        }
    }

    async fn perform(&mut self, output: Output) -> Result<(), Status> {
        match output {
            Output::Generate { generation, may_use_tools } => self.generate(generation, may_use_tools),
            Output::Abort { .. } => self.abort("cancelled"),
            Output::Confirmed { .. } => {
                self.meter.iter().for_each(|(_, meter)| meter.confirm());
            }
            Output::Discard { .. } => self.abort("discarded"),
            Output::RunTool { generation, index, call, key } => self.run_tool(generation, index, call, &key),
            Output::FirstToken { epoch, delay } => {
                events::first_token(delay);
                self.send(epoch, wire::first_token(delay)).await?;
            }
            Output::Language { epoch, tag } => self.send(epoch, wire::language(tag)).await?,
            Output::Segment { epoch, index, text } => self.send(epoch, wire::segment(index, text)).await?,
            Output::ReplyDone { epoch, last_call } => {
                events::reply("done");
                let action = last_call.as_ref().and_then(|call| self.setup.toolbox.action(call));
                let end_call = last_call.is_some() && action.is_none();
                self.send(epoch, wire::reply_done(end_call, action)).await?;
            }
            Output::ReplyFailed { epoch, failure } => {
                events::reply("failed");
                tracing::warn!(epoch, detail = failure.detail, fatal = failure.is_fatal, "the reply failed");
                let apology = self.setup.apology(self.conversation.language());
                self.send(epoch, wire::reply_failed(&apology, failure)).await?;
            }
            Output::Refused { what } => events::refused(what),
            Output::RefusedEffect { kind } => events::refused_effect(kind),
        }
        Ok(())
    }

    fn generate(&mut self, generation: Generation, may_use_tools: bool) {
        let history = self.conversation.context();
        let request = prompt::request(&self.setup.profile, &history, &self.setup.call_id, may_use_tools);
        let completion = Completion {
            model: self.setup.model.clone(),
            key: self.setup.key.clone(),
            call_id: self.setup.call_id.clone(),
            request: Arc::new(request),
            meter: self.meter(generation.epoch),
            breakers: Arc::clone(&self.shared.breakers),
        };
        let (shared, inputs) = (self.shared.clone(), self.inputs.0.clone());
        let fallback = self.setup.fallback.clone();
        let task = async move {
            let wrap = |event| told(generation, event);
            if let Err(failure) =
                llm::complete(&*shared.model, completion, fallback.as_deref(), &inputs, wrap).await
            {
                // The session outlives its tasks: a closed queue means that nobody waits for the reply.
                let _ = inputs.send(Told::Input(Input::Failed(generation, failure.into()))).await;
            }
        };
        self.model = Some(AbortOnDropHandle::new(tokio::spawn(task.in_current_span())));
    }

    /// Only one reply is being made at a time.
    fn abort(&mut self, outcome: &'static str) {
        self.model = None;
        self.tools.clear();
        self.meter = None;
        events::reply(outcome);
    }

    fn meter(&mut self, epoch: i64) -> Arc<Meter> {
        match &self.meter {
            Some((of, meter)) if *of == epoch => Arc::clone(meter),
            _ => {
                let meter = Arc::new(Meter::new(!self.conversation.is_tentative()));
                self.meter = Some((epoch, Arc::clone(&meter)));
                meter
            }
        }
    }

    fn run_tool(&mut self, generation: Generation, index: usize, call: ToolCall, key: &str) {
        let Some(tool) = self.setup.toolbox.get(&call.name) else { return };
        let key = format!("{}:{key}", self.setup.call_id);
        let (run, inputs) = (tool.run(call.arguments.unwrap_or_default(), &key), self.inputs.0.clone());
        let task = async move {
            let result = tokio::time::timeout(TOOL, run).await.unwrap_or_else(|_| {
                tracing::warn!(tool = call.name, "the tool gave no result in time");
                let text = "there was no answer in time: it may have been done or not".to_owned();
                ToolResult { text, is_error: true }
            });
            let _ = inputs.send(Told::Input(Input::ToolDone(generation, index, result))).await;
        }
        .in_current_span();
        if tool.effect() == Effect::WriteOnce {
            // It ends by itself, whatever becomes of its reply and even of the call: half a write helps nobody.
            let in_flight = self.shared.drain.in_flight();
            tokio::spawn(async move {
                task.await;
                drop(in_flight);
            });
        } else {
            self.tools.insert((generation, index), AbortOnDropHandle::new(tokio::spawn(task)));
        }
    }

    async fn send(&mut self, epoch: i64, event: Wire) -> Result<(), Status> {
        let response = ConverseResponse { call_id: self.setup.call_id.clone(), epoch, event: Some(event) };
        match tokio::time::timeout(SEND, self.responses.send(Ok(response))).await {
            Ok(_) => Ok(()),
            Err(_) => {
                Err(ServiceError::new(ErrorReason::DeadlinePassed, "the stream was not read in time").into())
            }
        }
    }
}

fn told(generation: Generation, event: Event) -> Told {
    Told::Input(match event {
        Event::FellBack { model, detail } => {
            return Told::FellBack { epoch: generation.epoch, model, detail };
        }
        Event::Text(text) => Input::Text(generation, text.into_inner()),
        Event::ToolStarted => Input::ToolStarted(generation),
        Event::Finished(stop, calls) => Input::Finished(generation, stop, calls),
    })
}
