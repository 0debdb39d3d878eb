use std::time::{Duration, Instant};

use mesh::clock;
use proptest::prelude::*;

use super::{heard::Word, *};

fn word(text: &str, end_ms: u64) -> Word {
    Word { text: text.into(), end: Duration::from_millis(end_ms) }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn drain(playout: &mut Playout) -> Vec<Output> {
    std::iter::from_fn(|| playout.poll()).collect()
}

fn frames(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Frame { .. })).count()
}

fn speak(playout: &mut Playout, epoch: i64, audio_ms: usize, now: Instant) {
    playout.begin(epoch, Kind::Reply);
    playout.text(epoch, "one two three four");
    playout.words(epoch, &[word("one", 500), word("two", 1000), word("three", 1500), word("four", 2000)]);
    playout.audio(epoch, &vec![0x55; audio_ms * 8], now);
}

#[test]
fn never_hands_on_more_than_the_window() {
    let t = clock::now();
    let mut playout = Playout::default();
    speak(&mut playout, 1, 5000, t);
    assert_eq!(frames(&drain(&mut playout)), 50);
    assert_eq!(playout.wake_at(), Some(t + ms(300)));
    playout.tick(t + ms(300));
    assert_eq!(frames(&drain(&mut playout)), 15);
}

#[test]
fn heard_follows_marks_and_the_clock_between_them() {
    let t = clock::now();
    let mut playout = Playout::default();
    speak(&mut playout, 1, 2000, t);
    drain(&mut playout);
    assert_eq!(playout.heard(t + ms(100)), ms(100));
    assert_eq!(playout.heard(t + ms(900)), ms(240), "no further than the first mark that has not come");
    playout.mark_reached("u1-1920", t + ms(300));
    assert_eq!(drain(&mut playout), vec![Output::FirstHeard { epoch: 1, at: t + ms(60) }]);
    assert_eq!(playout.heard(t + ms(400)), ms(340));
    playout.mark_reached("u1-3840", t + ms(530));
    let cuts = playout.cut(t + ms(560));
    let cut = Cut {
        epoch: 1,
        kind: Kind::Reply,
        heard_text: "one".into(),
        rest_text: "two three four".into(),
        started: true,
    };
    assert_eq!(cuts, vec![cut]);
    assert!(!playout.is_audible());
}

#[test]
fn finishes_when_the_last_mark_is_back() {
    let t = clock::now();
    let mut playout = Playout::default();
    speak(&mut playout, 7, 250, t);
    playout.complete(7, t);
    let outputs = drain(&mut playout);
    assert_eq!(frames(&outputs), 13, "the last frame is filled up");
    assert_eq!(outputs.last(), Some(&Output::Mark { epoch: 7, name: "u1-2080".into() }));
    playout.mark_reached("u1-2080", t + ms(260));
    assert!(drain(&mut playout).contains(&Output::Finished {
        epoch: 7,
        kind: Kind::Reply,
        text: "one two three four".into()
    }));
}

#[test]
fn finishes_without_a_mark_after_its_grace() {
    let t = clock::now();
    let mut playout = Playout::default();
    speak(&mut playout, 7, 200, t);
    playout.complete(7, t);
    drain(&mut playout);
    let wake = playout.wake_at().unwrap();
    playout.tick(wake);
    assert!(matches!(drain(&mut playout)[..], [Output::Finished { epoch: 7, .. }]));
}

#[test]
fn an_utterance_without_audio_is_finished_at_once() {
    let t = clock::now();
    let mut playout = Playout::default();
    playout.begin(3, Kind::Reply);
    playout.complete(3, t);
    assert_eq!(
        drain(&mut playout),
        vec![Output::Finished { epoch: 3, kind: Kind::Reply, text: String::new() }]
    );
}

#[test]
fn stale_epochs_are_dropped() {
    let t = clock::now();
    let mut playout = Playout::default();
    playout.begin(2, Kind::Reply);
    playout.audio(1, &[0; 1600], t);
    playout.complete(1, t);
    playout.mark_reached("u9-160", t);
    playout.mark_reached("nonsense", t);
    assert!(drain(&mut playout).is_empty());
}

