//! The built-in list: layers whose counts stand for those of all others.
//!
//! Small, so that a core is measured in a minute; each size takes values with every remainder that blocks of 2, 4, 8 and 16 leave, and each
//! goes from small to large while the others do not, so that a fit can tell them apart.

mod networks;

pub use networks::networks;

use apq_lut::{Candidate, KeyError, LayerKey, Operator, WIDTHS};
use apq_targets::Target;

/// Input `[height, width]`, channels, output channels, kernel, stride, padding at all sides.
type Shape = ([u32; 2], u32, u32, [u32; 2], [u32; 2], u32);

const POINTWISE: [Shape; 23] = [
    ([4, 4], 8, 8, [1, 1], [1, 1], 0),
    ([5, 5], 16, 8, [1, 1], [1, 1], 0),
    ([6, 6], 32, 16, [1, 1], [1, 1], 0),
    ([3, 5], 64, 12, [1, 1], [1, 1], 0),
    ([8, 8], 16, 3, [1, 1], [1, 1], 0),
    ([7, 7], 8, 33, [1, 1], [1, 1], 0),
    ([2, 3], 128, 16, [1, 1], [1, 1], 0),
    ([9, 9], 4, 2, [1, 1], [1, 1], 0),
    ([5, 5], 12, 20, [1, 1], [1, 1], 0),
    ([4, 8], 24, 7, [1, 1], [1, 1], 0),
    ([10, 10], 20, 16, [1, 1], [1, 1], 0),
    ([1, 2], 256, 8, [1, 1], [1, 1], 0),
    ([12, 13], 8, 16, [1, 1], [1, 1], 0),
    ([2, 2], 64, 64, [1, 1], [1, 1], 0),
    ([25, 5], 64, 16, [1, 1], [1, 1], 0),
    ([16, 16], 16, 32, [1, 1], [1, 1], 0),
    ([20, 12], 8, 24, [1, 1], [1, 1], 0),
    ([6, 6], 96, 64, [1, 1], [1, 1], 0),
    ([14, 14], 32, 16, [1, 1], [1, 1], 0),
    ([24, 24], 8, 8, [1, 1], [1, 1], 0),
    ([3, 3], 128, 64, [1, 1], [1, 1], 0),
    ([9, 7], 40, 10, [1, 1], [1, 1], 0),
    ([11, 5], 28, 36, [1, 1], [1, 1], 0),
];

const WINDOW: [Shape; 26] = [
    ([8, 8], 4, 8, [3, 3], [1, 1], 1),
    ([8, 8], 16, 8, [3, 3], [1, 1], 1),
    ([6, 6], 32, 8, [3, 3], [1, 1], 1),
    ([9, 7], 8, 6, [3, 3], [2, 2], 1),
    ([8, 8], 8, 16, [1, 1], [2, 2], 0),
    ([7, 7], 8, 5, [5, 5], [1, 1], 2),
    ([10, 6], 4, 3, [3, 5], [1, 1], 1),
    ([5, 5], 16, 16, [3, 3], [1, 1], 0),
    ([14, 14], 4, 4, [3, 3], [1, 1], 1),
    ([6, 9], 12, 7, [3, 3], [1, 1], 1),
    ([12, 4], 12, 4, [10, 4], [2, 2], 1),
    ([4, 4], 64, 8, [3, 3], [1, 1], 1),
    ([16, 8], 16, 32, [1, 1], [2, 2], 0),
    ([3, 3], 64, 16, [3, 3], [1, 1], 1),
    ([10, 10], 8, 24, [3, 3], [2, 2], 1),
    ([6, 6], 20, 10, [2, 2], [2, 2], 0),
    ([16, 16], 16, 4, [3, 3], [1, 1], 1),
    ([11, 3], 4, 12, [4, 3], [1, 1], 1),
    ([16, 16], 8, 16, [3, 3], [1, 1], 1),
    ([12, 12], 16, 32, [3, 3], [1, 1], 1),
    ([16, 16], 32, 16, [1, 1], [2, 2], 0),
    ([20, 20], 4, 8, [3, 3], [2, 2], 1),
    ([13, 9], 8, 12, [3, 3], [1, 1], 1),
    ([24, 24], 8, 8, [1, 1], [2, 2], 0),
    ([6, 6], 48, 14, [3, 3], [2, 2], 1),
    ([7, 15], 4, 18, [5, 5], [2, 2], 2),
];

