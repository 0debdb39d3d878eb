//! Calls that are put through to somebody else, and come back when nobody is reached; keys that are pressed in a call.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use libtest_mimic::Trial;
use mesh::error::reason_of;
use proto::{
    auth::v1::Role,
    telephony::v1::{HangUpCallRequest, call_service_client::CallServiceClient},
    types::v1::{CarrierOutcome, EndReason, ErrorReason, call_event::Event},
};
use rehearsal::{
    carrier::{DialReport, Dialled, Ended, Switchboard, Then},
    exotel::{self, Settings},
    twilio::{Plan, Step, What, When, rest},
};
use serde_json::json;
use tonic::Code;

use crate::{
    answered_call::{GREETING, QUESTION},
    caller::{Placed, exotel_plan, line, prompt, quiet},
    sandbox::{AUTH_TOKEN, Finished, Sandbox, Shape},
    suspension::{asks, hop},
    trial,
};

const REQUEST: &str = "Please put me through to the reception.";
const PUT_THROUGH: &str = "Of course, I will put you through.";
/// A caller who waits for what the agent says next, although the model has to be asked for it.
const PATIENT: When = When::AgentQuiet { ms: 2_500 };
/// As many as a debug build manages beside other tests.
const CALLS_AT_ONCE: usize = 2;
const TALKS: Duration = Duration::from_millis(1_500);
/// Whom the agent may put a call through to.
const NUMBER: &str = "+912255500101";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("transfers::five_outcomes_on_twilio", || five_outcomes(false)),
        trial("transfers::five_outcomes_on_exotel", || five_outcomes(true)),
        trial("transfers::the_conversation_goes_on_over_the_mesh_too", over_the_mesh),
        trial("transfers::a_caller_who_leaves_is_told_of_in_any_order", caller_leaves),
        trial("transfers::an_operator_ends_a_call_that_is_being_put_through", operator_hangs_up),
        trial("transfers::a_carrier_that_refuses_gives_the_call_back_at_once", carrier_refuses),
        trial("transfers::an_answer_that_was_lost_is_no_refusal", answer_is_lost),
        trial("transfers::an_exotel_flow_without_a_connect_applet_gives_the_call_back", flow_cannot),
        trial("transfers::keys_are_pressed_and_the_conversation_goes_on", keys_are_pressed),
    ]
}

/// A platform whose agent may transfer and press keys, and the carrier's API.
struct Stage {
    sandbox: Sandbox,
    switchboard: Switchboard,
    rest: rest::Server,
}

impl Stage {
    async fn start(shape: Shape) -> Self {
        let switchboard = Switchboard::default();
        let log = rehearsal::events::EventLog::new(100);
        let rest = rest::Server::start(AUTH_TOKEN, switchboard.clone(), log).expect("a port is free");
        let patch = json!({
            "tools": ["end_call", "search_knowledge", "send_digits", "transfer_call"],
            "transfers": [{"name": "the reception", "number": NUMBER}],
        });
        let url = rest.base_url().parse().expect("a URL");
        let sandbox = Sandbox::with_agent(shape, patch, |config| config.twilio_base_url = Some(url)).await;
        Self { sandbox, switchboard, rest }
    }

    /// A call that asks for the reception, and asks a question when it comes back.
    async fn plan(&self, over_exotel: bool, then: Then) -> Plan {
        let library = &self.sandbox.rehearsal.library;
        let mut steps = vec![line(library, REQUEST, quiet()).await];
        if comes_back(then) {
            steps.push(line(library, QUESTION, PATIENT).await);
            steps.push(prompt(library, "vm-goodbye", quiet()));
        }
        let mut plan = self.carrier_plan(over_exotel, steps);
        plan.dialled = [Dialled::after_a_second(then)].into();
        plan
    }

    fn carrier_plan(&self, over_exotel: bool, steps: Vec<Step>) -> Plan {
        let mut plan = if over_exotel {
            let settings = Settings { connects: true, ..Settings::default() };
            exotel_plan(&self.sandbox.layout.http, settings, steps)
        } else {
            self.sandbox.plan(steps)
        };
        plan.switchboard = self.switchboard.clone();
        plan
    }

    async fn call(&self, plan: Plan) -> Finished {
        self.sandbox.finish(Placed::new(plan)).await
    }
}

fn comes_back(then: Then) -> bool {
    matches!(then, Then::Busy | Then::NoAnswer | Then::Failed | Then::Canceled)
}

impl Finished {
    /// What the carriers' actions came to.
    fn outcomes(&self) -> Vec<CarrierOutcome> {
        let outcome = |event: &Event| match event {
            Event::ActionEnded(ended) => Some(ended.outcome()),
            _ => None,
        };
        self.events.iter().filter_map(outcome).collect()
    }

