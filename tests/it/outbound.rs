//! Calls that the platform places, over both carriers: what comes of them, and what is told of it.

use std::time::Duration;

use futures_util::future::join_all;
use libtest_mimic::Trial;
use mesh::error::reason_of;
use proto::{
    auth::v1::Role,
    telephony::v1::{CreateCallRequest, HangUpCallRequest, call_service_client::CallServiceClient},
    types::v1::{DialState, EndReason, ErrorReason, call_event::Event},
};
use rehearsal::{
    carrier::{Callbacks, Callee, Exchange, Outcome, Pickup, Plan},
    events::EventLog,
    exotel,
    twilio::{Ended, rest},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use trunkline::Config;

use crate::{
    answered_call::{GREETING, QUESTION},
    caller::{CALL_TIMEOUT, NUMBER, exotel_plan, line, prompt, quiet},
    sandbox::{AUTH_TOKEN, Finished, Sandbox, Shape},
    suspension::{asks, hop},
    trial,
};

const TWILIO: &str = "AC00000000000000000000000000000001";
const EXOTEL: &str = "acme1";
const TENANT: &str = "tenants/demo";
/// Who is called.
const CALLEE: &str = "+919812345678";
const RINGS: Duration = Duration::from_secs(1);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("outbound::a_lost_callback_is_made_up_for_by_asking_the_carrier", callbacks_are_lost),
        trial("outbound::somebody_who_answers_on_twilio_has_a_conversation", || answered(false)),
        trial("outbound::somebody_who_answers_on_exotel_has_a_conversation", || answered(true)),
        trial("outbound::each_way_of_not_answering_on_twilio_has_its_reason", || not_answered(false)),
        trial("outbound::each_way_of_not_answering_on_exotel_has_its_reason", || not_answered(true)),
        trial("outbound::an_operator_ends_a_call_that_rings", operator_hangs_up),
        trial("outbound::a_repeat_of_the_request_calls_nobody_twice", is_repeated),
        trial("outbound::what_is_wrong_is_told_with_its_reason", refusals),
        trial("outbound::an_answer_that_is_lost_dials_once", answer_is_lost),
    ]
}

/// A platform with an account at both carriers.
pub struct Stage {
    pub sandbox: Sandbox,
    twilio: rest::Server,
    exotel: exotel::rest::Server,
}

impl Stage {
    async fn start(shape: Shape) -> Self {
        Self::start_with(shape, |_| {}).await
    }

    /// The same, with another configuration.
    pub async fn start_with(shape: Shape, change: impl FnOnce(&mut Config)) -> Self {
        let log = EventLog::new(100);
        let twilio =
            rest::Server::start(AUTH_TOKEN, Default::default(), log.clone()).expect("a port is free");
        let exotel = exotel::rest::Server::start(EXOTEL, "key", "token", log).expect("a port is free");
        let sandbox = Sandbox::start_with(shape, |config| {
            config.twilio_account_sid = Some(TWILIO.to_owned());
            config.twilio_base_url = Some(twilio.base_url().parse().expect("a URL"));
            config.exotel.account_sid = Some(EXOTEL.to_owned());
            config.exotel.api_key = Some("key".to_owned().into());
            config.exotel.api_token = Some("token".to_owned().into());
            config.exotel.base_url = Some(exotel.base_url().parse().expect("a URL"));
            change(config);
        })
        .await;
        Self { sandbox, twilio, exotel }
    }

    fn exchange(&self, over_exotel: bool) -> &Exchange {
        if over_exotel { self.exotel.exchange() } else { self.twilio.exchange() }
    }

    fn expect(&self, over_exotel: bool, then: Pickup, callbacks: Callbacks) {
        self.exchange(over_exotel).expect(Callee { rings: RINGS, then, callbacks });
    }

    pub async fn create(&self, request: CreateCallRequest) -> Result<String, Status> {
        let mut calls = CallServiceClient::new(hop(&self.sandbox.layout.gateway));
        let request = asks(&self.sandbox, Role::TenantOperator, request);
        Ok(calls.create_call(request).await?.into_inner().call_id)
    }

    /// Twilio refuses the next request.
    pub fn refuse_next(&self) {
        self.twilio.fail_next(&[400]);
    }

    /// Whom Twilio has dialled.
    pub fn dialled(&self) -> Vec<String> {
        self.twilio.exchange().dialled()
    }

    async fn call(&self, over_exotel: bool) -> String {
        self.create(request(over_exotel)).await.expect("the carrier dials")
    }

    async fn outcome(&self, over_exotel: bool) -> Outcome {
        let outcome =
            async { if over_exotel { self.exotel.outcome().await } else { self.twilio.outcome().await } };
        let outcome = tokio::time::timeout(CALL_TIMEOUT, outcome).await;
        outcome.expect("a call that is answered ends").expect("the carrier is there")
    }

