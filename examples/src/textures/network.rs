//! The network: its layers in order, the fit of their numbers, and its ONNX form.

use super::cluster::{centroids, principal_components};
use super::draw::{CLASSES, SIZE};
use super::filters;
use super::layers::{Activation, Conv, Maps, Norm, average_pool, global_average_pool, max_pool};
use super::linalg::{dot, solve};
use crate::onnx::{Dim, GraphBuilder};
use crate::random::Random;

/// A convolution, its normalization and its activation.
struct Block {
    name: &'static str,
    conv: Conv,
    norm: Norm,
    activation: Activation,
}

impl Block {
    /// Measures the normalization on the convolution of `input`, and returns the block with its output.
    fn fit(name: &'static str, conv: Conv, (gamma, beta): (f64, f64), activation: Activation, input: &Maps) -> (Self, Maps) {
        let conv = Conv { weights: round_to_f32(&conv.weights), ..conv };
        let mut out = conv.apply(input);
        let norm = Norm::measure(&out, gamma, beta);
        norm.apply(&mut out);
        activation.apply(&mut out);
        (Self { name, conv, norm, activation }, out)
    }

    fn apply(&self, input: &Maps) -> Maps {
        let mut out = self.conv.apply(input);
        self.norm.apply(&mut out);
        self.activation.apply(&mut out);
        out
    }
}

/// What the file stores is f32; later layers are fitted to what the stored ones compute.
fn round_to_f32(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value as f32)).collect()
}

/// The whole classifier.
pub(super) struct Network {
    stem: Block,
    depthwise: Block,
    pointwise: Block,
    residual_depthwise: Block,
    residual_pointwise: Block,
    conv: Block,
    head: Block,
    /// `[classes, features]`
    weights: Vec<f64>,
    /// `[classes]`
    bias: Vec<f64>,
}

/// Per colour: mean and standard deviation of the raw values, which the input is normalised with.
pub(super) struct Preprocess {
    pub(super) mean: [f64; 3],
    pub(super) std: [f64; 3],
}

impl Preprocess {
    /// Raw u8 pixels `[images, SIZE, SIZE, 3]` to the network's input.
    pub(super) fn apply(&self, pixels: &[u8]) -> Maps {
        let images = pixels.len() / (SIZE * SIZE * 3);
        let mut maps = Maps::zeros(images, SIZE, SIZE, 3);
        for (index, (out, &raw)) in maps.values.iter_mut().zip(pixels).enumerate() {
            *out = (f64::from(raw) - self.mean[index % 3]) / self.std[index % 3];
        }
        maps
    }
}

impl Network {
    /// Computes all weights from `input` and its labels.
    pub(super) fn fit(input: &Maps, labels: &[i64]) -> Self {
        use Activation::{Linear, Relu, Relu6};
        let mut rng = Random::new(0, u64::MAX);
        let stem = Conv { outputs: 16, kernel: 3, depthwise: false, weights: filters::first_layer() };
        let (stem, maps) = Block::fit("stem", stem, (1.5, 0.0), Relu6, input);
        let smooth = Conv { outputs: 16, kernel: 3, depthwise: true, weights: filters::smoothing(16) };
        let (depthwise, maps) = Block::fit("depthwise", smooth, (1.0, 1.0), Relu, &maps);
        let (pointwise, maps) = Block::fit("pointwise", centroids(&maps, 1, 24, &mut rng), (1.5, 0.0), Relu6, &maps);
        let pooled = max_pool(&maps);

        let kernels = Conv { outputs: 24, kernel: 3, depthwise: true, weights: filters::derivatives(24) };
        let (residual_depthwise, maps) = Block::fit("residual/depthwise", kernels, (1.5, 0.0), Relu6, &pooled);
        let mix = principal_components(&maps, 1.0);
        let (residual_pointwise, maps) = Block::fit("residual/pointwise", mix, (1.0, 0.0), Linear, &maps);
        let maps = add_relu(&pooled, &maps);

        let (conv, maps) = Block::fit("conv", centroids(&maps, 3, 48, &mut rng), (1.5, -0.3), Relu, &maps);
        let maps = average_pool(&maps);
        let (head, maps) = Block::fit("head", centroids(&maps, 1, 96, &mut rng), (1.5, -0.3), Relu6, &maps);
        let (weights, bias) = ridge(&global_average_pool(&maps), labels);
        Self { stem, depthwise, pointwise, residual_depthwise, residual_pointwise, conv, head, weights, bias }
    }

