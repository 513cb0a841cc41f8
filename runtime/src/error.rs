//! Why a file, an arena or a buffer is refused.
//!
//! All errors are small `Copy` values: a device can store one, compare it and send it on.

use core::fmt;

use apq_kernels::Invalid;

/// What an error says about its cause; a tool turns it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The bytes are no `.apq` file, are damaged, or contradict themselves.
    BadFile,
    /// The file may be right, but needs something that this build of the runtime does not have.
    Unsupported,
    /// The caller placed the file at an address that cannot work.
    Misuse,
}

/// Why [`Model::new_checked`](crate::Model::new_checked) refused a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// The first bytes are not those of an `.apq` file.
    Magic,
    /// The file is not as long as its header says: cut, or with something behind it.
    Length {
        /// Length in the header, in bytes; 0 where the file ends before it.
        stored: u32,
        /// Length of the file, in bytes.
        actual: u32,
    },
    /// A byte has changed.
    Checksum,
    /// The format version is not the one that this crate reads.
    Version {
        /// Version of the file.
        version: u16,
    },
    /// The file needs an operator that this build lacks.
    Operator {
        /// Name of the operator.
        name: Name,
    },
    /// The file needs kernels for an arrangement of weights that this build lacks.
    Arrangement {
        /// Name of the arrangement.
        name: Name,
    },
    /// The file does not start at a multiple of [`ALIGNMENT`](crate::ALIGNMENT) in memory.
    Misaligned,
    /// The sections do not fill the file, or reserved bytes are not zero.
    Header,
    /// The head of the graph section cannot be decoded, its offset table does not fit its records, or its list of operators
    /// names one that no node has.
    Graph,
    /// A tensor is wrong.
    Tensor {
        /// Number of the tensor.
        tensor: u16,
        /// What is wrong.
        problem: TensorProblem,
    },
    /// A node is wrong.
    Node {
        /// Number of the node.
        node: u16,
        /// What is wrong.
        problem: NodeProblem,
    },
    /// The description of the network's input is wrong.
    Input {
        /// What is wrong.
        problem: PortProblem,
    },
    /// The description of the network's output is wrong.
    Output {
        /// What is wrong.
        problem: PortProblem,
    },
}

impl LoadError {
    /// What the error says about its cause.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Version { .. } | Self::Operator { .. } | Self::Arrangement { .. } => ErrorClass::Unsupported,
            Self::Tensor { problem: TensorProblem::Width, .. } | Self::Node { problem: NodeProblem::Width, .. } => ErrorClass::Unsupported,
            Self::Misaligned => ErrorClass::Misuse,
            _ => ErrorClass::BadFile,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("this is not an .apq file: its first bytes are others"),
            Self::Length { stored: 0, actual } if (*actual as usize) < crate::HEADER_BYTES => {
                write!(f, "the file is cut: {actual} bytes are no header")
            }
            Self::Length { stored, actual } => {
                write!(f, "the file has {actual} bytes, but its header says {stored}")
            }
            Self::Checksum => f.write_str("the file is damaged: its checksum does not fit its bytes"),
            Self::Version { version } => {
                write!(f, "the file has format version {version}; this build reads version {}", crate::FORMAT_VERSION)
            }
            Self::Operator { name } => write!(f, "the model needs the operator `{name}`, which this build lacks"),
            Self::Arrangement { name } => {
                write!(f, "the model needs kernels for weights arranged `{name}`, which this build lacks")
            }
            Self::Misaligned => {
                write!(f, "the file must lie at an address that is a multiple of {}", crate::ALIGNMENT)
            }
            Self::Header => f.write_str("the file's sections do not fill it"),
            Self::Graph => f.write_str("the head of the graph section cannot be decoded or does not fit the records"),
            Self::Tensor { tensor, problem } => write!(f, "tensor {tensor}: {problem}"),
            Self::Node { node, problem } => write!(f, "node {node}: {problem}"),
            Self::Input { problem } => write!(f, "input of the network: {problem}"),
            Self::Output { problem } => write!(f, "output of the network: {problem}"),
        }
    }
}

impl core::error::Error for LoadError {}

/// What is wrong with a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorProblem {
    /// This build has no kernels for codes of that width.
    Width,
    /// The record cannot be decoded, or is not as long as the offset table says.
    Record,
    /// No axis, an empty axis, or too many codes.
    Shape,
    /// The scale is not a finite positive number.
    Scale,
    /// The zero point is not a code, or is not 0 at 16 bits.
    ZeroPoint,
    /// The place in the arena is not aligned, or reaches past the arena's end.
    Placement,
    /// A view differs from its tensor in place, width, quantizer or packing, or shows another view.
    Alias,
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Width => "its codes have a width that this build lacks",
            Self::Record => "the record cannot be decoded",
            Self::Shape => "the shape is empty or too large",
            Self::Scale => "the scale is not a finite positive number",
            Self::ZeroPoint => "the zero point is not one of its codes",
            Self::Placement => "the place in the arena is not aligned or outside the arena",
            Self::Alias => "the view does not fit the tensor that it shows",
        })
    }
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeProblem {
    /// This build has no kernels for weights of that width.
    Width,
    /// The record cannot be decoded, or is not as long as the offset table says.
    Record,
    /// The operator is not in the file's list of operators.
    OperatorList,
    /// A tensor, a quantizer group or an arrangement that does not exist.
    Reference,
    /// The operator takes another number of inputs.
    InputCount,
    /// Shapes do not suit the operator.
    Shape,
    /// Two tensors must share one quantizer and do not.
    Quantizer,
    /// The fused clamp is empty, outside the output's codes, or on an operator that does not clamp.
    Clamp,
    /// The weights or another raw block are not aligned or reach past the raw section's end.
    Raw,
    /// This node and those before it read the raw section too often: too many of them share blocks.
    RawShared,
    /// Weights that fill up the arrangement are not 0.
    Padding,
    /// The kernel refuses the parameters.
    Parameters(Invalid),
    /// The sums of this output channel may leave the accumulator.
    Accumulator {
        /// The output channel.
        channel: u32,
    },
    /// The scratch memory is not aligned or reaches past the arena's end.
    Scratch,
    /// Scratch memory shares bytes with what the node reads or writes, or the output lies over an input as no order of rows or
    /// codes allows.
    Overlap,
    /// The node writes codes that another node writes too, or a part of a tensor before the parts in front of it.
    Written {
        /// The tensor.
        tensor: u16,
    },
    /// The node reads a tensor that no earlier node wrote, or whose bytes an earlier node has overwritten.
    Unwritten {
        /// The tensor.
        tensor: u16,
    },
}

