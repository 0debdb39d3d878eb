//! SHELL: one per media stream; owns its sockets, its tasks and its time, and drives the core.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use mesh::{Drain, Pii, clock, drain::InFlight};
use proto::{
    dialogue::v1::{self as dialogue, converse_request, converse_response},
    from_wire,
    media::v1::{
        Clear, HangUp, Mark, StreamCallRequest, StreamCallResponse, StreamStarted, stream_call_request,
        stream_call_response as out,
    },
    tenancy::v1::{self as tenancy, Agent},
    to_wire,
    types::v1::{ActionEnded, AudioFrame, CallContext, CallEvent, EndReason},
};
use tokio::{
    sync::mpsc,
    time::{sleep_until, timeout},
};
use tonic::{Status, Streaming};

use crate::{
    Inner,
    audio::{Decoder, Format},
    conversation::Conversation,
    listening::{self, Listening},
    meter::Meter,
    pipeline::{self, AUDIO_GAP, Input, Output, Phrase, Pipeline, Purpose, Then},
    stt, tts, turn, vad,
    vad::{Edge, Edges, VadStream},
    voices::Voices,
};

/// How long the gateway may take nothing while a message waits.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the goodbye at the node's maximum duration may take before the stream is ended without it.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// Far enough away to mean never.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// How long after a key the next one may take, where the agent does not say.
const DTMF_TIMEOUT: Duration = Duration::from_secs(3);
const FRAME: Duration = Duration::from_millis(20);
/// Audio goes to the transcriber in pieces of this, as each wakes a task and a socket; at once where its words are waited for.
const STT_PIECE: Duration = Duration::from_millis(60);

/// One of an agent's languages with the vendors that it is listened to and spoken with, and the tenant's keys with them.
pub struct Speaker {
    /// With nothing left out.
    pub language: tenancy::Language,
    /// Who listens.
    pub stt: stt::Vendor,
    /// Its key.
    pub stt_key: Pii<String>,
    /// Who speaks.
    pub tts: tts::Vendor,
    /// Its key.
    pub tts_key: Pii<String>,
    /// Who listens where that one cannot be had.
    pub stt_fallback: Option<SttFallback>,
    /// Who speaks where that one cannot be had.
    pub tts_fallback: Option<TtsFallback>,
}

/// Who listens in another's place.
pub struct SttFallback {
    /// Who.
    pub vendor: stt::Vendor,
    /// Its key.
    pub key: Pii<String>,
    /// Its model; empty: the node's, or its usual one.
    pub model: String,
}

/// Who speaks in another's place.
pub struct TtsFallback {
    /// Who.
    pub vendor: tts::Vendor,
    /// Its key.
    pub key: Pii<String>,
    /// Its voice.
    pub voice_id: String,
    /// Its model.
    pub model: String,
}

/// One media stream of a call.
pub struct Session {
    call_id: String,
    format: Format,
    decoder: Decoder,
    core: Pipeline,
    /// BCP 47, in the agent's order.
    languages: Vec<String>,
    listening: Listening,
    voices: Voices,
    vad: VadStream,
    conversation: Conversation,
    phrases: mpsc::Receiver<PhraseResult>,
    responses: mpsc::Sender<Result<StreamCallResponse, Status>>,
    drain: Drain,
    _in_flight: InFlight,
    duration_max: Duration,
    /// Up to where the carrier's audio has come, on the carrier's clock.
    carrier_offset: Duration,
    /// How much audio was heard, on the clock of the detector and the transcriber.
    audio_offset: Duration,
    /// The caller's audio that waits for more before it goes to the transcriber.
    stt_pending: BytesMut,
    /// Bytes of the caller's audio that the transcriber's queue had no room for.
    stt_missed: usize,
    frames_out: i64,
    meter: Meter,
    ended: Option<EndReason>,
}

