//! The numbers of a layer that the work of its kernel grows with.

use crate::{LayerKey, Operator};

/// Kernels with more taps along one side count as if all lay inside the input.
const TAPS_COUNTED_MAX: u32 = 4096;

/// Sizes of one layer; products of them are the terms of a fit. Elementwise and moving operators have one tap, and every output
/// channel reads one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sizes {
    /// Rows of output pixels.
    pub(super) rows: f64,
    /// Output pixels; of a product its rows, of all its groups together.
    pub(super) pixels: u64,
    /// Output pixels whose window lies inside the input.
    pub(super) interior: f64,
    /// Output rows that such pixels begin and end in: between them stand pixels at the border.
    pub(super) border_runs: f64,
    /// Taps of a window.
    pub(super) taps: u64,
    /// Rows of a window.
    pub(super) tap_rows: u64,
    /// Taps inside the input, of all output pixels together.
    pub(super) taps_inside: f64,
    /// Groups.
    pub(super) groups: u64,
    /// Output channels of a group.
    pub(super) outputs: u64,
    /// Products in one sum.
    pub(super) products: u64,
    /// Channels of all groups together.
    pub(super) channels: u64,
    /// Codes read.
    pub(super) read: f64,
    /// Input pixels.
    pub(super) area: f64,
    /// Output pixels of one row.
    pub(super) columns: u64,
}

impl Sizes {
    pub(super) fn of(key: &LayerKey) -> Self {
        let wide = u64::from;
        let is_product = matches!(key.operator, Operator::FullyConnected | Operator::MatMul);
        let [height, width] = key.output.map(wide);
        let groups = wide(key.groups).max(1);
        let taps = wide(key.kernel[0]) * wide(key.kernel[1]);
        let group_inputs = wide(key.input_channels) / groups;
        let pixels = height.saturating_mul(width);
        let read = |rows: u64| rows as f64 * wide(key.input_channels) as f64;
        let (vertical, horizontal) = (along(key, 0), along(key, 1));
        Self {
            rows: if is_product { wide(key.rows) as f64 } else { height as f64 },
            pixels: if is_product { wide(key.rows) } else { pixels },
            interior: vertical.0 * horizontal.0,
            border_runs: if horizontal.0 < width as f64 { vertical.0 } else { 0.0 },
            taps,
            tap_rows: wide(key.kernel[0]),
            taps_inside: vertical.1 * horizontal.1,
            groups,
            outputs: wide(key.output_channels) / groups,
            products: if key.operator.has_weights() { taps.saturating_mul(group_inputs) } else { taps },
            channels: wide(key.output_channels),
            read: if is_product { read(wide(key.rows)) } else { read(wide(key.input[0]).saturating_mul(wide(key.input[1]))) },
            area: f64::from(key.input[0]) * f64::from(key.input[1]),
            columns: width,
        }
    }
}

/// Output positions along one axis whose window lies inside the input, and taps inside the input of all positions.
fn along(key: &LayerKey, axis: usize) -> (f64, f64) {
    let wide = |value: u32| i128::from(value);
    let (places, extent) = (wide(key.output[axis]), wide(key.input[axis]));
    let [stride, dilation] = [key.stride, key.dilation].map(|pair| wide(pair[axis]).max(1));
    let (kernel, pad) = (key.kernel[axis], wide(key.padding[axis]));
    if kernel > TAPS_COUNTED_MAX {
        return (places as f64, places as f64 * f64::from(kernel));
    }
    // Places p with 0 <= p * stride + reach < extent.
    let inside = |reach: i128| -> (i128, i128) {
        let first = if reach >= 0 { 0 } else { (-reach + stride - 1) / stride };
        let end = if reach >= extent { 0 } else { (extent - reach + stride - 1) / stride };
        (first.min(places), end.clamp(0, places))
    };
    let mut all = 0;
    for tap in 0..kernel {
        let (first, end) = inside(wide(tap) * dilation - pad);
        all += (end - first).max(0);
    }
    let (first, _) = inside(-pad);
    let (_, end) = inside(wide(kernel.saturating_sub(1)) * dilation - pad);
    ((end - first).max(0) as f64, all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Candidate;

    #[test]
    fn taps_inside_by_counting_them() {
        let bits = Candidate::new(8, 8).unwrap();
        for (input, kernel, stride, padding, dilation) in [
            ([5, 7], [3, 3], [1, 1], [1; 4], [1, 1]),
            ([8, 6], [5, 2], [2, 1], [2, 0, 1, 1], [1, 1]),
            ([9, 9], [3, 3], [2, 3], [2; 4], [2, 1]),
            ([4, 4], [1, 1], [1, 1], [0; 4], [1, 1]),
        ] {
            let mut key = LayerKey::conv(input, 4, 4, kernel, stride, padding, bits).unwrap();
            key.dilation = dilation;
            key.output = key.window_output().unwrap();
            let (mut interior, mut taps) = (0, 0);
            for y in 0..key.output[0] {
                for x in 0..key.output[1] {
                    let at = |place: u32, tap: u32, axis: usize| {
                        i64::from(place * stride[axis] + tap * dilation[axis]) - i64::from(padding[axis])
                    };
                    let mut inside = 0;
                    for ky in 0..kernel[0] {
                        for kx in 0..kernel[1] {
                            let places = [at(y, ky, 0), at(x, kx, 1)];
                            let fits = (0..2).all(|axis| (0..i64::from(input[axis])).contains(&places[axis]));
                            inside += u32::from(fits);
                        }
                    }
                    taps += inside;
                    interior += u32::from(inside == kernel[0] * kernel[1]);
                }
            }
            let sizes = Sizes::of(&key);
            assert_eq!((sizes.interior, sizes.taps_inside), (f64::from(interior), f64::from(taps)), "{key}");
        }
    }

    #[test]
    fn absurd_layers_take_no_time() {
        let bits = Candidate::new(8, 8).unwrap();
        let mut key = LayerKey::conv([8, 8], 4, 4, [3, 3], [1, 1], [1; 4], bits).unwrap();
        (key.input, key.output, key.kernel, key.stride) = ([u32::MAX; 2], [u32::MAX; 2], [u32::MAX; 2], [u32::MAX; 2]);
        (key.dilation, key.padding, key.input_channels) = ([u32::MAX; 2], [u32::MAX; 4], u32::MAX);
        let sizes = Sizes::of(&key);
        assert!(sizes.taps_inside.is_finite() && sizes.interior.is_finite());
    }
}
