//! What a caller in C learns about a model.
#![forbid(unsafe_code)]

use core::ffi::c_char;

use apq_runtime::Model;

/// Most axes of a shape.
pub const SHAPE_MAX: usize = 5;
const _: () = assert!(SHAPE_MAX == apq_runtime::RANK_MAX);

/// Characters (UTF-8) without a NUL at their end; they lie in the model's bytes or in the library.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text {
    /// The first character.
    pub bytes: *const c_char,
    /// Number of bytes.
    pub length: usize,
}

impl Text {
    pub(crate) fn new(text: &str) -> Self {
        Self { bytes: text.as_ptr().cast(), length: text.len() }
    }
}

/// A tensor: the real value of a code q is `scale * (q - zero_point)`.
///
/// Codes of 2, 4, 6 and 8 bits are unsigned, those of 16 bits signed. Packed, channel last: at 2 and 4 bits the channels of a pixel fill bytes
/// from the lowest bits on, and every pixel starts at a byte; codes of 6 and 8 bits take a byte each, those of 16 bits two,
/// little-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Tensor {
    /// Name in the network that was compiled; may be empty.
    pub name: Text,
    /// Number of axes, 1 to 5.
    pub rank: u32,
    /// Sizes, slowest axis first; 1 beyond the last axis.
    pub shape: [u32; SHAPE_MAX],
    /// Number of codes: the product of all sizes.
    pub elements: usize,
    /// Bytes of the packed codes.
    pub packed_bytes: usize,
    /// Width of a code: 2, 4, 6, 8 or 16.
    pub bits: u32,
    /// Step of the quantizer; positive.
    pub scale: f32,
    /// Code of the real value zero.
    pub zero_point: i32,
}

impl Tensor {
    pub(crate) fn new(tensor: &apq_runtime::Tensor<'_>) -> Self {
        let mut shape = [1; SHAPE_MAX];
        for (place, size) in shape.iter_mut().zip(tensor.shape.sizes()) {
            *place = size as u32;
        }
        Self {
            name: Text::new(tensor.name),
            rank: tensor.shape.rank() as u32,
            shape,
            elements: tensor.shape.elements(),
            packed_bytes: tensor.bytes(),
            bits: tensor.bits.bits(),
            scale: tensor.scale,
            zero_point: tensor.zero_point,
        }
    }
}

/// Element type of the raw data that a model was compiled for; the others are turned into real numbers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum RawType {
    /// Unsigned bytes, as most images.
    U8 = 0,
    /// Signed bytes.
    I8 = 1,
    /// Real numbers in single precision.
    F32 = 2,
}

/// What a network reads.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Input {
    /// Shape and quantizer.
    pub tensor: Tensor,
    /// Raw data that it was compiled for.
    pub raw_type: RawType,
}

/// What a network writes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Output {
    /// Shape and quantizer.
    pub tensor: Tensor,
    /// Number of classes of a classifier; 0 for any other network.
    pub classes: usize,
    /// A softmax ended the network and was left out: the outputs are logits.
    pub softmax_removed: bool,
}

/// A model.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ModelInfo {
    /// Its name.
    pub name: Text,
    /// Bytes that the arena must have.
    pub arena_bytes: usize,
    /// Number of layers: how often an observer is called before, and after.
    pub layers: usize,
    /// What it reads.
    pub input: Input,
    /// What it writes.
    pub output: Output,
}

impl ModelInfo {
    /// Everything about a model; a checked one has input and output.
    pub(crate) fn new(model: &Model<'_>) -> Option<Self> {
        let (input, output) = (model.input()?, model.output()?);
        let raw_type = match input.raw_type {
            apq_runtime::RawType::U8 => RawType::U8,
            apq_runtime::RawType::I8 => RawType::I8,
            apq_runtime::RawType::F32 => RawType::F32,
        };
        Some(Self {
            name: Text::new(model.name()),
            arena_bytes: model.arena_bytes(),
            layers: model.node_count(),
            input: Input { tensor: Tensor::new(&input.tensor), raw_type },
            output: Output { tensor: Tensor::new(&output.tensor), classes: output.classes, softmax_removed: output.softmax_removed },
        })
    }
}
