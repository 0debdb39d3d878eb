//! The parts of the network between its multiplications, written so that the compiler can use whatever vectors the
//! calling function has.

/// Magnitudes of the 65 bins from the packed spectrum: real parts of the bins 0 to 63, then the real part of bin 64
/// followed by the imaginary parts of the bins 1 to 63.
#[inline(always)]
pub(super) fn magnitudes(spectrum: &[f32; 128], bins: &mut [f32; 65]) {
    let (real, imaginary) = spectrum.split_at(64);
    for i in 1..64 {
        bins[i] = (real[i] * real[i] + imaginary[i] * imaginary[i]).sqrt();
    }
    bins[0] = real[0].abs();
    bins[64] = imaginary[0].abs();
}

/// One step of the LSTM cell, from the sums of its input, forget, cell and output gates.
#[inline(always)]
pub(super) fn step(gates: &[f32; 512], hidden: &mut [f32; 128], cell: &mut [f32; 128]) {
    for i in 0..128 {
        let kept = sigmoid(gates[128 + i]) * cell[i];
        let added = sigmoid(gates[i]) * tanh(gates[256 + i]);
        cell[i] = kept + added;
        hidden[i] = sigmoid(gates[384 + i]) * tanh(cell[i]);
    }
}

/// The logistic function.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

/// e to the power of x, to 2e-7 of its value, without the branches of the library's function.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to a whole number on every processor.
    const ROUND: f32 = 12_582_912.0;
    // Beyond these bounds both users of this function are at 0 or 1 already; min and max also keep the exponent valid.
    let x = x.clamp(-87.0, 87.0);
    let power = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    // ln 2 in two parts, the first exact in few bits, so that the remainder keeps its precision.
    let r = x - power * 0.693_359_4 + power * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let fraction = p * r * r + r + 1.0;
    fraction * f32::from_bits(((power as i32 + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::{sigmoid, tanh};

    #[test]
    fn the_curves_are_those_of_the_library() {
        for i in -20_000..=20_000 {
            let x = i as f32 * 0.01;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - exact).abs() < 2e-7, "sigmoid of {x}");
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 4e-7, "tanh of {x}");
        }
    }
}
