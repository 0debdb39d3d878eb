//! Virtual time: one queue of what happens next, and what all parts of a call share.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::Write as _,
    time::{Duration, Instant},
};

use media::{pipeline, tts};
use proto::media::v1::{StreamCallRequest, StreamCallResponse};
use telephony_gw::wire;

use crate::{
    chance::Chance,
    dialogue_side::{FromDialogue, ToDialogue},
    mutations::Mutation,
    plan::Plan,
    report::Counts,
    truth::Truth,
    vendors::{llm::LlmEvent, tts::TtsEvent},
};

/// Something that happens to a part of the call.
pub enum Event {
    /// 20 ms have passed at the carrier.
    Frame,
    /// The gateway says this to the carrier.
    ToCarrier(wire::Command),
    /// The gateway closes the socket.
    CarrierClosed,
    /// The carrier says this to the gateway.
    FromCarrier(FromCarrier),
    /// The gateway asked to be woken.
    GatewayWake(Instant),
    /// The gateway says this to media.
    ToMedia(StreamCallRequest),
    /// Media says this to the gateway.
    FromMedia(StreamCallResponse),
    /// Media asked to be woken.
    MediaWake(Instant),
    /// Media's core is told this by a vendor.
    Media(pipeline::Input),
    /// The speech detector has read a chunk.
    Reading { probability: f32, end_ms: u64 },
    /// The synthesizer has something for media.
    Tts(TtsEvent),
    /// Media says this to dialogue.
    ToDialogue(ToDialogue),
    /// Dialogue says this to media.
    FromDialogue(FromDialogue),
    /// The language model has written.
    Llm(LlmEvent),
    /// A tool has a result.
    ToolDone(dialogue::conversation::Generation, usize, dialogue::conversation::ToolResult),
}

/// What the carrier says.
pub enum FromCarrier {
    /// 20 ms of the caller's audio, the number of the frame, and the audio.
    Media(u64, bytes::Bytes),
    /// A mark came back.
    Mark(String),
    /// A key.
    Key(char),
    /// The caller hung up.
    Stop,
}

struct Due {
    at: Duration,
    number: u64,
    /// Boxed: the queue moves it about.
    event: Box<Event>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Two parts and a line between them that keeps the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// The caller's audio, marks and keys.
    CarrierToGateway,
    /// The agent's audio, marks and clears.
    GatewayToCarrier,
    /// `StreamCall`, up.
    GatewayToMedia,
    /// `StreamCall`, down.
    MediaToGateway,
    /// `Converse`, up.
    MediaToDialogue,
    /// `Converse`, down.
    DialogueToMedia,
    /// Detector to media.
    Vad,
    /// Transcriber to media.
    Stt,
}

/// What all parts share.
pub struct Hub {
    /// The origin of virtual time.
    origin: Instant,
    /// Since the call was answered.
    pub now: Duration,
    queue: BinaryHeap<Reverse<Due>>,
    number: u64,
    lines: BTreeMap<Line, Duration>,
    chance: Chance,
    /// What the call is like.
    pub plan: Plan,
    /// The rule that is broken.
    pub mutation: Option<Mutation>,
    /// What really happened.
    pub truth: Truth,
    /// What happened how often.
    pub counts: Counts,
    log: Option<String>,
}

impl Hub {
    /// Nothing has happened.
    pub fn new(plan: Plan, mutation: Option<Mutation>, logs: bool, origin: Instant) -> Self {
        Self {
            origin,
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            number: 0,
            lines: BTreeMap::new(),
            chance: Chance::new(plan.seed, 1),
            plan,
            mutation,
            truth: Truth::default(),
            counts: Counts::default(),
            log: logs.then(String::new),
        }
    }

    /// The present for a core.
    pub fn instant(&self) -> Instant {
        self.origin + self.now
    }

    /// An instant of a core's on the call's clock.
    pub fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.origin)
    }

    /// Lets this happen at a time.
    pub fn at(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.queue.push(Reverse(Due { at: at.max(self.now), number: self.number, event: Box::new(event) }));
    }

    /// Lets this happen after a while.
    pub fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Sends this down a line: it arrives after a while, and in order.
    pub fn send(&mut self, line: Line, event: Event) {
        let delay = self.delay(line);
        self.send_after(line, delay, event);
    }

    /// The same, with a delay of the sender's choice.
    pub fn send_after(&mut self, line: Line, delay: Duration, event: Event) {
        let last = self.lines.entry(line).or_default();
        *last = (self.now + delay).max(*last);
        let at = *last;
        self.at(at, event);
    }

    fn delay(&mut self, line: Line) -> Duration {
        let stalls = self.plan.often(0.0, 0.0002, 0.001);
        let chance = &mut self.chance;
        match line {
            Line::CarrierToGateway if chance.happens(stalls) => chance.ms(60, 400),
            Line::CarrierToGateway | Line::GatewayToCarrier => chance.ms(15, 45),
            _ => Duration::from_micros(chance.number(50, 3_000)),
        }
    }

    /// The next thing that happens; time moves on to it.
    pub fn next(&mut self) -> Option<Event> {
        let Reverse(due) = self.queue.pop()?;
        self.now = due.at;
        Some(*due.event)
    }

    /// True if this rule is broken.
    pub fn breaks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Writes a line of the call's log, if it is kept.
    pub fn log(&mut self, who: &str, what: impl FnOnce() -> String) {
        let now = self.now.as_micros();
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{:>4}.{:06}  {who:<8} {}", now / 1_000_000, now % 1_000_000, what());
        }
    }

    /// The call's log.
    pub fn into_log(self) -> (Counts, Truth, String) {
        (self.counts, self.truth, self.log.unwrap_or_default())
    }
}

/// What a vendor tells media's core.
pub fn tts_input(event: tts::Event) -> pipeline::Input {
    use pipeline::Input;
    match event {
        tts::Event::Audio { take, payload } => Input::SpeechAudio { take, payload },
        tts::Event::Words { take, words } => Input::SpeechWords { take, words },
        tts::Event::Done { take } => Input::SpeechDone { take },
        tts::Event::Lost { take, detail } => Input::SpeechLost { take, detail },
        tts::Event::Unavailable { detail } => Input::TtsUnavailable(detail),
    }
}
