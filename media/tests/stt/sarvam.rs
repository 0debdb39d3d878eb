//! Sarvam's adapter against its rehearsal.

use std::time::Duration;

use media::stt::{ByModel, Settings, Transcriber, Vendor};
use mesh::Pii;
use rehearsal::{
    events::EventLog,
    faults::Faults,
    sarvam::{ListenFault, Refusal, Server, Settings as Rehearsal},
};

use super::{Caller, LIBRARY, Line, Stage, Trouble, recording, suite::suite};
use crate::stage::{SERVERS, words};

struct Rehearsed {
    server: Server,
    log: EventLog,
}

fn start() -> Rehearsed {
    with(|_| ())
}

fn with(change: impl FnOnce(&mut Rehearsal)) -> Rehearsed {
    let log = EventLog::default();
    let mut settings = Rehearsal { log: log.clone(), recordings: LIBRARY.clone(), ..Rehearsal::default() };
    change(&mut settings);
    let _servers = SERVERS.enter();
    Rehearsed { server: Server::start(settings).expect("a port is free"), log }
}

fn fault(trouble: Trouble) -> ListenFault {
    match trouble {
        Trouble::RefusedForGood => ListenFault::Refuse(Refusal::BadKey),
        Trouble::Busy => ListenFault::Refuse(Refusal::RateLimited),
        Trouble::LostAfter(after) => ListenFault::Reset { after },
        Trouble::SilentAfter(after) => ListenFault::Stall { after },
    }
}

impl Stage for Rehearsed {
    fn transcriber(&self) -> Box<dyn Transcriber> {
        Box::new(ByModel)
    }

    fn settings(&self) -> Settings {
        Settings {
            has_fallback: false,
            vendor: Vendor::Sarvam,
            base_url: self.server.base_url().parse().expect("a URL"),
            api_key: Pii::new("key".to_owned()),
            model: String::new(),
            language: "en-IN".into(),
            call_id: "call-1".into(),
            format: media::audio::Format::MULAW_8K,
        }
    }

    fn log(&self) -> &EventLog {
        &self.log
    }

    fn next(&self, troubles: Vec<Trouble>) {
        let next = troubles.into_iter().map(|trouble| Some(fault(trouble))).collect();
        self.server.set_listen_faults(Faults { next, always: None });
    }

    fn always(&self, trouble: Trouble) {
        self.server.set_listen_faults(Faults::always(fault(trouble)));
    }
}

suite!(start);

#[tokio::test]
async fn a_finalize_of_silence_is_answered() {
    let stage = start();
    let mut caller = Caller::open(&stage);
    caller.pause(2500).await;
    caller.finalize();
    caller.wait("the answer", |caller| caller.finals().count() > 0).await;
    let answer = caller.finals().next().expect("it came");
    assert_eq!((answer.text.as_str(), answer.utterance_over), ("", true));
    assert_eq!((caller.losses, stage.violations()), (0, Vec::<String>::new()));
}

#[tokio::test]
async fn a_vendor_that_dies_in_silence_is_missed_before_it_is_needed() {
    let stage = start();
    stage.next(vec![Trouble::SilentAfter(Duration::from_millis(500))]);
    let mut caller = Caller::open(&stage);
    caller.until("another socket", |_| stage.dialled() == 2).await;
    let (speech, text) = recording(Line::Short);
    caller.say(&speech).await;
    caller.until("the end of the utterance", Caller::is_over).await;
    assert_eq!(caller.text(), words(&text));
    assert_eq!(stage.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn speech_without_a_final_transcript_is_heard_again() {
    let stage = start();
    stage.server.set_listen_faults(Faults::once(ListenFault::NoFinal));
    let (speech, text) = recording(Line::Short);
    let mut caller = Caller::open(&stage);
    caller.say(&speech).await;
    caller.until("the end of the utterance", Caller::is_over).await;
    assert_eq!((caller.text(), caller.losses), (words(&text), 1));
}

#[tokio::test]
async fn every_final_refusal_is_final_and_every_passing_one_passes() {
    let close = |code, reason| ListenFault::Close { after: Duration::ZERO, code, reason };
    let long = "The account has no access to this model: ask for it, and wait until it is granted. There is a form \
        for it, which is long, and so is this reason.";
    for fault in [
        ListenFault::Refuse(Refusal::BadKey),
        ListenFault::Refuse(Refusal::QuotaExhausted),
        close(1003, "Invalid API key"),
        close(4000, long),
    ] {
        let stage = start();
        stage.server.set_listen_faults(Faults::always(fault.clone()));
        let mut caller = Caller::open(&stage);
        caller.until("unavailable", |caller| caller.unavailable).await;
        assert_eq!(stage.dialled(), 1, "{fault:?}");
    }
    for fault in [
        ListenFault::Refuse(Refusal::RateLimited),
        ListenFault::Refuse(Refusal::Overloaded),
        close(1011, "internal"),
        close(1013, "try again"),
        ListenFault::NoBegin,
    ] {
        let stage = start();
        stage.server.set_listen_faults(Faults::once(fault.clone()));
        let (speech, text) = recording(Line::Short);
        let mut caller = Caller::open(&stage);
        caller.say(&speech).await;
        caller.until("the end of the utterance", Caller::is_over).await;
        assert_eq!((caller.text(), stage.dialled()), (words(&text), 2), "{fault:?}");
    }
}

#[tokio::test]
async fn a_language_that_the_vendor_does_not_know_is_a_final_refusal() {
    let stage = start();
    let settings = Settings { language: "fr-FR".into(), ..stage.settings() };
    let mut session = stage.transcriber().open(settings);
    let told = tokio::time::timeout(Duration::from_secs(3), session.events.recv()).await.expect("soon");
    assert!(matches!(told, Some(media::stt::Event::Unavailable { detail, .. }) if detail.contains("fr-IN")));
}
