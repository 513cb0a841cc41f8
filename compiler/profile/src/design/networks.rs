//! Layers of networks that everybody compares with.

use apq_lut::{Candidate, KeyError, LayerKey, Operator};
use apq_targets::Target;

/// The layers of the four networks of MLPerf Tiny, at these widths: they are in every table themselves.
#[must_use]
pub fn networks(target: &Target, candidates: &[Candidate]) -> Vec<LayerKey> {
    let mut keys: Vec<LayerKey> = candidates.iter().flat_map(|bits| tiny(*bits)).flatten().map(LayerKey::with_needed_padding).collect();
    keys.retain(|key| target.kernel_supports(&key.operator, key.weight_bits, key.activation_bits));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Input, channels, output channels, kernel, stride, padding `[top, left, bottom, right]`.
type Layer = ([u32; 2], u32, u32, [u32; 2], [u32; 2], [u32; 4]);

/// ResNet8, the first convolution of DS-CNN, and that of MobileNetV1.
const TINY_WINDOW: [Layer; 9] = [
    ([32, 32], 3, 16, [3, 3], [1, 1], [1; 4]),
    ([32, 32], 16, 16, [3, 3], [1, 1], [1; 4]),
    ([32, 32], 16, 32, [3, 3], [2, 2], [0, 0, 1, 1]),
    ([16, 16], 32, 32, [3, 3], [1, 1], [1; 4]),
    ([32, 32], 16, 32, [1, 1], [2, 2], [0; 4]),
    ([16, 16], 32, 64, [3, 3], [2, 2], [0, 0, 1, 1]),
    ([8, 8], 64, 64, [3, 3], [1, 1], [1; 4]),
    ([16, 16], 32, 64, [1, 1], [2, 2], [0; 4]),
    ([49, 10], 1, 64, [10, 4], [2, 2], [4, 1, 5, 1]),
];

/// Depthwise input, channels and stride of DS-CNN and MobileNetV1 0.25 on 96 x 96, and the output channels behind.
const TINY_SEPARABLE: [([u32; 2], u32, u32, u32); 10] = [
    ([25, 5], 64, 1, 64),
    ([48, 48], 8, 1, 16),
    ([48, 48], 16, 2, 32),
    ([24, 24], 32, 1, 32),
    ([24, 24], 32, 2, 64),
    ([12, 12], 64, 1, 64),
    ([12, 12], 64, 2, 128),
    ([6, 6], 128, 1, 128),
    ([6, 6], 128, 2, 256),
    ([3, 3], 256, 1, 256),
];

/// Classifiers and the autoencoder.
const TINY_CONNECTED: [[u32; 2]; 8] = [[64, 10], [64, 12], [256, 2], [640, 128], [128, 128], [128, 8], [8, 128], [128, 640]];

/// Sums and pools.
const TINY_SUMS: [([u32; 2], u32); 3] = [([32, 32], 16), ([16, 16], 32), ([8, 8], 64)];
const TINY_POOLS: [([u32; 2], u32); 3] = [([8, 8], 64), ([25, 5], 64), ([3, 3], 256)];

fn tiny(bits: Candidate) -> Vec<Result<LayerKey, KeyError>> {
    let conv = |(input, channels, outputs, kernel, stride, padding): Layer| {
        LayerKey::conv(input, channels, outputs, kernel, stride, padding, bits)
    };
    let mut keys: Vec<_> = TINY_WINDOW.map(conv).into();
    keys.push(conv(([96, 96], 3, 8, [3, 3], [2, 2], [0, 0, 1, 1])));
    for (input, channels, stride, outputs) in TINY_SEPARABLE {
        let padding = if stride == 1 { [1; 4] } else { [0, 0, 1, 1] };
        let depthwise = LayerKey::depthwise(input, channels, [3, 3], [stride; 2], padding, bits);
        keys.push(depthwise.clone().and_then(|depthwise| conv((depthwise.output, channels, outputs, [1, 1], [1, 1], [0; 4]))));
        keys.push(depthwise);
    }
    keys.extend(TINY_CONNECTED.map(|[inputs, outputs]| Ok(LayerKey::fully_connected(1, inputs, outputs, bits))));
    keys.extend(TINY_SUMS.map(|(input, channels)| Ok(LayerKey::plain(Operator::Add, input, channels, bits))));
    keys.extend(TINY_POOLS.map(|(input, channels)| {
        let pool = LayerKey::plain(Operator::AveragePool, input, channels, bits);
        Ok(LayerKey { kernel: input, output: [1, 1], ..pool })
    }));
    keys
}