const GATHERED: [Shape; 24] = [
    ([12, 12], 3, 8, [3, 3], [1, 1], 1),
    ([16, 16], 3, 8, [3, 3], [2, 2], 1),
    ([16, 10], 1, 16, [10, 4], [2, 2], 3),
    ([10, 10], 1, 4, [3, 3], [1, 1], 1),
    ([8, 8], 5, 6, [3, 3], [1, 1], 1),
    ([7, 7], 6, 8, [1, 1], [1, 1], 0),
    ([6, 6], 10, 10, [1, 1], [1, 1], 0),
    ([9, 8], 2, 4, [5, 5], [1, 1], 2),
    ([9, 9], 3, 16, [7, 7], [2, 2], 3),
    ([20, 20], 3, 16, [3, 3], [1, 1], 1),
    ([25, 10], 1, 32, [10, 4], [2, 2], 3),
    ([14, 14], 1, 6, [5, 5], [1, 1], 0),
    ([4, 4], 30, 12, [3, 3], [1, 1], 1),
    ([24, 24], 3, 8, [3, 3], [2, 2], 1),
    ([5, 9], 7, 3, [1, 3], [1, 1], 0),
    ([28, 12], 1, 3, [3, 1], [1, 1], 1),
    ([32, 32], 3, 16, [3, 3], [1, 1], 1),
    ([40, 40], 3, 8, [3, 3], [2, 2], 1),
    ([12, 12], 1, 16, [3, 3], [1, 1], 1),
    ([9, 9], 5, 12, [1, 1], [1, 1], 0),
    ([49, 10], 1, 24, [10, 4], [2, 2], 4),
    ([18, 18], 3, 32, [3, 3], [2, 2], 1),
    ([8, 8], 6, 20, [3, 3], [1, 1], 1),
    ([30, 30], 1, 4, [1, 1], [1, 1], 0),
];

/// Of one pixel.
const PIXEL: [Shape; 7] = [
    ([1, 1], 64, 10, [1, 1], [1, 1], 0),
    ([1, 1], 16, 64, [1, 1], [1, 1], 0),
    ([1, 1], 128, 16, [1, 1], [1, 1], 0),
    ([1, 1], 40, 33, [1, 1], [1, 1], 0),
    ([1, 1], 256, 4, [1, 1], [1, 1], 0),
    ([1, 1], 90, 6, [1, 1], [1, 1], 0),
    ([1, 1], 96, 96, [1, 1], [1, 1], 0),
];

/// The same with groups.
const GROUPED: [(Shape, u32); 8] = [
    (([6, 6], 8, 8, [3, 3], [1, 1], 1), 2),
    (([8, 8], 16, 16, [3, 3], [1, 1], 1), 4),
    (([5, 5], 32, 16, [1, 1], [1, 1], 0), 4),
    (([7, 7], 12, 6, [3, 3], [2, 2], 1), 3),
    (([4, 4], 24, 24, [1, 1], [1, 1], 0), 3),
    (([9, 9], 4, 8, [3, 3], [1, 1], 1), 2),
    (([3, 3], 64, 32, [1, 1], [1, 1], 0), 2),
    (([6, 5], 20, 10, [3, 3], [1, 1], 1), 5),
];

/// Input, channels, kernel, stride, padding.
type DepthwiseShape = ([u32; 2], u32, [u32; 2], [u32; 2], u32);

