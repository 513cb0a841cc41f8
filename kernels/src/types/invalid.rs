//! Why parameters are refused.

/// Why a parameter structure cannot be run. Found by the `check` methods; no kernel returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// A dimension is zero, or two dimensions that must agree differ.
    Shape,
    /// A size, an offset or a count does not fit the address space.
    TooLarge,
    /// Kernel, stride or dilation is zero, or a pooling window meets no element.
    Window,
    /// The groups do not divide the channels.
    Groups,
    /// The input buffer has the wrong length.
    InputLength,
    /// The output buffer has the wrong length.
    OutputLength,
    /// The scratch buffer is too short.
    ScratchLength,
    /// The weights have the wrong length.
    WeightLength,
    /// Bias, multipliers, shifts, counts or a table have the wrong length.
    StageLength,
    /// A bit width does not suit the operator.
    Bits,
    /// A multiplier is negative or has more bits than its accumulator allows.
    Multiplier,
    /// A shift is outside 1 ..= 62.
    Shift,
    /// A zero point is not a code of its tensor.
    ZeroPoint,
    /// lo > hi, or one of them is not a code of the output.
    Clamp,
    /// A constant or a table entry is not a code of the output.
    Code,
    /// A pooling window counts elements for which there is no divisor, or a sum may pass 2^31.
    Count,
    /// The counts of the divisors are not strictly ascending.
    CountOrder,
    /// A coordinate of a resize lies outside the input, or between two positions where codes are copied.
    Coordinate,
    /// A permutation repeats an axis or names one that does not exist.
    Permutation,
}

impl Invalid {
    /// A short text for a log or a host tool.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Shape => "dimensions are zero or do not agree",
            Self::TooLarge => "a size does not fit the address space",
            Self::Window => "kernel, stride or dilation is zero, or a window meets no element",
            Self::Groups => "the groups do not divide the channels",
            Self::InputLength => "the input has the wrong length",
            Self::OutputLength => "the output has the wrong length",
            Self::ScratchLength => "the scratch buffer is too short",
            Self::WeightLength => "the weights have the wrong length",
            Self::StageLength => "bias, multipliers, shifts, counts or table have the wrong length",
            Self::Bits => "the bit width does not suit the operator",
            Self::Multiplier => "a multiplier is out of range",
            Self::Shift => "a shift is outside 1..=62",
            Self::ZeroPoint => "a zero point is not a code of its tensor",
            Self::Clamp => "the clamp is empty or outside the output's codes",
            Self::Code => "a constant is not a code of the output",
            Self::Count => "a window's number of elements has no divisor",
            Self::CountOrder => "the counts of the divisors are not strictly ascending",
            Self::Coordinate => "a coordinate lies outside the input, or between positions where codes are copied",
            Self::Permutation => "the permutation does not name every axis once",
        }
    }
}

impl core::fmt::Display for Invalid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Invalid {}
