//! Vendors that fail: the caller never hears silence without an end, and the reason is told.

use std::time::Duration;

use libtest_mimic::Trial;
use proto::types::v1::{EndReason, call_event::Event};
use rehearsal::{
    anthropic, cartesia, deepgram,
    faults::Faults,
    twilio::{Ended, Step, What, When},
};

use crate::{
    answered_call::{GREETING, QUESTION},
    caller::{CALL_TIMEOUT, Placed, line, prompt, quiet},
    sandbox::{Finished, Sandbox, Shape},
    trial,
};

const APOLOGY: &str = "I am sorry, I have a technical problem.";
/// The line that is synthesised last.
const LAST_LINE: &str = "We have run out of time.";
const LONG_QUESTION: &str = "Can you tell me everything about the rooms and the prices?";
/// The end of the long answer.
const LONG_ANSWER_END: &str = "If you like, I can go on.";
/// The longest silence while the agent has the floor, and what a busy machine adds to it.
const SILENCE_MAX: Duration = Duration::from_millis(4_500);
const LOG_TIMEOUT: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("faults::deepgram_is_reset_and_no_word_is_lost", deepgram_is_reset),
        trial("faults::deepgram_is_gone", deepgram_is_gone),
        trial("faults::cartesia_is_reset_and_the_whole_answer_is_heard", cartesia_is_reset),
        trial("faults::cartesia_is_gone", cartesia_is_gone),
        trial("faults::anthropic_is_overloaded_once", anthropic_is_overloaded_once),
        trial("faults::anthropic_cuts_its_answer", || {
            anthropic_breaks_off(anthropic::Fault::Cut { after_deltas: 14 })
        }),
        trial("faults::anthropic_is_reset", || {
            anthropic_breaks_off(anthropic::Fault::Reset { after_deltas: 14 })
        }),
        trial("faults::anthropic_stalls", anthropic_stalls),
        trial("faults::anthropic_is_gone", anthropic_is_gone),
    ]
}

async fn question_and_goodbye(sandbox: &Sandbox, question: &str) -> Vec<Step> {
    let library = &sandbox.rehearsal.library;
    vec![line(library, question, quiet()).await, prompt(library, "vm-goodbye", quiet())]
}

/// Waits until the lines that are said without a vendor's help are there.
async fn lines_are_cached(sandbox: &Sandbox) {
    let log = &sandbox.rehearsal.log;
    let spoken = |text: &str| text.starts_with(LAST_LINE);
    let done =
        log.wait_for(|event| event.name == "done" && event.text("text").is_some_and(spoken), LOG_TIMEOUT);
    done.await.expect("all lines are synthesised when the call begins");
}

fn vendors(call: &Finished) -> Vec<&str> {
    call.faults().into_iter().map(|fault| fault.vendor.as_str()).collect()
}

/// From the end of each line of the caller to the end of the call, no pause of the agent is longer than is allowed.
pub fn assert_never_silent(call: &Finished) {
    let sound = call.recording.heard();
    let sample = |us: i64| usize::try_from(us * 8 / 1_000).unwrap_or(0).min(sound.len());
    let lines = &call.report.lines;
    for (index, line) in lines.iter().enumerate() {
        let Some(from) = line.last_voiced_sent else { continue };
        let to = lines.get(index + 1).map_or(call.report.ended_at, |next| next.began);
        let floor = &sound[sample(from.offset_us)..sample(to.offset_us)];
        let longest = floor.split(|sample| sample.abs() > 300).map(<[i16]>::len).max().unwrap_or(0);
        let longest = Duration::from_millis(longest as u64 / 8);
        assert!(longest < SILENCE_MAX, "{longest:?} of silence after {:?}", line.line);
    }
}

async fn start_of_greeting(placed: &mut Placed) {
    placed.until(|what| *what == What::AgentAudible).await;
}

/// At several moments of the line, and with more or less of it that must be heard again.
async fn deepgram_is_reset() {
    tokio::join!(
        deepgram_is_reset_after(400),
        deepgram_is_reset_after(1_200),
        deepgram_is_reset_after(2_000)
    );
}

async fn deepgram_is_reset_after(ms: u64) {
    let sandbox = Sandbox::start(Shape::Together).await;
    let library = &sandbox.rehearsal.library;
    // A caller who waits, fillers and all.
    let patient = When::AgentQuiet { ms: 4_200 };
    let steps = vec![line(library, LONG_QUESTION, quiet()).await, prompt(library, "vm-goodbye", patient)];
    let mut placed = sandbox.place(steps);
    placed.until_said(LONG_QUESTION).await;
    let server = sandbox.rehearsal.deepgram.as_ref().expect("deepgram is rehearsed");
    server.strike(deepgram::Fault::Reset { after: Duration::from_millis(ms) });
    let call = sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(vendors(&call), ["deepgram"]);
    let transcript = call.transcript();
    let caller: Vec<_> = transcript.iter().filter_map(|line| line.strip_prefix("caller: ")).collect();
    assert_eq!(caller, [LONG_QUESTION, "Goodbye."]);
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}

