use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_service_fails_in_the_middle_of_a_call() {
    let (server, log) = server(|settings| settings.faults = Faults::once(Fault::Fail { after: SECOND }));
    let mut client = Client::connect(&server, PHONE).await;
    client.speak(&silence(1000)).await;
    let (_, code, reason) = client.until_close().await;
    assert_eq!((code, reason.as_str()), (1011, "NET-0000"));
    let closed = log.wait_for(|event| event.name == "close", PATIENCE).await.expect("logged");
    assert_eq!((closed.number("code"), closed.number("audio_s")), (Some(1011.0), Some(1.0)));
    let mut client = Client::connect(&server, PHONE).await;
    client.speak(&[samples("vm-goodbye"), silence(500)].concat()).await;
    assert_eq!(final_text(&client.until(|json| json["speech_final"] == true).await), "Goodbye.");
}

#[tokio::test]
async fn an_open_connection_is_reset() {
    let (server, log) = server(|_| ());
    let mut client = Client::connect(&server, PHONE).await;
    client.speak(&silence(200)).await;
    log.wait_for(|event| event.name == "audio_first", PATIENCE).await.expect("audio is taken");
    server.strike(Fault::Reset { after: Duration::ZERO });
    let error = loop {
        if let Err(error) = client.0.send(Message::from(vec![0xFF; 160])).await {
            break error;
        }
        match timeout(Duration::from_millis(20), client.0.next()).await {
            Ok(Some(Err(error))) => break error,
            Ok(Some(Ok(message))) => assert!(!message.is_close(), "a reset says no goodbye"),
            Ok(None) => panic!("a reset is no end of stream"),
            Err(_) => {}
        }
    };
    let rude = Error::Protocol(ProtocolError::ResetWithoutClosingHandshake);
    assert!(matches!(error, Error::Io(_)) || error.to_string() == rude.to_string(), "{error:?}");
    assert!(log.matching(|event| event.name == "close")[0].text("by") == Some("fault"));
}

#[tokio::test]
async fn a_stalled_service_takes_audio_and_says_nothing() {
    let (server, log) =
        server(|settings| settings.faults = Faults::always(Fault::Stall { after: Duration::ZERO }));
    let mut client = Client::connect(&server, PHONE).await;
    client.speak(&[samples("hello-world"), silence(1000)].concat()).await;
    client.send(r#"{"type":"Finalize"}"#).await;
    log.wait_for(|event| event.name == "finalize", PATIENCE).await.expect("everything was taken");
    client.send(Message::Close(None)).await;
    while let Some(Ok(message)) = client.0.next().await {
        assert!(!message.is_text(), "{message}");
    }
    assert!(log.matching(|event| event.name == "result").is_empty());
}

#[tokio::test]
async fn finals_may_be_empty() {
    let (server, _) = server(|settings| settings.faults = Faults::once(Fault::EmptyFinals));
    let mut client = Client::connect(&server, PHONE).await;
    client.speak(&[samples("hello-world"), silence(400)].concat()).await;
    let seen = client.until(|json| json["speech_final"] == true).await;
    assert_eq!(final_text(&seen), "");
    assert!(seen.iter().any(|json| transcript(json) == "Hello world."), "the interims are not");
}
