use proptest::{collection::vec, prelude::*};

use super::{Echo, THRESHOLD, WINDOW_SLOTS_MAX, WINDOW_SLOTS_MIN, echo_score};
use crate::turn::level::{
    SILENCE_DB, dbfs,
    tests::{factor, over_telephone, prompt},
};

/// Samples of a slot.
const FRAME: usize = 160;

/// Human prompts, each once our voice and once the caller's.
const PROMPTS: [&str; 10] = [
    "demo-instruct",
    "priv-callee-options",
    "demo-congrats",
    "basic-pbx-ivr-main",
    "demo-echotest",
    "conf-adminmenu-18",
    "screen-callee-options",
    "demo-abouttotry",
    "vm-msginstruct",
    "dir-intro",
];
fn envelope(samples: &[f32]) -> Vec<f32> {
    let frames = samples.chunks(FRAME);
    frames.map(|frame| dbfs(&frame.iter().copied().map(over_telephone).collect::<Vec<_>>())).collect()
}

/// White noise of a level in dBFS, from a generator of its own so that a run repeats.
fn noise(db: f32, length: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.max(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 - 0.5
    };
    // A uniform variable from -0.5 to 0.5 has a variance of 1/12.
    let scale = 12f32.sqrt() * 32768.0 * factor(db);
    (0..length).map(|_| next() * scale).collect()
}

/// The echo of `voice`: a delay and a hybrid's short tail, then the loss.
fn echo(voice: &[f32], delay_ms: usize, loss_db: f32) -> Vec<f32> {
    let delay = delay_ms * 8;
    let at = |n: usize, back: usize| n.checked_sub(delay + back).map_or(0.0, |n| voice[n]);
    let scale = factor(loss_db) / 1.16;
    (0..voice.len()).map(|n| (at(n, 0) + 0.5 * at(n, 5) - 0.3 * at(n, 17)) * scale).collect()
}

fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// The scores of a scene over both windows, through the whole core, at every slot for which `is_case` holds.
fn scores(sent: &[f32], heard: &[f32], is_case: impl Fn(usize) -> bool) -> [Vec<f32>; 2] {
    let mut core = Echo::new();
    let mut scores = [Vec::new(), Vec::new()];
    for (slot, (s, h)) in sent.iter().zip(heard).enumerate() {
        core.sent(slot as u64, *s);
        core.heard(slot as u64, *h);
        if slot >= 50 && is_case(slot) {
            for (scores, window) in scores.iter_mut().zip(WINDOWS) {
                scores.push(core.score(slot as u64 + 1, window));
            }
        }
    }
    scores
}

/// Most of the last 200 ms is louder than `floor`: a speech detector would have called an onset.
fn is_audible(levels: &[f32], slot: usize, floor: f32) -> bool {
    levels[slot + 1 - 10..=slot].iter().filter(|db| **db > floor).count() >= 7
}

/// The first slot of that after at least 200 ms without.
fn is_onset(levels: &[f32], slot: usize, floor: f32) -> bool {
    is_audible(levels, slot, floor) && (1..=10).all(|back| !is_audible(levels, slot - back, floor))
}

/// 400 ms and 800 ms.
const WINDOWS: [usize; 2] = [20, WINDOW_SLOTS_MAX];
/// None is a whole number of slots.
const DELAYS_MS: [usize; 5] = [45, 95, 152, 221, 303];
const NOISE_DB: f32 = -68.0;
const THRESHOLDS: [f32; 7] = [0.5, 0.6, 0.7, 0.75, 0.8, THRESHOLD, 0.9];

/// Every tenth slot that is loud enough for a speech detector.
fn of_echo(voices: &[Vec<f32>], loss_db: f32) -> [Vec<f32>; 2] {
    let scenes = voices.iter().enumerate().map(|(n, voice)| {
        let line = noise(NOISE_DB, voice.len(), n as u32 + 1);
        let heard = envelope(&add(&echo(voice, DELAYS_MS[n % DELAYS_MS.len()], loss_db), &line));
        let is_case = |slot: usize| slot.is_multiple_of(10) && is_audible(&heard, slot, NOISE_DB + 6.0);
        scores(&envelope(voice), &heard, is_case)
    });
    pool(scenes)
}

/// Another speaks over us, `caller_db` louder than we are, and our echo is on the line too: every tenth slot of the
/// speech, or only its onsets.
fn of_double_talk(voices: &[Vec<f32>], caller_db: f32, loss_db: f32, onsets: bool) -> [Vec<f32>; 2] {
    let scenes = voices.iter().enumerate().map(|(n, voice)| {
        let other = &voices[(n + 3) % voices.len()];
        let loudness = factor(caller_db);
        let caller: Vec<f32> =
            (0..voice.len()).map(|at| other.get(at).map_or(0.0, |sample| sample * loudness)).collect();
        let line = noise(NOISE_DB, voice.len(), n as u32 + 9);
        let line = add(&echo(voice, DELAYS_MS[n % DELAYS_MS.len()], loss_db), &line);
        let (heard, spoken) = (envelope(&add(&caller, &line)), envelope(&caller));
        let floor = -45.0 + caller_db;
        let is_case = |slot: usize| {
            if onsets {
                is_onset(&spoken, slot, floor)
            } else {
                slot.is_multiple_of(10) && is_audible(&spoken, slot, floor)
            }
        };
        scores(&envelope(voice), &heard, is_case)
    });
    pool(scenes)
}

