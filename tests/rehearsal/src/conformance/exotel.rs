//! Sections 3 to 5 and 7 of Exotel's protocol: the audio, what the carrier sends and takes, and what its flow asks.

use futures_util::future::join_all;
use tokio::join;

use super::{Finding, KEY_CALL_MS, Table, interrupt, listen, twilio::is_speech};
use crate::carrier::sid;
use crate::carrier::webhook::{AskError, Webhook};
use crate::carrier::{Carrier, ClosedBy, Ended, Goodbye, Plan};
use crate::exotel::{Settings, Style, flow};

const UNKNOWN: &str = r#"{"event":"silence","sequence_number":"900","stream_sid":"{sid}"}"#;
const MARK: &str =
    r#"{"event":"mark","sequence_number":"901","stream_sid":"{sid}","mark":{"name":"never-sent"}}"#;
const DTMF: &str =
    r#"{"event":"dtmf","sequence_number":"902","stream_sid":"{sid}","dtmf":{"digit":"5","duration":"100"}}"#;
const EVEN: &str = r#"{"event":"media","sequence_number":"903","stream_sid":"{sid}","media":{"chunk":"900","timestamp":"1000","payload":"AAAAAAAA"}}"#;
/// How far ahead of the play-out a server may be without a call being at risk.
const AHEAD_MAX_MS: u64 = 1_000;

fn with(plan: &Plan, change: impl FnOnce(&mut Settings)) -> Plan {
    let mut settings = Settings { style: Some(style()), ..Settings::default() };
    change(&mut settings);
    Plan { carrier: Carrier::Exotel(settings), ..plan.clone() }
}

/// As most documents have it.
fn style() -> Style {
    Style { camel: false, text_numbers: true, encoding: "raw/slin", rate_unit: Some("") }
}

pub async fn run(plan: &Plan) -> Vec<Finding> {
    let mut table = Table::new("exotel");
    let written = changes().map(|(rule, change)| (rule, with(plan, change), None, 2_500));
    let said = [
        ("3 audio of any even length is taken", EVEN, 2_500),
        ("4 an unknown event is no violation", UNKNOWN, 2_500),
        ("4 dtmf is taken", DTMF, KEY_CALL_MS),
        ("4 a mark that was never sent is no violation", MARK, 2_500),
    ];
    let said = said.map(|(rule, message, ms)| (rule, with(plan, |_| {}), Some(message), ms));
    let tries = written
        .into_iter()
        .chain(said)
        .map(|(rule, plan, message, ms)| async move { (rule, listen(&plan, message.as_slice(), ms).await) });
    let plain = with(plan, |_| {});
    let silent = Plan { goodbye: Goodbye::CloseOnly, ..plain.clone() };
    let marks_lost = with(plan, |settings| settings.marks_return_on_clear = false);
    let (usual, tries, no_stop, interrupted) =
        join!(listen(&plain, &[], 4_000), join_all(tries), listen(&silent, &[], 2_500), async {
            join!(interrupt(&plain), interrupt(&marks_lost))
        },);

    table.answers("4 connected, start and media are read; the agent speaks", &usual);
    for (rule, outcome) in &tries {
        table.answers(rule, outcome);
    }
    table.leaves("4 stop with the reason callended ends the stream", &usual);
    table.leaves("4 a close without stop ends it too", &no_stop);
    table.unseen(
        "4 stop with the reason stopped leaves the call to the flow",
        "how long a server waits for it is its own",
    );
    table.unseen("4 custom_parameters reach the server", "what becomes of them cannot be seen");
    table.unseen("4 timestamp is read as milliseconds", "whether a server looks at it cannot be seen");

    let mut all = vec![&usual, &no_stop];
    all.extend(tries.iter().map(|(_, outcome)| outcome));
    all.extend(interrupted.0.iter().chain(&interrupted.1));
    let of_size = |why: &str| why.contains("bytes");
    let of_stream = |why: &str| why.contains("stream_sid") && !why.contains("unknown field");
    table.check("3 the agent's audio is 16-bit samples: it sounds like speech", is_speech(&usual), || {
        "it sounds like noise".to_owned()
    });
    table.sent("3 each payload is a multiple of 320 bytes, and whole samples", &all, |why| {
        of_size(why) && !why.contains("100 KB")
    });
    table.sent("3 no payload is over 100,000 bytes", &all, |why| why.contains("100 KB"));
    table.sent("3 no payload begins with the header of a WAV file", &all, |why| why.contains("WAV"));
    table.unseen("3 payloads have at least 3,200 bytes", "advice: smaller ones are played, and clear faster");
    let ahead = all.iter().map(|outcome| outcome.report.ahead_max_ms).max().unwrap_or_default();
    table.check(
        "3 audio is paced: never more than a second ahead of the play-out",
        ahead <= AHEAD_MAX_MS,
        || format!("{ahead} ms ahead"),
    );
    table.sent("5 only media, mark and clear are sent, in snake_case", &all, |why| {
        !of_size(why) && !of_stream(why) && !why.contains("WAV") && !why.contains("payload")
    });
    table.sent("5 each message names this stream", &all, of_stream);
    table.sent("5 media.payload is base64", &all, |why| why.contains("payload:"));
    table.unseen(
        "5 sequence_number and timestamp are sent",
        "some streams drop without them; they are not required",
    );
    super::cleared(&mut table, "5 clear is sent when the caller interrupts", interrupted.0.as_ref());
    super::speaks_on(
        &mut table,
        "5 after a clear the agent goes on although no mark comes back",
        interrupted.1.as_ref(),
    );
    let closed =
        all.iter().flat_map(|outcome| &outcome.report.streams).filter_map(|stream| stream.closed.as_ref());
    let odd: Vec<_> =
        closed.filter(|close| close.by == ClosedBy::Server && close.code != Some(1000)).collect();
    table.check("5 a stream is closed with 1000, which is how the agent hangs up", odd.is_empty(), || {
        format!("{odd:?}")
    });
    let warned: Vec<_> =
        all.iter().flat_map(|outcome| &outcome.report.warnings).filter(|w| w.code == 31930).collect();
    table.check("5 the caller's audio is read in time", warned.is_empty(), || warned[0].text.clone());
    let failed = all.iter().find(|outcome| outcome.report.ended == Ended::StreamFailed);
    table.check("5 every stream's handshake is answered", failed.is_none(), || {
        "a handshake failed twice".to_owned()
    });
    table.unseen("5 ActiveStreams is looked at before a call", "it is asked of the vendor");
    decisions(&mut table, plan).await;
    table.findings
}