    /// All that the caller heard, in order: the agent's words, and what the carrier did between them.
    fn all_heard(&self) -> String {
        let sample = |us: i64| usize::try_from(us * 8 / 1_000).unwrap_or(0);
        let mut heard: Vec<(usize, String)> =
            self.heard.iter().map(|piece| (piece.start, piece.words())).collect();
        for DialReport { began, answered, ended, status, .. } in &self.report.dials {
            let rings = answered.unwrap_or(*ended).ms_since(*began) / 1_000.0;
            heard.push((sample(began.offset_us), format!("[rings {rings:.1} s: {status}]")));
            if let Some(answered) = answered {
                let talks = ended.ms_since(*answered) / 1_000.0;
                heard.push((sample(answered.offset_us), format!("[the other party, {talks:.1} s]")));
            }
        }
        heard.sort_by_key(|(at, _)| *at);
        heard.into_iter().map(|(_, what)| what).collect::<Vec<_>>().join(" ")
    }

    /// How long the caller heard nothing of us after the other party was not reached.
    fn silence_after_ms(&self) -> Option<f64> {
        let ended = self.report.dials.first()?.ended;
        let next = self.report.utterances.iter().map(|utterance| utterance.first_audible);
        next.filter(|at| *at > ended).min().map(|at| at.ms_since(ended))
    }
}

