use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mesh::clock;
use proto::types::v1::{EndReason, call_event::Event};

use super::*;
use crate::{
    audio::mulaw::DECODED,
    stt::Transcript,
    tts::{Take, Word},
};

mod action;
mod fallback;
mod language;
mod waits;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn word(text: &str, end_ms: u64) -> Word {
    Word { text: text.into(), end: ms(end_ms) }
}

fn phrase(text: &str) -> Arc<Phrase> {
    Arc::new(Phrase {
        text: text.into(),
        audio: Bytes::from(vec![0x55; 8 * 400]),
        words: vec![word(text, 390)],
    })
}

/// A call in virtual time whose carrier plays what it gets and returns each mark when it was played.
struct Rig {
    core: Pipeline,
    t: Instant,
    now: u64,
    outputs: Vec<Output>,
    /// Marks on their way: when they were played, and their names.
    marks: Vec<(u64, String)>,
    play_end: u64,
    /// What the caller's side sounds like at the moment.
    sound: Vec<i16>,
}

impl Rig {
    fn new() -> Self {
        let t = clock::now();
        let turn = turn::Config { preemptive: false, ..turn::Config::default() };
        let core = Pipeline::new(Config { turn, ..Config::default() }, 0, t);
        Self { core, t, now: 0, outputs: vec![], marks: vec![], play_end: 0, sound: vec![DECODED[0x0F]; 160] }
    }

    fn input(&mut self, input: Input) {
        self.core.audio_arrived(&self.sound, ms(self.now), self.t + ms(self.now));
        self.core.handle(input, self.t + ms(self.now));
        while let Some(output) = self.core.poll() {
            match &output {
                Output::Frame { .. } => self.play_end = self.play_end.max(self.now) + 20,
                Output::Mark { name, .. } => self.marks.push((self.play_end, name.clone())),
                Output::Clear { .. } => {
                    self.marks.clear();
                    self.play_end = self.now;
                }
                _ => {}
            }
            self.outputs.push(output);
        }
    }

    /// Lets time pass, delivering marks and ticks when they are due.
    fn until(&mut self, at: u64) {
        for step in 0.. {
            assert!(step < 100_000, "the core asks to be woken at once, again and again");
            let mark = self.marks.first().map(|(at, _)| *at);
            let wake = self.core.wake_at().map(|w| w.saturating_duration_since(self.t).as_millis() as u64);
            let next = [mark, wake.map(|w| w.max(self.now))].into_iter().flatten().min();
            match next.filter(|next| *next <= at) {
                Some(next) if mark == Some(next) => {
                    self.now = self.now.max(next);
                    let (_, name) = self.marks.remove(0);
                    self.input(Input::MarkReached(name));
                }
                Some(next) => {
                    self.now = self.now.max(next);
                    self.input(Input::Tick);
                }
                None => break,
            }
        }
        self.now = at;
    }

    fn at(&mut self, at: u64, input: Input) -> &mut Self {
        self.until(at);
        self.input(input);
        self
    }

    /// The caller says this and the turn ends 300 ms after `end`.
    fn caller_says(&mut self, start: u64, end: u64, text: &str) -> &mut Self {
        self.at(start + 80, Input::Speech(Edge::SpeechStarted { at_ms: start }));
        self.at(end + 100, Input::Speech(Edge::SpeechEnded { at_ms: end }));
        let transcript = Transcript { text: text.into(), is_final: true, utterance_over: true, end: ms(end) };
        self.at(end + 200, Input::Transcript(transcript));
        self.until(end + 300);
        self
    }

    fn audio(&mut self, at: u64, epoch: i64, number: u32, len_ms: usize) -> &mut Self {
        let take = Take { epoch, number };
        self.at(at, Input::SpeechAudio { take, payload: vec![0x55; 8 * len_ms].into() })
    }

    fn segment(&mut self, at: u64, epoch: i64, text: &str) -> &mut Self {
        self.at(at, Input::Segment { epoch, text: text.into() })
    }

    fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
            .into_iter()
            .filter(|o| !matches!(o, Output::Frame { .. } | Output::Mark { .. } | Output::Event { .. }))
            .collect()
    }
}