impl Session {
    /// Opens the vendors' sockets and the conversation.
    pub(crate) fn open(
        media: &Arc<Inner>,
        (call, format): (CallContext, Format),
        agent: &Agent,
        speakers: Vec<Speaker>,
        epoch: i64,
        responses: mpsc::Sender<Result<StreamCallResponse, Status>>,
    ) -> Result<Self, vad::Error> {
        let vad = media.vad.open(Edges::new(media.config.vad.edges))?;
        let voices: Vec<_> = speakers.iter().map(|speaker| speaker.voice(media, &call, format)).collect();
        let mut heard: Vec<_> =
            speakers.iter().map(|speaker| speaker.listening(media, &call, format)).collect();
        listening::hear_together(&mut heard);
        let heard_instead: Vec<_> = speakers
            .iter()
            .zip(&heard)
            .map(|(speaker, heard)| Some(speaker.stt_fallback.as_ref()?.listening(media, heard)))
            .collect();
        let voices_instead: Vec<_> = speakers
            .iter()
            .zip(&voices)
            .map(|(speaker, voice)| Some(speaker.tts_fallback.as_ref()?.voice(media, voice)))
            .collect();
        let languages = speakers.iter().enumerate().map(|(at, speaker)| pipeline::Language {
            tag: speaker.language.language.clone(),
            stt_vendor: heard[at].vendor,
            transcriber_decides: heard[at].decide_turns(),
            tts_vendor: voices[at].vendor,
            stt_fallback: heard_instead[at].as_ref().map(|instead| (instead.vendor, instead.decide_turns())),
            tts_fallback: voices_instead[at].as_ref().map(|instead| instead.vendor),
        });
        let core = core_config(agent, format, languages.collect(), media.config.call_duration_max);
        let greeting = Some(agent.greeting.clone()).filter(|_| epoch == 0);
        let phrases = fetch_phrases(media, &voices, &voices_instead, lines(greeting, &speakers));
        let conversation = Conversation::open(media.dialogue.clone());
        let mut session = Self {
            call_id: call.call_id.clone(),
            format,
            decoder: Decoder::new(format),
            core: Pipeline::new(core, epoch, clock::now()),
            languages: speakers.into_iter().map(|speaker| speaker.language.language).collect(),
            listening: Listening::open(media.stt.clone(), heard, heard_instead),
            voices: Voices::open(media.tts.clone(), voices, voices_instead),
            vad,
            conversation,
            phrases,
            responses,
            drain: media.drain.clone(),
            _in_flight: media.drain.in_flight(),
            duration_max: media.config.call_duration_max,
            carrier_offset: Duration::ZERO,
            audio_offset: Duration::ZERO,
            stt_pending: BytesMut::new(),
            stt_missed: 0,
            frames_out: 0,
            meter: Meter::default(),
            ended: None,
        };
        session.converse(
            0,
            converse_request::Event::Start(dialogue::ConversationStart { call: Some(call), resume: None }),
        );
        session.send(epoch, out::Event::Started(StreamStarted { resume: None }));
        Ok(session)
    }

    /// Runs until the stream ends.
    pub async fn run(mut self, mut requests: Streaming<StreamCallRequest>) {
        let drain = self.drain.clone();
        let deadline = tokio::time::Instant::from_std(clock::now() + self.duration_max + LAST_WORDS);
        while self.ended.is_none() {
            let wake = self.core.wake_at().unwrap_or_else(|| clock::now() + NEVER);
            let input = tokio::select! {
                request = requests.message() => self.request(request),
                Some(edge) = self.vad.recv() => Some(self.edge(edge)),
                Some(event) = self.listening.recv() => Some(stt_input(event)),
                event = self.voices.recv() => Some(tts_input(event)),
                Some(response) = self.conversation.responses.recv() => dialogue_input(response),
                Some(phrase) = self.phrases.recv() => phrase_input(&self.call_id, phrase),
                () = sleep_until(wake.into()) => Some(Input::Tick),
                () = sleep_until(deadline) => {
                    self.hang_up(EndReason::MaxDuration).await;
                    None
                }
                () = drain.expired() => {
                    self.hang_up(EndReason::Drained).await;
                    None
                }
            };
            if let Some(input) = input {
                self.core.handle(input, clock::now());
                self.perform().await;
            }
        }
        let reason = self.ended.unwrap_or(EndReason::Internal);
        self.converse(
            self.core.epoch(),
            converse_request::Event::Stop(dialogue::ConversationStop { reason: reason.into() }),
        );
        tracing::info!(call_id = self.call_id, reason = reason.as_str_name(), "media session ended");
    }

