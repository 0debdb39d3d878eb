//! Silero VAD version 5 at 8 kHz, as plain Rust: the engine that runs by default.
//!
//! A fixed Fourier transform, four convolutions, one LSTM cell and one dot product. The model wants each chunk after
//! the 32 samples that came before it; without them its answers on telephone speech are worthless.

mod cell;
mod dense;
mod kernel;
mod network;
#[cfg(test)]
mod tests;
mod weights;

use std::sync::{Arc, OnceLock};

use super::port::{CHUNK_SAMPLES, Chunk, SpeechProbability};
use kernel::{Kernel, Portable};
use network::{Network, Scratch};

/// The instructions that the network is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Those that every processor has.
    Portable,
    /// AVX2 and FMA of x86-64.
    Avx2,
    /// AVX-512 of x86-64.
    Avx512,
}

impl Instructions {
    /// Those that this processor has, the best last.
    pub fn available() -> Vec<Self> {
        let mut available = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            available.extend(kernel::Avx2::available().then_some(Self::Avx2));
            available.extend(kernel::Avx512::available().then_some(Self::Avx512));
        }
        available
    }
}

/// What the network remembers of one stream: 1,152 bytes.
#[derive(Clone)]
pub struct State {
    hidden: [f32; 128],
    cell: [f32; 128],
    context: [f32; Self::CONTEXT],
}

impl State {
    /// Samples before a chunk that the model wants with it.
    const CONTEXT: usize = 32;

    /// Writes the network's input for the chunk and keeps the chunk's end for the next one.
    fn fill(&mut self, window: &mut [f32], samples: &[f32; CHUNK_SAMPLES]) {
        let end = Self::CONTEXT + CHUNK_SAMPLES;
        window[..Self::CONTEXT].copy_from_slice(&self.context);
        window[Self::CONTEXT..end].copy_from_slice(samples);
        let (heard, mirrored) = window.split_at_mut(end);
        for (mirror, sample) in mirrored.iter_mut().zip(heard.iter().rev().skip(1)) {
            *mirror = *sample;
        }
        self.context.copy_from_slice(&samples[CHUNK_SAMPLES - Self::CONTEXT..]);
    }
}

/// One thread's engine. The weights are shared by all of a process, about 0.9 MB.
pub struct Silero {
    network: Arc<Network>,
    run: fn(&Network, &mut Scratch, &mut [Chunk<'_, State>]),
    scratch: Scratch,
}

impl Silero {
    /// The engine with the best instructions that this processor has.
    pub fn new() -> Self {
        let best = Instructions::available().pop().unwrap_or(Instructions::Portable);
        Self::with(best)
    }

    /// The engine with these instructions.
    ///
    /// # Panics
    /// When this processor lacks them: ask [`Instructions::available`] first.
    pub fn with(instructions: Instructions) -> Self {
        static NETWORKS: [OnceLock<Arc<Network>>; 3] = [const { OnceLock::new() }; 3];
        fn of<K: Kernel>(instructions: Instructions) -> Silero {
            assert!(K::available(), "this processor lacks {instructions:?}");
            let network = NETWORKS[instructions as usize].get_or_init(|| Arc::new(Network::new::<K>()));
            Silero { network: Arc::clone(network), run: Network::run::<K>, scratch: Scratch::new() }
        }
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => of::<kernel::Avx512>(instructions),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => of::<kernel::Avx2>(instructions),
            _ => of::<Portable>(Instructions::Portable),
        }
    }
}

impl Default for Silero {
    fn default() -> Self {
        Self::new()
    }
}

impl SpeechProbability for Silero {
    type State = State;

    fn open(&self) -> State {
        State { hidden: [0.0; 128], cell: [0.0; 128], context: [0.0; State::CONTEXT] }
    }

    fn probabilities(&mut self, batch: &mut [Chunk<'_, State>]) {
        (self.run)(&self.network, &mut self.scratch, batch);
    }
}
