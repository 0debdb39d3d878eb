use bytes::Bytes;
use mesh::clock;
use proto::{
    media::v1::{Clear, HangUp, Mark, StreamStarted},
    types::v1::AudioFrame,
};

use super::*;
use crate::wire::Media;

const PLAYOUT: Playout = Playout { frame: Duration::from_millis(20), lead: Duration::from_millis(200) };
const PATIENCE: Patience = Patience { silence: Duration::from_secs(30), resume: Duration::from_secs(10) };

mod action;

struct Trace {
    call: Call,
    t0: Instant,
}

impl Trace {
    fn new() -> Self {
        let t0 = clock::now();
        let context = Arc::new(CallContext { call_id: "call".into(), ..CallContext::default() });
        Self { call: Call::new(context, Format::MULAW_8K, PLAYOUT, PATIENCE, t0), t0 }
    }

    /// A call whose streams are both open.
    fn active() -> Self {
        let mut trace = Self::new();
        trace.at(0, Input::Media(response(0, FromMedia::Started(StreamStarted::default()))));
        trace
    }

    /// What comes out when `input` goes in so many milliseconds after the start.
    fn at(&mut self, ms: u64, input: Input<'_>) -> Vec<Output> {
        self.call.handle(input, self.t0 + Duration::from_millis(ms));
        std::iter::from_fn(|| self.call.poll()).collect()
    }

    fn wakes_in(&self, ms: u64) -> Option<Duration> {
        let now = self.t0 + Duration::from_millis(ms);
        self.call.wake_at(now).map(|at| at - now)
    }
}

fn response(epoch: i64, event: FromMedia) -> StreamCallResponse {
    StreamCallResponse { call_id: "call".into(), epoch, event: Some(event) }
}

fn play(epoch: i64, bytes: usize) -> Input<'static> {
    let payload = Bytes::from(vec![0x55; bytes]);
    Input::Media(response(epoch, FromMedia::Audio(AudioFrame { payload, ..AudioFrame::default() })))
}

fn mark(epoch: i64, name: &str) -> Input<'static> {
    Input::Media(response(epoch, FromMedia::Mark(Mark { name: name.into() })))
}

fn hang_up(reason: EndReason) -> Input<'static> {
    Input::Media(response(0, FromMedia::HangUp(HangUp { reason: reason.into() })))
}

fn heard(bytes: usize) -> Input<'static> {
    Input::Carrier(Event::Media(Media { payload: Bytes::from(vec![0; bytes]), chunk: None, offset: None }))
}

fn to_media(outputs: &[Output]) -> Vec<&ToMedia> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::ToMedia(request) => request.event.as_ref(),
            _ => None,
        })
        .collect()
}

fn reasons(outputs: &[Output]) -> Vec<EndReason> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Ended { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect()
}

#[test]
fn the_media_role_is_asked_at_once_and_hears_everything_in_order() {
    let mut trace = Trace::new();
    let outputs = trace.at(0, Input::Tick);
    let [Output::OpenMedia(first)] = &outputs[..] else { panic!("{outputs:?}") };
    let Some(ToMedia::Start(start)) = &first.event else { panic!("{first:?}") };
    assert_eq!((start.resume, start.call.as_ref().unwrap().call_id.as_str()), (None, "call"));
    assert!(matches!(
        to_media(&trace.at(20, heard(160)))[..],
        [ToMedia::Audio(AudioFrame { sequence: 0, .. })]
    ));
    let digits = trace.at(30, Input::Carrier(Event::Dtmf { digit: '#' }));
    assert!(matches!(to_media(&digits)[..], [ToMedia::Dtmf(dtmf)] if dtmf.digit == "#"));
}

#[test]
fn a_stream_that_the_carrier_says_is_over_is_lost_unless_its_socket_says_more() {
    let mut trace = Trace::active();
    assert_eq!(trace.at(1_000, Input::CarrierGone), []);
    assert_eq!(trace.wakes_in(1_000), Some(GONE_GRACE));
    assert_eq!(trace.at(1_500, Input::CarrierGone), [], "twice");
    assert_eq!(trace.at(2_990, Input::Tick), []);
    assert_eq!(trace.at(3_000, Input::Tick), [Output::DropCarrier]);
    assert_eq!(trace.at(3_100, Input::CarrierGone), [], "late");
    trace.at(4_000, Input::CarrierBack);
    assert_eq!(trace.at(20_000, heard(160)).len(), 1, "the next stream is its own");
    // A caller who has hung up is told of by the socket a moment later.
    let mut trace = Trace::active();
    trace.at(1_000, Input::CarrierGone);
    assert_eq!(reasons(&trace.at(1_100, Input::Carrier(Event::Stop))), [EndReason::CallerHangup]);
    // Nobody comes back.
    let mut trace = Trace::active();
    trace.at(1_000, Input::CarrierGone);
    trace.at(3_000, Input::Tick);
    assert_eq!(reasons(&trace.at(13_000, Input::Tick)), [EndReason::CarrierLost]);
}