const DEPTHWISE: [DepthwiseShape; 47] = [
    ([6, 6], 8, [3, 3], [1, 1], 1),
    ([7, 5], 16, [3, 3], [1, 1], 1),
    ([4, 4], 32, [3, 3], [1, 1], 1),
    ([12, 12], 4, [3, 3], [1, 1], 1),
    ([9, 6], 12, [3, 3], [1, 1], 1),
    ([3, 3], 64, [3, 3], [1, 1], 1),
    ([2, 8], 24, [3, 3], [1, 1], 1),
    ([5, 5], 10, [3, 3], [1, 1], 1),
    ([8, 8], 3, [3, 3], [1, 1], 1),
    ([10, 7], 8, [3, 3], [1, 1], 0),
    ([25, 5], 16, [3, 3], [1, 1], 1),
    ([5, 14], 20, [3, 3], [1, 1], 1),
    ([6, 6], 128, [3, 3], [1, 1], 1),
    ([16, 16], 8, [3, 3], [1, 1], 1),
    ([8, 8], 8, [3, 3], [2, 2], 1),
    ([9, 7], 16, [3, 3], [2, 2], 1),
    ([6, 6], 32, [3, 3], [2, 2], 1),
    ([16, 16], 4, [3, 3], [2, 2], 1),
    ([12, 12], 16, [3, 3], [2, 2], 1),
    ([4, 6], 64, [3, 3], [2, 2], 1),
    ([10, 5], 12, [3, 3], [2, 2], 0),
    ([7, 7], 6, [3, 3], [2, 2], 1),
    ([20, 20], 8, [3, 3], [2, 2], 1),
    ([5, 12], 24, [3, 3], [2, 2], 1),
    ([8, 8], 8, [5, 5], [1, 1], 2),
    ([7, 6], 16, [5, 5], [1, 1], 2),
    ([9, 9], 4, [7, 7], [1, 1], 3),
    ([8, 8], 12, [7, 7], [1, 1], 3),
    ([10, 10], 8, [5, 5], [2, 2], 2),
    ([6, 8], 32, [5, 5], [1, 1], 2),
    ([12, 5], 10, [5, 3], [1, 1], 1),
    ([8, 8], 16, [1, 3], [1, 1], 0),
    ([6, 6], 24, [2, 2], [2, 2], 0),
    ([5, 5], 48, [5, 5], [1, 1], 2),
    ([24, 24], 8, [3, 3], [1, 1], 1),
    ([12, 12], 64, [3, 3], [1, 1], 1),
    ([25, 5], 64, [3, 3], [1, 1], 1),
    ([48, 12], 4, [3, 3], [1, 1], 1),
    ([3, 3], 128, [3, 3], [1, 1], 1),
    ([14, 14], 24, [3, 3], [1, 1], 1),
    ([24, 24], 16, [3, 3], [2, 2], 1),
    ([12, 12], 32, [3, 3], [2, 2], 1),
    ([6, 6], 64, [3, 3], [2, 2], 1),
    ([48, 20], 4, [3, 3], [2, 2], 1),
    ([14, 10], 40, [3, 3], [2, 2], 1),
    ([14, 14], 16, [5, 5], [1, 1], 2),
    ([16, 9], 12, [5, 5], [2, 2], 2),
];

/// Rows, inputs, outputs.
const FULLY_CONNECTED: [[u32; 3]; 22] = [
    [1, 16, 4],
    [1, 64, 10],
    [1, 64, 12],
    [1, 128, 8],
    [1, 256, 2],
    [1, 320, 32],
    [1, 128, 128],
    [1, 33, 7],
    [1, 90, 16],
    [1, 8, 128],
    [1, 512, 4],
    [1, 20, 20],
    [1, 70, 9],
    [1, 48, 65],
    [4, 16, 8],
    [6, 32, 16],
    [5, 64, 10],
    [9, 24, 24],
    [3, 30, 7],
    [16, 12, 12],
    [2, 96, 5],
    [7, 20, 33],
];

/// Independent products, rows, inputs, outputs of one.
const MATMUL: [[u32; 4]; 8] =
    [[1, 4, 8, 4], [1, 8, 16, 8], [2, 6, 12, 5], [1, 16, 8, 16], [1, 3, 64, 10], [4, 8, 8, 8], [1, 20, 12, 7], [3, 5, 32, 9]];

/// Image and channels of operators that only go through their codes.
const PLAIN: [([u32; 2], u32); 9] =
    [([4, 4], 8), ([8, 8], 16), ([5, 7], 10), ([12, 12], 4), ([3, 3], 64), ([16, 16], 16), ([9, 5], 3), ([1, 1], 128), ([2, 6], 33)];

/// Image, channels, window and stride of pools; a window of 0 is the whole image.
const POOLS: [([u32; 2], u32, u32, u32); 14] = [
    ([4, 4], 16, 0, 1),
    ([8, 8], 64, 0, 1),
    ([25, 5], 16, 0, 1),
    ([7, 7], 10, 0, 1),
    ([3, 3], 128, 0, 1),
    ([6, 6], 33, 0, 1),
    ([12, 10], 8, 0, 1),
    ([8, 8], 8, 2, 2),
    ([9, 9], 16, 3, 2),
    ([6, 6], 32, 2, 2),
    ([12, 12], 4, 3, 1),
    ([7, 10], 10, 2, 1),
    ([16, 16], 8, 4, 4),
    ([5, 5], 24, 3, 1),
];

