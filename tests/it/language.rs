//! A whole call that changes its language with its caller, and once because the model wants it.

use std::time::Duration;

use libtest_mimic::Trial;
use proto::{
    from_wire,
    types::v1::{EndReason, VendorFault, call_event::Event},
};
use rehearsal::heard::Heard;
use serde_json::{Value, json};

use crate::{
    caller::{hindi, line, prompt, quiet},
    sandbox::{Finished, Sandbox, Shape},
    trial,
};

/// What may pass from the first words of an answer to their sound, on a machine that runs other tests as well: the platform is
/// allowed half of it.
const GAP_MAX: Duration = Duration::from_millis(1200);
const SAMPLES_PER_SECOND: usize = 8_000;

const IN_HINDI: &str = "मुझे पार्किंग का किराया जानना है।";
const MORE_HINDI: &str = "क्या मैं कल सुबह आ सकता हूँ?";
const LOAN_WORDS: &str = "मुझे रूम बुकिंग करनी है।";
const IN_ENGLISH: &str = "How much does parking cost?";
const NAMASTE: &str = "Namaste, I want to know more about breakfast.";
const FOR_MOTHER: &str = "My mother is with me and she understands only Hindi.";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("language::follows_the_caller_and_comes_back", || follows(Shape::Together)),
        trial("language::follows_the_caller_over_the_mesh", || follows(Shape::Split)),
        trial("language::the_models_tool_switches", tool),
        trial("language::another_listener_takes_over", listener),
    ]
}

/// The demo's agent in English, and in Hindi by Sarvam.
fn bilingual() -> Value {
    json!({
        "tools": ["end_call", "search_knowledge", "switch_language"],
        "language": "en-IN",
        "languages": [
            {"language": "en-IN"},
            {
                "language": "hi-IN",
                "voice": {"vendor": "sarvam", "voice_id": "priya", "model": "bulbul:v3"},
                "apology": "क्षमा कीजिए, एक तकनीकी समस्या है।",
                "phrases": {"fillers": ["एक क्षण।", "बस एक क्षण और।"], "idle_prompts": ["क्या आप वहाँ हैं?"]},
            },
        ],
    })
}

/// The call's changes of language, in order.
fn changes(call: &Finished) -> Vec<String> {
    let changed = |event: &Event| match event {
        Event::LanguageChanged(to) => Some(to.language.clone()),
        _ => None,
    };
    call.events.iter().filter_map(changed).collect()
}

/// For each turn of the caller the language it changed to, if it did, and how long the answer's first sound took from the
/// turn's last.
fn latencies(call: &Finished) -> Vec<(Option<String>, Duration)> {
    let (mut changed, mut latencies) = (None, Vec::new());
    for event in &call.events {
        match event {
            Event::LanguageChanged(to) => changed = Some(to.language.clone()),
            Event::TurnLatency(turn) => {
                let at = |at: &Option<_>| at.as_ref().map(from_wire).unwrap_or_default();
                let taken = at(&turn.first_frame_heard).saturating_sub(at(&turn.end_of_speech));
                let own = at(&turn.first_frame_heard).saturating_sub(at(&turn.first_segment));
                println!(
                    "  {:<22} end of speech -> first sound {:>5} ms, of that from the first words of the answer {:>4} ms",
                    changed.as_ref().map_or("same language".to_owned(), |to| format!("switch to {to}")),
                    taken.as_millis(),
                    own.as_millis(),
                );
                latencies.push((changed.take(), own));
            }
            _ => {}
        }
    }
    latencies
}

/// Fails if a change of language left the caller without sound for too long after there were words to speak.
fn assert_no_gap(call: &Finished) {
    let latencies = latencies(call);
    let longest = |changes: bool| {
        latencies
            .iter()
            .filter(|(to, _)| to.is_some() == changes)
            .map(|(_, own)| *own)
            .max()
            .unwrap_or_default()
    };
    let (switching, other) = (longest(true), longest(false));
    println!(
        "  longest gap of ours: {} ms where the language changes, {} ms elsewhere",
        switching.as_millis(),
        other.as_millis()
    );
    assert!(switching <= GAP_MAX, "{switching:?} from the words to their sound");
}

