//! What becomes of a call that we asked a carrier to place, until its stream starts: told by callbacks, which come late,
//! twice, in any order or not at all, and in the end by asking the carrier.

use std::{sync::Arc, time::Duration};

use mesh::clock;
use proto::types::v1::{Carrier, DialProgressed, DialState, EndReason, call_event::Event};

use crate::{admission::AtCarrier, session::Note, shared::Shared};

/// How a call that was placed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialling {
    /// It has come this far.
    Underway(DialState),
    /// It is over.
    Over(EndReason),
    /// Nothing that matters, or that is known here.
    Other,
}

impl Dialling {
    /// From Twilio's word for it.
    pub fn of_twilio(status: &str) -> Self {
        match status {
            "ringing" => Self::Underway(DialState::Ringing),
            "in-progress" => Self::Underway(DialState::Answered),
            _ => Self::of_end(status),
        }
    }

    /// From the kind of Exotel's callback and its word for the call, which is `in-progress` before anybody answers.
    pub fn of_exotel(event_type: &str, status: &str) -> Self {
        match event_type {
            "ringing" => Self::Underway(DialState::Ringing),
            "answered" => Self::Underway(DialState::Answered),
            _ => Self::of_end(status),
        }
    }

    fn of_end(status: &str) -> Self {
        match status {
            "completed" => Self::Over(EndReason::CallerHangup),
            "busy" => Self::Over(EndReason::Busy),
            "no-answer" => Self::Over(EndReason::NoAnswer),
            "failed" | "canceled" => Self::Over(EndReason::DialFailed),
            _ => Self::Other,
        }
    }
}

/// The dialling has come this far, which is told if it is news.
pub fn progressed(shared: &Shared, call_id: &str, state: DialState) {
    let news = shared.table().dial_progress(call_id, state, clock::now());
    if let Some(context) = news {
        shared.publish(&context, Duration::ZERO, dial_event(state));
    }
}

/// What is told of the dialling.
pub fn dial_event(state: DialState) -> Event {
    Event::DialProgressed(DialProgressed { state: state.into() })
}

/// The carrier tells how a call stands that it calls `call_sid`. What was made of it, for the log.
pub fn told(shared: &Shared, call_id: &str, call_sid: &str, dialling: Dialling) -> &'static str {
    if !shared.table().name(call_id, call_sid) {
        return "other_call";
    }
    match dialling {
        Dialling::Underway(state) => {
            progressed(shared, call_id, state);
            "noted"
        }
        Dialling::Over(reason) => {
            over(shared, call_id, reason);
            "call_over"
        }
        Dialling::Other => "noted",
    }
}

/// The carrier says that the call is over: a conversation hears of it, and what never became one ends with `reason`.
fn over(shared: &Shared, call_id: &str, reason: EndReason) {
    if let Err(mut table) = shared.end_unconnected(call_id, reason)
        && let Some(held) = table.connected(call_id)
    {
        let _ = held.notes.try_send(Note::CarrierOver);
    }
}

/// Nothing was heard of a call for longer than anybody's telephone rings: the carrier is asked, and the call ends.
pub async fn find_out(shared: Arc<Shared>, call_id: String) {
    let Some(at_carrier) = shared.table().at_carrier(&call_id) else { return };
    let status = ask(&shared, at_carrier).await;
    let reason = match status.as_deref().map(Dialling::of_twilio) {
        Some(Dialling::Over(reason)) => reason,
        _ => EndReason::OutcomeUnknown,
    };
    if shared.end_unconnected(&call_id, reason).is_ok() && reason == EndReason::OutcomeUnknown {
        shared.hang_up_at_carrier(&call_id);
    }
}

async fn ask(shared: &Shared, AtCarrier { carrier, call_sid, account_sid, .. }: AtCarrier) -> Option<String> {
    if call_sid.is_empty() {
        return None;
    }
    let asked = match carrier {
        Carrier::Twilio => shared.twilio.as_ref()?.status(&account_sid?, &call_sid).await,
        _ => shared.exotel.as_ref()?.status(&call_sid).await,
    };
    asked.inspect_err(|error| tracing::warn!(%error, "what became of a call cannot be learned")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carriers_words_are_known() {
        use EndReason as End;
        let over = Dialling::Over;
        for (status, reason) in [
            ("completed", End::CallerHangup),
            ("busy", End::Busy),
            ("no-answer", End::NoAnswer),
            ("failed", End::DialFailed),
            ("canceled", End::DialFailed),
        ] {
            assert_eq!(Dialling::of_twilio(status), over(reason));
            assert_eq!(Dialling::of_exotel("terminal", status), over(reason));
            assert_eq!(Dialling::of_exotel("", status), over(reason), "without a kind");
        }
        assert_eq!(Dialling::of_twilio("in-progress"), Dialling::Underway(DialState::Answered));
        assert_eq!(Dialling::of_exotel("", "in-progress"), Dialling::Other, "it is, from the beginning");
        assert_eq!(Dialling::of_exotel("answered", "in-progress"), Dialling::Underway(DialState::Answered));
        for status in ["queued", "initiated", "", "melting"] {
            assert_eq!(Dialling::of_twilio(status), Dialling::Other);
        }
    }
}
