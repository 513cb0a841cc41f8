//! Operator names shared by layer keys and kernel tables.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest operator name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// What a layer computes. Text form: the `snake_case` name ([`Operator::name`]).
///
/// A grouped convolution is [`Operator::Conv`] with `groups > 1` in its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Operator {
    /// Convolution, dense or grouped.
    Conv,
    /// Depthwise convolution: one group for each input channel, any channel multiplier.
    Depthwise,
    /// Fully connected layer, `rows x inputs -> rows x outputs`.
    FullyConnected,
    /// Matrix product; the second operand takes the place of the weights.
    MatMul,
    /// Elementwise sum of two tensors.
    Add,
    /// Elementwise product of two tensors.
    Mul,
    /// Elementwise difference of two tensors.
    Sub,
    /// Average pooling, global or windowed.
    AveragePool,
    /// Maximum pooling.
    MaxPool,
    /// From one quantizer to another.
    Requantize,
    /// Padding with a constant.
    Pad,
    /// Every so many elements of each axis.
    Slice,
    /// Resize along height and width, nearest neighbour or bilinear.
    Resize,
    /// Rectifier with a slope for each channel.
    Prelu,
    /// Concatenation along one axis.
    Concat,
    /// Permutation of axes.
    Transpose,
    /// Softmax along the last axis.
    Softmax,
    /// Elementwise function through a lookup table.
    Table,
    /// Layer normalisation along the last axis.
    LayerNorm,
    /// Any operator without a name of its own here.
    Other(OtherOperator),
}

/// A name that none of the variants of [`Operator`] has. Made by [`Operator::from_str`] only, so
/// that one operator has one representation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherOperator(Box<str>);

/// A text that cannot be an operator name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an operator name: 1 to {NAME_BYTES_MAX} ASCII letters, digits, `_`, `-` or `.`")]
pub struct OperatorError(pub String);

impl Operator {
    /// All operators with a name of their own, in their order.
    pub const NAMED: [Operator; 19] = [
        Operator::Conv,
        Operator::Depthwise,
        Operator::FullyConnected,
        Operator::MatMul,
        Operator::Add,
        Operator::Mul,
        Operator::Sub,
        Operator::AveragePool,
        Operator::MaxPool,
        Operator::Requantize,
        Operator::Pad,
        Operator::Slice,
        Operator::Resize,
        Operator::Prelu,
        Operator::Concat,
        Operator::Transpose,
        Operator::Softmax,
        Operator::Table,
        Operator::LayerNorm,
    ];

    /// Name in files and messages, for example `fully_connected`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Operator::Conv => "conv",
            Operator::Depthwise => "depthwise",
            Operator::FullyConnected => "fully_connected",
            Operator::MatMul => "matmul",
            Operator::Add => "add",
            Operator::Mul => "mul",
            Operator::Sub => "sub",
            Operator::AveragePool => "average_pool",
            Operator::MaxPool => "max_pool",
            Operator::Requantize => "requantize",
            Operator::Pad => "pad",
            Operator::Slice => "slice",
            Operator::Resize => "resize",
            Operator::Prelu => "prelu",
            Operator::Concat => "concat",
            Operator::Transpose => "transpose",
            Operator::Softmax => "softmax",
            Operator::Table => "table",
            Operator::LayerNorm => "layer_norm",
            Operator::Other(other) => &other.0,
        }
    }

    /// Whether the operator multiplies by a second operand that has a bit width of its own:
    /// convolution, depthwise, fully connected and matrix product. These are the operators that
    /// BOPs count.
    #[must_use]
    pub fn has_weights(&self) -> bool {
        matches!(self, Operator::Conv | Operator::Depthwise | Operator::FullyConnected | Operator::MatMul)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Operator {
    type Err = OperatorError;

    fn from_str(name: &str) -> Result<Self, OperatorError> {
        if let Some(known) = Operator::NAMED.iter().find(|known| known.name() == name) {
            return Ok(known.clone());
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
            return Err(OperatorError(name.into()));
        }
        Ok(Operator::Other(OtherOperator(name.into())))
    }
}

impl TryFrom<String> for Operator {
    type Error = OperatorError;

    fn try_from(name: String) -> Result<Self, OperatorError> {
        name.parse()
    }
}

impl From<Operator> for String {
    fn from(operator: Operator) -> String {
        operator.name().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_own_operator() {
        for operator in Operator::NAMED {
            assert_eq!(operator.name().parse(), Ok(operator));
        }
    }

    #[test]
    fn an_unknown_name_is_kept_and_a_bad_one_refused() {
        let other: Operator = "LayerNormalization".parse().unwrap();
        assert_eq!(other.name(), "LayerNormalization");
        assert!(!other.has_weights());
        for bad in ["", "a b", "é", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(bad.parse::<Operator>().is_err(), "{bad:?}");
        }
    }
}
