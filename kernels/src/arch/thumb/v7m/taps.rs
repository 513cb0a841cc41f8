//! Depthwise taps.

use core::arch::naked_asm;

use crate::arch::thumb::Channels;

/// A tap's weight and code of a channel.
macro_rules! channel {
    ($at:literal, $acc:literal) => {
        concat!(
            "
        ldrb r8, [lr, #",
            $at,
            "]
        ldrsb r9, [r2, #",
            $at,
            "]
        mla ",
            $acc,
            ", r8, r9, ",
            $acc,
            "
        "
        )
    };
}

/// Taps of four channels at a time. r0 pixels, r1 their end, r2 weights, r3 the stride, r4 to r7 accumulators, r10 sums, r11 groups, r12 the
/// channel, lr the pixel. The frame: pixels at 0, weights at 4.
// SAFETY: reads and writes what `Channels` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(in crate::arch::thumb) unsafe extern "C" fn add_taps(channels: &Channels) {
    naked_asm!(
        "
        push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}
        sub sp, #8
        ldmia r0, {{r4, r5, r6, r7, r8, r9, r10}}
        strd r4, r6, [sp]
        mov r1, r5
        mov r3, r7
        mov r12, r8
        mov r11, r9
    10: ldrd r0, r2, [sp]
        ldr r4, [r10]
        ldr r5, [r10, #16]
        ldr r6, [r10, #32]
        ldr r7, [r10, #48]
    11: ldr lr, [r0], #8
        add lr, r12
        ",
        channel!("0", "r4"),
        channel!("1", "r5"),
        channel!("2", "r6"),
        channel!("3", "r7"),
        "
        add r2, r3
        cmp r0, r1
        bne 11b
        str r5, [r10, #16]
        str r6, [r10, #32]
        str r7, [r10, #48]
        str r4, [r10], #64
        add r12, #4
        ldr r2, [sp, #4]
        adds r2, #4
        str r2, [sp, #4]
        subs r11, #1
        bne 10b
        add sp, #8
        pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}
        "
    )
}