impl fmt::Display for NodeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Width => "its weights have a width that this build lacks",
            Self::Record => "the record cannot be decoded",
            Self::OperatorList => "the operator is not in the file's list of operators",
            Self::Reference => "a tensor, group or arrangement does not exist",
            Self::InputCount => "the operator takes another number of inputs",
            Self::Shape => "the shapes do not suit the operator",
            Self::Quantizer => "two tensors that must share one quantizer do not",
            Self::Clamp => "the fused clamp is empty, outside the codes, or on an operator that does not clamp",
            Self::Raw => "raw data are not aligned or outside the raw section",
            Self::Padding => "weights that no output channel has are not 0",
            Self::RawShared => "the nodes up to here read the raw section too often",
            Self::Parameters(invalid) => invalid.text(),
            Self::Accumulator { channel } => {
                return write!(f, "the sums of output channel {channel} may overflow the accumulator");
            }
            Self::Scratch => "the scratch memory is not aligned or outside the arena",
            Self::Overlap => "output or scratch memory overlap what the node reads",
            Self::Written { tensor } => {
                return write!(f, "tensor {tensor} is written twice, or not from its beginning on");
            }
            Self::Unwritten { tensor } => {
                return write!(f, "tensor {tensor} is read but not written, or its bytes are overwritten before");
            }
        };
        f.write_str(text)
    }
}

impl From<Invalid> for NodeProblem {
    fn from(invalid: Invalid) -> Self {
        Self::Parameters(invalid)
    }
}

/// What is wrong with the description of the network's input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortProblem {
    /// The tensor does not exist, or the input is a view.
    Reference,
    /// Means and standard deviations are neither one nor one for each channel, or not finite, or zero.
    Preprocessing,
    /// A table's entry is not a code of the tensor.
    Table,
    /// The raw data are not aligned or reach past the raw section's end.
    Raw,
    /// The number of classes is neither 0 nor that of the tensor's codes.
    Classes,
    /// The tensor is not written, or its bytes are overwritten before the run ends.
    Unwritten,
}

impl fmt::Display for PortProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "the tensor does not exist or is a view",
            Self::Preprocessing => "mean and standard deviation do not suit the tensor",
            Self::Table => "an entry of the input table is not a code of the tensor",
            Self::Raw => "raw data are not aligned or outside the raw section",
            Self::Classes => "the number of classes does not suit the tensor",
            Self::Unwritten => "the tensor is not written, or is overwritten before the end",
        })
    }
}

/// Why [`Session::new`](crate::Session::new) refused an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArenaError {
    /// Too short.
    TooSmall {
        /// Bytes that the model needs.
        needed: usize,
        /// Bytes that the caller gave.
        given: usize,
    },
    /// Does not start at a multiple of [`ALIGNMENT`](crate::ALIGNMENT) in memory.
    Misaligned,
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { needed, given } => {
                write!(f, "the arena has {given} bytes; the model needs {needed}")
            }
            Self::Misaligned => {
                write!(f, "the arena must lie at an address that is a multiple of {}", crate::ALIGNMENT)
            }
        }
    }
}

impl core::error::Error for ArenaError {}

/// A caller's buffer has the wrong number of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthError {
    /// Elements that the tensor has.
    pub needed: usize,
    /// Elements that the caller gave.
    pub given: usize,
}

impl fmt::Display for LengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer has {} elements; the tensor has {}", self.given, self.needed)
    }
}

impl core::error::Error for LengthError {}

/// A name out of a file that was refused, kept without the file. Longer names are cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    length: u8,
    bytes: [u8; Name::LENGTH_MAX],
}

impl Name {
    /// Bytes kept.
    pub const LENGTH_MAX: usize = 31;

    /// The first bytes of `name`.
    pub fn new(name: &str) -> Self {
        let mut kept = Self { length: 0, bytes: [0; Self::LENGTH_MAX] };
        let mut end = name.len().min(Self::LENGTH_MAX);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        for (to, &from) in kept.bytes.iter_mut().zip(name.as_bytes().get(..end).unwrap_or(&[])) {
            *to = from;
        }
        kept.length = end as u8;
        kept
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
