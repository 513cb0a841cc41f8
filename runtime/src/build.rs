//! Writing `.apq` files: owned descriptions of a model and the bytes they become.
//!
//! The compiler, tests and tools fill a [`ModelSpec`]; [`write()`] lays it out. Places in the arena are the caller's (the
//! memory plan), places in the file are the writer's. The writer checks only what the file could not show: that every number
//! fits its field and every list has the length that the shapes ask for, because the format stores no lengths. Whether the
//! model is right is for [`Model::new_checked`](crate::Model::new_checked) to say.

use alloc::string::String;
use alloc::vec::Vec;

pub use apq_kernels::{Accumulator, ActivationBits, Arrangement, WeightBits};

pub use crate::aligned::AlignedBytes;
pub use crate::header::seal;
pub use crate::input::RawType;
pub use crate::node::{Add, MatMul, Pad, Region, Rescale, Slice, Window};

mod error;
mod lengths;
mod raw;
mod scratch;
mod writer;

pub use error::WriteError;
pub use scratch::{scratch_bytes, scratch_bytes_min};
pub use writer::write;

/// A whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Name of the model.
    pub name: String,
    /// Tensors; their place here is their number.
    pub tensors: Vec<TensorSpec>,
    /// Nodes in the order in which they run.
    pub nodes: Vec<NodeSpec>,
    /// Names of the quantizer groups; their place here is their number.
    pub groups: Vec<String>,
    /// The network's input.
    pub input: InputSpec,
    /// The network's output.
    pub output: OutputSpec,
    /// Bytes of arena that the plan uses.
    pub arena_bytes: usize,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Name; may be empty.
    pub name: String,
    /// `[1, H, W, C]` or `[1, F]`, rank 1 to 5, channel last.
    pub shape: Vec<usize>,
    /// Width of a code.
    pub bits: ActivationBits,
    /// Step of the quantizer; finite and positive.
    pub scale: f32,
    /// Code of real zero; 0 at 16 bits.
    pub zero_point: i32,
    /// First byte in the arena, a multiple of [`ALIGNMENT`](crate::ALIGNMENT) unless this is a view.
    pub offset: usize,
    /// The tensor of which this one shows bytes under another shape, from the beginning of a pixel on. Same width, scale and zero point; at 2 and 4
    /// bits the last axes must be equal or both fill whole bytes. Not itself a view.
    pub alias: Option<usize>,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Name; may be empty.
    pub name: String,
    /// What it computes.
    pub operator: OperatorSpec,
    /// Tensors read, in the operator's order.
    pub inputs: Vec<usize>,
    /// Tensor written.
    pub output: usize,
    /// Quantizer group.
    pub group: Option<usize>,
    /// Smallest and largest code written, if not all codes of the output (a fused activation). Only `Conv`,
    /// `FullyConnected`, `Add`, `Mul`, `AveragePool`, `Requantize`, `Prelu`, `MatMul`, `LayerNorm`, a bilinear `Resize`, and `Concat` whose
    /// inputs are all rescaled may have one.
    pub clamp: Option<[i32; 2]>,
    /// Working memory: offset a multiple of [`ALIGNMENT`](crate::ALIGNMENT), at least
    /// [`scratch_bytes_min`] long and best [`scratch_bytes`].
    pub scratch: Region,
}

