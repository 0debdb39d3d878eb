//! The whole carrier against a small server.

mod server;

use std::time::Duration;

use serde_json::{Value, json};

use super::abuse::{self, Abuse, Answer};
use super::*;
use server::{Leg, Server, is_voiced, sound, tone};

const ONE_STREAM: &str = r#"<Response>
    <Connect><Stream url="{ws}/media/token-1"><Parameter name="call_id" value="c-7"/></Stream></Connect>
</Response>"#;

fn line(name: &str, ms: usize, when: When) -> Step {
    let samples: Vec<i16> = tone(ms).into_iter().map(mulaw::decode).collect();
    Step::Say(Line { samples: samples.into(), name: name.to_owned(), when })
}

/// Says nothing until the carrier goes.
async fn silent(mut leg: Leg) {
    leg.until("closed").await;
}

async fn call(plan: Plan) -> Outcome {
    let limit = plan.max_duration + Duration::from_secs(15);
    tokio::time::timeout(limit, Call::place(plan).finish()).await.expect("a call ends by itself")
}

fn events(seen: &[server::Seen]) -> Vec<&str> {
    let mut events: Vec<_> = seen.iter().filter_map(|(_, message)| message["event"].as_str()).collect();
    events.dedup();
    events
}

#[tokio::test]
async fn a_stream_has_every_message_in_order_and_on_time() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], silent).await;
    let mut plan = server.plan();
    plan.steps = vec![
        line("hello", 200, When::At { ms: 100 }),
        Step::Press { digits: "5".to_owned(), when: When::At { ms: 500 } },
        Step::HangUp { when: When::At { ms: 3_000 } },
    ];
    let report = call(plan).await.report;
    assert_eq!(report.ended, Ended::CallerHungUp);
    assert_eq!(report.parameter("call_id"), Some("c-7"));
    let params = &server.posts()[0].1;
    assert_eq!((&params["CallSid"], params["CallStatus"].as_str()), (&report.call_sid, "ringing"));

    let seen = server.streams().remove(0);
    assert_eq!(events(&seen), ["connected", "start", "media", "dtmf", "media", "stop", "closed"]);
    let start = &seen[1].1;
    assert_eq!(start["start"]["customParameters"], json!({"call_id": "c-7"}));
    assert_eq!(start["start"]["callSid"], json!(report.call_sid));
    let numbers: Vec<u64> =
        seen.iter().filter_map(|(_, message)| message["sequenceNumber"].as_str()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(seen.last().unwrap().1["code"], 1000);

    let media: Vec<_> = seen.iter().filter(|(_, message)| message["event"] == "media").collect();
    assert!((140..=150).contains(&media.len()), "{} frames in 3 s", media.len());
    for (index, (_, message)) in media.iter().enumerate() {
        assert_eq!(sound(message).len(), 160);
        assert_eq!(message["media"]["timestamp"], json!((index * 20).to_string()));
    }
    // The least delayed frames of the two halves show a clock that drifts; single late ones do not matter.
    let lateness: Vec<_> = media
        .iter()
        .enumerate()
        .map(|(index, (at, _))| {
            at.saturating_duration_since(seen[0].0).as_secs_f64() * 1e3 - 20.0 * index as f64
        })
        .collect();
    let least = |half: &[f64]| half.iter().copied().fold(f64::INFINITY, f64::min);
    let (first, second) = lateness.split_at(lateness.len() / 2);
    let drift = least(second) - least(first);
    assert!(drift.abs() < 15.0, "the frames drift by {drift} ms in 1.5 s");
    let spoken =
        report.lines[0].last_voiced_sent.unwrap().ms_since(report.lines[0].first_voiced_sent.unwrap());
    assert!((150.0..500.0).contains(&spoken), "{spoken} ms between the ends of a line of 200 ms");
}

