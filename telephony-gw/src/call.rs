//! CORE. The life of a call from its first accepted `start`: Connected -> Active -> Ending -> Ended, with one reason.
//! What comes before (Admitted) is the admission table's.

mod action;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use proto::{
    media::v1::{
        Dtmf, MarkReached, StreamCallRequest, StreamCallResponse, StreamStart, StreamStop,
        stream_call_request::Event as ToMedia, stream_call_response::Event as FromMedia,
    },
    to_wire,
    types::v1::{
        ActionEnded, CallContext, CallEvent, CarrierAction, CarrierOutcome, EndReason, ResumePosition,
        call_event,
    },
};

use action::Acting;

use crate::{
    framing::Inbound,
    playout::{self, Overrun, Pacer},
    wire::{Command, Event, Format, Playout},
};

/// How long the media role has to open a call's first stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it has to open one again after one broke.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two attempts to open one.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);
/// How often a call's stream may break.
const REOPENS_MAX: u32 = 3;
/// How long the carrier's socket may take to say what the carrier has said elsewhere.
const GONE_GRACE: Duration = Duration::from_secs(2);
/// How long both sides have to answer our farewell.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Nothing, but time has passed.
    Tick,
    /// The carrier said something after `start`.
    Carrier(Event<'a>),
    /// The carrier closed the socket in good order.
    CarrierClosed,
    /// The carrier's socket broke or was closed for a fault, or it was replaced by its own next step.
    CarrierLost,
    /// The carrier says elsewhere that its stream is over.
    CarrierGone,
    /// The carrier broke the protocol, or may not come back.
    CarrierUnusable,
    /// The carrier came back with a new stream.
    CarrierBack,
    /// The carrier says elsewhere that the call is over.
    CarrierOver,
    /// The carrier does not do what was asked of it.
    ActionRefused,
    /// The carrier did not say whether it does what was asked of it.
    ActionUnanswered,
    /// The carrier says what came of what was asked of it. If the call goes on, it will be back.
    ActionEnded(CarrierOutcome),
    /// The media role said something.
    Media(StreamCallResponse),
    /// The media role's stream could not be opened, broke, or ended without a word.
    MediaBroke {
        /// False if another attempt would fail in the same way.
        retry: bool,
    },
    /// An operator ends the call.
    HangUp,
    /// The node's drain deadline has passed.
    DrainExpired,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Open a stream to the media role, with this as its first message; drop the one before.
    OpenMedia(StreamCallRequest),
    /// Send this to the media role.
    ToMedia(StreamCallRequest),
    /// Half-close the stream to the media role after what was sent.
    CloseMedia,
    /// Send this to the carrier.
    ToCarrier(Command),
    /// Drop the carrier's socket as it is.
    DropCarrier,
    /// Close the carrier's socket in good order.
    CloseCarrier,
    /// Ask this of the carrier.
    Act(CarrierAction),
    /// The carrier does nothing of what it was asked: forget it, and come back with [`Input::ActionRefused`].
    GiveUpAction,
    /// End the call at a carrier whose stream is away.
    HangUpAtCarrier,
    /// Tell whoever watches the call.
    Publish(CallEvent),
    /// The call is over for everyone who asks; comes once, before the farewells.
    Ended {
        /// Why.
        reason: EndReason,
        /// How long after its first media stream began.
        offset: Duration,
    },
    /// Everything is done.
    Finished,
}

/// Where a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The carrier streams; the media role has not answered yet.
    Connected,
    /// Both sides stream.
    Active,
    /// Over; both sides are told, and may take until then to answer.
    Ending { until: Instant, carrier_gone: bool, media_gone: bool },
    /// Nothing is left to do.
    Ended,
}

/// The stream to the media role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MediaLink {
    Opening { by: Instant },
    Pausing { until: Instant, by: Instant },
    Open,
}

/// The carrier's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CarrierLink {
    Here {
        heard_at: Instant,
    },
    Away {
        since: Instant,
    },
    /// It does something with the call that was asked of it.
    Acting(Acting),
}

/// How long a call waits for a carrier that says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two messages of a connected carrier.
    pub silence: Duration,
    /// For a carrier whose stream was lost.
    pub resume: Duration,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    context: Arc<CallContext>,
    format: Format,
    patience: Patience,
    state: State,
    media: MediaLink,
    carrier: CarrierLink,
    /// When a socket counts as lost whose stream the carrier says is over.
    gone_by: Option<Instant>,
    pacer: Pacer,
    inbound: Inbound,
    /// What came of the carrier's action, until the carrier is back.
    outcome: Option<CarrierOutcome>,
    /// The highest epoch seen.
    epoch: i64,
    /// Messages of the media role that were processed, over all its streams.
    received_count: i64,
    reopens: u32,
    started_at: Instant,
    outputs: VecDeque<Output>,
}

