use bytes::Bytes;
use mesh::auth::Caller;
use proto::{
    auth::v1::Role,
    media::v1::{Clear, HangUp, Mark},
    telephony::v1::{WatchCallsRequest, call_service_server::CallService as _},
    types::v1::{AudioFrame, CallEnded, EndReason, call_event},
};

use super::*;

fn audio(bytes: usize) -> FromMedia {
    FromMedia::Audio(AudioFrame { payload: Bytes::from(vec![0xff; bytes]), ..AudioFrame::default() })
}

fn hang_up() -> FromMedia {
    FromMedia::HangUp(HangUp { reason: EndReason::AgentHangup.into() })
}

async fn stop_reason(media: &mut MediaStream) -> EndReason {
    loop {
        match media.request().await {
            Some(ToMedia::Stop(stop)) => return stop.reason(),
            Some(_) => {}
            None => panic!("no stop"),
        }
    }
}

fn watch(gateway: &Gateway) -> tonic::Request<WatchCallsRequest> {
    let mut request = tonic::Request::new(WatchCallsRequest { parent: "tenants/demo".into() });
    request.extensions_mut().insert(Caller {
        subject: gateway.address.to_string(),
        client: String::new(),
        roles: vec![Role::TenantOperator],
        tenants: vec!["demo".into()],
        ..Caller::default()
    });
    request
}

