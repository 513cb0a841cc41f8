//! MobileNetV1 at width 0.25 on 96 x 96 images: the shape of the visual-wake-words network of MLPerf Tiny, with random weights.
//!
//! "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", Howard et al., 2017, table 1. What a network of this
//! shape costs in time and memory does not depend on its weights, so that none have to be trained; they are drawn such that the
//! activations keep their size from layer to layer.

use crate::onnx::{Dim, GraphBuilder};
use crate::random::Random;

/// Height and width of the input.
pub const SIZE: usize = 96;

/// Classes of the output.
pub const CLASSES: usize = 2;

/// Multiply-accumulates of one inference.
pub const MACS: u64 = 7_489_664;

/// Output channels of the first convolution.
const STEM: usize = 8;

/// Stride of each depthwise convolution and output channels of the pointwise one behind it.
const BLOCKS: [(usize, usize); 13] =
    [(1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 128), (1, 128), (1, 128), (1, 128), (1, 128), (1, 128), (2, 256), (1, 256)];

/// Batch normalization in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// A node behind each convolution.
    Separate,
    /// Part of each convolution's weights and bias.
    Folded,
}

const EPSILON: f32 = 1e-3;

/// The ONNX file: input `input` `[N, 3, 96, 96]`, output `output` `[N, 2]`, opset 13. Equal seeds give equal networks, folded or not (up to the
/// rounding of folded weights).
pub fn visual_wake_words(seed: u64, norms: Norms) -> Vec<u8> {
    let mut writer = Writer { graph: GraphBuilder::new(13), random: Random::new(seed, 1), norms };
    let batch = Dim::Symbol("N");
    writer.graph.input("input", &[batch, 3.into(), SIZE.into(), SIZE.into()]);
    let mut last = writer.convolution("stem", "input", Shape { inputs: 3, outputs: STEM, kernel: 3, stride: 2, depthwise: false });
    let (mut channels, mut size) = (STEM, SIZE / 2);
    for (index, (stride, outputs)) in BLOCKS.into_iter().enumerate() {
        let depthwise = Shape { inputs: channels, outputs: channels, kernel: 3, stride, depthwise: true };
        last = writer.convolution(&format!("block{index}/depthwise"), &last, depthwise);
        let pointwise = Shape { inputs: channels, outputs, kernel: 1, stride: 1, depthwise: false };
        last = writer.convolution(&format!("block{index}/pointwise"), &last, pointwise);
        (channels, size) = (outputs, size.div_ceil(stride));
    }
    let window = [("kernel_shape", [size as i64; 2].into()), ("strides", [size as i64; 2].into())];
    writer.graph.node("AveragePool", "pool", &[&last], &["pooled"], &window);
    writer.graph.node("Flatten", "flatten", &["pooled"], &["features"], &[("axis", 1.into())]);
    let weights = writer.normals(CLASSES * channels, libm::sqrt(1.0 / channels as f64));
    let bias = writer.normals(CLASSES, 0.1);
    writer.graph.initializer("classifier/weight", &[CLASSES, channels], &weights);
    writer.graph.initializer("classifier/bias", &[CLASSES], &bias);
    let inputs = ["features", "classifier/weight", "classifier/bias"];
    writer.graph.node("Gemm", "classifier", &inputs, &["output"], &[("transB", 1.into())]);
    writer.graph.output("output", &[batch, CLASSES.into()]);
    writer.graph.to_bytes()
}

/// A convolution of square windows.
struct Shape {
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    depthwise: bool,
}

struct Writer {
    graph: GraphBuilder,
    random: Random,
    norms: Norms,
}

