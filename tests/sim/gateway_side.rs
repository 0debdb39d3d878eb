//! The gateway: its call core with pacer and framing, and as much of a shell as they need.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::types::v1::CallContext;
use telephony_gw::{
    call::{Call, Input, Output, Patience},
    wire::{self, Format, Media, Wire as _, twilio::Twilio},
};

use crate::{
    hub::{Event, FromCarrier, Hub, Line},
    mutations::Mutation,
};

const FRAME: Duration = Duration::from_millis(20);

/// The gateway's part of the call.
pub struct GatewaySide {
    call: Call,
    wake: Option<Instant>,
    /// Nothing is left to do.
    pub finished: bool,
}

impl GatewaySide {
    /// The carrier's `start` was accepted.
    pub fn new(hub: &mut Hub) -> Self {
        let context = Arc::new(CallContext { call_id: "sim".into(), ..CallContext::default() });
        let playout = Twilio::default().playout();
        let patience = Patience { silence: Duration::from_secs(30), resume: Duration::from_secs(10) };
        let call = Call::new(context, Format::MULAW_8K, playout, patience, hub.instant());
        let mut side = Self { call, wake: None, finished: false };
        side.perform(hub);
        side
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, hub: &mut Hub) {
        let now = hub.instant();
        match event {
            Event::FromCarrier(FromCarrier::Media(number, payload)) => {
                let offset = FRAME * u32::try_from(number).unwrap_or(u32::MAX);
                let media = Media { payload, chunk: Some(number + 1), offset: Some(offset) };
                self.call.handle(Input::Carrier(wire::Event::Media(media)), now);
            }
            Event::FromCarrier(FromCarrier::Mark(name)) => {
                self.call.handle(Input::Carrier(wire::Event::Mark { name: name.into() }), now);
            }
            Event::FromCarrier(FromCarrier::Key(digit)) => {
                self.call.handle(Input::Carrier(wire::Event::Dtmf { digit }), now);
            }
            Event::FromCarrier(FromCarrier::Stop) => {
                self.call.handle(Input::Carrier(wire::Event::Stop), now);
            }
            Event::CarrierClosed => self.call.handle(Input::CarrierClosed, now),
            Event::FromMedia(response) => self.call.handle(Input::Media(response), now),
            Event::GatewayWake(at) if self.wake == Some(at) => {
                self.wake = None;
                self.call.handle(Input::Tick, now);
            }
            _ => return,
        }
        self.perform(hub);
    }

    fn perform(&mut self, hub: &mut Hub) {
        while let Some(output) = self.call.poll() {
            match output {
                Output::OpenMedia(first) => hub.send(Line::GatewayToMedia, Event::ToMedia(first)),
                Output::ToMedia(request) => hub.send(Line::GatewayToMedia, Event::ToMedia(request)),
                Output::ToCarrier(command) => hub.send(Line::GatewayToCarrier, Event::ToCarrier(command)),
                Output::CloseCarrier => hub.send(Line::GatewayToCarrier, Event::CarrierClosed),
                Output::Ended { reason, .. } => {
                    hub.log("gateway", || format!("ended: {}", reason.as_str_name()));
                    let times = if hub.breaks(Mutation::SecondReason) { 2 } else { 1 };
                    for _ in 0..times {
                        hub.truth.ended(reason, hub.now);
                    }
                    hub.counts.ended(reason);
                }
                Output::Finished => self.finished = true,
                Output::Publish(_)
                | Output::CloseMedia
                | Output::DropCarrier
                | Output::GiveUpAction
                | Output::Act(_)
                | Output::HangUpAtCarrier => {}
            }
        }
        let wake = self.call.wake_at(hub.instant());
        if wake != self.wake {
            self.wake = wake;
            if let Some(at) = wake {
                hub.at(hub.since_start(at), Event::GatewayWake(at));
            }
        }
    }
}
