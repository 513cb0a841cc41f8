//! Rounding weights so that a layer's outputs change little, not its weights.
//!
//! Twice: every layer alone at every width before phase 1, from its float inputs, so that the sensitivity list and the assignment see the weights that
//! would be used; and once more in graph order when the widths are known, from the inputs as the quantized layers before it leave them.

mod adaround;
mod descent;
mod factor;
mod moments;
mod refit;
mod rows;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::QuantizedNetwork;
use super::bank::{QuantizedWeights, RoundedLayer, nearest_node};
use super::groups::Grouping;
use super::ranges::RangeRule;
use crate::float::{Executor, Layer, Simulation, Values};
use crate::graph::{Node, NodeId, Weights};
use adaround::Learner;
use descent::Fit;
use moments::{Moments, Rows};
pub use refit::{InputMoments, RIDGES, refitted};
use rows::Sampling;
pub use store::LayerCache;

/// How weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest code.
    Nearest,
    /// Learned: AdaRound.
    AdaRound,
    /// Solved: least squares, error feedback, coordinate descent.
    Descent,
}

impl Rounding {
    /// All of them.
    pub const ALL: [Rounding; 3] = [Rounding::Nearest, Rounding::AdaRound, Rounding::Descent];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Rounding::Nearest => "nearest",
            Rounding::AdaRound => "adaround",
            Rounding::Descent => "descent",
        }
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What rounding works with.
pub struct Rounder<'a> {
    /// The float network.
    pub executor: &'a Executor<'a>,
    /// Its groups.
    pub grouping: &'a Grouping,
    /// Real inputs.
    pub samples: &'a [Vec<f32>],
    /// The method; not [`Rounding::Nearest`].
    pub method: Rounding,
    /// Where scales start from.
    pub rule: RangeRule,
    /// Of AdaRound's random choices.
    pub seed: u64,
    /// Where learned layers are kept.
    pub cache: Option<&'a LayerCache>,
}

/// Bytes of live tensors that all images together may take.
const LIVE_BYTES: usize = 3 << 29;

/// Ridge for each weight of an output channel and independent sample, in units of the mean square of the inputs. Chosen by the SQNR of images that
/// were not fitted, on four networks at W4A8 and W2A8: 0.3 to 1 is best on the small ones, 1 to 3 on MobileNetV2.
const RIDGE: f64 = 1.0;

/// Positions of one image that count as samples of their own: neighbours tell much the same.
const INDEPENDENT_POSITIONS: usize = 8;