#[tokio::test]
async fn what_is_echoed_is_heard_to_the_sample() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], |mut leg: Leg| async move {
        // What lies in the buffer hides that frames come now earlier, now later.
        leg.play(&[mulaw::SILENCE; 1_600]).await;
        while let Some(message) = leg.receive().await {
            // In other pieces than it came.
            for piece in sound(&message).chunks(97) {
                leg.play(piece).await;
            }
        }
    })
    .await;
    let mut plan = server.plan();
    plan.steps =
        vec![line("hello", 600, When::At { ms: 300 }), Step::HangUp { when: When::At { ms: 2_200 } }];
    let Outcome { report, recording } = call(plan).await;
    let loud = |sound: Vec<i16>| {
        let first = sound.iter().position(|sample| sample.abs() > 300).unwrap();
        (first, sound[first..first + 4_800].to_vec())
    };
    let (said_at, said) = loud(recording.said());
    let (heard_at, heard) = loud(recording.heard());
    assert_eq!(said, heard);
    let delay_ms = (heard_at - said_at) as f64 / 8.0;
    assert!((200.0..700.0).contains(&delay_ms), "heard {delay_ms} ms after it was said");
    // Offsets are positions in the recording.
    assert_eq!(report.utterances[0].first_audible.offset_us, heard_at as i64 * 125);
    assert_eq!(report.lines[0].began.offset_us, said_at as i64 * 125);
    assert_eq!(report.utterances[0].last_audible.unwrap().offset_us, (heard_at as i64 + 4_799) * 125);
}

#[tokio::test]
async fn marks_come_back_when_played_and_at_once_when_cleared() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], |mut leg: Leg| async move {
        leg.mark("empty").await;
        leg.play(&tone(400)).await;
        leg.mark("played").await;
        leg.play(&tone(5_000)).await;
        leg.mark("a").await;
        leg.mark("b").await;
        while leg.until("mark").await.is_some_and(|message| message["mark"]["name"] != "played") {}
        leg.clear().await;
        while leg.until("mark").await.is_some_and(|message| message["mark"]["name"] != "b") {}
        leg.close(1000, "done").await;
    })
    .await;
    let report = call(server.plan()).await.report;
    let echoed: Vec<_> = report.marks.iter().map(|mark| (mark.name.as_str(), mark.outcome)).collect();
    use MarkOutcome::{Cleared, Played};
    assert_eq!(echoed, [("empty", Played), ("played", Played), ("a", Cleared), ("b", Cleared)]);
    let mark = &report.marks[1];
    assert_eq!(mark.due.offset_us - report.utterances[0].first_audible.offset_us, 400_000);
    let late_ms = mark.echoed.ms_since(mark.due);
    assert!((0.0..500.0).contains(&late_ms), "echoed {late_ms} ms after it was due");
    assert_eq!(report.clears.len(), 1);
    assert!(report.marks[3].echoed.ms_since(report.clears[0]) < 500.0);
    let [burst, clear] = report.played[..] else { panic!("{:?}", report.played) };
    let heard_ms = clear.at.ms_since(burst.at);
    assert!(burst.bytes < 80 && (clear.bytes as f64 / 8.0 - heard_ms).abs() < 20.0, "{:?}", report.played);
    let Some(Close { by: ClosedBy::Server, code: Some(1000), .. }) = report.streams[0].closed else {
        panic!("{:?}", report.streams[0].closed);
    };
    assert_eq!(report.ended, Ended::TwimlEnded);
}

#[tokio::test]
async fn a_barge_in_is_measured_from_mouth_to_clear() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], |mut leg: Leg| async move {
        leg.play(&tone(8_000)).await;
        while leg.until("media").await.is_some_and(|message| !is_voiced(&message)) {}
        leg.clear().await;
        while leg.until("media").await.is_some_and(|message| is_voiced(&message)) {}
        tokio::time::sleep(Duration::from_millis(300)).await;
        leg.play(&tone(500)).await;
        leg.until("closed").await;
    })
    .await;
    let mut plan = server.plan();
    plan.steps = vec![line("stop", 400, When::AfterAgentStarts { ms: 600 })];
    plan.quiet_before_hang_up = Duration::from_millis(600);
    let report = call(plan).await.report;
    assert_eq!(report.ended, Ended::ScriptDone);
    let [turn] = report.turns.as_slice() else { panic!("{:?}", report.turns) };
    let clear = turn.clear.unwrap().ms_since(turn.start_of_speech);
    assert!((0.0..400.0).contains(&clear), "clear {clear} ms after the onset");
    let media = turn.first_media.unwrap().ms_since(turn.end_of_speech);
    assert!((300.0..800.0).contains(&media), "media {media} ms after the end of speech");
    assert!(turn.first_audible.unwrap().ms_since(turn.first_media.unwrap()).abs() < 0.2);
    let begun = report.lines[0].began.ms_since(report.utterances[0].first_audible);
    assert!((600.0..640.0).contains(&begun), "the barge-in began {begun} ms into the reply");
    let cut = report.utterances[0].last_audible.unwrap().ms_since(turn.clear.unwrap());
    assert!((-2.0..=0.0).contains(&cut), "the last sound was {cut} ms after the clear");
}

