//! Four channels of bytes to four planes of 16-bit pairs.

use core::arch::naked_asm;

use crate::ActivationBits;
use crate::portable::planes::TOGETHER;
use crate::portable::planes::widen::Widen;

/// Widens codes of a byte each, or returns false.
pub(super) fn bytes(widen: &Widen<'_>, planes: &mut [u32]) -> bool {
    let Some(rows) = widen.dense_rows().filter(|rows| matches!(rows.bits, ActivationBits::A6 | ActivationBits::A8)) else {
        return false;
    };
    let (pitch, plane_words) = widen.pitch();
    if rows.rows == 0 || rows.pixels == 0 {
        return true;
    }
    let odd = usize::from(rows.odd);
    let (whole, last) = ((rows.pixels - odd) / 2, (rows.pixels - odd) % 2);
    let row_words = odd + whole + last;
    let read = (rows.rows - 1).checked_mul(rows.row_bytes).zip((rows.pixels - 1).checked_mul(rows.pixel_bytes));
    let read = read.and_then(|(above, before)| above.checked_add(before)?.checked_add(TOGETHER));
    let written = (rows.rows - 1).checked_mul(pitch).and_then(|above| above.checked_add(rows.first_word)?.checked_add(row_words));
    let planes_words = plane_words.checked_mul(TOGETHER);
    if read.is_none_or(|bytes| bytes > rows.codes.len())
        || written.is_none_or(|words| words > plane_words)
        || planes_words.is_none_or(|words| words > planes.len())
    {
        return false;
    }
    let params = Params {
        from: rows.codes.as_ptr(),
        pixel_bytes: rows.pixel_bytes,
        to: planes.as_mut_ptr().wrapping_add(rows.first_word),
        plane_bytes: plane_words * size_of::<u32>(),
        padding: u32::from(rows.zero_point as u8) * 0x0101_0101,
        whole,
        odd,
        last,
        rows: rows.rows,
        from_step: rows.row_bytes.wrapping_sub(rows.pixels * rows.pixel_bytes),
        to_step: pitch.wrapping_sub(row_words) * size_of::<u32>(),
    };
    // SAFETY: the last word read ends `read` bytes, the last one written to a plane `written` words after its begin; both are inside.
    unsafe { run(&params) };
    true
}

/// What the assembly reads.
#[repr(C)]
struct Params {
    /// The first pixel.
    from: *const u8,
    pixel_bytes: usize,
    /// The first word of the first plane.
    to: *mut u32,
    plane_bytes: usize,
    /// The padding's code as all four bytes.
    padding: u32,
    /// Words of two pixels in a row.
    whole: usize,
    /// 1 where a row begins with a word of padding and a pixel.
    odd: usize,
    /// 1 where a row ends with a word of a pixel and padding.
    last: usize,
    rows: usize,
    /// Bytes from the end of a row's pixels to the next row.
    from_step: usize,
    /// Bytes from the end of a row's words to the next row.
    to_step: usize,
}

/// Writes four words from the codes of two pixels in `$a` and `$b`.
#[rustfmt::skip]
macro_rules! widen {
    ($a:literal, $b:literal) => {
        concat!(
            // Channels 0 and 1 of both, then 2 and 3.
            "pkhbt r10, ",
            $a,
            ", ",
            $b,
            ", lsl #16
            pkhtb r11, ",
            $b,
            ", ",
            $a,
            ", asr #16
            uxtb16 r12, r10
            uxtb16 r10, r10, ror #8
            str r12, [r2], #4
            str r10, [r3], #4
            uxtb16 r12, r11
            uxtb16 r11, r11, ror #8
            str r12, [r4], #4
            str r11, [r5], #4"
        )
    };
}

/// Registers: the input in r0, bytes of a pixel in r1, the planes in r2 to r5, the padding in r6, words left in r7, two pixels in r8 and r9,
/// the parameters in lr, rows left on the stack.
#[unsafe(naked)]
unsafe extern "C" fn run(params: &Params) {
    naked_asm!(
        cpu!(),
        "push {{r4-r11, lr}}",
        "mov lr, r0",
        "ldr r4, [lr, #32]",
        "push {{r4}}",
        "ldm lr, {{r0-r3, r6}}",
        "mov r7, r3",
        "add r3, r2, r7",
        "add r4, r3, r7",
        "add r5, r4, r7",
        "2:",
        "ldr r7, [lr, #24]",
        "cbz r7, 3f",
        "ldr r9, [r0]",
        "add r0, r0, r1",
        widen!("r6", "r9"),
        "3:",
        "ldr r7, [lr, #20]",
        "cbz r7, 5f",
        "4:",
        "ldr r8, [r0]",
        "ldr r9, [r0, r1]",
        "add r0, r0, r1, lsl #1",
        widen!("r8", "r9"),
        "subs r7, r7, #1",
        "bne 4b",
        "5:",
        "ldr r7, [lr, #28]",
        "cbz r7, 6f",
        "ldr r8, [r0]",
        "add r0, r0, r1",
        widen!("r8", "r6"),
        "6:",
        "ldrd r7, r8, [lr, #36]",
        "add r0, r0, r7",
        "add r2, r2, r8",
        "add r3, r3, r8",
        "add r4, r4, r8",
        "add r5, r5, r8",
        "ldr r7, [sp]",
        "subs r7, r7, #1",
        "str r7, [sp]",
        "bne 2b",
        "add sp, sp, #4",
        "pop {{r4-r11, pc}}",
    )
}