    /// A message of the gateway; `None` where the core has nothing to decide.
    fn request(&mut self, request: Result<Option<StreamCallRequest>, Status>) -> Option<Input> {
        let event = match request {
            Ok(Some(request)) if request.call_id == self.call_id => request.event?,
            Ok(Some(_)) => {
                tracing::warn!(call_id = self.call_id, "message of another call on the stream");
                self.ended = Some(EndReason::Internal);
                return None;
            }
            Ok(None) => {
                self.ended = Some(EndReason::CarrierLost);
                return None;
            }
            Err(status) => {
                tracing::warn!(call_id = self.call_id, code = ?status.code(), "media stream lost");
                self.ended = Some(EndReason::CarrierLost);
                return None;
            }
        };
        match event {
            stream_call_request::Event::Audio(frame) => {
                self.caller_audio(frame);
                None
            }
            stream_call_request::Event::MarkReached(mark) if mark.cleared => {
                Some(Input::MarkCleared(mark.name))
            }
            stream_call_request::Event::MarkReached(mark) => Some(Input::MarkReached(mark.name)),
            stream_call_request::Event::Dtmf(dtmf) => {
                tracing::info!(call_id = self.call_id, digit = %Pii::new(&dtmf.digit), "key pressed");
                dtmf.digit.chars().next().map(Input::Key)
            }
            stream_call_request::Event::ActionEnded(ended) => Some(Input::Returned(ended.outcome())),
            stream_call_request::Event::Stop(stop) => {
                self.ended = Some(stop.reason());
                Some(Input::StreamStopped)
            }
            stream_call_request::Event::Start(_) => {
                tracing::warn!(call_id = self.call_id, "second start on the stream");
                self.ended = Some(EndReason::Internal);
                None
            }
        }
    }

    /// The caller's audio goes to the transcriber untouched. The clocks of the detector and the transcriber count the
    /// audio they were given, so a short gap is filled with silence.
    fn caller_audio(&mut self, frame: AudioFrame) {
        let offset = frame.audio_offset.as_ref().map_or(self.carrier_offset, from_wire);
        let gap = offset.saturating_sub(self.carrier_offset);
        if (FRAME..AUDIO_GAP).contains(&gap) {
            self.hear(self.silence(self.format.bytes_of(gap)));
        }
        self.carrier_offset = offset + self.format.duration_of(frame.payload.len());
        self.hear(frame.payload);
    }

    fn hear(&mut self, audio: Bytes) {
        self.audio_offset += self.format.duration_of(audio.len());
        let samples = self.decoder.decode(&audio);
        self.core.audio_arrived(samples, self.audio_offset, clock::now());
        self.vad.submit(samples);
        self.stt_pending.extend_from_slice(&audio);
        if self.stt_pending.len() >= self.format.bytes_of(STT_PIECE) {
            self.transcribe();
        }
    }

    /// Hands the transcriber everything that was heard so far.
    fn transcribe(&mut self) {
        let audio = self.stt_pending.split().freeze();
        if audio.is_empty() {
            return;
        }
        if self.stt_missed > 0 {
            // What was dropped is made good with silence, or the transcriber's clock would be behind for ever.
            let silence = self.silence(self.stt_missed.min(self.format.bytes_of(Duration::from_secs(1))));
            let length = silence.len();
            if self.listening.try_send(stt::Command::Audio(silence)).is_ok() {
                self.stt_missed -= length;
            }
        }
        let length = audio.len();
        if self.listening.try_send(stt::Command::Audio(audio)).is_err() {
            self.stt_missed += length;
            metrics::counter!("trunkline_audio_dropped_frames_total", "to" => "stt").increment(1);
        }
    }

    fn silence(&self, bytes: usize) -> Bytes {
        Bytes::from(vec![self.format.silence(); bytes])
    }

    fn edge(&mut self, edge: Edge) -> Input {
        self.transcribe();
        let speaks = matches!(edge, Edge::SpeechStarted { .. });
        // A queue without room is another trouble, and told.
        let _ = self.listening.try_send(stt::Command::Speaking(speaks));
        Input::Speech(edge)
    }

