//! Operators on four bytes at once, where there is an instruction for that.

use core::arch::asm;

use crate::portable::words;
use crate::{Activations, MaxPool};

/// See [`native::max_pool`](crate::native::max_pool).
pub(crate) fn max_pool(pool: &MaxPool, input: Activations<'_>, output: &mut [u8]) -> bool {
    words::max_pool(pool, input, output, larger)
}

/// The larger of each pair of bytes.
#[inline(always)]
fn larger(a: u32, b: u32) -> u32 {
    let larger;
    // SAFETY: arithmetic in registers; the first instruction sets the flags that the second reads.
    unsafe {
        asm!(
            "usub8 {larger}, {a}, {b}",
            "sel {larger}, {a}, {b}",
            a = in(reg) a,
            b = in(reg) b,
            larger = out(reg) larger,
            options(pure, nomem, nostack),
        );
    }
    larger
}
