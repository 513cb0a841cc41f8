//! Columns.

use core::arch::naked_asm;

/// `groups` (at least 1) words of four bytes as two words of a column each, which are 16 bytes apart; the sum of the bytes, of at most 128
/// groups.
// SAFETY: reads that many words, writes twice as many; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(in crate::arch::thumb) unsafe extern "C" fn apart(codes: *const u32, groups: usize, column: *mut u32) -> u32 {
    naked_asm!(
        "
        push {{r4, r5}}
        mov r3, #0x00ff00ff
        mov r12, #0
        lsrs r1, r1, #1
        bcc 12f
        ldr r4, [r0], #4
        and r5, r3, r4, lsr #8
        ands r4, r3
        str r4, [r2], #16
        str r5, [r2], #16
        add r12, r4, r5
        cbz r1, 13f
    12: ldr r4, [r0], #4
        and r5, r3, r4, lsr #8
        ands r4, r3
        str r4, [r2], #16
        str r5, [r2], #16
        add r12, r4
        add r12, r5
        ldr r4, [r0], #4
        and r5, r3, r4, lsr #8
        ands r4, r3
        str r4, [r2], #16
        str r5, [r2], #16
        add r12, r4
        add r12, r5
        subs r1, r1, #1
        bne 12b
    13: uxth r0, r12
        add r0, r0, r12, lsr #16
        pop {{r4, r5}}
        bx lr
        "
    )
}
