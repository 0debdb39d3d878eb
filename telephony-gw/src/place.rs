//! `CreateCall`: from the request to a carrier that dials.

use std::{sync::Arc, time::Duration};

use mesh::{Pii, ServiceError, clock, error::reason_of};
use prost::Message;
use proto::{
    telephony::v1::CreateCallRequest,
    tenancy::v1::ResolveNumberResponse,
    types::v1::{CallContext, Carrier, DialState, Direction, EndReason, ErrorReason},
};
use sha2::{Digest, Sha256};
use tonic::{Code, Status};

use crate::{
    admission::{Announced, Step, Token},
    arrival::new_token,
    dialling::dial_event,
    events::CallAdmitted,
    exotel,
    requests::Claim,
    rest,
    shared::{Held, Shared},
    twilio,
    webhooks::{base_url, step_document},
};

/// What a carrier is asked to place.
struct Placing {
    context: Arc<CallContext>,
    token: Token,
}

/// Places a call and returns its id.
///
/// # Errors
/// INVALID_ARGUMENT for a field, NOT_FOUND for a number or an agent that is not the tenant's, FAILED_PRECONDITION for a carrier
/// that is not configured or refuses, UNAVAILABLE for one that is away.
pub async fn place(shared: &Arc<Shared>, request: CreateCallRequest) -> Result<String, Status> {
    check(&request)?;
    // Whoever asked may go: what was begun is finished all the same, and a repeat must find its answer.
    let placing = tokio::spawn(place_once(Arc::clone(shared), request));
    placing.await.map_err(|error| ServiceError::internal(&error))?
}

async fn place_once(shared: Arc<Shared>, request: CreateCallRequest) -> Result<String, Status> {
    let (tenant, id) = (request.parent.clone(), request.request_id.clone());
    if id.is_empty() {
        return attempt(&shared, request).await;
    }
    let hash = Sha256::digest(request.encode_to_vec()).into();
    match shared.requests().claim(&tenant, &id, hash, clock::now()) {
        Claim::Ours => {}
        Claim::Done(call_id) => return Ok(call_id),
        Claim::Busy => {
            let why = "a request of this request_id is being worked on; try again";
            let error = ServiceError::new(ErrorReason::RequestInProgress, why);
            return Err(error.retry_after(Duration::from_secs(1)).into());
        }
        Claim::Reused => {
            let why = "the request_id belongs to another request of the last 24 h; choose a new one";
            return Err(ServiceError::new(ErrorReason::RequestIdReused, why).into());
        }
    }
    let placed = attempt(&shared, request).await;
    shared.requests().finish(&tenant, &id, placed.as_ref().ok().cloned());
    placed
}