/// Every layer of the list at these widths that the target has kernels for; operators without weights at each width of an activation.
#[must_use]
pub fn layers(target: &Target, candidates: &[Candidate]) -> Vec<LayerKey> {
    let mut keys: Vec<LayerKey> = candidates.iter().flat_map(|bits| weighted(*bits)).flatten().collect();
    let mut widths: Vec<u8> = candidates.iter().map(|bits| bits.activation_bits).collect();
    widths.sort_unstable();
    widths.dedup();
    keys.extend(widths.into_iter().filter_map(|width| Candidate::new(width, width)).flat_map(unweighted).flatten());
    keys.retain(|key| target.kernel_supports(&key.operator, key.weight_bits, key.activation_bits));
    keys
}

/// Every pair of widths that a weighted layer of the target can have.
#[must_use]
pub fn all_candidates(target: &Target) -> Vec<Candidate> {
    let pairs =
        WIDTHS.iter().flat_map(|weight_bits| WIDTHS.iter().filter_map(|activation_bits| Candidate::new(*weight_bits, *activation_bits)));
    let operators = [Operator::Conv, Operator::Depthwise, Operator::FullyConnected];
    let runs = |bits: &Candidate| operators.iter().any(|operator| target.kernel_supports(operator, bits.weight_bits, bits.activation_bits));
    pairs.filter(runs).collect()
}

fn weighted(bits: Candidate) -> Vec<Result<LayerKey, KeyError>> {
    let conv = |(input, channels, outputs, kernel, stride, padding): Shape| {
        LayerKey::conv(input, channels, outputs, kernel, stride, [padding; 4], bits)
    };
    let mut keys: Vec<_> = POINTWISE.into_iter().chain(WINDOW).chain(GATHERED).chain(PIXEL).map(conv).collect();
    keys.extend(GROUPED.into_iter().map(|(shape, groups)| Ok(LayerKey { groups, ..conv(shape)? })));
    keys.extend(
        DEPTHWISE
            .into_iter()
            .map(|(input, channels, kernel, stride, padding)| LayerKey::depthwise(input, channels, kernel, stride, [padding; 4], bits)),
    );
    keys.extend(FULLY_CONNECTED.map(|[rows, inputs, outputs]| Ok(LayerKey::fully_connected(rows, inputs, outputs, bits))));
    keys
}

fn unweighted(bits: Candidate) -> Vec<Result<LayerKey, KeyError>> {
    let mut keys = Vec::new();
    for [batches, rows, inputs, outputs] in MATMUL {
        let mut key = LayerKey::fully_connected(rows, inputs * batches, outputs * batches, bits);
        (key.operator, key.groups) = (Operator::MatMul, batches);
        keys.push(Ok(key));
    }
    for (input, channels, window, stride) in POOLS {
        for operator in [Operator::AveragePool, Operator::MaxPool] {
            let kernel = if window == 0 { input } else { [window; 2] };
            let mut key = LayerKey { kernel, stride: [stride; 2], ..LayerKey::plain(operator, input, channels, bits) };
            keys.push(key.window_output().map(|output| {
                key.output = output;
                key
            }));
        }
    }
    use Operator::{Add, Concat, LayerNorm, Mul, Pad, Prelu, Requantize, Resize, Slice, Softmax, Sub, Table, Transpose};
    for (input, channels) in PLAIN {
        for operator in [Add, Mul, Sub, Requantize, Prelu, Softmax, Table, LayerNorm] {
            keys.push(Ok(LayerKey::plain(operator, input, channels, bits)));
        }
        let [height, width] = input;
        let to = |operator: Operator, output: [u32; 2], outputs: u32| {
            Ok(LayerKey { output, output_channels: outputs, ..LayerKey::plain(operator, input, channels, bits) })
        };
        keys.push(to(Pad, [height + 2, width + 2], channels));
        keys.push(to(Slice, [height.div_ceil(2), width.div_ceil(2)], channels));
        keys.push(to(Resize, [height * 2, width * 2], channels));
        keys.push(to(Concat, input, channels * 2));
        keys.push(to(Transpose, [channels, height], width));
    }
    keys
}