    /// Logits `[images, classes]`.
    pub(super) fn logits(&self, input: &Maps) -> Vec<f64> {
        let maps = self.pointwise.apply(&self.depthwise.apply(&self.stem.apply(input)));
        let pooled = max_pool(&maps);
        let branch = self.residual_pointwise.apply(&self.residual_depthwise.apply(&pooled));
        let maps = self.conv.apply(&add_relu(&pooled, &branch));
        let features = global_average_pool(&self.head.apply(&average_pool(&maps)));
        let rows = features.chunks_exact(self.head.conv.outputs);
        let classes = || self.weights.chunks_exact(self.head.conv.outputs).zip(&self.bias);
        rows.flat_map(|row| classes().map(move |(weights, bias)| dot(weights, row) + bias)).collect()
    }

    /// Share of images whose largest logit is their label.
    pub(super) fn accuracy(&self, input: &Maps, labels: &[i64]) -> f64 {
        let logits = self.logits(input);
        let best = |row: &[f64]| (0..row.len()).rev().max_by(|&i, &j| row[i].total_cmp(&row[j]));
        let rows = logits.chunks_exact(CLASSES.len()).zip(labels);
        rows.filter(|(row, label)| best(row) == Some(**label as usize)).count() as f64 / labels.len() as f64
    }

