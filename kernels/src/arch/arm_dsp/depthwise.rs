//! Depthwise convolution on planes; see [`planes`].

mod steps;
mod three;
mod widen;

use crate::portable::planes;
use crate::portable::planes::blocks::{Blocks, Column};
use crate::portable::planes::layout::{BLOCK_MAX, BLOCK_MIN, Order};
use crate::portable::planes::program::{End, Step};
use crate::portable::planes::widen::Widen;
use crate::{Activations, Conv};

/// See [`native::conv`](crate::native::conv).
pub(crate) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    planes::conv(&Dsp, conv, input, output, scratch)
}

/// The loops of this module.
struct Dsp;

/// What the assembly keeps on its stack, in this order; it begins a block with the first four words from there.
#[repr(C)]
struct Frame {
    /// Output 0 of the next block.
    to: *mut u8,
    /// Bytes from an output to the next.
    step: usize,
    /// Bytes from a block's fifth output to the next block's first.
    row_step: usize,
    /// `to` after the last block.
    end: *mut u8,
    pairs: *const u32,
    program: *const u32,
}

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

    fn codes(&self, column: &Column<'_>, to: &mut [u8], step: usize, row_step: usize) {
        let program = column.program;
        let last = |rows: usize, size: usize| rows.checked_mul(row_step)?.checked_add(size.checked_mul(step)?);
        let fits = column.rows.checked_sub(1).zip(column.size.checked_sub(1)).and_then(|(rows, size)| last(rows, size));
        let small = program.compact && column.size == BLOCK_MIN;
        if program.end != End::Codes
            || program.reach(column.rows, column.size) > column.pairs.len()
            || fits.is_none_or(|last| last >= to.len())
            || (column.size != BLOCK_MAX && !small)
        {
            return;
        }
        // The pointer has gone as far as the last pair of outputs when it moves on.
        let moved = step * (column.size - 2);
        let to = to.as_mut_ptr();
        let mut frame = Frame {
            to,
            step,
            row_step: row_step.wrapping_sub(moved),
            end: to.wrapping_add(row_step * column.rows),
            pairs: column.pairs.as_ptr(),
            program: program.words().as_ptr(),
        };
        let run = match (program.compact, program.order == Order::Dense, small) {
            (true, true, false) => three::dense_6,
            (true, true, true) => three::dense_4,
            (true, false, false) => three::halved_6,
            (true, false, true) => three::halved_4,
            (false, ..) => steps::run,
        };
        // A single row has no step to the next, and ends all the same.
        if row_step == 0 {
            frame.row_step = step.wrapping_sub(moved);
            frame.end = to.wrapping_add(step);
        }
        // SAFETY: a program's words are what `Program::new` wrote for these kernels; its blocks read less than `reach` words of `pairs` and
        // write outputs up to `last`, which is inside of `to`.
        unsafe { run(&frame) }
    }

    fn sums(&self, column: &Column<'_>, to: &mut [u32]) {
        let program = column.program;
        let words = column.rows.checked_mul(BLOCK_MAX);
        if program.end == End::Codes
            || column.rows == 0
            || program.reach(column.rows, BLOCK_MAX) > column.pairs.len()
            || words.is_none_or(|words| words > to.len())
        {
            return;
        }
        let to = to.as_mut_ptr().cast::<u8>();
        let frame = Frame {
            to,
            step: 0,
            row_step: 0,
            end: to.wrapping_add(column.rows * BLOCK_MAX * size_of::<u32>()),
            pairs: column.pairs.as_ptr(),
            program: program.words().as_ptr(),
        };
        // SAFETY: as above; each row's block is six words of `to`, which has them.
        unsafe { steps::run(&frame) }
    }
}