    /// Somebody who asks a question and says goodbye.
    async fn conversation(&self, over_exotel: bool) -> Plan {
        let library = &self.sandbox.rehearsal.library;
        let steps = vec![line(library, QUESTION, quiet()).await, prompt(library, "vm-goodbye", quiet())];
        match over_exotel {
            true => exotel_plan(&self.sandbox.layout.http, exotel::Settings::default(), steps),
            false => self.sandbox.plan(steps),
        }
    }
}

/// Asks for a call to [`CALLEE`].
pub fn request(over_exotel: bool) -> CreateCallRequest {
    CreateCallRequest {
        parent: TENANT.into(),
        from_number: if over_exotel { exotel::DEMO_NUMBER } else { NUMBER }.into(),
        to_number: CALLEE.into(),
        ..Default::default()
    }
}

/// What was told of the dialling, in order, and the end.
fn told(events: &[Event]) -> (Vec<DialState>, Vec<EndReason>) {
    let states = events.iter().filter_map(|event| match event {
        Event::DialProgressed(progress) => Some(progress.state()),
        _ => None,
    });
    let ends = events.iter().filter_map(|event| match event {
        Event::CallEnded(ended) => Some(ended.reason()),
        _ => None,
    });
    (states.collect(), ends.collect())
}

async fn answered(over_exotel: bool) {
    let stage = Stage::start(Shape::Together).await;
    for callbacks in [Callbacks::InOrder, Callbacks::Disordered, Callbacks::Lost] {
        let plan = stage.conversation(over_exotel).await;
        stage.expect(over_exotel, Pickup::Answers(plan.into()), callbacks);
        let call_id = stage.call(over_exotel).await;
        let call: Finished = stage.sandbox.conclude(stage.outcome(over_exotel).await).await;
        assert_eq!(call.report.parameter("call_id"), Some(call_id.as_str()));
        call.assert_ended_by_us(EndReason::AgentHangup);
        assert!(call.words().starts_with(GREETING), "{callbacks:?}: {}", call.words());
        assert!(call.words().contains("costs 12 pounds for a day"), "{callbacks:?}: {}", call.words());
        let (states, _) = told(&call.events);
        let rings = callbacks == Callbacks::InOrder && !over_exotel;
        let ringing = rings.then_some(DialState::Ringing);
        let expected = [Some(DialState::Dialling), ringing, Some(DialState::Answered)];
        assert_eq!(states, expected.into_iter().flatten().collect::<Vec<_>>(), "{callbacks:?}");
        // What comes after the end is told of nobody.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(told(&stage.sandbox.events_of(&call_id).await), (states, vec![EndReason::AgentHangup]));
    }
    assert_eq!(stage.exchange(over_exotel).dialled(), [CALLEE; 3]);
    stage.sandbox.layout.stop().await;
}

async fn not_answered(over_exotel: bool) {
    let stage = Stage::start(Shape::Together).await;
    let cases = [
        (Pickup::Busy, EndReason::Busy),
        (Pickup::NoAnswer, EndReason::NoAnswer),
        (Pickup::Failed, EndReason::DialFailed),
    ];
    for callbacks in [Callbacks::InOrder, Callbacks::Disordered] {
        for (then, reason) in cases.clone() {
            stage.expect(over_exotel, then, callbacks);
            let call_id = stage.call(over_exotel).await;
            stage.sandbox.events_of(&call_id).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (states, ends) = told(&stage.sandbox.events_of(&call_id).await);
            let carrier = if over_exotel { "exotel" } else { "twilio" };
            println!("{carrier:<7} {callbacks:?} {states:?} {ends:?}");
            assert_eq!(ends, [reason], "{callbacks:?}");
            let rings = callbacks == Callbacks::InOrder && !over_exotel;
            assert_eq!(states.len(), if rings { 2 } else { 1 }, "{states:?}");
        }
    }
    stage.sandbox.layout.stop().await;
}

async fn callbacks_are_lost() {
    let stage = Stage::start(Shape::Together).await;
    stage.expect(false, Pickup::NoAnswer, Callbacks::Lost);
    stage.expect(true, Pickup::Busy, Callbacks::Lost);
    let calls = [stage.call(false).await, stage.call(true).await];
    let ended = |event: &Event| matches!(event, Event::CallEnded(ended) if ended.reason() == EndReason::Busy);
    stage.sandbox.until_told(ended).await;
    let events = join_all(calls.iter().map(|call_id| stage.sandbox.events_of(call_id))).await;
    for (events, reason) in events.iter().zip([EndReason::NoAnswer, EndReason::Busy]) {
        assert_eq!(told(events), (vec![DialState::Dialling], vec![reason]));
    }
    stage.sandbox.layout.stop().await;
}

