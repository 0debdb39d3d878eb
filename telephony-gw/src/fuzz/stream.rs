//! Media streams of both carriers: an input is the messages of one stream, one a line.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::{
    media::v1::{
        Mark, StreamCallResponse, StreamStarted, stream_call_request::Event as ToMedia,
        stream_call_response::Event as FromMedia,
    },
    types::v1::{AudioEncoding, AudioFrame, CallContext},
};

use crate::{
    call::{Call, Input, Output, Patience},
    wire::{Command, Event, Format, ProtocolError, Wire, exotel, exotel::Exotel, twilio::Twilio},
};

const PATIENCE: Patience = Patience { silence: Duration::from_secs(30), resume: Duration::from_secs(10) };
/// What one message may lead to: the farewells of a call, and marks that come back with them.
const OUTPUTS_MAX: usize = 64;

/// A stream in Twilio's dialect, and the call that it belongs to.
pub fn twilio_stream(data: &[u8]) {
    stream(&mut Twilio::default(), data);
}

/// A stream in Exotel's dialect, and the call that it belongs to.
pub fn exotel_stream(data: &[u8]) {
    stream(&mut Exotel::new(exotel::RATES_HZ[data.len() % 3]), data);
}

fn stream(wire: &mut dyn Wire, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut running: Option<Running> = None;
    for line in text.lines() {
        // A stream that broke the protocol is closed; here it goes on, and must be the same as before.
        let event = match wire.decode(line) {
            Ok(event) => event,
            Err(error) => {
                assert!((1000..5000).contains(&error.close_code()));
                continue;
            }
        };
        check(&event, running.is_some(), line);
        match (&mut running, event) {
            (None, Event::Start(start)) => running = Some(Running::new(start.format, wire)),
            (None, _) => {}
            (Some(running), event) => {
                comes_back(wire, &event);
                running.take(event);
            }
        }
    }
    if running.is_none() {
        let early = wire.decode(r#"{"event":"media","streamSid":"a","media":{"payload":""}}"#);
        assert_eq!(early, Err(ProtocolError::AudioBeforeStart), "nothing but a start opens a stream");
    }
}

fn check(event: &Event<'_>, is_started: bool, line: &str) {
    match event {
        Event::Start(start) => {
            assert!(!is_started, "a stream starts once");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            assert!(start.stream_sid.bytes().all(plain), "the name stands in JSON as it is");
            let Format { encoding, sample_rate_hz } = start.format;
            assert!(exotel::RATES_HZ.contains(&sample_rate_hz) && encoding != AudioEncoding::Unspecified);
        }
        Event::Connected => assert!(!is_started),
        Event::Unknown => {}
        Event::Media(media) => assert!(is_started && media.payload.len() <= line.len()),
        Event::Dtmf { digit } => assert!(is_started && "0123456789*#ABCD".contains(*digit)),
        Event::Mark { .. } | Event::Stop | Event::StreamOver => assert!(is_started),
    }
}

/// What is told to the carrier in its own dialect means the same.
fn comes_back(wire: &mut dyn Wire, event: &Event<'_>) {
    match event {
        Event::Media(media) if !media.payload.is_empty() => {
            let text = wire.encode(&Command::Media(media.payload.clone()));
            let Ok(Event::Media(read)) = wire.decode(&text) else { panic!("not audio: {text}") };
            let (said, padding) = read.payload.split_at(media.payload.len());
            assert_eq!(said, media.payload);
            assert!(padding.iter().all(|byte| *byte == 0));
        }
        Event::Mark { name } => {
            let text = wire.encode(&Command::Mark(name.clone().into_owned()));
            assert_eq!(wire.decode(&text).as_ref(), Ok(event));
        }
        _ => {}
    }
}

/// The call of a started stream.
struct Running {
    call: Call,
    now: std::time::Instant,
    /// What the last frame of the caller's audio was numbered, and where it lay.
    last: Option<(i64, Duration)>,
    is_over: bool,
}

impl Running {
    fn new(format: Format, wire: &dyn Wire) -> Self {
        let context = Arc::new(CallContext { call_id: "call".into(), ..CallContext::default() });
        let now = mesh::clock::now();
        let mut call = Call::new(context, format, wire.playout(), PATIENCE, now);
        let audio = Bytes::from(vec![0; format.bytes_of(Duration::from_secs(1))]);
        for event in [
            FromMedia::Started(StreamStarted::default()),
            FromMedia::Audio(AudioFrame { payload: audio, ..AudioFrame::default() }),
            FromMedia::Mark(Mark { name: "utt-7".into() }),
        ] {
            let event = Some(event);
            call.handle(Input::Media(StreamCallResponse { event, ..StreamCallResponse::default() }), now);
            while call.poll().is_some() {}
        }
        Self { call, now, last: None, is_over: false }
    }

    fn take(&mut self, event: Event<'_>) {
        self.now += Duration::from_millis(20);
        self.call.handle(Input::Carrier(event), self.now);
        let outputs: Vec<_> = std::iter::from_fn(|| self.call.poll()).collect();
        assert!(outputs.len() <= OUTPUTS_MAX, "{} outputs", outputs.len());
        for output in outputs {
            match output {
                Output::ToMedia(request) => {
                    if let Some(ToMedia::Audio(frame)) = request.event {
                        self.follows(&frame);
                    }
                }
                Output::Ended { .. } => {
                    assert!(!self.is_over, "a call ends once");
                    self.is_over = true;
                }
                _ => {}
            }
        }
    }

    /// The caller's audio goes forwards, whatever the carrier's clock says.
    fn follows(&mut self, frame: &AudioFrame) {
        assert!(!self.is_over && !frame.payload.is_empty());
        let at = frame.audio_offset.as_ref().map(proto::from_wire).unwrap_or_default();
        if let Some((sequence, before)) = self.last {
            assert!(frame.sequence > sequence && at > before, "{before:?}, then {at:?}");
        }
        self.last = Some((frame.sequence, at));
    }
}
