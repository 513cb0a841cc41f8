//! Depthwise convolution on planes; see [`planes`].

use super::elementwise;
use crate::portable::planes;
use crate::portable::planes::blocks::{Blocks, To};
use crate::portable::planes::layout::Order;
use crate::portable::planes::program::{End, Run, Step};
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
    /// Channels left, the first output and the first word of this one, and its columns.
    channels: usize,
    channel_to: *mut u8,
    channel_pairs: *const u32,
    channel_columns: usize,
    /// Bytes from a plane and from a program to the next, and from `to` to `end` at the begin of a column.
    plane_bytes: usize,
    program_bytes: usize,
    rows_bytes: usize,
}

/// Where functions are collected for the whole program before they are compiled, assembly knows of the target's base only.
#[cfg(core_feature = "mve")]
macro_rules! cpu {
    () => {
        ".cpu cortex-m55"
    };
}
#[cfg(all(core_feature = "v8m", not(core_feature = "mve")))]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(core_feature = "v8m"))]
macro_rules! cpu {
    () => {
        ""
    };
}

/// Begins with the [`Frame`] that r0 points to: leaves the pointer to the plane in r12, that to the program in lr.
macro_rules! enter {
    () => {
        "push {{r4-r11, lr}}
        sub sp, sp, #68
        mov r10, sp
        ldm r0!, {{r1-r9}}
        stm r10!, {{r1-r9}}
        mov r12, r8
        mov lr, r5
        ldm r0, {{r1-r8}}
        stm r10, {{r1-r8}}"
    };
}

/// Goes on to the next column, or to the next channel, and jumps to label 2; leaves at the end. lr points to the program before and after.
macro_rules! turn {
    () => {
        "add r0, sp, #20
        ldm r0, {{r1-r5}}
        subs r1, r1, #1
        beq 8f
        add r2, r2, r4
        add r12, r3, r5
        mov r3, r12
        ldr r6, [sp, #12]
        add r6, r6, r4
        b 9f
        8:
        add r5, sp, #40
        ldm r5, {{r1-r4, r6-r8}}
        subs r1, r1, #1
        beq 7f
        add r2, r2, #1
        add r3, r3, r6
        add lr, lr, r7
        stm r5, {{r1-r3}}
        str lr, [sp, #16]
        mov r12, r3
        mov r1, r4
        add r6, r2, r8
        9:
        stm r0, {{r1-r3}}
        str r2, [sp]
        str r6, [sp, #12]
        b 2b
        7:
        add sp, sp, #68
        pop {{r4-r11, pc}}"
    };
}

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

    fn codes(&self, run: &Run<'_>, span: &Span, pairs: &[u32], codes: &mut [u8], to: To) {
        let (layout, channels) = (run.layout(), run.channels);
        let (size, rows, columns) = (span.size(), span.rows(), span.columns());
        let small = size == BLOCK_MIN && layout.compact;
        let is_known = (size == BLOCK_MAX || small) && run.end == End::Codes && rows > 0 && columns > 0 && channels > 0;
        if !is_known {
            return;
        }
        let sum = |a: Option<usize>, b: Option<usize>| a?.checked_add(b?);
        let written = sum((rows - 1).checked_mul(to.row_step), to.step.checked_mul(size * columns - 1));
        let written = sum(written, Some(channels));
        let read = sum((channels - 1).checked_mul(layout.plane_words), Some(span.reach()));
        let programs = channels.checked_mul(layout.program_words);
        let inside = |needed: Option<usize>, len: usize| needed.is_some_and(|needed| needed <= len);
        if !inside(written, codes.len()) || !inside(read, pairs.len()) || !inside(programs, run.words().len()) {
            return;
        }
        let codes = codes.as_mut_ptr();
        let rows_bytes = to.row_step * rows;
        let frame = Frame {
            to: codes,
            step: to.step,
            // The pointer has gone as far as the last two outputs when it moves on.
            row_step: to.row_step.wrapping_sub(to.step * (size - 2)),
            end: codes.wrapping_add(rows_bytes),
            program: run.words().as_ptr(),
            columns,
            column_to: codes,
            column_pairs: pairs.as_ptr(),
            to_next: to.step * size,
            pairs_next: span.column_words() * size_of::<u32>(),
            channels,
            channel_to: codes,
            channel_pairs: pairs.as_ptr(),
            channel_columns: columns,
            plane_bytes: layout.plane_words * size_of::<u32>(),
            program_bytes: layout.program_words * size_of::<u32>(),
            rows_bytes,
        };
        let run = match (layout.compact, layout.order == Order::Dense, small) {
            (true, true, false) => three::dense_6,
            (true, true, true) => three::dense_4,
            (true, false, false) => three::halved_6,
            (true, false, true) => three::halved_4,
            (false, ..) => steps::run,
        };
        // SAFETY: the programs' words are what `Programs` wrote for these kernels; there is one for each channel. A span reads `reach` words
        // of each plane at most. What is written is counted above. Every column gets to `end`, which is as many steps of rows away.
        unsafe { run(&frame) }
    }

    fn clamp(&self, codes: &mut [u8], lo: u8, hi: u8) {
        elementwise::clamp(codes, lo, hi);
    }

    fn words(&self, run: &Run<'_>, span: &Span, pairs: &[u32], words: &mut [u32]) {
        let rows = span.rows();
        let is_known = span.size() == BLOCK_MAX && span.columns() == 1 && run.end != End::Codes && rows > 0;
        let fits = rows.checked_mul(BLOCK_MAX).is_some_and(|count| count <= words.len());
        if !is_known || !fits || span.reach() > pairs.len() || run.layout().program_words > run.words().len() {
            return;
        }
        let to = words.as_mut_ptr().cast::<u8>();
        let frame = Frame {
            to,
            step: 0,
            row_step: 0,
            end: to.wrapping_add(rows * BLOCK_MAX * size_of::<u32>()),
            program: run.words().as_ptr(),
            columns: 1,
            column_to: to,
            column_pairs: pairs.as_ptr(),
            to_next: 0,
            pairs_next: 0,
            channels: 1,
            channel_to: to,
            channel_pairs: pairs.as_ptr(),
            channel_columns: 1,
            plane_bytes: 0,
            program_bytes: 0,
            rows_bytes: 0,
        };
        // SAFETY: as above; the block of each row is six words of `words`.
        unsafe { steps::run(&frame) }
    }
}
