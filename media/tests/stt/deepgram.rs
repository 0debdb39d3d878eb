//! The adapter of Deepgram Nova against its rehearsal.

use std::time::Duration;

use media::stt::{ByModel, Event, Settings, Transcriber};
use mesh::Pii;
use rehearsal::{
    deepgram::{Fault, Server, Settings as Vendor},
    events::EventLog,
    faults::Faults,
};

use tokio::time::timeout;

use super::{Caller, LIBRARY, Stage, Trouble, suite::suite};
use crate::stage::{PATIENCE, SERVERS, wait_for};

/// A rehearsal, and the model that is asked for.
pub struct Rehearsed {
    model: &'static str,
    pub server: Server,
    pub log: EventLog,
}

fn start() -> Rehearsed {
    with(|_| ())
}

fn with(change: impl FnOnce(&mut Vendor)) -> Rehearsed {
    rehearse("nova-3", change)
}

pub fn rehearse(model: &'static str, change: impl FnOnce(&mut Vendor)) -> Rehearsed {
    let log = EventLog::default();
    let mut settings = Vendor::new(LIBRARY.clone(), log.clone());
    change(&mut settings);
    let _servers = SERVERS.enter();
    Rehearsed { model, server: Server::start(settings).expect("a port is free"), log }
}

fn fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::RefusedForGood => Fault::RefuseUpgrade(401),
        Trouble::Busy => Fault::RefuseUpgrade(429),
        Trouble::LostAfter(after) => Fault::Reset { after },
        Trouble::SilentAfter(after) => Fault::Stall { after },
    }
}

impl Stage for Rehearsed {
    fn transcriber(&self) -> Box<dyn Transcriber> {
        Box::new(ByModel)
    }

    fn settings(&self) -> Settings {
        Settings {
            has_fallback: false,
            vendor: media::stt::Vendor::Deepgram,
            base_url: self.server.base_url().parse().expect("a URL"),
            api_key: Pii::new("key".to_owned()),
            model: self.model.into(),
            language: "en".into(),
            call_id: "call-1".into(),
            format: media::audio::Format::MULAW_8K,
        }
    }

    fn log(&self) -> &EventLog {
        &self.log
    }

    fn next(&self, troubles: Vec<Trouble>) {
        let next = troubles.into_iter().map(|trouble| Some(fault(trouble))).collect();
        self.server.set_faults(Faults { next, always: None });
    }

    fn always(&self, trouble: Trouble) {
        self.server.set_faults(Faults::always(fault(trouble)));
    }
}

suite!(start);

#[tokio::test]
async fn a_quiet_call_is_kept_open() {
    let stage = with(|vendor| vendor.idle_timeout = Duration::from_secs(5));
    let mut caller = Caller::open(&stage);
    caller.pause(100).await;
    tokio::time::sleep(Duration::from_millis(9500)).await;
    assert!(stage.log.matching(|event| event.name == "close").is_empty());
    assert_eq!(stage.dialled(), 1);
    assert_eq!(stage.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_request_closes_no_door_to_other_calls_and_a_refused_key_does() {
    const CALLS_TO_OPEN: usize = 3;
    for (status, dialled) in [(400, CALLS_TO_OPEN + 1), (404, CALLS_TO_OPEN + 1), (401, CALLS_TO_OPEN)] {
        let stage = start();
        stage.server.set_faults(Faults::always(Fault::RefuseUpgrade(status)));
        for call in 0..=CALLS_TO_OPEN {
            let settings = Settings { call_id: format!("CA-{call}"), ..stage.settings() };
            let mut session = stage.transcriber().open(settings);
            let unavailable =
                async { while !matches!(session.events.recv().await, Some(Event::Unavailable { .. })) {} };
            timeout(PATIENCE, unavailable).await.expect("it is told");
        }
        assert_eq!(stage.dialled(), dialled, "{status}");
    }
}

#[tokio::test]
async fn every_final_refusal_is_final_and_every_passing_one_passes() {
    for status in [400, 401, 402, 403, 404] {
        let stage = start();
        stage.server.set_faults(Faults::always(Fault::RefuseUpgrade(status)));
        let mut caller = Caller::open(&stage);
        caller.wait("unavailable", |caller| caller.unavailable).await;
        assert_eq!(stage.dialled(), 1, "{status}");
    }
    for status in [429, 500, 502, 503] {
        let stage = start();
        stage.server.set_faults(Faults::once(Fault::RefuseUpgrade(status)));
        let caller = Caller::open(&stage);
        wait_for(&stage.log, 1, |event| event.name == "open").await;
        assert!(!caller.unavailable, "{status}");
    }
}