const TAKE_1: Take = Take { epoch: 1, number: 0 };

fn answered() -> Rig {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Hello.");
    assert_eq!(
        rig.take_outputs(),
        vec![
            Output::Finalize,
            Output::UserTurn { epoch: 1, text: "Hello.".into(), language: 0, tentative: false }
        ]
    );
    rig.segment(1500, 1, "one two ");
    rig.segment(1600, 1, "three four");
    rig.at(1600, Input::ReplyDone { epoch: 1, then: None });
    assert_eq!(
        rig.take_outputs(),
        vec![
            Output::Speak { take: TAKE_1, text: "one two ".into() },
            Output::Speak { take: TAKE_1, text: "three four".into() },
            Output::SpeakEnd { take: TAKE_1 },
        ]
    );
    rig.at(
        1700,
        Input::SpeechWords {
            take: TAKE_1,
            words: vec![word("one", 500), word("two", 1000), word("three", 1500), word("four", 2000)],
        },
    );
    rig.audio(1700, 1, 0, 2000);
    rig.at(1700, Input::SpeechDone { take: TAKE_1 });
    rig
}

#[test]
fn a_turn_is_answered_and_all_of_it_is_heard() {
    let mut rig = answered();
    rig.until(5000);
    assert_eq!(
        rig.take_outputs(),
        vec![Output::Heard { epoch: 1, text: "one two three four".into(), interrupted: false }]
    );
}

#[test]
fn the_latency_of_a_turn_adds_up() {
    let mut rig = answered();
    rig.until(5000);
    let latency = rig.outputs.iter().find_map(|output| match output {
        Output::Event { event: Event::TurnLatency(latency), .. } => Some(*latency),
        _ => None,
    });
    let latency = latency.unwrap();
    let at = |d: Option<_>| d.as_ref().map(|d| proto::from_wire(d).as_millis());
    assert_eq!(at(latency.end_of_speech), Some(1000));
    assert_eq!(at(latency.end_of_turn), Some(1300));
    assert_eq!(at(latency.first_segment), Some(1500));
    assert_eq!(at(latency.first_frame_sent), Some(1700));
    assert_eq!(at(latency.first_frame_heard), Some(1700));
}

fn words(text: &str, end: u64) -> Input {
    Input::Transcript(Transcript { text: text.into(), is_final: false, utterance_over: false, end: ms(end) })
}

#[test]
fn a_barge_in_clears_first_and_words_confirm_it() {
    let mut rig = answered();
    rig.at(2880, Input::Speech(Edge::SpeechStarted { at_ms: 2800 }));
    rig.until(3000);
    assert_eq!(rig.take_outputs(), vec![Output::Clear { epoch: 1 }, Output::SpeakCancel { take: TAKE_1 }]);
    rig.at(3400, words("wait a moment", 3350));
    assert_eq!(
        rig.take_outputs(),
        vec![
            Output::CancelReply { epoch: 1 },
            Output::Heard { epoch: 1, text: "one two".into(), interrupted: true },
        ]
    );
    rig.audio(3450, 1, 0, 500);
    rig.segment(3450, 1, "late");
    assert_eq!(rig.take_outputs(), vec![], "nothing of a stale epoch has an effect");
}

#[test]
fn a_barge_in_without_words_is_none_and_the_agent_goes_on() {
    let mut rig = answered();
    rig.at(2880, Input::Speech(Edge::SpeechStarted { at_ms: 2800 }));
    rig.at(3250, Input::Speech(Edge::SpeechEnded { at_ms: 3150 }));
    rig.take_outputs();
    rig.until(3150 + 700);
    let take = Take { epoch: 1, number: 1 };
    assert_eq!(
        rig.take_outputs(),
        vec![Output::Speak { take, text: "three four".into() }, Output::SpeakEnd { take }]
    );
    rig.at(3950, Input::SpeechWords { take, words: vec![word("three", 500), word("four", 1000)] });
    rig.audio(3950, 1, 1, 1000);
    rig.at(3950, Input::SpeechDone { take });
    rig.until(9000);
    assert_eq!(
        rig.take_outputs(),
        vec![Output::Heard { epoch: 1, text: "one two three four".into(), interrupted: false }]
    );
}

