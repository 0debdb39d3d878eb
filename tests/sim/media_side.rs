//! Media: the pipeline with its turn-taking and play-out, the edges of speech, and as much of a shell as they need.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use media::{
    audio::{Decoder, Format},
    pipeline::{self, AUDIO_GAP, Input, Output, Phrase, Pipeline, Purpose},
    tts,
    vad::{Edges, edges},
};
use proto::{
    from_wire,
    media::v1::{
        Clear, HangUp, Mark, StreamCallRequest, StreamCallResponse, StreamStarted, stream_call_request as up,
        stream_call_response as down,
    },
    to_wire,
    types::v1::{AudioFrame, CallEvent, EndReason, call_event},
};

use crate::{
    chance::Chance,
    dialogue_side::ToDialogue,
    hub::{Event, Hub, Line, tts_input},
    mutations::Mutation,
    plan::Vendor,
    sound::{self, SILENCE},
    vendors::{stt::Stt, tts::Tts},
    words::Owner,
};

const FRAME: Duration = Duration::from_millis(20);
/// What the detector reads at a time: 32 ms.
const CHUNK_BYTES: usize = 256;

/// The agent's lines, by their purpose and their number of words.
const LINES: [(Purpose, usize); 10] = [
    (Purpose::Greeting, 8),
    (Purpose::Apology, 7),
    (Purpose::Filler(0), 2),
    (Purpose::Filler(1), 5),
    (Purpose::Reprompt, 6),
    (Purpose::IdlePrompt(0), 4),
    (Purpose::IdlePrompt(1), 5),
    (Purpose::IdleGoodbye, 8),
    (Purpose::DurationWarning, 6),
    (Purpose::DurationGoodbye, 8),
];

/// Media's part of the call.
pub struct MediaSide {
    decoder: Decoder,
    core: Pipeline,
    edges: Edges,
    stt: Stt,
    tts: Tts,
    chance: Chance,
    wake: Option<Instant>,
    carrier_offset: Duration,
    audio_offset: Duration,
    /// Bytes of the chunk that the detector waits for, and how many of them are speech.
    chunk: (usize, usize),
    frames_out: i64,
    /// When the newest audio of the carrier was recorded.
    newest: Duration,
    tentative: Option<(i64, String)>,
    over: bool,
}

impl MediaSide {
    /// The stream is being opened.
    pub fn new(hub: &mut Hub) -> Self {
        let mut turn = hub.plan.turn();
        if hub.breaks(Mutation::WaitForEver) {
            turn.endpointing_delay_max = Duration::from_secs(600);
            turn.endpointing_delay_min = Duration::from_secs(600);
            turn.endpointing_delay_open = Duration::from_secs(600);
            turn.endpointing_delay_question = Duration::from_secs(600);
        }
        let config = pipeline::Config {
            format: Format::MULAW_8K,
            turn,
            idle_timeout: hub.plan.idle_timeout.filter(|_| !hub.breaks(Mutation::NoIdleTimeout)),
            duration_max: hub.plan.duration_max,
            dtmf_timeout: hub.plan.dtmf_timeout,
            dtmf_terminator: Some('#'),
            ..pipeline::Config::default()
        };
        let mut side = Self {
            decoder: Decoder::new(Format::MULAW_8K),
            core: Pipeline::new(config, 0, hub.instant()),
            edges: Edges::new(edges::Config::default()),
            stt: Stt::new(&hub.plan),
            tts: Tts::new(&hub.plan),
            chance: Chance::new(hub.plan.seed, 4),
            wake: None,
            carrier_offset: Duration::ZERO,
            audio_offset: Duration::ZERO,
            chunk: (0, 0),
            frames_out: 0,
            newest: Duration::ZERO,
            tentative: None,
            over: false,
        };
        side.fetch_lines(hub);
        if let Some((vendor, at)) = hub.plan.gone {
            let detail = "gone".to_owned();
            match vendor {
                Vendor::Stt => hub.at(at, Event::Media(Input::SttUnavailable(detail))),
                Vendor::Tts => hub.at(at, Event::Media(Input::TtsUnavailable(detail))),
                Vendor::Llm => {}
            }
        }
        let started = down::Event::Started(StreamStarted { resume: None });
        side.respond(0, started, hub);
        side
    }