/// Operators with their data. The meaning of each number is in the types of the same names in `apq_kernels`.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorSpec {
    /// `[1, H, W, I]` to `[1, H, W, O]`; depthwise is `groups` = I.
    Conv {
        /// Window over the input.
        window: Window,
        /// Number of groups.
        groups: usize,
        /// Weights and output stage.
        weighted: WeightedSpec,
    },
    /// `[.., I]` to `[.., O]`.
    FullyConnected {
        /// Weights and output stage.
        weighted: WeightedSpec,
    },
    /// Two inputs; the second may be one row that is added to (or subtracted from) every row of the first.
    Add(Add),
    /// Two inputs; the second may be one row that multiplies every row of the first.
    Mul(Rescale),
    /// One divisor for each number of counted elements that occurs.
    AveragePool {
        /// Window over the input.
        window: Window,
        /// Padding at the bottom and on the right, where padding is counted (ONNX `count_include_pad`).
        counted_end: Option<[u16; 2]>,
        /// The divisors.
        divisors: Vec<DivisorSpec>,
    },
    /// Input and output share one quantizer.
    MaxPool(Window),
    /// One tensor to another quantizer.
    Requantize(Rescale),
    /// Input and output share one quantizer.
    Pad(Pad),
    /// Input and output share one quantizer.
    Slice(Slice),
    /// Up to [`INPUTS_MAX`](crate::INPUTS_MAX) inputs.
    Concat {
        /// The axis, 0 = slowest.
        axis: usize,
        /// One entry for each input; `None` where it shares the output's quantizer.
        rescales: Vec<Option<Rescale>>,
    },
    /// Input and output share one quantizer.
    Transpose {
        /// Input axis of each output axis.
        axes: Vec<usize>,
    },
    /// A function given by a table of output codes.
    Table {
        /// `2^b` entries for an input of b <= 8 bits, `apq_kernels::Table::POINTS` for one of 16 bits.
        entries: Vec<i16>,
    },
    /// Over the last axis; the output has 8 or 16 bits, zero point 0 and a scale of 1/N for a whole N (255 or 32767 where
    /// probabilities reach 1).
    Softmax(Rescale),
    /// A copy into another shape that packs the codes differently; input and output share one quantizer. Where the
    /// packing is the same, make the result a view instead ([`TensorSpec::alias`]).
    Reshape,
    /// Along height and width; `apq_kernels::Resize` says what coordinates are.
    Resize {
        /// Coordinate of each output row.
        rows: Vec<u32>,
        /// Coordinate of each output column.
        columns: Vec<u32>,
        /// `None` for nearest neighbour: input and output share one quantizer.
        rescale: Option<Rescale>,
    },
    /// Rectifier with a slope for each channel; see `apq_kernels::Prelu`.
    Prelu {
        /// Of values that are not negative.
        rescale: Rescale,
        /// `[C]`: m of negative values, with the slope's sign.
        slope_multiplier: Vec<i32>,
        /// `[C]`: r of negative values.
        slope_shift: Vec<u8>,
    },
    /// Two inputs of one rank, `[.., M, K]` and `[.., K, N]` or, transposed, `[.., N, K]`.
    MatMul(MatMul),
    /// Over the last axis of C codes; the numbers are explained with `apq_kernels::LayerNorm`.
    LayerNorm {
        /// E.
        epsilon: u64,
        /// `[C]`: mantissas of gamma.
        gamma: Vec<i32>,
        /// `[C]`: beta in units of 2^-14 output codes.
        beta: Vec<i32>,
        /// r.
        shift: u8,
    },
    /// No input; writes the same codes in every run.
    Constant {
        /// Codes of the output, in order.
        codes: Vec<i16>,
    },
}

/// Weights and output stage of a multiply-accumulate operator with O output channels.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedSpec {
    /// Width of a weight.
    pub bits: WeightBits,
    /// Width of the accumulator.
    pub accumulator: Accumulator,
    /// Arrangement of `weights`.
    pub arrangement: Arrangement,
    /// Packed weights (`apq_kernels::pack::pack_weights`, each row starting at a byte).
    pub weights: Vec<u8>,
    /// `[O]`: bias with the input's zero point folded in.
    pub bias: Vec<i32>,
    /// `[O]`: m.
    pub multiplier: Vec<i32>,
    /// `[O]`: r.
    pub shift: Vec<u8>,
}

/// Requantisation of a window of an average pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DivisorSpec {
    /// Number of counted elements that this entry is for.
    pub count: u32,
    /// m of s_in / (s_out * count).
    pub multiplier: i32,
    /// r of the same.
    pub shift: u8,
}

/// The network's input and the raw data that the caller has.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// The tensor.
    pub tensor: usize,
    /// Element type of the raw data. For `U8` and `I8` the writer builds the tables with
    /// [`quantize_input`](crate::quantize_input).
    pub raw: RawType,
    /// Preprocessing `(x - mean) / std`: one entry, or one for each channel.
    pub mean: Vec<f32>,
    /// As long as `mean`; finite and not zero.
    pub std: Vec<f32>,
}

/// The network's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputSpec {
    /// The tensor.
    pub tensor: usize,
    /// Number of classes of a classifier, 0 for any other network.
    pub classes: usize,
    /// A Softmax ended the network and was left out.
    pub softmax_removed: bool,
}
