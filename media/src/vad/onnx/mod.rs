//! The crate `voice_activity_detector` on ONNX Runtime: the second engine.
//!
//! The crate gives its model no context, which makes 8 kHz useless and leaves 16 kHz usable; so it is fed 16 kHz.

mod runtime;
#[cfg(test)]
mod tests;
mod upsample;

use std::path::Path;

use voice_activity_detector::VoiceActivityDetector;

use super::{
    Error,
    port::{CHUNK_SAMPLES, Chunk, SpeechProbability},
};
use upsample::Upsampler;

/// One thread's handle on the detector. All threads share the crate's one session, which takes one chunk at a time.
pub struct Onnx(());

/// What the detector and its resampler remember of one stream: about 1.2 KB.
pub struct State {
    detector: VoiceActivityDetector,
    upsampler: Upsampler,
}

impl Onnx {
    /// Loads ONNX Runtime from this file, once in a process, and opens the model.
    ///
    /// # Errors
    /// When the file cannot be loaded, is too old, is another one than before, or does not run.
    pub fn load(library: &Path) -> Result<Self, Error> {
        runtime::load(library)?;
        // The crate panics where its session cannot be made, so see first that the runtime works at all.
        ort::session::Session::builder().map_err(Error::Runtime)?;
        detector().map_err(Error::Detector)?;
        Ok(Onnx(()))
    }
}

fn detector() -> Result<VoiceActivityDetector, voice_activity_detector::Error> {
    VoiceActivityDetector::builder().sample_rate(16_000).chunk_size(2 * CHUNK_SAMPLES).build()
}

impl SpeechProbability for Onnx {
    type State = State;

    fn open(&self) -> State {
        let detector = detector().expect("the detector took these settings when the engine was loaded");
        State { detector, upsampler: Upsampler::new() }
    }

    fn probabilities(&mut self, batch: &mut [Chunk<'_, State>]) {
        for chunk in batch {
            let samples = chunk.state.upsampler.double(chunk.samples);
            chunk.probability = chunk.state.detector.predict(samples);
        }
    }
}