async fn five_outcomes(over_exotel: bool) {
    let stage = Stage::start(Shape::Together).await;
    let cases = [
        (Then::Answers { talks: TALKS }, CarrierOutcome::Completed, None),
        (Then::Busy, CarrierOutcome::Busy, Some("their line is busy")),
        (Then::NoAnswer, CarrierOutcome::NoAnswer, Some("nobody picked up there")),
        (Then::Failed, CarrierOutcome::Failed, Some("I could not reach them")),
        (Then::Canceled, CarrierOutcome::Canceled, Some("the attempt was stopped")),
    ];
    let calls = stream::iter(cases.iter().map(|(then, ..)| *then))
        .map(async |then| stage.call(stage.plan(over_exotel, then).await).await)
        .buffered(CALLS_AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let carrier = if over_exotel { "exotel" } else { "twilio" };
    for ((then, outcome, says), call) in cases.into_iter().zip(&calls) {
        let silence = call.silence_after_ms().map_or("-".into(), |ms| format!("{ms:.0} ms"));
        println!("{carrier:<7} {:<10} {silence:>8}  {}", call.report.dials[0].status, call.all_heard());
        assert_eq!(call.outcomes(), [outcome], "{then:?}");
        assert_eq!(call.report.dials.len(), 1);
        assert_eq!(call.report.dials[0].number, NUMBER);
        let put_through = format!("{GREETING} {PUT_THROUGH}");
        assert!(call.words().starts_with(&put_through), "{then:?}: {}", call.words());
        assert!(call.heard.iter().all(|piece| piece.is_whole()), "{then:?}: {:#?}", call.heard);
        let Some(says) = says else {
            assert_eq!(call.words(), put_through);
            call.assert_ended_by_us(EndReason::Transferred);
            continue;
        };
        call.assert_ended_by_us(EndReason::AgentHangup);
        assert!(call.words().contains(says), "{then:?}: {}", call.words());
        assert!(call.words().contains("costs 12 pounds for a day"), "{then:?}: {}", call.words());
        assert_eq!(call.report.streams.len(), 2, "{then:?}");
        assert_eq!(call.faults(), Vec::<&proto::types::v1::VendorFault>::new(), "{then:?}");
    }
    stage.sandbox.layout.stop().await;
}

async fn over_the_mesh() {
    let stage = Stage::start(Shape::Split).await;
    let (twilio, exotel) = (stage.plan(false, Then::Busy).await, stage.plan(true, Then::Busy).await);
    let (twilio, exotel) = tokio::join!(stage.call(twilio), stage.call(exotel));
    for call in [&twilio, &exotel] {
        call.assert_ended_by_us(EndReason::AgentHangup);
        assert_eq!(call.outcomes(), [CarrierOutcome::Busy]);
    }
    assert_eq!(twilio.transcript(), exotel.transcript());
    stage.sandbox.layout.stop().await;
}

async fn caller_leaves() {
    let stage = Stage::start(Shape::Together).await;
    for over_exotel in [false, true] {
        let talks = stage.plan(over_exotel, Then::CallerLeaves { talks: TALKS }).await;
        let gives_up = stage.plan(over_exotel, Then::CallerGivesUp).await;
        let (talks, gives_up) = tokio::join!(stage.call(talks), stage.call(gives_up));
        assert_eq!(
            (&talks.report.ended, &gives_up.report.ended),
            (&Ended::CallerHungUp, &Ended::CallerHungUp)
        );
        assert_eq!(talks.outcomes(), [CarrierOutcome::Completed]);
        talks.assert_reason(EndReason::Transferred);
        gives_up.assert_reason(EndReason::CallerHangup);
    }
    stage.sandbox.layout.stop().await;
}

async fn carrier_refuses() {
    let stage = Stage::start(Shape::Together).await;
    // A passing fault is nothing that anybody hears of.
    stage.rest.fail_next(&[503]);
    let call = stage.call(stage.plan(false, Then::Busy).await).await;
    assert_eq!((call.outcomes(), call.report.dials.len()), (vec![CarrierOutcome::Busy], 1));
    stage.rest.fail_next(&[429, 503]);
    let call = stage.call(stage.plan(false, Then::Busy).await).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!((call.outcomes(), call.report.dials.len()), (vec![CarrierOutcome::Failed], 0));
    assert!(call.words().contains("I could not reach them"), "{}", call.words());
    assert_eq!(call.report.streams.len(), 1, "the stream stayed");
    stage.sandbox.layout.stop().await;
}

async fn answer_is_lost() {
    let stage = Stage::start(Shape::Together).await;
    stage.rest.lose_next_answer();
    let call = stage.call(stage.plan(false, Then::Busy).await).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!((call.outcomes(), call.report.dials.len()), (vec![CarrierOutcome::Busy], 1));
    assert!(call.words().contains("their line is busy"), "{}", call.words());
    // Nothing was done this time, which the stream tells that goes on.
    stage.rest.fail_next(&[500]);
    let call = stage.call(stage.plan(false, Then::Busy).await).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!((call.outcomes(), call.report.dials.len()), (vec![CarrierOutcome::Failed], 0));
    assert_eq!(call.report.streams.len(), 1, "the stream stayed");
    stage.sandbox.layout.stop().await;
}

async fn flow_cannot() {
    let stage = Stage::start(Shape::Together).await;
    let mut plan = stage.plan(true, Then::Busy).await;
    plan.carrier = rehearsal::carrier::Carrier::Exotel(exotel::Settings::default());
    let call = stage.call(plan).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!((call.outcomes(), call.report.dials.len()), (vec![CarrierOutcome::Failed], 0));
    assert!(call.words().contains("I could not reach them"), "{}", call.words());
    stage.sandbox.layout.stop().await;
}

async fn keys_are_pressed() {
    let stage = Stage::start(Shape::Together).await;
    let library = &stage.sandbox.rehearsal.library;
    let steps = vec![
        line(library, "For the sales team, please press two.", quiet()).await,
        line(library, QUESTION, PATIENT).await,
        prompt(library, "vm-goodbye", quiet()),
    ];
    let twilio = stage.call(stage.carrier_plan(false, steps.clone())).await;
    assert_eq!((twilio.report.keys_sent.as_str(), twilio.outcomes()), ("2", vec![CarrierOutcome::Completed]));
    assert!(twilio.words().contains("the keys were pressed"), "{}", twilio.words());
    // Exotel has no means for it: the model is told so, and the stream stays.
    let exotel = stage.call(stage.carrier_plan(true, steps)).await;
    assert_eq!(exotel.outcomes(), [CarrierOutcome::Failed]);
    assert_eq!(exotel.report.streams.len(), 1);
    for call in [&twilio, &exotel] {
        call.assert_ended_by_us(EndReason::AgentHangup);
        assert!(call.words().contains("costs 12 pounds for a day"), "{}", call.words());
    }
    stage.sandbox.layout.stop().await;
}

async fn operator_hangs_up() {
    let stage = Stage::start(Shape::Together).await;
    let gateway = &stage.sandbox.layout.gateway;
    let mut calls = CallServiceClient::new(hop(gateway));
    let mut hang_up = async |call_id: &str| {
        let request = HangUpCallRequest { parent: "tenants/demo".into(), call_id: call_id.into() };
        calls.hang_up_call(asks(&stage.sandbox, Role::TenantOperator, request)).await
    };
    let unknown = hang_up("no-such-call").await.expect_err("there is none");
    assert_eq!(unknown.code(), Code::NotFound);
    let steps = vec![line(&stage.sandbox.rehearsal.library, REQUEST, quiet()).await];
    let mut plan = stage.carrier_plan(false, steps);
    plan.dialled = [Dialled { rings: Duration::from_secs(60), then: Then::NoAnswer }].into();
    let mut placed = Placed::new(plan);
    placed.until(|what| matches!(what, What::Dialled { .. })).await;
    let call_id = stage.sandbox.newest_call();
    hang_up(&call_id).await.expect("it is the tenant's");
    let call = stage.sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::OperatorHangup);
    hang_up(&call_id).await.expect("it is over already");
    // Exotel's flow asks nothing while it dials.
    let mut plan = stage.plan(true, Then::CallerGivesUp).await;
    plan.dialled = [Dialled { rings: TALKS, then: Then::CallerGivesUp }].into();
    let mut placed = Placed::new(plan);
    placed.until(|what| matches!(what, What::Dialled { .. })).await;
    let refused = hang_up(&stage.sandbox.newest_call()).await.expect_err("nothing can be done");
    assert_eq!(
        (refused.code(), reason_of(&refused)),
        (Code::FailedPrecondition, Some(ErrorReason::WrongState))
    );
    stage.sandbox.finish(placed).await.assert_reason(EndReason::CallerHangup);
    stage.sandbox.layout.stop().await;
}