#[test]
fn a_retake_goes_on_after_the_last_whole_word() {
    let t = clock::now();
    let mut playout = Playout::default();
    speak(&mut playout, 1, 1200, t);
    assert_eq!(playout.retake(1).unwrap(), "three four");
    playout.words(1, &[word("three", 500), word("four", 1000)]);
    playout.audio(1, &vec![0x55; 8000], t);
    playout.complete(1, t);
    let mut at = t;
    let mut names = Vec::new();
    while let Some(wake) = playout.wake_at() {
        for output in drain(&mut playout) {
            if let Output::Mark { name, .. } = output {
                names.push(name);
            }
        }
        at = wake.max(at);
        if let Some(name) = names.pop() {
            playout.mark_reached(&name, at);
        }
        playout.tick(at);
    }
    assert!(drain(&mut playout).contains(&Output::Finished {
        epoch: 1,
        kind: Kind::Reply,
        text: "one two three four".into()
    }));
}

/// Takes the frames that are due, checking that they keep to the window.
fn play(playout: &mut Playout, now: Instant, played_until: &mut Instant, into: &mut Vec<u8>) {
    for output in drain(playout) {
        if let Output::Frame { payload, .. } = output {
            *played_until = (*played_until).max(now) + ms(20);
            assert!(*played_until - now <= WINDOW);
            into.extend_from_slice(&payload);
        }
    }
}

proptest! {
    /// However the audio is split, the frames handed on are the audio, in order, and never over the window.
    #[test]
    fn audio_is_neither_lost_nor_reordered(chunks in prop::collection::vec(1usize..3000, 1..20)) {
        let mut now = clock::now();
        let mut playout = Playout::default();
        playout.begin(1, Kind::Reply);
        let total: usize = chunks.iter().sum();
        let source: Vec<u8> = (0..total).map(|i| (i % 251) as u8).collect();
        let (mut at, mut out, mut played_until) = (0, Vec::new(), now);
        for len in &chunks {
            playout.audio(1, &source[at..at + len], now);
            at += len;
            play(&mut playout, now, &mut played_until, &mut out);
            now += ms(37);
            playout.tick(now);
            play(&mut playout, now, &mut played_until, &mut out);
        }
        playout.complete(1, now);
        play(&mut playout, now, &mut played_until, &mut out);
        for _ in 0..10_000 {
            let Some(wake) = playout.wake_at() else { break };
            now = now.max(wake);
            playout.tick(now);
            play(&mut playout, now, &mut played_until, &mut out);
        }
        prop_assert_eq!(&out[..total], &source[..]);
        prop_assert!(out[total..].iter().all(|b| *b == 0xFF));
    }
}

proptest! {
    /// However the synthesizer stops and goes on, what counts as heard is what the carrier has played: never more, and less
    /// by no more than a mark is under way.
    #[test]
    fn what_counts_as_heard_was_played(
        chunks in prop::collection::vec((1usize..3000, 0u64..600), 1..10),
        back in 0u64..100,
    ) {
        let t = clock::now();
        let mut playout = Playout::default();
        playout.begin(1, Kind::Reply);
        let (mut now, mut sent, mut played) = (0, 0, 0);
        let (mut unplayed, mut under_way) = (VecDeque::new(), VecDeque::new());
        for (bytes, wait) in chunks {
            playout.audio(1, &vec![0x55; bytes], t + ms(now));
            for _ in 0..=wait {
                playout.tick(t + ms(now));
                for output in drain(&mut playout) {
                    match output {
                        Output::Frame { .. } => sent += 20,
                        Output::Mark { name, .. } => unplayed.push_back((sent, name)),
                        _ => {}
                    }
                }
                while let Some((_, name)) = unplayed.pop_front_if(|(position, _)| *position <= played) {
                    under_way.push_back((now + back, name));
                }
                while let Some((_, name)) = under_way.pop_front_if(|(at, _)| *at <= now) {
                    playout.mark_reached(&name, t + ms(now));
                }
                let heard = playout.heard(t + ms(now));
                prop_assert!(heard <= ms(played), "{heard:?} of {played} ms");
                prop_assert!(heard + ms(back) >= ms(played), "{heard:?} of {played} ms");
                now += 1;
                played = sent.min(played + 1);
            }
        }
    }
}

