//! A vendor's limit of calls at once: who comes over it is told so at once, and nobody's place is lost.

use std::time::Duration;

use libtest_mimic::Trial;
use mesh::error::reason_of;
use proto::types::v1::ErrorReason;
use rehearsal::{
    carrier::{Ended, What, When},
    exotel,
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    binary::Up,
    caller::{Placed, exotel_plan, prompt, quiet},
    outbound::{self, Stage},
    sandbox::Shape,
    trial,
};

const IN_USE: &str = "trunkline_vendor_leases{vendor=\"deepgram\"}";
const LIMIT: &str = "trunkline_vendor_leases_max{vendor=\"deepgram\"}";
/// After its end a call leaves nothing.
const SETTLED: Duration = Duration::from_secs(5);

/// A caller who holds the line while the others call.
const LONG: When = When::AgentQuiet { ms: 30_000 };

pub fn trials() -> Vec<Trial> {
    vec![
        trial("leases::a_call_over_a_vendors_limit_is_answered_busy", is_busy),
        trial("leases::a_call_over_a_vendors_limit_is_not_placed", is_not_placed),
        trial("leases::a_call_that_the_carrier_refuses_gives_its_lease_back", is_refused),
    ]
}

async fn is_busy() {
    let up = Up::start(&[("DEEPGRAM_CALLS_MAX", "1")]).await;
    assert_eq!((up.metric(LIMIT).await, up.metric(IN_USE).await), (Some(1.0), Some(0.0)));
    let goodbye = || vec![prompt(&up.rehearsal.library, "vm-goodbye", quiet())];
    let mut first = up.place(vec![prompt(&up.rehearsal.library, "vm-goodbye", LONG)]);
    first.until(|what| matches!(what, What::AgentAudible)).await;
    assert_eq!(up.metric(IN_USE).await, Some(1.0));

    let over_twilio = up.place(goodbye()).outcome().await.report.ended;
    assert_eq!(over_twilio, Ended::Rejected { reason: "busy".into() });
    let plan = exotel_plan(&up.url("http"), exotel::Settings::default(), goodbye());
    let over_exotel = Placed::new(plan).outcome().await.report.ended;
    assert_eq!(over_exotel, Ended::WebhookRefused { status: 503 });
    assert_eq!(up.metric(IN_USE).await, Some(1.0), "those that were refused took nothing");
    let refused = "trunkline_webhooks_total{route=\"voice\",result=\"vendor_full\"}";
    assert_eq!(up.metric(refused).await, Some(1.0));

    first.hang_up();
    assert_eq!(first.outcome().await.report.ended, Ended::CallerHungUp);
    let given_back = async {
        while up.metric(IN_USE).await != Some(0.0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SETTLED, given_back).await.expect("a call that is over gives its lease back");
    let next = up.place(goodbye()).outcome().await.report.ended;
    assert_eq!(next, Ended::ServerHungUp, "there is room again");
}

/// A platform with room for one call.
async fn narrow() -> Stage {
    Stage::start_with(Shape::Together, |config| {
        let cartesia = config.vendors.get_mut("cartesia").expect("a vendor");
        cartesia.calls_max = Some(1);
    })
    .await
}

async fn is_not_placed() {
    let stage = narrow().await;
    let goodbye = prompt(&stage.sandbox.rehearsal.library, "vm-goodbye", LONG);
    let mut first = stage.sandbox.place(vec![goodbye]);
    first.until(|what| matches!(what, What::AgentAudible)).await;
    let refused = stage.create(outbound::request(false)).await.expect_err("there is no room");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason_of(&refused), Some(ErrorReason::ConcurrencyLimit));
    let details = refused.get_error_details();
    assert_eq!(details.error_info().expect("a reason").metadata["vendor"], "cartesia");
    assert_eq!(stage.dialled(), Vec::<String>::new());
    first.hang_up();
    stage.sandbox.finish(first).await;
    stage.sandbox.layout.stop().await;
}

async fn is_refused() {
    let stage = narrow().await;
    stage.refuse_next();
    let refused = stage.create(outbound::request(false)).await.expect_err("the carrier refuses");
    assert_eq!(reason_of(&refused), Some(ErrorReason::CarrierRefused));
    let call_id = stage.create(outbound::request(false)).await.expect("there is room again");
    stage.sandbox.events_of(&call_id).await;
    stage.sandbox.layout.stop().await;
}
