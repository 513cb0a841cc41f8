//! Depthwise taps.

use core::arch::naked_asm;

use crate::arch::thumb::Channels;

/// A tap's weight and code of a channel.
macro_rules! channel {
    ($at:literal, $acc:literal) => {
        concat!(
            "
        ldrb r2, [r0, #",
            $at,
            "]
        ldrb r3, [r1, #",
            $at,
            "]
        sxtb r3, r3
        muls r3, r2, r3
        adds ",
            $acc,
            ", ",
            $acc,
            ", r3
        "
        )
    };
}

/// Taps of four channels at a time. r0 the pixel, r1 weights, r4 to r7 accumulators, r8 pixels, r9 the channel, r10 the stride, r11 the end
/// of the pixels. The frame: pixels at 0, weights at 8, groups at 20, sums at 24.
// SAFETY: reads and writes what `Channels` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(in crate::arch::thumb) unsafe extern "C" fn add_taps(channels: &Channels) {
    naked_asm!(
        save!(),
        "
        ldmia r0!, {{r1, r2, r3, r4, r5, r6, r7}}
        push {{r1, r2, r3, r4, r5, r6, r7}}
        mov r11, r2
        mov r10, r4
        mov r9, r5
    10: ldr r1, [sp]
        mov r8, r1
        ldr r1, [sp, #24]
        ldr r4, [r1]
        ldr r5, [r1, #16]
        ldr r6, [r1, #32]
        ldr r7, [r1, #48]
        ldr r1, [sp, #8]
    11: mov r2, r8
        ldr r0, [r2]
        adds r2, #8
        mov r8, r2
        add r0, r9
        ",
        channel!("0", "r4"),
        channel!("1", "r5"),
        channel!("2", "r6"),
        channel!("3", "r7"),
        "
        add r1, r10
        cmp r8, r11
        bne 11b
        ldr r1, [sp, #24]
        str r4, [r1]
        str r5, [r1, #16]
        str r6, [r1, #32]
        str r7, [r1, #48]
        adds r1, #64
        str r1, [sp, #24]
        ldr r1, [sp, #8]
        adds r1, #4
        str r1, [sp, #8]
        movs r1, #4
        add r9, r1
        ldr r1, [sp, #20]
        subs r1, #1
        str r1, [sp, #20]
        bne 10b
        add sp, #28
        ",
        restore!(),
    )
}
