//! Text to speech.

mod cartesia;
mod cartesia_wire;
mod sarvam;
mod sarvam_wire;
mod suite;

use std::time::Duration;

use media::tts::{Command, Event, Session, Settings, Synthesizer, Take, Word};
use mesh::Pii;
use rehearsal::events::EventLog;
use tokio::time::timeout;

use crate::stage::{PATIENCE, wait_for};

/// A vendor whose troubles a test chooses.
pub trait Stage {
    fn synthesizer(&self) -> Box<dyn Synthesizer>;
    fn settings(&self) -> Settings;
    /// What happens to the takes to come, in order.
    fn next(&self, troubles: Vec<Option<Trouble>>);
    /// What the vendor saw.
    fn log(&self) -> &EventLog;
    /// How many sockets were spoken on so far.
    fn opened(&self) -> usize;
    /// How many these should be once so many takes were cut short while another was said or was to be said.
    fn opened_after(&self, cut: usize) -> usize;
    /// Returns when so many takes were cancelled.
    async fn cancelled(&self, takes: usize);
    /// Returns when the sockets, so many of them spoken on, were closed because nothing happened on them; a fraction of a
    /// second after the last take.
    async fn closed_for_idleness(&self, sockets: usize);

    /// How many events of this name the vendor saw.
    fn count(&self, name: &str) -> usize {
        self.log().matching(|event| event.name == name).len()
    }

    /// Returns when so many sockets were closed for this reason.
    async fn closed(&self, sockets: usize, reason: &str) {
        wait_for(self.log(), sockets, |event| event.name == "closed" && event.text("reason") == Some(reason))
            .await;
    }

    /// Returns when so many sockets were closed by the client in good order.
    async fn closed_in_good_order(&self, sockets: usize) {
        self.closed(sockets, "closed by the client").await;
    }

    /// No further socket is accepted.
    fn refuse_all(&self) -> Settings {
        Settings { api_key: Pii::new("another".to_owned()), ..self.settings() }
    }
}

/// What a vendor can be asked to do with a take, after some of its audio.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The socket breaks.
    Lost,
    /// An error that names the take.
    Error,
    /// An error that does not say whose it is.
    NamelessError,
    /// Nothing more comes.
    Silent,
}

pub const ONE: Take = Take { epoch: 1, number: 0 };
pub const TWO: Take = Take { epoch: 2, number: 0 };

/// Somebody who wants things said, and what comes back.
pub struct Speaker {
    pub session: Session,
    pub events: Vec<Event>,
}

impl Speaker {
    pub fn open(stage: &impl Stage) -> Self {
        Self::with(stage, stage.settings())
    }

    pub fn with(stage: &impl Stage, settings: Settings) -> Self {
        Self { session: stage.synthesizer().open(settings), events: Vec::new() }
    }

    pub async fn command(&self, command: Command) {
        let taken = timeout(Duration::from_secs(1), self.session.commands.send(command)).await;
        taken.expect("commands are taken at once").expect("somebody takes them");
    }

    pub async fn speak(&self, take: Take, text: &str) {
        self.command(Command::Speak { take, text: text.into() }).await;
    }

    pub async fn finish(&self, take: Take) {
        self.command(Command::Finish { take }).await;
    }

    pub async fn cancel(&self, take: Take) {
        self.command(Command::Cancel { take }).await;
    }

    /// Says a whole take and hears it to its end.
    pub async fn say(&mut self, take: Take, text: &str) {
        self.speak(take, text).await;
        self.finish(take).await;
        self.until(|event| matches!(event, Event::Done { take: done } if *done == take)).await;
    }

    /// Takes events up to the first one that satisfies `last`.
    pub async fn until(&mut self, last: impl Fn(&Event) -> bool) {
        loop {
            let event = timeout(PATIENCE, self.session.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("it did not come: {}", self.summary()));
            self.events.push(event.expect("the events stay open as long as the session"));
            if self.events.last().is_some_and(&last) {
                return;
            }
        }
    }

    pub async fn until_lost(&mut self, take: Take) {
        self.until(|event| matches!(event, Event::Lost { take: lost, .. } if *lost == take)).await;
    }

    pub async fn until_audio(&mut self, take: Take) {
        self.until(|event| matches!(event, Event::Audio { take: of, .. } if *of == take)).await;
    }

    /// Bytes of audio of a take.
    pub fn audio(&self, take: Take) -> usize {
        let lengths = self.events.iter().map(|event| match event {
            Event::Audio { take: of, payload } if *of == take => payload.len(),
            _ => 0,
        });
        lengths.sum()
    }

    pub fn words(&self, take: Take) -> Vec<Word> {
        let words = self.events.iter().filter_map(|event| match event {
            Event::Words { take: of, words } if *of == take => Some(words.clone()),
            _ => None,
        });
        words.flatten().collect()
    }

    /// The take of each event, in order.
    pub fn takes(&self) -> Vec<Option<Take>> {
        self.events.iter().map(take_of).collect()
    }

    pub fn lost(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Lost { .. })).count()
    }

    fn summary(&self) -> String {
        self.events
            .iter()
            .map(|event| format!("{event:?}").chars().take(60).collect::<String>() + "\n")
            .collect()
    }
}

fn take_of(event: &Event) -> Option<Take> {
    match event {
        Event::Audio { take, .. }
        | Event::Words { take, .. }
        | Event::Done { take }
        | Event::Lost { take, .. } => Some(*take),
        Event::Unavailable { .. } => None,
    }
}