#[test]
fn a_weak_sound_needs_words_and_a_backchannel_is_none() {
    let mut rig = answered();
    rig.until(2000);
    rig.sound = vec![DECODED[0x70]; 160];
    for at in (2000..2800).step_by(20) {
        rig.at(at, Input::Tick);
    }
    rig.at(2880, Input::Speech(Edge::SpeechStarted { at_ms: 2800 }));
    for at in (2900..3200).step_by(20) {
        rig.at(at, Input::Tick);
    }
    rig.at(3200, words("mm-hm", 3150));
    rig.at(3250, Input::Speech(Edge::SpeechEnded { at_ms: 3150 }));
    rig.until(9000);
    let outputs = rig.take_outputs();
    assert!(!outputs.iter().any(|o| matches!(o, Output::Clear { .. })), "{outputs:?}");
    assert!(outputs.contains(&Output::Heard {
        epoch: 1,
        text: "one two three four".into(),
        interrupted: false
    }));
}

#[test]
fn a_sound_is_measured_before_whatever_comes_in_decides_on_it() {
    let mut rig = answered();
    rig.until(2000);
    rig.sound = vec![DECODED[0x70]; 160];
    for at in (2000..2900).step_by(20) {
        rig.at(at, Input::Tick);
    }
    rig.core.handle(Input::Speech(Edge::SpeechStarted { at_ms: 2800 }), rig.t + ms(2900));
    // Time for the decision, and what comes in is no tick.
    rig.core.handle(Input::UtteranceEnd, rig.t + ms(2970));
    let outputs: Vec<_> = std::iter::from_fn(|| rig.core.poll()).collect();
    assert!(!outputs.iter().any(|o| matches!(o, Output::Clear { .. })), "{outputs:?}");
}

#[test]
fn an_answer_waits_for_a_caller_who_goes_on() {
    let begun = |rig: &Rig| rig.outputs.iter().any(|o| matches!(o, Output::Frame { .. }));
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "The key is lost.");
    rig.segment(1400, 1, "One two.");
    rig.at(1480, Input::Speech(Edge::SpeechStarted { at_ms: 1400 }));
    rig.audio(1600, 1, 0, 1000);
    rig.at(1700, Input::Speech(Edge::SpeechEnded { at_ms: 1650 }));
    rig.until(2040);
    assert!(!begun(&rig), "words may still come");
    rig.until(2060);
    assert!(begun(&rig), "it was a noise");
}

#[test]
fn a_likely_end_starts_the_reply_and_nothing_is_said_before_it_is_certain() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config::default(), 0, rig.t);
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(1050, Input::Speech(Edge::SpeechEnded { at_ms: 1000 }));
    rig.at(1060, transcribed("A room", 1000));
    assert!(rig.outputs.contains(&Output::UserTurn {
        epoch: 1,
        text: "A room".into(),
        language: 0,
        tentative: true
    }));
    rig.segment(1200, 1, "What would you like?");
    rig.audio(1300, 1, 0, 800);
    assert!(!rig.outputs.iter().any(|o| matches!(o, Output::Frame { .. })));
    rig.at(1400, Input::Speech(Edge::SpeechStarted { at_ms: 1330 }));
    assert!(rig.outputs.contains(&Output::CancelReply { epoch: 1 }), "the caller goes on");
    rig.at(2100, Input::Speech(Edge::SpeechEnded { at_ms: 2000 }));
    rig.at(2200, transcribed("with a view.", 2000));
    assert_eq!(
        rig.take_outputs().last(),
        Some(&Output::UserTurn {
            epoch: 2,
            text: "A room with a view.".into(),
            language: 0,
            tentative: true
        })
    );
    rig.segment(2210, 2, "For how many?");
    rig.audio(2250, 2, 0, 800);
    rig.until(2300);
    assert!(rig.outputs.contains(&Output::Confirm { epoch: 2 }));
    assert!(rig.outputs.iter().any(|o| matches!(o, Output::Frame { epoch: 2, .. })));
    assert!(!rig.outputs.iter().any(|o| matches!(o, Output::Heard { epoch: 1, .. })));
}

