//! The network as the compiler sees it: tensors with known shapes, one enum of operators, nodes in execution order.
//!
//! Tensors are stored channel last, `[1, H, W, C]` or `[1, F]` (any rank from 1 to 5 is allowed); batch is 1. A node may clamp its result, which is
//! how ReLU, ReLU6 and Clip appear once they are fused.

mod function;
mod print;
mod verify;

pub use function::{Function, Pair, Unary};
pub use verify::{GraphError, verify};

use apq_kernels::WeightShape;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::quant::ranges::ActivationQuantizer;

/// Index of a tensor in [`Graph::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub usize);

/// Index of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A value that flows between nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The name in the ONNX file, or one derived from the node that makes it.
    pub name: String,
    /// Channel-last shape with the batch of 1 in front.
    pub shape: Vec<usize>,
    /// Its elements, where the model and not a node makes them.
    pub constant: Option<Arc<[f32]>>,
    /// Its quantizer, where the model brings one.
    pub quantizer: Option<ActivationQuantizer>,
}

impl Tensor {
    /// Number of elements; the largest number there is where it would not fit.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |len: usize, size| len.saturating_mul(*size))
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the innermost axis.
    pub fn channels(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// A window that slides over height and width: `[vertical, horizontal]` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Kernel size.
    pub kernel: [usize; 2],
    /// Step between output pixels.
    pub stride: [usize; 2],
    /// Step between taps.
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub pad_begin: [usize; 2],
    /// Padding below and to the right.
    pub pad_end: [usize; 2],
}

impl Window {
    /// Side that the dilated kernel covers.
    pub fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Output size on one axis with floor rounding; `None` when the kernel does not fit.
    pub fn output(&self, axis: usize, input: usize) -> Option<usize> {
        let padded = input + self.pad_begin[axis] + self.pad_end[axis];
        Some(padded.checked_sub(self.extent(axis))? / self.stride[axis] + 1)
    }
}

/// Weights and bias of a convolution or a fully connected layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// `[O][H][W][I / groups]`, or `[O][I]`.
    pub values: Arc<[f32]>,
    /// `[O]`.
    pub bias: Arc<[f32]>,
}

impl Weights {
    /// Number of output channels.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Weights of one output channel.
    pub fn row_len(&self) -> usize {
        self.values.len() / self.bias.len().max(1)
    }
}

/// The quantizer of a layer's weights, where the model brings one: symmetric codes.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenWeights {
    /// Width of a code.
    pub bits: u8,
    /// Step of each output channel.
    pub scales: Vec<f32>,
}

/// What a node computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Convolution of `[1, H, W, C]`; depthwise when `groups == C`.
    Conv {
        /// `[O][H][W][I / groups]`.
        weights: Weights,
        /// Window over the input.
        window: Window,
        /// Number of groups; divides input and output channels.
        groups: usize,
    },
    /// Matrix product of the innermost axis with `[O][I]`, for each row.
    FullyConnected {
        /// `[O][I]`.
        weights: Weights,
    },
    /// Sum of two tensors of one shape, or of a tensor and one row of channels, `[1, .., 1, C]`.
    Add,
    /// Difference of two tensors, of shapes as in [`Op::Add`].
    Sub,
    /// Product of two tensors, of shapes as in [`Op::Add`].
    Mul,
    /// A function of each value alone.
    Table {
        /// The function.
        function: Arc<Function>,
    },
    /// Every `step`-th element from `begin` on, on each axis.
    Slice {
        /// First position read.
        begin: Vec<usize>,
        /// Distance between positions read, at least 1.
        step: Vec<usize>,
    },
    /// `x * scale[c] + offset[c]`; folded into a convolution before quantization.
    ChannelAffine {
        /// `[C]`.
        scale: Arc<[f32]>,
        /// `[C]`.
        offset: Arc<[f32]>,
    },
    /// Joins tensors along `axis`.
    Concat {
        /// The axis, 0 = the batch.
        axis: usize,
    },
    /// Largest element of each window; padding never wins.
    MaxPool {
        /// Window over the input.
        window: Window,
    },
    /// Mean of each window.
    AveragePool {
        /// Window over the input.
        window: Window,
        /// Whether padding counts as elements of value 0.
        count_include_pad: bool,
    },
    /// Resize of `[1, H, W, C]` along height and width. Coordinates are positions in the input, between 0 and the last one.
    Resize {
        /// For each output row.
        rows: Arc<[f32]>,
        /// For each output column.
        columns: Arc<[f32]>,
        /// Bilinear between the positions around a coordinate; otherwise coordinates are whole, and values are copied.
        interpolate: bool,
    },
    /// `x`, or `slopes[c] * x` where `x` is negative.
    Prelu {
        /// `[C]`.
        slopes: Arc<[f32]>,
    },
    /// Constant padding.
    Pad {
        /// `(before, after)` of each axis.
        pads: Vec<(usize, usize)>,
        /// The constant.
        value: f32,
    },
    /// Same elements in the same order under another shape.
    Reshape,
    /// Permutation of the axes.
    Transpose {
        /// Output axis `i` is input axis `perm[i]`.
        perm: Vec<usize>,
    },
    /// Softmax over the innermost axis.
    Softmax,
    /// Only the clamp of the node.
    Clamp,
    /// `scale * a b` over the last two axes, for each position of the axes before them: `[.., M, K]` times `[.., K, N]`.
    MatMul {
        /// The second input is stored `[.., N, K]`.
        transposed: bool,
        /// Factor of the product.
        scale: f32,
    },
    /// `(x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c]` over the innermost axis.
    LayerNorm {
        /// `[C]`.
        gamma: Arc<[f32]>,
        /// `[C]`.
        beta: Arc<[f32]>,
        /// Added to the variance; not negative.
        epsilon: f32,
    },
}

