use std::path::Path;

use proptest::{collection::vec, prelude::*};

use super::{Level, SILENCE_DB, Strength, dbfs};

const SOUNDS: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";
const PROMPTS: [&str; 8] = [
    "demo-instruct",
    "priv-callee-options",
    "demo-congrats",
    "basic-pbx-ivr-main",
    "demo-echotest",
    "vm-options",
    "demo-abouttotry",
    "vm-msginstruct",
];
/// Levels over this are the prompts' speech: their pauses are far below it.
const SPEECH_DB: f32 = -45.0;

/// The samples of a human prompt at 8 kHz, `seconds` of them at most.
pub(in crate::turn) fn prompt(name: &str, seconds: usize) -> Vec<f32> {
    let path = Path::new(SOUNDS).join(name).with_extension("wav");
    let reader = hound::WavReader::open(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: install the Debian package asterisk-core-sounds-en-wav", path.display())
    });
    reader.into_samples::<i16>().take(8000 * seconds).map(|sample| f32::from(sample.unwrap())).collect()
}

/// The code for a sample.
pub(in crate::turn) fn to_ulaw(sample: f32) -> u8 {
    let sample = sample.round().clamp(-32635.0, 32635.0) as i32;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let biased = sample.abs() + 132;
    let exponent = 24 - biased.leading_zeros() as i32;
    !(sign | (exponent << 4) as u8 | ((biased >> (exponent + 3)) & 0x0f) as u8)
}

/// A level as a factor of samples.
pub(in crate::turn) fn factor(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// The 20 ms frames of a prompt, `gain_db` louder.
fn frames(name: &str, gain_db: f32) -> Vec<Vec<u8>> {
    let gain = factor(gain_db);
    let codes: Vec<u8> = prompt(name, 20).iter().map(|sample| to_ulaw(sample * gain)).collect();
    codes.chunks(160).map(<[u8]>::to_vec).collect()
}

fn caller_of(frames: &[Vec<u8>]) -> Level {
    let mut level = Level::new();
    for frame in frames {
        let db = level.push(frame);
        if db > SPEECH_DB {
            level.speech_frame(db);
        }
    }
    level
}

#[test]
fn levels_are_in_dbfs() {
    assert_eq!(dbfs(&[]), SILENCE_DB);
    assert_eq!(dbfs(&[0xff; 160]), SILENCE_DB);
    assert!((dbfs(&[0x80; 160]) - -0.17).abs() < 0.01, "the loudest code");
    assert!((dbfs(&[0x7e; 160]) - -72.2).abs() < 0.1, "the softest");
    let half = 20.0 * (16764f32 / 32768.0).log10();
    assert!((dbfs(&[to_ulaw(16764.0); 160]) - half).abs() < 0.3);
}

#[test]
fn the_callers_level_is_that_of_the_syllables() {
    let mut level = Level::new();
    (0..24).for_each(|_| level.speech_frame(-20.0));
    assert_eq!(level.caller_level(), None, "not half a second yet");
    (0..76).for_each(|n| level.speech_frame(if n < 30 { -50.0 } else { -20.0 }));
    assert_eq!(level.caller_level(), Some(-20.0), "pauses do not count");
    (0..20).for_each(|_| level.speech_frame(-3.0));
    assert_eq!(level.caller_level(), Some(-20.0), "nor do shouts");
    (0..500).for_each(|_| level.speech_frame(-33.0));
    assert_eq!(level.caller_level(), Some(-33.0), "what is 10 s old is forgotten");
    (0..400).for_each(|_| level.speech_frame(-70.0));
    level.forget_last(400);
    assert_eq!(level.caller_level(), Some(-33.0), "the silence after the speech is not learned");
    level.forget_last(1000);
    assert_eq!(level.caller_level(), None);
}

#[test]
fn without_a_known_level_the_floor_decides() {
    let mut level = Level::new();
    assert_eq!(level.onset_strength(10), Strength::Weak, "nothing was heard");
    (0..10).for_each(|_| _ = level.push(&[to_ulaw(1600.0); 160]));
    assert_eq!(level.onset_strength(10), Strength::Strong, "-26 dBFS");
    (0..10).for_each(|_| _ = level.push(&[to_ulaw(400.0); 160]));
    assert_eq!(level.onset_strength(10), Strength::Weak, "-38 dBFS");
}

#[test]
fn a_click_does_not_make_an_onset_strong() {
    let mut level = caller_of(&frames("demo-instruct", 0.0));
    (0..12).for_each(|n| _ = level.push(&[if n == 6 { 0x80 } else { 0xff }; 160]));
    assert_ne!(level.onset_strength(12), Strength::Strong);
}

/// Strong onsets in per cent, of all onsets of the prompts changed by `gain_db`, 200 ms into them.
fn strong_share(gain_db: f32) -> (usize, f64) {
    let (mut onsets, mut strong) = (0, 0);
    for name in PROMPTS {
        let mut level = caller_of(&frames(name, 0.0));
        let (mut quiet, mut speech) = (0, 0);
        for frame in frames(name, gain_db) {
            let loud = level.push(&frame) > SPEECH_DB + gain_db;
            (quiet, speech) = match (loud, speech) {
                (false, _) => (quiet + 1, 0),
                (true, 0) if quiet < 5 => (0, 0),
                (true, _) => (quiet, speech + 1),
            };
            if speech == 10 {
                onsets += 1;
                strong += usize::from(level.onset_strength(10) == Strength::Strong);
                (quiet, speech) = (0, 0);
            }
        }
    }
    (onsets, strong as f64 * 100.0 / onsets as f64)
}

#[test]
fn own_onsets_are_strong_and_echoes_weak() {
    println!("strong onsets by their gain against the caller's own speech");
    let shares: Vec<f64> = [0.0, -3.0, -6.0, -9.0, -12.0, -15.0, -20.0, -30.0]
        .into_iter()
        .map(|gain| {
            let (onsets, share) = strong_share(gain);
            println!("{gain:4} dB  {share:5.1} % of {onsets}");
            share
        })
        .collect();
    assert!(shares[0] >= 95.0, "{:.1} % of the caller's own onsets are strong", shares[0]);
    assert!(shares[6] <= 2.0, "{:.1} % of echoes at -20 dB are strong", shares[6]);
}

proptest! {
    #[test]
    fn levels_stay_in_range_and_memory_bounded(
        frames in vec(vec(any::<u8>(), 0..200), 0..80), speech in vec(-200f32..50.0, 0..700), onset in 0usize..100,
    ) {
        let mut level = Level::new();
        for frame in &frames {
            prop_assert!((SILENCE_DB..=0.0).contains(&level.push(frame)));
        }
        speech.iter().for_each(|db| level.speech_frame(*db));
        if let Some(caller) = level.caller_level() {
            prop_assert!((SILENCE_DB..=0.0).contains(&caller));
        }
        prop_assert_eq!(level.caller_level().is_some(), speech.len() >= 25);
        let _ = level.onset_strength(onset);
        prop_assert!(level.recent.len() <= 50 && level.speech.len() <= 500);
        prop_assert_eq!(level.counts.iter().map(|n| usize::from(*n)).sum::<usize>(), level.speech.len());
    }
}