fn transcribed(text: &str, end: u64) -> Input {
    Input::Transcript(Transcript { text: text.into(), is_final: true, utterance_over: true, end: ms(end) })
}

#[test]
fn the_goodbye_is_heard_before_the_call_ends() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Goodbye.");
    rig.segment(1500, 1, "Goodbye.");
    rig.at(1500, Input::ReplyDone { epoch: 1, then: Some(Then::HangUp(EndReason::AgentHangup)) });
    rig.audio(1600, 1, 0, 800);
    rig.at(1600, Input::SpeechDone { take: TAKE_1 });
    rig.until(2390);
    assert!(!rig.outputs.iter().any(|o| matches!(o, Output::HangUp { .. })));
    rig.until(2400);
    assert_eq!(rig.outputs.last(), Some(&Output::HangUp { reason: EndReason::AgentHangup }));
}

#[test]
fn a_barge_in_cancels_the_end() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Goodbye.");
    rig.segment(1500, 1, "Goodbye.");
    rig.at(1500, Input::ReplyDone { epoch: 1, then: Some(Then::HangUp(EndReason::AgentHangup)) });
    rig.audio(1600, 1, 0, 800);
    rig.at(1780, Input::Speech(Edge::SpeechStarted { at_ms: 1700 }));
    rig.at(2100, words("wait", 2050));
    rig.until(20_000);
    assert!(!rig.outputs.iter().any(|o| matches!(o, Output::HangUp { .. })));
}

fn noise(rig: &mut Rig, from: u64, to: u64) {
    rig.at(from + 80, Input::Speech(Edge::SpeechStarted { at_ms: from }));
    rig.at(to + 100, Input::Speech(Edge::SpeechEnded { at_ms: to }));
}

fn heard_lines(rig: &Rig) -> Vec<&str> {
    rig.outputs
        .iter()
        .filter_map(|output| match output {
            Output::Heard { text, interrupted: false, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_line_that_must_finish_does_and_what_was_said_over_it_is_answered() {
    let mut rig = Rig::new();
    let lines = Lines { uninterruptible: vec![proto::tenancy::v1::Line::Greeting], ..Lines::default() };
    let turn = turn::Config { preemptive: false, ..turn::Config::default() };
    rig.core = Pipeline::new(Config { turn, lines, ..Config::default() }, 0, rig.t);
    let long = Phrase { audio: vec![0x55; 8 * 3000].into(), ..(*phrase("This call is recorded.")).clone() };
    rig.at(0, Input::Phrase(0, Purpose::Greeting, Arc::new(long)));
    noise(&mut rig, 300, 1200);
    rig.at(1300, transcribed("Do you have a room?", 1200));
    rig.at(1400, Input::Key('7'));
    rig.at(1400, Input::Key('#'));
    rig.until(2900);
    assert_eq!(rig.take_outputs(), vec![Output::Finalize], "nothing is cut and nothing is asked");
    rig.until(3100);
    let outputs = rig.take_outputs();
    let notice = Output::Heard { epoch: 1, text: "This call is recorded.".into(), interrupted: false };
    let question =
        Output::UserTurn { epoch: 2, text: "Do you have a room?".into(), language: 0, tentative: false };
    assert_eq!(outputs[..2], [notice, question], "{outputs:?}");
}

#[test]
fn an_end_that_a_discarded_reply_asked_for_never_was() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config::default(), 0, rig.t);
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(1050, Input::Speech(Edge::SpeechEnded { at_ms: 1000 }));
    rig.at(1060, transcribed("Goodbye then.", 1000));
    rig.segment(1100, 1, "Goodbye!");
    rig.at(1110, Input::ReplyDone { epoch: 1, then: Some(Then::HangUp(EndReason::AgentHangup)) });
    rig.at(1290, Input::Speech(Edge::SpeechStarted { at_ms: 1210 }));
    rig.at(2100, Input::Speech(Edge::SpeechEnded { at_ms: 2000 }));
    rig.at(2110, transcribed("Oh, what time is breakfast?", 2000));
    assert!(rig.outputs.contains(&Output::CancelReply { epoch: 1 }));
    rig.segment(2200, 2, "At seven.");
    rig.at(2200, Input::ReplyDone { epoch: 2, then: None });
    rig.audio(2300, 2, 0, 400);
    rig.at(2300, Input::SpeechDone { take: Take { epoch: 2, number: 0 } });
    rig.until(30_000);
    assert_eq!(heard_lines(&rig), ["At seven."]);
    assert!(!rig.outputs.iter().any(|output| matches!(output, Output::HangUp { .. })));
}

#[test]
fn a_take_that_breaks_off_goes_on_at_the_next_word() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1400, 1, "one two three four");
    rig.at(1400, Input::ReplyDone { epoch: 1, then: None });
    rig.at(1500, Input::SpeechWords { take: TAKE_1, words: vec![word("one", 500), word("two", 1000)] });
    rig.audio(1500, 1, 0, 1200);
    rig.take_outputs();
    rig.at(1600, Input::SpeechLost { take: TAKE_1, detail: "reset".into() });
    let take = Take { epoch: 1, number: 1 };
    assert_eq!(
        rig.take_outputs(),
        vec![Output::Speak { take, text: "three four".into() }, Output::SpeakEnd { take }]
    );
    rig.audio(1700, 1, 1, 1000);
    rig.at(1700, Input::SpeechDone { take });
    rig.until(9000);
    assert_eq!(
        rig.take_outputs(),
        vec![Output::Heard { epoch: 1, text: "one two three four".into(), interrupted: false }]
    );
}

