//! Bit widths and the other small enums that a model file stores.

/// A bit width that no weight or activation can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownBits(pub u8);

impl core::fmt::Display for UnknownBits {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} is not a supported bit width", self.0)
    }
}

impl core::error::Error for UnknownBits {}

/// Width of a weight code: signed two's complement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum WeightBits {
    /// -2 ..= 1
    W2,
    /// -8 ..= 7
    W4,
    /// -32 ..= 31
    W6,
    /// -128 ..= 127
    W8,
}

impl WeightBits {
    /// Every width, ascending.
    pub const ALL: [Self; 4] = [Self::W2, Self::W4, Self::W6, Self::W8];

    /// Which widths this build has, in the order of [`Self::ALL`]: a feature each.
    const BUILT: [bool; 4] =
        [cfg!(feature = "weights-2"), cfg!(feature = "weights-4"), cfg!(feature = "weights-6"), cfg!(feature = "weights-8")];

    /// Whether this build has kernels for the width.
    pub const fn is_built(self) -> bool {
        Self::BUILT[self as usize]
    }

    /// The same width. The compiler learns that it is one of those that this build has, and drops what is written for others.
    #[inline(always)]
    pub(crate) const fn known(self) -> Self {
        match self {
            Self::W2 if Self::BUILT[0] => Self::W2,
            Self::W4 if Self::BUILT[1] => Self::W4,
            Self::W6 if Self::BUILT[2] => Self::W6,
            Self::W8 if Self::BUILT[3] => Self::W8,
            _ => Self::FIRST_BUILT,
        }
    }

    /// Any width that this build has.
    const FIRST_BUILT: Self = {
        let mut at = 0;
        while !Self::BUILT[at] {
            at += 1;
            assert!(at < Self::BUILT.len(), "this build has no width: turn on the feature `full`, or widths such as `weights-8`");
        }
        Self::ALL[at]
    };

    /// The width in bits.
    pub const fn bits(self) -> u32 {
        match self.known() {
            Self::W2 => 2,
            Self::W4 => 4,
            Self::W6 => 6,
            Self::W8 => 8,
        }
    }

    /// The smallest code.
    pub const fn lo(self) -> i32 {
        -(1 << (self.bits() - 1))
    }

    /// The largest code.
    pub const fn hi(self) -> i32 {
        (1 << (self.bits() - 1)) - 1
    }
}

impl TryFrom<u8> for WeightBits {
    type Error = UnknownBits;

    fn try_from(bits: u8) -> Result<Self, UnknownBits> {
        match bits {
            2 => Ok(Self::W2),
            4 => Ok(Self::W4),
            6 => Ok(Self::W6),
            8 => Ok(Self::W8),
            other => Err(UnknownBits(other)),
        }
    }
}

/// Width of an activation code: unsigned up to 8 bits, signed at 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ActivationBits {
    /// 0 ..= 3
    A2,
    /// 0 ..= 15
    A4,
    /// 0 ..= 63
    A6,
    /// 0 ..= 255
    A8,
    /// -32768 ..= 32767
    A16,
}

impl ActivationBits {
    /// Every width, ascending.
    pub const ALL: [Self; 5] = [Self::A2, Self::A4, Self::A6, Self::A8, Self::A16];

    /// Which widths this build has, in the order of [`Self::ALL`]: a feature each.
    const BUILT: [bool; 5] = [
        cfg!(feature = "activations-2"),
        cfg!(feature = "activations-4"),
        cfg!(feature = "activations-6"),
        cfg!(feature = "activations-8"),
        cfg!(feature = "activations-16"),
    ];

    /// Whether this build has kernels for the width.
    pub const fn is_built(self) -> bool {
        Self::BUILT[self as usize]
    }

    /// The same width. The compiler learns that it is one of those that this build has, and drops what is written for others.
    #[inline(always)]
    pub(crate) const fn known(self) -> Self {
        match self {
            Self::A2 if Self::BUILT[0] => Self::A2,
            Self::A4 if Self::BUILT[1] => Self::A4,
            Self::A6 if Self::BUILT[2] => Self::A6,
            Self::A8 if Self::BUILT[3] => Self::A8,
            Self::A16 if Self::BUILT[4] => Self::A16,
            _ => Self::FIRST_BUILT,
        }
    }

    /// Any width that this build has.
    const FIRST_BUILT: Self = {
        let mut at = 0;
        while !Self::BUILT[at] {
            at += 1;
            assert!(at < Self::BUILT.len(), "this build has no width: turn on the feature `full`, or widths such as `activations-8`");
        }
        Self::ALL[at]
    };

    /// The width in bits.
    pub const fn bits(self) -> u32 {
        match self.known() {
            Self::A2 => 2,
            Self::A4 => 4,
            Self::A6 => 6,
            Self::A8 => 8,
            Self::A16 => 16,
        }
    }

    /// Whether the codes are signed: at 16 bits only.
    pub const fn signed(self) -> bool {
        matches!(self.known(), Self::A16)
    }

    /// The smallest code.
    pub const fn lo(self) -> i32 {
        if self.signed() { -32768 } else { 0 }
    }

    /// The largest code.
    pub const fn hi(self) -> i32 {
        if self.signed() { 32767 } else { (1 << self.bits()) - 1 }
    }

    /// Whether `code` is one of this width's codes.
    pub const fn contains(self, code: i32) -> bool {
        self.lo() <= code && code <= self.hi()
    }
}

impl TryFrom<u8> for ActivationBits {
    type Error = UnknownBits;

    fn try_from(bits: u8) -> Result<Self, UnknownBits> {
        match bits {
            2 => Ok(Self::A2),
            4 => Ok(Self::A4),
            6 => Ok(Self::A6),
            8 => Ok(Self::A8),
            16 => Ok(Self::A16),
            other => Err(UnknownBits(other)),
        }
    }
}

/// Width of a layer's accumulator, chosen by the compiler from a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Accumulator {
    /// |acc| < 2^31 for every input; multipliers have up to 31 bits.
    I32,
    /// |acc| < 2^39 for every input; multipliers have up to 23 bits.
    I64,
}

impl Accumulator {
    /// The largest multiplier of a requantisation from this accumulator.
    pub const fn multiplier_max(self) -> i32 {
        match self {
            Self::I32 => i32::MAX,
            Self::I64 => (1 << 23) - 1,
        }
    }
}