    /// Does what the core wants, in its order.
    async fn perform(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Frame { epoch, payload } => {
                    let frame = self.frame(payload);
                    self.respond(epoch, out::Event::Audio(frame)).await;
                }
                Output::Mark { epoch, name } => self.respond(epoch, out::Event::Mark(Mark { name })).await,
                Output::Clear { epoch } => self.respond(epoch, out::Event::Clear(Clear {})).await,
                Output::HangUp { reason } => self.hang_up(reason).await,
                Output::Act { epoch, action } => self.respond(epoch, out::Event::Action(action)).await,
                Output::ActionEnded { epoch, outcome } => {
                    let ended = ActionEnded { outcome: outcome.into() };
                    self.converse(epoch, converse_request::Event::ActionEnded(ended));
                }
                Output::Finalize => self.finalize(),
                Output::Prepare { language } => self.voices.prepare(language),
                Output::Voice { language } => self.voices.switch(language),
                Output::Listen { language } => {
                    self.transcribe();
                    if self.listening.follow(language, self.audio_offset) {
                        self.stt_missed = 0;
                    }
                }
                Output::FallBackListening => {
                    self.listening.fall_back();
                    self.stt_missed = 0;
                }
                Output::FallBackVoice => self.voices.fall_back(),
                Output::Speak { take, text } => {
                    self.meter.speaks(take.epoch, &text);
                    self.speak(tts::Command::Speak { take, text }).await;
                }
                Output::SpeakEnd { take } => self.speak(tts::Command::Finish { take }).await,
                Output::SpeakCancel { take } => self.speak(tts::Command::Cancel { take }).await,
                Output::UserTurn { epoch, text, language, tentative } => {
                    if tentative {
                        self.meter.tentative(epoch);
                    }
                    let language = self.languages.get(language).cloned().unwrap_or_default();
                    let turn = dialogue::UserTurn { text, tentative, language };
                    self.converse(epoch, converse_request::Event::UserTurn(turn));
                }
                Output::Confirm { epoch } => {
                    self.meter.confirm(epoch);
                    self.converse(epoch, converse_request::Event::Confirm(dialogue::Confirm {}));
                }
                Output::Heard { epoch, text, interrupted } => {
                    let heard = dialogue::Heard { text, interrupted };
                    self.converse(epoch, converse_request::Event::Heard(heard));
                }
                Output::CancelReply { epoch } => {
                    self.meter.cancel(epoch);
                    self.converse(epoch, converse_request::Event::Cancel(dialogue::Cancel {}));
                }
                Output::Event { epoch, offset, event } => {
                    let event = CallEvent { offset: Some(to_wire(offset)), event: Some(event) };
                    self.respond(epoch, out::Event::CallEvent(event)).await;
                }
            }
        }
    }

    fn frame(&mut self, payload: Bytes) -> AudioFrame {
        let sequence = self.frames_out;
        self.frames_out += 1;
        let offset = FRAME * u32::try_from(sequence).unwrap_or(u32::MAX);
        AudioFrame { sequence, audio_offset: Some(to_wire(offset)), payload }
    }

    fn finalize(&mut self) {
        self.transcribe();
        if self.listening.try_send(stt::Command::Finalize).is_err() {
            metrics::counter!("trunkline_audio_dropped_frames_total", "to" => "stt").increment(1);
        }
    }

    async fn speak(&mut self, command: tts::Command) {
        // A socket that hangs is given up by its adapter.
        if timeout(GATEWAY_TIMEOUT, self.voices.send(command)).await.is_err() {
            tracing::warn!(call_id = self.call_id, "the synthesizer takes no commands");
        }
    }

    /// Sends to the gateway. It has room for more than the playout window, so a full queue means that it hangs.
    async fn respond(&mut self, epoch: i64, event: out::Event) {
        let response = StreamCallResponse { call_id: self.call_id.clone(), epoch, event: Some(event) };
        match timeout(GATEWAY_TIMEOUT, self.responses.send(Ok(response))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                self.ended.get_or_insert(EndReason::CarrierLost);
            }
        }
    }

    fn send(&mut self, epoch: i64, event: out::Event) {
        let response = StreamCallResponse { call_id: self.call_id.clone(), epoch, event: Some(event) };
        if self.responses.try_send(Ok(response)).is_err() {
            self.ended.get_or_insert(EndReason::CarrierLost);
        }
    }

    async fn hang_up(&mut self, reason: EndReason) {
        self.respond(self.core.epoch(), out::Event::HangUp(HangUp { reason: reason.into() })).await;
        self.ended.get_or_insert(reason);
    }

    fn converse(&mut self, epoch: i64, event: converse_request::Event) {
        let request = dialogue::ConverseRequest { call_id: self.call_id.clone(), epoch, event: Some(event) };
        if self.conversation.requests.try_send(request).is_err() {
            // Its responses tell the same, with the reason.
            tracing::debug!(call_id = self.call_id, "the conversation takes no requests");
        }
    }
}

