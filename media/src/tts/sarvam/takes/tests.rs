use std::{collections::BTreeSet, time::Duration};

use mesh::Pii;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::audio::Format;

const ONE: Take = Take { epoch: 1, number: 0 };
const TWO: Take = Take { epoch: 2, number: 0 };
const FINAL: &str = r#"{"type":"event","data":{"event_type":"final"}}"#;

struct Bench {
    takes: Takes,
    outbox: Outbox<Event>,
    events: mpsc::Receiver<Event>,
}

fn bench() -> Bench {
    let (sender, events) = mpsc::channel(1000);
    let settings = Settings {
        has_fallback: false,
        vendor: crate::tts::Vendor::Sarvam,
        base_url: "http://127.0.0.1:1".parse().expect("a URL"),
        api_key: Pii::new(String::new()),
        voice_id: String::new(),
        model: String::new(),
        language: "hi-IN".into(),
        call_id: "call".into(),
        format: Format::MULAW_8K,
    };
    Bench { takes: Takes::new(&settings), outbox: Outbox::new(sender), events }
}

impl Bench {
    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.takes.poll()).collect()
    }

    fn speak(&mut self, take: Take, text: &str) {
        self.takes.command(Command::Speak { take, text: text.into() }, &mut self.outbox);
    }

    fn finish(&mut self, take: Take) {
        self.takes.command(Command::Finish { take }, &mut self.outbox);
    }

    fn cancel(&mut self, take: Take) {
        self.takes.command(Command::Cancel { take }, &mut self.outbox);
    }

    fn message(&mut self, line: Line, text: &str) {
        self.takes.message(line, text, &mut self.outbox);
    }

    fn audio(&mut self, line: Line) {
        self.message(line, r#"{"type":"audio","data":{"audio":"/////////////w=="}}"#);
    }

    fn open(&mut self, line: Line) {
        self.takes.opened(line, &mut self.outbox);
    }

    async fn events(&mut self) -> Vec<Event> {
        self.outbox.flush().await.expect("there is room");
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

/// The texts of the outputs that were sent on a line.
fn texts(outputs: &[Output]) -> Vec<(Line, String)> {
    let text = |output: &Output| match output {
        Output::Send { line, text } => {
            let value: Value = serde_json::from_str(text).expect("JSON");
            value["data"]["text"].as_str().map(|text| (*line, text.to_owned()))
        }
        _ => None,
    };
    outputs.iter().filter_map(text).collect()
}

#[tokio::test]
async fn one_part_at_a_time_and_the_next_holds_all_that_came_meanwhile() {
    let mut bench = bench();
    assert_eq!(bench.outputs(), [Output::Dial]);
    bench.open(1);
    bench.speak(ONE, "Sure. ");
    let sent = bench.outputs();
    assert_eq!(texts(&sent), [(1, "Sure. ".to_owned())]);
    assert_eq!(sent[1], Output::Send { line: 1, text: message::FLUSH.into() });
    assert_eq!(sent[2], Output::Dial, "a spare one");
    bench.speak(ONE, "It is ");
    bench.speak(ONE, "open.");
    bench.finish(ONE);
    assert_eq!(bench.outputs(), []);
    bench.audio(1);
    bench.message(1, FINAL);
    assert_eq!(texts(&bench.outputs()), [(1, "It is open.".to_owned())]);
    bench.audio(1);
    bench.message(1, FINAL);
    let events = bench.events().await;
    assert!(matches!(events.last(), Some(Event::Done { take: ONE })));
    let ends: Vec<Duration> = events
        .iter()
        .flat_map(|event| match event {
            Event::Words { words, .. } => words.iter().map(|word| word.end).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!((ends[0], ends[3]), (Duration::from_micros(1250), Duration::from_micros(2500)));
}

#[tokio::test]
async fn an_interruption_abandons_the_line_and_the_spare_one_speaks() {
    let mut bench = bench();
    bench.open(1);
    bench.speak(ONE, "A long story.");
    bench.open(2);
    bench.outputs();
    bench.cancel(ONE);
    bench.speak(TWO, "Yes?");
    let outputs = bench.outputs();
    assert_eq!(outputs[0], Output::Close(1));
    assert_eq!(texts(&outputs), [(2, "Yes?".to_owned())]);
    assert!(outputs.contains(&Output::Dial), "and the next one is warmed");
    bench.audio(1);
    assert!(bench.events().await.is_empty(), "nothing of the old line counts");
}

#[tokio::test]
async fn a_cancel_of_what_is_spoken_already_costs_no_line() {
    let mut bench = bench();
    bench.open(1);
    bench.speak(ONE, "Yes.");
    bench.audio(1);
    bench.message(1, FINAL);
    bench.outputs();
    bench.cancel(ONE);
    assert_eq!(bench.outputs(), []);
}

#[tokio::test]
async fn what_has_no_sound_was_not_spoken() {
    let mut bench = bench();
    bench.open(1);
    bench.speak(ONE, "Yes.");
    bench.message(1, FINAL);
    assert!(bench.events().await.is_empty());
    assert!(bench.takes.is_answer_due(1), "the line has still to speak");
}

#[tokio::test]
async fn the_other_name_of_the_language_is_tried_once_and_nothing_is_lost() {
    let mut bench = bench();
    assert!(bench.takes.config().contains(r#""target_language_code":"hi-IN""#));
    bench.open(1);
    bench.outputs();
    bench.speak(ONE, "Yes.");
    bench.outputs();
    bench.takes.not_opened();
    let error =
        json!({"type": "error", "data": {"code": 422, "message": "target_language_code: extra fields"}});
    bench.message(1, &error.to_string());
    assert_eq!(bench.outputs(), [Output::Close(1), Output::Dial]);
    assert!(bench.takes.config().contains(r#""language_code":"hi-IN""#));
    bench.open(2);
    assert_eq!(texts(&bench.outputs()), [(2, "Yes.".to_owned())]);
    assert!(bench.events().await.is_empty());
}

#[tokio::test]
async fn a_complaint_about_the_language_repeats_nothing_that_was_heard() {
    let mut bench = bench();
    bench.takes.config();
    bench.open(1);
    bench.speak(ONE, "Yes.");
    bench.outputs();
    bench.audio(1);
    let error = json!({"type": "error", "data": {"code": 422, "message": "language_code"}});
    bench.message(1, &error.to_string());
    bench.takes.config();
    bench.open(2);
    assert!(texts(&bench.outputs()).is_empty());
    assert!(matches!(bench.events().await.last(), Some(Event::Lost { take: ONE, .. })));
}

#[tokio::test]
async fn only_what_cannot_pass_ends_the_session() {
    for (code, message, refused) in [
        (json!(403), "Invalid API key", true),
        (json!("insufficient_quota_error"), "No credits", true),
        (json!(422), "Speaker 'x' is not compatible", true),
        (json!(429), "rate_limit_exceeded_error", false),
        (json!(500), "oops", false),
    ] {
        let mut bench = bench();
        bench.open(1);
        bench.outputs();
        bench.message(1, &json!({"type": "error", "data": {"code": code, "message": message}}).to_string());
        let ended = matches!(bench.outputs()[..], [Output::Refused(_) | Output::Unfit(_)]);
        assert_eq!(ended, refused, "{message}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Speak(i64),
    Finish(i64),
    Cancel(i64),
    Open,
    Audio,
    Final,
    Lose,
    Error,
}

proptest! {
    /// Whatever happens in whatever order: a line speaks for one take, a take that is over is never heard of again, and
    /// all text of a take is spoken once, in order, or the take is not done.
    #[test]
    fn takes_are_whole_and_apart(steps in prop::collection::vec(
        prop_oneof![
            4 => (1..4i64).prop_map(Step::Speak), 1 => (1..4i64).prop_map(Step::Finish),
            1 => (1..4i64).prop_map(Step::Cancel),
            2 => Just(Step::Open), 3 => Just(Step::Audio), 3 => Just(Step::Final), 1 => Just(Step::Lose),
            1 => Just(Step::Error),
        ], 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut bench = bench();
        let (mut dialled, mut opened) = (0, 0);
        let mut speaking: BTreeMap<Line, String> = BTreeMap::new();
        let mut said: BTreeMap<Take, String> = BTreeMap::new();
        let mut asked: BTreeMap<Take, String> = BTreeMap::new();
        let mut over: BTreeSet<Take> = BTreeSet::new();
        for step in steps {
            let take = |epoch| Take { epoch, number: 0 };
            let busy = speaking.keys().next().copied();
            match step {
                Step::Speak(epoch) => {
                    if !over.contains(&take(epoch)) {
                        asked.entry(take(epoch)).or_default().push_str("word ");
                    }
                    bench.speak(take(epoch), "word ");
                }
                Step::Finish(epoch) => bench.finish(take(epoch)),
                Step::Cancel(epoch) => {
                    bench.cancel(take(epoch));
                    over.insert(take(epoch));
                }
                Step::Open if opened < dialled => {
                    opened += 1;
                    bench.open(opened);
                }
                Step::Open => {}
                Step::Audio => if let Some(line) = busy { bench.audio(line) },
                Step::Final => if let Some(line) = busy {
                    let holder = bench.takes.lines[&line].expect("it speaks for somebody");
                    said.entry(holder).or_default().push_str(&speaking.remove(&line).expect("it speaks"));
                    bench.message(line, FINAL);
                },
                Step::Lose => if let Some(line) = busy {
                    speaking.remove(&line);
                    bench.takes.lost(line, "gone", &mut bench.outbox);
                },
                Step::Error => if let Some(line) = busy {
                    speaking.remove(&line);
                    bench.message(line, r#"{"type":"error","data":{"code":500,"message":"no"}}"#);
                },
            }
            for output in bench.outputs() {
                match output {
                    Output::Dial => dialled += 1,
                    Output::Close(line) => { speaking.remove(&line); }
                    Output::Send { line, text } if text != message::FLUSH => {
                        let text: Value = serde_json::from_str(&text).expect("JSON");
                        let text = text["data"]["text"].as_str().expect("a text").to_owned();
                        prop_assert!(speaking.insert(line, text).is_none(), "a line speaks one part");
                    }
                    Output::Send { .. } => {}
                    Output::Refused(why) | Output::Unfit(why) => prop_assert!(false, "{}", why),
                }
            }
            prop_assert!(dialled - opened <= 1);
            for event in runtime.block_on(bench.events()) {
                let (take, last) = match event {
                    Event::Audio { take, .. } | Event::Words { take, .. } => (take, false),
                    Event::Lost { take, .. } => {
                        over.insert(take);
                        continue;
                    }
                    Event::Done { take } => (take, true),
                    Event::Unavailable { .. } => continue,
                };
                prop_assert!(!over.contains(&take), "{:?} is over", take);
                if last {
                    let whole = said.get(&take).map_or("", |said| said);
                    prop_assert_eq!(whole, asked.get(&take).map_or("", |asked| asked));
                }
            }
        }
    }
}
