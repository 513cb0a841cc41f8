//! Weights in the order in which the float kernels read them.

use crate::graph::{Node, Op};

/// Weights and bias of one layer, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `[O][K]`, or `[taps][C]` for a depthwise convolution.
    pub(super) weights: Vec<f32>,
    /// `[O]`.
    pub(super) bias: Vec<f32>,
}

impl Layer {
    /// Takes weights in the graph's order `[O][H][W][I / groups]`.
    pub fn new(node: &Node, values: &[f32], bias: &[f32]) -> Layer {
        let weights = match &node.op {
            Op::Conv { weights, groups, .. } if *groups > 1 && *groups == weights.outputs() && is_depthwise(node) => {
                let (channels, taps) = (weights.outputs(), weights.row_len());
                (0..taps).flat_map(|tap| (0..channels).map(move |c| c * taps + tap)).map(|i| values[i]).collect()
            }
            _ => values.to_vec(),
        };
        Layer { weights, bias: bias.to_vec() }
    }

    /// `[O]`.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The same layer with another bias.
    pub fn with_bias(&self, bias: Vec<f32>) -> Layer {
        Layer { weights: self.weights.clone(), bias }
    }
}

/// True for a depthwise convolution with one output channel for each input channel.
pub(super) fn is_depthwise(node: &Node) -> bool {
    match &node.op {
        Op::Conv { weights, window, groups } => {
            *groups > 1 && *groups == weights.outputs() && weights.row_len() == window.kernel[0] * window.kernel[1]
        }
        _ => false,
    }
}