impl Rounder<'_> {
    /// Every weighted layer at every width of its group, from the float inputs. `progress` is called after each node.
    pub fn alone(&self, progress: impl Fn()) -> Vec<BTreeMap<u8, Arc<RoundedLayer>>> {
        let graph = self.executor.graph();
        let samples = self.images();
        let mut layers = Vec::new();
        self.walk(&mut Simulation::float(graph), |index, states| {
            progress();
            let node = &graph.nodes[index];
            let given = graph.given_weights.contains_key(&node.name);
            layers.push(match (node.op.weights(), Sampling::new(graph, node, samples.len()).filter(|_| !given)) {
                (Some(weights), Some(sampling)) => {
                    let widths = self.grouping.weight_bits(index);
                    self.layer(node, weights, &sampling, states, None, &widths)
                        .into_iter()
                        .map(|layer| (layer.weights.bits, layer))
                        .collect()
                }
                (Some(_), None) => nearest_node(graph, self.grouping, index, self.rule),
                _ => BTreeMap::new(),
            });
            None
        });
        layers
    }

    /// The layers of a network whose widths are known, in graph order: the inputs are those that the layers before really give, the targets are the
    /// float outputs. `progress` is called after each node.
    pub fn in_order(&self, network: &mut QuantizedNetwork<'_>, progress: impl Fn()) {
        let graph = self.executor.graph();
        let samples = self.images();
        let samplings: Vec<Option<Sampling<'_>>> = graph.nodes.iter().map(|node| Sampling::new(graph, node, samples.len())).collect();
        let float = Simulation::float(graph);
        // [image][node][positions][O]
        let targets: Vec<Vec<Vec<f32>>> = samples
            .par_iter()
            .enumerate()
            .map(|(image, sample)| {
                let mut targets = vec![Vec::new(); graph.nodes.len()];
                self.executor.run_visiting(&float, sample, |node, values| {
                    if let Some(sampling) = &samplings[node.0] {
                        targets[node.0] = sampling.outputs(values, image);
                    }
                });
                targets
            })
            .collect();
        let mut simulation = network.simulation();
        self.walk(&mut simulation, |index, states| {
            progress();
            let (node, id) = (&graph.nodes[index], NodeId(index));
            let (weights, sampling, candidate) = (node.op.weights()?, samplings[index].as_ref()?, network.candidate(id)?);
            let targets: Vec<&[f32]> = targets.iter().map(|image| image[index].as_slice()).collect();
            if RoundedLayer::given(graph, node, candidate.weight_bits).is_some() {
                return None;
            }
            let layer = self.layer(node, weights, sampling, states, Some(&targets), &[candidate.weight_bits]).pop()?;
            network.set_layer(id, layer);
            network.simulated_layer(id)
        });
    }

    fn images(&self) -> &[Vec<f32>] {
        images_within(self.executor.graph(), self.samples)
    }

    /// Runs all images side by side, node by node; `visit` may replace the layer of a node before it runs.
    fn walk(&self, simulation: &mut Simulation, mut visit: impl FnMut(usize, &[Values]) -> Option<Arc<Layer>>) {
        let mut states: Vec<Values> = self.images().par_iter().map(|sample| self.executor.start(simulation, sample)).collect();
        for index in 0..self.executor.graph().nodes.len() {
            if let Some(layer) = visit(index, &states) {
                simulation.layers[index] = Some(layer);
            }
            states.par_iter_mut().for_each(|values| {
                let output = self.executor.unclamped(simulation, values, NodeId(index));
                self.executor.finish(simulation, values, NodeId(index), output);
            });
        }
    }

    /// A layer at some widths.
    fn layer(
        &self,
        node: &Node,
        weights: &Weights,
        sampling: &Sampling<'_>,
        states: &[Values],
        targets: Option<&[&[f32]]>,
        widths: &[u8],
    ) -> Vec<Arc<RoundedLayer>> {
        let groups = sampling.groups();
        let (outputs, row_len) = (weights.outputs() / groups, weights.row_len());
        let input = node.inputs[0].0;
        let problems: Vec<Problem<'_>> = (0..groups)
            .into_par_iter()
            .filter_map(|group| {
                let inputs = sampling.inputs(states.iter().map(|values| values[input].as_deref().unwrap_or_default()), group);
                let float =
                    ArrayView2::from_shape((outputs, row_len), &weights.values[group * outputs * row_len..][..outputs * row_len]).ok()?;
                let bias = &weights.bias[group * outputs..][..outputs];
                let targets = match targets {
                    Some(images) => columns(images, weights.outputs(), group * outputs, outputs),
                    None => outputs_of(&inputs, float, bias),
                };
                let learned = (self.method == Rounding::AdaRound).then(|| Rows { inputs: inputs.clone(), targets: targets.clone() });
                Some(Problem { weights: float, bias, moments: Moments::new(Rows { inputs, targets }), learned })
            })
            .collect();
        let independent = states.len() * sampling.sampled.min(INDEPENDENT_POSITIONS);
        let ridge = RIDGE * row_len as f64 / independent.max(1) as f64;
        // [group][width]
        let parts: Vec<Vec<Part>> = problems.par_iter().map(|problem| self.part(node, problem, ridge, widths)).collect();
        widths
            .iter()
            .enumerate()
            .map(|(place, bits)| {
                let (mut scales, mut codes, mut bias) = (Vec::new(), Vec::new(), Vec::new());
                for part in parts.iter().filter_map(|group| group.get(place)) {
                    scales.extend_from_slice(&part.scales);
                    codes.extend_from_slice(&part.codes);
                    bias.extend_from_slice(&part.bias);
                }
                Arc::new(RoundedLayer { weights: QuantizedWeights { bits: *bits, scales, codes }, bias })
            })
            .collect()
    }

    fn part(&self, node: &Node, problem: &Problem<'_>, ridge: f64, widths: &[u8]) -> Vec<Part> {
        let Problem { weights: float, moments, .. } = problem;
        let Some(fit) = Fit::new(*float, moments, ridge) else {
            let weights = Weights { values: float.iter().copied().collect(), bias: problem.bias.into() };
            return widths.iter().map(|bits| Part::of(&RoundedLayer::nearest(&weights, *bits, self.rule))).collect();
        };
        widths
            .iter()
            .map(|bits| {
                let rounded = match &problem.learned {
                    Some(Rows { inputs, targets }) => {
                        let learner = Learner { inputs, targets, weights: &fit.weights, clamp: node.clamp, seed: self.seed };
                        match self.cache {
                            Some(cache) => cache.round(&learner, *bits, self.rule),
                            None => learner.round(*bits, self.rule),
                        }
                    }
                    None => fit.round(*bits, self.rule),
                };
                let values = Array2::from_shape_fn(float.dim(), |(row, column)| {
                    f64::from(rounded.codes[row * float.ncols() + column]) * f64::from(rounded.scales[row])
                });
                Part { bias: moments.bias(&values.view()), scales: rounded.scales, codes: rounded.codes }
            })
            .collect()
    }
}

/// As many samples as may be alive at once.
fn images_within<'s>(graph: &crate::graph::Graph, samples: &'s [Vec<f32>]) -> &'s [Vec<f32>] {
    let peak = crate::graph::live_elements(graph) * size_of::<f32>();
    &samples[..samples.len().min((LIVE_BYTES / peak.max(1)).max(1))]
}

/// One group of output channels, to be rounded.
struct Problem<'a> {
    /// `[O][K]`.
    weights: ArrayView2<'a, f32>,
    /// `[O]`.
    bias: &'a [f32],
    /// Of its inputs and targets.
    moments: Moments,
    /// The rows themselves, for a method that needs them.
    learned: Option<Rows>,
}

/// One group of output channels of a layer at one width.
struct Part {
    scales: Vec<f32>,
    codes: Vec<i8>,
    bias: Vec<f32>,
}

impl Part {
    fn of(layer: &RoundedLayer) -> Part {
        Part { scales: layer.weights.scales.clone(), codes: layer.weights.codes.clone(), bias: layer.bias.clone() }
    }
}

/// Some columns of the rows of all images.
fn columns(images: &[&[f32]], width: usize, first: usize, count: usize) -> Array2<f32> {
    let rows: usize = images.iter().map(|values| values.len() / width.max(1)).sum();
    let values = images.iter().flat_map(|values| values.chunks_exact(width)).flat_map(|row| row[first..first + count].iter().copied());
    Array2::from_shape_vec((rows, count), values.collect()).unwrap_or_default()
}

/// What float weights make of the rows.
fn outputs_of(inputs: &Array2<f32>, weights: ArrayView2<'_, f32>, bias: &[f32]) -> Array2<f32> {
    let mut outputs = inputs.dot(&weights.t());
    for mut row in outputs.rows_mut() {
        row.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
    }
    outputs
}