    /// Gets the lines one after the other; mostly they are there from earlier calls.
    fn fetch_lines(&mut self, hub: &mut Hub) {
        let known = self.chance.happens(0.7);
        let mut at = hub.now;
        for (line, (purpose, count)) in LINES.into_iter().enumerate() {
            let owner = Owner::Line(line);
            match purpose {
                Purpose::Filler(_) => drop(hub.truth.fillers.insert(line)),
                Purpose::Apology | Purpose::IdleGoodbye | Purpose::DurationGoodbye => {
                    hub.truth.last_lines.insert(line);
                }
                _ => {}
            }
            at += if known { Duration::from_millis(1) } else { self.chance.ms(150, 700) };
            let text: Vec<String> = (0..count).map(|_| hub.truth.words.make(owner)).collect();
            let text = text.join(" ") + ".";
            if purpose == Purpose::Apology {
                hub.truth.apology.clone_from(&text);
            }
            let fails = if known { 0.0 } else { hub.plan.often(0.0, 0.01, 0.05) };
            if self.chance.happens(fails) {
                if purpose == Purpose::Greeting {
                    hub.at(at, Event::Media(Input::TtsUnavailable("no greeting".into())));
                }
                continue;
            }
            let (audio, words) = self.tts.speak(&text, hub);
            let phrase = Arc::new(Phrase { text, audio, words });
            hub.at(at, Event::Media(Input::Phrase(0, purpose, phrase)));
        }
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, hub: &mut Hub) {
        if self.over {
            return;
        }
        let input = match event {
            Event::ToMedia(request) => self.request(request, hub),
            Event::Reading { probability, end_ms } => {
                self.edges.handle(probability, end_ms).map(Input::Speech)
            }
            Event::Media(input) => self.told(input, hub),
            Event::Tts(event) => self.tts.event(event, hub).map(tts_input),
            Event::FromDialogue(input) => {
                if hub.breaks(Mutation::HangUpAtOnce)
                    && matches!(input, Input::ReplyDone { then: Some(_), .. })
                {
                    self.hang_up(EndReason::AgentHangup, hub);
                }
                Some(input)
            }
            Event::MediaWake(at) if self.wake == Some(at) => {
                self.wake = None;
                (!hub.breaks(Mutation::DeafToTime)).then_some(Input::Tick)
            }
            _ => None,
        };
        if let Some(input) = input {
            if !matches!(
                input,
                Input::Tick | Input::SpeechAudio { .. } | Input::MarkReached(_) | Input::SpeechWords { .. }
            ) {
                hub.log("media <", || match &input {
                    Input::Phrase(_, purpose, _) => format!("phrase {purpose:?}"),
                    input => format!("{input:?}"),
                });
            }
            self.core.handle(input, hub.instant());
            self.perform(hub);
        }
        self.sleep(hub);
    }

    fn sleep(&mut self, hub: &mut Hub) {
        let wake = self.core.wake_at().filter(|_| !self.over);
        if wake != self.wake {
            self.wake = wake;
            if let Some(at) = wake {
                hub.at(hub.since_start(at), Event::MediaWake(at));
            }
        }
    }

    /// A vendor tells the core something.
    fn told(&mut self, input: Input, hub: &mut Hub) -> Option<Input> {
        match &input {
            Input::Transcript(transcript) => {
                hub.truth.transcribed(&transcript.text, transcript.is_final, hub.now);
                if hub.breaks(Mutation::LoseWordsOverUs) && hub.truth.is_heard_now(hub.now) {
                    return None;
                }
            }
            Input::EndOfTurn { text, .. } => {
                hub.truth.transcribed(text, true, hub.now);
                if hub.breaks(Mutation::LoseWordsOverUs) && hub.truth.is_heard_now(hub.now) {
                    return None;
                }
            }
            Input::Phrase(_, Purpose::Filler(0), _) => {
                hub.truth.can_fill = true;
                if hub.breaks(Mutation::NoFillers) {
                    return None;
                }
            }
            Input::Phrase(_, Purpose::IdlePrompt(0), _) => hub.truth.can_ask = true,
            Input::TtsUnavailable(_) => hub.truth.voiceless = true,
            Input::SttLost(_) => {
                hub.counts.reconnects += 1;
                let now = hub.now;
                hub.truth.behind.get_or_insert(now);
            }
            Input::SttCaughtUp => hub.truth.behind = None,
            _ => {}
        }
        Some(input)
    }

