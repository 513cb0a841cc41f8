//! x86-64 with AVX2, and with AVX-512 VNNI.

mod avx2;
mod level;
mod vnni;

pub(crate) use level::Level;

use crate::{ActivationBits, Activations, Add, Arrangement, Conv, pack};

/// Channels of a panel of weights.
const PANEL: usize = 16;

/// See [`native::conv`](crate::native::conv).
pub(crate) fn conv(params: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    conv_at(level::level(), params, input, output, scratch)
}

/// As [`conv`], with the instructions of that level, which the processor must have.
fn conv_at(level: Level, params: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let arranged = params.arrangement != Arrangement::RowMajor;
    if arranged || level == Level::Baseline || params.check(input.operand(), output.len(), scratch.len()).is_err() {
        return false;
    }
    (level == Level::Vnni && vnni::conv(params, input, output, scratch)) || avx2::conv(params, input, output, scratch)
}

/// See [`native::add`](crate::native::add).
pub(crate) fn add(params: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    add_at(level::level(), params, a, b, output)
}

fn add_at(level: Level, params: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    level >= Level::Avx2
        && params.check(a.operand(), b.operand(), output.len()).is_ok()
        // SAFETY: the processor has AVX2.
        && unsafe { avx2::add(params, a, b, output) }
}

/// Packs the first `left` codes into channels `first ..` of a pixel. Channels are written in ascending order, so that
/// the bits after the last one may be cleared.
fn write_narrow(bits: ActivationBits, codes: &[i16], pixel: &mut [u8], first: usize, left: usize) {
    let codes = codes.get(..left).unwrap_or_default();
    if first.is_multiple_of(4) {
        let begin = pack::row_bytes(bits, first);
        if let Some(out) = pixel.get_mut(begin..begin + pack::row_bytes(bits, left)) {
            pack::pack_row(bits, codes, out);
        }
    } else {
        for (index, &code) in codes.iter().enumerate() {
            pack::set_code(pixel, bits, first + index, i32::from(code));
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::{eprintln, vec};

    use super::*;
    use crate::{portable, testing};

    /// The levels above the baseline that this processor has.
    fn levels() -> impl Iterator<Item = Level> {
        [Level::Avx2, Level::Vnni].into_iter().filter(|&wanted| level::level() >= wanted)
    }

    fn say_skipped() {
        for level in [Level::Avx2, Level::Vnni] {
            if level::level() < level {
                eprintln!("skipped: this processor lacks {level:?}");
            }
        }
    }

    /// What VNNI must take: sums of 32 bits over bytes, with room for a row of weights and a column.
    fn suits_vnni(conv: &Conv<'_>, input: Activations<'_>, scratch: &[u8]) -> bool {
        let vectors = 2 * conv.row_len().div_ceil(64).max(1);
        conv.accumulator == crate::Accumulator::I32 && input.bits != ActivationBits::A16 && scratch.len() / 64 >= vectors
    }

    /// Runs a convolution at every level, with the same output.
    fn run_levels(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
        conv.check(input.operand(), output.len(), scratch.len()).unwrap();
        let mut first = None;
        for level in levels() {
            let vnni = level == Level::Vnni && vnni::conv(conv, input, output, scratch);
            assert!(vnni || level != Level::Vnni || !suits_vnni(conv, input, scratch), "not by VNNI: {conv:?}");
            assert!(vnni || conv_at(level, conv, input, output, scratch), "{level:?} {conv:?}");
            let first = first.get_or_insert_with(|| output.to_vec());
            assert_eq!(first, output, "{level:?} {conv:?}");
            scratch.fill(0x33);
        }
        if first.is_none() {
            portable::conv(conv, input, output, scratch);
        }
    }

    #[test]
    fn convolutions_equal_the_reference() {
        say_skipped();
        let best = |conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8]| {
            let mut scratch = vec![0x77; portable::conv_scratch_bytes(conv, input.bits)];
            run_levels(conv, input, output, &mut scratch);
        };
        testing::conv::check(110, best);
        testing::conv::check_shapes(111, testing::conv::wide_shapes(), best);
    }

    #[test]
    fn convolutions_equal_the_reference_with_the_least_scratch() {
        testing::conv::check(112, |conv, input, output| {
            let mut scratch = vec![0x77; portable::conv_scratch_bytes_min(conv, input.bits) + 1];
            run_levels(conv, input, output, &mut scratch[1..]);
        });
    }

    #[test]
    fn sums_equal_the_reference() {
        static RAN: AtomicUsize = AtomicUsize::new(0);
        say_skipped();
        testing::elementwise::check_add(|add, a, b, output| {
            let bytes = [a.bits, b.bits, add.codes.bits].iter().all(|bits| matches!(bits, ActivationBits::A6 | ActivationBits::A8));
            let suits = bytes && portable::fits_32_bits(add, a.bits, b.bits);
            for level in levels() {
                assert_eq!(add_at(level, add, a, b, output), suits, "{level:?} {add:?}");
                RAN.fetch_add(usize::from(suits), Ordering::Relaxed);
            }
            if !suits || levels().next().is_none() {
                portable::add(add, a, b, output);
            }
        });
        assert!(RAN.load(Ordering::Relaxed) >= 100 * levels().count());
    }

    #[test]
    fn what_the_check_refuses_is_left_alone() {
        let [shape, ..] = testing::conv::wide_shapes()[..] else { unreachable!() };
        let (bits, accumulator) = ([ActivationBits::A8; 2], crate::Accumulator::I32);
        let mut random = testing::Random::new(114);
        let case = testing::conv::Case::random(&mut random, shape, crate::WeightBits::W8, bits, accumulator);
        let mut output = vec![0x5a; case.output_bytes()];
        let mut scratch = vec![0; portable::conv_scratch_bytes(&case.conv(), bits[0])];
        let input = case.input.view();
        for level in levels() {
            let short = Activations { codes: &input.codes[1..], ..input };
            assert!(!conv_at(level, &case.conv(), short, &mut output, &mut scratch));
            assert!(!conv_at(level, &case.conv(), input, &mut output[1..], &mut scratch));
            assert!(!conv_at(level, &case.conv(), input, &mut output, &mut []));
        }
        assert!(output.iter().all(|&byte| byte == 0x5a));
    }
}