/// What the agent says about turns, silences and keys, within the node's limit.
fn core_config(
    agent: &Agent,
    format: Format,
    languages: Vec<pipeline::Language>,
    duration_max: Duration,
) -> pipeline::Config {
    let transcriber_decides = languages.first().is_some_and(|first| first.transcriber_decides);
    let turn = turn::Config { transcriber_decides, ..turn::Config::of(agent) };
    let settings = agent.turn.clone().unwrap_or_default();
    pipeline::Config {
        format,
        turn,
        idle_timeout: settings.idle_timeout.as_ref().map(from_wire),
        duration_max: Some(
            agent.call_duration_max.as_ref().map_or(duration_max, |own| from_wire(own).min(duration_max)),
        ),
        dtmf_timeout: settings.dtmf_timeout.as_ref().map_or(DTMF_TIMEOUT, from_wire),
        dtmf_terminator: settings.dtmf_terminator.chars().next(),
        lines: pipeline::Lines::of(agent),
        languages,
    }
}

impl Speaker {
    fn voice(&self, media: &Inner, call: &CallContext, format: Format) -> tts::Settings {
        let voice = self.language.voice.clone().unwrap_or_default();
        tts::Settings {
            vendor: self.tts,
            base_url: media.config.tts_base_url(self.tts).clone(),
            api_key: self.tts_key.clone(),
            voice_id: voice.voice_id,
            model: voice.model,
            language: self.language.language.clone(),
            call_id: call.call_id.clone(),
            format,
            has_fallback: self.tts_fallback.is_some(),
        }
    }

    fn listening(&self, media: &Inner, call: &CallContext, format: Format) -> stt::Settings {
        stt::Settings {
            vendor: self.stt,
            base_url: media.config.stt_base_url(self.stt).clone(),
            api_key: self.stt_key.clone(),
            model: stt_model(media, self.stt, self.language.listening.as_ref().map(|own| &own.model)),
            language: self.language.language.clone(),
            call_id: call.call_id.clone(),
            format,
            has_fallback: self.stt_fallback.is_some(),
        }
    }
}

/// The model of a vendor, where the agent does not name one.
fn stt_model(media: &Inner, vendor: stt::Vendor, own: Option<&String>) -> String {
    match (own.filter(|own| !own.is_empty()), vendor) {
        (Some(own), _) => own.clone(),
        (None, stt::Vendor::Deepgram) => media.config.deepgram_model.clone(),
        (None, stt::Vendor::Sarvam) => String::new(),
    }
}

impl SttFallback {
    /// As another listens, but for the vendor.
    fn listening(&self, media: &Inner, other: &stt::Settings) -> stt::Settings {
        stt::Settings {
            vendor: self.vendor,
            base_url: media.config.stt_base_url(self.vendor).clone(),
            api_key: self.key.clone(),
            model: stt_model(media, self.vendor, Some(&self.model)),
            has_fallback: false,
            ..other.clone()
        }
    }
}

impl TtsFallback {
    /// As another speaks, but for the vendor and the voice.
    fn voice(&self, media: &Inner, other: &tts::Settings) -> tts::Settings {
        tts::Settings {
            vendor: self.vendor,
            base_url: media.config.tts_base_url(self.vendor).clone(),
            api_key: self.key.clone(),
            voice_id: self.voice_id.clone(),
            model: self.model.clone(),
            has_fallback: false,
            ..other.clone()
        }
    }
}

/// A line with the place of its language.
type Line = (usize, Purpose, String);
type PhraseResult = (usize, Purpose, Result<Arc<Phrase>, String>);

/// The agent's lines, in the order they may be needed: those of the first language, in which it greets, first.
fn lines(greeting: Option<String>, speakers: &[Speaker]) -> Vec<Line> {
    let mut lines: Vec<Line> = greeting.into_iter().map(|text| (0, Purpose::Greeting, text)).collect();
    for (at, speaker) in speakers.iter().enumerate() {
        lines.extend(lines_in(&speaker.language).into_iter().map(|(purpose, text)| (at, purpose, text)));
    }
    lines.retain(|(.., text)| !text.is_empty());
    lines
}

