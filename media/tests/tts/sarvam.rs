//! Sarvam's adapter against its rehearsal.

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use media::tts::{Event, Settings, Synthesizer, Vendor, sarvam::Sarvam};
use mesh::Pii;
use rehearsal::{
    events::EventLog,
    faults::Faults,
    sarvam::{CodeForm, Fault, Refusal, Server, Settings as Rehearsal},
    settings::Latency,
};

use super::{ONE, Speaker, Stage, TWO, Trouble, suite::suite};
use crate::stage::{SERVERS, wait_for};

/// What was spoken in one test is remembered for the others.
static VOICE: LazyLock<rehearsal::speech::Speaker> = LazyLock::new(Default::default);

struct Rehearsed(Server);

fn start() -> Rehearsed {
    with(|_| ())
}

fn with(change: impl FnOnce(&mut Rehearsal)) -> Rehearsed {
    let mut settings = Rehearsal {
        api_key: Some("key".into()),
        first_chunk: Latency::fixed_ms(20),
        pace: 20.0,
        idle: Duration::from_secs(1),
        speaker: VOICE.clone(),
        ..Rehearsal::default()
    };
    change(&mut settings);
    let _servers = SERVERS.enter();
    Rehearsed(Server::start(settings).expect("a port is free"))
}

impl Rehearsed {
    /// The texts that were spoken to their end, in order.
    fn spoken(&self) -> Vec<String> {
        let ends = self.log().matching(|event| event.name == "final");
        ends.iter().map(|event| event.text("text").unwrap_or_default().to_owned()).collect()
    }
}

impl Stage for Rehearsed {
    fn synthesizer(&self) -> Box<dyn Synthesizer> {
        Box::new(Sarvam)
    }

    fn settings(&self) -> Settings {
        Settings {
            has_fallback: false,
            vendor: Vendor::Sarvam,
            base_url: self.0.base_url().parse().expect("a URL"),
            api_key: Pii::new("key".to_owned()),
            voice_id: "shubh".into(),
            model: "bulbul:v3".into(),
            language: "en-IN".into(),
            call_id: "call-1".into(),
            format: media::audio::Format::MULAW_8K,
        }
    }

    fn next(&self, troubles: Vec<Option<Trouble>>) {
        let error = |code| Fault::Error { after_chunks: 1, status: 500, code };
        let fault = |trouble| match trouble {
            Trouble::Lost => Fault::Reset { after_chunks: 2 },
            Trouble::Error => error(CodeForm::Number),
            Trouble::NamelessError => error(CodeForm::MessageOnly),
            Trouble::Silent => Fault::Stall { after_chunks: 1, time: Duration::from_secs(60) },
        };
        let next = troubles.into_iter().map(|trouble| trouble.map(fault)).collect();
        self.0.set_faults(Faults { next, always: None });
    }

    fn log(&self) -> &EventLog {
        self.0.log()
    }

    fn opened(&self) -> usize {
        let texts = self.log().matching(|event| event.name == "text");
        texts.iter().map(|event| event.connection).collect::<BTreeSet<_>>().len()
    }

    fn opened_after(&self, cut: usize) -> usize {
        1 + cut
    }

    async fn cancelled(&self, takes: usize) {
        self.closed(takes, "closed by the client").await;
    }

    async fn closed_for_idleness(&self, sockets: usize) {
        assert!(self.opened() >= sockets);
        // The spare one too.
        self.closed(self.count("open"), "idle").await;
    }
}

suite!(start);

#[tokio::test]
async fn what_is_said_while_a_part_is_spoken_is_the_next_part() {
    let stage = start();
    let mut speaker = Speaker::open(&stage);
    speaker.speak(ONE, "नमस्ते। ").await;
    speaker.until_audio(ONE).await;
    speaker.speak(ONE, "आपका बैलेंस ").await;
    speaker.say(ONE, "पाँच सौ रुपये है।").await;
    assert_eq!(stage.spoken(), ["नमस्ते। ", "आपका बैलेंस पाँच सौ रुपये है।"]);
}

#[tokio::test]
async fn the_spare_line_is_configured_before_it_is_needed() {
    let stage = start();
    let mut speaker = Speaker::open(&stage);
    speaker.speak(ONE, "One thing after another is said here, and none of it matters. ").await;
    speaker.until_audio(ONE).await;
    wait_for(stage.log(), 2, |event| event.name == "config").await;
    speaker.cancel(ONE).await;
    speaker.say(TWO, "Yes?").await;
    let log = stage.log().snapshot();
    let place = |name: &str, count: usize| {
        log.iter().enumerate().filter(|(_, event)| event.name == name).nth(count).map(|(at, _)| at)
    };
    assert!(place("config", 1) < place("closed", 0), "before the first one is abandoned");
    let spare = &log[place("config", 1).expect("a second line")];
    assert_eq!(log[place("text", 1).expect("a second text")].connection, spare.connection);
}

