//! Runner for the operators that treat each code alone.

use super::{Random, same};
use crate::{ActivationBits, Activations, Add, Mul, Requantize, Table, pack, reference};
use alloc::vec::Vec;

/// Rows and channels on both sides of the boundaries of bytes and blocks.
const SHAPES: [(usize, usize); 12] =
    [(1, 1), (3, 2), (5, 3), (2, 4), (7, 5), (1, 63), (2, 64), (3, 65), (2, 127), (1, 128), (2, 1100), (300, 4)];

type Binary<P> = fn(&P, Activations<'_>, Activations<'_>, &mut [u8]);
type Unary<P> = fn(&P, Activations<'_>, &mut [u8]);

/// Calls `case` for every shape and pair of widths.
fn sweep(seed: u64, mut case: impl FnMut(&mut Random, (usize, usize), [ActivationBits; 3])) {
    let mut random = Random::new(seed);
    for shape in SHAPES {
        for first in ActivationBits::ALL {
            for second in ActivationBits::ALL {
                let third = random.choose(&ActivationBits::ALL);
                for _ in 0..3 {
                    case(&mut random, shape, [first, second, third]);
                    case(&mut random, shape, [third, first, second]);
                }
            }
        }
    }
}

fn magnitude(bits: ActivationBits) -> f64 {
    f64::from(bits.hi())
}

pub(crate) fn check_add(kernel: Binary<Add>) {
    sweep(10, |random, (rows, channels), [a_bits, b_bits, bits]| {
        let broadcast = random.between(0, 2) == 0;
        let narrow = a_bits != ActivationBits::A16 && b_bits != ActivationBits::A16;
        // As the compiler makes them, and at times beyond what fits 32 bits.
        let max = if narrow && random.between(0, 3) > 0 { (1 << 21) - 1 } else { i32::MAX };
        let (multiplier, shift) = random.rescale(max, magnitude(a_bits.max(b_bits)), bits);
        let other = random.between(0, max);
        let swap = random.between(0, 1) == 0;
        let add = Add {
            rows,
            channels,
            broadcast,
            subtract: random.between(0, 1) == 0,
            multiplier_a: if swap { other } else { multiplier },
            multiplier_b: if swap { multiplier } else { other },
            shift,
            codes: random.codes(bits),
        };
        let a = random.tensor(rows, channels, a_bits);
        let b = random.tensor(if broadcast { 1 } else { rows }, channels, b_bits);
        let bytes = rows * pack::row_bytes(bits, channels);
        add.check(a.view().operand(), b.view().operand(), bytes).unwrap();
        let run = |kernel: Binary<Add>| move |out: &mut [u8]| kernel(&add, a.view(), b.view(), out);
        same(bytes, &(add, a_bits, b_bits), run.clone()(reference::add), run(kernel));
    });
}

pub(crate) fn check_mul(kernel: Binary<Mul>) {
    sweep(11, |random, (rows, channels), [a_bits, b_bits, bits]| {
        let broadcast = random.between(0, 2) == 0;
        let (multiplier, shift) = random.rescale(i32::MAX, magnitude(a_bits) * magnitude(b_bits), bits);
        let mul = Mul { rows, channels, broadcast, multiplier, shift, codes: random.codes(bits) };
        let a = random.tensor(rows, channels, a_bits);
        let b = random.tensor(if broadcast { 1 } else { rows }, channels, b_bits);
        let bytes = rows * pack::row_bytes(bits, channels);
        mul.check(a.view().operand(), b.view().operand(), bytes).unwrap();
        let run = |kernel: Binary<Mul>| move |out: &mut [u8]| kernel(&mul, a.view(), b.view(), out);
        same(bytes, &(mul, a_bits, b_bits), run.clone()(reference::mul), run(kernel));
    });
}

pub(crate) fn check_requantize(kernel: Unary<Requantize>) {
    sweep(12, |random, (rows, channels), [input_bits, bits, _]| {
        let (multiplier, shift) = random.rescale(i32::MAX, magnitude(input_bits), bits);
        let params = Requantize { rows, channels, multiplier, shift, codes: random.codes(bits) };
        let input = random.tensor(rows, channels, input_bits);
        let bytes = rows * pack::row_bytes(bits, channels);
        params.check(input.view().operand(), bytes).unwrap();
        let run = |kernel: Unary<Requantize>| move |out: &mut [u8]| kernel(&params, input.view(), out);
        same(bytes, &(params, input_bits), run.clone()(reference::requantize), run(kernel));
    });
}

pub(crate) fn check_table(kernel: fn(&Table<'_>, Activations<'_>, &mut [u8])) {
    sweep(13, |random, (rows, channels), [input_bits, bits, _]| {
        let wide = input_bits == ActivationBits::A16 || bits == ActivationBits::A16;
        let count = Table::entries_bytes(input_bits, bits) / if wide { 2 } else { 1 };
        let entries = random.values(bits.lo(), bits.hi(), count);
        let entries: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes().into_iter().take(if wide { 2 } else { 1 })).collect();
        let table = Table { rows, channels, entries: &entries, bits };
        let input = random.tensor(rows, channels, input_bits);
        let bytes = rows * pack::row_bytes(bits, channels);
        table.check(input.view().operand(), bytes).unwrap();
        let (one, other) =
            (|out: &mut [u8]| reference::table(&table, input.view(), out), |out: &mut [u8]| kernel(&table, input.view(), out));
        same(bytes, &(rows, channels, input_bits, bits), one, other);
    });
}
