//! The layers of Silero VAD's 8 kHz branch and what flows between them.

use super::{
    State, cell,
    dense::{Columns, Dense},
    kernel::Kernel,
    weights::tensor,
};
use crate::vad::port::{CHUNK_SAMPLES, Chunk};

/// Streams computed together at most: their activations and the weights stay in the second-level cache.
const MAX_ROWS: usize = 32;
const WINDOW: usize = State::CONTEXT + CHUNK_SAMPLES;
/// The model mirrors this many samples at the end of the window.
const MIRRORED: usize = 32;
const FRAMES: usize = 4;
const BINS: usize = 65;

/// The weights, laid out for one instruction set. Shared by all engines of a process.
pub(super) struct Network {
    spectrum: Dense,
    encoder: [Dense; 4],
    gates: Dense,
    decoder: Vec<f32>,
    decoder_bias: f32,
}

impl Network {
    pub(super) fn new<K: Kernel>() -> Self {
        let basis = tensor("stft.forward_basis_buffer", [130, 1, 128]);
        // The imaginary parts of the first and the last bin are zero: without them there are 128 rows, as
        // `cell::magnitudes` wants them.
        let basis_row = |o: usize| {
            if o == 64 {
                64
            } else if o < 64 {
                o
            } else {
                o + 1
            }
        };
        let spectrum = Dense::new::<K>(128, vec![0.0; 128], false, |o, k| basis[basis_row(o) * 128 + k]);
        let input = tensor("decoder.rnn.weight_ih", [512, 128, 1]);
        let recurrent = tensor("decoder.rnn.weight_hh", [512, 128, 1]);
        let bias = tensor("decoder.rnn.bias_ih", [512, 1, 1]).into_iter();
        let bias = bias.zip(tensor("decoder.rnn.bias_hh", [512, 1, 1])).map(|(a, b)| a + b).collect();
        let gates = Dense::new::<K>(256, bias, false, |o, k| match k {
            0..128 => input[o * 128 + k],
            _ => recurrent[o * 128 + k - 128],
        });
        Network {
            spectrum,
            // The third layer's window reaches one frame before its two inputs, the fourth's one on each side of its
            // one: those frames are padding, so the weights that would meet them are left out.
            encoder: [
                convolution::<K>(0, BINS, 128, 0..3),
                convolution::<K>(1, 128, 64, 0..3),
                convolution::<K>(2, 64, 64, 1..3),
                convolution::<K>(3, 64, 128, 1..2),
            ],
            gates,
            decoder: tensor("decoder.decoder.2.weight", [1, 128, 1]),
            decoder_bias: tensor("decoder.decoder.2.bias", [1, 1, 1])[0],
        }
    }

    /// Advances every stream of the batch by its chunk.
    pub(super) fn run<K: Kernel>(&self, scratch: &mut Scratch, batch: &mut [Chunk<'_, State>]) {
        assert!(K::available(), "the network was laid out for another processor");
        for rows in batch.chunks_mut(MAX_ROWS) {
            self.run_rows::<K>(scratch, rows);
        }
    }

    fn run_rows<K: Kernel>(&self, s: &mut Scratch, batch: &mut [Chunk<'_, State>]) {
        let rows = batch.len();
        for (window, chunk) in s.windows.chunks_exact_mut(WINDOW + MIRRORED).zip(batch.iter_mut()) {
            chunk.state.fill(window, chunk.samples);
        }
        let at = |row, first, step| Columns { row, first, step };
        let one = |row| at(row, 0, 0);
        let windows = (&s.windows[..], at(WINDOW + MIRRORED, 0, 64));
        self.spectrum.run::<K>((rows, FRAMES), windows, (&mut s.spectra, at(FRAMES * 128, 0, 128)));
        magnitudes::<K>(&s.spectra, &mut s.bins, rows);
        let bins = (&s.bins[..], at((FRAMES + 2) * BINS, 0, BINS));
        self.encoder[0].run::<K>((rows, FRAMES), bins, (&mut s.first, at(5 * 128, 128, 128)));
        let first = (&s.first[..], at(5 * 128, 0, 2 * 128));
        self.encoder[1].run::<K>((rows, 2), first, (&mut s.second, at(2 * 64, 0, 64)));
        self.encoder[2].run::<K>((rows, 1), (&s.second, one(2 * 64)), (&mut s.third, one(64)));
        self.encoder[3].run::<K>((rows, 1), (&s.third, one(64)), (&mut s.cell_inputs, one(256)));
        for (input, chunk) in s.cell_inputs.chunks_exact_mut(256).zip(batch.iter()) {
            input[128..].copy_from_slice(&chunk.state.hidden);
        }
        self.gates.run::<K>((rows, 1), (&s.cell_inputs, one(256)), (&mut s.gates, one(512)));
        for (gates, chunk) in s.gates.as_chunks().0.iter().zip(batch) {
            // SAFETY: `run` checked that the processor has the kernel's instructions.
            unsafe { K::step(gates, &mut chunk.state.hidden, &mut chunk.state.cell) };
            chunk.probability = self.decode(&chunk.state.hidden);
        }
    }

    fn decode(&self, hidden: &[f32; 128]) -> f32 {
        let sum: f32 = hidden.iter().zip(&self.decoder).map(|(h, w)| h.max(0.0) * w).sum();
        cell::sigmoid(sum + self.decoder_bias)
    }
}

/// A convolution over time as a dense layer: inputs are the `taps` frames of its window, one after the other.
fn convolution<K: Kernel>(
    index: usize,
    channels: usize,
    outputs: usize,
    taps: std::ops::Range<usize>,
) -> Dense {
    let weights = tensor(&format!("encoder.{index}.reparam_conv.weight"), [outputs, channels, 3]);
    let bias = tensor(&format!("encoder.{index}.reparam_conv.bias"), [outputs, 1, 1]);
    Dense::new::<K>(taps.len() * channels, bias, true, |o, k| {
        weights[(o * channels + k % channels) * 3 + taps.start + k / channels]
    })
}

fn magnitudes<K: Kernel>(spectra: &[f32], bins: &mut [f32], rows: usize) {
    for (spectra, bins) in
        spectra.chunks_exact(FRAMES * 128).zip(bins.chunks_exact_mut((FRAMES + 2) * BINS)).take(rows)
    {
        let frames = bins[BINS..].as_chunks_mut().0;
        for (spectrum, frame) in spectra.as_chunks().0.iter().zip(frames) {
            // SAFETY: `run` checked that the processor has the kernel's instructions.
            unsafe { K::magnitudes(spectrum, frame) };
        }
    }
}

/// Room for the activations of one batch; what is padding in it stays zero.
pub(super) struct Scratch {
    windows: Vec<f32>,
    spectra: Vec<f32>,
    bins: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    third: Vec<f32>,
    cell_inputs: Vec<f32>,
    gates: Vec<f32>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let rows = |floats: usize| vec![0.0; MAX_ROWS * floats];
        Scratch {
            windows: rows(WINDOW + MIRRORED),
            spectra: rows(FRAMES * 128),
            bins: rows((FRAMES + 2) * BINS),
            first: rows(5 * 128),
            second: rows(2 * 64),
            third: rows(64),
            cell_inputs: rows(256),
            gates: rows(512),
        }
    }
}
