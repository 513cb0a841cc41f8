//! BitFusion's arithmetic, literally: every product is a sum of 2-bit BitBrick products.
//!
//! Sharma et al., "Bit Fusion: Bit-Level Dynamically Composable Architecture for Accelerating Deep Neural Networks",
//! ISCA 2018. An operand of p bits is `sum 4^i * digit_i` with 2-bit digits from the low end, of which only the top one
//! is signed, and only where the operand is. A 6-bit operand is extended to 8 bits. A 16-bit activation is two 8-bit
//! halves, the low one unsigned, that take one pass each.

use crate::reference::Product;
use crate::{ActivationBits, WeightBits};

/// Products made of 2-bit BitBrick products: a network runs on it with the same bits as on the processor's own
/// multiplication.
#[derive(Clone, Copy, Debug)]
pub struct BitFused;

impl Product for BitFused {
    #[inline]
    fn product(w: i32, w_bits: WeightBits, a: i32, a_bits: ActivationBits, a_signed: bool) -> i64 {
        i64::from(product(w, w_bits, a, a_bits, a_signed))
    }

    #[inline]
    fn codes(a: i32, a_bits: ActivationBits, b: i32, b_bits: ActivationBits) -> i64 {
        codes(a, a_bits, b, b_bits)
    }
}

/// Product of two 2-bit operands (bits 0 and 1 of `x` and `y`), each extended to 3 bits by its sign flag: an operand is
/// -2 ..= 1 with the flag and 0 ..= 3 without. The product, -6 ..= 9, has 6 bits.
#[inline]
pub const fn bit_brick(x: u32, x_signed: bool, y: u32, y_signed: bool) -> i32 {
    extend(x, x_signed) * extend(y, y_signed)
}

#[inline]
const fn extend(digit: u32, signed: bool) -> i32 {
    // Bit 1 weighs -2 instead of 2.
    let sign = (signed as u32) << 1;
    ((digit & 3 ^ sign) as i32) - sign as i32
}

/// One product on a Fusion Unit: `W` digits by `A` digits, the product of digits i and j shifted left by 2(i + j).
#[inline]
const fn fuse<const W: usize, const A: usize>(w: i32, w_signed: bool, a: i32, a_signed: bool) -> i32 {
    let mut sum = 0;
    let mut i = 0;
    while i < W {
        let w_digit = w as u32 >> (2 * i);
        let mut j = 0;
        while j < A {
            let a_digit = a as u32 >> (2 * j);
            sum += bit_brick(w_digit, w_signed && i + 1 == W, a_digit, a_signed && j + 1 == A) << (2 * (i + j));
            j += 1;
        }
        i += 1;
    }
    sum
}

/// A weight (signed) times an activation, which is signed where the flag says so. Both must fit their widths.
#[inline]
pub const fn product(w: i32, w_bits: WeightBits, a: i32, a_bits: ActivationBits, a_signed: bool) -> i32 {
    match w_bits {
        WeightBits::W2 => by_first::<1>(w, true, a, a_bits, a_signed),
        WeightBits::W4 => by_first::<2>(w, true, a, a_bits, a_signed),
        WeightBits::W6 | WeightBits::W8 => by_first::<4>(w, true, a, a_bits, a_signed),
    }
}

/// Product of two activation codes: unsigned up to 8 bits, signed at 16, where each operand takes two passes.
#[inline]
pub const fn codes(a: i32, a_bits: ActivationBits, b: i32, b_bits: ActivationBits) -> i64 {
    match a_bits {
        ActivationBits::A2 => by_first::<1>(a, false, b, b_bits, b_bits.signed()) as i64,
        ActivationBits::A4 => by_first::<2>(a, false, b, b_bits, b_bits.signed()) as i64,
        ActivationBits::A6 | ActivationBits::A8 => by_first::<4>(a, false, b, b_bits, b_bits.signed()) as i64,
        ActivationBits::A16 => {
            let low = by_first::<4>(a & 0xff, false, b, b_bits, b_bits.signed()) as i64;
            let high = by_first::<4>(a >> 8, true, b, b_bits, b_bits.signed()) as i64;
            low + (high << 8)
        }
    }
}

#[inline]
const fn by_first<const W: usize>(w: i32, w_signed: bool, a: i32, a_bits: ActivationBits, a_signed: bool) -> i32 {
    match a_bits {
        ActivationBits::A2 => fuse::<W, 1>(w, w_signed, a, a_signed),
        ActivationBits::A4 => fuse::<W, 2>(w, w_signed, a, a_signed),
        ActivationBits::A6 | ActivationBits::A8 => fuse::<W, 4>(w, w_signed, a, a_signed),
        ActivationBits::A16 => {
            let low = fuse::<W, 4>(w, w_signed, a & 0xff, false);
            let high = fuse::<W, 4>(w, w_signed, a >> 8, a_signed);
            low + (high << 8)
        }
    }
}

/// A Fusion Unit: 16 BitBricks in a 4 x 4 grid, fused for one pair of widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusionUnit {
    w_bits: WeightBits,
    a_bits: ActivationBits,
}

