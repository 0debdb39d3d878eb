use serde_json::json;

use super::*;

const FLUX: &str = "model=flux-general-en&encoding=mulaw&sample_rate=8000&eot_threshold=0.7\
                    &eager_eot_threshold=0.5&eot_timeout_ms=3000&tag=call-1";

async fn connected(server: &Server) -> Client {
    let mut client = Client::connect(server, FLUX).await;
    let seen = client.until(|_| true).await;
    assert_eq!((&seen[0]["type"], &seen[0]["sequence_id"]), (&json!("Connected"), &json!(0)));
    client
}

fn is(event: &'static str) -> impl Fn(&Value) -> bool {
    move |json| json["event"] == event
}

#[tokio::test]
async fn a_call_is_cut_into_turns() {
    let (server, log) = server(|_| ());
    let mut client = connected(&server).await;
    client.speak(&[silence(400), samples("hello-world"), silence(1000), samples("conf-full")].concat()).await;
    client.speak(&silence(500)).await;
    client.send(r#"{"type":"CloseStream"}"#).await;
    let (seen, code, _) = client.until_close().await;
    assert_eq!(code, 1000);
    let numbers: Vec<u64> = seen.iter().filter_map(|json| json["sequence_id"].as_u64()).collect();
    assert_eq!(numbers, (1..=seen.len() as u64).collect::<Vec<_>>());
    let ends: Vec<&Value> = seen.iter().filter(|json| is("EndOfTurn")(json)).collect();
    let said: Vec<&str> = ends.iter().filter_map(|json| json["transcript"].as_str()).collect();
    assert_eq!(said, [words_of("hello-world"), words_of("conf-full")]);
    assert_eq!((&ends[1]["turn_index"], &ends[1]["trigger"]), (&json!(1), &json!("model")));
    assert_eq!(ends[0]["words"][0]["word"], "Hello");
    assert!(ends[0]["end_of_turn_confidence"].as_f64() >= Some(0.7));
    assert_eq!(ends[0]["audio_window_end"], ends[1]["audio_window_start"]);
    assert!(seen.iter().filter(|json| !is("EndOfTurn")(json)).all(|json| json.get("trigger").is_none()));

    let turn = log
        .matching(|event| event.name == "turn" && event.text("event") == Some("EndOfTurn"))
        .into_iter()
        .next()
        .expect("logged");
    assert_eq!(turn.call.as_deref(), Some("call-1"));
    assert!(turn.number("audio_s") > turn.number("speech_end_s"));
    assert!(turn.number("audio_at_us").is_some() && turn.number("speech_end_at_us").is_some());
    let names: Vec<&str> = log.snapshot().iter().map(|event| event.name).collect();
    assert!(["open", "audio_first", "result", "close"].iter().all(|name| names.contains(name)), "{names:?}");
}

#[tokio::test]
async fn a_client_may_end_the_turn() {
    let (server, log) = server(|_| ());
    let mut client = connected(&server).await;
    client.send(r#"{"type":"ForceEndTurn"}"#).await;
    client.speak(&samples("vm-goodbye")).await;
    client.until(is("StartOfTurn")).await;
    client.send(r#"{"type":"ForceEndTurn"}"#).await;
    let seen = client.until(is("EndOfTurn")).await;
    let end = seen.last().expect("the end");
    assert_eq!(
        (&end["trigger"], &end["turn_index"], &end["transcript"]),
        (&json!("manual"), &json!(0), &json!("Goodbye."))
    );
    assert_eq!(log.matching(|event| event.name == "force_end_turn").len(), 2);
}

#[tokio::test]
async fn the_settings_of_a_socket_can_be_changed() {
    let (server, _) = server(|_| ());
    let mut client = connected(&server).await;
    client.send(r#"{"type":"Configure","thresholds":{"eot_timeout_ms":600},"keyterms":["Trunkline"]}"#).await;
    let seen = client.until(|json| json["type"] == "ConfigureSuccess").await;
    let thresholds = json!({"eot_threshold": 0.7, "eager_eot_threshold": 0.5, "eot_timeout_ms": 600});
    assert_eq!((&seen[0]["thresholds"], &seen[0]["keyterms"]), (&thresholds, &json!(["Trunkline"])));
    client.send(r#"{"type":"Configure","thresholds":{"eot_threshold":0.1}}"#).await;
    let seen = client.until(|json| json["type"] == "ConfigureFailure").await;
    assert!(seen[0]["description"].as_str().is_some_and(|text| text.starts_with("eot_threshold")));
    client.speak(&[samples("pls-hold-while-try")[..9000].to_vec(), silence(900)].concat()).await;
    let seen = client.until(is("EndOfTurn")).await;
    assert_eq!(seen.last().map(|json| &json["trigger"]), Some(&json!("timeout")));
}

#[tokio::test]
async fn what_it_cannot_read_ends_the_connection() {
    for text in [r#"{"type":"KeepAlive"}"#, r#"{"type":"Finalize"}"#, "no JSON"] {
        let (server, log) = server(|_| ());
        let mut client = connected(&server).await;
        client.send(text).await;
        let (seen, code, _) = client.until_close().await;
        assert_eq!(
            (&seen[0]["type"], &seen[0]["code"]),
            (&json!("Error"), &json!("UNPARSABLE_CLIENT_MESSAGE"))
        );
        assert_ne!(code, 1000);
        assert_eq!(log.matching(|event| event.name == "violation").len(), 1);
    }
}

#[tokio::test]
async fn pings_keep_a_quiet_connection() {
    let (server, log) = server(|settings| settings.flux_idle_timeout = Duration::from_millis(400));
    let mut client = connected(&server).await;
    for _ in 0..8 {
        client.send(Message::Ping(Vec::new().into())).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(log.matching(|event| event.name == "close").len(), 0);
    let (_, code, reason) = client.until_close().await;
    assert!(code == 1011 && reason.ends_with("NET-0001"), "{reason}");
}

#[tokio::test]
async fn it_fails_when_it_is_told_to() {
    let (server, log) = server(|settings| {
        settings.faults.next = [Some(Fault::NoConnected), Some(Fault::StallInTurn), None].into();
    });
    let mut mute = Client::connect(&server, FLUX).await;
    mute.speak(&[samples("hello-world"), silence(500)].concat()).await;
    assert!(timeout(Duration::from_millis(300), mute.0.next()).await.is_err(), "not even Connected");

    let mut stalled = connected(&server).await;
    stalled.speak(&[samples("hello-world"), silence(500)].concat()).await;
    let seen = stalled.until(is("StartOfTurn")).await;
    assert!(seen.iter().rev().skip(1).all(is("Update")));
    assert!(timeout(Duration::from_millis(300), stalled.0.next()).await.is_err(), "nothing follows");

    let mut client = connected(&server).await;
    server.strike(Fault::Fail { after: Duration::from_millis(500) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.speak(&silence(600)).await;
    let (_, code, reason) = client.until_close().await;
    assert_eq!((code, reason.as_str()), (1011, "NET-0000"));
    assert!(
        log.matching(|event| event.name == "turn")
            .iter()
            .all(|event| event.text("event") == Some("StartOfTurn"))
    );
}
