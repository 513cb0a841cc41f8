//! Arrangements: the orders in which a layer's weights may lie in the file.
//!
//! The compiler arranges weights once, for the kernels of the target; nothing is rearranged on the device. Each arrangement is a
//! module with the same three functions, for a layer of any shape: how many bytes it takes, where a weight is read, and how a whole
//! layer is written. Reading one weight at a time is what [`reference`](mod@crate::reference) and the proof of the accumulator
//! need; kernels read whole words.

pub(crate) mod duals;
pub(crate) mod lanes;
pub(crate) mod pairs;
mod row_major;
pub(crate) mod unsigned;
pub(crate) mod vectors;

use crate::WeightBits;

/// The matrix that the weights of a layer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightShape {
    /// Groups of output channels; every group reads input channels of its own.
    pub groups: usize,
    /// Output channels of all groups together.
    pub rows: usize,
    /// Weights of one output channel, in the order `[kernel H][kernel W][I / groups]`.
    pub row_len: usize,
}

/// Order in which a layer's weights lie in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Arrangement {
    /// `[O][H][W][I]`, I = input channels of the group; one row for each output channel, each row starts at a byte.
    #[default]
    RowMajor,
    /// Two output channels in one word, codes of the first offset: for processors with products of two 16-bit halves. Rows `[H][W][I]` are padded
    /// with zeros to a multiple of 4 weights, 8 at 2 and 6 bits.
    Pairs,
    /// Rows of whole words, weights stored as `w + 2^(b-1)`, in an order that lets one mask take two of them out of a word: for processors
    /// that multiply whole words only. The kernels' convolutions and fully connected layers.
    Unsigned,
    /// Rows of unsigned codes, w + 2^(bits - 1), padded to 16 and packed so that one shift and one mask free 16 at a time.
    Vectors,
    /// Depthwise: blocks of 8 channels, `[tap][channel]`, a byte each; taps in passes of 9.
    Lanes,
    /// At 2 bits two output channels in one half of a word, so that a product of two halves is four products, for activations of few bits; else as
    /// [`Arrangement::Pairs`].
    Duals,
}

impl Arrangement {
    /// Every arrangement.
    pub const ALL: [Self; 6] = [Self::RowMajor, Self::Pairs, Self::Duals, Self::Unsigned, Self::Vectors, Self::Lanes];

