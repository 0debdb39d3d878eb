//! A whole platform on rehearsed vendors that live in this process, so that their logs and faults are in reach.

use std::{path::Path, time::Duration};

use proto::types::v1::{EndReason, VendorFault, call_event::Event};
use rehearsal::{
    heard::{self, Heard},
    twilio::{Ended, Outcome, Recording, Report},
};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::sync::watch;
use trunkline::{
    Config,
    config::Sources,
    layout::{self, Events, Layout},
    rehearse::{self, Rehearsal},
};

use crate::caller::CALL_TIMEOUT;

/// Twilio's side of the tests shares this with the gateway.
pub const AUTH_TOKEN: &str = "an-auth-token-of-the-tests";
/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_trunkline");
/// How long after the carrier's end the last event of a call may take.
const LAST_EVENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the roles run.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// All in this process.
    Together,
    /// Each in a process of its own.
    Split,
}

/// The platform.
pub struct Sandbox {
    pub layout: Layout,
    pub rehearsal: Rehearsal,
    events: watch::Receiver<Vec<(String, Event)>>,
    _data: TempDir,
}

/// A call that is over.
pub struct Finished {
    pub report: Report,
    pub recording: Recording,
    /// What the platform told of it, in order.
    pub events: Vec<Event>,
    /// What the caller heard of the agent, in order.
    pub heard: Vec<Heard>,
}

impl Sandbox {
    /// Starts everything, and waits until the agent knows its documents.
    pub async fn start(shape: Shape) -> Self {
        Self::start_with(shape, |_| {}).await
    }

    /// The same, with another configuration.
    pub async fn start_with(shape: Shape, change: impl FnOnce(&mut Config)) -> Self {
        let (mut config, rehearsal, data) = prepared();
        change(&mut config);
        Self::on(config, rehearsal, data, shape).await
    }

    /// The same, with the demo's agent changed by this JSON merge patch of its stored document.
    pub async fn with_agent(
        shape: Shape,
        patch: serde_json::Value,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let (mut config, rehearsal, data) = prepared();
        change(&mut config);
        let seeding =
            layout::together(config.clone()).await.unwrap_or_else(|exit| panic!("{}", exit.message));
        seeding.stop().await;
        change_agent(&config.data_dir, &patch).await;
        Self::on(config, rehearsal, data, shape).await
    }

    async fn on(config: Config, rehearsal: Rehearsal, data: TempDir, shape: Shape) -> Self {
        let layout = match shape {
            Shape::Together => layout::together(config).await,
            Shape::Split => layout::split(config, Path::new(BINARY)).await,
        };
        let layout = layout.unwrap_or_else(|exit| panic!("{shape:?}: {}", exit.message));
        layout.documents_ready().await.unwrap_or_else(|exit| panic!("{}", exit.message));
        let stream = layout.watch().await.unwrap_or_else(|exit| panic!("{}", exit.message));
        Self { layout, rehearsal, events: collect(stream), _data: data }
    }

    /// Waits until this is told of any call.
    pub async fn until_told(&self, wanted: impl Fn(&Event) -> bool) {
        let mut events = self.events.clone();
        let told = events.wait_for(|events| events.iter().any(|(_, event)| wanted(event)));
        let told = tokio::time::timeout(CALL_TIMEOUT, told).await;
        assert!(matches!(told, Ok(Ok(_))), "it was not told; events: {:?}", *self.events.borrow());
    }

    /// The id of the call that was told of last.
    pub fn newest_call(&self) -> String {
        self.events.borrow().last().map(|(id, _)| id.clone()).expect("a call was told of")
    }

    /// What the platform told of a call, once its end is among it.
    pub async fn events_of(&self, call_id: &str) -> Vec<Event> {
        let of = |events: &[(String, Event)]| -> Vec<Event> {
            events.iter().filter(|(id, _)| id == call_id).map(|(_, event)| event.clone()).collect()
        };
        let is_over = |events: &Vec<(String, Event)>| {
            of(events).iter().any(|event| matches!(event, Event::CallEnded(_)))
        };
        let mut events = self.events.clone();
        let over = tokio::time::timeout(LAST_EVENT_TIMEOUT, events.wait_for(is_over)).await;
        let events = self.events.borrow().clone();
        assert!(matches!(over, Ok(Ok(_))), "the call's end was not told; events: {events:?}");
        of(&events)
    }

