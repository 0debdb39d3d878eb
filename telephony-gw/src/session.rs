//! SHELL. One call: carrier socket <-> wire <-> call core <-> media role. The only `select!` of this role.

use std::{
    future::pending,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use mesh::{clock, drain::InFlight};
use proto::{
    media::v1::StreamCallResponse,
    types::v1::{
        CallContext, Carrier as Provider, CarrierAction, CarrierOutcome, EndReason, carrier_action::Action,
    },
};
use tokio::sync::mpsc;

use crate::{
    admission::AtCarrier,
    call::{Call, Input, Output, Patience},
    events::{ActionRefused, ActionUnanswered, Frames, MediaLinkBroke, MediaSocketRefused},
    link::{self, Broke, Inbox, Outbox},
    listener::{close, violation},
    rest,
    shared::Shared,
    webhooks::action_document,
    wire::{Command, Event, Format, ProtocolError, Wire},
};

/// How long one message to the carrier may take to be taken by its socket.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// A carrier's socket after `start`.
pub struct Carrier {
    pub socket: WebSocket,
    pub wire: Box<dyn Wire>,
    pub format: Format,
}

/// What a session is told from outside.
pub enum Note {
    /// The carrier came back with a new stream.
    Attach(Box<Carrier>),
    /// The carrier knows that the present stream is over and will come back.
    StreamOver,
    /// The carrier says that the present stream is over, perhaps before its socket does.
    StreamGone,
    /// The call is over at the carrier.
    CarrierOver,
    /// The present stream is over, and the carrier has asked for, and was told, what it is to do.
    Acts,
    /// What the carrier was asked to do is over.
    ActionEnded(CarrierOutcome),
    /// An operator ends the call.
    HangUp,
    /// The carrier came back too often: it was told to hang up.
    GaveUp,
}

/// One call's task.
pub struct Session {
    shared: Arc<Shared>,
    context: Arc<CallContext>,
    format: Format,
    call: Call,
    carrier: Option<Carrier>,
    outbox: Option<Outbox>,
    inbox: Option<Inbox>,
    /// None once nobody can tell anything any more.
    notes: Option<mpsc::Receiver<Note>>,
    frames: Frames,
    /// The request to the carrier's REST API that is under way.
    asking: Option<Asking>,
    drained: bool,
    /// How to close the carrier's socket when it broke the protocol.
    violation: Option<ProtocolError>,
    /// A draining node waits for the session.
    _in_flight: Arc<InFlight>,
}

type Asking = Pin<Box<dyn Future<Output = Result<(), rest::Error>> + Send>>;

/// True for the close of a stream that did what it was for; any other tells of a carrier that may come back.
fn is_orderly(frame: Option<&CloseFrame>) -> bool {
    frame.is_none_or(|frame| matches!(frame.code, close_code::NORMAL | close_code::STATUS))
}

/// What a session waited for.
enum Woken {
    Carrier(Option<Result<Message, axum::Error>>),
    Media(Result<StreamCallResponse, Broke>),
    Note(Option<Note>),
    Timer,
    Flushed,
    Asked(Result<(), rest::Error>),
    DrainExpired,
}

impl Session {
    /// A call whose `start` was accepted.
    pub fn new(
        shared: Arc<Shared>,
        context: Arc<CallContext>,
        carrier: Carrier,
        notes: mpsc::Receiver<Note>,
        in_flight: Arc<InFlight>,
    ) -> Self {
        let patience =
            Patience { silence: shared.config.silence_timeout, resume: shared.config.resume_timeout };
        let format = carrier.format;
        let call = Call::new(Arc::clone(&context), format, carrier.wire.playout(), patience, clock::now());
        Self {
            shared,
            context,
            format,
            call,
            carrier: Some(carrier),
            outbox: None,
            inbox: None,
            notes: Some(notes),
            frames: Frames::new(),
            asking: None,
            drained: false,
            violation: None,
            _in_flight: in_flight,
        }
    }

    /// Runs the call to its end.
    pub async fn run(mut self: Box<Self>) {
        while !self.act().await {
            let wake_at = self.call.wake_at(clock::now());
            let woken = tokio::select! {
                message = receive(&mut self.carrier) => Woken::Carrier(message),
                response = next(&mut self.inbox) => Woken::Media(response),
                note = told(&mut self.notes) => Woken::Note(note),
                () = sleep_until(wake_at) => Woken::Timer,
                () = flush(&mut self.outbox) => Woken::Flushed,
                asked = answer(&mut self.asking) => Woken::Asked(asked),
                () = self.shared.drain.expired(), if !self.drained => Woken::DrainExpired,
            };
            match woken {
                Woken::Carrier(message) => self.on_carrier(message),
                Woken::Media(response) => self.on_media(response),
                Woken::Note(Some(note)) => self.on_note(note),
                Woken::Note(None) => self.on_forgotten(),
                Woken::Timer => self.tell(Input::Tick),
                Woken::Flushed => {}
                Woken::Asked(answer) => self.on_asked(answer),
                Woken::DrainExpired => {
                    self.drained = true;
                    self.tell(Input::DrainExpired);
                }
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.call.handle(input, clock::now());
    }

    fn on_carrier(&mut self, message: Option<Result<Message, axum::Error>>) {
        match message {
            Some(Ok(Message::Text(text))) => self.on_text(&text),
            Some(Ok(Message::Binary(_))) => self.on_violation(ProtocolError::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(frame))) if is_orderly(frame.as_ref()) => self.tell(Input::CarrierClosed),
            Some(Ok(Message::Close(_))) => self.tell(Input::CarrierLost),
            Some(Err(error)) => match violation(error) {
                Some(violation) => self.on_violation(violation),
                None => self.on_carrier_lost(),
            },
            None => self.on_carrier_lost(),
        }
    }

    fn on_text(&mut self, text: &str) {
        let Some(carrier) = &mut self.carrier else { return };
        match carrier.wire.decode(text) {
            Ok(event) => {
                match event {
                    Event::Media(_) => self.frames.in_.increment(1),
                    Event::Unknown => self.frames.unknown.increment(1),
                    _ => {}
                }
                self.tell(Input::Carrier(event));
            }
            Err(error) => self.on_violation(error),
        }
    }

    fn on_violation(&mut self, error: ProtocolError) {
        if self.violation.is_none() {
            let call_id = Some(self.context.call_id.as_str());
            MediaSocketRefused { reason: error.label(), why: &error, token: None, call_id }.emit();
        }
        self.violation = Some(error);
        self.tell(Input::CarrierUnusable);
    }

    fn on_carrier_lost(&mut self) {
        self.carrier = None;
        self.tell(Input::CarrierLost);
    }

    fn on_media(&mut self, response: Result<StreamCallResponse, Broke>) {
        match response {
            Ok(response) => self.tell(Input::Media(response)),
            Err(broke) => {
                self.inbox = None;
                self.outbox = None;
                if !self.call.is_over() {
                    MediaLinkBroke { call_id: &self.context.call_id, status: &broke.status }.emit();
                }
                self.tell(Input::MediaBroke { retry: broke.retry });
            }
        }
    }

    fn on_note(&mut self, note: Note) {
        match note {
            Note::Attach(carrier) => {
                let same = carrier.format == self.format;
                self.carrier = Some(*carrier);
                if same {
                    self.tell(Input::CarrierBack);
                } else {
                    // The media role was told one format for the whole call.
                    self.on_violation(ProtocolError::UnsupportedFormat);
                }
            }
            Note::HangUp => self.tell(Input::HangUp),
            Note::Acts => {
                // A request that lands after all of this would have it done twice.
                self.asking = None;
                self.tell(Input::CarrierLost);
            }
            Note::ActionEnded(outcome) => self.tell(Input::ActionEnded(outcome)),
            Note::StreamOver => self.tell(Input::CarrierLost),
            Note::StreamGone => self.tell(Input::CarrierGone),
            Note::CarrierOver => self.tell(Input::CarrierOver),
            Note::GaveUp => self.tell(Input::CarrierUnusable),
        }
    }

    /// The table has no such call any more: nobody could end this one.
    fn on_forgotten(&mut self) {
        self.notes = None;
        self.tell(Input::HangUp);
    }

    fn on_asked(&mut self, answer: Result<(), rest::Error>) {
        self.asking = None;
        match answer {
            Ok(()) => {}
            Err(rest::Error::Over) => self.tell(Input::CarrierOver),
            Err(error) if error.maybe_after_effect() => {
                ActionUnanswered { call_id: &self.context.call_id, why: &error }.emit();
                self.tell(Input::ActionUnanswered);
            }
            Err(error) => self.refuse_action(&error),
        }
    }

    fn refuse_action(&mut self, why: &dyn std::fmt::Display) {
        ActionRefused { call_id: &self.context.call_id, why }.emit();
        self.shared.table().end_action(&self.context.call_id);
        self.tell(Input::ActionRefused);
    }

    /// Asks the carrier to do something with the call: Twilio by its REST API. Exotel's flow asks what to do when its
    /// stream is closed.
    async fn begin_action(&mut self, action: CarrierAction) {
        let at_carrier = self.shared.table().begin_action(&self.context.call_id, action.clone());
        let (Some(AtCarrier { call_sid, account_sid, token, is_placed, .. }), Some(action)) =
            (at_carrier, action.action)
        else {
            return self.refuse_action(&"the call is over, or the action is not known");
        };
        match (self.context.carrier(), &self.shared.twilio, account_sid) {
            (Provider::Twilio, Some(calls), Some(account_sid)) => {
                let calls = calls.clone();
                let document = action_document(&self.shared, &action, token.expose());
                let asking = async move { calls.redirect(&account_sid, &call_sid, &document).await };
                self.asking = Some(Box::pin(asking));
            }
            // A call that we placed has no flow around its stream.
            (Provider::Exotel, _, _) if matches!(action, Action::Transfer(_)) && !is_placed => {
                self.write(close(1000, "the flow goes on")).await;
            }
            _ => self.refuse_action(&"the carrier cannot do it"),
        }
    }

    /// Does what the core decided. True when nothing is left to do.
    async fn act(&mut self) -> bool {
        while let Some(output) = self.call.poll() {
            match output {
                Output::OpenMedia(first) => {
                    let (outbox, inbox) = link::open(self.shared.media.clone(), first);
                    self.outbox = Some(outbox);
                    self.inbox = Some(inbox);
                }
                Output::ToMedia(request) => {
                    if let Some(outbox) = &mut self.outbox {
                        outbox.send(request);
                    }
                }
                Output::CloseMedia => {
                    if let Some(outbox) = &mut self.outbox {
                        outbox.close();
                    }
                }
                Output::ToCarrier(command) => self.send(&command).await,
                Output::DropCarrier => self.carrier = None,
                Output::CloseCarrier => self.close_carrier().await,
                Output::Act(action) => self.begin_action(action).await,
                Output::GiveUpAction => self.refuse_action(&"it did not answer, and its stream goes on"),
                Output::HangUpAtCarrier => self.shared.hang_up_at_carrier(&self.context.call_id),
                Output::Publish(event) => self.shared.watchers.publish(&self.context, event),
                Output::Ended { reason, offset } => self.shared.end(&self.context.call_id, reason, offset),
                Output::Finished => return true,
            }
        }
        false
    }

    async fn send(&mut self, command: &Command) {
        let Some(carrier) = &mut self.carrier else { return };
        let text = carrier.wire.encode(command);
        if matches!(command, Command::Media(_)) {
            self.frames.out.increment(1);
        }
        self.write(Message::Text(text.into())).await;
    }

    async fn close_carrier(&mut self) {
        let message = match &self.violation {
            Some(violation) => close(violation.close_code(), &violation.to_string()),
            None => close(1000, "the call is over"),
        };
        self.write(message).await;
    }

    async fn write(&mut self, message: Message) {
        let Some(carrier) = &mut self.carrier else { return };
        let sent = tokio::time::timeout(SEND_TIMEOUT, carrier.socket.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.on_carrier_lost();
        }
    }
}

impl Drop for Session {
    /// A task that was aborted or failed must not leave its call in the table.
    fn drop(&mut self) {
        self.shared.end(&self.context.call_id, EndReason::Internal, Duration::ZERO);
    }
}

async fn receive(carrier: &mut Option<Carrier>) -> Option<Result<Message, axum::Error>> {
    match carrier {
        Some(carrier) => carrier.socket.recv().await,
        None => pending().await,
    }
}

async fn told(notes: &mut Option<mpsc::Receiver<Note>>) -> Option<Note> {
    match notes {
        Some(notes) => notes.recv().await,
        None => pending().await,
    }
}

async fn next(inbox: &mut Option<Inbox>) -> Result<StreamCallResponse, Broke> {
    match inbox {
        Some(inbox) => inbox.next().await,
        None => pending().await,
    }
}

async fn flush(outbox: &mut Option<Outbox>) {
    match outbox {
        Some(outbox) => outbox.flush().await,
        None => pending().await,
    }
}

async fn answer(asking: &mut Option<Asking>) -> Result<(), rest::Error> {
    match asking {
        Some(asking) => asking.await,
        None => pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}