impl Op {
    /// The name used in reports, lookup tables and kernel tables.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv { weights, window, groups } if *groups > 1 && weights.row_len() == window.kernel[0] * window.kernel[1] => "depthwise",
            Op::Conv { .. } => "conv",
            Op::FullyConnected { .. } => "fully_connected",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mul => "mul",
            Op::Table { .. } => "table",
            Op::Slice { .. } => "slice",
            Op::ChannelAffine { .. } => "channel_affine",
            Op::Concat { .. } => "concat",
            Op::MaxPool { .. } => "max_pool",
            Op::AveragePool { .. } => "average_pool",
            Op::Pad { .. } => "pad",
            Op::Resize { .. } => "resize",
            Op::Prelu { .. } => "prelu",
            Op::Reshape => "reshape",
            Op::Transpose { .. } => "transpose",
            Op::Softmax => "softmax",
            Op::Clamp => "requantize",
            Op::MatMul { .. } => "matmul",
            Op::LayerNorm { .. } => "layer_norm",
        }
    }

    /// The window, for the operators that slide one.
    pub fn window(&self) -> Option<&Window> {
        match self {
            Op::Conv { window, .. } | Op::MaxPool { window, .. } | Op::AveragePool { window, .. } => Some(window),
            _ => None,
        }
    }

    /// Weights, for the operators that have them.
    pub fn weights(&self) -> Option<&Weights> {
        match self {
            Op::Conv { weights, .. } | Op::FullyConnected { weights } => Some(weights),
            _ => None,
        }
    }

    /// The matrix that the weights are, for the operators that have them.
    pub fn weight_shape(&self) -> Option<WeightShape> {
        let weights = self.weights()?;
        let groups = if let Op::Conv { groups, .. } = self { *groups } else { 1 };
        Some(WeightShape { groups, rows: weights.outputs(), row_len: weights.row_len() })
    }

    /// Weights, for the operators that have them.
    pub fn weights_mut(&mut self) -> Option<&mut Weights> {
        match self {
            Op::Conv { weights, .. } | Op::FullyConnected { weights } => Some(weights),
            _ => None,
        }
    }

    /// True where the output holds the same codes as the input, so that both share one quantizer.
    pub fn keeps_codes(&self) -> bool {
        matches!(
            self,
            Op::MaxPool { .. }
                | Op::Pad { .. }
                | Op::Slice { .. }
                | Op::Resize { interpolate: false, .. }
                | Op::Reshape
                | Op::Transpose { .. }
        )
    }
}

/// Bounds that a node applies to its result; infinite where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// Lower bound.
    pub lo: f32,
    /// Upper bound.
    pub hi: f32,
}

impl Clamp {
    /// No bound.
    pub const NONE: Clamp = Clamp { lo: f32::NEG_INFINITY, hi: f32::INFINITY };

    /// True where both bounds are infinite.
    pub fn is_none(&self) -> bool {
        *self == Clamp::NONE
    }

    /// This clamp followed by `next`, as one.
    pub fn then(self, next: Clamp) -> Clamp {
        let apply = |v: f32| v.max(next.lo).min(next.hi);
        Clamp { lo: apply(self.lo), hi: apply(self.hi) }
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The name in the ONNX file.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Tensors it reads.
    pub inputs: Vec<TensorId>,
    /// Tensor it makes.
    pub output: TensorId,
    /// Bounds applied to the result.
    pub clamp: Clamp,
}

/// A network with one input and one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Name of the model.
    pub name: String,
    /// All tensors.
    pub tensors: Vec<Tensor>,
    /// Nodes in execution order.
    pub nodes: Vec<Node>,
    /// The network's input.
    pub input: TensorId,
    /// The network's output.
    pub output: TensorId,
    /// Axis `i` of the ONNX output is axis `output_axes[i]` of [`Graph::output`].
    pub output_axes: Vec<usize>,
    /// Axis `i` of the ONNX input is axis `input_axes[i]` of [`Graph::input`].
    pub input_axes: Vec<usize>,
    /// True where a Softmax at the end was left out.
    pub softmax_dropped: bool,
    /// Classes of that Softmax, where it can stand behind [`Graph::output`] again.
    pub softmax_classes: Option<usize>,
    /// Quantizers of weights that the model brings, by the name of the node.
    pub given_weights: BTreeMap<String, GivenWeights>,
}