    /// Waits for what is told of a call that is over at the carrier, and lays the sound out in words.
    pub async fn conclude(&self, outcome: Outcome) -> Finished {
        let Outcome { report, recording } = outcome;
        let call_id = report.parameter("call_id").expect("the TwiML names the call").to_owned();
        let events = self.events_of(&call_id).await;
        let heard = heard::listen(&self.rehearsal.log, &recording.heard()).await;
        let heard = heard.expect("espeak-ng speaks");
        Finished { report, recording, events, heard }
    }
}

/// A configuration with rehearsed vendors, and a folder for the stores.
fn prepared() -> (Config, Rehearsal, TempDir) {
    let mut config = Config::load(&Sources::default()).expect("the defaults are allowed");
    let data = tempfile::tempdir().expect("a folder for the stores");
    let rehearsal = rehearse::start(&mut config).expect("the rehearsals start");
    layout::prepare(&mut config, data.path(), AUTH_TOKEN);
    config.log_filter = "warn".into();
    (config, rehearsal, data)
}

/// Changes what is published, which only a test may.
async fn change_agent(data_dir: &Path, patch: &serde_json::Value) {
    let options = SqliteConnectOptions::new().filename(data_dir.join("tenancy.db"));
    let mut store = options.connect().await.expect("the store opens");
    for statement in [
        "DROP TRIGGER agent_versions_are_immutable",
        "UPDATE agent_versions SET document = json_patch(document, ?) WHERE tenant = 'demo'",
    ] {
        sqlx::query(statement).bind(patch.to_string()).execute(&mut store).await.expect("it is changed");
    }
    store.close().await.expect("it closes");
}

fn collect(mut stream: Events) -> watch::Receiver<Vec<(String, Event)>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Ok(Some(response)) = stream.message().await {
            let Some(event) = response.event.and_then(|event| event.event) else { continue };
            sender.send_modify(|events| events.push((response.call_id, event)));
        }
    });
    receiver
}

impl Finished {
    /// The words of the conversation that the caller heard, in order: without fillers.
    pub fn words(&self) -> String {
        let said = self.heard.iter().filter(|piece| !piece.is_filler());
        let words: Vec<_> = said.map(Heard::words).filter(|words| !words.is_empty()).collect();
        words.join(" ")
    }

    /// Both sides' words as the platform tells them, a line an utterance.
    pub fn transcript(&self) -> Vec<String> {
        let line = |event: &Event| match event {
            Event::CallerTurn(turn) => Some(format!("caller: {}", turn.text)),
            Event::AgentTurn(turn) => {
                let cut = if turn.interrupted { " [interrupted]" } else { "" };
                Some(format!("agent: {}{cut}", turn.heard_text))
            }
            _ => None,
        };
        self.events.iter().filter_map(line).collect()
    }

    /// The faults that the platform told of.
    pub fn faults(&self) -> Vec<&VendorFault> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::VendorFault(fault) => Some(fault),
                _ => None,
            })
            .collect()
    }

    /// Fails unless the platform ended the call, told so once with this reason, and broke no rule of the carrier's.
    pub fn assert_ended_by_us(&self, reason: EndReason) {
        assert_eq!(self.report.ended, Ended::ServerHungUp, "{:#?}", self.transcript());
        self.assert_reason(reason);
    }

    /// Fails unless the end was told once with this reason, and no rule of the carrier's was broken.
    pub fn assert_reason(&self, reason: EndReason) {
        let reasons: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| match event {
                Event::CallEnded(ended) => Some(ended.reason()),
                _ => None,
            })
            .collect();
        assert_eq!(reasons, [reason], "{:#?}", self.transcript());
        let warnings: Vec<_> = self.report.warnings.iter().filter(|warning| warning.code != 31921).collect();
        assert!(warnings.is_empty(), "the carrier warned: {warnings:?}");
        assert_eq!(self.report.invalid_messages(), 0);
    }
}
