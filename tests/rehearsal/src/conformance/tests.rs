use serde_json::{Value, json};

use super::*;
use crate::exotel::Settings;
use crate::exotel::tests::{Server, media, sid};

/// Speaks at once, in a length that leaves a gap, writes one message in the spelling of another carrier, and does not listen
/// to goodbyes.
fn careless(message: Value) -> Vec<Value> {
    match message["event"].as_str() {
        Some("start") => {
            let sid = sid(&message);
            vec![media(&sid, 6_402), json!({"event": "clear", "streamSid": sid})]
        }
        Some("silence") => vec![json!("close")],
        Some("stop") => vec![json!("deaf")],
        _ => vec![],
    }
}

#[tokio::test]
async fn a_server_that_breaks_rules_fails_them_and_no_others() {
    let server = Server::start(&[], careless).await;
    let findings = run(&server.plan(Settings::default())).await;
    let failed: Vec<_> = findings
        .iter()
        .filter(|found| matches!(found.verdict, Verdict::Failed(_)))
        .map(|found| found.rule)
        .collect();
    assert_eq!(
        failed,
        [
            "3 each payload is a multiple of 320 bytes, and whole samples",
            "4 an unknown event is no violation",
            "4 stop with the reason callended ends the stream",
            "5 only media, mark and clear are sent, in snake_case",
            "5 a stream is closed with 1000, which is how the agent hangs up",
            "7 a stream that broke leads back to it (302)",
            "7 quoted digits and new parameters change nothing",
            "7 a wrong secret in the path is refused",
        ]
    );
    let passed =
        |rule: &str| findings.iter().any(|found| found.rule == rule && found.verdict == Verdict::Passed);
    assert!(
        passed("4 names in camelCase are read")
            && passed("4 a close without stop ends it too")
            && passed("4 connected, start and media are read; the agent speaks")
    );
    let line =
        findings.iter().find(|found| found.rule.starts_with("3 each payload")).map(ToString::to_string);
    assert!(line.is_some_and(|line| line.contains("FAILED: a payload of 6402 bytes")));
    let unseen = findings.iter().find(|found| found.rule.starts_with("5 clear is sent"));
    assert!(matches!(unseen.map(|found| &found.verdict), Some(Verdict::NotTestable(_))), "without a line");
}
