//! Columns.

use core::arch::naked_asm;

/// `groups` (at least 1) words of four bytes as two words of a column each, which are 16 bytes apart; the sum of the bytes, of at most 128
/// groups.
// SAFETY: reads that many words, writes twice as many; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(in crate::arch::thumb) unsafe extern "C" fn apart(codes: *const u32, groups: usize, column: *mut u32) -> u32 {
    naked_asm!(
        "
        push {{r4, r5, r6, lr}}
        movs r3, #0xff
        lsls r4, r3, #16
        orrs r3, r4
        movs r6, #0
    10: ldmia r0!, {{r4}}
        mov r5, r4
        ands r5, r3
        str r5, [r2]
        adds r6, r6, r5
        lsrs r4, r4, #8
        ands r4, r3
        str r4, [r2, #16]
        adds r6, r6, r4
        adds r2, #32
        subs r1, #1
        bne 10b
        uxth r0, r6
        lsrs r6, r6, #16
        adds r0, r0, r6
        pop {{r4, r5, r6, pc}}
        "
    )
}