    fn request(&mut self, request: StreamCallRequest, hub: &mut Hub) -> Option<Input> {
        match request.event? {
            up::Event::Audio(frame) => {
                self.caller_audio(frame, hub);
                None
            }
            up::Event::MarkReached(mark) if mark.cleared => Some(Input::MarkCleared(mark.name)),
            up::Event::MarkReached(mark) => Some(Input::MarkReached(mark.name)),
            up::Event::Dtmf(dtmf) => dtmf.digit.chars().next().map(Input::Key),
            up::Event::Stop(_) => {
                self.core.handle(Input::StreamStopped, hub.instant());
                self.perform(hub);
                self.over = true;
                hub.send(Line::MediaToDialogue, Event::ToDialogue(ToDialogue::Stop));
                None
            }
            up::Event::Start(_) | up::Event::ActionEnded(_) => None,
        }
    }

    fn caller_audio(&mut self, frame: AudioFrame, hub: &mut Hub) {
        let offset = frame.audio_offset.as_ref().map_or(self.carrier_offset, from_wire);
        self.newest = offset + FRAME;
        let gap = offset.saturating_sub(self.carrier_offset);
        if (FRAME..AUDIO_GAP).contains(&gap) {
            let missing = usize::try_from(gap.as_millis()).unwrap_or(0) * sound::CELL;
            self.hear(Bytes::from(vec![SILENCE; missing]), hub);
        }
        self.carrier_offset = offset + FRAME;
        self.hear(frame.payload, hub);
    }

    fn hear(&mut self, audio: Bytes, hub: &mut Hub) {
        self.audio_offset += Duration::from_micros(audio.len() as u64 * 125);
        let samples = self.decoder.decode(&audio);
        self.core.audio_arrived(samples, self.audio_offset, hub.instant());
        self.detect(&audio, hub);
        self.stt.audio(&audio, self.audio_offset, hub);
    }

    /// The speech detector: whatever is loud enough is speech to it, and so is some noise.
    fn detect(&mut self, audio: &[u8], hub: &mut Hub) {
        let loud = audio.first().is_some_and(|byte| sound::loudness(*byte) >= 1);
        let noisy = hub.plan.noise.is_some_and(|(from, length)| hub.now >= from && hub.now < from + length);
        for piece in audio.chunks(32) {
            self.chunk.0 += piece.len();
            self.chunk.1 += if loud || noisy { piece.len() } else { 0 };
            if self.chunk.0 == CHUNK_BYTES {
                let share = self.chunk.1 as f32 / CHUNK_BYTES as f32;
                let probability = 0.02 + 0.9 * share;
                let end_ms = self.audio_offset.as_millis() as u64 / 32 * 32;
                let delay = self.chance.ms(2, 15);
                hub.send_after(Line::Vad, delay, Event::Reading { probability, end_ms });
                self.chunk = (0, 0);
            }
        }
    }

    /// Does what the core wants, in its order.
    fn perform(&mut self, hub: &mut Hub) {
        let mut outputs: Vec<Output> = std::iter::from_fn(|| self.core.poll()).collect();
        if hub.breaks(Mutation::LateClear) {
            outputs.sort_by_key(|output| matches!(output, Output::Clear { .. }));
        }
        hub.truth.check_clear_first(&outputs, hub.now);
        for output in outputs {
            if !matches!(output, Output::Frame { .. } | Output::Mark { .. }) {
                hub.log("media >", || format!("{output:?}"));
            }
            self.output(output, hub);
        }
    }

