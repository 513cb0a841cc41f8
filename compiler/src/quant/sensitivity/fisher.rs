//! FIT: the empirical Fisher information of weights and activations times the power of their quantization noise.
//!
//! Source: Zandonati et al., "FIT: A Metric for Model Sensitivity": E[d' I d] = sum over quantizers of Tr(I) * E[d^2] for noise d that is independent of
//! the gradients, with Tr(I) the mean over samples of the squared norm of the loss's gradient. The loss is the cross entropy of the softmax of the
//! network's output.

use apq_lut::Candidate;

use crate::evaluate::top1;
use crate::float::{Executor, Values, backward, has_gradient};
use crate::graph::{Graph, TensorId};
use crate::quant::bank::Bank;
use crate::quant::groups::Grouping;
use crate::quant::ranges::ActivationQuantizer;

/// An operator that cannot be differentiated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node \"{node}\": the metric fit needs gradients, and there is none for operator {operator}")]
pub struct NoGradient {
    /// The node.
    pub node: String,
    /// Its operator.
    pub operator: String,
}

/// Whether every operation of a network has a gradient.
///
/// # Errors
/// The first that has none.
pub fn differentiable(graph: &Graph) -> Result<(), NoGradient> {
    match graph.nodes.iter().find(|node| !has_gradient(&node.op)) {
        Some(node) => Err(NoGradient { node: node.name.clone(), operator: node.op.name().into() }),
        None => Ok(()),
    }
}

/// What FIT adds up for its entries.
pub(super) struct Fisher<'a> {
    executor: &'a Executor<'a>,
    labels: Option<&'a [u32]>,
    /// Nodes with weights.
    nodes: Vec<usize>,
    /// Tensors with a quantizer of their own.
    tensors: Vec<TensorId>,
    /// Quantizers whose noise is measured, with the place of their tensor in `tensors`.
    quantizers: Vec<(usize, ActivationQuantizer)>,
    entries: Vec<Terms>,
}

/// What FIT of one entry adds up.
struct Terms {
    /// Places in [`Fisher::nodes`], with the mean squared error of the rounded weights.
    weights: Vec<(usize, f64)>,
    /// Places in [`Fisher::quantizers`].
    quantizers: Vec<usize>,
}

impl<'a> Fisher<'a> {
    pub(super) fn new(
        executor: &'a Executor<'a>,
        grouping: &Grouping,
        bank: &Bank,
        entries: &[(usize, Candidate)],
        labels: Option<&'a [u32]>,
    ) -> Result<Fisher<'a>, NoGradient> {
        let graph = executor.graph();
        differentiable(graph)?;
        let nodes: Vec<usize> = (0..graph.nodes.len()).filter(|node| graph.nodes[*node].op.weights().is_some()).collect();
        let tensors: Vec<TensorId> = (0..graph.tensors.len()).map(TensorId).filter(|id| grouping.quantizer[id.0] == *id).collect();
        let mut quantizers: Vec<(usize, ActivationQuantizer)> = Vec::new();
        let mut sums = Vec::new();
        for (group, candidate) in entries {
            let members = &grouping.groups[*group];
            let weights =
                nodes.iter().enumerate().filter(|(_, node)| grouping.of_node[**node] == Some(*group)).filter_map(|(place, node)| {
                    let float = graph.nodes[*node].op.weights()?;
                    let rounded = bank.layers[*node].get(&candidate.weight_bits)?.weights.values();
                    Some((place, mean_square(float.values.iter().zip(&rounded).map(|(a, b)| f64::from(a - b)))))
                });
            let weights = weights.collect();
            let mut noises = Vec::new();
            for (place, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| members.tensors.contains(tensor)) {
                let Some(quantizer) = bank.activations[tensor.0].get(&candidate.activation_bits) else { continue };
                let known = quantizers.iter().position(|(other, q)| *other == place && q.bits == quantizer.bits);
                noises.push(known.unwrap_or_else(|| {
                    quantizers.push((place, *quantizer));
                    quantizers.len() - 1
                }));
            }
            sums.push(Terms { weights, quantizers: noises });
        }
        Ok(Fisher { executor, labels, nodes, tensors, quantizers, entries: sums })
    }

    /// A record: squared norm of the gradient of each node's weights, of each tensor, and the noise power of each quantizer.
    pub(super) fn width(&self) -> usize {
        self.nodes.len() + self.tensors.len() + self.quantizers.len()
    }

    pub(super) fn record(&self, index: usize, values: &Values) -> Vec<f64> {
        let output = values[self.executor.graph().output.0].as_deref().unwrap_or_default();
        let label = self.labels.and_then(|labels| labels.get(index)).map_or_else(|| top1(output), |label| *label as usize);
        let Some(gradients) = backward(self.executor, values, cross_entropy_gradient(output, label)) else {
            // Every operator was checked.
            return vec![0.0; self.width()];
        };
        let norm = |gradient: &Option<Vec<f32>>| gradient.iter().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        let of_nodes = self.nodes.iter().map(|node| norm(&gradients.weights[*node]));
        let of_tensors = self.tensors.iter().map(|tensor| norm(&gradients.tensors[tensor.0]));
        let noises = self.quantizers.iter().map(|(place, quantizer)| {
            let float = values[self.tensors[*place].0].as_deref().unwrap_or_default();
            let mut rounded = float.to_vec();
            quantizer.fake_quantize(&mut rounded);
            mean_square(float.iter().zip(&rounded).map(|(a, b)| f64::from(a - b)))
        });
        of_nodes.chain(of_tensors).chain(noises).collect()
    }

    /// FIT of each entry, not negative.
    pub(super) fn values<'r>(&self, rows: impl Iterator<Item = &'r [f64]>) -> Vec<f64> {
        let mut means = vec![0.0; self.width()];
        let mut count = 0;
        for row in rows {
            count += 1;
            means.iter_mut().zip(row).for_each(|(mean, v)| *mean += v);
        }
        means.iter_mut().for_each(|mean| *mean /= f64::from(count.max(1)));
        let (of_nodes, rest) = means.split_at(self.nodes.len());
        let (of_tensors, noises) = rest.split_at(self.tensors.len());
        let fit = |Terms { weights, quantizers }: &Terms| {
            let of_weights: f64 = weights.iter().map(|(place, error)| of_nodes[*place] * error).sum();
            let of_activations: f64 =
                quantizers.iter().map(|quantizer| of_tensors[self.quantizers[*quantizer].0] * noises[*quantizer]).sum();
            of_weights + of_activations
        };
        self.entries.iter().map(fit).collect()
    }
}

/// softmax(output) - one-hot(label).
fn cross_entropy_gradient(output: &[f32], label: usize) -> Vec<f32> {
    let max = output.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = output.iter().map(|v| (v - max).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().enumerate().map(|(class, power)| power / sum - f32::from(u8::from(class == label))).collect()
}

fn mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.map(|v| v * v).sum::<f64>() / count
}