#[tokio::test]
async fn a_call_from_its_webhook_to_its_hang_up() {
    let mut gateway = Gateway::start(|_| {}).await;
    let mut events = gateway.gw.call_service().watch_calls(watch(&gateway)).await.unwrap().into_inner();
    events.next().await.unwrap().unwrap();
    let path = gateway.admit("CA1").await;
    let mut socket = gateway.dial(&path).await.unwrap();
    say(&mut socket, r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await;
    say(&mut socket, &start_message("MZ1", "CA1")).await;
    let mut media = gateway.media().await;
    let start = media.started().await;
    let call = start.call.unwrap();
    assert_eq!(
        (call.tenant.as_str(), call.agent_version, call.to_number.as_str()),
        ("tenants/demo", 3, NUMBER)
    );

    say(&mut socket, r#"{"event":"media","streamSid":"MZ1","media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"//9/fw=="}}"#).await;
    let Some(ToMedia::Audio(frame)) = media.request().await else { panic!("no audio") };
    assert_eq!(&frame.payload[..], [0xff, 0xff, 0x7f, 0x7f]);

    media.say(1, audio(960)).await;
    media.say(1, FromMedia::Mark(Mark { name: "u1".into() })).await;
    let heard: Vec<_> = [
        hear(&mut socket).await.unwrap(),
        hear(&mut socket).await.unwrap(),
        hear(&mut socket).await.unwrap(),
    ]
    .into();
    assert_eq!(
        heard.iter().map(|message| message["event"].as_str().unwrap()).collect::<Vec<_>>(),
        ["media", "media", "mark"]
    );
    say(&mut socket, r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"u1"}}"#).await;
    let Some(ToMedia::MarkReached(reached)) = media.request().await else { panic!("no mark") };
    assert_eq!((reached.name.as_str(), reached.cleared), ("u1", false));
    media.say(2, FromMedia::Clear(Clear {})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["event"], "clear");

    media.say(2, hang_up()).await;
    assert_eq!(hear(&mut socket).await.unwrap_err().unwrap().0, 1000);
    assert_eq!(stop_reason(&mut media).await, EndReason::AgentHangup);
    assert!(media.request().await.is_none(), "half-closed after stop");
    assert!(gateway.post(&after_path(&path), &voice_form("CA1")).await.1.contains("<Hangup/>"));
    let ended = events.next().await.unwrap().unwrap();
    assert_eq!(ended.call_id, call.call_id);
    let reason = EndReason::AgentHangup.into();
    assert_eq!(ended.event.unwrap().event, Some(call_event::Event::CallEnded(CallEnded { reason })));
    drop(media);
    gateway.settled().await;
}

#[tokio::test]
async fn a_carrier_that_stops_or_closes_has_hung_up() {
    let mut gateway = Gateway::start(|_| {}).await;
    let (mut socket, mut media, _) = gateway.call("CA1").await;
    say(&mut socket, r#"{"event":"stop","streamSid":"MZ1","stop":{"callSid":"CA1"}}"#).await;
    assert_eq!(stop_reason(&mut media).await, EndReason::CallerHangup);
    let (mut socket, mut media, _) = gateway.call("CA2").await;
    socket.close(None).await.unwrap();
    assert_eq!(stop_reason(&mut media).await, EndReason::CallerHangup);
    let (mut socket, mut media, _) = gateway.call("CA3").await;
    socket.close(Some(close_frame(1000))).await.unwrap();
    assert_eq!(stop_reason(&mut media).await, EndReason::CallerHangup);
    gateway.settled().await;
}

fn close_frame(code: u16) -> tungstenite::protocol::CloseFrame {
    tungstenite::protocol::CloseFrame { code: code.into(), reason: "".into() }
}

#[tokio::test]
async fn a_carrier_that_closes_for_a_fault_may_come_back() {
    for code in [1001, 1011, 1012, 1013] {
        let mut gateway = Gateway::start(|_| {}).await;
        let (mut socket, mut media, path) = gateway.call("CA1").await;
        socket.close(Some(close_frame(code))).await.unwrap();
        assert!(hear(&mut socket).await.is_err());
        let (_, twiml) = gateway.post(&after_path(&path), &voice_form("CA1")).await;
        let next = media_path(&twiml).unwrap_or_else(|| panic!("{code} is no hang-up: {twiml}"));
        let mut socket = gateway.dial(&next).await.unwrap();
        say(&mut socket, &start_message("MZ2", "CA1")).await;
        media.say(1, audio(160)).await;
        assert_eq!(hear(&mut socket).await.unwrap()["event"], "media", "{code}");
        say(&mut socket, r#"{"event":"stop","streamSid":"MZ2","stop":{"callSid":"CA1"}}"#).await;
        assert_eq!(stop_reason(&mut media).await, EndReason::CallerHangup);
    }
}

#[tokio::test]
async fn a_call_that_the_table_has_lost_ends() {
    let mut gateway = Gateway::start(|_| {}).await;
    let (mut socket, mut media, _) = gateway.call("CA1").await;
    let call_id = gateway.gw.shared.table().call_of_sid("CA1").unwrap().to_owned();
    gateway.gw.shared.end(&call_id, EndReason::Internal, Duration::ZERO);
    assert_eq!(hear(&mut socket).await.unwrap_err().unwrap().0, 1000);
    stop_reason(&mut media).await;
}

#[tokio::test]
async fn a_broken_socket_is_replaced_and_the_call_goes_on() {
    let mut gateway = Gateway::start(|_| {}).await;
    let (socket, mut media, path) = gateway.call("CA1").await;
    // Without a close frame.
    drop(socket);
    let (_, twiml) = gateway.post(&after_path(&path), &voice_form("CA1")).await;
    let next = media_path(&twiml).expect("a fresh stream");
    assert_ne!(next, path);
    assert!(gateway.dial(&path).await.is_err(), "the old token is of no use");
    let mut socket = gateway.dial(&next).await.unwrap();
    say(&mut socket, &start_message("MZ2", "CA1")).await;
    media.say(1, audio(160)).await;
    let heard = hear(&mut socket).await.unwrap();
    assert_eq!((heard["event"].as_str(), heard["streamSid"].as_str()), (Some("media"), Some("MZ2")));
    media.say(1, hang_up()).await;
    assert_eq!(stop_reason(&mut media).await, EndReason::AgentHangup);
    gateway.settled().await;
}

#[tokio::test]
async fn a_broken_socket_that_nobody_replaces_ends_the_call() {
    let mut gateway = Gateway::start(|config| config.resume_timeout = Duration::from_millis(50)).await;
    let (socket, mut media, _) = gateway.call("CA1").await;
    drop(socket);
    assert_eq!(stop_reason(&mut media).await, EndReason::CarrierLost);
    gateway.settled().await;
}

#[tokio::test]
async fn a_stream_whose_socket_says_nothing_is_lost_when_the_carrier_says_so() {
    let mut gateway = Gateway::start(|config| config.resume_timeout = Duration::from_millis(50)).await;
    let (_socket, mut media, path) = gateway.call("CA1").await;
    let stream = format!("/twilio/stream/{}", token_of(&path));
    let told = |event| [("CallSid", "CA1"), ("AccountSid", "AC1"), ("StreamEvent", event)];
    assert_eq!(gateway.post(&stream, &told("stream-started")).await.0, StatusCode::OK);
    assert_eq!(gateway.post("/twilio/stream/unknown", &told("stream-error")).await.0, StatusCode::OK);
    assert_eq!(gateway.post_signed(&stream, &told("stream-error"), None).await.0, StatusCode::FORBIDDEN);
    gateway.post(&stream, &told("stream-error")).await;
    assert_eq!(stop_reason(&mut media).await, EndReason::CarrierLost);
    drop(media);
    gateway.settled().await;
    assert_eq!(gateway.post(&stream, &told("stream-stopped")).await.0, StatusCode::OK, "late");
}

#[tokio::test]
async fn a_silent_carrier_is_lost() {
    let mut gateway = Gateway::start(|config| {
        config.silence_timeout = Duration::from_millis(50);
        config.resume_timeout = Duration::from_millis(50);
    })
    .await;
    let (_socket, mut media, _) = gateway.call("CA1").await;
    assert_eq!(stop_reason(&mut media).await, EndReason::CarrierLost);
}

#[tokio::test]
async fn a_broken_media_stream_is_opened_again() {
    let mut gateway = Gateway::start(|_| {}).await;
    let (mut socket, media, _) = gateway.call("CA1").await;
    media.responses.send(Err(Status::unavailable("gone"))).await.unwrap();
    drop(media);
    let mut media = gateway.media().await;
    let resume = media.started().await.resume.expect("a position to resume at");
    assert_eq!(resume.received_count, 1);
    media.say(1, audio(160)).await;
    assert_eq!(hear(&mut socket).await.unwrap()["event"], "media");
}

#[tokio::test]
async fn a_draining_node_finishes_its_calls_and_takes_no_new_one() {
    let mut gateway = Gateway::start(|_| {}).await;
    let admitted = gateway.admit("CA1").await;
    let (_socket, mut media, _) = gateway.call("CA2").await;
    let drained = tokio::spawn({
        let drain = gateway.drain.clone();
        async move { drain.run(Duration::from_millis(300), Duration::from_secs(5)).await }
    });
    gateway.drain.started().await;
    assert!(gateway.post("/twilio/voice", &voice_form("CA3")).await.1.contains("<Reject reason=\"busy\"/>"));
    // The socket of an admitted call still opens.
    let mut socket = gateway.dial(&admitted).await.unwrap();
    say(&mut socket, &start_message("MZ1", "CA1")).await;
    let mut second = gateway.media().await;
    second.started().await;
    second.say(0, hang_up()).await;
    assert_eq!(hear(&mut socket).await.unwrap_err().unwrap().0, 1000);
    // The other outlives the deadline.
    assert_eq!(stop_reason(&mut media).await, EndReason::Drained);
    drop((media, second));
    assert_eq!(drained.await.unwrap(), 0);
}
