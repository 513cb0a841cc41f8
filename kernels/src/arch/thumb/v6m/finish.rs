//! Output stage.

use core::arch::naked_asm;

use crate::arch::thumb::Stage;

/// One output: sum `$sum` to its code. r4 and r5 the lower and the upper half of the multiplier, r6 the rounding and the zero point, r7 the
/// shift, r9 where the code goes, r10 the bias, r11 the bytes of a pixel.
macro_rules! code {
    ($sum:literal) => {
        concat!(
            "
        ldr r0, [sp]
        ldr r0, [r0, #",
            $sum,
            "]
        add r0, r10
        uxth r1, r0
        asrs r0, r0, #16
        mov r2, r1
        muls r2, r4, r2
        lsrs r2, r2, #16
        mov r3, r0
        muls r3, r4, r3
        adds r3, r3, r2
        uxth r2, r3
        muls r1, r5, r1
        adds r1, r1, r2
        lsrs r1, r1, #16
        asrs r3, r3, #16
        muls r0, r5, r0
        adds r0, r0, r3
        adds r0, r0, r1
        adds r0, r0, r6
        asrs r0, r7
        ldr r1, [sp, #32]
        cmp r0, r1
        bge 11f
        mov r0, r1
    11: ldr r1, [sp, #36]
        cmp r0, r1
        ble 12f
        mov r0, r1
    12: mov r1, r9
        strb r0, [r1]
        add r9, r11
        "
        )
    };
}

/// Codes of all channels. The upper word of a product comes from products of halves. The frame is the stage.
// SAFETY: reads and writes what `Stage` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(in crate::arch::thumb) unsafe extern "C" fn finish(stage: &Stage) {
    naked_asm!(
        save!(),
        "
        mov r7, r0
        adds r7, #28
        ldmia r7!, {{r1, r2, r3}}
        push {{r1, r2, r3}}
        ldmia r0!, {{r1, r2, r3, r4, r5, r6, r7}}
        push {{r1, r2, r3, r4, r5, r6, r7}}
        mov r11, r3
    10: ldr r0, [sp, #12]
        ldmia r0!, {{r1}}
        str r0, [sp, #12]
        mov r10, r1
        ldr r0, [sp, #16]
        ldmia r0!, {{r4}}
        str r0, [sp, #16]
        lsrs r5, r4, #16
        uxth r4, r4
        ldr r0, [sp, #20]
        ldrb r7, [r0]
        adds r0, #1
        str r0, [sp, #20]
        subs r7, #33
        ldr r6, [sp, #28]
        lsls r6, r7
        adds r7, #1
        ldr r0, [sp, #4]
        mov r9, r0
        adds r0, #1
        str r0, [sp, #4]
        ",
        code!(0),
        code!(4),
        code!(8),
        code!(12),
        "
        ldr r0, [sp]
        adds r0, #16
        str r0, [sp]
        ldr r0, [sp, #24]
        subs r0, #1
        str r0, [sp, #24]
        beq 13f
        b 10b
    13: add sp, #40
        ",
        restore!(),
    )
}

/// As [`finish`].
// SAFETY: as above.
pub(in crate::arch::thumb) unsafe extern "C" fn finish_within(stage: &Stage) {
    // SAFETY: as the caller has it.
    unsafe { finish(stage) }
}