#[test]
fn a_reply_that_pauses_for_a_tool_goes_on_in_a_new_take() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1400, 1, "Let me see. ");
    rig.audio(1500, 1, 0, 600);
    rig.at(1500, Input::SpeechDone { take: TAKE_1 });
    rig.segment(4000, 1, "Yes.");
    let take = Take { epoch: 1, number: 1 };
    assert!(rig.outputs.contains(&Output::Speak { take, text: "Yes.".into() }));
    rig.at(4000, Input::ReplyDone { epoch: 1, then: None });
    rig.audio(4100, 1, 1, 400);
    rig.at(4100, Input::SpeechDone { take });
    rig.until(9000);
    assert_eq!(
        rig.outputs.iter().rev().find(|o| matches!(o, Output::Heard { .. })),
        Some(&Output::Heard { epoch: 1, text: "Let me see. Yes.".into(), interrupted: false })
    );
}

#[test]
fn a_vendor_that_is_gone_ends_in_an_apology_and_a_reason() {
    let mut rig = answered();
    rig.at(1900, Input::Phrase(0, Purpose::Apology, phrase("Sorry.")));
    rig.take_outputs();
    rig.at(2000, Input::SttUnavailable("reset".into()));
    rig.until(9000);
    let outputs = rig.take_outputs();
    assert_eq!(outputs[0], Output::Clear { epoch: 1 });
    assert_eq!(outputs.last(), Some(&Output::HangUp { reason: EndReason::SttFailed }));
    assert!(outputs.contains(&Output::Heard { epoch: 2, text: "Sorry.".into(), interrupted: false }));
}

#[test]
fn a_model_that_stops_in_the_middle_is_told_from_a_synthesizer_that_does() {
    for (take_ends, vendor) in [(true, "anthropic"), (false, "cartesia")] {
        let mut rig = Rig::new();
        rig.caller_says(0, 1000, "Hello.");
        rig.segment(1400, 1, "one two");
        rig.audio(1500, 1, 0, 600);
        if take_ends {
            rig.at(2500, Input::SpeechDone { take: TAKE_1 });
        }
        rig.until(12_000);
        let fault = rig.outputs.iter().find_map(|output| match output {
            Output::Event { event: Event::VendorFault(fault), .. } => Some(fault.vendor.as_str()),
            _ => None,
        });
        assert_eq!(fault, Some(vendor));
    }
}

