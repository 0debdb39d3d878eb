//! Twilio's protocol: what the carrier sends and takes on a stream (sections 3 and 4), and what it asks (2 and 5).

use std::time::Duration;

use tokio::join;

use super::{Finding, KEY_CALL_MS, Table, Verdict, interrupt, listen};
use crate::carrier::{ClosedBy, Ended, Goodbye, Outcome, Plan};
use crate::twilio::abuse::{self, Abuse, Answer};

/// Frames of 20 ms are usual and not promised: 10 ms and 3 bytes, both of silence.
const SHORT: &str = r#"{"event":"media","sequenceNumber":"900","streamSid":"{sid}","media":{"track":"inbound","chunk":"900","timestamp":"1000","payload":"//////////////////////////////////////////////////////////////////////////////////////////////////////////8="}}"#;
const TINY: &str = r#"{"event":"media","sequenceNumber":"901","streamSid":"{sid}","media":{"track":"inbound","chunk":"901","timestamp":"1010","payload":"////"}}"#;
const OUTBOUND: &str = r#"{"event":"media","sequenceNumber":"902","streamSid":"{sid}","media":{"track":"outbound","chunk":"1","timestamp":"1020","payload":"////"}}"#;
const UNKNOWN: &str = r#"{"event":"weather","sequenceNumber":"903","streamSid":"{sid}","weather":{}}"#;
const MARK: &str =
    r#"{"event":"mark","sequenceNumber":"904","streamSid":"{sid}","mark":{"name":"never-sent"}}"#;
/// How long a webhook may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);
const DTMF: &str = r#"{"event":"dtmf","streamSid":"{sid}","sequenceNumber":"905","dtmf":{"track":"inbound_track","digit":"1"}}"#;

pub async fn run(plan: &Plan) -> Vec<Finding> {
    let mut table = Table::new("twilio");
    let silent = Plan { goodbye: Goodbye::CloseOnly, ..plan.clone() };
    let (usual, lengths, outbound, unknown, mark, dtmf, no_stop, interrupted) = join!(
        listen(plan, &[], 4_000),
        listen(plan, &[SHORT, TINY], 2_500),
        listen(plan, &[OUTBOUND], 2_500),
        listen(plan, &[UNKNOWN], 2_500),
        listen(plan, &[MARK], 2_500),
        listen(plan, &[DTMF], KEY_CALL_MS),
        listen(&silent, &[], 2_500),
        interrupt(plan),
    );

    table.answers("3 connected, start and media are read; the agent speaks", &usual);
    table.answers("3 numbers are strings, those of mediaFormat are bare", &usual);
    table.unseen("3 sequenceNumber counts from start", "whether a server looks at it cannot be seen");
    table.unseen("3 customParameters reach the server", "what becomes of them cannot be seen");
    table.answers("3 media of any length is taken", &lengths);
    table.answers("3 a track that is not the caller's is no violation", &outbound);
    table.answers("3 an unknown event is no violation", &unknown);
    table.answers("3 dtmf is taken", &dtmf);
    table.answers("3 a mark that was never sent is no violation", &mark);
    table.leaves("3 stop ends the stream", &usual);
    table.leaves("3 a close without stop ends it too", &no_stop);

    let all: Vec<&Outcome> = [&usual, &lengths, &outbound, &unknown, &mark, &dtmf, &no_stop]
        .into_iter()
        .chain(interrupted.as_ref())
        .collect();
    let of_stream = |why: &str| why.contains("streamSid");
    let of_payload = |why: &str| why.contains("payload");
    table.sent("4 nothing is sent but media, mark and clear, with exactly their fields", &all, |why| {
        !of_stream(why) && !of_payload(why)
    });
    table.sent("4 each message names this stream", &all, of_stream);
    table.sent("4 media.payload is base64", &all, of_payload);
    let headers: u64 =
        all.iter().flat_map(|outcome| &outcome.report.streams).map(|stream| stream.wav_headers).sum();
    table.check("4 media has no WAV header", headers == 0, || format!("{headers} messages have one"));
    table.check("4 media is mu-law: it sounds like speech", is_speech(&usual), || {
        "it sounds like noise".to_owned()
    });
    let marks = &usual.report.marks;
    if marks.is_empty() {
        table.unseen("4 marks are named so that their echo can be told from another", "the server sent none");
    } else {
        let mut names: Vec<_> = marks.iter().map(|mark| &mark.name).collect();
        names.sort();
        names.dedup();
        table.check(
            "4 marks are named so that their echo can be told from another",
            names.len() == marks.len(),
            || format!("{} names for {} marks", names.len(), marks.len()),
        );
    }
    super::cleared(&mut table, "4 clear is sent when the caller interrupts", interrupted.as_ref());
    table.unseen("4 marks from before a clear are ignored", "what a server makes of an echo cannot be seen");
    table.unseen(
        "4 the heard part of an utterance is known by its marks",
        "the model's memory cannot be seen",
    );
    // A server that hangs up closes the stream, and has the call end.
    let hung_up = |outcome: &Outcome| outcome.report.ended == Ended::ServerHungUp;
    let codes = |code: u16| {
        let calls = all.iter().filter(|outcome| code != 31921 || !hung_up(outcome));
        calls.flat_map(|outcome| &outcome.report.warnings).find(|w| w.code == code)
    };
    for (rule, code) in [
        ("4 the handshake is answered with 101 (31920)", 31920),
        ("4 the WebSocket stays open while the call lives (31921)", 31921),
        ("4 the media of the caller is read in time (31930)", 31930),
        ("4 no message is invalid (31951)", 31951),
    ] {
        table.check(rule, codes(code).is_none(), || codes(code).map(|w| w.text.clone()).unwrap_or_default());
    }
    let broken =
        all.iter().flat_map(|outcome| &outcome.report.streams).filter_map(|stream| stream.closed.as_ref());
    let broken: Vec<_> = broken.filter(|close| close.code == Some(1002)).collect();
    table.check("4 the WebSocket protocol is kept (31924)", broken.is_empty(), || format!("{broken:?}"));
    webhooks(&mut table, plan, &all).await;
    table.findings
}

