//! Weights in the order in which the float kernels read them.

use crate::graph::{Node, Op};

/// Weights and bias of one layer, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `[K][O]` for each group of channels, or `[taps][C]` for a depthwise convolution.
    pub(super) weights: Vec<f32>,
    /// `[O]`.
    pub(super) bias: Vec<f32>,
}

impl Layer {
    /// Takes weights in the graph's order `[O][H][W][I / groups]`.
    pub fn new(node: &Node, values: &[f32], bias: &[f32]) -> Layer {
        // A depthwise convolution is one matrix of `[C][taps]`; any other has one of `[O / groups][K]` for each group.
        let parts = match &node.op {
            Op::Conv { groups, .. } if !is_depthwise(node) => *groups,
            _ => 1,
        };
        let row_len = (values.len() / bias.len().max(1)).max(1);
        let part =
            |part: &[f32]| (0..row_len).flat_map(|k| part.iter().skip(k).step_by(row_len).copied().collect::<Vec<_>>()).collect::<Vec<_>>();
        let weights = values.chunks_exact((values.len() / parts.max(1)).max(1)).flat_map(part).collect();
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
