//! How many designs a space has.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use super::{Choices, Space};

const LIMB: u64 = 1_000_000_000;
const LIMB_DIGITS: usize = 9;

/// A natural number of any size. It prints all its digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Count(
    /// In base 10^9, least first; the last one is not zero.
    Vec<u32>,
);

impl Count {
    /// The digits of the decimal form.
    #[must_use]
    pub fn digits(&self) -> usize {
        let last = self.0.last().map_or(1, |limb| limb.checked_ilog10().unwrap_or(0) as usize + 1);
        last + LIMB_DIGITS * self.0.len().saturating_sub(1)
    }

    fn normal(limbs: impl IntoIterator<Item = u64>) -> Self {
        let mut normal = Vec::new();
        let mut carry = 0;
        for limb in limbs {
            let sum = carry + limb;
            normal.push((sum % LIMB) as u32);
            carry = sum / LIMB;
        }
        while carry > 0 {
            normal.push((carry % LIMB) as u32);
            carry /= LIMB;
        }
        while normal.last() == Some(&0) {
            normal.pop();
        }
        Self(normal)
    }

    /// The sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let limb = |of: &Self, at: usize| u64::from(of.0.get(at).copied().unwrap_or(0));
        Self::normal((0..self.0.len().max(other.0.len())).map(|at| limb(self, at) + limb(other, at)))
    }

    /// The product.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        let mut product = Self::from(0);
        for (place, limb) in other.0.iter().enumerate() {
            let shifted = core::iter::repeat_n(0, place).chain(self.0.iter().map(|own| u64::from(*own) * u64::from(*limb)));
            product = product.plus(&Self::normal(shifted));
        }
        product
    }
}

impl From<u64> for Count {
    fn from(value: u64) -> Self {
        Self::normal([value])
    }
}

impl Ord for Count {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Count {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.0.iter().rev();
        write!(f, "{}", limbs.next().unwrap_or(&0))?;
        limbs.try_for_each(|limb| write!(f, "{limb:09}"))
    }
}

impl Space {
    /// The number of architectures.
    #[must_use]
    pub fn count_architectures(&self) -> Count {
        self.count(|_| 1)
    }

    /// The number of designs: of architectures, each with all its policies.
    #[must_use]
    pub fn count_designs(&self, choices: &Choices) -> Count {
        self.count(|kernel| choices.pointwise().len() as u64 * choices.depthwise(kernel).len() as u64)
    }

    /// `policies`: of a block with that kernel.
    fn count(&self, policies: impl Fn(u8) -> u64) -> Count {
        let of_kernels: u64 = self.kernels.iter().map(|kernel| policies(*kernel)).sum();
        let blocks = self.blocks();
        let mut product = Count::from(1);
        for (index, stage) in self.stages.iter().enumerate() {
            let mut of_stage = Count::from(0);
            let mut leading = Count::from(1);
            for block in blocks.iter().filter(|block| block.stage == index) {
                leading = leading.times(&Count::from(block.widths.len() as u64 * of_kernels));
                if stage.depths.iter().any(|depth| usize::from(*depth) == block.position + 1) {
                    of_stage = of_stage.plus(&leading);
                }
            }
            product = product.times(&of_stage);
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn digits_and_order() {
        let texts = ["0", "1", "9", "10", "999999999", "1000000000", "1000000001", "18446744073709551615"];
        let counts: Vec<Count> = texts.iter().map(|text| Count::from(text.parse::<u64>().unwrap())).collect();
        for (text, count) in texts.iter().zip(&counts) {
            assert_eq!((count.to_string(), count.digits()), (text.to_string(), text.len()));
        }
        assert!(counts.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        #[test]
        fn sums_and_products_are_those_of_128_bits(a: u64, b: u64) {
            let (x, y) = (Count::from(a), Count::from(b));
            prop_assert_eq!(x.plus(&y).to_string(), (u128::from(a) + u128::from(b)).to_string());
            prop_assert_eq!(x.times(&y).to_string(), (u128::from(a) * u128::from(b)).to_string());
            prop_assert_eq!(x.times(&y), y.times(&x));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