/// Section 7: what the flow asks, and how the answers branch it. Each case is a call of its own that announced itself.
async fn decisions(table: &mut Table, plan: &Plan) {
    let gone = [("Stream[Status]", "completed"), ("Stream[DisconnectedBy]", "user")];
    let gone_in_one = [("Stream", r#"{"Status":"completed","DisconnectedBy":"user"}"#)];
    let left = [("CallType", "client-hangup")];
    let broke = [("Stream[Status]", "failed"), ("Stream[DisconnectedBy]", "NA"), ("Stream[Error]", "3009")];
    let quoted = [broke[0], broke[1], ("digits", "\"1234\""), ("SomethingNew", "1")];
    for (rule, params, wanted) in [
        ("7 a caller who has gone leads to the end (200)", &gone[..], 200),
        ("7 the stream's fields may be one JSON string", &gone_in_one, 200),
        ("7 client-hangup leads to the end (200)", &left, 200),
        ("7 a stream that broke leads back to it (302)", &broke, 302),
        ("7 quoted digits and new parameters change nothing", &quoted, 302),
    ] {
        let answers = ask_twice(plan, params).await;
        let right = matches!(answers, Ok([first, _]) if first == wanted);
        table.check(rule, right, || format!("{answers:?}"));
        if wanted == 302 && params.len() == broke.len() {
            let same = matches!(answers, Ok([first, again]) if first == again);
            table
                .check("7 a question that comes twice gets the same answer", same, || format!("{answers:?}"));
        }
    }
    let other = Plan { auth_token: format!("not-{}", plan.auth_token), ..plan.clone() };
    let refused = ask_twice(&other, &gone).await;
    table.check("7 a wrong secret in the path is refused", matches!(refused, Ok([400..=499, _])), || {
        format!("{refused:?}")
    });
    table.unseen("7 a Connect applet is told whom to dial", "only the agent knows whom it may call");
}

/// Announces a call and asks its Passthru question twice; the statuses.
async fn ask_twice(plan: &Plan, params: &[(&str, &str)]) -> Result<[u16; 2], String> {
    let ask = async {
        let webhook = Webhook::new(plan, &sid(""))?;
        flow::ask(&webhook, plan, "voice", &[]).await?;
        let first = flow::ask(&webhook, plan, "passthru", params).await?.status;
        Ok([first, flow::ask(&webhook, plan, "passthru", params).await?.status])
    };
    ask.await.map_err(|error: AskError| error.to_string())
}

type Change = fn(&mut Settings);

/// The ways in which a stream may be written, each with the rule that a server reads it.
fn changes() -> [(&'static str, Change); 9] {
    fn set(settings: &mut Settings, change: impl FnOnce(&mut Style)) {
        change(settings.style.get_or_insert_with(style));
    }
    [
        ("3 20 ms of the caller in a message", |settings| settings.frame_ms = 20),
        ("3 40 ms of the caller in a message", |settings| settings.frame_ms = 40),
        ("3 100 ms of the caller in a message", |settings| settings.frame_ms = 100),
        ("4 names in camelCase are read", |settings| set(settings, |style| style.camel = true)),
        ("4 bare numbers are read", |settings| set(settings, |style| style.text_numbers = false)),
        ("4 the encoding may be called audio/x-raw", |settings| {
            set(settings, |style| style.encoding = "audio/x-raw")
        }),
        ("4 the encoding may be called base64", |settings| set(settings, |style| style.encoding = "base64")),
        ("4 the rate may have a unit", |settings| set(settings, |style| style.rate_unit = Some("Hz"))),
        ("4 the rate may be missing", |settings| set(settings, |style| style.rate_unit = None)),
    ]
}
