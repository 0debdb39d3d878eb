//! A layer that multiplies: every layer of the network is one, convolutions included.

use super::kernel::Kernel;

/// Where the columns of a layer's inputs or outputs stand in a buffer that holds one row per stream.
///
/// Activations are kept time-major, so the window of a convolution is a run of consecutive floats and needs no copy.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// Floats from one stream's row to the next.
    pub(super) row: usize,
    /// Where the first column starts in the row.
    pub(super) first: usize,
    /// Floats from one column to the next in the same row.
    pub(super) step: usize,
}

/// Weights for one instruction set, in panels of outputs.
pub(super) struct Dense {
    panels: Vec<f32>,
    bias: Vec<f32>,
    depth: usize,
    relu: bool,
}

impl Dense {
    /// A layer whose weight from input `k` to output `o` is `weight(o, k)`.
    pub(super) fn new<K: Kernel>(
        depth: usize,
        bias: Vec<f32>,
        relu: bool,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let panels = (0..bias.len() / K::PANEL)
            .flat_map(|panel| (0..depth).map(move |k| (panel, k)))
            .flat_map(|(panel, k)| (0..K::PANEL).map(move |p| (panel * K::PANEL + p, k)))
            .map(|(o, k)| weight(o, k))
            .collect();
        Dense { panels, bias, depth, relu }
    }

    /// Computes `per_row` columns of each of `rows` streams.
    pub(super) fn run<K: Kernel>(
        &self,
        (rows, per_row): (usize, usize),
        (input, inputs): (&[f32], Columns),
        (output, outputs): (&mut [f32], Columns),
    ) {
        let last = |columns: Columns| (rows - 1) * columns.row + columns.first + (per_row - 1) * columns.step;
        assert!(K::available() && rows * per_row > 0);
        assert!(last(inputs) + self.depth <= input.len() && last(outputs) + self.bias.len() <= output.len());
        assert!(
            self.panels.len() == self.depth * self.bias.len() && self.bias.len().is_multiple_of(K::PANEL)
        );
        let columns = rows * per_row;
        for (panel, bias) in self.bias.chunks_exact(K::PANEL).enumerate() {
            let weights = &self.panels[panel * K::PANEL * self.depth..];
            let mut done = 0;
            let mut job = Job { layer: self, weights, bias, per_row, input, inputs, output, outputs, panel };
            while done < columns {
                // SAFETY: the bounds of all columns were checked above.
                done += unsafe {
                    match columns - done {
                        6.. => job.tile::<K, 6>(done),
                        4.. => job.tile::<K, 4>(done),
                        2.. => job.tile::<K, 2>(done),
                        _ => job.tile::<K, 1>(done),
                    }
                };
            }
        }
    }
}

struct Job<'a> {
    layer: &'a Dense,
    weights: &'a [f32],
    bias: &'a [f32],
    per_row: usize,
    input: &'a [f32],
    inputs: Columns,
    output: &'a mut [f32],
    outputs: Columns,
    panel: usize,
}

impl Job<'_> {
    /// # Safety
    /// The columns from `first` to `first + C` exist and lie within the buffers.
    unsafe fn tile<K: Kernel, const C: usize>(&mut self, first: usize) -> usize {
        let place = |columns: Columns, c: usize| {
            let (row, column) = ((first + c) / self.per_row, (first + c) % self.per_row);
            row * columns.row + columns.first + column * columns.step
        };
        // SAFETY: in bounds by the caller's word; columns of the output do not overlap.
        unsafe {
            let columns: [_; C] = std::array::from_fn(|c| self.input.as_ptr().add(place(self.inputs, c)));
            let output = self.output.as_mut_ptr().add(self.panel * K::PANEL);
            let outputs: [_; C] = std::array::from_fn(|c| output.add(place(self.outputs, c)));
            K::tile(
                self.weights.as_ptr(),
                self.layer.depth,
                self.bias.as_ptr(),
                columns,
                outputs,
                self.layer.relu,
            );
        }
        C
    }
}
