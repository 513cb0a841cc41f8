//! How the small enums of `apq-kernels` are written: as a number of bits, so that the file does not depend on the order
//! in which another crate lists its variants.

/// Written as one byte: 2, 4, 6 or 8.
pub(crate) mod weight_bits {
    use apq_kernels::WeightBits;
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(bits: &WeightBits, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(bits.bits() as u8)
    }
}

/// Written as one byte: 2, 4, 6, 8 or 16.
pub(crate) mod activation_bits {
    use apq_kernels::ActivationBits;
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(bits: &ActivationBits, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(bits.bits() as u8)
    }
}

/// Written as one byte: 32 or 64.
pub(crate) mod accumulator {
    use apq_kernels::Accumulator;
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(width: &Accumulator, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match width {
            Accumulator::I32 => 32,
            Accumulator::I64 => 64,
        })
    }
}
