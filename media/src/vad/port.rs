//! What every engine does: say how likely the next 32 ms of a stream are speech.

/// Samples a second of all audio that is given to this module.
pub const SAMPLE_RATE_HZ: u64 = 8000;
/// Samples that one probability is about: 32 ms.
pub const CHUNK_SAMPLES: usize = 256;
/// Milliseconds that one probability is about.
pub const CHUNK_MS: u64 = CHUNK_SAMPLES as u64 * 1000 / SAMPLE_RATE_HZ;

/// The next chunk of one stream, and the place for what the engine says of it.
pub struct Chunk<'a, S> {
    /// What the engine remembers of the stream; advanced by the call.
    pub state: &'a mut S,
    /// 32 ms at 8 kHz, from -1 to 1.
    pub samples: &'a [f32; CHUNK_SAMPLES],
    /// Set by the engine: from 0 (no speech) to 1.
    pub probability: f32,
}

impl<'a, S> Chunk<'a, S> {
    /// A chunk that no engine has seen yet.
    pub fn new(state: &'a mut S, samples: &'a [f32; CHUNK_SAMPLES]) -> Self {
        Chunk { state, samples, probability: 0.0 }
    }
}

/// Says how likely the next chunk of each of a few streams is speech.
///
/// What it remembers of a stream is kept outside, so that one engine serves any number of streams; each worker thread
/// has an engine of its own. A stream's probabilities do not depend on the other streams of its batches.
pub trait SpeechProbability: Send + 'static {
    /// What is remembered of one stream between chunks, under 2 KB.
    type State: Send + 'static;

    /// What is remembered of a stream that has not been heard yet.
    fn open(&self) -> Self::State;

    /// Advances every stream of the batch by its chunk and sets the probabilities. A stream is in a batch once at most.
    fn probabilities(&mut self, batch: &mut [Chunk<'_, Self::State>]);
}
