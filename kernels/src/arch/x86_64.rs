//! x86-64 with AVX2, and with AVX-512 VNNI.

mod columns;
mod level;
mod vnni;

pub(crate) use level::Level;

use crate::{Activations, Conv};

/// Channels of a panel of weights.
const PANEL: usize = 16;

/// See [`native::conv`](crate::native::conv).
pub(crate) fn conv(params: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    conv_at(level::level(), params, input, output, scratch)
}

/// As [`conv`], with the instructions of that level, which the processor must have.
fn conv_at(level: Level, params: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    if level == Level::Baseline || params.check(input.operand(), output.len(), scratch.len()).is_err() {
        return false;
    }
    level == Level::Vnni && vnni::conv(params, input, output, scratch)
}

#[cfg(test)]
mod tests {
    use std::{eprintln, vec};

    use super::*;
    use crate::{portable, testing};

    /// The levels above the baseline that this processor has; says which it lacks.
    fn levels() -> impl Iterator<Item = Level> {
        [Level::Avx2, Level::Vnni].into_iter().filter(|&wanted| {
            let has = level::level() >= wanted;
            if !has {
                eprintln!("skipped: this processor lacks {wanted:?}");
            }
            has
        })
    }

    #[test]
    fn convolutions_equal_the_reference() {
        for level in levels() {
            testing::conv::check(110, |conv, input, output| {
                let mut scratch = vec![0x77; portable::conv_scratch_bytes(conv, input.bits)];
                if !conv_at(level, conv, input, output, &mut scratch) {
                    portable::conv(conv, input, output, &mut scratch);
                }
            });
        }
    }

    #[test]
    fn convolutions_equal_the_reference_with_the_least_scratch() {
        for level in levels() {
            testing::conv::check(111, |conv, input, output| {
                let mut scratch = vec![0x77; portable::conv_scratch_bytes_min(conv, input.bits) + 1];
                if !conv_at(level, conv, input, output, &mut scratch[1..]) {
                    portable::conv(conv, input, output, &mut scratch[1..]);
                }
            });
        }
    }
}