/// The voices of what was heard, in order, each once until it changes.
fn voices(call: &Finished) -> Vec<&str> {
    let mut voices: Vec<_> = call.heard.iter().map(Heard::voice).collect();
    voices.dedup();
    voices
}

fn show(call: &Finished) {
    call.transcript().iter().for_each(|line| println!("  {line}"));
    for piece in &call.heard {
        let at = |samples: usize| samples as f64 / SAMPLES_PER_SECOND as f64;
        println!(
            "  {:6.2} to {:6.2} s  {:<6} {}",
            at(piece.start),
            at(piece.end),
            piece.voice(),
            piece.words()
        );
    }
}

async fn follows(shape: Shape) {
    let sandbox = Sandbox::with_agent(shape, bilingual(), |_| {}).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![
        line(library, NAMASTE, quiet()).await,
        hindi(library, IN_HINDI, quiet()).await,
        hindi(library, LOAN_WORDS, quiet()).await,
        hindi(library, MORE_HINDI, quiet()).await,
        line(library, IN_ENGLISH, quiet()).await,
        prompt(library, "vm-goodbye", quiet()),
    ];
    let call = sandbox.call(steps).await;
    show(&call);
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(call.faults(), Vec::<&VendorFault>::new());
    assert_eq!(changes(&call), ["hi-IN", "en-IN"]);
    assert_eq!(voices(&call), ["en-us", "hi", "en-us"]);
    assert!(call.words().contains("एक दिन का किराया बारह पाउंड है"), "{}", call.words());
    assert!(call.words().contains("costs 12 pounds for a day"), "{}", call.words());
    assert_no_gap(&call);
    sandbox.layout.stop().await;
}

async fn tool() {
    let sandbox = Sandbox::with_agent(Shape::Together, bilingual(), |_| {}).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![
        line(library, FOR_MOTHER, quiet()).await,
        hindi(library, IN_HINDI, quiet()).await,
        prompt(library, "vm-goodbye", quiet()),
    ];
    let call = sandbox.call(steps).await;
    show(&call);
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(call.faults(), Vec::<&VendorFault>::new());
    assert_eq!(changes(&call), ["hi-IN"]);
    assert_eq!(voices(&call), ["en-us", "hi"]);
    let answer =
        call.heard.iter().position(|piece| piece.words() == "Of course.").expect("the answer's English part");
    let [english, hindi] = &call.heard[answer..answer + 2] else { panic!("{:#?}", call.heard) };
    assert!(hindi.words().starts_with("जी ज़रूर"), "{}", hindi.words());
    let gap = Duration::from_millis(((hindi.start - english.end) * 1000 / SAMPLES_PER_SECOND) as u64);
    println!(
        "  within the answer: {} ms from the last English sound to the first in Hindi, the model's round included",
        gap.as_millis()
    );
    assert_no_gap(&call);
    sandbox.layout.stop().await;
}

/// Two vendors listen, each to one language: the caller asks for the other by its name.
async fn listener() {
    let mut agent = bilingual();
    agent["languages"][1]["listening"] = json!({"vendor": "sarvam"});
    let sandbox = Sandbox::with_agent(Shape::Together, agent, |_| {}).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![
        line(library, "Can we talk in Hindi?", quiet()).await,
        hindi(library, IN_HINDI, quiet()).await,
        prompt(library, "vm-goodbye", quiet()),
    ];
    let call = sandbox.call(steps).await;
    show(&call);
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(call.faults(), Vec::<&VendorFault>::new());
    assert_eq!(changes(&call), ["hi-IN"]);
    assert!(call.transcript().contains(&format!("caller: {IN_HINDI}")), "{:#?}", call.transcript());
    let log = &sandbox.rehearsal.log;
    let settled = log.matching(|event| event.name == "result" && event.text("text") == Some(IN_HINDI));
    assert_eq!(settled.iter().map(|event| event.vendor).collect::<Vec<_>>(), ["sarvam"]);
    assert_no_gap(&call);
    sandbox.layout.stop().await;
}