impl FusionUnit {
    /// BitBricks of a unit.
    pub const BIT_BRICKS: usize = 16;

    /// Fused for those widths.
    pub const fn new(w_bits: WeightBits, a_bits: ActivationBits) -> Self {
        Self { w_bits, a_bits }
    }

    /// BitBricks that one product occupies in one pass: digits of the weight times digits of the activation (of its
    /// half, at 16 bits).
    pub const fn bit_bricks(&self) -> usize {
        let w_digits = match self.w_bits {
            WeightBits::W2 => 1,
            WeightBits::W4 => 2,
            WeightBits::W6 | WeightBits::W8 => 4,
        };
        let a_digits = match self.a_bits {
            ActivationBits::A2 => 1,
            ActivationBits::A4 => 2,
            ActivationBits::A6 | ActivationBits::A8 | ActivationBits::A16 => 4,
        };
        w_digits * a_digits
    }

    /// Products that one pass makes: 16 at 2x2, 8 at 4x2, 4 at 4x4 and 8x2, 2 at 8x4, 1 at 8x8.
    pub const fn products(&self) -> usize {
        Self::BIT_BRICKS / self.bit_bricks()
    }

    /// Passes that a product needs: 2 with 16-bit activations, else 1.
    pub const fn passes(&self) -> usize {
        if matches!(self.a_bits, ActivationBits::A16) { 2 } else { 1 }
    }

    /// What one pass (0 .. [`FusionUnit::passes`]) adds to the partial sum of the unit's column: the sum of up to
    /// [`FusionUnit::products`] products of weight and activation codes, or of the activations' halves at 16 bits: the low
    /// half in pass 0, the high half, 8 bits further left, in pass 1. Further pairs are not taken.
    pub fn pass(&self, pass: usize, weights: &[i32], activations: &[i32]) -> i32 {
        let pairs = weights.iter().zip(activations).take(self.products());
        pairs.map(|(&w, &a)| self.product_in_pass(pass, w, a)).sum()
    }

    /// Sum of all products of weight and activation codes, pass by pass, and the number of passes that it takes.
    pub fn dot(&self, weights: &[i32], activations: &[i32]) -> (i64, usize) {
        let (mut sum, mut passes) = (0, 0);
        for (weights, activations) in weights.chunks(self.products()).zip(activations.chunks(self.products())) {
            for pass in 0..self.passes() {
                sum += i64::from(self.pass(pass, weights, activations));
                passes += 1;
            }
        }
        (sum, passes)
    }