#[tokio::test]
async fn what_is_invalid_is_dropped_and_warned_of_once() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], |mut leg: Leg| async move {
        leg.raw("{".to_owned()).await;
        leg.raw(json!({"event": "clear", "streamSid": "MZother"}).to_string()).await;
        leg.raw(json!({"event": "hangup"}).to_string()).await;
        leg.play(b"RIFF\0\0\0\0WAVEfmt ").await;
        leg.mark("still here").await;
        leg.until("mark").await;
        leg.close(1000, "").await;
    })
    .await;
    let report = call(server.plan()).await.report;
    assert_eq!((report.invalid_messages(), report.streams[0].wav_headers), (3, 1));
    let codes: Vec<_> = report.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, [31951, 31921]);
    assert_eq!((report.marks.len(), report.clears.len()), (1, 0));
}

#[tokio::test]
async fn the_document_goes_on_when_the_server_closes() {
    let documents = [
        (
            "/twilio/voice",
            r#"<Response><Pause length="0"/><Connect action="/twilio/after/1?x=1"><Stream url="{ws}/media/token-1"/></Connect>
               <Reject/></Response>"#,
        ),
        ("/twilio/after/1", r#"<Response><Redirect>/twilio/resume</Redirect></Response>"#),
        (
            "/twilio/resume",
            r#"<Response><Connect><Stream url="{ws}/media/token-2"/></Connect><Hangup/></Response>"#,
        ),
    ];
    let server = Server::start(&documents, |mut leg: Leg| async move {
        leg.play(&tone(2_000)).await;
        leg.until("media").await;
        leg.close(1001, "draining").await;
    })
    .await;
    let Outcome { report, recording } = call(server.plan()).await;
    assert_eq!(report.ended, Ended::ServerHungUp);
    let paths: Vec<_> = server.posts().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/twilio/voice", "/twilio/after/1", "/twilio/resume"]);
    let [first, second] = report.streams.as_slice() else { panic!("{:?}", report.streams) };
    assert_eq!(server.posts()[1].1["StreamSid"], first.stream_sid);
    assert_ne!(first.stream_sid, second.stream_sid);
    let starts = server.streams();
    assert_eq!(starts[0][1].1["start"]["callSid"], starts[1][1].1["start"]["callSid"]);
    assert_eq!(first.closed.as_ref().map(|close| close.code), Some(Some(1001)));
    // Neither stream was told `stop`, and what was buffered when they ended was never played.
    assert!(starts.iter().flatten().all(|(_, message)| message["event"] != "stop"));
    let heard = recording.heard().iter().filter(|sample| **sample != 0).count();
    assert!(heard < 8 * 1_500, "{heard} samples of two cut greetings were heard");
}

#[tokio::test]
async fn every_failure_has_a_name() {
    let refused_stream = r#"<Response><Connect><Stream url="{ws}/media/wrong"/></Connect></Response>"#;
    let query = r#"<Response><Connect><Stream url="{ws}/media/token-1?a=1"/></Connect></Response>"#;
    let looping = "<Response><Redirect>/twilio/voice</Redirect></Response>";
    let cases = [
        ("!403", "webhook_refused", None),
        ("!hang", "max_duration", None),
        ("<Response><Dial/></Response>", "bad_twiml", None),
        ("<Response><Reject reason=\"busy\"/></Response>", "rejected", None),
        (looping, "twiml_loop", None),
        (refused_stream, "twiml_ended", Some(31920)),
        (query, "twiml_ended", Some(31920)),
    ];
    for (document, expected, warning) in cases {
        let server = Server::start(&[("/twilio/voice", document)], silent).await;
        let mut plan = server.plan();
        plan.max_duration = Duration::from_secs(1);
        let report = call(plan).await.report;
        assert_eq!(serde_json::to_value(&report.ended).unwrap()["how"], expected, "{document}");
        assert_eq!(report.warnings.first().map(|warning| warning.code), warning, "{document}");
    }
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], silent).await;
    let mut plan = server.plan();
    plan.auth_token = "wrong".to_owned();
    assert_eq!(call(plan.clone()).await.report.ended, Ended::WebhookRefused { status: 403 });
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    plan.base_url = format!("http://{unused}").parse().unwrap();
    let ended = call(plan).await.report.ended;
    assert!(matches!(ended, Ended::WebhookFailed { .. }), "{ended:?}");
}

