use proto::types::v1::{CarrierAction, CarrierOutcome, Transfer, carrier_action::Action};

use super::*;

const BUSY: &str = "<Reject reason=\"busy\"/>";

#[tokio::test]
async fn a_signed_webhook_is_answered_with_a_stream_and_a_way_back() {
    let gateway = Gateway::start(|_| {}).await;
    let (_, twiml) = gateway.post("/twilio/voice", &voice_form("CA1")).await;
    let token = token_of(&media_path(&twiml).unwrap()).to_owned();
    let after = format!("http://{}/twilio/after/{token}", gateway.address);
    assert!(twiml.contains(&format!("<Connect action=\"{after}\" method=\"POST\">")), "{twiml}");
    let at = gateway.address;
    let stream = format!("<Stream url=\"ws://{at}/twilio/media/gw-1/{token}\" statusCallback=");
    assert!(twiml.contains(&format!("{stream}\"http://{at}/twilio/stream/{token}\"")), "{twiml}");
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
    for path in ["/twilio/voice", "/twilio/after/x", "/twilio/status", "/twilio/status/x", "/twilio/stream/x"]
    {
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

#[tokio::test]
async fn the_way_back_from_a_transfer_is_one_and_the_same_however_often_it_is_asked_for() {
    let (api, asked) = api(200, "{}").await;
    let mut gateway = Gateway::start(|config| config.twilio.as_mut().unwrap().api_url = api).await;
    let (mut socket, mut stream, path) = gateway.call("CA1").await;
    stream.say(1, transfer()).await;
    let form = asked.await.unwrap();
    let after = format!("{}?acted", after_path(&path));
    let twiml = form.into_iter().find(|(name, _)| name == "Twiml").unwrap().1;
    assert!(twiml.contains(&format!("<Dial action=\"http://{}{after}\"", gateway.address)), "{twiml}");
    assert!(twiml.contains("<Number>+12025550101</Number>"), "{twiml}");
    // The stream's own question may come before: it is the same transfer.
    let in_progress = [("CallSid", "CA1"), ("AccountSid", "AC1"), ("CallStatus", "in-progress")];
    assert_eq!(gateway.post(&after_path(&path), &in_progress).await.1, twiml);
    socket.close(None).await.unwrap();
    let busy = [&in_progress[..], &[("DialCallStatus", "busy")]].concat();
    let (_, connect) = gateway.post(&after, &busy).await;
    let next = media_path(&connect).unwrap_or_else(|| panic!("no stream: {connect}"));
    assert_ne!(next, path);
    assert_eq!(gateway.post(&after, &busy).await.1, connect);
    let mut socket = gateway.dial(&next).await.unwrap();
    say(&mut socket, &start_message("MZ2", "CA1")).await;
    assert_eq!(outcome(&mut stream).await, CarrierOutcome::Busy);
    // What comes late of the first transfer says nothing of a second.
    stream.say(2, transfer()).await;
    let call_id = gateway.gw.shared.table().call_of_sid("CA1").unwrap().to_owned();
    while gateway.gw.shared.table().action(&call_id).is_none() {
        tokio::task::yield_now().await;
    }
    assert!(gateway.post(&after, &busy).await.1.contains("<Hangup/>"));
    assert!(gateway.gw.shared.table().action(&call_id).is_some());
}

fn transfer() -> FromMedia {
    let transfer = Transfer { to_number: "+12025550101".into() };
    FromMedia::Action(CarrierAction { action: Some(Action::Transfer(transfer)) })
}

async fn outcome(stream: &mut MediaStream) -> CarrierOutcome {
    loop {
        match stream.request().await {
            Some(ToMedia::ActionEnded(ended)) => return ended.outcome(),
            Some(_) => {}
            None => panic!("the stream to the media role ended"),
        }
    }
}

#[tokio::test]
async fn a_transfer_whose_answer_was_lost_is_under_way() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut gateway = Gateway::start(|config| config.twilio.as_mut().unwrap().api_url = api).await;
    let (mut socket, mut stream, path) = gateway.call("CA1").await;
    stream.say(1, transfer()).await;
    // The request is read, and the connection gone.
    let (mut connection, _) = listener.accept().await.unwrap();
    assert!(connection.read(&mut [0; 4_096]).await.unwrap() > 0);
    drop(connection);
    say(&mut socket, r#"{"event":"stop","streamSid":"MZ1","stop":{"callSid":"CA1"}}"#).await;
    let busy = [
        ("CallSid", "CA1"),
        ("AccountSid", "AC1"),
        ("CallStatus", "in-progress"),
        ("DialCallStatus", "busy"),
    ];
    let (_, twiml) = gateway.post(&format!("{}?acted", after_path(&path)), &busy).await;
    let next = media_path(&twiml).unwrap_or_else(|| panic!("the caller is lost: {twiml}"));
    let mut socket = gateway.dial(&next).await.unwrap();
    say(&mut socket, &start_message("MZ2", "CA1")).await;
    assert_eq!(outcome(&mut stream).await, CarrierOutcome::Busy);
    let again = tokio::time::timeout(Duration::from_millis(500), listener.accept()).await;
    assert!(again.is_err(), "asked once more, it would dial once more");
}

#[tokio::test]
async fn a_transfer_that_nobody_began_is_told_of_while_the_stream_goes_on() {
    let (api, asked) = api(500, "{}").await;
    let mut gateway = Gateway::start(|config| config.twilio.as_mut().unwrap().api_url = api).await;
    let (mut socket, mut stream, _) = gateway.call("CA1").await;
    stream.say(1, transfer()).await;
    asked.await.unwrap();
    let sound = r#"{"event":"media","streamSid":"MZ1","media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"//9/fw=="}}"#;
    let speaks = async {
        loop {
            say(&mut socket, sound).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = speaks => {}
        outcome = outcome(&mut stream) => assert_eq!(outcome, CarrierOutcome::Failed),
    }
}

#[tokio::test]
async fn a_carrier_that_was_told_to_act_by_its_own_question_is_not_asked_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (arrived, mut requests) = mpsc::channel(4);
    // Whoever asks waits; what it waits with is gone when it gives up.
    let handler = move || {
        let (given_up, gone) = tokio::sync::oneshot::channel::<()>();
        arrived.try_send(gone).unwrap();
        async move {
            let _asks = given_up;
            std::future::pending::<()>().await;
        }
    };
    let router = axum::Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut gateway = Gateway::start(|config| config.twilio.as_mut().unwrap().api_url = api).await;
    let (_socket, stream, path) = gateway.call("CA1").await;
    stream.say(1, transfer()).await;
    let gone = requests.recv().await.unwrap();
    let in_progress = [("CallSid", "CA1"), ("AccountSid", "AC1"), ("CallStatus", "in-progress")];
    let (_, twiml) = gateway.post(&after_path(&path), &in_progress).await;
    assert!(twiml.contains("<Dial "), "{twiml}");
    let in_time = Duration::from_secs(2);
    assert!(tokio::time::timeout(in_time, gone).await.expect("the request is taken back").is_err());
}

/// An API that answers one request, and what that held.
async fn api(
    status: u16,
    body: &'static str,
) -> (url::Url, tokio::sync::oneshot::Receiver<Vec<(String, String)>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (sender, received) = tokio::sync::oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let handler = move |body_in: bytes::Bytes| {
        if let Some(sender) = sender.lock().unwrap().take() {
            let _ = sender.send(url::form_urlencoded::parse(&body_in).into_owned().collect());
        }
        std::future::ready((StatusCode::from_u16(status).unwrap(), body))
    };
    let router = axum::Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}
