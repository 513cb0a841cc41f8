//! Nodes as the file describes them: the operator, what it reads and writes, and its place in the plan.
//!
//! Offsets called `raw` count bytes from the start of the raw section; the data behind them lie in the order given, in
//! little-endian words.

use apq_kernels::{Accumulator, WeightBits};
use serde::Serialize;

use crate::tensor::RANK_MAX;

/// Most inputs of one node.
pub const INPUTS_MAX: usize = 16;

/// One operator call. The first three fields come first in the file too: whoever follows the data reads no further.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node<'a> {
    /// Tensors read, in the operator's order.
    pub inputs: heapless::Vec<u16, INPUTS_MAX>,
    /// Tensor written.
    pub output: u16,
    /// Working memory.
    pub scratch: Region,
    /// Name in the network that was compiled; may be empty.
    pub name: &'a str,
    /// Quantizer group that chose the bit widths.
    pub group: Option<u16>,
    /// Smallest and largest code written, where that is less than all codes of the output: a fused activation.
    pub clamp: Option<[i32; 2]>,
    /// What it computes.
    pub operator: Operator,
}

impl Node<'_> {
    /// Weights, bias and requantisation, if the node multiplies by weights.
    pub fn weighted(&self) -> Option<&Weighted> {
        match &self.operator {
            Operator::Conv(conv) => Some(&conv.weighted),
            Operator::FullyConnected(weighted) => Some(weighted),
            _ => None,
        }
    }
}

/// A range of bytes in the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Region {
    /// First byte.
    pub offset: u32,
    /// Number of bytes; 0 means none, whatever the offset.
    pub length: u32,
}

/// The operators. In the file an operator is the number of its variant, so that new ones come last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Operator {
    /// Two-dimensional convolution; depthwise is `groups` = channels.
    Conv(Conv),
    /// Fully connected layer over the last axis.
    FullyConnected(Weighted),
    /// Sum or difference of two tensors.
    Add(Add),
    /// Product of two tensors.
    Mul(Rescale),
    /// Average pool.
    AveragePool(AveragePool),
    /// Max pool.
    MaxPool(Window),
    /// One tensor to another quantizer, with a clamp.
    Requantize(Rescale),
    /// Constant padding.
    Pad(Pad),
    /// Every so many codes of each axis.
    Slice(Slice),
    /// Concatenation along one axis.
    Concat(Concat),
    /// Permutation of the axes: output axis `i` is input axis `axes[i]`.
    Transpose {
        /// Input axis of each output axis.
        axes: heapless::Vec<u8, RANK_MAX>,
    },
    /// A function given by a table: `apq_kernels::Table` describes the entries.
    Table {
        /// Raw offset of the entries.
        raw: u32,
    },
    /// Softmax over the last axis.
    Softmax(Rescale),
    /// A copy into another shape, where the two shapes pack their codes differently. Where they do not, the compiler
    /// makes the result a view ([`Tensor::alias`](crate::Tensor::alias)) and no node runs.
    Reshape,
    /// Resize along height and width.
    Resize(Resize),
    /// Rectifier with a slope for each channel.
    Prelu(Prelu),
    /// Product of two tensors over their last axes.
    MatMul(MatMul),
    /// Layer normalisation over the last axis.
    LayerNorm(LayerNorm),
    /// Codes from the file, copied into the arena; reads nothing.
    Constant {
        /// Raw offset of the packed codes.
        raw: u32,
    },
}

impl Operator {
    /// Names of all operators, in the order of the variants; a file lists those it needs.
    pub const NAMES: [&'static str; 19] = [
        "conv",
        "fully-connected",
        "add",
        "mul",
        "average-pool",
        "max-pool",
        "requantize",
        "pad",
        "slice",
        "concat",
        "transpose",
        "table",
        "softmax",
        "reshape",
        "resize",
        "prelu",
        "matmul",
        "layer-norm",
        "constant",
    ];

    /// Place in [`Operator::NAMES`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Conv(_) => 0,
            Self::FullyConnected(_) => 1,
            Self::Add(_) => 2,
            Self::Mul(_) => 3,
            Self::AveragePool(_) => 4,
            Self::MaxPool(_) => 5,
            Self::Requantize(_) => 6,
            Self::Pad(_) => 7,
            Self::Slice(_) => 8,
            Self::Concat(_) => 9,
            Self::Transpose { .. } => 10,
            Self::Table { .. } => 11,
            Self::Softmax(_) => 12,
            Self::Reshape => 13,
            Self::Resize(_) => 14,
            Self::Prelu(_) => 15,
            Self::MatMul(_) => 16,
            Self::LayerNorm(_) => 17,
            Self::Constant { .. } => 18,
        }
    }

    /// The operator's name, as reports and messages write it.
    pub fn name(&self) -> &'static str {
        Self::NAMES.get(self.index()).copied().unwrap_or("")
    }
}