async fn deepgram_is_gone() {
    let mut sandbox = Sandbox::start(Shape::Together).await;
    let mut placed = sandbox.place(question_and_goodbye(&sandbox, QUESTION).await);
    start_of_greeting(&mut placed).await;
    lines_are_cached(&sandbox).await;
    placed.until_said(QUESTION).await;
    sandbox.rehearsal.deepgram = None;
    let call = sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::SttFailed);
    assert_eq!(vendors(&call), ["deepgram", "deepgram"], "lost, and given up");
    assert!(call.words().contains(APOLOGY), "{}", call.words());
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}

async fn cartesia_is_reset() {
    let sandbox = Sandbox::start(Shape::Together).await;
    let mut placed = sandbox.place(question_and_goodbye(&sandbox, LONG_QUESTION).await);
    start_of_greeting(&mut placed).await;
    lines_are_cached(&sandbox).await;
    let server = sandbox.rehearsal.cartesia.as_ref().expect("cartesia is rehearsed");
    server.set_faults(Faults::once(cartesia::Fault::Reset { after_chunks: 60 }));
    let call = sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(vendors(&call), ["cartesia"]);
    let answer = sandbox.rehearsal.log.matching(|event| event.vendor == "anthropic" && event.name == "done");
    let answer: Vec<_> = answer.iter().filter_map(|event| event.text("text")).collect();
    let written = answer.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let words = call.words();
    assert_eq!(words, format!("{GREETING} {written}"), "all that was written was heard, each word once");
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}

async fn cartesia_is_gone() {
    let mut sandbox = Sandbox::start(Shape::Together).await;
    let mut placed = sandbox.place(question_and_goodbye(&sandbox, QUESTION).await);
    start_of_greeting(&mut placed).await;
    lines_are_cached(&sandbox).await;
    placed.until_said(QUESTION).await;
    sandbox.rehearsal.cartesia = None;
    let call = sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::TtsFailed);
    assert!(vendors(&call).iter().all(|vendor| *vendor == "cartesia"), "{:?}", call.faults());
    assert!(call.words().contains(APOLOGY), "{}", call.words());
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}

async fn anthropic_is_overloaded_once() {
    let sandbox = Sandbox::start(Shape::Together).await;
    let server = sandbox.rehearsal.anthropic.as_ref().expect("anthropic is rehearsed");
    server.set_faults(Faults::once(anthropic::Fault::Overloaded));
    let call = sandbox.call(question_and_goodbye(&sandbox, QUESTION).await).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(vendors(&call), Vec::<&str>::new(), "asking again is enough");
    assert!(call.words().contains("costs 12 pounds for a day."), "{}", call.words());
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}

/// The first request looks the question up; the second is the answer that breaks off.
async fn anthropic_breaks_off(fault: anthropic::Fault) {
    let sandbox = Sandbox::start(Shape::Together).await;
    let server = sandbox.rehearsal.anthropic.as_ref().expect("anthropic is rehearsed");
    server.set_faults(Faults { next: [None, Some(fault)].into(), always: None });
    let call = sandbox.call(question_and_goodbye(&sandbox, LONG_QUESTION).await).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(vendors(&call), ["anthropic"]);
    let words = call.words();
    let before = words.find(APOLOGY).unwrap_or_else(|| panic!("no apology: {words}"));
    assert!(before > GREETING.len() + 40, "what the model wrote is said first: {words}");
    assert!(!words.contains(LONG_ANSWER_END), "{words}");
    assert!(words[before..].to_lowercase().trim_end().ends_with("goodbye!"), "the call went on: {words}");
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}

async fn anthropic_stalls() {
    let sandbox = Sandbox::start(Shape::Together).await;
    let server = sandbox.rehearsal.anthropic.as_ref().expect("anthropic is rehearsed");
    let stall = anthropic::Fault::Stall { after_deltas: 14, time: Duration::from_secs(60) };
    server.set_faults(Faults { next: [None, Some(stall)].into(), always: None });
    let mut plan = sandbox.plan(vec![line(&sandbox.rehearsal.library, LONG_QUESTION, quiet()).await]);
    // A caller who waits for what comes.
    (plan.patience, plan.quiet_before_hang_up) = (CALL_TIMEOUT, CALL_TIMEOUT);
    let mut placed = Placed::new(plan);
    placed.until_said(LONG_QUESTION).await;
    sandbox.until_told(|event| matches!(event, Event::VendorFault(_))).await;
    placed.forget();
    placed.until(|what| *what == What::AgentInaudible).await;
    placed.hang_up();
    let call = sandbox.finish(placed).await;
    call.assert_reason(EndReason::CallerHangup);
    assert_eq!(vendors(&call), ["anthropic"]);
    let words = call.words();
    let before = words.find(APOLOGY).unwrap_or_else(|| panic!("no apology: {words}"));
    assert!(before > GREETING.len() + 40, "what the model wrote is said first: {words}");
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}

async fn anthropic_is_gone() {
    let mut sandbox = Sandbox::start(Shape::Together).await;
    sandbox.rehearsal.anthropic = None;
    let library = &sandbox.rehearsal.library;
    let steps = vec![line(library, QUESTION, quiet()).await];
    let call = sandbox.call(steps).await;
    assert_eq!(call.report.ended, Ended::ScriptDone, "the caller is not cut off");
    call.assert_reason(EndReason::CallerHangup);
    assert_eq!(vendors(&call), ["anthropic"]);
    assert!(call.words().contains(APOLOGY), "{}", call.words());
    assert_never_silent(&call);
    sandbox.layout.stop().await;
}