/// Section 5, and of section 2 what comes after a stream.
async fn webhooks(table: &mut Table, plan: &Plan, all: &[&Outcome]) {
    for (rule, abuse) in [
        ("5 a webhook without a signature is refused", Abuse::UnsignedWebhook),
        ("5 a webhook whose signature is another secret's is refused", Abuse::WronglySignedWebhook),
    ] {
        let answer = abuse::commit(plan, abuse, WEBHOOK_TIMEOUT).await.map(|observed| observed.answer);
        let refused = matches!(answer, Ok(Answer::Status(400..=499)));
        table.check(rule, refused, || match answer {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => error.to_string(),
        });
    }
    let bad = |outcome: &&&Outcome| {
        matches!(
            outcome.report.ended,
            Ended::BadTwiml { .. }
                | Ended::WebhookRefused { .. }
                | Ended::WebhookFailed { .. }
                | Ended::TwimlLoop
        )
    };
    let bad = all.iter().find(bad);
    table.check(
        "5 every question is answered with TwiML, parameters that are new included",
        bad.is_none(),
        || bad.map(|outcome| format!("{:?}", outcome.report.ended)).unwrap_or_default(),
    );
    let after = all.iter().any(|outcome| {
        let closed = outcome.report.streams.iter().filter_map(|stream| stream.closed.as_ref());
        closed.into_iter().any(|close| close.by == ClosedBy::Server)
    });
    let rule = "2 a server that closes the stream is asked what comes next, and says so";
    if after && bad.is_none() {
        table.put(rule, Verdict::Passed);
    } else if !after {
        table.unseen(rule, "it closed none; give a line that makes the agent hang up with --play");
    }
    table.unseen("2 a transfer is one <Dial> with an action", "only the agent knows whom it may call");
}

/// What is heard changes its sign seldom enough for a voice; the wrong encoding makes noise.
pub fn is_speech(outcome: &Outcome) -> bool {
    let heard = outcome.recording.heard();
    let voiced: Vec<i16> = heard.into_iter().filter(|sample| sample.abs() > 64).collect();
    let turns = voiced.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    !voiced.is_empty() && turns * 100 < voiced.len() * 40
}
