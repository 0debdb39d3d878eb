//! Vendors that fail on demand: a part of the fault table (`make faults`) through the binary, whoever stands in for a vendor,
//! and vendors that are not asked again.

use std::time::Duration;

use libtest_mimic::Trial;
use proto::types::v1::{EndReason, VendorFault};
use rehearsal::{anthropic, faults::Faults, twilio::When};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    answered_call::{GREETING, QUESTION},
    caller::{line, prompt, quiet},
    faults::assert_never_silent,
    sandbox::{BINARY, Finished, Sandbox, Shape},
    trial,
};

const LONG_QUESTION: &str = "Can you tell me everything about the rooms and the prices?";
/// The promise is 4 s; a machine that runs other tests as well adds to it.
const SILENCE_MAX_S: f64 = 4.5;
/// Failures that open a circuit.
const CALLS_TO_OPEN: usize = 3;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("outages::stt_halfopen", || passes("stt:halfopen@2", &[])),
        trial("outages::stt_stall_on_exotel", || passes("stt:stall@2", &["--carrier", "exotel"])),
        trial("outages::stt_rate", || passes("stt:rate@2", &[])),
        trial("outages::llm_overloaded", || passes("llm:overloaded@2", &[])),
        trial("outages::llm_halfopen_on_exotel", || passes("llm:halfopen@2", &["--carrier", "exotel"])),
        trial("outages::tts_rate_on_exotel", || passes("tts:rate@2", &["--carrier", "exotel"])),
        trial("outages::tts_garbage", || passes("tts:garbage@2", &[])),
        trial("outages::sarvam_listens_and_stalls", || passes("stt:stall@2", &["--listening", "sarvam"])),
        trial("outages::sarvam_speaks_and_is_reset_on_exotel", || {
            passes("tts:reset@2", &["--carrier", "exotel", "--voice", "sarvam"])
        }),
        trial("outages::tts_auth_ends_with_a_reason", tts_auth),
        trial("outages::another_vendor_listens", another_listens),
        trial("outages::another_vendor_speaks", another_speaks),
        trial("outages::another_model_answers", another_answers),
        trial("outages::a_dead_vendor_is_not_asked_again", not_asked_again),
    ]
}

/// What the demo's caller measured.
async fn measured(fault: &str, options: &[&str]) -> Value {
    let out = tempfile::tempdir().expect("a folder");
    let demo = Command::new(BINARY)
        .args(["demo", "--json", "--fault", fault])
        .args(options)
        .arg("--out")
        .arg(out.path())
        .current_dir(out.path())
        .kill_on_drop(true)
        .output();
    let demo = demo.await.expect("it runs");
    let text = String::from_utf8_lossy(&demo.stdout).into_owned();
    let row = text.lines().find(|line| line.contains("silence_longest_s"));
    let row = row.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&demo.stderr)));
    let row: Value = serde_json::from_str(row).expect("JSON");
    assert!(row["silence_longest_s"].as_f64().is_some_and(|s| s < SILENCE_MAX_S), "{row}");
    assert_eq!(row["agent_words_twice"], json!([]), "{row}");
    row
}

/// A fault that passes costs nothing but the reply of a model.
async fn passes(fault: &str, options: &[&str]) {
    let row = measured(fault, options).await;
    assert_eq!(row["end"], "END_REASON_AGENT_HANGUP", "{row}");
    assert_eq!(row["caller_words_lost"], json!([]), "{row}");
    if !fault.starts_with("llm") {
        assert_eq!(row["agent_words_lost"], json!([]), "{row}");
    }
}

async fn tts_auth() {
    let row = measured("tts:auth@2", &[]).await;
    assert_eq!(row["end"], "END_REASON_TTS_FAILED", "{row}");
    let told = row["told"].as_array().expect("a list");
    assert!(told.iter().any(|told| told.as_str().is_some_and(|told| told.starts_with("cartesia"))), "{row}");
}

fn with_fallbacks() -> Value {
    json!({
        "voice": {"fallback": {"vendor": "sarvam", "voice_id": "shubh", "model": "bulbul:v3"}},
        "listening_fallback": {"vendor": "sarvam"},
        "model": {"fallback": "claude-haiku-4-5"},
    })
}