    fn output(&mut self, output: Output, hub: &mut Hub) {
        match output {
            Output::Frame { epoch, payload } => {
                if hub.breaks(Mutation::BreakOffLastLine) && hub.truth.is_in_last_line(&payload) {
                    return self.hang_up(EndReason::Internal, hub);
                }
                let sequence = self.frames_out;
                self.frames_out += 1;
                let offset = FRAME * u32::try_from(sequence).unwrap_or(0);
                let frame = AudioFrame { sequence, audio_offset: Some(to_wire(offset)), payload };
                self.respond(epoch, down::Event::Audio(frame), hub);
            }
            Output::Mark { name, .. } if hub.breaks(Mutation::EarlyMarks) => {
                hub.after(Duration::from_millis(1), Event::Media(Input::MarkReached(name)));
            }
            Output::Mark { epoch, name } => self.respond(epoch, down::Event::Mark(Mark { name }), hub),
            Output::Clear { .. } if hub.breaks(Mutation::IgnoreClear) => {}
            Output::Clear { epoch } => {
                let lag = hub.now.saturating_sub(self.newest);
                hub.truth.clear_decided(epoch, hub.now, lag);
                self.respond(epoch, down::Event::Clear(Clear {}), hub);
            }
            Output::HangUp { reason } => self.hang_up(reason, hub),
            // The simulated model has no tool that asks for it.
            Output::Act { .. } | Output::ActionEnded { .. } => {}
            Output::Finalize => self.stt.finalize(hub),
            Output::Speak { take, text } => self.tts.command(tts::Command::Speak { take, text }, hub),
            Output::SpeakEnd { take } => self.tts.command(tts::Command::Finish { take }, hub),
            Output::SpeakCancel { take } => self.tts.command(tts::Command::Cancel { take }, hub),
            Output::Event { epoch, offset, event } => {
                count(&event, hub);
                let event = CallEvent { offset: Some(to_wire(offset)), event: Some(event) };
                self.respond(epoch, down::Event::CallEvent(event), hub);
            }
            output => self.converse(output, hub),
        }
    }

    fn converse(&mut self, output: Output, hub: &mut Hub) {
        use dialogue::conversation::Input as To;
        let to = match output {
            Output::UserTurn { epoch, text, tentative, .. } => {
                if tentative {
                    hub.counts.tentative += 1;
                    self.tentative = Some((epoch, text.clone()));
                } else {
                    hub.counts.turns += 1;
                    hub.truth.confirmed(epoch, &text);
                }
                let tentative = tentative && !hub.breaks(Mutation::TakeTentativeForCertain);
                To::UserTurn { epoch, text, language: String::new(), tentative }
            }
            Output::Confirm { epoch } => {
                hub.counts.turns += 1;
                hub.counts.tentative_kept += 1;
                if let Some((_, text)) = self.tentative.take_if(|(of, _)| *of == epoch) {
                    hub.truth.confirmed(epoch, &text);
                }
                To::Confirm { epoch }
            }
            Output::Heard { interrupted: true, .. } if hub.breaks(Mutation::SwallowHeard) => return,
            Output::Heard { epoch, text, interrupted } => To::Heard { epoch, text, interrupted },
            Output::CancelReply { epoch } => {
                hub.truth.cancelled(epoch, hub.now);
                if hub.breaks(Mutation::DropCancel) {
                    return;
                }
                To::Cancel { epoch }
            }
            _ => return,
        };
        hub.send(Line::MediaToDialogue, Event::ToDialogue(ToDialogue::Input(to)));
    }

    fn respond(&mut self, epoch: i64, event: down::Event, hub: &mut Hub) {
        let response = StreamCallResponse { call_id: "sim".into(), epoch, event: Some(event) };
        hub.send(Line::MediaToGateway, Event::FromMedia(response));
    }

    fn hang_up(&mut self, reason: EndReason, hub: &mut Hub) {
        self.respond(self.core.epoch(), down::Event::HangUp(HangUp { reason: reason.into() }), hub);
        hub.send(Line::MediaToDialogue, Event::ToDialogue(ToDialogue::Stop));
        self.over = true;
    }
}

fn count(event: &call_event::Event, hub: &mut Hub) {
    use call_event::Event::{BargeIn, FalseBargeIn, ReplyDiscarded, VendorFault};
    match event {
        BargeIn(_) => hub.counts.barge_ins += 1,
        FalseBargeIn(_) => hub.counts.false_barge_ins += 1,
        ReplyDiscarded(_) => hub.counts.tentative_dropped += 1,
        VendorFault(fault) => hub.counts.fault(&fault.vendor),
        _ => {}
    }
}
