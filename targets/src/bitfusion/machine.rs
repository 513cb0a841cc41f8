//! The accelerator: sizes, energies, and what an operand width means to it.

/// Clock in Hz.
pub const CLOCK_HZ: u64 = 500_000_000;

/// Rows of the array: input channels at one product for each fusion unit.
pub(super) const ROWS: u64 = 16;

/// Columns of the array: output channels.
pub(super) const COLUMNS: u64 = 32;

/// Bits that the DRAM interface moves in a cycle.
pub(super) const DRAM_BITS_PER_CYCLE: u64 = 192;

/// Bits of a partial sum, on chip and in DRAM.
pub(super) const PARTIAL_SUM_BITS: u64 = 32;

/// One value for each of the three streams of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Streams<T> {
    pub(super) weights: T,
    pub(super) activations: T,
    pub(super) outputs: T,
}

impl<T: Copy> Streams<T> {
    pub(super) fn each(self) -> [T; 3] {
        [self.weights, self.activations, self.outputs]
    }
}

/// What a tile may occupy, in bits: half of 64, 32 and 16 KiB, the other half being filled or
/// drained meanwhile.
pub(super) const TILE_BITS_MAX: Streams<u64> = Streams { weights: 65536 * 8 / 2, activations: 32768 * 8 / 2, outputs: 16384 * 8 / 2 };

/// Energy of reading one bit of each SRAM, in nJ.
pub(super) const SRAM_READ_NJ: Streams<f64> =
    Streams { weights: 0.000_683_701 / ACCESS_BITS, activations: 0.001_903_18 / ACCESS_BITS, outputs: 0.000_947_547 / ACCESS_BITS };

/// Energy of writing one bit of each SRAM, in nJ.
pub(super) const SRAM_WRITE_NJ: Streams<f64> =
    Streams { weights: 0.000_925_317 / ACCESS_BITS, activations: 0.003_638_53 / ACCESS_BITS, outputs: 0.002_012_5 / ACCESS_BITS };

/// The SRAM figures are for accesses of this many bits.
const ACCESS_BITS: f64 = 32.0;

/// Energy of moving one bit to or from DRAM, in nJ.
pub(super) const DRAM_NJ: f64 = 0.015;

/// Energy of one busy cycle of the array, in nJ: 238.3259 mW at 500 MHz.
pub(super) const BUSY_CYCLE_NJ: f64 = 0.476_651_8;

/// Energy of any cycle, in nJ: 216.507352 mW of static power at 500 MHz.
pub(super) const CYCLE_NJ: f64 = 0.433_014_704;

/// An operand width as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Precision {
    /// Bits of a value in DRAM.
    pub(super) bits: u64,
    /// Bits of a value in SRAM: the next power of two, at least 2.
    pub(super) stored_bits: u64,
    /// Operands of this width that fit beside each other in one of 8 bits.
    pub(super) lanes: u64,
    /// 8-bit parts that are processed one after another.
    pub(super) passes: u64,
}

impl Precision {
    /// `None` unless the width is 1 to 8, or 16.
    pub(super) fn new(bits: u8) -> Option<Self> {
        let (stored_bits, lanes, passes) = match bits {
            1 | 2 => (2, 4, 1),
            3 | 4 => (4, 2, 1),
            5..=8 => (8, 1, 1),
            16 => (16, 1, 2),
            _ => return None,
        };
        Some(Self { bits: u64::from(bits), stored_bits, lanes, passes })
    }
}

#[cfg(test)]
mod tests {
    use apq_kernels::bitfused::FusionUnit;
    use apq_kernels::{ActivationBits, WeightBits};

    use super::*;

    /// The costs count the products and the passes of the unit that the `bitfused` kernels compute with.
    #[test]
    fn lanes_and_passes_are_those_of_a_fusion_unit() {
        for w_bits in WeightBits::ALL {
            for a_bits in ActivationBits::ALL {
                let unit = FusionUnit::new(w_bits, a_bits);
                let of = |bits: u32| Precision::new(bits as u8).unwrap();
                let (weights, activations) = (of(w_bits.bits()), of(a_bits.bits()));
                assert_eq!((weights.lanes * activations.lanes) as usize, unit.products(), "{w_bits:?} {a_bits:?}");
                assert_eq!((weights.passes * activations.passes) as usize, unit.passes(), "{w_bits:?} {a_bits:?}");
            }
        }
    }
}