fn caller_said(call: &Finished) -> Vec<String> {
    call.transcript().into_iter().filter_map(|line| Some(line.strip_prefix("caller: ")?.to_owned())).collect()
}

/// The vendors of whose faults was told, with who stands in.
fn replaced(call: &Finished) -> Vec<(&str, &str)> {
    let named = |fault: &&VendorFault| !fault.fallback.is_empty();
    let faults = call.faults().into_iter().filter(named);
    faults.map(|fault| (fault.vendor.as_str(), fault.fallback.as_str())).collect()
}

async fn another_listens() {
    let mut sandbox = Sandbox::with_agent(Shape::Together, with_fallbacks(), |_| {}).await;
    let library = &sandbox.rehearsal.library;
    // A caller who waits, fillers and all.
    let patient = When::AgentQuiet { ms: 4_200 };
    let steps = vec![line(library, LONG_QUESTION, quiet()).await, prompt(library, "vm-goodbye", patient)];
    let mut placed = sandbox.place(steps);
    placed.until_said(LONG_QUESTION).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    sandbox.rehearsal.deepgram = None;
    let call = sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_never_silent(&call);
    assert_eq!(replaced(&call), [("deepgram", "sarvam")], "{:?}", call.faults());
    assert_eq!(caller_said(&call), [LONG_QUESTION, "Goodbye."], "not a word is lost");
    sandbox.layout.stop().await;
}

async fn another_speaks() {
    let mut sandbox = Sandbox::with_agent(Shape::Together, with_fallbacks(), |_| {}).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![line(library, LONG_QUESTION, quiet()).await, prompt(library, "vm-goodbye", quiet())];
    let mut placed = sandbox.place(steps);
    placed.until_said(LONG_QUESTION).await;
    sandbox.rehearsal.cartesia = None;
    let call = sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_never_silent(&call);
    assert_eq!(replaced(&call), [("cartesia", "sarvam")], "{:?}", call.faults());
    let words = call.words();
    assert!(words.starts_with(GREETING) && words.contains("If you like, I can go on."), "{words}");
    sandbox.layout.stop().await;
}

async fn another_answers() {
    let sandbox = Sandbox::with_agent(Shape::Together, with_fallbacks(), |_| {}).await;
    let server = sandbox.rehearsal.anthropic.as_ref().expect("anthropic is rehearsed");
    let overloaded = || Some(anthropic::Fault::Overloaded);
    let next = [overloaded(), overloaded(), overloaded(), overloaded()].into();
    server.set_faults(Faults { next, always: None });
    let library = &sandbox.rehearsal.library;
    let call = sandbox
        .call(vec![line(library, QUESTION, quiet()).await, prompt(library, "vm-goodbye", quiet())])
        .await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_never_silent(&call);
    assert_eq!(replaced(&call), [("anthropic", "claude-haiku-4-5")], "{:?}", call.faults());
    assert!(call.words().contains("costs 12 pounds for a day."), "{}", call.words());
    let asked =
        sandbox.rehearsal.log.matching(|event| event.vendor == "anthropic" && event.name == "request");
    let models: Vec<_> = asked.iter().filter_map(|event| event.text("model")).collect();
    assert!(models[..4].iter().all(|model| *model == "claude-haiku-5-5"), "{models:?}");
    assert!(models.len() > 5 && models[4..].iter().all(|model| *model == "claude-haiku-4-5"), "{models:?}");
    sandbox.layout.stop().await;
}

async fn not_asked_again() {
    let mut sandbox = Sandbox::with_agent(Shape::Together, with_fallbacks(), |_| {}).await;
    sandbox.rehearsal.deepgram = None;
    let goodbye = || vec![prompt(&sandbox.rehearsal.library, "vm-goodbye", quiet())];
    for number in 0..=CALLS_TO_OPEN {
        let call = sandbox.call(goodbye()).await;
        call.assert_ended_by_us(EndReason::AgentHangup);
        assert_eq!(replaced(&call), [("deepgram", "sarvam")], "{:?}", call.faults());
        let asked = !call.faults().iter().any(|fault| fault.detail.contains("not asked"));
        assert_eq!(asked, number < CALLS_TO_OPEN, "call {number}: {:?}", call.faults());
    }
    sandbox.layout.stop().await;
}