impl Writer {
    /// A convolution, its normalization and its rectifier; returns the name of what they write.
    fn convolution(&mut self, name: &str, input: &str, shape: Shape) -> String {
        let Shape { inputs, outputs, kernel, stride, depthwise } = shape;
        let row = kernel * kernel * if depthwise { 1 } else { inputs };
        // Half of what is rectified is lost (He et al., 2015, equation 10).
        let mut weights = self.normals(outputs * row, libm::sqrt(2.0 / row as f64));
        let mut uniform = |low, high| -> Vec<f32> { (0..outputs).map(|_| self.random.uniform(low, high) as f32).collect() };
        let (gamma, variance) = (uniform(0.8, 1.2), uniform(0.6, 1.4));
        let (beta, mean) = (uniform(-0.1, 0.3), uniform(-0.2, 0.2));
        let names = ["weight", "bias", "gamma", "beta", "mean", "variance"].map(|part| format!("{name}/{part}"));
        let [weight, bias_name, gamma_name, beta_name, mean_name, variance_name] = &names;
        let (normed, output) = (format!("{name}/norm"), format!("{name}/relu"));
        // On an even size a stride of 2 pads at the end alone, as "same" padding does.
        let pads = if kernel == 1 {
            [0; 4]
        } else if stride == 2 {
            [0, 0, 1, 1]
        } else {
            [1; 4]
        };
        let attributes = [
            ("kernel_shape", [kernel as i64; 2].into()),
            ("strides", [stride as i64; 2].into()),
            ("pads", pads.into()),
            ("group", if depthwise { inputs as i64 } else { 1 }.into()),
        ];
        let weight_shape = [outputs, row / (kernel * kernel), kernel, kernel];
        match self.norms {
            Norms::Separate => {
                self.graph.initializer(weight, &weight_shape, &weights);
                self.graph.node("Conv", name, &[input, weight], &[name], &attributes);
                for (part, values) in [(gamma_name, &gamma), (beta_name, &beta), (mean_name, &mean), (variance_name, &variance)] {
                    self.graph.initializer(part, &[outputs], values);
                }
                let inputs = [name, gamma_name, beta_name, mean_name, variance_name];
                self.graph.node("BatchNormalization", &normed, &inputs, &[&normed], &[("epsilon", EPSILON.into())]);
            }
            Norms::Folded => {
                let factor = |channel: usize| gamma[channel] / libm::sqrtf(variance[channel] + EPSILON);
                for (channel, row) in weights.chunks_exact_mut(row).enumerate() {
                    row.iter_mut().for_each(|w| *w *= factor(channel));
                }
                let bias: Vec<f32> = (0..outputs).map(|channel| beta[channel] - mean[channel] * factor(channel)).collect();
                self.graph.initializer(weight, &weight_shape, &weights).initializer(bias_name, &[outputs], &bias);
                self.graph.node("Conv", name, &[input, weight, bias_name], &[&normed], &attributes);
            }
        }
        self.graph.node("Relu", &output, &[&normed], &[&output], &[]);
        output
    }

    fn normals(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        (0..count).map(|_| (self.random.normal() * deviation) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::summary;

    #[test]
    fn equal_seeds_give_equal_files() {
        for norms in [Norms::Separate, Norms::Folded] {
            assert_eq!(visual_wake_words(3, norms), visual_wake_words(3, norms));
            assert_ne!(visual_wake_words(3, norms), visual_wake_words(4, norms));
        }
    }

    #[test]
    fn the_layers_are_those_of_the_paper() {
        let separate = summary(&visual_wake_words(0, Norms::Separate)).unwrap();
        let count = |op: &str| separate.ops.iter().filter(|other| *other == op).count();
        assert_eq!((count("Conv"), count("BatchNormalization"), count("Relu")), (27, 27, 27));
        let folded = summary(&visual_wake_words(0, Norms::Folded)).unwrap();
        assert_eq!(folded.ops.len(), 27 * 2 + 3);
        // 3x3x3 and depthwise 3x3, pointwise, the classifier, and a bias for each channel.
        let channels: Vec<usize> = std::iter::once(STEM).chain(BLOCKS.map(|(_, outputs)| outputs)).collect();
        let blocks: usize = channels.windows(2).map(|pair| 9 * pair[0] + pair[0] + pair[0] * pair[1] + pair[1]).sum();
        assert_eq!(folded.parameters, 27 * STEM + STEM + blocks + 256 * CLASSES + CLASSES);
    }
}