    const fn product_in_pass(&self, pass: usize, w: i32, a: i32) -> i32 {
        match (self.a_bits, pass) {
            (ActivationBits::A16, 0) => product(w, self.w_bits, a & 0xff, ActivationBits::A8, false),
            (ActivationBits::A16, _) => product(w, self.w_bits, a >> 8, ActivationBits::A8, true) << 8,
            _ => product(w, self.w_bits, a, self.a_bits, self.a_bits.signed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::reference::{Native, fully_connected};
    use crate::testing::Random;
    use crate::{Accumulator, Activations, FullyConnected, OutputStage, pack, requant};

    #[test]
    fn a_bit_brick_multiplies_all_its_operands() {
        let mut extremes = (0, 0);
        for x in -2..=3 {
            for y in -2..=3 {
                let product = bit_brick(x as u32, x < 0, y as u32, y < 0);
                assert_eq!(product, x * y);
                extremes = (extremes.0.min(product), extremes.1.max(product));
            }
        }
        assert_eq!(extremes, (-6, 9));
        // 1 with the flag is still 1: the flag weighs bit 1 alone.
        assert_eq!(bit_brick(1, true, 3, true), -1);
    }

    #[test]
    fn every_operand_pair_at_every_width_and_sign() {
        for w_bits in WeightBits::ALL {
            for a_bits in [ActivationBits::A2, ActivationBits::A4, ActivationBits::A6, ActivationBits::A8] {
                let half = 1 << (a_bits.bits() - 1);
                for w in w_bits.lo()..=w_bits.hi() {
                    for a in 0..2 * half {
                        assert_eq!(product(w, w_bits, a, a_bits, false), w * a, "{w_bits:?} {a_bits:?} {w} {a}");
                    }
                    for a in -half..half {
                        assert_eq!(product(w, w_bits, a, a_bits, true), w * a, "{w_bits:?} {a_bits:?} {w} {a}");
                    }
                }
            }
        }
    }

    /// Values of `digits` 2-bit digits.
    fn operands(digits: u32, signed: bool) -> core::ops::Range<i32> {
        let count = 1 << (2 * digits);
        if signed { -count / 2..count / 2 } else { 0..count }
    }

    /// All operands of `W` and `A` digits, for each of the four pairs of signs.
    fn check_fused<const W: usize, const A: usize>() {
        for (w_signed, a_signed) in [(false, false), (false, true), (true, false), (true, true)] {
            for w in operands(W as u32, w_signed) {
                for a in operands(A as u32, a_signed) {
                    assert_eq!(fuse::<W, A>(w, w_signed, a, a_signed), w * a, "{W} {A} digits: {w} {a}");
                }
            }
        }
    }

    #[test]
    fn every_operand_pair_of_two_four_and_eight_bits_with_all_signs() {
        check_fused::<1, 1>();
        check_fused::<1, 2>();
        check_fused::<1, 4>();
        check_fused::<2, 1>();
        check_fused::<2, 2>();
        check_fused::<2, 4>();
        check_fused::<4, 1>();
        check_fused::<4, 2>();
        check_fused::<4, 4>();
    }

    #[test]
    fn every_16_bit_activation_in_two_passes() {
        for w_bits in WeightBits::ALL {
            for w in w_bits.lo()..=w_bits.hi() {
                for a in -32768..=32767 {
                    assert_eq!(product(w, w_bits, a, ActivationBits::A16, true), w * a, "{w} {a}");
                }
            }
        }
        for a in 0..=65535 {
            assert_eq!(product(-128, WeightBits::W8, a, ActivationBits::A16, false), -128 * a);
        }
    }

    #[test]
    fn convolution_equals_the_native_one() {
        crate::testing::conv::check(200, crate::reference::conv::<BitFused>);
    }

    #[test]
    fn products_of_a_pass() {
        use ActivationBits::{A2, A4, A6, A8, A16};
        use WeightBits::{W2, W4, W6, W8};
        #[rustfmt::skip]
        let table = [
            (W2, A2, 16), (W2, A4, 8), (W2, A6, 4), (W2, A8, 4), (W2, A16, 4),
            (W4, A2, 8), (W4, A4, 4), (W4, A6, 2), (W4, A8, 2), (W4, A16, 2),
            (W6, A2, 4), (W6, A4, 2), (W6, A6, 1), (W6, A8, 1), (W6, A16, 1),
            (W8, A2, 4), (W8, A4, 2), (W8, A6, 1), (W8, A8, 1), (W8, A16, 1),
        ];
        for (w_bits, a_bits, products) in table {
            let unit = FusionUnit::new(w_bits, a_bits);
            assert_eq!(unit.products(), products, "{w_bits:?} {a_bits:?}");
            assert_eq!(unit.products() * unit.bit_bricks(), FusionUnit::BIT_BRICKS);
            assert_eq!(unit.passes(), if a_bits == A16 { 2 } else { 1 });
            let (weights, activations) = ([w_bits.lo(); 20], [a_bits.hi(); 20]);
            let expected = products as i32 * w_bits.lo() * a_bits.hi();
            let sum: i32 = (0..unit.passes()).map(|pass| unit.pass(pass, &weights, &activations)).sum();
            assert_eq!(sum, expected);
        }
    }

    /// A row of weights on one unit, pass by pass, gives the output code of the reference layer, in as many passes as the
    /// width of the operands says.
    #[test]
    fn a_row_in_passes_equals_the_reference() {
        const INPUTS: usize = 27;
        let mut random = Random::new(9);
        for w_bits in WeightBits::ALL {
            for a_bits in ActivationBits::ALL {
                let weights: [i32; INPUTS] = core::array::from_fn(|_| random.between(w_bits.lo(), w_bits.hi()));
                let codes: [i32; INPUTS] = core::array::from_fn(|_| random.between(a_bits.lo(), a_bits.hi()));
                let mut packed_weights = vec![0; pack::weight_row_bytes(w_bits, INPUTS)];
                pack::pack_weights(w_bits, &weights.map(|w| w as i8), &mut packed_weights);
                let mut packed_codes = vec![0; pack::row_bytes(a_bits, INPUTS)];
                pack::pack_row(a_bits, &codes.map(|a| a as i16), &mut packed_codes);
                let shift = (w_bits.bits() + a_bits.bits()) as u8;
                let layer = FullyConnected {
                    rows: 1,
                    inputs: INPUTS,
                    outputs: 1,
                    weight_bits: w_bits,
                    arrangement: crate::Arrangement::RowMajor,
                    weights: &packed_weights,
                    accumulator: Accumulator::I64,
                    stage: OutputStage {
                        bias: &[1000],
                        multiplier: &[1 << 13],
                        shift: &[shift],
                        zero_point: 0,
                        lo: -32768,
                        hi: 32767,
                        bits: ActivationBits::A16,
                    },
                };
                let input = Activations { codes: &packed_codes, bits: a_bits, zero_point: 0 };
                let mut output = [0; 2];
                fully_connected::<Native>(&layer, input, &mut output);
                let unit = FusionUnit::new(w_bits, a_bits);
                let (sum, passes) = unit.dot(&weights, &codes);
                assert_eq!(passes, INPUTS.div_ceil(unit.products()) * unit.passes());
                let scaled = requant::requantize(1000 + sum, 1 << 13, shift);
                assert_eq!(i32::from(i16::from_le_bytes(output)), layer.stage.codes().code(scaled), "{w_bits:?} {a_bits:?}");
            }
        }
    }
}
