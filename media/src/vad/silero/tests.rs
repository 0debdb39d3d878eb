use super::*;
use crate::vad::reference::{alone, hex_sha256, prompts, suite};

fn agrees_with_the_published_model(instructions: Instructions) {
    let distance = suite(&format!("silero, {instructions:?}"), &mut Silero::with(instructions));
    assert!(distance.chunks > 3000);
    assert!(distance.largest < 1e-4, "largest difference {}", distance.largest);
    assert_eq!(distance.decisions, 0);
}

#[test]
fn portable_code_agrees_with_the_published_model() {
    agrees_with_the_published_model(Instructions::Portable);
}

#[test]
fn vectors_agree_with_the_published_model() {
    for instructions in Instructions::available() {
        if instructions != Instructions::Portable {
            agrees_with_the_published_model(instructions);
        }
    }
}

#[test]
fn vectors_agree_with_portable_code() {
    let prompt = prompts().into_iter().find(|prompt| prompt.file == "vm-intro.wav").unwrap();
    let portable = alone(&mut Silero::with(Instructions::Portable), &prompt.chunks);
    for instructions in Instructions::available() {
        let vectors = alone(&mut Silero::with(instructions), &prompt.chunks);
        for (one, other) in portable.iter().zip(vectors) {
            assert!((one - other).abs() < 1e-4, "{instructions:?}: {one} and {other}");
        }
    }
}

/// Without this a mistake in the detection would leave the vectors untested and unused.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn vectors_are_used_where_the_system_says_that_they_are_there() {
    let said = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let has = |flags: &[&str]| flags.iter().all(|flag| said.split_whitespace().any(|word| word == *flag));
    let available = Instructions::available();
    assert_eq!(available.contains(&Instructions::Avx2), has(&["avx2", "fma"]));
    assert_eq!(available.contains(&Instructions::Avx512), has(&["avx512f", "avx512vl"]));
    println!("instructions: {available:?}");
}

#[test]
fn a_batch_of_any_size_gives_the_same_numbers() {
    let chunks = &prompts()[0].chunks[..4];
    for instructions in Instructions::available() {
        let mut engine = Silero::with(instructions);
        let expected = alone(&mut engine, chunks);
        for size in [1, 2, 3, 5, 7, 32, 33, 70] {
            let mut states: Vec<_> = (0..size).map(|_| engine.open()).collect();
            for (samples, expected) in chunks.iter().zip(&expected) {
                let mut batch: Vec<_> = states.iter_mut().map(|state| Chunk::new(state, samples)).collect();
                engine.probabilities(&mut batch);
                assert!(batch.iter().all(|chunk| chunk.probability == *expected), "{instructions:?}, {size}");
            }
        }
    }
    Silero::new().probabilities(&mut []);
}

#[test]
fn a_stream_needs_little_memory() {
    assert!(size_of::<State>() < 2048);
}

#[test]
fn the_weights_are_those_that_were_derived() {
    let weights = include_bytes!("../../../data/silero_v5_8k.bin");
    let recorded = include_str!("../../../data/silero_v5_8k.bin.sha256");
    assert_eq!(recorded.split_whitespace().next(), Some(&*hex_sha256(weights)));
}
