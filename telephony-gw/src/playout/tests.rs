use mesh::clock;
use proptest::{collection::vec, prelude::*};

use super::*;

const FRAME: usize = 160;
const LEAD: Duration = Duration::from_millis(200);

fn pacer() -> Pacer {
    Pacer::new(Format::MULAW_8K, Playout { frame: Duration::from_millis(20), lead: LEAD })
}

fn drain(pacer: &mut Pacer, now: Instant) -> Vec<Output> {
    std::iter::from_fn(|| pacer.poll(now)).collect()
}

fn audio(bytes: usize) -> Bytes {
    Bytes::from(vec![0x55; bytes])
}

#[test]
fn the_first_audio_leaves_at_once_and_the_rest_in_real_time() {
    let (mut pacer, t0) = (pacer(), clock::now());
    pacer.play(audio(FRAME * 50)).unwrap();
    assert_eq!(drain(&mut pacer, t0).len(), 10);
    assert_eq!(pacer.wake_at(t0), Some(t0 + Duration::from_millis(20)));
    assert!(drain(&mut pacer, t0 + Duration::from_millis(19)).is_empty());
    assert_eq!(drain(&mut pacer, t0 + Duration::from_millis(20)).len(), 1);
    // A late wake-up catches up.
    assert_eq!(drain(&mut pacer, t0 + Duration::from_millis(95)).len(), 3);
}

#[test]
fn marks_keep_their_place_and_no_frame_crosses_one() {
    let (mut pacer, t0) = (pacer(), clock::now());
    pacer.play(audio(100)).unwrap();
    pacer.play(audio(100)).unwrap();
    pacer.mark("a".into()).unwrap();
    pacer.play(audio(60)).unwrap();
    pacer.mark("b".into()).unwrap();
    let lengths: Vec<_> = drain(&mut pacer, t0)
        .into_iter()
        .map(|output| match output {
            Output::Send(Command::Media(audio)) => audio.len().to_string(),
            Output::Send(Command::Mark(name)) => name,
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, ["160", "40", "a", "60", "b"]);
}

#[test]
fn a_whole_frame_is_not_copied() {
    let (mut pacer, t0) = (pacer(), clock::now());
    let frame = audio(FRAME);
    let address = frame.as_ptr();
    pacer.play(frame).unwrap();
    let Some(Output::Send(Command::Media(sent))) = pacer.poll(t0) else { panic!("no frame") };
    assert_eq!(sent.as_ptr(), address);
}

#[test]
fn a_clear_goes_first_and_every_mark_before_it_says_nothing() {
    let (mut pacer, t0) = (pacer(), clock::now());
    pacer.play(audio(FRAME)).unwrap();
    pacer.mark("heard".into()).unwrap();
    pacer.mark("sent".into()).unwrap();
    pacer.play(audio(FRAME * 100)).unwrap();
    pacer.mark("waiting".into()).unwrap();
    drain(&mut pacer, t0);
    pacer.returned("heard");
    pacer.clear();
    let reached = |name: &str, cleared| Output::Reached { name: name.into(), cleared };
    assert_eq!(
        drain(&mut pacer, t0),
        [
            Output::Send(Command::Clear),
            reached("heard", false),
            reached("sent", true),
            reached("waiting", true)
        ]
    );
    // The carrier's echo of a cleared mark comes too late to say anything.
    pacer.returned("sent");
    assert!(drain(&mut pacer, t0).is_empty());
    // The carrier is empty: what comes now leaves at once.
    pacer.play(audio(FRAME * 20)).unwrap();
    assert_eq!(drain(&mut pacer, t0).len(), 10);
}

#[test]
fn a_carrier_that_is_away_gets_the_rest_when_it_is_back() {
    let (mut pacer, t0) = (pacer(), clock::now());
    pacer.play(audio(FRAME)).unwrap();
    pacer.mark("lost".into()).unwrap();
    drain(&mut pacer, t0);
    pacer.play(audio(FRAME)).unwrap();
    pacer.mark("kept".into()).unwrap();
    pacer.hold();
    assert_eq!(drain(&mut pacer, t0), [Output::Reached { name: "lost".into(), cleared: true }]);
    assert_eq!(pacer.wake_at(t0), None);
    pacer.release();
    assert_eq!(
        drain(&mut pacer, t0),
        [Output::Send(Command::Media(audio(FRAME))), Output::Send(Command::Mark("kept".into()))]
    );
}

#[test]
fn the_queue_has_a_limit() {
    let mut pacer = pacer();
    for _ in 0..30 {
        pacer.play(audio(8_000)).unwrap();
    }
    assert_eq!(pacer.play(audio(1)), Err(Overrun));
    for n in 0..MARKS_MAX {
        pacer.mark(n.to_string()).unwrap();
    }
    assert_eq!(pacer.mark("one more".into()), Err(Overrun));
    pacer.clear();
    assert_eq!(pacer.play(audio(1)), Ok(()));
}

#[derive(Debug, Clone)]
enum Step {
    Play(usize),
    Mark,
    Clear,
    Wait(u64),
    EchoAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1_usize..2_000).prop_map(Step::Play),
        2 => Just(Step::Mark),
        1 => Just(Step::Clear),
        5 => (0_u64..300).prop_map(Step::Wait),
        2 => Just(Step::EchoAll),
    ]
}

proptest! {
    /// Whatever is played when: the carrier never holds more than the lead, marks stand where they stood between the
    /// samples, each comes back once and in order, and a clear comes before anything that was not sent before it.
    #[test]
    fn pacing_keeps_its_promises(steps in vec(step(), 1..50)) {
        let (mut pacer, mut now) = (pacer(), clock::now());
        // The reference: what was asked for since the last clear, as samples and marks in one line.
        let (mut asked, mut sent) = (Vec::<Option<String>>::new(), Vec::<Option<String>>::new());
        let mut empty_at = now;
        let mut names = 0_u32;
        let mut reached = Vec::new();
        for step in steps {
            match step {
                Step::Play(bytes) => {
                    if pacer.play(audio(bytes)).is_ok() {
                        asked.extend(std::iter::repeat_n(None, bytes));
                    }
                }
                Step::Mark => {
                    pacer.mark(names.to_string()).unwrap();
                    asked.push(Some(names.to_string()));
                    names += 1;
                }
                Step::Clear => {
                    pacer.clear();
                    let first = pacer.poll(now);
                    prop_assert_eq!(first, Some(Output::Send(Command::Clear)));
                    asked.clear();
                    sent.clear();
                    empty_at = now;
                }
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::EchoAll => {
                    for name in sent.iter().flatten() {
                        pacer.returned(name);
                    }
                }
            }
            for output in drain(&mut pacer, now) {
                match output {
                    Output::Send(Command::Media(frame)) => {
                        prop_assert!(frame.len() <= FRAME && !frame.is_empty());
                        empty_at = empty_at.max(now) + Format::MULAW_8K.duration_of(frame.len() as u64);
                        prop_assert!(empty_at - now <= LEAD);
                        sent.extend(std::iter::repeat_n(None, frame.len()));
                    }
                    Output::Send(Command::Mark(name)) => sent.push(Some(name)),
                    Output::Send(Command::Clear) => prop_assert!(false, "a clear out of its place"),
                    Output::Reached { name, .. } => reached.push(name.parse::<u32>().unwrap()),
                }
            }
            prop_assert!(asked[..sent.len()] == sent[..], "the order of samples and marks");
            prop_assert!(pacer.wake_at(now).is_none_or(|at| at > now), "nothing due is left");
        }
        prop_assert!(reached.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order: {:?}", reached);
    }
}
