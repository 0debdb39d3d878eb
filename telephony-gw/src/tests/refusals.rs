use super::*;

const MEDIA: &str = r#"{"event":"media","streamSid":"MZ1","media":{"payload":"fw=="}}"#;

/// How often a refusal of the socket with this token was logged, with this reason.
fn refusals(path: &str, reason: &str) -> usize {
    let (token, reason) = (&token_of(path)[..6], format!("reason=\"{reason}\""));
    logs()
        .lines()
        .filter(|line| {
            line.contains("media socket refused") && line.contains(token) && line.contains(&reason)
        })
        .count()
}

fn status_of(refused: Result<Socket, tungstenite::Error>) -> StatusCode {
    match refused {
        Err(tungstenite::Error::Http(response)) => {
            let shown = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            assert!(shown.len() < 20, "nothing is explained: {shown}");
            response.status()
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn no_socket_opens_without_a_token_that_is_good_here() {
    let mut gateway = Gateway::start(|_| {}).await;
    let unknown = format!("/twilio/media/gw-1/{}", "Q".repeat(43));
    assert_eq!(status_of(gateway.dial(&unknown).await), StatusCode::NOT_FOUND);
    assert_eq!(refusals(&unknown, "unknown_token"), 1);
    assert_eq!(status_of(gateway.dial("/twilio/media/gw-1/").await), StatusCode::NOT_FOUND);

    let (_socket, _media, used) = gateway.call("CA1").await;
    assert_eq!(status_of(gateway.dial(&used).await), StatusCode::FORBIDDEN);
    assert_eq!(refusals(&used, "used_token"), 1);

    let elsewhere = gateway.admit("CA2").await.replace("gw-1", "gw-2");
    assert_eq!(status_of(gateway.dial(&elsewhere).await), StatusCode::NOT_FOUND);
    assert_eq!(refusals(&elsewhere, "other_node"), 1);
    // The test's own client logs what it sends; that is no log of the gateway.
    let logs = logs();
    let ours = logs.lines().filter(|line| !line.contains("tungstenite::handshake::client"));
    let shown: Vec<_> = ours.filter(|line| line.contains(token_of(&used))).collect();
    assert_eq!(shown, Vec::<&str>::new(), "tokens are never logged whole");
}

#[tokio::test]
async fn a_signature_of_the_upgrade_must_fit_if_it_is_there() {
    let gateway = Gateway::start(|_| {}).await;
    let path = gateway.admit("CA1").await;
    let url = format!("ws://{}{path}", gateway.address);
    let dial = async |signature: &str| {
        let mut request = tungstenite::client::IntoClientRequest::into_client_request(url.as_str()).unwrap();
        request.headers_mut().insert("x-twilio-signature", signature.parse().unwrap());
        tokio_tungstenite::connect_async(request).await.map(|(socket, _)| socket)
    };
    assert_eq!(status_of(dial("bm90IGl0").await), StatusCode::FORBIDDEN);
    assert_eq!(refusals(&path, "wrong_signature"), 1);
    assert!(dial(&sign(&url, &[])).await.is_ok());
}

#[tokio::test]
async fn what_is_wrong_before_start_closes_the_socket_and_keeps_the_token() {
    let gateway = Gateway::start(|_| {}).await;
    let other_call = start_message("MZ1", "CA-other");
    let cases: [(&str, &str, u16); 6] = [
        (MEDIA, "audio_before_start", 1008),
        ("{not json", "malformed_message", 1007),
        (r#"{"event":"start","streamSid":"MZ1"}"#, "missing_field", 1007),
        (r#"{"event":"stop","streamSid":"MZ1"}"#, "out_of_order", 1008),
        (&other_call, "other_call", 1008),
        (&start_message("MZ1", "CA1").replace("8000", "16000"), "unsupported_format", 1008),
    ];
    let path = gateway.admit("CA1").await;
    for (message, reason, code) in cases {
        let mut socket = gateway.dial(&path).await.unwrap();
        say(&mut socket, r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await;
        say(&mut socket, message).await;
        let (closed, why) = hear(&mut socket).await.unwrap_err().unwrap();
        assert_eq!(closed, code, "{reason}");
        assert!(!why.is_empty());
        assert_eq!(refusals(&path, reason), 1);
        assert!(metrics().contains(&format!("trunkline_media_socket_refusals_total{{reason=\"{reason}\"}}")));
    }
    assert_eq!(gateway.gw.shared.table().check(token_of(&path)), Ok(()));
}

#[tokio::test]
async fn binary_and_huge_messages_are_refused() {
    let gateway = Gateway::start(|_| {}).await;
    let path = gateway.admit("CA1").await;
    let mut socket = gateway.dial(&path).await.unwrap();
    socket.send(tungstenite::Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(hear(&mut socket).await.unwrap_err().unwrap().0, 1003);
    let mut socket = gateway.dial(&path).await.unwrap();
    // The gateway does not read it to its end, so the connection may break under it.
    let _ = socket.send(tungstenite::Message::text("x".repeat(10_000_000))).await;
    if let Some((code, _)) = hear(&mut socket).await.unwrap_err() {
        assert_eq!(code, 1009);
    }
    assert_eq!((refusals(&path, "binary_message"), refusals(&path, "message_too_long")), (1, 1));
}

#[tokio::test]
async fn a_socket_that_does_not_start_in_time_is_closed() {
    let gateway = Gateway::start(|config| config.start_timeout = Duration::from_millis(50)).await;
    let path = gateway.admit("CA1").await;
    let mut socket = gateway.dial(&path).await.unwrap();
    say(&mut socket, r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await;
    let (code, why) = hear(&mut socket).await.unwrap_err().unwrap();
    assert_eq!((code, why.as_str()), (1008, "no start came in time"));
    assert_eq!(refusals(&path, "start_timeout"), 1);
}

#[tokio::test]
async fn a_started_stream_that_breaks_the_protocol_ends_its_call() {
    let mut gateway = Gateway::start(|_| {}).await;
    let cases = [("{", 1007, "malformed_message"), (&MEDIA.replace("MZ1", "MZ2"), 1008, "wrong_stream")];
    for (n, (message, code, reason)) in cases.into_iter().enumerate() {
        let (mut socket, mut media, _) = gateway.call(&format!("CA{n}")).await;
        say(&mut socket, message).await;
        assert_eq!(hear(&mut socket).await.unwrap_err().unwrap().0, code);
        let Some(ToMedia::Stop(stop)) = media.request().await else { panic!("no stop") };
        assert_eq!(stop.reason(), proto::types::v1::EndReason::CarrierLost);
        assert!(logs().contains(&format!("reason=\"{reason}\"")));
        gateway.settled().await;
    }
}

#[tokio::test]
async fn there_is_a_limit_of_sockets_without_a_start() {
    let gateway = Gateway::start(|config| config.handshakes_max = 1).await;
    let path = gateway.admit("CA1").await;
    let _waiting = gateway.dial(&path).await.unwrap();
    assert_eq!(status_of(gateway.dial(&path).await), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusals(&path, "handshakes_full"), 1);
}

#[tokio::test]
async fn a_thousand_bad_sockets_leave_nothing_behind() {
    let gateway = Gateway::start(|_| {}).await;
    let path = gateway.admit("CA1").await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    for n in 0..1_000 {
        if n % 2 == 0 {
            assert!(gateway.dial(&format!("/twilio/media/gw-1/bad{n}")).await.is_err());
            continue;
        }
        let mut socket = gateway.dial(&path).await.unwrap();
        let message = ["{", MEDIA, &start_message("MZ1", "CA-other")][n / 2 % 3].to_owned();
        say(&mut socket, &message).await;
        assert!(hear(&mut socket).await.unwrap_err().is_some());
    }
    let settle = async {
        while alive() > before || gateway.gw.shared.handshakes.available_permits() < 256 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settle).await.expect("tasks or permits are left");
    assert_eq!(gateway.gw.shared.table().remembered(), 1);
    assert_eq!(gateway.gw.shared.table().check(token_of(&path)), Ok(()));
}