#[test]
fn a_barge_in_reaches_the_carrier_first() {
    let mut trace = Trace::active();
    trace.at(0, play(1, 16_000));
    trace.at(0, mark(1, "u1"));
    let outputs = trace.at(400, Input::Media(response(2, FromMedia::Clear(Clear {}))));
    assert_eq!(outputs[0], Output::ToCarrier(Command::Clear));
    assert!(matches!(to_media(&outputs)[..], [ToMedia::MarkReached(MarkReached { cleared: true, .. })]));
    // What the thrown-away generation still sends is not heard, and its mark says so.
    assert!(trace.at(410, play(1, 160)).is_empty());
    let late = trace.at(410, mark(1, "u2"));
    assert!(matches!(to_media(&late)[..], [ToMedia::MarkReached(MarkReached { cleared: true, .. })]));
    let Output::ToMedia(request) = &late[0] else { panic!("{late:?}") };
    assert_eq!(request.epoch, 2);
    assert!(matches!(trace.at(420, play(2, 160))[..], [Output::ToCarrier(Command::Media(_))]));
}

#[test]
fn a_hang_up_of_a_generation_that_was_thrown_away_is_refused() {
    let mut trace = Trace::active();
    trace.at(0, play(2, 160));
    assert!(trace.at(5, hang_up(EndReason::AgentHangup)).is_empty(), "it is of epoch 0");
    assert!(!trace.call.is_over());
}

#[test]
fn an_event_does_not_silence_what_is_being_said() {
    let mut trace = Trace::active();
    trace.at(0, play(1, 160));
    // A later line is in the queue behind it.
    trace.at(5, Input::Media(response(2, FromMedia::CallEvent(CallEvent::default()))));
    assert!(matches!(trace.at(10, play(1, 160))[..], [Output::ToCarrier(Command::Media(_))]));
}

#[test]
fn a_played_mark_is_told() {
    let mut trace = Trace::active();
    trace.at(0, play(1, 160));
    assert_eq!(trace.at(0, mark(1, "u1")), [Output::ToCarrier(Command::Mark("u1".into()))]);
    let outputs = trace.at(25, Input::Carrier(Event::Mark { name: "u1".into() }));
    assert!(
        matches!(to_media(&outputs)[..], [ToMedia::MarkReached(MarkReached { cleared: false, name })] if name == "u1")
    );
}

#[test]
fn a_hang_up_ends_the_call_once_and_waits_for_both_farewells() {
    let mut trace = Trace::active();
    let outputs = trace.at(100, hang_up(EndReason::AgentHangup));
    assert_eq!(reasons(&outputs), [EndReason::AgentHangup]);
    assert!(matches!(to_media(&outputs)[..], [ToMedia::Stop(StreamStop { reason: 2 })]));
    assert_eq!(outputs[outputs.len() - 2..], [Output::CloseMedia, Output::CloseCarrier]);
    assert!(trace.at(110, Input::Carrier(Event::Stop)).is_empty());
    assert!(trace.at(120, Input::CarrierClosed).is_empty());
    assert_eq!(trace.at(130, Input::MediaBroke { retry: true }), [Output::Finished]);
    assert_eq!(trace.call.wake_at(trace.t0), None);
}

#[test]
fn farewells_have_a_deadline() {
    let mut trace = Trace::active();
    trace.at(100, hang_up(EndReason::Unspecified));
    assert_eq!(trace.wakes_in(100), Some(CLOSE_TIMEOUT));
    assert_eq!(trace.at(2_100, Input::Tick), [Output::Finished]);
}

