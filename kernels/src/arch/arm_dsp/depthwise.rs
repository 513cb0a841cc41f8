//! Depthwise convolution on planes; see [`planes`].

use crate::portable::planes;
use crate::portable::planes::blocks::{Blocks, To};
use crate::portable::planes::layout::Order;
use crate::portable::planes::program::{End, Program, Step};
use crate::portable::planes::span::{BLOCK_MAX, BLOCK_MIN, Span};
use crate::portable::planes::widen::Widen;
use crate::{Activations, Conv};

/// What the assembly keeps on its stack, in this order; a block begins with the first four words from there.
#[repr(C)]
struct Frame {
    /// Output 0 of the next block.
    to: *mut u8,
    /// Bytes from an output to the next.
    step: usize,
    /// Bytes from where the pointer is after a block to the one below.
    row_step: usize,
    /// `to` after the column's last block.
    end: *mut u8,
    program: *const u32,
    /// Columns left, the first output and the first word of this one, and bytes to those of the next.
    columns: usize,
    column_to: *mut u8,
    column_pairs: *const u32,
    to_next: usize,
    pairs_next: usize,
}

/// Begins with the [`Frame`] that r0 points to: leaves the pointer to the plane in r12, that to the program in lr.
macro_rules! enter {
    () => {
        "push {{r4-r11, lr}}
        sub sp, sp, #40
        ldm r0, {{r1-r10}}
        stm sp, {{r1-r10}}
        mov r12, r8
        mov lr, r5"
    };
}

/// Goes on to the next column; the flags say "equal" where there is none. Keeps lr.
macro_rules! next_column {
    () => {
        "add r0, sp, #20
        ldm r0, {{r1-r5}}
        ldr r6, [sp, #12]
        add r2, r2, r4
        add r3, r3, r5
        add r6, r6, r4
        mov r12, r3
        subs r1, r1, #1
        stm r0, {{r1-r3}}
        str r2, [sp]
        str r6, [sp, #12]"
    };
}

/// Returns.
macro_rules! leave {
    () => {
        "add sp, sp, #40
        pop {{r4-r11, pc}}"
    };
}

use {enter, leave, next_column};

mod steps;
mod three;
mod widen;

/// See [`native::conv`](crate::native::conv).
pub(crate) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    planes::conv(&Dsp, conv, input, output, scratch)
}

/// The loops of this module.
struct Dsp;

impl Blocks for Dsp {
    fn step(&self, step: Step) -> u32 {
        steps::address(step)
    }

    fn end(&self, end: End) -> u32 {
        steps::address_of_end(end)
    }

    fn widen(&self, widen: &Widen<'_>, planes: &mut [u32]) {
        if !widen::bytes(widen, planes) {
            widen.run(planes);
        }
    }

    #[inline]
    fn codes(&self, program: &Program<'_>, span: &Span, pairs: &[u32], codes: &mut [u8], to: To) {
        let (size, rows, columns) = (span.size(), span.rows(), span.columns());
        let last = rows.wrapping_sub(1).checked_mul(to.row_step).zip(to.step.checked_mul(size * columns - 1));
        let last = last.and_then(|(row, output)| row.checked_add(output));
        let small = size == BLOCK_MIN && program.compact();
        let is_known = (size == BLOCK_MAX || small) && program.end() == End::Codes && rows > 0;
        if !is_known || span.reach() > pairs.len() || last.is_none_or(|last| last >= codes.len()) {
            return;
        }
        let codes = codes.as_mut_ptr();
        let frame = Frame {
            to: codes,
            step: to.step,
            // The pointer has gone as far as the last two outputs when it moves on.
            row_step: to.row_step.wrapping_sub(to.step * (size - 2)),
            end: codes.wrapping_add(to.row_step * rows),
            program: program.words().as_ptr(),
            columns,
            column_to: codes,
            column_pairs: pairs.as_ptr(),
            to_next: to.step * size,
            pairs_next: span.column_words() * size_of::<u32>(),
        };
        let run = match (program.compact(), program.order() == Order::Dense, small) {
            (true, true, false) => three::dense_6,
            (true, true, true) => three::dense_4,
            (true, false, false) => three::halved_6,
            (true, false, true) => three::halved_4,
            (false, ..) => steps::run,
        };
        // SAFETY: the program's words are what `Program` wrote for these kernels. It reads `reach` words of `pairs` at most, and writes bytes
        // up to `last`, which is inside of `codes`. A row step that is not 0 makes `end` one of the outputs that a column gets to.
        unsafe { run(&frame) }
    }

    fn words(&self, program: &Program<'_>, span: &Span, pairs: &[u32], words: &mut [u32]) {
        let rows = span.rows();
        let is_known = span.size() == BLOCK_MAX && program.end() != End::Codes && rows > 0;
        if !is_known || span.reach() > pairs.len() || rows.checked_mul(BLOCK_MAX).is_none_or(|count| count > words.len()) {
            return;
        }
        let to = words.as_mut_ptr().cast::<u8>();
        let frame = Frame {
            to,
            step: 0,
            row_step: 0,
            end: to.wrapping_add(rows * BLOCK_MAX * size_of::<u32>()),
            program: program.words().as_ptr(),
            columns: 1,
            column_to: to,
            column_pairs: pairs.as_ptr(),
            to_next: 0,
            pairs_next: 0,
        };
        // SAFETY: as above; the block of each row is six words of `words`.
        unsafe { steps::run(&frame) }
    }
}
