//! Speech to text.

mod deepgram;
mod deepgram_wire;
mod flux;
mod flux_wire;
mod sarvam;
mod sarvam_wire;
mod suite;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use media::stt::{Command, Event, Session, Settings, Transcriber, Transcript};
use rehearsal::{
    events::EventLog,
    recordings::{Library, PROMPTS_FOLDER},
    speech::mulaw,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::stage::{PATIENCE, wait_for, words};

/// A vendor whose troubles a test chooses.
pub trait Stage {
    fn transcriber(&self) -> Box<dyn Transcriber>;
    fn settings(&self) -> Settings;
    /// What the vendor saw.
    fn log(&self) -> &EventLog;
    /// What happens to the next connections, in order.
    fn next(&self, troubles: Vec<Trouble>);
    /// What happens to every connection from now on.
    fn always(&self, trouble: Trouble);

    /// How often it was dialled so far, refusals included.
    fn dialled(&self) -> usize {
        self.log().matching(|event| ["open", "refused"].contains(&event.name)).len()
    }

    /// Returns when so many connections were ended in the way that the vendor asks for.
    async fn closed_in_good_order(&self, connections: usize) {
        wait_for(self.log(), connections, |event| {
            ["close", "closed"].contains(&event.name) && event.number("code") == Some(1000.0)
        })
        .await;
    }

    /// What the client did against the vendor's rules.
    fn violations(&self) -> Vec<String> {
        let violations = self.log().matching(|event| event.name == "violation");
        violations.iter().map(|event| format!("{:?}", event.fields)).collect()
    }
}

/// What every vendor understands.
static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| {
    Arc::new(Library::with_prompts(PROMPTS_FOLDER.as_ref()).expect("the prompts are there"))
});

/// The samples of a line, and its words.
fn recording(line: Line) -> (Vec<i16>, String) {
    let name = match line {
        Line::Short => "conf-full",
        Line::Long => "queue-periodic-announce",
    };
    let recording = LIBRARY.get(name).expect("it is in the list");
    (recording.samples.clone(), recording.text.clone())
}

/// What a vendor can be asked to do.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The key is not accepted.
    RefusedForGood,
    /// Too many streams.
    Busy,
    /// The socket breaks after so much audio.
    LostAfter(Duration),
    /// After so much audio nothing is answered any more.
    SilentAfter(Duration),
}

/// What is said.
#[derive(Debug, Clone, Copy)]
pub enum Line {
    /// A second or two.
    Short,
    /// More than the vendor settles in one piece.
    Long,
}

/// Somebody who speaks in real time, and what comes back.
pub struct Caller {
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    /// How much was said.
    pub said: Duration,
    next_at: Instant,
    /// The end of a turn counts as the final transcript of all of it.
    pub transcripts: Vec<Transcript>,
    decides_turns: bool,
    /// The words of a turn whose end was called likely and is neither taken back nor confirmed.
    likely: Option<String>,
    /// How often an end was called likely.
    pub likely_ends: usize,
    pub losses: usize,
    lost: bool,
    pub unavailable: bool,
}

impl Caller {
    #[expect(clippy::disallowed_methods, reason = "a test's own clock")]
    pub fn open(stage: &impl Stage) -> Self {
        let Session { commands, events, decides_turns } = stage.transcriber().open(stage.settings());
        Self {
            commands,
            events,
            said: Duration::ZERO,
            next_at: Instant::now(),
            transcripts: Vec::new(),
            decides_turns,
            likely: None,
            likely_ends: 0,
            losses: 0,
            lost: false,
            unavailable: false,
        }
    }

    /// Speaks at the pace of speech.
    pub async fn say(&mut self, samples: &[i16]) {
        for frame in samples.chunks(160) {
            self.next_at += Duration::from_millis(20);
            self.said += Duration::from_millis(20);
            self.command(Command::Audio(mulaw::encode_all(frame).into()));
            while let Ok(event) = timeout_at(self.next_at, self.events.recv()).await {
                self.take(event);
            }
        }
    }

    pub async fn pause(&mut self, ms: usize) {
        self.say(&vec![0; ms * 8]).await;
    }

    pub fn finalize(&mut self) {
        self.command(Command::Finalize);
    }

    fn command(&mut self, command: Command) {
        self.commands.try_send(command).expect("there is room, and somebody who takes it");
    }

    /// Keeps silent, audibly, until something has come.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = self.said;
        while !done(self) {
            assert!(self.said - begun < PATIENCE, "{what} did not come: {:?}", self.transcripts);
            self.pause(20).await;
        }
    }

    /// Takes what comes without a sound until something has come.
    pub async fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let until = self.next_at.max(now()) + PATIENCE;
        while !done(self) {
            let event = timeout_at(until, self.events.recv()).await;
            self.take(event.unwrap_or_else(|_| panic!("{what} did not come: {:?}", self.transcripts)));
        }
    }

    fn take(&mut self, event: Option<Event>) {
        assert!(!self.unavailable, "unavailable is the last: {event:?}");
        match event.expect("the events stay open as long as the session") {
            Event::Transcript(transcript) => {
                assert!(!(self.decides_turns && transcript.is_final), "{transcript:?} is no end of a turn");
                assert!(self.likely.is_none(), "{:?} stands until it is taken back", self.likely);
                self.settle(transcript);
            }
            Event::UtteranceEnd => assert!(!self.decides_turns),
            Event::EndOfTurn { text, end } => {
                assert!(self.decides_turns && !text.is_empty());
                assert!(
                    self.likely.take().is_none_or(|likely| likely == text),
                    "{text} was not what was likely"
                );
                self.settle(Transcript { text, is_final: true, utterance_over: true, end });
            }
            Event::LikelyEndOfTurn { text, end } => {
                assert!(self.decides_turns && !text.is_empty() && end <= self.said);
                assert_eq!(self.likely.replace(text), None);
                self.likely_ends += 1;
            }
            Event::TurnResumed => assert!(self.likely.take().is_some(), "nothing was likely"),
            Event::Lost { .. } => {
                assert!(!self.lost, "a line that is lost once more before it is whole is not told again");
                self.lost = true;
                self.losses += 1;
            }
            Event::CaughtUp => assert!(std::mem::take(&mut self.lost), "nothing was lost"),
            Event::Unavailable { .. } => self.unavailable = true,
        }
    }

    fn settle(&mut self, transcript: Transcript) {
        assert!(transcript.end <= self.said, "{transcript:?} lies in the future");
        self.transcripts.push(transcript);
    }

    pub fn finals(&self) -> impl Iterator<Item = &Transcript> {
        self.transcripts.iter().filter(|transcript| transcript.is_final)
    }

    /// All that was settled, as words.
    pub fn text(&self) -> String {
        words(&self.finals().map(|transcript| transcript.text.as_str()).collect::<Vec<_>>().join(" "))
    }

    /// An utterance with words is over.
    pub fn is_over(&self) -> bool {
        let said = self.finals().position(|transcript| !transcript.text.is_empty());
        said.is_some_and(|first| self.finals().skip(first).any(|transcript| transcript.utterance_over))
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock")]
pub fn now() -> Instant {
    Instant::now()
}
