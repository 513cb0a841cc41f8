//! What an instruction set supplies, and its twin in plain Rust.

use super::layout::{BLOCK_MAX, Order};
use super::program::{End, Program, Step};
use super::widen::Widen;

/// A column of blocks: one for each of `rows` output rows, each of `size` outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column<'a> {
    pub(crate) program: &'a Program<'a>,
    /// [`BLOCK_MAX`], or the smaller size with the programs of a compact layout.
    pub(crate) size: usize,
    /// The plane, from the first word of the first block on.
    pub(crate) pairs: &'a [u32],
    pub(crate) rows: usize,
}

/// The inner loops.
pub(crate) trait Blocks {
    /// What a program calls a step.
    fn step(&self, step: Step) -> u32;

    /// What a program calls an end.
    fn end(&self, end: End) -> u32;

    /// Widens rows of the input into four planes.
    fn widen(&self, widen: &Widen<'_>, planes: &mut [u32]);

    /// Runs a program that ends with [`End::Codes`]. Output `i` of row `y` goes to `to[y * row_step + i * step]`.
    fn codes(&self, column: &Column<'_>, to: &mut [u8], step: usize, row_step: usize);

    /// Runs a program that ends otherwise; [`BLOCK_MAX`] words for each row.
    fn sums(&self, column: &Column<'_>, to: &mut [u32]);
}

/// The inner loops in plain Rust.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Blocks for Portable {
    fn step(&self, step: Step) -> u32 {
        step as u32
    }

    fn end(&self, end: End) -> u32 {
        end as u32
    }

    fn widen(&self, widen: &Widen<'_>, planes: &mut [u32]) {
        widen.run(planes);
    }

    fn codes(&self, column: &Column<'_>, to: &mut [u8], step: usize, row_step: usize) {
        each_block(column, |row, block| {
            for (index, &code) in block.iter().enumerate().take(column.size) {
                if let Some(to) = to.get_mut(row * row_step + index * step) {
                    *to = (code as i32).clamp(0, 255) as u8;
                }
            }
        });
    }

    fn sums(&self, column: &Column<'_>, to: &mut [u32]) {
        each_block(column, |row, block| {
            if let Some(to) = to.as_chunks_mut().0.get_mut(row) {
                *to = block;
            }
        });
    }
}

/// Calls `visit` with each row and what its block's program leaves.
fn each_block(column: &Column<'_>, mut visit: impl FnMut(usize, [u32; BLOCK_MAX])) {
    let Some((&bias, steps)) = column.program.words().split_first() else {
        return;
    };
    let mut pointer = 0u32;
    for row in 0..column.rows {
        let mut sums = [bias as i32; BLOCK_MAX];
        let (steps, end) = steps.as_chunks::<4>();
        // The end has five words.
        let (Some((&[_, multiplier, rounding, shift], steps)), &[back]) = (steps.split_last(), end) else {
            return;
        };
        for &[kind, bytes, a, b] in steps {
            pointer = pointer.wrapping_add(bytes);
            add(kind, column, pointer, (a, b), &mut sums);
            if kind == Step::Two as u32 {
                pointer = pointer.wrapping_add(Step::TWO_BYTES as u32);
            }
        }
        pointer = pointer.wrapping_add(back);
        if column.program.end != End::Sums {
            for sum in &mut sums {
                let high = (i64::from(*sum) * i64::from(multiplier as i32)) >> 32;
                *sum = (high as i32).wrapping_add(rounding as i32) >> shift;
            }
        }
        visit(row, sums.map(|sum| sum as u32));
    }
}

fn halves(word: u32) -> [i32; 2] {
    [i32::from(word as i16), i32::from((word >> 16) as i16)]
}

/// One step.
fn add(kind: u32, column: &Column<'_>, pointer: u32, (a, b): (u32, u32), sums: &mut [i32; BLOCK_MAX]) {
    let x = |index: usize| halves(column.pairs.get(pointer as usize / size_of::<u32>() + index).copied().unwrap_or(0));
    let dot = |[a0, a1]: [i32; 2], [x0, x1]: [i32; 2]| a0.wrapping_mul(x0).wrapping_add(a1.wrapping_mul(x1));
    let (a, b) = (halves(a), halves(b));
    let is = |step: Step| kind == step as u32;
    if column.program.order == Order::Dense {
        let (twos, _) = sums.as_chunks_mut::<2>();
        for (index, [even, odd]) in twos.iter_mut().enumerate().take(column.size / 2) {
            *even = even.wrapping_add(dot(a, x(index)));
            *odd = odd.wrapping_add(dot(b, x(index + 1)));
            if is(Step::First) || is(Step::Both) {
                *odd = odd.wrapping_add(a[0].wrapping_mul(x(index)[1]));
            }
            if is(Step::Last) || is(Step::Both) {
                *even = even.wrapping_add(b[1].wrapping_mul(x(index + 1)[0]));
            }
        }
    } else {
        for (index, sum) in sums.iter_mut().enumerate().take(column.size) {
            *sum = sum.wrapping_add(dot(a, x(index)));
            if is(Step::Two) {
                *sum = sum.wrapping_add(dot(b, x(index + 1)));
            }
        }
    }
}