fn pool(scenes: impl Iterator<Item = [Vec<f32>; 2]>) -> [Vec<f32>; 2] {
    scenes.fold(Default::default(), |[mut short, mut long], [a, b]| {
        short.extend(a);
        long.extend(b);
        [short, long]
    })
}

fn share_over(scores: &[f32], threshold: f32) -> f64 {
    scores.iter().filter(|score| **score >= threshold).count() as f64 * 100.0 / scores.len().max(1) as f64
}

fn print_row(what: &str, scores: &[Vec<f32>; 2]) {
    for (scores, window) in scores.iter().zip(WINDOWS) {
        let shares: Vec<String> =
            THRESHOLDS.iter().map(|t| format!("{:5.1}", share_over(scores, *t))).collect();
        println!("{:4} ms  {what:38} {:>7}  {}", window * 20, scores.len(), shares.join(" "));
    }
}

fn assert_rare(what: &str, scores: &[f32]) {
    let wrong = share_over(scores, THRESHOLD);
    assert!(wrong <= 2.0, "{what}: {wrong:.1} % taken for an echo");
}

#[test]
fn the_threshold_parts_echo_from_double_talk() {
    let voices: Vec<Vec<f32>> = PROMPTS.iter().map(|name| prompt(name, 12)).collect();
    println!("share of windows at or over a threshold, in per cent\n{:56} {THRESHOLDS:?}", "");
    for (loss, least) in [(-20.0, 90.0), (-30.0, 90.0), (-40.0, 80.0)] {
        let scores = of_echo(&voices, loss);
        print_row(&format!("echo {loss} dB"), &scores);
        let found = share_over(&scores[1], THRESHOLD);
        assert!(found >= least, "{found:.1} % of an echo at {loss} dB found");
    }
    let mut all = [Vec::new(), Vec::new()];
    for caller in [0.0, -6.0, -12.0] {
        for loss in [-20.0, -30.0, -40.0] {
            for onsets in [false, true] {
                let scores = of_double_talk(&voices, caller, loss, onsets);
                let which = if onsets { "onsets of a" } else { "" };
                let what = format!("{which} caller {caller} dB, echo {loss} dB");
                print_row(what.trim_start(), &scores);
                // The weak spots are in the description of the threshold.
                if caller >= -6.0 {
                    assert_rare(&what, &scores[0]);
                }
                if caller >= -6.0 || !onsets {
                    assert_rare(&what, &scores[1]);
                }
                all = pool([all, scores].into_iter());
            }
        }
    }
    print_row("all double talk", &all);
    all.iter().for_each(|scores| assert_rare("all double talk", scores));
}

#[test]
fn a_copy_scores_high_and_silence_of_ours_nothing() {
    let wave: Vec<f32> = (0..65).map(|n| -30.0 + 12.0 * (n as f32 * 0.7).sin()).collect();
    let later: Vec<f32> = wave[15..55].iter().map(|db| db - 25.0).collect();
    assert!(echo_score(&later, &wave, -80.0) > 0.95);
    assert_eq!(echo_score(&later, &[SILENCE_DB; 65], -80.0), 0.0);
    let as_loud: Vec<f32> = wave[15..55].to_vec();
    assert!(echo_score(&as_loud, &wave, -80.0) < 0.5, "what is as loud as we are is no echo");
    assert!(echo_score(&[-50.0; 40], &wave, -80.0) < THRESHOLD, "steady noise");
    assert_eq!(echo_score(&[], &[], -80.0), 0.0);
}

#[test]
fn what_was_cleared_has_no_echo() {
    let level = |n: u64| -30.0 + 12.0 * (n as f32 * 0.7).sin();
    let mut core = Echo::new();
    (0..150).for_each(|slot| core.sent(slot, level(slot)));
    (0..100).for_each(|slot: u64| core.heard(slot, level(slot.saturating_sub(5)) - 25.0));
    assert!(core.score(100, WINDOW_SLOTS_MAX) > 0.9);
    core.cleared(40);
    assert!(core.score(100, WINDOW_SLOTS_MAX) < THRESHOLD);
    assert_eq!(core.score(u64::MAX, WINDOW_SLOTS_MIN), 0.0, "nothing is left of so long ago");
}

proptest! {
    #[test]
    fn a_score_is_a_number_up_to_one(
        heard in vec(-120f32..10.0, 0..45), sent in vec(-120f32..10.0, 0..80), noise in -96f32..0.0,
    ) {
        let score = echo_score(&heard, &sent, noise);
        prop_assert!((0.0..=1.0).contains(&score), "{score}");
    }
}