#[tokio::test]
async fn a_limit_passes_and_empty_credits_do_not() {
    for refusal in [Refusal::RateLimited, Refusal::Overloaded, Refusal::Internal] {
        let stage = start();
        stage.0.set_refusals(Faults::once(refusal));
        let mut speaker = Speaker::open(&stage);
        speaker.say(ONE, "Hello.").await;
        assert_eq!((stage.count("refused"), speaker.lost()), (1, 0), "{refusal:?}");
    }
    for refusal in [Refusal::QuotaExhausted, Refusal::BadKey] {
        let stage = start();
        stage.0.set_refusals(Faults::always(refusal));
        let mut speaker = Speaker::open(&stage);
        speaker.until(|event| matches!(event, Event::Unavailable { .. })).await;
        assert_eq!(stage.count("refused"), 1, "{refusal:?}");
    }
}

#[tokio::test]
async fn without_room_for_a_spare_line_the_call_speaks_on_one() {
    let stage = with(|vendor| vendor.concurrency = 1);
    let mut speaker = Speaker::open(&stage);
    speaker.speak(ONE, "One thing after another is said here. ").await;
    speaker.until_audio(ONE).await;
    speaker.say(ONE, "That is all.").await;
    assert_eq!(speaker.lost(), 0);
    speaker.say(TWO, "Once more.").await;
    assert_eq!((speaker.lost(), stage.opened()), (0, 1));
}

#[tokio::test]
async fn closes_of_every_kind_lose_the_take_alone() {
    for fault in [
        Fault::Close { after_chunks: 0, code: 1011 },
        Fault::Close { after_chunks: 1, code: 1001 },
        Fault::Cut { after_chunks: 1 },
        Fault::NoFinal,
    ] {
        let stage = start();
        stage.0.set_faults(Faults::once(fault));
        let mut speaker = Speaker::open(&stage);
        speaker.speak(ONE, "Hello there, this is the first.").await;
        speaker.finish(ONE).await;
        speaker.until_lost(ONE).await;
        speaker.say(TWO, "Once more.").await;
        assert_eq!((speaker.lost(), stage.opened()), (1, 2));
    }
}

#[tokio::test]
async fn a_wav_header_is_not_heard() {
    let stage = start();
    stage.0.set_faults(Faults { next: [None, Some(Fault::Riff)].into(), always: None });
    let mut speaker = Speaker::open(&stage);
    speaker.say(ONE, "Hello there.").await;
    speaker.say(TWO, "Hello there.").await;
    assert_eq!(speaker.audio(ONE), speaker.audio(TWO));
}

#[tokio::test]
async fn words_lie_within_two_of_where_they_are_heard() {
    let stage = start();
    let mut speaker = Speaker::open(&stage);
    for (epoch, text) in [
        "Your booking is for two nights, from Friday to Sunday. The total is 4500 rupees, taxes included.",
        "हमारा रेस्तराँ सुबह सात बजे से रात ग्यारह बजे तक खुला रहता है। क्या मैं आपके लिए एक मेज़ बुक कर दूँ?",
    ]
    .into_iter()
    .enumerate()
    {
        let take = super::Take { epoch: epoch as i64 + 1, number: 0 };
        speaker.say(take, text).await;
        let truth: Vec<f64> = {
            let spoken = stage.log().matching(|event| event.name == "speaks");
            let words = spoken.iter().filter(|event| text.contains(event.text("text").unwrap_or("?")));
            words
                .flat_map(|event| event.fields["words"].as_array().cloned().unwrap_or_default())
                .map(|word| word[2].as_f64().expect("an end"))
                .collect()
        };
        let told: Vec<f64> = speaker.words(take).iter().map(|word| word.end.as_secs_f64()).collect();
        assert_eq!(told.len(), truth.len());
        let heard = |ends: &[f64], at: f64| ends.iter().filter(|end| **end <= at).count();
        for tenth in 0..200 {
            let at = f64::from(tenth) * 0.1;
            assert!(heard(&told, at).abs_diff(heard(&truth, at)) <= 2, "{at}: {told:?} {truth:?}");
        }
    }
}
