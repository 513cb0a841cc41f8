//! Why a description cannot be written.

use core::fmt;

/// Why [`write`](fn@super::write) refused a description: something in it is larger than the format can say, or a list
/// has not the length that its shapes ask for, which the file could not show.
///
/// Everything else that may be wrong with a description shows when the file is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// More than 65535 tensors, nodes or groups, or a reference beyond that.
    TooMany,
    /// A tensor has more than 5 axes, or a size that 32 bits cannot hold.
    Shape {
        /// The tensor.
        tensor: usize,
    },
    /// A node has more than 16 inputs, or a list longer than the format allows.
    Node {
        /// The node.
        node: usize,
    },
    /// Bias, multipliers and shifts, or gamma and beta, are not as many as the output has channels, or coordinates not as many as it has rows
    /// and columns.
    StageLength {
        /// The node.
        node: usize,
    },
    /// The packed weights are not as long as width and shapes ask for.
    WeightLength {
        /// The node.
        node: usize,
    },
    /// A table has not as many entries as the widths of input and output ask for, or a constant not as many codes as its tensor.
    TableLength {
        /// The node.
        node: usize,
    },
    /// A table's entry does not fit the bytes of the output's width, or a constant's code is none of it.
    TableEntry {
        /// The node.
        node: usize,
    },
    /// The input has no tensor, or not as many standard deviations as means.
    Input,
    /// The arena or the file would pass 4 GiB.
    TooLarge,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => f.write_str("the model has too many tensors, nodes or groups for the file format"),
            Self::Shape { tensor } => write!(f, "the shape of tensor {tensor} is too large for the file format"),
            Self::Node { node } => write!(f, "node {node} has more inputs or list entries than the file format allows"),
            Self::StageLength { node } => {
                write!(
                    f,
                    "bias, multipliers and shifts (or gamma and beta) of node {node} are not one for each output channel, or its coordinates not one for each row and column"
                )
            }
            Self::WeightLength { node } => write!(f, "the weights of node {node} are not as long as its shapes ask for"),
            Self::TableLength { node } => {
                write!(f, "the table or constant of node {node} is not as long as the widths of its codes or its shape ask for")
            }
            Self::TableEntry { node } => write!(f, "an entry of the table or constant of node {node} does not fit its output"),
            Self::Input => f.write_str("the input has no tensor, or unequal numbers of means and standard deviations"),
            Self::TooLarge => f.write_str("the arena or the file would pass 4 GiB"),
        }
    }
}

impl core::error::Error for WriteError {}
