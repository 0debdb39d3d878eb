//! Fingerprints of sound: which of two neighbouring bands is the louder, and how that changes.
//!
//! They do not depend on loudness and hardly on mu-law, noise or where a frame begins, and are compared by counting
//! bits, so that a whole library is searched in a fraction of a millisecond.

use std::sync::LazyLock;

use super::{FRAME, SAMPLE_RATE_HZ};

/// Samples under one analysis window: 32 ms.
pub(super) const WINDOW: usize = 256;
/// Recordings are printed every 10 ms.
pub(super) const PRINT_HOP: usize = 80;
/// Calls are printed every 30 ms, and a print looks back over four such steps.
pub(super) const STREAM_HOP: usize = 3 * PRINT_HOP;
/// Frames that one print looks at.
pub(super) const SPAN: usize = 5;

const BANDS: usize = 16;
const LOWEST_HZ: f32 = 200.0;
const HIGHEST_HZ: f32 = 3400.0;
/// Bands this far below the whole are not told apart, for there mu-law and noise decide: 30 dB.
const FLOOR: f32 = 1e-3;
/// Frames this far below the loudest of the recording are not printed: 35 dB.
const QUIET: f32 = 3e-4;

pub(super) type Bands = [f32; BANDS];

/// The fingerprint of a place in a recording.
pub(super) struct Print {
    pub bits: u128,
    /// The start of the last window it looks at, in samples.
    pub at: usize,
}

/// The fingerprint of five windows, 30 ms apart, oldest first.
pub(super) fn print(windows: [&Bands; SPAN]) -> u128 {
    let mut bits = 0;
    for pair in windows.windows(2) {
        let [before, now] = pair else { continue };
        for band in 0..BANDS - 1 {
            let slope = now[band] - now[band + 1];
            let change = slope - (before[band] - before[band + 1]);
            bits = (bits << 2) | u128::from(slope > 0.0) << 1 | u128::from(change > 0.0);
        }
    }
    bits
}

pub(super) fn prints(samples: &[i16], energy: &[f32], peak: f32) -> Vec<Print> {
    let windows: Vec<Bands> = (0..samples.len().saturating_sub(WINDOW - PRINT_HOP) / PRINT_HOP)
        .map(|index| bands(&samples[index * PRINT_HOP..][..WINDOW]))
        .collect();
    let step = STREAM_HOP / PRINT_HOP;
    let loud = |index: usize| {
        let middle = (index * PRINT_HOP + WINDOW / 2) / FRAME;
        energy.get(middle).is_some_and(|&value| value > peak * QUIET)
    };
    ((SPAN - 1) * step..windows.len())
        .filter(|&last| (0..SPAN - 1).all(|back| loud(last - back * step)))
        .map(|last| Print {
            bits: print(std::array::from_fn(|index| &windows[last - (SPAN - 1 - index) * step])),
            at: last * PRINT_HOP,
        })
        .collect()
}

/// The logarithms of the energies in the bands of one window.
pub(super) fn bands(window: &[i16]) -> Bands {
    let tables = &*TABLES;
    let mut re = [0.0f32; WINDOW];
    let mut im = [0.0f32; WINDOW];
    for index in 0..WINDOW {
        re[tables.reversed[index]] = f32::from(window[index]) * tables.hann[index];
    }
    transform(&mut re, &mut im, tables);
    let mut energies = [0.0f32; BANDS];
    for (band, energy) in energies.iter_mut().enumerate() {
        for bin in tables.edges[band]..tables.edges[band + 1] {
            *energy += re[bin] * re[bin] + im[bin] * im[bin];
        }
    }
    let floor = energies.iter().sum::<f32>() * FLOOR + 1.0;
    energies.map(|energy| (energy + floor).ln())
}

struct Tables {
    hann: [f32; WINDOW],
    reversed: [usize; WINDOW],
    cos: [f32; WINDOW / 2],
    sin: [f32; WINDOW / 2],
    edges: [usize; BANDS + 1],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    use std::f32::consts::TAU;
    let mel = |hz: f32| 1127.0 * (1.0 + hz / 700.0).ln();
    let hz = |mel: f32| 700.0 * ((mel / 1127.0).exp() - 1.0);
    let (low, high) = (mel(LOWEST_HZ), mel(HIGHEST_HZ));
    Tables {
        hann: std::array::from_fn(|n| 0.5 - 0.5 * (TAU * n as f32 / WINDOW as f32).cos()),
        reversed: std::array::from_fn(|n| n.reverse_bits() >> (usize::BITS - WINDOW.trailing_zeros())),
        cos: std::array::from_fn(|n| (TAU * n as f32 / WINDOW as f32).cos()),
        sin: std::array::from_fn(|n| -(TAU * n as f32 / WINDOW as f32).sin()),
        edges: std::array::from_fn(|edge| {
            let hz = hz(low + (high - low) * edge as f32 / BANDS as f32);
            (hz * WINDOW as f32 / SAMPLE_RATE_HZ as f32).round() as usize
        }),
    }
});

/// Radix-2 Fourier transform in place, of values in bit-reversed order.
fn transform(re: &mut [f32; WINDOW], im: &mut [f32; WINDOW], tables: &Tables) {
    let mut half = 1;
    while half < WINDOW {
        let stride = WINDOW / (2 * half);
        let mut start = 0;
        while start < WINDOW {
            for offset in 0..half {
                let (cos, sin) = (tables.cos[offset * stride], tables.sin[offset * stride]);
                let (low, high) = (start + offset, start + offset + half);
                let turned_re = re[high] * cos - im[high] * sin;
                let turned_im = re[high] * sin + im[high] * cos;
                (re[high], im[high]) = (re[low] - turned_re, im[low] - turned_im);
                (re[low], im[low]) = (re[low] + turned_re, im[low] + turned_im);
            }
            start += 2 * half;
        }
        half *= 2;
    }
}