    /// The name that a model file stores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RowMajor => "row-major",
            Self::Pairs => "pairs",
            Self::Unsigned => "unsigned",
            Self::Vectors => "vectors",
            Self::Lanes => "lanes",
            Self::Duals => "duals",
        }
    }

    /// Whether this build has kernels for it: a feature each, and of those a computer has all, a microcontroller those of its core, so that none of
    /// the others take flash.
    pub const fn has_kernels(self) -> bool {
        let computer = !cfg!(any(core_feature = "thumb", target_arch = "riscv32"));
        let (dsp, mve) = (cfg!(core_feature = "dsp"), cfg!(core_feature = "mve"));
        match self {
            Self::RowMajor => cfg!(feature = "row-major"),
            Self::Pairs => cfg!(feature = "pairs") && (computer || (dsp && !mve)),
            Self::Duals => cfg!(feature = "duals") && (computer || (dsp && !mve)),
            Self::Unsigned => cfg!(feature = "unsigned") && (computer || !dsp),
            Self::Vectors => cfg!(feature = "vectors") && (computer || mve),
            Self::Lanes => cfg!(feature = "lanes") && (computer || mve),
        }
    }

    /// The same arrangement. The compiler learns that it is one that this build has kernels for, and drops what is written for others.
    #[inline(always)]
    pub(crate) const fn known(self) -> Self {
        match self {
            Self::RowMajor if Self::RowMajor.has_kernels() => Self::RowMajor,
            Self::Pairs if Self::Pairs.has_kernels() => Self::Pairs,
            Self::Duals if Self::Duals.has_kernels() => Self::Duals,
            Self::Unsigned if Self::Unsigned.has_kernels() => Self::Unsigned,
            Self::Vectors if Self::Vectors.has_kernels() => Self::Vectors,
            Self::Lanes if Self::Lanes.has_kernels() => Self::Lanes,
            _ => Self::FIRST_BUILT,
        }
    }

    /// Any arrangement that this build has kernels for.
    const FIRST_BUILT: Self = {
        let mut at = 0;
        while !Self::ALL[at].has_kernels() {
            at += 1;
            assert!(
                at < Self::ALL.len(),
                "this build has kernels for no arrangement: turn on the feature `full`, or one such as `row-major`"
            );
        }
        Self::ALL[at]
    };

    /// The arrangement of that name, if this build has kernels for it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arrangement| arrangement.has_kernels() && arrangement.name() == name)
    }

    /// Bytes of a layer's weights; `None` where they would not fit the address space.
    pub fn bytes(self, bits: WeightBits, shape: &WeightShape) -> Option<usize> {
        // The largest padding of any arrangement, and bits counted before bytes.
        const MARGIN: usize = 64;
        if shape.row_len.checked_add(MARGIN)?.checked_mul(shape.rows.checked_add(MARGIN)?)? > usize::MAX / 16 {
            return None;
        }
        match self.known() {
            Self::RowMajor => row_major::bytes(bits, shape),
            Self::Pairs => pairs::bytes(bits, shape),
            Self::Unsigned => unsigned::bytes(bits, shape),
            Self::Vectors => vectors::bytes(bits, shape),
            Self::Lanes => lanes::bytes(bits, shape),
            Self::Duals => duals::bytes(bits, shape),
        }
    }

    /// Weight `index` of output channel `row`. 0 outside of `weights`.
    #[inline]
    pub fn weight(self, bits: WeightBits, shape: &WeightShape, weights: &[u8], row: usize, index: usize) -> i32 {
        match self.known() {
            Self::RowMajor => row_major::weight(bits, shape, weights, row, index),
            Self::Pairs => pairs::weight(bits, shape, weights, row, index),
            Self::Unsigned => unsigned::weight(bits, shape, weights, row, index),
            Self::Vectors => vectors::weight(bits, shape, weights, row, index),
            Self::Lanes => lanes::weight(bits, shape, weights, row, index),
            Self::Duals => duals::weight(bits, shape, weights, row, index),
        }
    }

    /// Whether the weights that no output channel has are 0, in an arrangement whose kernels multiply them all the same. The kernels count on it.
    pub fn padding_is_clear(self, bits: WeightBits, shape: &WeightShape, weights: &[u8]) -> bool {
        match self {
            Self::Vectors => vectors::padding_is_clear(bits, shape, weights),
            Self::Lanes => lanes::padding_is_clear(shape, weights),
            _ => true,
        }
    }

    /// Writes a layer: `codes` is `[rows][row_len]`, `weights` has [`Arrangement::bytes`] bytes. Every byte is written.
    pub fn arrange(self, bits: WeightBits, shape: &WeightShape, codes: &[i8], weights: &mut [u8]) {
        match self.known() {
            Self::RowMajor => row_major::arrange(bits, shape, codes, weights),
            Self::Pairs => pairs::arrange(bits, shape, codes, weights),
            Self::Unsigned => unsigned::arrange(bits, shape, codes, weights),
            Self::Vectors => vectors::arrange(bits, shape, codes, weights),
            Self::Lanes => lanes::arrange(bits, shape, codes, weights),
            Self::Duals => duals::arrange(bits, shape, codes, weights),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn weights_are_read_back_from_every_arrangement() {
        let mut random = Random::new(7);
        for arrangement in Arrangement::ALL {
            for bits in WeightBits::ALL {
                for groups in [1, 2, 5] {
                    for group_rows in [1, 2, 3, 4, 5] {
                        for row_len in [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 27, 64, 65] {
                            let shape = WeightShape { groups, rows: groups * group_rows, row_len };
                            let codes: Vec<i8> =
                                random.values(bits.lo(), bits.hi(), shape.rows * row_len).into_iter().map(|code| code as i8).collect();
                            let bytes = arrangement.bytes(bits, &shape).unwrap();
                            let (mut ones, mut zeros) = (vec![0xff; bytes], vec![0; bytes]);
                            arrangement.arrange(bits, &shape, &codes, &mut ones);
                            arrangement.arrange(bits, &shape, &codes, &mut zeros);
                            assert_eq!(ones, zeros, "{arrangement:?} {bits:?} {shape:?} leaves bytes unwritten");
                            assert!(arrangement.padding_is_clear(bits, &shape, &ones));
                            for (place, &code) in codes.iter().enumerate() {
                                let read = arrangement.weight(bits, &shape, &ones, place / row_len, place % row_len);
                                assert_eq!(read, i32::from(code), "{arrangement:?} {bits:?} {shape:?} {place}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_found_and_sizes_do_not_overflow() {
        for arrangement in Arrangement::ALL {
            assert_eq!(Arrangement::from_name(arrangement.name()), Some(arrangement));
            for bits in WeightBits::ALL {
                for row_len in [usize::MAX, usize::MAX / 2, usize::MAX / 16] {
                    assert_eq!(arrangement.bytes(bits, &WeightShape { groups: 1, rows: 3, row_len }), None);
                }
            }
        }
    }
}