#[test]
fn going_on_before_the_answer_discards_it_unheard() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "A room.");
    rig.segment(1400, 1, "For how many?");
    rig.at(1480, Input::Speech(Edge::SpeechStarted { at_ms: 1400 }));
    let more = Transcript { text: "For two.".into(), is_final: true, utterance_over: true, end: ms(1900) };
    rig.at(1950, Input::Transcript(more));
    rig.at(2000, Input::Speech(Edge::SpeechEnded { at_ms: 1900 }));
    rig.until(2500);
    let outputs = rig.take_outputs();
    assert!(outputs.contains(&Output::CancelReply { epoch: 1 }));
    assert!(outputs.contains(&Output::Heard { epoch: 1, text: String::new(), interrupted: true }));
    assert_eq!(
        outputs.last(),
        Some(&Output::UserTurn { epoch: 2, text: "For two.".into(), language: 0, tentative: false })
    );
    assert!(!outputs.iter().any(|o| matches!(o, Output::Clear { .. })), "nothing was played");
}

#[test]
fn the_greeting_is_an_utterance_like_any_other() {
    let mut rig = Rig::new();
    rig.at(10, Input::Phrase(0, Purpose::Greeting, phrase("Hello.")));
    rig.until(1000);
    assert_eq!(
        rig.take_outputs(),
        vec![Output::Heard { epoch: 1, text: "Hello.".into(), interrupted: false }]
    );
}

#[test]
fn going_on_before_a_goodbye_keeps_the_call() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Goodbye.");
    rig.segment(1400, 1, "Goodbye.");
    rig.at(1400, Input::ReplyDone { epoch: 1, then: Some(Then::HangUp(EndReason::AgentHangup)) });
    let more =
        Transcript { text: "Oh wait, stop.".into(), is_final: true, utterance_over: true, end: ms(1900) };
    rig.at(1950, Input::Transcript(more));
    rig.until(4000);
    let outputs = rig.take_outputs();
    assert_eq!(
        outputs.last(),
        Some(&Output::UserTurn { epoch: 2, text: "Oh wait, stop.".into(), language: 0, tentative: false })
    );
}

#[test]
fn text_that_crossed_the_end_of_its_take_is_spoken_in_a_new_one() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1400, 1, "one two ");
    rig.at(1500, Input::SpeechWords { take: TAKE_1, words: vec![word("one", 300), word("two", 600)] });
    rig.audio(1500, 1, 0, 600);
    rig.segment(2600, 1, "three");
    rig.at(2600, Input::SpeechDone { take: TAKE_1 });
    rig.at(2600, Input::SpeechLost { take: TAKE_1, detail: "ended".into() });
    rig.at(2600, Input::ReplyDone { epoch: 1, then: None });
    let take = Take { epoch: 1, number: 1 };
    assert!(rig.outputs.contains(&Output::Speak { take, text: "three".into() }));
    rig.until(2700);
    assert!(
        !rig.outputs.iter().any(|o| matches!(o, Output::Heard { .. })),
        "the rest has not been spoken yet"
    );
    rig.audio(2800, 1, 1, 300);
    rig.at(2800, Input::SpeechDone { take });
    rig.until(9000);
    let heard = Output::Heard { epoch: 1, text: "one two three".into(), interrupted: false };
    assert!(rig.outputs.contains(&heard));
}

#[test]
fn words_without_a_sound_were_not_said() {
    let mut rig = Rig::new();
    rig.caller_says(0, 1000, "Hello.");
    rig.segment(1400, 1, "one");
    rig.at(1400, Input::ReplyDone { epoch: 1, then: None });
    rig.at(1500, Input::SpeechDone { take: TAKE_1 });
    let take = Take { epoch: 1, number: 1 };
    assert!(rig.outputs.contains(&Output::Speak { take, text: "one".into() }));
    assert!(!rig.outputs.iter().any(|o| matches!(o, Output::Heard { .. })));
}

#[test]
fn a_noise_delays_the_greeting_and_does_not_swallow_it() {
    let mut rig = Rig::new();
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(100, Input::Phrase(0, Purpose::Greeting, phrase("Hello.")));
    assert_eq!(rig.take_outputs(), vec![]);
    rig.at(300, Input::Speech(Edge::SpeechEnded { at_ms: 200 }));
    rig.until(1000);
    assert!(rig.outputs.contains(&Output::Heard { epoch: 1, text: "Hello.".into(), interrupted: false }));
}

