//! Least squares for layers that have lost channels: what is left of their weights gives, as nearly as it can, what all of them gave.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::descent::Fit;
use super::moments::{Moments, Rows};
use super::rows::Sampling;
use super::{INDEPENDENT_POSITIONS, columns, images_within};
use crate::float::{Executor, Layer, Simulation, Values};
use crate::graph::{Graph, Node, NodeId, Op, Weights};

/// Ridges for each weight of an output channel and independent sample, in units of the mean square of the inputs, among which samples that are not fitted
/// may choose.
pub const RIDGES: [f64; 3] = [0.1, 1.0, 10.0];

/// The ridge where nothing chooses.
const RIDGE: f64 = 1.0;

fn ridge(each: f64, row_len: usize, images: usize, sampled: usize) -> f64 {
    each * row_len as f64 / (images * sampled.min(INDEPENDENT_POSITIONS)).max(1) as f64
}

/// How the inputs of a layer vary together: what it takes to leave some of them out.
pub struct InputMoments {
    mean: Array1<f64>,
    /// `[K][K]`.
    form: Array2<f64>,
    images: usize,
    sampled: usize,
}

impl InputMoments {
    /// Walks through the network on real inputs, and shows `visit` those of each node in `wanted` that has weights and no groups.
    pub fn each(executor: &Executor<'_>, samples: &[Vec<f32>], wanted: &[NodeId], mut visit: impl FnMut(NodeId, &InputMoments)) {
        let graph = executor.graph();
        let images = images_within(graph, samples);
        let float = Simulation::float(graph);
        let mut states: Vec<Values> = images.par_iter().map(|sample| executor.start(&float, sample)).collect();
        let last = wanted.iter().map(|node| node.0 + 1).max().unwrap_or(0);
        for (index, node) in graph.nodes.iter().enumerate().take(last) {
            if let Some(moments) = wanted.contains(&NodeId(index)).then(|| InputMoments::of(graph, node, &states)).flatten() {
                visit(NodeId(index), &moments);
            }
            advance(executor, &float, &mut states, index);
        }
    }

    fn of(graph: &Graph, node: &Node, states: &[Values]) -> Option<InputMoments> {
        let sampling = Sampling::new(graph, node, states.len()).filter(|sampling| sampling.groups() == 1)?;
        let input = node.inputs.first()?.0;
        let inputs = sampling.inputs(states.iter().map(|values| values[input].as_deref().unwrap_or_default()), 0);
        let targets = Array2::zeros((inputs.nrows(), 0));
        let Moments { mean_input, inputs: form, .. } = Moments::new(Rows { inputs, targets });
        Some(InputMoments { mean: mean_input, form, images: states.len(), sampled: sampling.sampled })
    }

    /// The layer with zeros for all columns of its weights `[O][K]` but those in `left`, these fitted so that its outputs change least.
    pub fn without(&self, weights: &Weights, left: &[usize]) -> Option<Weights> {
        let float = ArrayView2::from_shape((weights.outputs(), weights.row_len()), &weights.values).ok()?.mapv(f64::from);
        let bias = Array1::from_iter(weights.bias.iter().map(|bias| f64::from(*bias)));
        let moments = Moments {
            mean_input: self.mean.select(Axis(0), left),
            mean_target: float.dot(&self.mean) + bias,
            inputs: self.form.select(Axis(0), left).select(Axis(1), left),
            cross: float.dot(&self.form.select(Axis(1), left)),
        };
        let start = float.select(Axis(1), left).mapv(|w| w as f32);
        let fit = Fit::new(start.view(), &moments, ridge(RIDGE, left.len(), self.images, self.sampled));
        // Inputs that are all zero: nothing to fit.
        let fitted = fit.map_or_else(|| start.mapv(f64::from), |fit| fit.weights);
        let bias = moments.bias(&fitted.view());
        let mut values = vec![0.0; weights.values.len()];
        for (row, fitted) in values.chunks_exact_mut(weights.row_len().max(1)).zip(fitted.rows()) {
            left.iter().zip(fitted).for_each(|(place, w)| row[*place] = *w as f32);
        }
        Some(Weights { values: values.into(), bias: bias.into() })
    }
}

fn advance(executor: &Executor<'_>, simulation: &Simulation, states: &mut [Values], index: usize) {
    states.par_iter_mut().for_each(|values| {
        let output = executor.unclamped(simulation, values, NodeId(index));
        executor.finish(simulation, values, NodeId(index), output);
    });
}