#[test]
fn every_way_out_has_its_reason() {
    let cases = [
        (Input::Carrier(Event::Stop), EndReason::CallerHangup),
        (Input::CarrierClosed, EndReason::CallerHangup),
        (Input::CarrierOver, EndReason::CallerHangup),
        (Input::CarrierUnusable, EndReason::CarrierLost),
        (Input::DrainExpired, EndReason::Drained),
        (Input::MediaBroke { retry: false }, EndReason::Internal),
        (play(1, 240_001), EndReason::Internal),
        (hang_up(EndReason::TtsFailed), EndReason::TtsFailed),
        (hang_up(EndReason::Unspecified), EndReason::Internal),
    ];
    for (input, expected) in cases {
        let shown = format!("{input:?}");
        assert_eq!(
            reasons(&Trace::active().at(5, input)),
            [expected],
            "{}",
            shown.get(..60).unwrap_or(&shown)
        );
    }
}

#[test]
fn a_broken_media_stream_is_opened_again_where_it_stood() {
    let mut trace = Trace::active();
    trace.at(20, heard(160));
    trace.at(30, play(3, 160));
    let outputs = trace.at(1_000, Input::MediaBroke { retry: true });
    let [Output::OpenMedia(first)] = &outputs[..] else { panic!("{outputs:?}") };
    let Some(ToMedia::Start(start)) = &first.event else { panic!("{first:?}") };
    let resume = start.resume.unwrap();
    assert_eq!((resume.epoch, resume.received_count), (3, 2));
    assert_eq!(resume.audio_offset, Some(to_wire(Duration::from_millis(20))));
    // The caller goes on being heard meanwhile.
    assert_eq!(to_media(&trace.at(1_010, heard(160))).len(), 1);
    assert!(trace.at(1_050, Input::MediaBroke { retry: true }).is_empty());
    assert_eq!(trace.wakes_in(1_050), Some(REOPEN_PAUSE));
    assert!(matches!(trace.at(1_250, Input::Tick)[..], [Output::OpenMedia(_)]));
    assert_eq!(reasons(&trace.at(3_000, Input::Tick)), [EndReason::Internal]);
}

#[test]
fn a_media_stream_that_keeps_breaking_ends_the_call() {
    let mut trace = Trace::active();
    for _ in 0..REOPENS_MAX {
        assert!(matches!(trace.at(10, Input::MediaBroke { retry: true })[..], [Output::OpenMedia(_)]));
        trace.at(10, Input::Media(response(0, FromMedia::Started(StreamStarted::default()))));
    }
    assert_eq!(reasons(&trace.at(10, Input::MediaBroke { retry: true })), [EndReason::Internal]);
}

#[test]
fn a_silent_carrier_is_lost_and_a_lost_one_is_waited_for() {
    let mut trace = Trace::active();
    assert_eq!(trace.wakes_in(0), Some(PATIENCE.silence));
    assert_eq!(trace.at(30_000, Input::Tick), [Output::DropCarrier]);
    assert_eq!(trace.wakes_in(30_000), Some(PATIENCE.resume));
    assert_eq!(reasons(&trace.at(40_000, Input::Tick)), [EndReason::CarrierLost]);
}

#[test]
fn a_carrier_that_comes_back_goes_on() {
    let mut trace = Trace::active();
    trace.at(20, heard(160));
    trace.at(30, play(1, 160));
    trace.at(30, mark(1, "lost"));
    let lost = trace.at(100, Input::CarrierLost);
    assert!(lost.contains(&Output::DropCarrier));
    assert!(matches!(to_media(&lost)[..], [ToMedia::MarkReached(MarkReached { cleared: true, .. })]));
    assert!(trace.at(200, play(1, 160)).is_empty());
    assert!(matches!(trace.at(2_100, Input::CarrierBack)[..], [Output::ToCarrier(Command::Media(_))]));
    let outputs = trace.at(2_120, heard(160));
    let [ToMedia::Audio(frame)] = to_media(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!((frame.sequence, frame.audio_offset), (101, Some(to_wire(Duration::from_millis(2_020)))));
}

#[test]
fn the_end_of_a_call_is_not_taken_from_anybody_else() {
    let mut trace = Trace::active();
    let ended = CallEvent {
        offset: None,
        event: Some(call_event::Event::CallEnded(proto::types::v1::CallEnded { reason: 1 })),
    };
    assert!(trace.at(5, Input::Media(response(0, FromMedia::CallEvent(ended)))).is_empty());
    let other = CallEvent::default();
    assert_eq!(
        trace.at(5, Input::Media(response(0, FromMedia::CallEvent(other)))),
        [Output::Publish(CallEvent::default())]
    );
}