#[test]
fn audio_that_the_carrier_dropped_was_not_heard() {
    let mut rig = answered();
    rig.until(2300);
    let (_, mark) = rig.marks.remove(0);
    rig.marks.clear();
    rig.at(2310, Input::MarkCleared(mark));
    assert_eq!(
        rig.take_outputs().last(),
        Some(&Output::Heard { epoch: 1, text: "one".into(), interrupted: true })
    );
}

#[test]
fn a_stream_that_goes_on_after_another_ends_in_words_and_a_reason() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config::default(), 7, rig.t);
    rig.at(10, Input::Phrase(0, Purpose::Apology, phrase("Sorry.")));
    rig.until(2000);
    let outputs = rig.take_outputs();
    assert!(outputs.contains(&Output::Heard { epoch: 8, text: "Sorry.".into(), interrupted: false }));
    assert_eq!(outputs.last(), Some(&Output::HangUp { reason: EndReason::Internal }));
}

fn frames(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Frame { .. })).count()
}

#[test]
fn a_reply_that_was_made_before_it_was_certain_does_not_stall() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config::default(), 0, rig.t);
    rig.at(80, Input::Speech(Edge::SpeechStarted { at_ms: 0 }));
    rig.at(1100, Input::Speech(Edge::SpeechEnded { at_ms: 1000 }));
    let words = Transcript { text: "Hello.".into(), is_final: true, utterance_over: true, end: ms(1000) };
    rig.at(1110, Input::Transcript(words));
    rig.segment(1120, 1, "one two three four");
    rig.at(1120, Input::ReplyDone { epoch: 1, then: None });
    rig.audio(1130, 1, 0, 12_000);
    rig.at(1130, Input::SpeechDone { take: TAKE_1 });
    assert_eq!(frames(&rig.outputs), 0, "nothing is said before the end of the turn is certain");
    rig.until(15_000);
    assert!(rig.outputs.contains(&Output::Confirm { epoch: 1 }));
    assert_eq!(frames(&rig.outputs), 600, "all of it is said");
    let heard = Output::Heard { epoch: 1, text: "one two three four".into(), interrupted: false };
    assert!(rig.outputs.contains(&heard));
}

#[test]
fn a_core_that_says_its_last_line_waits_for_nothing_else() {
    let mut rig = Rig::new();
    rig.core = Pipeline::new(Config { dtmf_timeout: ms(100), ..Config::default() }, 0, rig.t);
    rig.at(1700, Input::Phrase(0, Purpose::Apology, phrase("Sorry.")));
    rig.at(1740, Input::Key('1'));
    rig.at(1750, Input::SttUnavailable("gone".into()));
    rig.until(1900);
    assert!(rig.core.wake_at().is_some_and(|at| at > rig.t + ms(1900)), "it does not spin");
    rig.until(3000);
    assert!(rig.outputs.contains(&Output::HangUp { reason: EndReason::SttFailed }));
}

#[test]
fn a_false_barge_in_into_a_line_does_not_cost_the_answer_behind_it() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Greeting, phrase("Hello.")));
    rig.core.reply = Some(Reply::new(2, None, 0, rig.t));
    rig.segment(20, 2, "one two");
    rig.at(150, Input::Speech(Edge::SpeechStarted { at_ms: 100 }));
    rig.until(300);
    assert!(rig.outputs.contains(&Output::Clear { epoch: 1 }));
    rig.at(300, Input::Speech(Edge::SpeechEnded { at_ms: 250 }));
    rig.take_outputs();
    rig.until(1000);
    let take = Take { epoch: 2, number: 1 };
    assert!(rig.take_outputs().contains(&Output::Speak { take, text: "one two".into() }));
}

#[test]
fn text_that_came_over_a_barge_in_into_a_filler_was_not_heard() {
    let mut rig = Rig::new();
    rig.at(0, Input::Phrase(0, Purpose::Filler(0), phrase("Hm.")));
    rig.caller_says(0, 1000, "Hello.");
    rig.until(2150);
    noise(&mut rig, 2150, 2500);
    rig.segment(2650, 1, "one two ");
    rig.take_outputs();
    rig.at(2700, transcribed("Wait.", 2500));
    let told = [
        Output::CancelReply { epoch: 1 },
        Output::Heard { epoch: 1, text: String::new(), interrupted: true },
    ];
    assert_eq!(rig.take_outputs(), told);
}