impl Call {
    /// The carrier's `start` was accepted. Asks for the stream to the media role at once.
    pub fn new(
        context: Arc<CallContext>,
        format: Format,
        playout: Playout,
        patience: Patience,
        now: Instant,
    ) -> Self {
        let mut call = Self {
            context,
            format,
            patience,
            state: State::Connected,
            media: MediaLink::Opening { by: now + OPEN_TIMEOUT },
            carrier: CarrierLink::Here { heard_at: now },
            gone_by: None,
            pacer: Pacer::new(format, playout),
            inbound: Inbound::new(format),
            outcome: None,
            epoch: 0,
            received_count: 0,
            reopens: 0,
            started_at: now,
            outputs: VecDeque::new(),
        };
        call.open_media();
        call
    }

    /// Takes in what happened. Drain [`Self::poll`] before the next.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.is_over() {
            return self.handle_ending(&input, now);
        }
        match input {
            Input::Tick => {}
            input if self.handle_acting(&input, now) => {}
            Input::Carrier(event) => self.handle_carrier(event, now),
            Input::CarrierClosed | Input::CarrierOver => self.end(EndReason::CallerHangup, now),
            Input::CarrierLost => self.lose_carrier(now),
            Input::CarrierGone => self.gone_by = self.gone_by.or(Some(now + GONE_GRACE)),
            Input::CarrierUnusable => self.end(EndReason::CarrierLost, now),
            Input::CarrierBack => self.take_carrier_back(now),
            Input::ActionRefused | Input::ActionUnanswered | Input::ActionEnded(_) => {}
            Input::Media(response) => self.handle_media(response, now),
            Input::MediaBroke { retry } => self.handle_media_broke(retry, now),
            Input::HangUp => self.hang_up(now),
            Input::DrainExpired => self.end(EndReason::Drained, now),
        }
        self.check_timers(now);
        self.play(now);
    }

    /// What to do; `None` when there is nothing until the next input or [`Self::wake_at`].
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Tick`].
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Ending { until, .. } => return Some(until),
            State::Ended => return None,
            State::Connected | State::Active => {}
        }
        let carrier = match self.carrier {
            CarrierLink::Here { heard_at } => {
                let silent = heard_at + self.patience.silence;
                self.gone_by.map_or(silent, |gone| gone.min(silent))
            }
            CarrierLink::Away { since } => since + self.patience.resume,
            CarrierLink::Acting(acting) => acting.by,
        };
        let media = match self.media {
            MediaLink::Opening { by } => Some(by),
            MediaLink::Pausing { until, .. } => Some(until),
            MediaLink::Open => None,
        };
        [Some(carrier), media, self.pacer.wake_at(now)].into_iter().flatten().min()
    }

    /// True once the call has its end reason.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Ending { .. } | State::Ended)
    }

    fn handle_carrier(&mut self, event: Event<'_>, now: Instant) {
        self.carrier = CarrierLink::Here { heard_at: now };
        match event {
            Event::Media(media) => {
                if let Some(frame) = self.inbound.frame(media) {
                    self.tell_media(ToMedia::Audio(frame));
                }
            }
            Event::Dtmf { digit } => self.tell_media(ToMedia::Dtmf(Dtmf { digit: digit.to_string() })),
            Event::Mark { name } => self.pacer.returned(&name),
            Event::Stop => self.end(EndReason::CallerHangup, now),
            Event::StreamOver => self.lose_carrier(now),
            Event::Connected | Event::Start(_) | Event::Unknown => {}
        }
    }

    fn handle_media(&mut self, response: StreamCallResponse, now: Instant) {
        self.received_count += 1;
        let stale = response.epoch < self.epoch;
        // An event tells of what was; what is being said goes on.
        if !matches!(response.event, Some(FromMedia::CallEvent(_))) {
            self.epoch = self.epoch.max(response.epoch);
        }
        let taken = match response.event {
            Some(FromMedia::Started(_)) => {
                self.media = MediaLink::Open;
                self.state = State::Active;
                Ok(())
            }
            // Audio of a generation that was thrown away must not be heard, and its marks say nothing.
            Some(FromMedia::Audio(_)) if stale => Ok(()),
            Some(FromMedia::Mark(mark)) if stale => {
                self.tell_media(ToMedia::MarkReached(MarkReached { name: mark.name, cleared: true }));
                Ok(())
            }
            Some(FromMedia::Audio(frame)) => self.pacer.play(frame.payload),
            Some(FromMedia::Mark(mark)) => self.pacer.mark(mark.name),
            Some(FromMedia::Clear(_)) => {
                self.pacer.clear();
                Ok(())
            }
            Some(FromMedia::HangUp(_)) if stale => Ok(()),
            Some(FromMedia::HangUp(hang_up)) => {
                self.end(hang_up.reason(), now);
                Ok(())
            }
            Some(FromMedia::Action(_)) if stale => Ok(()),
            Some(FromMedia::Action(action)) => {
                self.begin_action(action, now);
                Ok(())
            }
            // The end of a call is told once, by the gateway, who knows it for sure.
            Some(FromMedia::CallEvent(CallEvent {
                event: Some(call_event::Event::CallEnded(_)), ..
            })) => Ok(()),
            Some(FromMedia::CallEvent(event)) => {
                self.outputs.push_back(Output::Publish(event));
                Ok(())
            }
            None => Ok(()),
        };
        if let Err(Overrun) = taken {
            self.end(EndReason::Internal, now);
        }
    }

    fn handle_media_broke(&mut self, retry: bool, now: Instant) {
        let by = match self.media {
            MediaLink::Opening { by } | MediaLink::Pausing { by, .. } => by,
            MediaLink::Open if self.reopens < REOPENS_MAX => {
                self.reopens += 1;
                now + REOPEN_TIMEOUT
            }
            MediaLink::Open => now,
        };
        if !retry || now >= by {
            self.end(EndReason::Internal, now);
        } else if self.media == MediaLink::Open {
            self.media = MediaLink::Opening { by };
            self.open_media();
        } else {
            self.media = MediaLink::Pausing { until: (now + REOPEN_PAUSE).min(by), by };
        }
    }

    fn handle_ending(&mut self, input: &Input<'_>, now: Instant) {
        let State::Ending { until, carrier_gone, media_gone } = &mut self.state else { return };
        match input {
            Input::CarrierClosed | Input::CarrierLost | Input::CarrierUnusable => *carrier_gone = true,
            Input::MediaBroke { .. } => *media_gone = true,
            _ => {}
        }
        if (*carrier_gone && *media_gone) || now >= *until {
            self.state = State::Ended;
            self.outputs.push_back(Output::Finished);
        }
    }

    fn lose_carrier(&mut self, now: Instant) {
        if let CarrierLink::Here { .. } = self.carrier {
            self.carrier = CarrierLink::Away { since: now };
            self.pacer.hold();
            self.outputs.push_back(Output::DropCarrier);
        }
    }

    fn take_carrier_back(&mut self, now: Instant) {
        let since = match self.carrier {
            CarrierLink::Away { since } => since,
            CarrierLink::Here { heard_at } => heard_at,
            CarrierLink::Acting(acting) => acting.since,
        };
        self.inbound.resume(now.saturating_duration_since(since));
        self.pacer.hold();
        self.listen_again(now);
        if let Some(outcome) = self.outcome.take() {
            self.tell_media(ToMedia::ActionEnded(ActionEnded { outcome: outcome.into() }));
        }
    }

    fn listen_again(&mut self, now: Instant) {
        self.carrier = CarrierLink::Here { heard_at: now };
        self.gone_by = None;
        self.pacer.release();
    }

    fn check_timers(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        match self.carrier {
            CarrierLink::Here { heard_at }
                if now >= heard_at + self.patience.silence
                    || self.gone_by.is_some_and(|gone| now >= gone) =>
            {
                self.lose_carrier(now)
            }
            CarrierLink::Away { since } if now >= since + self.patience.resume => {
                return self.end(EndReason::CarrierLost, now);
            }
            CarrierLink::Acting(acting) if now >= acting.by => return self.end(acting.reason(), now),
            _ => {}
        }
        match self.media {
            MediaLink::Opening { by } if now >= by => self.end(EndReason::Internal, now),
            MediaLink::Pausing { until, by } if now >= until => {
                self.media = MediaLink::Opening { by };
                self.open_media();
            }
            _ => {}
        }
    }

    fn play(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        while let Some(output) = self.pacer.poll(now) {
            match output {
                playout::Output::Send(command) => self.outputs.push_back(Output::ToCarrier(command)),
                playout::Output::Reached { name, cleared } => {
                    self.tell_media(ToMedia::MarkReached(MarkReached { name, cleared }));
                }
            }
        }
    }

    fn end(&mut self, reason: EndReason, now: Instant) {
        if self.is_over() {
            return;
        }
        // A hang-up without a reason is a fault of the side that sent it.
        let reason = if reason == EndReason::Unspecified { EndReason::Internal } else { reason };
        let offset = now.saturating_duration_since(self.started_at);
        self.outputs.push_back(Output::Ended { reason, offset });
        self.tell_media(ToMedia::Stop(StreamStop { reason: reason.into() }));
        self.outputs.push_back(Output::CloseMedia);
        self.outputs.push_back(Output::CloseCarrier);
        self.state = State::Ending {
            until: now + CLOSE_TIMEOUT,
            carrier_gone: match self.carrier {
                CarrierLink::Here { .. } => false,
                CarrierLink::Away { .. } => true,
                CarrierLink::Acting(acting) => !acting.has_stream,
            },
            media_gone: matches!(self.media, MediaLink::Pausing { .. }),
        };
    }

    fn open_media(&mut self) {
        let resumed = self.received_count > 0;
        let request = self.request(ToMedia::Start(StreamStart {
            call: Some(CallContext::clone(&self.context)),
            format: Some(self.format.into()),
            resume: resumed.then(|| ResumePosition {
                epoch: self.epoch,
                received_count: self.received_count,
                audio_offset: Some(to_wire(self.inbound.position())),
            }),
        }));
        self.outputs.push_back(Output::OpenMedia(request));
    }

    fn tell_media(&mut self, event: ToMedia) {
        let request = self.request(event);
        self.outputs.push_back(Output::ToMedia(request));
    }

    fn request(&self, event: ToMedia) -> StreamCallRequest {
        StreamCallRequest { call_id: self.context.call_id.clone(), epoch: self.epoch, event: Some(event) }
    }
}
