//! CORE. What the carrier does with a call by itself, between two media streams. The media role's stream stays open
//! meanwhile, so that the conversation goes on where it was.

use std::time::{Duration, Instant};

use proto::{
    media::v1::stream_call_request::Event as ToMedia,
    to_wire,
    types::v1::{
        ActionEnded, CallEvent, CarrierAction, CarrierOutcome, EndReason, call_event, carrier_action::Action,
    },
};

use super::{Call, CarrierLink, Input, Output};
use crate::wire::Event;

/// How long an action is waited for. The carrier gives up ringing long before: whoever has not come back by then is
/// speaking with somebody else.
const ACTION_TIMEOUT: Duration = Duration::from_secs(120);
/// How long after the call's end its action's outcome may come: a carrier's callbacks keep no order.
const OUTCOME_GRACE: Duration = Duration::from_secs(3);
/// How long a carrier that did not answer may go on streaming before it counts as one that does nothing.
const DOUBT: Duration = Duration::from_secs(3);

/// An action under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acting {
    pub(super) since: Instant,
    pub(super) by: Instant,
    /// Somebody else has the caller when it succeeds.
    transfers: bool,
    /// The stream before it is still there.
    pub(super) has_stream: bool,
    /// The carrier did not answer: until then its stream may still end because it does what was asked.
    doubted_until: Option<Instant>,
    /// The carrier has said that the call is over.
    is_over: bool,
}

impl Acting {
    /// Why the call is over when nothing more is told of the action.
    pub(super) fn reason(&self) -> EndReason {
        match (self.is_over, self.transfers) {
            (true, _) => EndReason::CallerHangup,
            (false, true) => EndReason::Transferred,
            (false, false) => EndReason::CarrierLost,
        }
    }
}

impl Call {
    /// The media role wants the carrier to do something.
    pub(super) fn begin_action(&mut self, action: CarrierAction, now: Instant) {
        let CarrierLink::Here { .. } = self.carrier else {
            // The stream was lost at the same moment: the carrier is asked for another, and does nothing else.
            self.outcome = Some(CarrierOutcome::Failed);
            return;
        };
        self.carrier = CarrierLink::Acting(Acting {
            since: now,
            by: now + ACTION_TIMEOUT,
            transfers: matches!(action.action, Some(Action::Transfer(_))),
            has_stream: true,
            doubted_until: None,
            is_over: false,
        });
        self.pacer.hold();
        self.outputs.push_back(Output::Act(action));
    }

    /// Takes in what happened while the carrier acts. False if it is nothing special then.
    pub(super) fn handle_acting(&mut self, input: &Input<'_>, now: Instant) -> bool {
        let CarrierLink::Acting(acting) = &mut self.carrier else { return false };
        match input {
            // A carrier that redirects a call ends its stream in the way of a caller who hangs up.
            Input::Carrier(Event::Stop | Event::StreamOver) | Input::CarrierClosed | Input::CarrierLost => {
                acting.has_stream = false;
                self.outputs.push_back(Output::DropCarrier);
            }
            Input::Carrier(_) if acting.doubted_until.is_some_and(|until| now >= until) => {
                acting.doubted_until = None;
                self.outputs.push_back(Output::GiveUpAction);
            }
            // Nobody listens any more.
            Input::Carrier(_) => {}
            Input::ActionUnanswered => acting.doubted_until = Some(now + DOUBT),
            Input::CarrierOver => {
                acting.is_over = true;
                acting.by = acting.by.min(now + OUTCOME_GRACE);
            }
            Input::ActionRefused if acting.has_stream => {
                self.listen_again(now);
                self.report(CarrierOutcome::Failed, now);
                let ended = ActionEnded { outcome: CarrierOutcome::Failed.into() };
                self.tell_media(ToMedia::ActionEnded(ended));
            }
            Input::ActionRefused => self.action_ended(CarrierOutcome::Failed, now),
            Input::ActionEnded(outcome) => self.action_ended(*outcome, now),
            // It is back without having done anything. The socket is the new stream's by now.
            Input::CarrierBack => {
                acting.has_stream = false;
                self.action_ended(CarrierOutcome::Failed, now);
                return false;
            }
            _ => return false,
        }
        true
    }

    /// An operator ends the call, wherever the carrier has it.
    pub(super) fn hang_up(&mut self, now: Instant) {
        if let CarrierLink::Acting(_) = self.carrier {
            self.outputs.push_back(Output::HangUpAtCarrier);
        }
        self.end(EndReason::OperatorHangup, now);
    }

    fn action_ended(&mut self, outcome: CarrierOutcome, now: Instant) {
        let CarrierLink::Acting(acting) = self.carrier else { return };
        self.report(outcome, now);
        if acting.transfers && outcome == CarrierOutcome::Completed {
            self.end(EndReason::Transferred, now);
        } else if acting.is_over {
            self.end(EndReason::CallerHangup, now);
        } else {
            if acting.has_stream {
                // What its socket still says of its own end is not about the call.
                self.outputs.push_back(Output::DropCarrier);
            }
            self.outcome = Some(outcome);
            self.inbound.resume(now.saturating_duration_since(acting.since));
            self.carrier = CarrierLink::Away { since: now };
        }
    }

    fn report(&mut self, outcome: CarrierOutcome, now: Instant) {
        let offset = Some(to_wire(now.saturating_duration_since(self.started_at)));
        let event = call_event::Event::ActionEnded(ActionEnded { outcome: outcome.into() });
        self.outputs.push_back(Output::Publish(CallEvent { offset, event: Some(event) }));
    }
}
