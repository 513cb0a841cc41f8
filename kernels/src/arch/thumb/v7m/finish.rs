//! Output stage.

use core::arch::naked_asm;

use crate::arch::thumb::Stage;

/// One output: the sum in `$sum` to its code. r6 the rounding and the zero point, r5 the shift, r12 the bias, lr the multiplier.
macro_rules! code {
    ($sum:literal, $clamp:expr) => {
        concat!(
            "
        add ",
            $sum,
            ", ",
            $sum,
            ", r12
        smull r11, ",
            $sum,
            ", ",
            $sum,
            ", lr
        add ",
            $sum,
            ", ",
            $sum,
            ", r6
        asr ",
            $sum,
            ", ",
            $sum,
            ", r5
        ",
            $clamp
        )
    };
}

/// Clamps to a byte.
macro_rules! byte {
    ($sum:literal) => {
        concat!("usat ", $sum, ", #8, ", $sum)
    };
}

/// Clamps to the bounds at 8 and 12 of the frame.
macro_rules! bounds {
    ($sum:literal) => {
        concat!(
            "
        ldr r11, [sp, #8]
        cmp ",
            $sum,
            ", r11
        it lt
        movlt ",
            $sum,
            ", r11
        ldr r11, [sp, #12]
        cmp ",
            $sum,
            ", r11
        it gt
        movgt ",
            $sum,
            ", r11
        "
        )
    };
}

/// r0 sums, r1 output, r2 and r3 once and three times the bytes of a pixel, r4 the channel. The frame: the stage at 0, channels at 4, bounds
/// at 8.
macro_rules! finish {
    ($clamp:ident) => {
        concat!(
            "
        push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}
        sub sp, #16
        ldr r4, [r0, #24]
        strd r0, r4, [sp]
        ldrd r4, r5, [r0, #32]
        strd r4, r5, [sp, #8]
        ldmia r0, {{r0, r1, r2}}
        add r3, r2, r2, lsl #1
        mov r4, #0
    10: ldr r6, [sp]
        ldrd r12, lr, [r6, #12]
        ldr r5, [r6, #20]
        ldr r6, [r6, #28]
        ldr r12, [r12, r4, lsl #2]
        ldr lr, [lr, r4, lsl #2]
        ldrb r5, [r5, r4]
        subs r5, #33
        lsls r6, r5
        adds r5, #1
        ldmia r0!, {{r7, r8, r9, r10}}
        ",
            code!("r7", $clamp!("r7")),
            code!("r8", $clamp!("r8")),
            code!("r9", $clamp!("r9")),
            code!("r10", $clamp!("r10")),
            "
        strb r8, [r1, r2]
        strb r9, [r1, r2, lsl #1]
        strb r10, [r1, r3]
        strb r7, [r1], #1
        adds r4, #1
        ldr r11, [sp, #4]
        cmp r4, r11
        bne 10b
        add sp, #16
        pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}
        "
        )
    };
}

/// Codes of all channels, clamped to bytes.
// SAFETY: reads and writes what `Stage` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(in crate::arch::thumb) unsafe extern "C" fn finish(stage: &Stage) {
    naked_asm!(finish!(byte))
}

/// As [`finish`], clamped to the bounds.
// SAFETY: as above.
#[unsafe(naked)]
pub(in crate::arch::thumb) unsafe extern "C" fn finish_within(stage: &Stage) {
    naked_asm!(finish!(bounds))
}