/// A sliding window; every pair is `[vertical, horizontal]`. Padding at the bottom and on the right follows from the
/// output's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Taps.
    pub kernel: [u16; 2],
    /// Input positions from one output position to the next.
    pub stride: [u16; 2],
    /// Input positions from one tap to the next.
    pub dilation: [u16; 2],
    /// Padding at the top and on the left.
    pub pad: [u16; 2],
}

impl From<Window> for apq_kernels::Window {
    fn from(window: Window) -> Self {
        Self {
            kernel: window.kernel.map(usize::from),
            stride: window.stride.map(usize::from),
            dilation: window.dilation.map(usize::from),
            pad: window.pad.map(usize::from),
        }
    }
}

/// Weights and output stage of a multiply-accumulate operator with O output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weighted {
    /// Width of a weight.
    #[serde(with = "crate::codec::weight_bits")]
    pub bits: WeightBits,
    /// Width of the accumulator.
    #[serde(with = "crate::codec::accumulator")]
    pub accumulator: Accumulator,
    /// Arrangement of the weights: place in the file's list of arrangements.
    pub arrangement: u8,
    /// Raw offset of the packed weights.
    pub weights: u32,
    /// Raw offset of the output stage: bias `[O]` i32, m `[O]` i32, r `[O]` u8.
    pub stage: u32,
}

/// Two-dimensional convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Conv {
    /// Window over the input.
    pub window: Window,
    /// Number of groups; divides the channels of input and output.
    pub groups: u32,
    /// Weights and output stage.
    pub weighted: Weighted,
}

/// Multiplier m and shift r of a requantisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rescale {
    /// m, 0 .. 2^31.
    pub multiplier: i32,
    /// r, 1 ..= 62.
    pub shift: u8,
}

/// Sum or difference of two tensors under one shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Add {
    /// m of each input, 0 .. 2^31.
    pub multipliers: [i32; 2],
    /// r, 1 ..= 62.
    pub shift: u8,
    /// The second input is subtracted.
    pub subtract: bool,
}

/// Product of two tensors: `[.., M, K]` times `[.., K, N]`, or `[.., N, K]` where the second is stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MatMul {
    /// The second input is `[.., N, K]`.
    pub transposed: bool,
    /// s_a * s_b / s_out.
    pub rescale: Rescale,
}

/// Layer normalisation; the numbers are explained with `apq_kernels::LayerNorm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LayerNorm {
    /// E, below 2^62.
    pub epsilon: u64,
    /// r.
    pub shift: u8,
    /// Raw offset of gamma `[C]` i32 and beta `[C]` i32.
    pub raw: u32,
}

/// Average pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AveragePool {
    /// Window over the input.
    pub window: Window,
    /// Padding at the bottom and on the right, where padding is counted (ONNX `count_include_pad`).
    pub counted_end: Option<[u16; 2]>,
    /// How many different numbers of counted elements there are.
    pub divisors: u16,
    /// Raw offset of the divisors: n `[D]` u32, m `[D]` i32, r `[D]` u8.
    pub raw: u32,
}

/// Padding with one code along height, width and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pad {
    /// Codes before the input; what follows it is what the output's shape leaves.
    pub before: [u32; 3],
    /// The code written.
    pub code: i32,
}

/// Resize along height and width, nearest neighbour or bilinear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resize {
    /// `None` for nearest neighbour, where input and output share one quantizer.
    pub rescale: Option<Rescale>,
    /// Raw offset of the coordinates: u32 for each output row, u32 for each output column.
    pub raw: u32,
}

/// Rectifier with a slope for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prelu {
    /// Of values that are not negative.
    pub rescale: Rescale,
    /// Raw offset of the slopes: m `[C]` i32, r `[C]` u8.
    pub raw: u32,
}

/// Every `step`-th code from `begin` on, along height, width and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Slice {
    /// First position read.
    pub begin: [u32; 3],
    /// Distance between positions read, at least 1.
    pub step: [u32; 3],
}

/// Concatenation along one axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Concat {
    /// The axis, 0 = slowest.
    pub axis: u8,
    /// One entry for each input; `None` where it shares the output's quantizer.
    pub rescales: heapless::Vec<Option<Rescale>, INPUTS_MAX>,
}
