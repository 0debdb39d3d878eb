//! An interrupted agent: the carrier is cleared, and the model believes it said what was heard and nothing more.

use libtest_mimic::Trial;
use proto::types::v1::{EndReason, call_event::Event};
use rehearsal::{
    events::{Event as Logged, EventLog, micros},
    twilio::{Stamp, When},
};
use serde_json::{Value, json};

use crate::{
    answered_call::GREETING,
    caller::{line, prompt},
    sandbox::{Finished, Sandbox, Shape},
    trial,
};

const FIRST: &str = "Can you tell me everything about the rooms and the prices?";
const SECOND: &str = "Sorry, how much does parking cost?";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("barge_in::the_model_knows_what_was_heard_in_one_process", || async {
            heard(Sandbox::start(Shape::Together).await, 1).await;
        }),
        trial("barge_in::the_model_knows_what_was_heard_over_the_mesh", || async {
            heard(Sandbox::start(Shape::Split).await, 1).await;
        }),
        // Sarvam gives no word times, and has no cancel.
        trial("barge_in::the_model_knows_nearly_what_was_heard_of_sarvam", || async {
            let voice = json!({"vendor": "sarvam", "voice_id": "ritu", "model": "bulbul:v3"});
            let agent = json!({"voice": voice, "listening_vendor": "sarvam"});
            heard(Sandbox::with_agent(Shape::Together, agent, |_| {}).await, 2).await;
        }),
    ]
}

/// The model may be off by so many words.
async fn heard(sandbox: Sandbox, off_max: usize) {
    let library = &sandbox.rehearsal.library;
    let steps = vec![
        line(library, FIRST, When::AfterAgentStarts { ms: 1_200 }).await,
        line(library, SECOND, When::AfterAgentStarts { ms: 3_600 }).await,
        // Longer than the agent may pause between two sentences on a machine that has much else to do.
        prompt(library, "vm-goodbye", When::AgentQuiet { ms: 1_500 }),
    ];
    let call = sandbox.call(steps).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(call.report.clears.len(), 2, "{:#?}", call.transcript());
    let told: Vec<_> = call
        .events
        .iter()
        .filter_map(|event| match event {
            Event::BargeIn(barge_in) => barge_in.onset_to_clear.as_ref().map(proto::from_wire),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 2, "each interruption is told");
    let caller: Vec<_> = call.transcript().into_iter().filter(|line| line.starts_with("caller: ")).collect();
    assert_eq!(caller, [FIRST, SECOND, "Goodbye."].map(|text| format!("caller: {text}")));

    let mut since = 0;
    for (clear, of_greeting) in call.report.clears.iter().zip([true, false]) {
        let at = sample(*clear);
        assert_silence_after(&call, at);
        let truth = words_between(&call, since, at);
        let believed = believed(&sandbox.rehearsal.log, *clear);
        let believed: Vec<_> = believed.split_whitespace().map(str::to_owned).collect();
        assert_within(off_max, &believed, &truth);
        assert!(!truth.is_empty(), "something was heard before the interruption");
        if of_greeting {
            let greeting: Vec<_> = GREETING.split_whitespace().collect();
            assert!(truth.len() < greeting.len() && greeting[..truth.len()] == truth[..], "{truth:?}");
        }
        since = at;
    }
    let parking = call.words();
    assert!(parking.contains("costs 12 pounds for a day."), "the last answer is whole: {parking}");
    sandbox.layout.stop().await;
}

fn sample(at: Stamp) -> usize {
    usize::try_from(at.offset_us * 8 / 1_000).unwrap_or(0)
}

/// Nothing that began before a clear is heard after it.
fn assert_silence_after(call: &Finished, clear: usize) {
    let sound = call.recording.heard();
    for piece in call.heard.iter().filter(|piece| piece.start < clear && piece.end > clear) {
        let rest = &sound[clear + 1..piece.end];
        assert!(rest.iter().all(|sample| *sample == 0), "heard after the clear: {piece:?}");
    }
}

fn words_between(call: &Finished, from: usize, to: usize) -> Vec<String> {
    let pieces = call.heard.iter().filter(|piece| (from..to).contains(&piece.start) && !piece.is_filler());
    let words: Vec<_> = pieces.map(|piece| piece.words()).collect();
    words.join(" ").split_whitespace().map(str::to_owned).collect()
}

fn assert_within(off_max: usize, believed: &[String], truth: &[String]) {
    let common = believed.iter().zip(truth).take_while(|(one, other)| one == other).count();
    let (left, right) = (believed.len() - common, truth.len() - common);
    assert!(left + right <= off_max, "the model believes {believed:?}, the caller heard {truth:?}");
}

/// The agent's words before the newest turn of the caller, as the first request after `clear` has them.
fn believed(log: &EventLog, clear: Stamp) -> String {
    let is_next = |event: &Logged| {
        event.vendor == "anthropic"
            && event.name == "request"
            && i64::try_from(micros(event.at)).is_ok_and(|at| at > clear.unix_us)
    };
    let request = log.matching(is_next).into_iter().next().expect("the model is asked again");
    let messages = request.fields["messages"].as_array().cloned().unwrap_or_default();
    let of_caller = |message: &Value| message["role"] == "user" && !text(message).is_empty();
    let newest = messages.iter().rposition(of_caller).expect("the caller's newest words");
    let before = messages[..newest].iter().rposition(of_caller).map_or(0, |at| at + 1);
    let said: Vec<_> = messages[before..newest].iter().map(text).filter(|text| !text.is_empty()).collect();
    let said = said.join(" ");
    assert!(said.ends_with('—'), "the cut is marked: {said}");
    said.trim_end_matches('—').to_owned()
}

fn text(message: &Value) -> String {
    let blocks = message["content"].as_array().cloned().unwrap_or_default();
    let texts: Vec<_> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    texts.join(" ")
}