#[tokio::test]
async fn a_silent_agent_is_given_up_and_a_call_has_an_end() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], silent).await;
    let mut plan = server.plan();
    plan.patience = Duration::from_millis(300);
    assert_eq!(call(plan.clone()).await.report.ended, Ended::AgentSilent);
    plan.patience = Duration::from_secs(60);
    plan.max_duration = Duration::from_millis(500);
    assert_eq!(call(plan.clone()).await.report.ended, Ended::MaxDuration);
    plan.max_duration = Duration::from_secs(60);
    plan.goodbye = Goodbye::Vanish;
    let mut placed = Call::place(plan);
    let mut events = placed.events().unwrap();
    while events.recv().await.is_some_and(|event| !matches!(event.what, What::StreamStarted { .. })) {}
    placed.hang_up();
    let report = placed.finish().await.report;
    assert_eq!(report.ended, Ended::CallerHungUp);
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ended"], json!({"how": "caller_hung_up"}));
    let last = server.streams().remove(2);
    assert!(last.iter().all(|(_, message)| message["event"] != "stop" && message["event"] != "closed"));
}

#[tokio::test]
async fn many_calls_at_once_keep_their_time() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], |mut leg: Leg| async move {
        leg.play(&tone(400)).await;
        while leg.until("media").await.is_some_and(|message| !is_voiced(&message)) {}
        while leg.until("media").await.is_some_and(|message| is_voiced(&message)) {}
        leg.play(&tone(300)).await;
        leg.until("closed").await;
    })
    .await;
    let mut plan = server.plan();
    plan.link = Link { jitter: Duration::from_millis(60), stalls: None, seed: 9 };
    plan.steps = vec![line("hello", 300, When::AgentQuiet { ms: 300 })];
    plan.quiet_before_hang_up = Duration::from_millis(300);
    let reports = run_many(&plan, 20, 24).await;
    assert_eq!(reports.len(), 24);
    for report in reports {
        assert_eq!(report.ended, Ended::ScriptDone);
        let [turn] = report.turns.as_slice() else { panic!("{:?}", report.turns) };
        let answer = turn.first_media.unwrap().ms_since(turn.end_of_speech);
        assert!((0.0..1_500.0).contains(&answer), "{answer} ms");
    }
}

#[tokio::test]
async fn abuses_are_committed_and_their_answers_observed() {
    let server = Server::start(&[("/twilio/voice", ONE_STREAM)], |mut leg: Leg| async move {
        leg.play(&tone(20)).await;
        while let Some(message) = leg.receive().await {
            match message["event"].as_str() {
                Some("malformed") => return leg.close(1007, "malformed").await,
                Some("media") if message["streamSid"] != json!(leg.stream_sid()) => {
                    return leg.close(1008, "another stream").await;
                }
                _ => {}
            }
        }
    })
    .await;
    let closed = |code, reason: &str| Answer::Closed { code: Some(code), reason: reason.to_owned() };
    let expected = [
        (Abuse::UnsignedWebhook, Answer::Status(403)),
        (Abuse::WronglySignedWebhook, Answer::Status(403)),
        (Abuse::NoToken, Answer::Status(405)),
        (Abuse::UnknownToken, Answer::Status(403)),
        // This server is lax about these.
        (Abuse::UsedToken, Answer::StillOpen),
        (Abuse::OtherCallsToken, Answer::StillOpen),
        (Abuse::NoStart, Answer::StillOpen),
        (Abuse::AudioBeforeStart, closed(1002, "start first")),
        (Abuse::MalformedJson, closed(1007, "malformed")),
        (Abuse::WrongStreamSid, closed(1008, "another stream")),
        (Abuse::Oversized, closed(1007, "malformed")),
    ];
    assert!(Abuse::ALL.iter().all(|abuse| expected.iter().any(|(tried, _)| tried == abuse)));
    let plan = server.plan();
    let plan = &plan;
    let committed = expected.map(|(abuse, answer)| async move {
        let observed = abuse::commit(plan, abuse, Duration::from_millis(700)).await.unwrap();
        assert_eq!(observed.answer, answer, "{abuse:?}");
    });
    futures_util::future::join_all(committed).await;
}
