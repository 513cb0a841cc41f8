//! What an instruction set supplies, and its twin in plain Rust.

#[cfg(test)]
use super::layout::Order;
use super::program::{End, Run, Step};
#[cfg(test)]
use super::span::BLOCK_MAX;
use super::span::Span;
use super::widen::Widen;

/// Where codes go: output `i` of row `y` of channel `c` to byte `y * row_step + i * step + c`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct To {
    pub(crate) step: usize,
    pub(crate) row_step: usize,
}

/// The inner loops.
pub(crate) trait Blocks {
    /// What a program calls a step.
    fn step(&self, step: Step) -> u32;

    /// What a program calls an end.
    fn end(&self, end: End) -> u32;

    /// Widens rows of the input into four planes.
    fn widen(&self, widen: &Widen<'_>, planes: &mut [u32]);

    /// Runs programs that end with [`End::Codes`] over a span. `pairs` is the planes, from the span's first word in the first on.
    fn codes(&self, run: &Run<'_>, span: &Span, pairs: &[u32], codes: &mut [u8], to: To);

    /// Clamps bytes.
    fn clamp(&self, codes: &mut [u8], lo: u8, hi: u8);

    /// Runs a program that ends otherwise down one column of the larger blocks; as many words for each row.
    fn words(&self, run: &Run<'_>, span: &Span, pairs: &[u32], words: &mut [u32]);
}

/// The inner loops in plain Rust.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

#[cfg(test)]
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

    fn codes(&self, run: &Run<'_>, span: &Span, pairs: &[u32], codes: &mut [u8], to: To) {
        assert_eq!(run.end, End::Codes);
        for channel in 0..run.channels {
            let pairs = &pairs[channel * run.layout().plane_words..][..span.reach()];
            for column in 0..span.columns() {
                each_block(run, channel, span, &pairs[column * span.column_words()..], |row, block| {
                    for (index, &code) in block.iter().enumerate().take(span.size()) {
                        let output = column * span.size() + index;
                        codes[row * to.row_step + output * to.step + channel] = (code as i32).clamp(0, 255) as u8;
                    }
                });
            }
        }
    }

    fn clamp(&self, codes: &mut [u8], lo: u8, hi: u8) {
        codes.iter_mut().for_each(|code| *code = (*code).clamp(lo, hi));
    }

    fn words(&self, run: &Run<'_>, span: &Span, pairs: &[u32], words: &mut [u32]) {
        assert!(span.columns() == 1 && run.channels == 1 && run.end != End::Codes);
        each_block(run, 0, span, &pairs[..span.reach()], |row, block| words.as_chunks_mut().0[row] = block);
    }
}

/// Calls `visit` with each row and what its block's program leaves.
#[cfg(test)]
fn each_block(run: &Run<'_>, channel: usize, span: &Span, pairs: &[u32], mut visit: impl FnMut(usize, [u32; BLOCK_MAX])) {
    let len = run.layout().program_words;
    let (&bias, steps) = run.words()[channel * len..][..len].split_first().unwrap();
    let (steps, end) = steps.as_chunks::<4>();
    let (&[_, multiplier, rounding, shift], steps) = steps.split_last().unwrap();
    let mut pointer = 0u32;
    for row in 0..span.rows() {
        let mut sums = [bias as i32; BLOCK_MAX];
        for &[kind, bytes, a, b] in steps {
            pointer = pointer.wrapping_add(bytes);
            add(run.layout().order, kind, &pairs[pointer as usize / 4..], (a, b), span.size(), &mut sums);
            if kind == Step::Two as u32 {
                pointer = pointer.wrapping_add(Step::TWO_BYTES as u32);
            }
        }
        pointer = pointer.wrapping_add(end[0]);
        if run.end != End::Sums {
            for sum in &mut sums {
                let high = (i64::from(*sum) * i64::from(multiplier as i32)) >> 32;
                *sum = (high as i32 + rounding as i32) >> shift;
            }
        }
        visit(row, sums.map(|sum| sum as u32));
    }
}

#[cfg(test)]
fn halves(word: u32) -> [i32; 2] {
    [i32::from(word as i16), i32::from((word >> 16) as i16)]
}

/// One step.
#[cfg(test)]
fn add(order: Order, kind: u32, pairs: &[u32], (a, b): (u32, u32), size: usize, sums: &mut [i32; BLOCK_MAX]) {
    let x = |index: usize| halves(pairs[index]);
    let dot = |[a0, a1]: [i32; 2], [x0, x1]: [i32; 2]| a0.wrapping_mul(x0).wrapping_add(a1.wrapping_mul(x1));
    let (a, b) = (halves(a), halves(b));
    let is = |step: Step| kind == step as u32;
    if order == Order::Dense {
        for (index, [even, odd]) in sums.as_chunks_mut().0.iter_mut().enumerate().take(size / 2) {
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
        for (index, sum) in sums.iter_mut().enumerate().take(size) {
            *sum = sum.wrapping_add(dot(a, x(index)));
            if is(Step::Two) {
                *sum = sum.wrapping_add(dot(b, x(index + 1)));
            }
        }
    }
}