/// Elements of the tensors that are alive at the same time, at most, each kept until its last reader has run.
pub fn live_elements(graph: &Graph) -> usize {
    let mut last = vec![0; graph.tensors.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|input| last[input.0] = index);
    }
    last[graph.output.0] = usize::MAX;
    let constants = graph.tensors.iter().filter(|tensor| tensor.constant.is_some()).map(Tensor::len).sum::<usize>();
    let mut live = graph.tensor(graph.input).len() + constants;
    let mut most = live;
    for (index, node) in graph.nodes.iter().enumerate() {
        live += graph.tensor(node.output).len();
        most = most.max(live);
        let mut dead: Vec<TensorId> = node.inputs.iter().copied().filter(|input| last[input.0] == index).collect();
        dead.sort_unstable();
        dead.dedup();
        live -= dead.iter().map(|input| graph.tensor(*input).len()).sum::<usize>();
    }
    most
}

impl Graph {
    /// True for a model that brings quantizers of its own.
    pub fn is_quantized(&self) -> bool {
        !self.given_weights.is_empty() || self.tensors.iter().any(|tensor| tensor.quantizer.is_some())
    }

    /// The tensor behind an id.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// Appends a tensor.
    pub fn add_tensor(&mut self, name: impl Into<String>, shape: Vec<usize>) -> TensorId {
        self.tensors.push(Tensor { name: name.into(), shape, constant: None, quantizer: None });
        TensorId(self.tensors.len() - 1)
    }

    /// Appends a tensor that the model holds.
    pub fn add_constant(&mut self, name: impl Into<String>, shape: Vec<usize>, values: impl Into<Arc<[f32]>>) -> TensorId {
        let id = self.add_tensor(name, shape);
        self.tensors[id.0].constant = Some(values.into());
        id
    }

    /// For each tensor, the nodes that read it, in order.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.tensors.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                if consumers[input.0].last() != Some(&NodeId(index)) {
                    consumers[input.0].push(NodeId(index));
                }
            }
        }
        consumers
    }

    /// For each tensor, the node that makes it.
    pub fn producers(&self) -> Vec<Option<NodeId>> {
        let mut producers = vec![None; self.tensors.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            producers[node.output.0] = Some(NodeId(index));
        }
        producers
    }

    /// Multiply-accumulates of a node: those of convolutions, fully connected layers and matrix products, 0 otherwise.
    pub fn macs(&self, node: &Node) -> u64 {
        if let Op::MatMul { .. } = node.op {
            return self.tensor(node.output).len() as u64 * self.tensor(node.inputs[0]).channels() as u64;
        }
        match node.op.weights() {
            Some(weights) => {
                let output = self.tensor(node.output);
                (output.len() as u64) * weights.row_len() as u64
            }
            None => 0,
        }
    }

    /// Multiply-accumulates of the network.
    pub fn total_macs(&self) -> u64 {
        self.nodes.iter().map(|node| self.macs(node)).sum()
    }

    /// Drops nodes and tensors that the output does not need, and renumbers the rest.
    pub fn compact(&mut self) {
        let mut needed = vec![false; self.tensors.len()];
        needed[self.output.0] = true;
        needed[self.input.0] = true;
        let mut keep = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if needed[node.output.0] {
                keep[index] = true;
                node.inputs.iter().for_each(|input| needed[input.0] = true);
            }
        }
        let mut kept = keep.iter();
        self.nodes.retain(|_| *kept.next().unwrap_or(&false));
        let mut renumbered = vec![TensorId(0); self.tensors.len()];
        let mut tensors = Vec::new();
        for (index, tensor) in self.tensors.drain(..).enumerate() {
            if needed[index] {
                renumbered[index] = TensorId(tensors.len());
                tensors.push(tensor);
            }
        }
        self.tensors = tensors;
        for node in &mut self.nodes {
            node.output = renumbered[node.output.0];
            node.inputs.iter_mut().for_each(|input| *input = renumbered[input.0]);
        }
        self.input = renumbered[self.input.0];
        self.output = renumbered[self.output.0];
    }
}