/// The weights and biases of `pruned`, whose tensors have the channels in `left` of those of the network that `original` runs, fitted layer after layer:
/// the inputs are those that the layers before really give, the targets the outputs of the original; `each` is one of [`RIDGES`], or another ridge. Layers before the first loss stay as they are.
/// `progress` is called after each node.
pub fn refitted(
    original: &Executor<'_>,
    (pruned, left): (&Graph, &[Vec<usize>]),
    samples: &[Vec<f32>],
    each: f64,
    progress: impl Fn(),
) -> Graph {
    let graph = original.graph();
    let images = images_within(graph, samples);
    let executor = Executor::new(pruned);
    let touched = touched(graph, pruned);
    let samplings: Vec<Option<Sampling<'_>>> =
        (0..pruned.nodes.len()).map(|index| Sampling::new(pruned, &pruned.nodes[index], images.len()).filter(|_| touched[index])).collect();
    let float = Simulation::float(graph);
    // [image][node][positions][O]
    let targets: Vec<Vec<Vec<f32>>> = images
        .par_iter()
        .enumerate()
        .map(|(image, sample)| {
            let mut targets = vec![Vec::new(); graph.nodes.len()];
            original.run_visiting(&float, sample, |node, values| {
                if let Some(sampling) = &samplings[node.0] {
                    let (left, all) = (&left[graph.nodes[node.0].output.0], graph.tensor(graph.nodes[node.0].output).channels());
                    let rows = sampling.outputs(values, image);
                    targets[node.0] = rows.chunks_exact(all.max(1)).flat_map(|row| left.iter().map(|place| row[*place])).collect();
                }
            });
            targets
        })
        .collect();
    let mut result = pruned.clone();
    let mut simulation = Simulation::float(pruned);
    let mut states: Vec<Values> = images.par_iter().map(|sample| executor.start(&simulation, sample)).collect();
    for (index, node) in pruned.nodes.iter().enumerate() {
        progress();
        if let (Some(sampling), Some(weights)) = (&samplings[index], node.op.weights()) {
            let targets: Vec<&[f32]> = targets.iter().map(|image| image[index].as_slice()).collect();
            let weights = refitted_layer((node, weights), sampling, &states, &targets, each);
            simulation.layers[index] = Some(std::sync::Arc::new(Layer::new(node, &weights.values, &weights.bias)));
            if let Some(to) = result.nodes[index].op.weights_mut() {
                *to = weights;
            }
        }
        advance(&executor, &simulation, &mut states, index);
    }
    result
}

/// For each node, whether it reads what a loss of channels has changed.
fn touched(graph: &Graph, pruned: &Graph) -> Vec<bool> {
    let mut changed = vec![false; graph.tensors.len()];
    let touch = |(before, after): (&Node, &Node)| {
        let lost = |op: &Op| op.weights().map(|weights| weights.row_len());
        let reads = lost(&before.op) != lost(&after.op) || before.inputs.iter().any(|id| changed[id.0]);
        changed[before.output.0] = reads;
        reads
    };
    graph.nodes.iter().zip(&pruned.nodes).map(touch).collect()
}

fn refitted_layer(
    (node, weights): (&Node, &Weights),
    sampling: &Sampling<'_>,
    states: &[Values],
    targets: &[&[f32]],
    each: f64,
) -> Weights {
    let groups = sampling.groups();
    let (outputs, row_len) = (weights.outputs() / groups.max(1), weights.row_len());
    let input = node.inputs.first().map_or(0, |id| id.0);
    let ridge = ridge(each, row_len, states.len(), sampling.sampled);
    let parts: Vec<(Vec<f32>, Vec<f32>)> = (0..groups)
        .into_par_iter()
        .map(|group| {
            let part = &weights.values[group * outputs * row_len..][..outputs * row_len];
            let bias = &weights.bias[group * outputs..][..outputs];
            let inputs = sampling.inputs(states.iter().map(|values| values[input].as_deref().unwrap_or_default()), group);
            let moments = Moments::new(Rows { inputs, targets: columns(targets, weights.outputs(), group * outputs, outputs) });
            let float = ArrayView2::from_shape((outputs, row_len), part).ok();
            match float.and_then(|float| Fit::new(float, &moments, ridge)) {
                Some(fit) => (fit.weights.iter().map(|w| *w as f32).collect(), moments.bias(&fit.weights.view())),
                None => (part.to_vec(), bias.to_vec()),
            }
        })
        .collect();
    let (values, bias): (Vec<Vec<f32>>, Vec<Vec<f32>>) = parts.into_iter().unzip();
    Weights { values: values.concat().into(), bias: bias.concat().into() }
}
