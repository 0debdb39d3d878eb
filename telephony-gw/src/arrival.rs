//! A call announces itself, comes back, or is over: what the carriers' webhooks have in common.

use std::{sync::Arc, time::Duration};

use mesh::{Pii, clock, error::reason_of, lease::Exhausted};
use proto::{
    tenancy::v1::ResolveNumberResponse,
    types::v1::{
        CallContext, Carrier, CarrierOutcome, Direction, EndReason, ErrorReason, carrier_action::Action,
    },
};
use tonic::{Code, Status};

use crate::{
    admission::{Announced, Step, Token},
    events::{ActionOver, CallAdmitted},
    session::Note,
    shared::{Held, Shared},
};

/// A call as its carrier announces it.
#[derive(Debug)]
pub struct Arrival {
    /// The carrier.
    pub carrier: Carrier,
    /// Its name of the call.
    pub call_sid: String,
    /// Its name of the account, if it tells.
    pub account_sid: Option<String>,
    /// Who called whom.
    pub direction: Direction,
    /// The calling party.
    pub from: Pii<String>,
    /// The called party.
    pub to: Pii<String>,
    /// Which of the two is ours.
    pub ours: Pii<String>,
}

/// Why a call is not admitted.
pub enum NotAdmitted {
    /// It was announced before: the same answer.
    Repeated(Step),
    /// A name or number is missing.
    Incomplete,
    /// The node takes no new calls.
    Draining,
    /// The node has as many calls as it may.
    Full,
    /// As many calls use one of its vendors as may.
    VendorFull(Exhausted),
    /// Nobody owns the number.
    UnknownNumber,
    /// The tenancy role does not answer.
    TenancyAway(Status),
}

impl NotAdmitted {
    /// Its name in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Repeated(_) => "repeated",
            Self::Incomplete => "incomplete",
            Self::Draining => "draining",
            Self::Full => "full",
            Self::VendorFull(Exhausted(vendor)) => {
                tracing::warn!(vendor, "a call is refused: as many use this vendor as may");
                "vendor_full"
            }
            Self::UnknownNumber => "unknown_number",
            Self::TenancyAway(status) => {
                tracing::error!(code = ?status.code(), error = status.message(), "number not resolved");
                "tenancy_away"
            }
        }
    }
}

/// Admits a call if somebody owns its number and there is room.
///
/// # Errors
/// Why not.
pub async fn announce(shared: &Shared, arrival: &Arrival) -> Result<Step, NotAdmitted> {
    if arrival.call_sid.is_empty() || arrival.ours.expose().is_empty() {
        return Err(NotAdmitted::Incomplete);
    }
    {
        let table = shared.table();
        if let Some(call_id) = table.call_of_sid(&arrival.call_sid) {
            return Err(NotAdmitted::Repeated(table.first_step(call_id)));
        }
        if shared.drain.is_draining() {
            return Err(NotAdmitted::Draining);
        }
        if table.is_full() {
            return Err(NotAdmitted::Full);
        }
    }
    let owner = resolve(shared, arrival).await?;
    let context = Arc::new(CallContext {
        call_id: uuid::Uuid::now_v7().to_string(),
        tenant: owner.tenant,
        agent: owner.agent,
        agent_version: owner.agent_version,
        carrier: arrival.carrier.into(),
        direction: arrival.direction.into(),
        from_number: arrival.from.expose().clone(),
        to_number: arrival.to.expose().clone(),
    });
    let vendors = shared.vendors(&context.agent, context.agent_version).await;
    admit(shared, arrival, context, &vendors)
}

async fn resolve(shared: &Shared, arrival: &Arrival) -> Result<ResolveNumberResponse, NotAdmitted> {
    shared.routes.resolve(&arrival.ours, arrival.carrier).await.map_err(|status| {
        // A number that the contract cannot even express is one that nobody owns.
        if status.code() == Code::NotFound || reason_of(&status) == Some(ErrorReason::InvalidField) {
            NotAdmitted::UnknownNumber
        } else {
            NotAdmitted::TenancyAway(status)
        }
    })
}