async fn operator_hangs_up() {
    let stage = Stage::start(Shape::Split).await;
    let mut calls = CallServiceClient::new(hop(&stage.sandbox.layout.gateway));
    for over_exotel in [false, true] {
        let plan = stage.conversation(over_exotel).await;
        let then = Pickup::Answers(plan.into());
        let callee = Callee { rings: Duration::from_secs(5), then, callbacks: Callbacks::InOrder };
        stage.exchange(over_exotel).expect(callee);
        let call_id = stage.call(over_exotel).await;
        let request = HangUpCallRequest { parent: TENANT.into(), call_id: call_id.clone() };
        calls.hang_up_call(asks(&stage.sandbox, Role::TenantOperator, request)).await.expect("it rings");
        let (states, ends) = told(&stage.sandbox.events_of(&call_id).await);
        assert_eq!(ends, [EndReason::OperatorHangup]);
        assert_eq!(states[0], DialState::Dialling);
        if over_exotel {
            // The carrier cannot be stopped: whoever answers finds nobody, and the carrier hangs up.
            let outcome = stage.outcome(over_exotel).await;
            assert_eq!(outcome.report.ended, Ended::StreamFailed);
        }
    }
    let twilio = &stage.twilio.exchange();
    assert_eq!(twilio.dialled().len(), 1);
    assert_eq!(twilio.statuses(), ["canceled"], "nobody's telephone rings on");
    stage.sandbox.layout.stop().await;
}

async fn is_repeated() {
    let stage = Stage::start(Shape::Together).await;
    let id = "7f3c1c9e-2f0b-4c0e-9d0e-0d6f2a1b5a09";
    let request = CreateCallRequest { request_id: id.into(), ..request(false) };
    let agent = format!("{TENANT}/agents/front-desk");
    let request = CreateCallRequest { agent, ..request };
    let first = stage.create(request.clone()).await.expect("the carrier dials");
    assert_eq!(stage.create(request.clone()).await.expect("a repeat"), first);
    let other = CreateCallRequest { to_number: "+919812345679".into(), ..request };
    let refused = stage.create(other).await.expect_err("another request");
    assert_eq!(reason_of(&refused), Some(ErrorReason::RequestIdReused));
    stage.sandbox.events_of(&first).await;
    assert_eq!(stage.dialled(), [CALLEE]);
    stage.sandbox.layout.stop().await;
}

async fn refusals() {
    let stage = Stage::start(Shape::Together).await;
    let refused = async |change: fn(&mut CreateCallRequest)| {
        let mut request = request(false);
        change(&mut request);
        let status = stage.create(request).await.expect_err("it is refused");
        (status.code(), reason_of(&status).expect("a reason"))
    };
    let invalid = (Code::InvalidArgument, ErrorReason::InvalidField);
    let missing = (Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(refused(|request| request.to_number = "0800".into()).await, invalid);
    assert_eq!(refused(|request| request.agent = "tenants/other/agents/a".into()).await, invalid);
    assert_eq!(refused(|request| request.from_number = "+12025550777".into()).await, missing);
    assert_eq!(refused(|request| request.agent = "tenants/demo/agents/nobody".into()).await, missing);
    // Twilio is asked again where it says that nobody was dialled, and only there.
    stage.twilio.fail_next(&[429, 429]);
    let away = (Code::Unavailable, ErrorReason::VendorUnavailable);
    assert_eq!(refused(|_| {}).await, away);
    stage.twilio.fail_next(&[500]);
    assert_eq!(refused(|_| {}).await, away);
    stage.refuse_next();
    assert_eq!(refused(|_| {}).await, (Code::FailedPrecondition, ErrorReason::CarrierRefused));
    assert_eq!(stage.dialled(), Vec::<String>::new());
    stage.twilio.fail_next(&[429]);
    let call_id = stage.call(false).await;
    stage.sandbox.events_of(&call_id).await;
    assert_eq!(stage.dialled(), [CALLEE]);
    stage.sandbox.layout.stop().await;

    let bare = Sandbox::start(Shape::Together).await;
    let mut calls = CallServiceClient::new(hop(&bare.layout.gateway));
    for (over_exotel, setting) in [(false, "TWILIO_ACCOUNT_SID"), (true, "EXOTEL_ACCOUNT_SID")] {
        let asked = calls.create_call(asks(&bare, Role::TenantOperator, request(over_exotel))).await;
        let status = asked.expect_err("there is no account");
        assert_eq!(reason_of(&status), Some(ErrorReason::CarrierNotConfigured));
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().starts_with(setting), "{}", status.message());
        let details = status.get_error_details();
        assert_eq!(details.error_info().expect("a reason").metadata["setting"], setting);
    }
    bare.layout.stop().await;
}

async fn answer_is_lost() {
    let stage = Stage::start(Shape::Together).await;
    stage.twilio.lose_next_answer();
    stage.expect(false, Pickup::Busy, Callbacks::InOrder);
    let call_id = stage.call(false).await;
    let (_, ends) = told(&stage.sandbox.events_of(&call_id).await);
    assert_eq!(ends, [EndReason::Busy], "the callbacks name the call");
    assert_eq!(stage.dialled(), [CALLEE], "nobody is dialled twice");
    stage.sandbox.layout.stop().await;
}