fn lines_in(language: &tenancy::Language) -> Vec<(Purpose, String)> {
    let phrases = language.phrases.clone().unwrap_or_default();
    let mut lines = vec![(Purpose::Apology, language.apology.clone())];
    lines.extend(phrases.fillers.into_iter().enumerate().map(|(n, text)| (Purpose::Filler(n), text)));
    lines.push((Purpose::Reprompt, phrases.reprompt));
    lines
        .extend(phrases.idle_prompts.into_iter().enumerate().map(|(n, text)| (Purpose::IdlePrompt(n), text)));
    lines.push((Purpose::IdleGoodbye, phrases.idle_goodbye));
    lines.push((Purpose::DurationWarning, phrases.duration_warning));
    lines.push((Purpose::DurationGoodbye, phrases.duration_goodbye));
    lines
}

/// Gets the lines one after the other, so that a first call does not open a socket for each of them.
fn fetch_phrases(
    media: &Arc<Inner>,
    voices: &[tts::Settings],
    fallbacks: &[Option<tts::Settings>],
    lines: Vec<Line>,
) -> mpsc::Receiver<PhraseResult> {
    let (sender, receiver) = mpsc::channel(lines.len().max(1));
    let (media, mut voices, mut fallbacks) = (media.clone(), voices.to_vec(), fallbacks.to_vec());
    tokio::spawn(async move {
        for (language, purpose, text) in lines {
            let mut phrase = media.phrases.get(voices[language].clone(), &text).await;
            if phrase.is_err()
                && let Some(fallback) = fallbacks[language].take()
            {
                voices[language] = fallback;
                phrase = media.phrases.get(voices[language].clone(), &text).await;
            }
            if sender.send((language, purpose, phrase)).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn phrase_input(call_id: &str, (language, purpose, phrase): PhraseResult) -> Option<Input> {
    match (purpose, phrase) {
        (purpose, Ok(phrase)) => Some(Input::Phrase(language, purpose, phrase)),
        // A call that cannot greet cannot speak at all.
        (Purpose::Greeting, Err(detail)) => Some(Input::TtsUnavailable(detail)),
        (purpose, Err(detail)) => {
            tracing::warn!(call_id, language, ?purpose, detail, "a line could not be synthesised");
            None
        }
    }
}

fn stt_input(event: stt::Event) -> Input {
    match event {
        stt::Event::Transcript(transcript) => Input::Transcript(transcript),
        stt::Event::UtteranceEnd => Input::UtteranceEnd,
        stt::Event::EndOfTurn { text, end } => Input::EndOfTurn { text, end },
        stt::Event::LikelyEndOfTurn { text, end } => Input::LikelyEndOfTurn { text, end },
        stt::Event::TurnResumed => Input::TurnResumed,
        stt::Event::Lost { detail } => Input::SttLost(detail),
        stt::Event::CaughtUp => Input::SttCaughtUp,
        stt::Event::Unavailable { detail, .. } => Input::SttUnavailable(detail),
    }
}

fn tts_input(event: tts::Event) -> Input {
    match event {
        tts::Event::Audio { take, payload } => Input::SpeechAudio { take, payload },
        tts::Event::Words { take, words } => Input::SpeechWords { take, words },
        tts::Event::Done { take } => Input::SpeechDone { take },
        tts::Event::Lost { take, detail } => Input::SpeechLost { take, detail },
        tts::Event::Unavailable { detail } => Input::TtsUnavailable(detail),
    }
}

fn dialogue_input(response: Result<dialogue::ConverseResponse, Status>) -> Option<Input> {
    let response = match response {
        Ok(response) => response,
        Err(status) => return Some(Input::DialogueUnavailable(format!("{:?}", status.code()))),
    };
    let epoch = response.epoch;
    match response.event? {
        converse_response::Event::Started(_) => None,
        converse_response::Event::Segment(segment) => Some(Input::Segment { epoch, text: segment.text }),
        converse_response::Event::ReplyDone(done) => {
            let goodbye = done.end_call.then_some(Then::HangUp(EndReason::AgentHangup));
            Some(Input::ReplyDone { epoch, then: done.action.map(Then::Act).or(goodbye) })
        }
        converse_response::Event::ReplyFailed(failed) => {
            let dialogue::ReplyFailed { apology, detail, fatal } = failed;
            Some(Input::ReplyFailed { epoch, apology, detail, fatal })
        }
        converse_response::Event::ModelChanged(changed) => {
            Some(Input::ModelChanged { model: changed.model, detail: changed.detail })
        }
        converse_response::Event::FirstToken(_) => Some(Input::FirstToken { epoch }),
        converse_response::Event::LanguageSwitch(switch) => {
            Some(Input::Language { epoch, tag: switch.language })
        }
    }
}