    /// The ONNX file: input `input` `[N, 3, SIZE, SIZE]`, output `output` `[N, classes]` after a softmax.
    pub(super) fn to_onnx(&self) -> Vec<u8> {
        let mut graph = GraphBuilder::new(13);
        let batch = Dim::Symbol("N");
        graph.input("input", &[batch, 3.into(), SIZE.into(), SIZE.into()]);
        graph.initializer("zero", &[], &[0.0]).initializer("six", &[], &[6.0]);
        let window = [("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())];

        write_block(&mut graph, &self.stem, "input");
        write_block(&mut graph, &self.depthwise, "stem");
        write_block(&mut graph, &self.pointwise, "depthwise");
        graph.node("MaxPool", "max_pool", &["pointwise"], &["pooled"], &window);
        write_block(&mut graph, &self.residual_depthwise, "pooled");
        write_block(&mut graph, &self.residual_pointwise, "residual/depthwise");
        graph.node("Add", "residual/add", &["pooled", "residual/pointwise"], &["residual/sum"], &[]);
        graph.node("Relu", "residual/relu", &["residual/sum"], &["residual"], &[]);
        write_block(&mut graph, &self.conv, "residual");
        graph.node("AveragePool", "average_pool", &["conv"], &["averaged"], &window);
        write_block(&mut graph, &self.head, "averaged");
        graph.node("GlobalAveragePool", "global_pool", &["head"], &["features"], &[]);
        graph.node("Flatten", "flatten", &["features"], &["flat"], &[("axis", 1.into())]);
        graph.initializer("classifier/weight", &[CLASSES.len(), self.head.conv.outputs], &to_f32(&self.weights));
        graph.initializer("classifier/bias", &[CLASSES.len()], &to_f32(&self.bias));
        let inputs = ["flat", "classifier/weight", "classifier/bias"];
        graph.node("Gemm", "classifier", &inputs, &["logits"], &[("transB", 1.into())]);
        graph.node("Softmax", "softmax", &["logits"], &["output"], &[("axis", 1.into())]);
        graph.output("output", &[batch, CLASSES.len().into()]);
        graph.to_bytes()
    }
}

fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// The three nodes of a block; the last one's output has the block's name.
fn write_block(graph: &mut GraphBuilder, block: &Block, input: &str) {
    let Block { name, conv, norm, activation } = block;
    let taps = conv.kernel * conv.kernel;
    let channels = conv.weights.len() / (conv.outputs * taps);
    // [O, H, W, I] to ONNX's [O, I, H, W].
    let filters = conv.weights.chunks_exact(taps * channels);
    let weights: Vec<f64> =
        filters.flat_map(|filter| (0..channels).flat_map(move |i| filter.iter().skip(i).step_by(channels).copied())).collect();
    let weight = format!("{name}/weight");
    let (kernel, pad) = (conv.kernel as i64, conv.kernel as i64 / 2);
    let attributes = [
        ("kernel_shape", [kernel, kernel].into()),
        ("pads", [pad; 4].into()),
        ("group", if conv.depthwise { conv.outputs as i64 } else { 1 }.into()),
    ];
    let conv_out = format!("{name}/conv");
    graph.initializer(&weight, &[conv.outputs, channels, conv.kernel, conv.kernel], &to_f32(&weights));
    graph.node("Conv", &conv_out, &[input, &weight], &[&conv_out], &attributes);

    let statistics = [("gamma", &norm.gamma), ("beta", &norm.beta), ("mean", &norm.mean), ("var", &norm.variance)];
    let names = statistics.map(|(part, values)| {
        let name = format!("{name}/{part}");
        graph.initializer(&name, &[values.len()], &to_f32(values));
        name
    });
    let [gamma, beta, mean, variance] = &names;
    let norm_out = if *activation == Activation::Linear { (*name).to_owned() } else { format!("{name}/norm") };
    let epsilon = ("epsilon", (super::layers::EPSILON as f32).into());
    let norm_name = format!("{name}/norm");
    graph.node("BatchNormalization", &norm_name, &[&conv_out, gamma, beta, mean, variance], &[&norm_out], &[epsilon]);
    match activation {
        Activation::Linear => {}
        Activation::Relu => {
            graph.node("Relu", &format!("{name}/relu"), &[&norm_out], &[name], &[]);
        }
        Activation::Relu6 => {
            graph.node("Clip", &format!("{name}/relu6"), &[&norm_out, "zero", "six"], &[name], &[]);
        }
    }
}

fn add_relu(a: &Maps, b: &Maps) -> Maps {
    let values = a.values.iter().zip(&b.values).map(|(x, y)| libm::fmax(x + y, 0.0)).collect();
    Maps { values, ..*a }
}

/// Ridge regression of one-hot labels on features `[images, n]`, whose logits are then scaled so that a softmax is neither flat nor hard:
/// weights `[classes, n]` and bias `[classes]`.
fn ridge(features: &[f64], labels: &[i64]) -> (Vec<f64>, Vec<f64>) {
    const LOGIT_GAIN: f64 = 8.0;
    const PENALTY: f64 = 1e-3;
    let classes = CLASSES.len();
    let n = features.len() / labels.len();
    let (mean, mut covariance) = super::linalg::covariance(features, n);
    let trace: f64 = (0..n).map(|i| covariance[i * n + i]).sum();
    (0..n).for_each(|i| covariance[i * n + i] += PENALTY * trace / n as f64);
    let mut right = vec![0.0; n * classes];
    for (row, &label) in features.chunks_exact(n).zip(labels) {
        for (feature, (value, mean)) in row.iter().zip(&mean).enumerate() {
            right[feature * classes + label as usize] += (value - mean) / labels.len() as f64;
        }
    }
    let solution = solve(&covariance, &right, n);
    let mut weights = vec![0.0; classes * n];
    for (class, row) in weights.chunks_exact_mut(n).enumerate() {
        row.iter_mut().enumerate().for_each(|(i, w)| *w = LOGIT_GAIN * solution[i * classes + class]);
    }
    let bias = weights.chunks_exact(n).map(|row| -dot(row, &mean)).collect();
    (weights, bias)
}
