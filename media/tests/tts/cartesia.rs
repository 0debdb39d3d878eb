//! Cartesia's adapter against its rehearsal.

use std::{sync::LazyLock, time::Duration};

use media::tts::{Event, Settings, Synthesizer, Vendor, cartesia::Cartesia};
use mesh::Pii;
use rehearsal::{
    cartesia::{Fault, Server, Settings as Rehearsal},
    events::EventLog,
    faults::Faults,
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

impl Stage for Rehearsed {
    fn synthesizer(&self) -> Box<dyn Synthesizer> {
        Box::new(Cartesia)
    }

    fn settings(&self) -> Settings {
        Settings {
            has_fallback: false,
            vendor: Vendor::Cartesia,
            base_url: self.0.base_url().parse().expect("a URL"),
            api_key: Pii::new("key".to_owned()),
            voice_id: "voice".into(),
            model: "sonic-3.5".into(),
            language: "en-IN".into(),
            call_id: "call-1".into(),
            format: media::audio::Format::MULAW_8K,
        }
    }

    fn next(&self, troubles: Vec<Option<Trouble>>) {
        let fault = |trouble| match trouble {
            Trouble::Lost => Fault::Reset { after_chunks: 2 },
            Trouble::Error => Fault::Error { after_chunks: 1 },
            Trouble::NamelessError => Fault::ErrorWithoutContext { after_chunks: 1 },
            Trouble::Silent => Fault::Stall { after_chunks: 1, time: Duration::from_secs(60) },
        };
        let next = troubles.into_iter().map(|trouble| trouble.map(fault)).collect();
        self.0.set_faults(Faults { next, always: None });
    }

    fn log(&self) -> &EventLog {
        self.0.log()
    }

    fn opened(&self) -> usize {
        self.count("open")
    }

    fn opened_after(&self, _cut: usize) -> usize {
        1
    }

    async fn cancelled(&self, takes: usize) {
        wait_for(self.log(), takes, |event| event.name == "cancel").await;
    }

    async fn closed_for_idleness(&self, sockets: usize) {
        self.closed(sockets, "idle").await;
    }
}

suite!(start);

#[tokio::test]
async fn a_context_that_expires_while_the_model_thinks_is_done() {
    let stage = start();
    let mut speaker = Speaker::open(&stage);
    speaker.speak(ONE, "One moment, please. ").await;
    speaker.until(|event| matches!(event, Event::Done { take: ONE })).await;
    speaker.say(TWO, "Here it is.").await;
    assert_eq!((speaker.lost(), stage.opened()), (0, 1));
}

#[tokio::test]
async fn beyond_the_concurrency_a_take_is_lost_and_the_others_go_on() {
    let stage = with(|vendor| vendor.concurrency = 1);
    let mut speaker = Speaker::open(&stage);
    speaker.speak(ONE, "Hello there, this is the first. ").await;
    speaker.until_audio(ONE).await;
    speaker.speak(TWO, "Second.").await;
    speaker.until_lost(TWO).await;
    let refused =
        |event: &Event| matches!(event, Event::Lost { detail, .. } if detail.contains("concurrency_limited"));
    assert!(speaker.events.iter().any(refused));
    speaker.finish(ONE).await;
    speaker.until(|event| matches!(event, Event::Done { take: ONE })).await;
    assert_eq!(stage.opened(), 1);
}

#[tokio::test]
async fn closes_of_every_kind_lose_the_take_alone() {
    for fault in [
        Fault::Close { after_chunks: 0, code: 1011 },
        Fault::Close { after_chunks: 1, code: 1001 },
        Fault::Cut { after_chunks: 1 },
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
async fn the_vendors_tags_are_not_spoken() {
    let stage = start();
    let mut speaker = Speaker::open(&stage);
    speaker.say(ONE, "Is <b>it</b> over < 5 > 3?").await;
    let text: Vec<String> = speaker.words(ONE).into_iter().map(|word| word.text).collect();
    assert_eq!(crate::stage::words(&text.join(" ")), "is b it b over 5 3", "every letter is accounted for");
}
