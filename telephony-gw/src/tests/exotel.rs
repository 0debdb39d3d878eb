use bytes::Bytes;
use proto::{
    media::v1::{HangUp, Mark},
    types::v1::{
        AudioEncoding, AudioFrame, Carrier, CarrierAction, CarrierOutcome, EndReason, Transfer,
        carrier_action::Action,
    },
};
use serde_json::{Value, json};

use super::*;
use crate::{ExotelAccount, config::Network};

const CALL: &str =
    "CallSid=c5a1&CallFrom=09812345678&CallTo=08047100100&Direction=incoming&CallType=call-attempt";
const AUTHORIZATION: &str = "Basic ZXhvdGVsOnMzY3JldA==";

async fn gateway(change: impl FnOnce(&mut ExotelAccount)) -> Gateway {
    let mut account = ExotelAccount {
        secret: Pii::new("s3cret".into()),
        account_sid: Some("acme1".into()),
        networks: Vec::new(),
        sample_rate_hz: 16_000,
        api_key: None,
        api_token: None,
        api_url: "http://127.0.0.1:9".parse().unwrap(),
    };
    change(&mut account);
    Gateway::start(|config| config.exotel = Some(account)).await
}

impl Gateway {
    async fn get(&self, path_and_query: &str) -> (StatusCode, Value) {
        let request = Request::get(path_and_query).body(Body::empty()).unwrap();
        let response = self.gw.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The path and query of the media socket that a call is answered with.
    async fn voice(&self) -> String {
        let (status, answer) = self.get(&format!("/exotel/s3cret/voice?{CALL}")).await;
        assert_eq!(status, StatusCode::OK);
        let url: url::Url = answer["url"].as_str().unwrap().parse().unwrap();
        assert_eq!((url.scheme(), url.username(), url.password()), ("ws", "exotel", Some("s3cret")));
        format!("{}?{}", url.path(), url.query().unwrap())
    }

    async fn dial_with(&self, path: &str, authorization: Option<&str>) -> Result<Socket, tungstenite::Error> {
        let url = format!("ws://{}{path}", self.address);
        let mut request = tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
        if let Some(authorization) = authorization {
            request.headers_mut().insert("authorization", authorization.parse().unwrap());
        }
        tokio_tungstenite::connect_async(request).await.map(|(socket, _)| socket)
    }
}

fn start(rate: &str) -> String {
    let start = json!({"stream_sid": "9f3c", "call_sid": "c5a1", "account_sid": "acme1",
                       "media_format": {"encoding": "raw/slin", "sample_rate": rate}});
    json!({"event": "start", "stream_sid": "9f3c", "start": start}).to_string()
}

fn media_message(pcm: &[u8]) -> String {
    let payload = BASE64_STANDARD.encode(pcm);
    json!({"event": "media", "stream_sid": "9f3c", "media": {"chunk": 1, "timestamp": "0", "payload": payload}}).to_string()
}

#[tokio::test]
async fn a_call_from_its_voice_url_to_its_hang_up() {
    let mut gateway = gateway(|_| {}).await;
    let path = gateway.voice().await;
    assert!(path.contains("?sample-rate=16000&call_id="), "{path}");
    assert_eq!(gateway.voice().await, path, "the same request once more is the same call");
    let mut socket = gateway.dial_with(&path, Some(AUTHORIZATION)).await.unwrap();
    say(&mut socket, r#"{"event":"connected"}"#).await;
    say(&mut socket, &start("16000")).await;
    let mut media = gateway.media().await;
    let started = media.started().await;
    let (call, format) = (started.call.unwrap(), started.format.unwrap());
    assert_eq!((call.carrier(), call.to_number.as_str()), (Carrier::Exotel, "+918047100100"));
    assert_eq!((call.from_number.as_str(), call.tenant.as_str()), ("+919812345678", "tenants/demo"));
    assert_eq!((format.encoding(), format.sample_rate_hz), (AudioEncoding::PcmS16le, 16_000));

    say(&mut socket, &media_message(&[1; 3_200])).await;
    let Some(ToMedia::Audio(frame)) = media.request().await else { panic!("no audio") };
    assert_eq!(&frame.payload[..], [1; 3_200]);

    // Frames of 20 ms go out as 100 ms, and what is left before a mark in a multiple of 320 bytes.
    let frame =
        || FromMedia::Audio(AudioFrame { payload: Bytes::from(vec![7; 640]), ..AudioFrame::default() });
    for _ in 0..7 {
        media.say(1, frame()).await;
    }
    media.say(1, FromMedia::Mark(Mark { name: "u1-4480".into() })).await;
    let mut sizes = Vec::new();
    loop {
        let message = hear(&mut socket).await.unwrap();
        assert_eq!(message["stream_sid"], "9f3c");
        if message["event"] == "mark" {
            assert_eq!(message["mark"]["name"], "u1-4480");
            break;
        }
        sizes.push(BASE64_STANDARD.decode(message["media"]["payload"].as_str().unwrap()).unwrap().len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 7 * 640, "{sizes:?}");
    assert!(sizes.iter().all(|bytes| bytes.is_multiple_of(320) && *bytes <= 3_200), "{sizes:?}");

    media.say(1, FromMedia::HangUp(HangUp { reason: EndReason::AgentHangup.into() })).await;
    assert_eq!(hear(&mut socket).await.unwrap_err().map(|(code, _)| code), Some(1000));
    let (status, _) =
        gateway.get(&format!("/exotel/s3cret/passthru?{CALL}&Stream[DisconnectedBy]=bot")).await;
    assert_eq!(status, StatusCode::OK, "the agent's decision was to end the call");
    gateway.settled().await;
}

#[tokio::test]
async fn a_handshake_that_failed_is_tried_again_and_a_start_spends_the_token() {
    let mut gateway = gateway(|_| {}).await;
    let path = gateway.voice().await;
    drop(gateway.dial_with(&path, Some(AUTHORIZATION)).await.unwrap());
    let mut socket = gateway.dial_with(&path, None).await.unwrap();
    say(&mut socket, &start("16000")).await;
    gateway.media().await.started().await;
    assert!(gateway.dial_with(&path, None).await.is_err(), "spent");
}

#[tokio::test]
async fn a_stream_that_the_flow_took_away_comes_back_through_passthru() {
    let mut gateway = gateway(|_| {}).await;
    let path = gateway.voice().await;
    let mut socket = gateway.dial_with(&path, None).await.unwrap();
    say(&mut socket, &start("16000")).await;
    let mut media = gateway.media().await;
    media.started().await;
    say(&mut socket, r#"{"event":"stop","stream_sid":"9f3c","stop":{"reason":"stopped"}}"#).await;
    assert!(hear(&mut socket).await.is_err());

    let passthru = format!("/exotel/s3cret/passthru?{CALL}");
    assert_eq!(gateway.get(&format!("{passthru}&Stream[DisconnectedBy]=NA")).await.0, StatusCode::FOUND);
    let again = gateway.voice().await;
    assert_ne!(again, path);
    let mut socket = gateway.dial_with(&again, None).await.unwrap();
    say(&mut socket, &start("16000")).await;
    say(&mut socket, &media_message(&[2; 640])).await;
    let Some(ToMedia::Audio(frame)) = media.request().await else { panic!("the same call goes on") };
    assert_eq!(&frame.payload[..], [2; 640]);

    // The caller hangs up: nothing comes back any more.
    let over = format!("{passthru}&Stream=%7B%22DisconnectedBy%22:%22user%22%7D");
    assert_eq!(gateway.get(&over).await.0, StatusCode::OK);
    gateway.settled().await;
}

#[tokio::test]
async fn a_stream_that_comes_back_in_another_format_ends_the_call() {
    let mut gateway = gateway(|_| {}).await;
    let mut socket = gateway.dial_with(&gateway.voice().await, None).await.unwrap();
    say(&mut socket, &start("16000")).await;
    gateway.media().await.started().await;
    drop(socket);
    assert_eq!(gateway.get(&format!("/exotel/s3cret/passthru?{CALL}")).await.0, StatusCode::FOUND);
    let mut socket = gateway.dial_with(&gateway.voice().await, None).await.unwrap();
    say(&mut socket, &start("8000")).await;
    assert_eq!(hear(&mut socket).await.unwrap_err().map(|(code, _)| code), Some(1008));
    gateway.settled().await;
}

#[tokio::test]
async fn only_the_secret_opens_a_webhook() {
    let without = Gateway::start(|_| {}).await;
    assert_eq!(without.get(&format!("/exotel/s3cret/voice?{CALL}")).await.0, StatusCode::FORBIDDEN);
    let gateway = gateway(|_| {}).await;
    for path in ["voice", "passthru"] {
        assert_eq!(
            gateway.get(&format!("/exotel/guess/{path}?{CALL}")).await.0,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
    assert_eq!(gateway.get("/exotel/s3cret/voice?CallSid=c1").await.0, StatusCode::BAD_REQUEST);
    let unknown = CALL.replace("08047100100", "08047100199");
    assert_eq!(gateway.get(&format!("/exotel/s3cret/voice?{unknown}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        gateway.get(&format!("/exotel/s3cret/passthru?{CALL}")).await.0,
        StatusCode::OK,
        "no such call"
    );
    assert_eq!(gateway.gw.shared.table().remembered(), 0);
}

#[tokio::test]
async fn what_the_upgrade_shows_must_fit() {
    let gateway = gateway(|_| {}).await;
    let path = gateway.voice().await;
    assert!(gateway.dial_with(&path, Some("Basic ZXhvdGVsOmd1ZXNz")).await.is_err(), "another password");
    assert!(gateway.dial_with(&path, Some("Bearer s3cret")).await.is_err());
    assert!(gateway.dial_with(&path.replace("16000", "44100"), None).await.is_err(), "no such rate");
    let mut socket = gateway.dial_with(&path, None).await.unwrap();
    say(&mut socket, &start("16000").replace("acme1", "acme2")).await;
    assert_eq!(hear(&mut socket).await.unwrap_err().map(|(code, _)| code), Some(1008), "another account");
}

#[tokio::test]
async fn an_address_that_is_not_on_the_list_is_refused() {
    let listed: Network = "203.0.113.0/24".parse().unwrap();
    let gateway = gateway(|account| account.networks = vec![listed]).await;
    let ask = async |peer: &str, forwarded: Option<&str>| {
        let mut request = Request::get(format!("/exotel/s3cret/voice?{CALL}"));
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: std::net::SocketAddr = format!("{peer}:5060").parse().unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        gateway.gw.router().oneshot(request).await.unwrap().status()
    };
    assert_eq!(ask("203.0.113.9", None).await, StatusCode::OK);
    assert_eq!(ask("198.51.100.1", None).await, StatusCode::FORBIDDEN);
    assert_eq!(
        ask("127.0.0.1", Some("198.51.100.1, 203.0.113.9")).await,
        StatusCode::OK,
        "by a proxy of ours"
    );
    assert_eq!(ask("127.0.0.1", Some("203.0.113.9, 198.51.100.1")).await, StatusCode::FORBIDDEN);
    assert_eq!(
        ask("198.51.100.1", Some("203.0.113.9")).await,
        StatusCode::FORBIDDEN,
        "anybody can write that"
    );
    assert_eq!(
        gateway.get(&format!("/exotel/s3cret/voice?{CALL}")).await.0,
        StatusCode::FORBIDDEN,
        "no peer"
    );
}

#[tokio::test]
async fn a_status_callback_ends_a_call_once() {
    let mut gateway = gateway(|_| {}).await;
    let mut socket = gateway.dial_with(&gateway.voice().await, None).await.unwrap();
    say(&mut socket, &start("16000")).await;
    let mut media = gateway.media().await;
    media.started().await;
    let post = async |body: &'static str| {
        let request = Request::post("/exotel/s3cret/status").body(Body::from(body)).unwrap();
        gateway.gw.router().oneshot(request).await.unwrap().status()
    };
    assert_eq!(
        post(r#"{"CallSid":"c5a1","EventType":"answered","Status":"in-progress"}"#).await,
        StatusCode::OK
    );
    assert_eq!(gateway.gw.shared.table().in_progress(), 1);
    for _ in 0..2 {
        assert_eq!(post("CallSid=c5a1&Status=completed&RecordingUrl=").await, StatusCode::OK);
    }
    let Some(ToMedia::Stop(stop)) = media.request().await else { panic!("the call must end") };
    assert_eq!(stop.reason(), EndReason::CallerHangup);
    gateway.settled().await;
}

#[tokio::test]
async fn a_late_question_about_an_earlier_stream_does_not_touch_the_present_one() {
    let mut gateway = gateway(|_| {}).await;
    let mut first = gateway.dial_with(&gateway.voice().await, None).await.unwrap();
    say(&mut first, &start("16000")).await;
    let mut media = gateway.media().await;
    media.started().await;
    drop(first);
    let late = format!("/exotel/s3cret/passthru?{CALL}&Stream[StreamSID]=9f3c&Stream[DisconnectedBy]=NA");
    assert_eq!(gateway.get(&late).await.0, StatusCode::FOUND);
    let mut second = gateway.dial_with(&gateway.voice().await, None).await.unwrap();
    say(&mut second, &start("16000").replace("9f3c", "9f3d")).await;
    let sound = |sample| media_message(&[sample; 640]).replace("9f3c", "9f3d");
    say(&mut second, &sound(2)).await;
    let Some(ToMedia::Audio(_)) = media.request().await else { panic!("the second stream is heard") };
    assert_eq!(gateway.get(&late).await.0, StatusCode::FOUND, "as before");
    let in_one = format!("/exotel/s3cret/passthru?{CALL}&Stream=%7B%22StreamSID%22:%229f3c%22%7D");
    assert_eq!(gateway.get(&in_one).await.0, StatusCode::FOUND);
    say(&mut second, &sound(3)).await;
    let Some(ToMedia::Audio(frame)) = media.request().await else { panic!("the stream is gone") };
    assert_eq!(&frame.payload[..], [3; 640]);
    // About the present one it is answered as ever.
    let present = late.replace("9f3c", "9f3d");
    assert_eq!(gateway.get(&present).await.0, StatusCode::FOUND);
    assert!(hear(&mut second).await.is_err());
}

#[tokio::test]
async fn where_nobody_was_dialled_nobody_has_answered() {
    let mut gateway = gateway(|_| {}).await;
    let mut socket = gateway.dial_with(&gateway.voice().await, None).await.unwrap();
    say(&mut socket, &start("16000")).await;
    let mut media = gateway.media().await;
    media.started().await;
    let transfer = Transfer { to_number: "+12025550101".into() };
    media.say(1, FromMedia::Action(CarrierAction { action: Some(Action::Transfer(transfer)) })).await;
    assert_eq!(hear(&mut socket).await.unwrap_err().map(|(code, _)| code), Some(1000));
    // The flow has nobody who asks whom to dial, and its words for the call are about the stream.
    let passthru = format!("/exotel/s3cret/passthru?{CALL}").replace("call-attempt", "completed");
    assert_eq!(gateway.get(&passthru).await.0, StatusCode::FOUND);
    let voice = format!("/exotel/s3cret/voice?{CALL}").replace("call-attempt", "completed");
    let (status, answer) = gateway.get(&voice).await;
    assert_eq!(status, StatusCode::OK);
    let url: url::Url = answer["url"].as_str().unwrap().parse().unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    // The first socket says goodbye only now.
    let _ = socket.close(None).await;
    let mut socket = gateway.dial_with(&path, None).await.unwrap();
    say(&mut socket, &start("16000").replace("9f3c", "9f3d")).await;
    let told = loop {
        match media.request().await {
            Some(ToMedia::ActionEnded(ended)) => break ended.outcome(),
            Some(_) => {}
            None => panic!("the stream to the media role ended"),
        }
    };
    assert_eq!(told, CarrierOutcome::Failed);
}

#[tokio::test]
async fn an_end_that_nobody_signed_is_confirmed_where_it_can_be() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url: url::Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let status = Arc::new(Mutex::new("in-progress"));
    let told = Arc::clone(&status);
    let answer = move || {
        let status = *told.lock().unwrap();
        std::future::ready(axum::Json(json!({"Call": {"Sid": "c5a1", "Status": status}})))
    };
    let router = axum::Router::new().route("/v1/Accounts/acme1/Calls/c5a1.json", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut gateway = gateway(|account| {
        (account.api_key, account.api_token) = (Some(Pii::new("k".into())), Some(Pii::new("t".into())));
        account.api_url = api_url;
    })
    .await;
    let mut socket = gateway.dial_with(&gateway.voice().await, None).await.unwrap();
    say(&mut socket, &start("16000")).await;
    let mut media = gateway.media().await;
    media.started().await;
    let call_id = gateway.gw.shared.table().call_of_sid("c5a1").unwrap().to_owned();
    let post = async |path: &str| {
        let body = r#"{"CallSid":"c5a1","EventType":"terminal","Status":"completed"}"#;
        let request = Request::post(path).body(Body::from(body)).unwrap();
        assert_eq!(gateway.gw.router().oneshot(request).await.unwrap().status(), StatusCode::OK);
    };
    let paths = ["/exotel/s3cret/status".to_owned(), format!("/exotel/s3cret/status/{call_id}")];
    for path in &paths {
        post(path).await;
    }
    say(&mut socket, &media_message(&[1; 640])).await;
    let Some(ToMedia::Audio(_)) = media.request().await else { panic!("the call goes on") };
    *status.lock().unwrap() = "completed";
    post(&paths[0]).await;
    let Some(ToMedia::Stop(stop)) = media.request().await else { panic!("the call must end") };
    assert_eq!(stop.reason(), EndReason::CallerHangup);
}
