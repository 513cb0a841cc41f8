//! Operators on four bytes at once, where there is an instruction for that.

use core::arch::asm;

use crate::portable::words::{self, Sum};
use crate::{Activations, Add, MaxPool, Mul};

/// See [`native::add`](crate::native::add).
pub(crate) fn add(params: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    words::add(params, a, b, output, sum, clamp)
}

/// See [`native::mul`](crate::native::mul).
pub(crate) fn mul(params: &Mul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    words::mul(params, a, b, output, clamp)
}

/// See [`native::max_pool`](crate::native::max_pool).
pub(crate) fn max_pool(pool: &MaxPool, input: Activations<'_>, output: &mut [u8]) -> bool {
    words::max_pool(pool, input, output, larger)
}

/// Clamps bytes.
pub(crate) fn clamp(codes: &mut [u8], lo: u8, hi: u8) {
    words::clamp_with(codes, lo, hi, larger, smaller);
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

/// The smaller of each pair of bytes.
#[inline(always)]
fn smaller(a: u32, b: u32) -> u32 {
    let smaller;
    // SAFETY: as in `larger`.
    unsafe {
        asm!(
            "usub8 {smaller}, {a}, {b}",
            "sel {smaller}, {b}, {a}",
            a = in(reg) a,
            b = in(reg) b,
            smaller = out(reg) smaller,
            options(pure, nomem, nostack),
        );
    }
    smaller
}

/// A sum, saturated to 8 bits.
#[inline(never)]
fn sum(sum: &Sum, a: &[u8], b: &[u8], output: &mut [u8]) {
    // From this shift on a sum fits 16 bits before it is saturated, and two of them saturate together.
    const SHIFT_MIN: u32 = 16;
    let words = output.len().min(a.len()).min(b.len()) / 4;
    if sum.shift < SHIFT_MIN || words == 0 {
        return sum.run(a, b, output);
    }
    // SAFETY: reads and writes as many words as each of the slices has, at addresses that need not be aligned on these processors.
    unsafe {
        asm!(
            "2:",
            "ldr {x}, [{a}], #4",
            "ldr {y}, [{b}], #4",
            "uxtb {s}, {x}",
            "uxtb {t}, {y}",
            "mla {s}, {s}, {m_a}, {offset}",
            "mla {s}, {t}, {m_b}, {s}",
            "asr {s}, {s}, {shift}",
            "ubfx {u}, {x}, #16, #8",
            "ubfx {t}, {y}, #16, #8",
            "mla {u}, {u}, {m_a}, {offset}",
            "mla {u}, {t}, {m_b}, {u}",
            "asr {u}, {u}, {shift}",
            "pkhbt {s}, {s}, {u}, lsl #16",
            "usat16 {s}, #8, {s}",
            "ubfx {u}, {x}, #8, #8",
            "ubfx {t}, {y}, #8, #8",
            "mla {u}, {u}, {m_a}, {offset}",
            "mla {u}, {t}, {m_b}, {u}",
            "asr {u}, {u}, {shift}",
            "lsr {x}, {x}, #24",
            "lsr {y}, {y}, #24",
            "mla {x}, {x}, {m_a}, {offset}",
            "mla {x}, {y}, {m_b}, {x}",
            "asr {x}, {x}, {shift}",
            "pkhbt {u}, {u}, {x}, lsl #16",
            "usat16 {u}, #8, {u}",
            "orr {s}, {s}, {u}, lsl #8",
            "str {s}, [{to}], #4",
            "cmp {to}, {end}",
            "bne 2b",
            a = inout(reg) a.as_ptr() => _,
            b = inout(reg) b.as_ptr() => _,
            to = inout(reg) output.as_mut_ptr() => _,
            end = in(reg) output.as_mut_ptr().wrapping_add(4 * words),
            m_a = in(reg) sum.m_a,
            m_b = in(reg) sum.m_b,
            offset = in(reg) sum.offset,
            shift = in(reg) sum.shift,
            x = out(reg) _,
            y = out(reg) _,
            s = out(reg) _,
            t = out(reg) _,
            u = out(reg) _,
            options(nostack),
        );
    }
    let done = 4 * words;
    if let (Some(a), Some(b), Some(output)) = (a.get(done..), b.get(done..), output.get_mut(done..)) {
        sum.run(a, b, output);
    }
}
