//! Leases of vendors with a limit.

use mesh::clock;
use prost::Message;
use proto::tenancy::v1::{Agent, GetAgentResponse, Listening};

use super::*;

const WAIT: Duration = Duration::from_millis(500);

/// A tenancy role of which every agent listens with the vendor, and which says so after this time.
fn agents(vendor: &'static str, after: Duration) -> Hop {
    Hop::new(tower::service_fn(move |_: Request<tonic::body::Body>| async move {
        tokio::time::sleep(after).await;
        let listening = Listening { vendor: vendor.into(), ..Default::default() };
        let agent = Agent { listening: Some(listening), ..Default::default() };
        let message = GetAgentResponse { agent: Some(agent) }.encode_to_vec();
        let frame = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
        let response = axum::http::Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", 0)
            .body(tonic::body::Body::new(Body::from(frame)));
        response.map_err(|error| HopError(error.into()))
    }))
}

/// A gateway with room for so many calls that listen with Deepgram, which its agents do.
async fn gateway(calls: usize, known_after: Duration) -> Gateway {
    let limits = [("deepgram", calls)].into();
    Gateway::start_with(agents("deepgram", known_after), |config| config.vendor_calls_max = limits).await
}

async fn is_admitted(gateway: &Gateway, call_sid: &str) -> bool {
    let (_, twiml) = gateway.post("/twilio/voice", &voice_form(call_sid)).await;
    media_path(&twiml).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_agent_for_half_a_second() {
    let quick = gateway(1, WAIT - Duration::from_millis(1)).await;
    assert!(is_admitted(&quick, "CA1").await);
    assert!(!is_admitted(&quick, "CA2").await, "the first took the lease");
    let asked = clock::now();
    let slow = gateway(0, WAIT + Duration::from_millis(1)).await;
    assert!(is_admitted(&slow, "CA1").await, "nobody said that it needs a lease");
    assert_eq!(clock::now() - asked, WAIT);
    assert!(metrics().contains("trunkline_calls_without_lease_total 1"));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_comes_twice_takes_one_lease() {
    let gateway = gateway(2, Duration::from_millis(100)).await;
    let both = tokio::join!(is_admitted(&gateway, "CA1"), is_admitted(&gateway, "CA1"));
    assert_eq!(both, (true, true));
    assert!(is_admitted(&gateway, "CA1").await, "once more, later");
    assert!(is_admitted(&gateway, "CA2").await);
    assert!(!is_admitted(&gateway, "CA3").await);
}
