//! Whole calls over Exotel: linear samples, 100 ms at a time, marks that may not come back, a flow around the stream.

use libtest_mimic::Trial;
use proto::types::v1::{EndReason, call_event::Event};
use rehearsal::{
    carrier::{Ended, MarkOutcome, Step, What, When},
    exotel::Settings,
};

use crate::{
    answered_call::{GREETING, QUESTION},
    caller::{Placed, exotel_plan, line, prompt, quiet},
    sandbox::{Finished, Sandbox, Shape},
    trial,
};

const LONG_QUESTION: &str = "Can you tell me everything about the rooms and the prices?";
const INTERRUPTION: &str = "Sorry, how much does parking cost?";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("exotel::has_the_same_conversation_as_twilio", is_the_same_as_on_twilio),
        trial("exotel::is_interrupted_with_marks_that_come_back_on_a_clear", || is_interrupted(true)),
        trial("exotel::is_interrupted_with_marks_that_do_not", || is_interrupted(false)),
        trial("exotel::takes_keys_and_a_hang_up_over_a_second_handshake", keys_and_a_hang_up),
        trial("exotel::speaks_at_16_khz", || at_a_higher_rate(16_000)),
        trial("exotel::speaks_at_24_khz", || at_a_higher_rate(24_000)),
    ]
}

impl Sandbox {
    /// Places a call over Exotel and waits for its end.
    pub async fn over_exotel(&self, settings: Settings, steps: Vec<Step>) -> Finished {
        self.finish(Placed::new(exotel_plan(&self.layout.http, settings, steps))).await
    }
}

async fn is_the_same_as_on_twilio() {
    let sandbox = Sandbox::start(Shape::Together).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![line(library, QUESTION, quiet()).await, prompt(library, "vm-goodbye", quiet())];
    let exotel = sandbox.over_exotel(Settings::default(), steps.clone()).await;
    let twilio = sandbox.call(steps).await;
    for call in [&exotel, &twilio] {
        call.assert_ended_by_us(EndReason::AgentHangup);
        assert!(call.words().starts_with(GREETING), "{}", call.words());
        let told = call.transcript();
        assert!(call.words().contains("costs 12 pounds for a day"), "heard {}, told {told:#?}", call.words());
        assert!(call.heard.iter().all(|piece| piece.is_whole()), "{:#?}", call.heard);
    }
    assert_eq!(exotel.transcript(), twilio.transcript());
    assert_eq!(exotel.words(), twilio.words());
    let frames = exotel.report.streams[0].media_bytes / exotel.report.streams[0].media_messages;
    assert!((480..=800).contains(&frames), "60 to 100 ms a message on average: {frames} samples");
    sandbox.layout.stop().await;
}

async fn is_interrupted(marks_return_on_clear: bool) {
    let sandbox = Sandbox::start(Shape::Together).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![
        line(library, LONG_QUESTION, quiet()).await,
        line(library, INTERRUPTION, When::AfterAgentStarts { ms: 3_600 }).await,
        prompt(library, "vm-goodbye", quiet()),
    ];
    let settings = Settings { marks_return_on_clear, ..Settings::default() };
    let call = sandbox.over_exotel(settings, steps).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    assert_eq!(call.report.clears.len(), 1, "{:#?}", call.transcript());
    let cleared = call.report.marks.iter().filter(|mark| mark.outcome == MarkOutcome::Cleared).count();
    assert!(cleared == 0 || marks_return_on_clear, "{:#?}", call.report.marks);
    assert!(call.events.iter().any(|event| matches!(event, Event::BargeIn(_))));
    let agent: Vec<_> = call
        .transcript()
        .iter()
        .filter_map(|line| Some(line.strip_prefix("agent: ")?.replace(" [interrupted]", "")))
        .collect();
    let told = agent.join(" ");
    let told: Vec<_> = told.split_whitespace().collect();
    let heard = call.words();
    let heard: Vec<_> = heard.split_whitespace().collect();
    assert!(told.len().abs_diff(heard.len()) <= 1, "told {told:?}, heard {heard:?}");
    assert!(call.words().contains("costs 12 pounds for a day."), "{}", call.words());
    sandbox.layout.stop().await;
}

async fn keys_and_a_hang_up() {
    let sandbox = Sandbox::start(Shape::Together).await;
    let steps = vec![
        Step::Press { digits: "42#".into(), when: quiet() },
        Step::HangUp { when: When::AgentQuiet { ms: 900 } },
    ];
    let settings = Settings { frame_ms: 20, first_handshake_fails: true, ..Settings::default() };
    let call = sandbox.over_exotel(settings, steps).await;
    assert_eq!(call.report.ended, Ended::CallerHungUp);
    call.assert_reason(EndReason::CallerHangup);
    assert!(
        call.transcript().iter().any(|line| line.contains("42")),
        "the keys are a turn: {:#?}",
        call.transcript()
    );
    sandbox.layout.stop().await;
}

async fn at_a_higher_rate(sample_rate_hz: u32) {
    let sandbox =
        Sandbox::start_with(Shape::Together, |config| config.exotel.sample_rate_hz = sample_rate_hz).await;
    let library = &sandbox.rehearsal.library;
    let steps = vec![line(library, QUESTION, quiet()).await, prompt(library, "vm-goodbye", quiet())];
    let settings = Settings { frame_ms: 40, ..Settings::default() };
    let mut placed = Placed::new(exotel_plan(&sandbox.layout.http, settings, steps));
    placed.until(|what| matches!(what, What::AgentAudible)).await;
    let call = sandbox.finish(placed).await;
    call.assert_ended_by_us(EndReason::AgentHangup);
    let transcript = call.transcript();
    assert!(transcript.contains(&format!("agent: {GREETING}")), "{transcript:#?}");
    assert!(transcript.contains(&format!("caller: {QUESTION}")), "{transcript:#?}");
    assert!(transcript.join(" ").contains("costs 12 pounds for a day"), "{transcript:#?}");
    assert_eq!(call.faults(), Vec::<&proto::types::v1::VendorFault>::new());
    sandbox.layout.stop().await;
}