#[test]
fn the_clock_counts_for_nothing_while_there_is_nothing_to_play() {
    let t = clock::now();
    let mut playout = Playout::default();
    speak(&mut playout, 1, 480, t);
    playout.mark_reached("u1-3840", t + ms(500));
    playout.audio(1, &[0x55; 8 * 200], t + ms(2000));
    let cuts = playout.cut(t + ms(2010));
    assert_eq!(cuts[0].heard_text, "", "the first word ends at 500 ms");
}

#[test]
fn utterances_are_said_one_after_the_other_and_a_held_one_waits() {
    let t = clock::now();
    let mut playout = Playout::default();
    playout.say(2, Kind::Filler, "One moment.", &[word("One", 100), word("moment.", 200)], &[0x55; 1600], t);
    playout.begin(2, Kind::Reply);
    playout.hold(2);
    playout.text(2, "Yes.");
    playout.audio(2, &[0x55; 1600], t);
    playout.complete(2, t);
    assert_eq!(frames(&drain(&mut playout)), 10);
    playout.mark_reached("u1-1600", t + ms(200));
    let finished = Output::Finished { epoch: 2, kind: Kind::Filler, text: "One moment.".into() };
    assert_eq!(drain(&mut playout), vec![finished]);
    playout.release(2, t + ms(300));
    assert_eq!(frames(&drain(&mut playout)), 10);
}

#[test]
fn what_was_heard_before_a_false_barge_in_counts_as_heard() {
    let t = clock::now();
    let mut playout = Playout::default();
    playout.begin_after(1, Kind::Reply, "one two".into());
    playout.text(1, "three four");
    playout.words(1, &[word("three", 500), word("four", 1000)]);
    playout.audio(1, &[0x55; 8000], t);
    let cut = playout.cut(t + ms(240)).remove(0);
    assert_eq!((cut.heard_text.as_str(), cut.rest_text.as_str()), ("one two", "three four"));
}

#[test]
fn every_format_plays_at_its_own_pace() {
    for (format, frame) in [(Format::PCM_8K, 320), (Format::PCM_16K, 640), (Format::PCM_24K, 960)] {
        let t = clock::now();
        let mut playout = Playout::new(format);
        playout.begin(1, Kind::Reply);
        playout.text(1, "hello");
        // A vendor may cut anywhere; the last frame is filled up with silence.
        playout.audio(1, &vec![0x55; format.bytes_of(Duration::from_millis(105)) - 1], t);
        playout.audio(1, &[0x55], t);
        playout.complete(1, t);
        let frames: Vec<Bytes> = std::iter::from_fn(|| playout.poll())
            .filter_map(|output| match output {
                Output::Frame { payload, .. } => Some(payload),
                _ => None,
            })
            .collect();
        assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), [frame; 6]);
        assert_eq!(frames[5][frame / 4..], vec![0; frame - frame / 4]);
        assert_eq!(playout.play_end_at(), Some(t + Duration::from_millis(120)));
    }
}

#[test]
fn a_take_that_breaks_off_inside_a_sample_leaves_none_behind() {
    let t = clock::now();
    let mut playout = Playout::new(Format::PCM_8K);
    playout.begin(1, Kind::Reply);
    playout.text(1, "one two");
    playout.audio(1, &[0x55; 321], t);
    playout.words(1, &[word("one", 10), word("two", 500)]);
    assert_eq!(playout.retake(1).as_deref(), Some("two"));
    playout.audio(1, &[0x11; 320], t);
    let frames = std::iter::from_fn(|| playout.poll()).filter_map(|output| match output {
        Output::Frame { payload, .. } => Some(payload[0]),
        _ => None,
    });
    assert_eq!(frames.collect::<Vec<_>>(), [0x55, 0x11]);
}

#[test]
fn what_has_no_times_yet_is_not_guessed_where_the_vendor_gives_them() {
    let t = clock::now();
    let mut playout = Playout::default();
    let words = [Word { text: "Hello.".into(), end: Duration::from_millis(100) }];
    playout.say(1, Kind::Line, "Hello.", &words, &[0x55; 800], t);
    playout.begin(2, Kind::Reply);
    playout.text(2, "aaaa bbbb cccc");
    playout.audio(2, &[0x55; 8 * 900], t);
    assert_eq!(playout.retake(2).as_deref(), Some("aaaa bbbb cccc"));
}
