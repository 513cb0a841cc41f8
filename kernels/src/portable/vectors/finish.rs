//! Sums to codes, at every width of a code and with every shift.

use super::{Blocks, CHUNK, Stage, Sums};
use crate::{ActivationBits, OutputStage, pack, requant};

/// Output stage of a layer.
pub(super) struct Finish<'a> {
    stage: &'a OutputStage<'a>,
    /// Every shift has the fast form.
    high: bool,
}

impl<'a> Finish<'a> {
    pub(super) fn new(stage: &'a OutputStage<'a>) -> Self {
        Self { stage, high: stage.shift.iter().all(|&shift| shift >= requant::HIGH_SHIFT_MIN) }
    }

    /// Writes channels `first .. first + count` of the pixels, `count` at most [`CHUNK`].
    #[inline(always)]
    pub(super) fn run<B: Blocks, const N: usize>(
        &self,
        first: usize,
        count: usize,
        corrections: [i32; N],
        sums: &Sums,
        pixels: &mut [&mut [u8]; N],
    ) {
        let lists = (self.stage.bias.get(first..), self.stage.multiplier.get(first..), self.stage.shift.get(first..));
        let (Some(bias), Some(multiplier), Some(shift)) = lists else {
            return;
        };
        let lists = (bias.get(..count), multiplier.get(..count), shift.get(..count));
        let (Some(bias), Some(multiplier), Some(shift)) = lists else {
            return;
        };
        let stage = Stage { bias, multiplier, shift, codes: self.stage.codes() };
        match self.stage.bits {
            ActivationBits::A6 | ActivationBits::A8 if self.high => {
                let codes =
                    pixels.each_mut().map(|pixel| pixel.get_mut(first..).and_then(|rest| rest.get_mut(..count)).unwrap_or_default());
                B::finish(&stage, corrections, sums, codes);
            }
            ActivationBits::A2 | ActivationBits::A4 if self.high => {
                let mut bytes = [[0; CHUNK]; N];
                B::finish(&stage, corrections, sums, bytes.each_mut().map(|bytes| bytes.get_mut(..count).unwrap_or_default()));
                for (pixel, bytes) in pixels.iter_mut().zip(&bytes) {
                    pack_bytes(self.stage.bits, pixel, first, bytes.get(..count).unwrap_or_default());
                }
            }
            _ => any(&stage, first, &corrections, sums, pixels),
        }
        if !matches!(self.stage.bits, ActivationBits::A2 | ActivationBits::A4) {
            return;
        }
        for pixel in pixels {
            pack::clear_unused(pixel, self.stage.bits, self.stage.bias.len());
        }
    }
}

/// Packs codes of 2 or 4 bits as channels `first ..` of a pixel.
#[inline(never)]
fn pack_bytes(bits: ActivationBits, pixel: &mut [u8], first: usize, codes: &[u8]) {
    let each = if bits == ActivationBits::A2 { 4 } else { 2 };
    let whole = if first.is_multiple_of(each) { codes.len() / each * each } else { 0 };
    let (packed, rest) = codes.split_at_checked(whole).unwrap_or((&[], codes));
    let to = pixel.get_mut(pack::row_bytes(bits, first)..).unwrap_or_default();
    if bits == ActivationBits::A2 {
        for (to, &[a, b, c, d]) in to.iter_mut().zip(packed.as_chunks().0) {
            *to = a | b << 2 | c << 4 | d << 6;
        }
    } else {
        for (to, &[a, b]) in to.iter_mut().zip(packed.as_chunks().0) {
            *to = a | b << 4;
        }
    }
    for (index, &code) in rest.iter().enumerate() {
        pack::set_code(pixel, bits, first + whole + index, i32::from(code));
    }
}

/// Code by code.
#[inline(never)]
fn any(stage: &Stage<'_>, first: usize, corrections: &[i32], sums: &[[i32; CHUNK]], pixels: &mut [&mut [u8]]) {
    for ((pixel, sums), &correction) in pixels.iter_mut().zip(sums).zip(corrections) {
        let stages = stage.bias.iter().zip(stage.multiplier).zip(stage.shift);
        for ((index, &sum), ((&bias, &multiplier), &shift)) in sums.iter().enumerate().zip(stages) {
            let acc = sum.wrapping_add(correction).wrapping_add(bias);
            let code = stage.codes.code(requant::requantize_i32(acc, multiplier, shift));
            pack::set_code(pixel, stage.codes.bits, first + index, code);
        }
    }
}
