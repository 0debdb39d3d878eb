use super::*;

const BUSY: &str = "<Reject reason=\"busy\"/>";

#[tokio::test]
async fn a_signed_webhook_is_answered_with_a_stream_and_a_way_back() {
    let gateway = Gateway::start(|_| {}).await;
    let (_, twiml) = gateway.post("/twilio/voice", &voice_form("CA1")).await;
    let token = token_of(&media_path(&twiml).unwrap()).to_owned();
    let after = format!("http://{}/twilio/after/{token}", gateway.address);
    assert!(twiml.contains(&format!("<Connect action=\"{after}\" method=\"POST\">")), "{twiml}");
    assert!(twiml.contains(&format!("<Stream url=\"ws://{}/twilio/media/gw-1/{token}\">", gateway.address)));
    assert!(twiml.ends_with(&format!("<Redirect method=\"POST\">{after}</Redirect></Response>")));
    let id = twiml.split_once("name=\"call_id\" value=\"").unwrap().1;
    assert_eq!(uuid::Uuid::parse_str(&id[..36]).unwrap().get_version_num(), 7);
    // The same webhook once more is the same call.
    assert_eq!(gateway.post("/twilio/voice", &voice_form("CA1")).await.1, twiml);
    assert_eq!(gateway.gw.shared.table().in_progress(), 1);
}

#[tokio::test]
async fn an_unsigned_webhook_is_refused() {
    let gateway = Gateway::start(|_| {}).await;
    for path in ["/twilio/voice", "/twilio/after/x", "/twilio/status"] {
        for signature in [None, Some("bm90IGl0")] {
            let (status, body) = gateway.post_signed(path, &voice_form("CA1"), signature).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
            assert!(body.starts_with("webhook refused: "), "{body}");
        }
    }
    // The signature of another URL.
    let signature = sign(&format!("http://{}/twilio/status", gateway.address), &voice_form("CA1"));
    let (status, _) = gateway.post_signed("/twilio/voice", &voice_form("CA1"), Some(&signature)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(gateway.gw.shared.table().remembered(), 0);
    assert!(metrics().contains("trunkline_webhooks_total{route=\"voice\",result=\"refused\"}"));
}

#[tokio::test]
async fn without_an_auth_token_every_webhook_is_refused() {
    let gateway = Gateway::start(|config| config.twilio = None).await;
    assert_eq!(gateway.post("/twilio/voice", &voice_form("CA1")).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn another_account_is_refused() {
    let gateway = Gateway::start(|config| {
        if let Some(account) = &mut config.twilio {
            account.account_sid = Some("AC-own".into());
        }
    })
    .await;
    assert_eq!(gateway.post("/twilio/voice", &voice_form("CA1")).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_number_that_nobody_owns_is_rejected() {
    let gateway = Gateway::start(|_| {}).await;
    let mut form = voice_form("CA1");
    form[3].1 = "+12025559999";
    let (status, twiml) = gateway.post("/twilio/voice", &form).await;
    assert_eq!(status, StatusCode::OK);
    assert!(twiml.contains("<Reject/>"), "{twiml}");
    form.remove(0);
    assert!(gateway.post("/twilio/voice", &form).await.1.contains("<Reject/>"));
    assert!(!logs().contains("+12025559999"), "numbers are never logged");
}

#[tokio::test(start_paused = true)]
async fn a_tenancy_role_that_does_not_answer_means_busy() {
    let gateway = Gateway::start(|_| {}).await;
    let mut form = voice_form("CA1");
    form[3].1 = "+12025550000";
    assert!(gateway.post("/twilio/voice", &form).await.1.contains(BUSY));
    assert_eq!(gateway.gw.shared.table().remembered(), 0);
}

#[tokio::test]
async fn over_the_limit_of_calls_the_line_is_busy() {
    let gateway = Gateway::start(|config| config.calls_max = 1).await;
    gateway.admit("CA1").await;
    assert!(gateway.post("/twilio/voice", &voice_form("CA2")).await.1.contains(BUSY));
    // The carrier says that the first call is over before it ever connected.
    let over = [("CallSid", "CA1"), ("AccountSid", "AC1"), ("CallStatus", "canceled")];
    assert_eq!(gateway.post("/twilio/status", &over).await.0, StatusCode::OK);
    gateway.admit("CA2").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let gateway = Gateway::start(|_| {}).await;
    let long = "x".repeat(70_000);
    let (status, _) = gateway.post("/twilio/voice", &[("CallSid", &long)]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn an_admission_that_nobody_uses_expires() {
    let gateway = Gateway::start(|_| {}).await;
    gateway.admit("CA1").await;
    assert_eq!(gateway.drain.in_flight_count(), 1);
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert_eq!((gateway.gw.shared.table().in_progress(), gateway.drain.in_flight_count()), (0, 0));
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert_eq!(gateway.gw.shared.table().remembered(), 0);
}

#[tokio::test]
async fn what_comes_after_an_unknown_stream_is_a_hang_up() {
    let gateway = Gateway::start(|_| {}).await;
    assert!(gateway.post("/twilio/after/nothing", &voice_form("CA1")).await.1.contains("<Hangup/>"));
    // A token says nothing to another call.
    let path = gateway.admit("CA1").await;
    assert!(gateway.post(&after_path(&path), &voice_form("CA2")).await.1.contains("<Hangup/>"));
    assert_eq!(gateway.gw.shared.table().in_progress(), 1);
}