fn admit(
    shared: &Shared,
    arrival: &Arrival,
    context: Arc<CallContext>,
    vendors: &[String],
) -> Result<Step, NotAdmitted> {
    let token = new_token();
    let call_id = context.call_id.clone();
    let announced = Announced {
        context: Arc::clone(&context),
        call_sid: arrival.call_sid.clone(),
        account_sid: arrival.account_sid.clone(),
    };
    let mut table = shared.table();
    // The same webhook may have come twice while the number was resolved.
    if let Some(call_id) = table.call_of_sid(&arrival.call_sid) {
        return Err(NotAdmitted::Repeated(table.first_step(call_id)));
    }
    if shared.drain.is_draining() {
        return Err(NotAdmitted::Draining);
    }
    let lease = shared.leases.take(vendors).map_err(NotAdmitted::VendorFull)?;
    table
        .admit(announced, token.clone(), Held::new(&shared.drain, lease), clock::now())
        .map_err(|_| NotAdmitted::Full)?;
    let in_progress = table.in_progress();
    drop(table);
    CallAdmitted { context: &context, in_progress }.emit();
    Ok(Step::Connect { token, call_id })
}

/// The carrier says that the stream of this token is over, and asks what comes next.
pub fn next_step(shared: &Shared, call_id: &str, token: &str) -> Step {
    let mut table = shared.table();
    let current = table.is_current(call_id, token);
    let step = table.next_step(call_id, token, new_token(), clock::now());
    if !current {
        return step;
    }
    if let Some(held) = table.connected(call_id) {
        // The carrier knows that the stream is over, perhaps before our socket does.
        let note = if step == Step::HangUp { Note::GaveUp } else { Note::StreamOver };
        let _ = held.notes.try_send(note);
    } else if step == Step::HangUp {
        drop(table);
        shared.end(call_id, EndReason::CarrierLost, Duration::ZERO);
    }
    step
}

/// The carrier has asked what to do with the call, and is told to act.
pub fn acts(shared: &Shared, call_id: &str) {
    if let Some(held) = shared.table().connected(call_id) {
        let _ = held.notes.try_send(Note::Acts);
    }
}

/// The carrier's action is over, which it says with the token of the stream before: what comes next.
pub fn action_ended(shared: &Shared, call_id: &str, token: &str, outcome: CarrierOutcome) -> Step {
    let mut table = shared.table();
    let Some(action) = table.end_action(call_id) else {
        // The question came twice: the same answer.
        return table.first_step(call_id);
    };
    let is_given_away =
        outcome == CarrierOutcome::Completed && matches!(action.action, Some(Action::Transfer(_)));
    let step =
        if is_given_away { Step::HangUp } else { table.next_step(call_id, token, new_token(), clock::now()) };
    if let Some(held) = table.connected(call_id) {
        let _ = held.notes.try_send(Note::ActionEnded(outcome));
    }
    drop(table);
    ActionOver { call_id, outcome }.emit();
    step
}

/// The carrier says that the call is over.
pub fn end_by_carrier(shared: &Shared, call_sid: &str) {
    let mut table = shared.table();
    let Some(call_id) = table.call_of_sid(call_sid).map(str::to_owned) else { return };
    if let Some(held) = table.connected(&call_id) {
        let _ = held.notes.try_send(Note::CarrierOver);
        return;
    }
    drop(table);
    shared.end(&call_id, EndReason::CallerHangup, Duration::ZERO);
}

/// The carrier says that the stream of this token is over, which its socket should have told. What was made of it, for the
/// log.
pub fn stream_gone(shared: &Shared, token: &str, call_sid: &str) -> &'static str {
    let mut table = shared.table();
    let Some(call_id) = table.call_of_token(token).map(str::to_owned) else { return "unknown" };
    if !table.is_current(&call_id, token) || !table.name(&call_id, call_sid) {
        return "past";
    }
    match table.connected(&call_id) {
        Some(held) => {
            let _ = held.notes.try_send(Note::StreamGone);
            "stream_over"
        }
        None => "past",
    }
}

/// A token that nobody can guess.
pub fn new_token() -> Token {
    Token::from_random(rand::random())
}
