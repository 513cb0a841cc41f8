//! What the tests share: a small seeded generator, random tensors, and one runner for each family of operators, which
//! compares a kernel with the reference over sizes, widths and values.

pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod elementwise;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_attention;
pub mod native;
#[cfg(test)]
mod refused;
pub(crate) mod resize;
pub(crate) mod spatial;

use crate::{ActivationBits, Activations, OutputCodes, pack};
use alloc::vec;
use alloc::vec::Vec;

/// Xorshift, 64 bits.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in `lo ..= hi`.
    pub(crate) fn between(&mut self, lo: i32, hi: i32) -> i32 {
        let span = (i64::from(hi) - i64::from(lo) + 1) as u64;
        (i64::from(lo) + ((self.next() >> 16) % span) as i64) as i32
    }

    pub(crate) fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() >> 16) as usize % from.len()]
    }

    /// `len` values in `lo ..= hi`: uniform, or the bounds alone, or one bound, each in a share of the calls.
    pub(crate) fn values(&mut self, lo: i32, hi: i32, len: usize) -> Vec<i16> {
        let kind = self.between(0, 7);
        let value = |random: &mut Self| match kind {
            0 => lo,
            1 => hi,
            2 => random.choose(&[lo, hi]),
            _ => random.between(lo, hi),
        };
        (0..len).map(|_| value(self) as i16).collect()
    }

    /// A multiplier and a shift that bring values of that magnitude to about the range of the output; sometimes far
    /// from it.
    pub(crate) fn rescale(&mut self, multiplier_max: i32, magnitude: f64, bits: ActivationBits) -> (i32, u8) {
        if self.between(0, 15) == 0 {
            return (self.choose(&[0, 1, multiplier_max]), self.choose(&[1, 31, 32, 62]));
        }
        let multiplier = self.between(multiplier_max / 2 + 1, multiplier_max);
        let ratio = f64::from(multiplier) * magnitude.max(1.0) / f64::from(1 << bits.bits());
        let shift = (libm::round(libm::log2(ratio)) as i32 + self.between(-1, 1)).clamp(1, 62);
        (multiplier, shift as u8)
    }

    /// A zero point and a clamp: all codes, a ReLU, or any.
    pub(crate) fn codes(&mut self, bits: ActivationBits) -> OutputCodes {
        let zero_point = self.zero_point(bits);
        let full = OutputCodes::full(bits, zero_point);
        match self.between(0, 3) {
            0 => OutputCodes { lo: zero_point, ..full },
            1 => {
                let (a, b) = (self.between(bits.lo(), bits.hi()), self.between(bits.lo(), bits.hi()));
                OutputCodes { lo: a.min(b), hi: a.max(b), ..full }
            }
            _ => full,
        }
    }

    pub(crate) fn zero_point(&mut self, bits: ActivationBits) -> i32 {
        match bits {
            ActivationBits::A16 => 0,
            _ => {
                let any = self.between(bits.lo(), bits.hi());
                self.choose(&[bits.lo(), bits.hi(), any, any])
            }
        }
    }

    pub(crate) fn tensor(&mut self, rows: usize, channels: usize, bits: ActivationBits) -> Tensor {
        let bytes = pack::row_bytes(bits, channels);
        let mut codes = vec![0; rows * bytes];
        for row in codes.chunks_exact_mut(bytes) {
            pack::pack_row(bits, &self.values(bits.lo(), bits.hi(), channels), row);
        }
        Tensor { codes, bits, zero_point: self.zero_point(bits) }
    }
}

/// Owned [`Activations`].
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) codes: Vec<u8>,
    pub(crate) bits: ActivationBits,
    pub(crate) zero_point: i32,
}

impl Tensor {
    pub(crate) fn view(&self) -> Activations<'_> {
        Activations { codes: &self.codes, bits: self.bits, zero_point: self.zero_point }
    }
}

/// Runs two kernels on outputs that hold rubbish and compares what they leave.
#[track_caller]
pub(crate) fn same(bytes: usize, what: &dyn core::fmt::Debug, a: impl Fn(&mut [u8]), b: impl Fn(&mut [u8])) {
    let (mut one, mut other) = (vec![0xa5; bytes], vec![0x5a; bytes]);
    a(&mut one);
    b(&mut other);
    assert_eq!(one, other, "{what:?}");
}
