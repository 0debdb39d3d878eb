use super::*;

#[tokio::test]
async fn a_call_is_written_down_as_it_is_spoken() {
    let (server, log) = server(|_| ());
    let mut client = Client::connect(&server, PHONE).await;
    let call =
        [silence(400), samples("hello-world"), silence(1500), samples("pls-hold-while-try"), silence(500)];
    client.speak(&call.concat()).await;
    client.send(r#"{"type":"CloseStream"}"#).await;
    let (seen, code, _) = client.until_close().await;
    assert_eq!(code, 1000);
    assert_eq!(seen.last().map(|json| &json["type"]), Some(&Value::from("Metadata")));

    let finals: Vec<&Value> = seen.iter().filter(|json| json["speech_final"] == true).collect();
    assert_eq!(
        finals.iter().map(|json| transcript(json)).collect::<Vec<_>>()[..2],
        [words_of("hello-world"), words_of("pls-hold-while-try")]
    );
    assert!(finals.iter().all(|json| json["is_final"] == true));
    let first = &finals[0]["channel"]["alternatives"][0]["words"][0];
    assert_eq!((first["word"].as_str(), first["punctuated_word"].as_str()), (Some("hello"), Some("Hello")));
    assert!((0.4..0.6).contains(&first["start"].as_f64().expect("seconds")), "{first}");
    let end = finals[0]["start"].as_f64().zip(finals[0]["duration"].as_f64()).map(|(start, len)| start + len);
    assert!((1.9..2.3).contains(&end.expect("numbers")), "300 ms after the end of speech: {end:?}");

    let started = of_type(&seen, "SpeechStarted");
    assert_eq!(started.len(), 2);
    assert!((0.4..0.55).contains(&started[0]["timestamp"].as_f64().expect("seconds")));
    let place = |wanted: &Value| seen.iter().position(|json| json == wanted);
    let ended = of_type(&seen, "UtteranceEnd");
    assert!(place(ended[0]) > place(finals[0]), "after speech_final");
    assert!(seen.iter().any(|json| json["is_final"] == false && !transcript(json).is_empty()));

    let opened = log.matching(|event| event.name == "open");
    assert_eq!(opened[0].call.as_deref(), Some("call-1"));
    let names: Vec<&str> = log.snapshot().iter().map(|event| event.name).collect();
    assert!(["audio_first", "result", "close"].iter().all(|name| names.contains(name)), "{names:?}");
}

#[tokio::test]
async fn times_run_from_the_opening_and_an_empty_message_closes() {
    let (server, _) = server(|_| ());
    let mut client = Client::connect(&server, "encoding=mulaw&sample_rate=8000&endpointing=false").await;
    client.speak(&[silence(3000), samples("vm-goodbye")].concat()).await;
    client.send(Vec::new()).await;
    let (seen, code, _) = client.until_close().await;
    assert_eq!((code, final_text(&seen).as_str()), (1000, "goodbye"));
    let metadata = of_type(&seen, "Metadata");
    assert!(metadata[0]["duration"].as_f64().is_some_and(|duration| duration > 3.5));
    let last = seen.iter().rfind(|json| !transcript(json).is_empty()).expect("a result");
    assert!(last["channel"]["alternatives"][0]["words"][0]["start"].as_f64() > Some(3.0));
    assert!(seen.iter().all(|json| json["is_final"] != false), "interims were not asked for");
}

#[tokio::test]
async fn finalize_settles_what_is_pending() {
    let (server, log) = server(|_| ());
    let mut client = Client::connect(&server, PHONE).await;
    client.speak(&samples("vm-goodbye")).await;
    client.send(r#"{"type":"Finalize"}"#).await;
    let seen = client.until(|json| json["from_finalize"] == true).await;
    assert_eq!(final_text(&seen), "Goodbye.");
    client.speak(&silence(400)).await;
    let seen = client.until(|json| json["speech_final"] == true).await;
    assert_eq!(final_text(&seen), "", "nothing is said twice");
    // With hardly any audio pending the vendor may not answer: both must happen.
    for _ in 0..20 {
        client.send(r#"{"type":"Finalize"}"#).await;
    }
    client.send(r#"{"type":"CloseStream"}"#).await;
    client.until_close().await;
    let answered = log.matching(|event| event.name == "finalize" && event.flag("answered")).len();
    assert!((2..20).contains(&answered), "{answered}");
}

#[tokio::test]
async fn sixteen_kilohertz_is_understood() {
    let (server, _) = server(|_| ());
    let query = "encoding=linear16&sample_rate=16000&punctuate=true&endpointing=300";
    let mut client = Client::connect(&server, query).await;
    let sound = [samples("conf-full"), silence(500)].concat();
    let pairs = sound.iter().zip(sound.iter().skip(1).chain([&0]));
    let doubled: Vec<u8> = pairs.flat_map(|(a, b)| [*a, a.midpoint(*b)]).flat_map(i16::to_le_bytes).collect();
    for message in doubled.chunks(2560) {
        client.send(message.to_vec()).await;
    }
    let seen = client.until(|json| json["speech_final"] == true).await;
    assert_eq!(final_text(&seen), words_of("conf-full"));
}

#[tokio::test]
async fn audio_that_cannot_be_decoded_ends_the_stream() {
    let (server, _) = server(|_| ());
    for (query, audio) in
        [("model=nova-3", vec![0xFF; 160]), ("encoding=linear16&sample_rate=8000", vec![0; 161])]
    {
        let mut client = Client::connect(&server, query).await;
        client.send(audio).await;
        let (_, code, reason) = client.until_close().await;
        assert_eq!((code, reason.as_str()), (1008, "DATA-0000"));
    }
}

#[tokio::test]
async fn without_audio_or_text_the_stream_ends_and_keep_alive_holds_it() {
    let (server, _) = server(|settings| settings.idle_timeout = Duration::from_millis(400));
    let begun = crate::clock::now();
    let mut client = Client::connect(&server, PHONE).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send(r#"{"type":"KeepAlive"}"#).await;
    }
    let (_, code, reason) = client.until_close().await;
    assert!(begun.elapsed() >= Duration::from_millis(1000));
    assert_eq!(code, 1011);
    assert!(reason.starts_with("Deepgram did not receive audio data") && reason.ends_with("NET-0001"));
}

#[tokio::test]
async fn mistakes_are_answered_or_written_down() {
    let (server, log) = server(|_| ());
    let mut client = Client::connect(&server, PHONE).await;
    for text in [r#"{"type":"ForceEndTurn"}"#, "no JSON"] {
        client.send(text).await;
        let seen = client.until(|json| json["type"] == "Error").await;
        assert_eq!(seen.last().map(|json| &json["variant"]), Some(&Value::from("SchemaError")));
    }
    client.send(br#"{"type":"KeepAlive"}"#.to_vec()).await;
    client.speak(&silence(3000)).await;
    let rule = |rule| move |event: &Event| event.name == "violation" && event.text("rule") == Some(rule);
    for broken in ["unknown_text", "control_as_binary", "too_fast"] {
        assert!(log.wait_for(rule(broken), PATIENCE).await.is_some(), "{broken}");
    }
}

#[tokio::test]
async fn results_come_late_by_the_latency_and_say_so() {
    let (server, log) = server(|settings| {
        settings.interim_latency = Latency::fixed_ms(300);
        settings.final_latency = Latency::fixed_ms(200);
    });
    let mut client = Client::connect(&server, PHONE).await;
    client.speak(&[samples("hello-world"), silence(400)].concat()).await;
    client.until(|json| json["speech_final"] == true).await;
    let result = |event: &Event| event.name == "result" && event.flag("speech_final");
    let sent = log.wait_for(result, PATIENCE).await.expect("logged when sent");
    let late_us = crate::events::micros(sent.at) as f64 - sent.number("audio_at_us").expect("a time");
    assert!(late_us >= 200_000.0, "{late_us}");
    assert!(sent.number("speech_end_at_us") <= sent.number("audio_at_us"));
    assert_eq!(sent.number("text_chars"), Some(words_of("hello-world").len() as f64));
}
