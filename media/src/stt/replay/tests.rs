use mesh::clock;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn frame() -> Bytes {
    Bytes::from_static(&[0xFF; 160])
}

/// Sends everything there is, however long it takes; the bytes sent, and how many of them before the finalize.
fn drain(replay: &mut Replay, mut now: Instant) -> (u64, Option<u64>) {
    let (mut sent, mut finalized) = (0, None);
    loop {
        match replay.due(now) {
            Some(Due::Audio(audio)) => sent += audio.len() as u64,
            Some(Due::Finalize) => {
                assert_eq!(finalized.replace(sent), None, "one finalize is enough");
            }
            None if replay.is_due_later() => now += 20 * MS,
            None => return (sent, finalized),
        }
    }
}

#[test]
fn settled_audio_is_forgotten_to_the_byte_and_the_rest_is_sent_again_on_the_calls_clock() {
    let t = clock::now();
    let mut replay = Replay::default();
    replay.reconnected();
    (0..50).for_each(|_| replay.push(frame()));
    assert_eq!(drain(&mut replay, t), (8000, None));
    assert_eq!(replay.unsettled(), 1000 * MS);
    replay.settle(replay.to_call(613 * MS), true);
    assert_eq!(replay.unsettled(), 387 * MS);
    replay.reconnected();
    assert_eq!(drain(&mut replay, t), (387 * 8, None));
    assert_eq!(replay.to_call(100 * MS), 713 * MS);
    assert_eq!(replay.to_call(Duration::MAX), 1000 * MS, "nothing can be settled that was not sent");
}

#[test]
fn a_finalize_follows_its_audio_through_a_backlog() {
    let t = clock::now();
    let mut replay = Replay::default();
    (0..100).for_each(|_| replay.push(frame()));
    replay.finalize();
    (0..50).for_each(|_| replay.push(frame()));
    replay.reconnected();
    assert_eq!(drain(&mut replay, t), (24_000, Some(16_000)));
}

#[test]
fn a_finalize_is_asked_again_until_it_is_answered() {
    let t = clock::now();
    let mut replay = Replay::default();
    (0..100).for_each(|_| replay.push(frame()));
    replay.finalize();
    replay.reconnected();
    assert_eq!(drain(&mut replay, t), (16_000, Some(16_000)));
    replay.settle(1500 * MS, true);
    replay.reconnected();
    assert_eq!(drain(&mut replay, t), (4000, Some(4000)), "what was settled is not all of it");
    replay.settle(2000 * MS, false);
    replay.reconnected();
    assert_eq!(drain(&mut replay, t), (0, Some(0)), "the vendor did not say that it is over");
    replay.settle(1980 * MS, true);
    replay.reconnected();
    assert_eq!(drain(&mut replay, t), (0, None));
}

#[test]
fn audio_beyond_the_limit_drops_the_oldest_and_the_clock_goes_on() {
    let t = clock::now();
    let mut replay = Replay::default();
    (0..1200).for_each(|_| replay.push(frame()));
    replay.reconnected();
    assert_eq!(drain(&mut replay, t).0, replay.bytes_of(KEPT_MAX));
    assert_eq!(replay.to_call(Duration::ZERO), Duration::from_secs(4));
    replay.reconnected();
    assert!(replay.due(t).is_some());
    (0..500).for_each(|_| replay.push(frame()));
    assert_eq!(drain(&mut replay, t).0, replay.bytes_of(KEPT_MAX));
    assert_eq!(replay.to_call(Duration::from_secs(100)), Duration::from_secs(34));
}

#[test]
fn silence_beside_the_call_takes_none_of_its_time() {
    let t = clock::now();
    let mut replay = Replay::default();
    replay.push(Bytes::from_static(&[0; 8000]));
    replay.reconnected();
    drain(&mut replay, t);
    replay.sent_silence(3000, t);
    replay.sent_silence(1000, t);
    assert!(replay.due(t).is_none());
    replay.push(Bytes::from_static(&[0; 8000]));
    drain(&mut replay, t);
    replay.sent_silence(4000, t);
    let call =
        |replay: &Replay| [900, 1000, 1300, 1500, 1600, 2500, 2900, 9000].map(|ms| replay.to_call(ms * MS));
    assert_eq!(call(&replay), [900, 1000, 1000, 1000, 1100, 2000, 2000, 2000].map(|ms| ms * MS));
    replay.settle(1200 * MS, false);
    assert_eq!(call(&replay)[4..], [1100, 2000, 2000, 2000].map(|ms| ms * MS));
    replay.reconnected();
    drain(&mut replay, t);
    assert_eq!(replay.to_call(300 * MS), 1500 * MS, "the next socket has heard none of it");
}

proptest! {
    /// However frames and gaps come, the vendor never gets more than half a second ahead of 1.25 times real time.
    #[test]
    fn the_rate_is_kept_over_every_span(steps in prop::collection::vec((0..3000usize, 0..400u64), 1..50)) {
        let t = clock::now();
        let mut replay = Replay::default();
        replay.reconnected();
        let (mut now, mut pushed) = (t, 0);
        // The vendor's own account: how far the audio is ahead, never less than nothing.
        let (mut ahead, mut at, mut sent) = (0u64, t, 0u64);
        let late = std::iter::repeat_n((0, 400), 1000);
        for (bytes, wait) in steps.into_iter().chain(late) {
            replay.push(Bytes::from(vec![0; bytes]));
            pushed += bytes as u64;
            now += u32::try_from(wait).unwrap() * MS;
            while let Some(Due::Audio(audio)) = replay.due(now) {
                let passed = u64::try_from((now - at).as_millis()).unwrap();
                ahead = ahead.saturating_sub(passed * 10) + audio.len() as u64;
                at = now;
                sent += audio.len() as u64;
                prop_assert!(ahead <= 4000, "{ahead} bytes ahead");
            }
        }
        prop_assert_eq!(sent, pushed, "and everything goes out");
        prop_assert!(!replay.is_due_later());
    }

    /// Through any losses of the socket, every byte is settled once, in order.
    #[test]
    fn losses_neither_repeat_nor_lose(
        format in prop::sample::select(vec![Format::MULAW_8K, Format::PCM_16K]),
        steps in prop::collection::vec((1..40usize, 0..100u64, any::<bool>()), 1..30),
    ) {
        let mut now = clock::now();
        let mut replay = Replay::new(format);
        replay.reconnected();
        let (mut next, mut heard, mut on_socket) = (0u32, Vec::new(), Vec::new());
        for (frames, settle_percent, lost) in steps {
            for _ in 0..frames {
                replay.push(Bytes::copy_from_slice(&next.to_be_bytes().repeat(40)));
                next += 1;
            }
            while replay.is_due_later() {
                now += 20 * MS;
                while let Some(Due::Audio(audio)) = replay.due(now) {
                    on_socket.extend_from_slice(&audio);
                }
            }
            let samples = (on_socket.len() / format.sample_bytes()) as u64 * settle_percent / 100;
            let settle = samples * format.sample_bytes() as u64;
            heard.extend(on_socket.drain(..usize::try_from(settle).unwrap()));
            let end = replay.duration_of(heard.len() as u64);
            replay.settle(end, false);
            if lost {
                replay.reconnected();
                on_socket.clear();
                prop_assert_eq!(replay.to_call(Duration::ZERO), end);
            }
        }
        let whole: Vec<u8> = (0..next).flat_map(|n| n.to_be_bytes().repeat(40)).collect();
        prop_assert_eq!(&heard[..], &whole[..heard.len()]);
    }
}
