//! CPU time of one 32 ms chunk, for each engine and a few sizes of batch.
//!
//!     cargo run --release -p media --example vad_cost
//!
//! The engine `onnx` is measured too where `TRUNKLINE_ONNXRUNTIME_LIB` names its library. The sound is human speech
//! from the Debian package asterisk-core-sounds-en-wav; each figure is the median of nine runs of about 2,000 chunks.

use std::{error::Error, path::Path};

use media::vad::{
    onnx::Onnx,
    port::{CHUNK_MS, CHUNK_SAMPLES, Chunk, SpeechProbability},
    silero::{Instructions, Silero},
};

const PROMPT: &str = "/usr/share/asterisk/sounds/en_US_f_Allison/basic-pbx-ivr-main.wav";
const RUNS: usize = 9;
const CHUNKS: usize = 2048;

fn main() -> Result<(), Box<dyn Error>> {
    let reader = hound::WavReader::open(PROMPT)
        .map_err(|error| format!("{PROMPT}: {error}: install asterisk-core-sounds-en-wav"))?;
    let samples = reader.into_samples::<i16>().map(|sample| Ok(f32::from(sample?) / 32768.0));
    let samples = samples.collect::<Result<Vec<f32>, hound::Error>>()?;
    let chunks = samples.as_chunks().0;
    println!("{:<20}{:>10}{:>10}{:>10}   share of a core per call, batch of 8", "us a chunk", "1", "8", "32");
    for instructions in Instructions::available() {
        measure(&format!("silero {instructions:?}"), &mut Silero::with(instructions), chunks);
    }
    if let Some(library) = std::env::var_os("TRUNKLINE_ONNXRUNTIME_LIB") {
        measure("onnx", &mut Onnx::load(Path::new(&library))?, chunks);
    }
    Ok(())
}

fn measure<E: SpeechProbability>(name: &str, engine: &mut E, chunks: &[[f32; CHUNK_SAMPLES]]) {
    let [one, eight, many] = [1, 8, 32].map(|size| {
        let mut states: Vec<_> = (0..size).map(|_| engine.open()).collect();
        let mut runs: Vec<f64> = (0..RUNS).map(|_| run(engine, &mut states, chunks)).collect();
        runs.sort_by(f64::total_cmp);
        runs[RUNS / 2]
    });
    let share = eight / (CHUNK_MS as f64 * 1000.0) * 100.0;
    println!("{name:<20}{one:>10.1}{eight:>10.1}{many:>10.1}   {share:.3} %");
}

/// Microseconds of this thread's CPU time a chunk.
fn run<E: SpeechProbability>(
    engine: &mut E,
    states: &mut [E::State],
    chunks: &[[f32; CHUNK_SAMPLES]],
) -> f64 {
    let (streams, rounds) = (states.len(), CHUNKS / states.len());
    let started = thread_cpu_us();
    for round in 0..rounds {
        let sound = |stream| &chunks[(round + 97 * stream) % chunks.len()];
        let streams = states.iter_mut().enumerate();
        let mut batch: Vec<_> = streams.map(|(stream, state)| Chunk::new(state, sound(stream))).collect();
        engine.probabilities(&mut batch);
    }
    (thread_cpu_us() - started) / (rounds * streams) as f64
}

fn thread_cpu_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; this clock exists on every Linux.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 * 1e-3
}
