//! The arithmetic of the network for one instruction set.
//!
//! Every output is summed over its inputs in the same order whatever the tile, so that a stream's numbers do not
//! depend on which other streams are computed with it.

/// How one instruction set multiplies a panel of weights with a few columns of inputs.
///
/// # Safety
/// Each method may be called only on a processor that [`Kernel::available`] accepted.
pub(super) unsafe trait Kernel: Send + Sync + 'static {
    /// Outputs that are computed together; divides 64.
    const PANEL: usize;

    /// Whether this processor can run it.
    fn available() -> bool;

    /// `outputs[c][p] = bias[p] + sum over k of weights[k][p] * columns[c][k]`, and no less than 0 if `relu`.
    ///
    /// # Safety
    /// `weights` holds `depth` rows of [`Kernel::PANEL`] floats, each column `depth` floats, `bias` and each output
    /// [`Kernel::PANEL`] floats; outputs overlap with nothing.
    unsafe fn tile<const C: usize>(
        weights: *const f32,
        depth: usize,
        bias: *const f32,
        columns: [*const f32; C],
        outputs: [*mut f32; C],
        relu: bool,
    );

    /// See [`super::cell::magnitudes`].
    ///
    /// # Safety
    /// That of the trait.
    unsafe fn magnitudes(spectrum: &[f32; 128], bins: &mut [f32; 65]);

    /// See [`super::cell::step`].
    ///
    /// # Safety
    /// That of the trait.
    unsafe fn step(gates: &[f32; 512], hidden: &mut [f32; 128], cell: &mut [f32; 128]);
}

/// Plain Rust for any processor.
pub(super) struct Portable;

// SAFETY: uses no special instructions.
unsafe impl Kernel for Portable {
    const PANEL: usize = 16;

    fn available() -> bool {
        true
    }

    unsafe fn tile<const C: usize>(
        weights: *const f32,
        depth: usize,
        bias: *const f32,
        columns: [*const f32; C],
        outputs: [*mut f32; C],
        relu: bool,
    ) {
        // SAFETY: the caller vouches for the lengths.
        unsafe {
            let mut sums = [bias.cast::<[f32; 16]>().read_unaligned(); C];
            for k in 0..depth {
                let row = &*weights.add(16 * k).cast::<[f32; 16]>();
                for c in 0..C {
                    let input = *columns[c].add(k);
                    for p in 0..16 {
                        sums[c][p] += row[p] * input;
                    }
                }
            }
            for c in 0..C {
                if relu {
                    sums[c] = sums[c].map(|sum| sum.max(0.0));
                }
                outputs[c].cast::<[f32; 16]>().write_unaligned(sums[c]);
            }
        }
    }

    unsafe fn magnitudes(spectrum: &[f32; 128], bins: &mut [f32; 65]) {
        super::cell::magnitudes(spectrum, bins);
    }

    unsafe fn step(gates: &[f32; 512], hidden: &mut [f32; 128], cell: &mut [f32; 128]) {
        super::cell::step(gates, hidden, cell);
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Kernel;

    /// Two vectors of 16 outputs: with 8 columns 16 of the 32 registers hold sums.
    pub(in super::super) struct Avx512;

    // SAFETY: `available` asks for every feature that the methods enable.
    unsafe impl Kernel for Avx512 {
        const PANEL: usize = 32;

        fn available() -> bool {
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")
        }

        #[target_feature(enable = "avx512f,avx512vl")]
        unsafe fn tile<const C: usize>(
            weights: *const f32,
            depth: usize,
            bias: *const f32,
            columns: [*const f32; C],
            outputs: [*mut f32; C],
            relu: bool,
        ) {
            // SAFETY: the caller vouches for the lengths.
            unsafe {
                let mut low = [_mm512_loadu_ps(bias); C];
                let mut high = [_mm512_loadu_ps(bias.add(16)); C];
                for k in 0..depth {
                    let row = weights.add(32 * k);
                    let (first, second) = (_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(16)));
                    for c in 0..C {
                        let input = _mm512_set1_ps(*columns[c].add(k));
                        low[c] = _mm512_fmadd_ps(first, input, low[c]);
                        high[c] = _mm512_fmadd_ps(second, input, high[c]);
                    }
                }
                let floor = if relu { _mm512_setzero_ps() } else { _mm512_set1_ps(f32::NEG_INFINITY) };
                for c in 0..C {
                    _mm512_storeu_ps(outputs[c], _mm512_max_ps(low[c], floor));
                    _mm512_storeu_ps(outputs[c].add(16), _mm512_max_ps(high[c], floor));
                }
            }
        }

        #[target_feature(enable = "avx512f,avx512vl")]
        unsafe fn magnitudes(spectrum: &[f32; 128], bins: &mut [f32; 65]) {
            super::super::cell::magnitudes(spectrum, bins);
        }

        #[target_feature(enable = "avx512f,avx512vl")]
        unsafe fn step(gates: &[f32; 512], hidden: &mut [f32; 128], cell: &mut [f32; 128]) {
            super::super::cell::step(gates, hidden, cell);
        }
    }

    /// Two vectors of 8 outputs: with 6 columns 12 of the 16 registers hold sums.
    pub(in super::super) struct Avx2;

    // SAFETY: `available` asks for every feature that the methods enable.
    unsafe impl Kernel for Avx2 {
        const PANEL: usize = 16;

        fn available() -> bool {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
        }

        #[target_feature(enable = "avx2,fma")]
        unsafe fn tile<const C: usize>(
            weights: *const f32,
            depth: usize,
            bias: *const f32,
            columns: [*const f32; C],
            outputs: [*mut f32; C],
            relu: bool,
        ) {
            // SAFETY: the caller vouches for the lengths.
            unsafe {
                let mut low = [_mm256_loadu_ps(bias); C];
                let mut high = [_mm256_loadu_ps(bias.add(8)); C];
                for k in 0..depth {
                    let row = weights.add(16 * k);
                    let (first, second) = (_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8)));
                    for c in 0..C {
                        let input = _mm256_broadcast_ss(&*columns[c].add(k));
                        low[c] = _mm256_fmadd_ps(first, input, low[c]);
                        high[c] = _mm256_fmadd_ps(second, input, high[c]);
                    }
                }
                let floor = if relu { _mm256_setzero_ps() } else { _mm256_set1_ps(f32::NEG_INFINITY) };
                for c in 0..C {
                    _mm256_storeu_ps(outputs[c], _mm256_max_ps(low[c], floor));
                    _mm256_storeu_ps(outputs[c].add(8), _mm256_max_ps(high[c], floor));
                }
            }
        }

        #[target_feature(enable = "avx2,fma")]
        unsafe fn magnitudes(spectrum: &[f32; 128], bins: &mut [f32; 65]) {
            super::super::cell::magnitudes(spectrum, bins);
        }

        #[target_feature(enable = "avx2,fma")]
        unsafe fn step(gates: &[f32; 512], hidden: &mut [f32; 128], cell: &mut [f32; 128]) {
            super::super::cell::step(gates, hidden, cell);
        }
    }
}
