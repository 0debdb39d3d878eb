//! The suite that every engine passes: held against what the published model says of human telephone prompts.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::port::{CHUNK_SAMPLES, Chunk, SpeechProbability};

const SOUNDS: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";
const REFERENCE: &str = include_str!("../../data/silero_reference.json");

#[derive(Deserialize)]
struct Reference {
    prompts: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    file: String,
    sha256: String,
    probabilities: Vec<f32>,
}

/// A prompt in full chunks, and what the published model says of each.
pub(super) struct Prompt {
    pub(super) file: String,
    pub(super) chunks: Vec<[f32; CHUNK_SAMPLES]>,
    pub(super) probabilities: Vec<f32>,
}

/// How far an engine is from the reference.
#[derive(Clone, Copy, Default)]
pub(super) struct Distance {
    pub(super) chunks: usize,
    pub(super) largest: f32,
    /// Chunks that are speech at 0.5 by one of the two only.
    pub(super) decisions: usize,
}

pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn prompts() -> Vec<Prompt> {
    let reference: Reference = serde_json::from_str(REFERENCE).unwrap();
    reference.prompts.into_iter().map(prompt).collect()
}

fn prompt(recorded: Recorded) -> Prompt {
    let path = format!("{SOUNDS}/{}", recorded.file);
    let wav = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{path}: {error}: install the Debian package asterisk-core-sounds-en-wav")
    });
    assert_eq!(
        hex_sha256(&wav),
        recorded.sha256,
        "{path} is not the recording that the reference was made from"
    );
    let samples = hound::WavReader::new(&wav[..]).unwrap().into_samples::<i16>();
    let samples: Vec<f32> = samples.map(|sample| f32::from(sample.unwrap()) / 32768.0).collect();
    let chunks = samples.as_chunks().0.to_vec();
    assert_eq!(chunks.len(), recorded.probabilities.len(), "chunks of {path}");
    Prompt { file: recorded.file, chunks, probabilities: recorded.probabilities }
}

/// What the engine says of the chunks when their stream is alone.
pub(super) fn alone<E: SpeechProbability>(engine: &mut E, chunks: &[[f32; CHUNK_SAMPLES]]) -> Vec<f32> {
    let mut state = engine.open();
    let mut next = |samples| {
        let mut batch = [Chunk::new(&mut state, samples)];
        engine.probabilities(&mut batch);
        batch[0].probability
    };
    chunks.iter().map(&mut next).collect()
}

/// What the engine says of each prompt when all are streams of one batch, for as long as each lasts.
pub(super) fn together<E: SpeechProbability>(engine: &mut E, prompts: &[Prompt]) -> Vec<Vec<f32>> {
    let mut states: Vec<_> = prompts.iter().map(|_| engine.open()).collect();
    let mut said = vec![Vec::new(); prompts.len()];
    for n in 0..prompts.iter().map(|prompt| prompt.chunks.len()).max().unwrap_or(0) {
        let streams = states.iter_mut().zip(prompts).zip(&mut said);
        let (mut batch, said): (Vec<_>, Vec<_>) = streams
            .filter_map(|((state, prompt), said)| Some((Chunk::new(state, prompt.chunks.get(n)?), said)))
            .unzip();
        engine.probabilities(&mut batch);
        for (chunk, said) in batch.iter().zip(said) {
            said.push(chunk.probability);
        }
    }
    said
}

/// Runs the suite, prints how far the engine is from the reference and returns it.
pub(super) fn suite<E: SpeechProbability>(name: &str, engine: &mut E) -> Distance {
    let prompts = prompts();
    let said = together(engine, &prompts);
    let mut distance = Distance::default();
    for (prompt, said) in prompts.iter().zip(&said) {
        distance.chunks += said.len();
        for (ours, theirs) in said.iter().zip(&prompt.probabilities) {
            assert!((0.0..=1.0).contains(ours), "{name} says {ours} of a chunk of {}", prompt.file);
            distance.largest = distance.largest.max((ours - theirs).abs());
            distance.decisions += usize::from((*ours >= 0.5) != (*theirs >= 0.5));
        }
    }
    // A stream's numbers must not depend on its company: short prompts are enough to see that.
    for (prompt, said) in prompts.iter().zip(&said).filter(|(prompt, _)| prompt.chunks.len() < 110) {
        assert_eq!(&alone(engine, &prompt.chunks), said, "{name} on {}, alone and in a batch", prompt.file);
    }
    let silence = alone(engine, &[[0.0; CHUNK_SAMPLES]; 60]);
    assert!(silence.iter().all(|said| *said < 0.5), "{name} hears speech in silence: {silence:?}");
    let Distance { chunks, largest, decisions } = distance;
    println!(
        "{name}: {chunks} chunks, largest difference {largest:.1e}, {decisions} decisions at 0.5 differ"
    );
    distance
}