fn check(request: &CreateCallRequest) -> Result<(), ServiceError> {
    const NUMBER: &str = "must be E.164: a plus sign and 7 to 15 digits, the first not 0";
    let mut wrong = Vec::new();
    for (field, number) in [("from_number", &request.from_number), ("to_number", &request.to_number)] {
        if !is_e164(number) {
            wrong.push((field.to_owned(), NUMBER.to_owned()));
        }
    }
    let of_agent =
        request.agent.strip_prefix(request.parent.as_str()).and_then(|rest| rest.strip_prefix("/agents/"));
    if !request.agent.is_empty() && of_agent.is_none_or(|id| id.is_empty() || id.contains('/')) {
        wrong.push(("agent".into(), "must be empty or {parent}/agents/{agent}".into()));
    }
    let id = &request.request_id;
    if !id.is_empty() && (id.len() != 36 || uuid::Uuid::try_parse(id).is_err()) {
        let why = "must be empty or a UUID such as 5e1d0b7c-3f0a-4c58-9d0e-8b0f1f0a7c11";
        wrong.push(("request_id".into(), why.into()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(ServiceError::invalid_fields(wrong)) }
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

async fn attempt(shared: &Shared, request: CreateCallRequest) -> Result<String, Status> {
    let (carrier, owner) = owner(shared, &request).await?;
    let account_sid = configured(shared, carrier)?;
    let (agent, agent_version) = match request.agent.as_str() {
        "" => (owner.agent, owner.agent_version),
        named => (named.to_owned(), shared.directory.agent(named, 0).await.map_err(away)?.version),
    };
    let context = Arc::new(CallContext {
        call_id: uuid::Uuid::now_v7().to_string(),
        tenant: owner.tenant,
        agent,
        agent_version,
        carrier: carrier.into(),
        direction: Direction::Outbound.into(),
        from_number: request.from_number,
        to_number: request.to_number,
    });
    let placing = Placing { token: new_token(), context };
    let vendors = shared.vendors(&placing.context.agent, placing.context.agent_version).await;
    admit(shared, &placing, account_sid, &vendors)?;
    let call_id = placing.context.call_id.clone();
    placing.ask(shared).await?;
    Ok(call_id)
}

/// Whose number the call is to come from, and whose calls it carries.
async fn owner(
    shared: &Shared,
    request: &CreateCallRequest,
) -> Result<(Carrier, ResolveNumberResponse), Status> {
    let number = Pii::new(request.from_number.clone());
    for carrier in [Carrier::Twilio, Carrier::Exotel] {
        match shared.routes.resolve(&number, carrier).await {
            Ok(owner) if owner.tenant == request.parent => return Ok((carrier, owner)),
            Ok(_) => break,
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(away(status)),
        }
    }
    let digits = request.from_number.trim_start_matches('+');
    Err(ServiceError::not_found(&format!("{}/phoneNumbers/{digits}", request.parent)).into())
}

/// What the tenancy role answers about a resource is the answer; that it does not answer is a fault of ours.
fn away(status: Status) -> Status {
    let told = [ErrorReason::ResourceNotFound, ErrorReason::AgentNotPublished, ErrorReason::InvalidField];
    if reason_of(&status).is_some_and(|reason| told.contains(&reason)) {
        return status;
    }
    tracing::error!(code = ?status.code(), error = status.message(), "a call's agent is not resolved");
    ServiceError::new(ErrorReason::StoreUnavailable, "the tenancy role does not answer; try again").into()
}

/// The account that places calls over a carrier.
fn configured(shared: &Shared, carrier: Carrier) -> Result<String, ServiceError> {
    let (name, account_sid, others) = match carrier {
        Carrier::Twilio => {
            let account = shared.config.twilio.as_ref();
            let account_sid = account.and_then(|account| account.account_sid.clone());
            ("twilio", account_sid, vec![("AUTH_TOKEN", account.is_some())])
        }
        _ => {
            let account = shared.config.exotel.as_ref();
            let account_sid = account.and_then(|account| account.account_sid.clone());
            let key = account.is_some_and(|account| account.api_key.is_some());
            let token = account.is_some_and(|account| account.api_token.is_some());
            (
                "exotel",
                account_sid,
                vec![("WEBHOOK_SECRET", account.is_some()), ("API_KEY", key), ("API_TOKEN", token)],
            )
        }
    };
    let missing = others.into_iter().find(|(_, is_set)| !is_set).map(|(part, _)| part);
    let part = match (account_sid, missing) {
        (Some(account_sid), None) => return Ok(account_sid),
        (None, _) => "ACCOUNT_SID",
        (_, Some(part)) => part,
    };
    let setting = format!("{}_{part}", name.to_uppercase());
    let why = format!("{setting} must be set where telephony-gw runs, to place calls over {name}");
    let error = ServiceError::precondition(ErrorReason::CarrierNotConfigured, name, why);
    Err(error.with("carrier", name).with("setting", setting))
}

fn admit(
    shared: &Shared,
    placing: &Placing,
    account_sid: String,
    vendors: &[String],
) -> Result<(), ServiceError> {
    if shared.drain.is_draining() {
        return Err(ServiceError::new(ErrorReason::Draining, "the node finishes its calls; ask another one"));
    }
    let context = &placing.context;
    let announced =
        Announced { context: Arc::clone(context), call_sid: String::new(), account_sid: Some(account_sid) };
    let mut table = shared.table();
    let lease = shared.leases.take(vendors).map_err(|exhausted| {
        let why = format!("{exhausted}; try again later");
        ServiceError::new(ErrorReason::ConcurrencyLimit, why).with("vendor", exhausted.0)
    })?;
    let held = Held::new(&shared.drain, lease);
    table.place(announced, placing.token.clone(), held, clock::now()).map_err(|_| {
        ServiceError::new(
            ErrorReason::ConcurrencyLimit,
            "the node has as many calls as it may; try again later",
        )
    })?;
    let in_progress = table.in_progress();
    drop(table);
    CallAdmitted { context, in_progress }.emit();
    shared.publish(context, Duration::ZERO, dial_event(DialState::Dialling));
    Ok(())
}

impl Placing {
    /// Asks the carrier to dial. A refusal ends the call.
    async fn ask(&self, shared: &Shared) -> Result<(), ServiceError> {
        let call_id = &self.context.call_id;
        let asked = match self.context.carrier() {
            Carrier::Twilio => self.ask_twilio(shared).await,
            _ => self.ask_exotel(shared).await,
        };
        let call_sid = asked.map_err(|error| {
            shared.end(call_id, EndReason::DialFailed, Duration::ZERO);
            refusal(self.context.carrier(), &error)
        })?;
        match call_sid {
            Some(call_sid) => {
                shared.table().name(call_id, &call_sid);
            }
            None => tracing::warn!(call_id, "the carrier did not say whether it dials"),
        }
        let is_wanted = shared.table().is_in_progress(call_id);
        if !is_wanted {
            // It was ended while the carrier was asked.
            shared.hang_up_at_carrier(call_id);
        }
        Ok(())
    }

    async fn ask_twilio(&self, shared: &Shared) -> Result<Option<String>, rest::Error> {
        let account_sid = shared.config.twilio.as_ref().and_then(|account| account.account_sid.as_deref());
        let (Some(calls), Some(account_sid)) = (&shared.twilio, account_sid) else {
            return Err(rest::Error::Over);
        };
        let CallContext { call_id, from_number, to_number, .. } = &*self.context;
        let step = Step::Connect { token: self.token.clone(), call_id: call_id.clone() };
        let call = twilio::rest::NewCall {
            from: from_number,
            to: to_number,
            twiml: &step_document(shared, &step),
            status_url: &format!("{}/twilio/status/{call_id}", base_url(shared)),
        };
        calls.create(account_sid, &call).await
    }

    async fn ask_exotel(&self, shared: &Shared) -> Result<Option<String>, rest::Error> {
        let (Some(calls), Some(account)) = (&shared.exotel, &shared.config.exotel) else {
            return Err(rest::Error::Over);
        };
        let CallContext { call_id, from_number, to_number, .. } = &*self.context;
        let secret = account.secret.expose();
        let call = exotel::rest::NewCall {
            from: from_number,
            to: to_number,
            stream_url: &exotel::stream_url(shared, account, self.token.expose(), call_id),
            status_url: &format!("{}/exotel/{secret}/status/{call_id}", base_url(shared)),
            call_id,
        };
        calls.create(&call).await
    }
}

fn refusal(carrier: Carrier, error: &rest::Error) -> ServiceError {
    let name = if carrier == Carrier::Twilio { "twilio" } else { "exotel" };
    tracing::warn!(carrier = name, %error, "a call is not placed");
    match error {
        rest::Error::Refused { status, code } if *status < 500 && *status != 429 => {
            let why = format!("{name} refused to place the call, with status {status} and code {code}");
            let error = ServiceError::precondition(ErrorReason::CarrierRefused, name, why);
            error.with("carrier", name).with("status", status.to_string()).with("code", code.to_string())
        }
        _ => ServiceError::new(ErrorReason::VendorUnavailable, format!("{name} does not answer; try again"))
            .with("vendor", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let good = CreateCallRequest {
            parent: "tenants/acme".into(),
            agent: "tenants/acme/agents/a".into(),
            from_number: "+12025550100".into(),
            to_number: "+919812345678".into(),
            request_id: "5e1d0b7c-3f0a-4c58-9d0e-8b0f1f0a7c11".into(),
        };
        assert!(check(&good).is_ok());
        assert!(
            check(&CreateCallRequest { agent: String::new(), request_id: String::new(), ..good }).is_ok()
        );
        let bad = CreateCallRequest {
            parent: "tenants/acme".into(),
            agent: "tenants/other/agents/a".into(),
            from_number: "2025550100".into(),
            to_number: "+0123456789".into(),
            request_id: "1".into(),
        };
        let status: Status = check(&bad).unwrap_err().into();
        let fields = tonic_fields(&status);
        assert_eq!(fields, ["from_number", "to_number", "agent", "request_id"]);
    }

    fn tonic_fields(status: &Status) -> Vec<String> {
        use tonic_types::StatusExt;
        let details = status.get_error_details();
        details.bad_request().unwrap().field_violations.iter().map(|wrong| wrong.field.clone()).collect()
    }
}
