//! The entries of a table: a function on the codes of its input (`apq_kernels::Table`).

use apq_kernels::Table;

use super::clamp_codes;
use crate::graph::{Clamp, Function};
use crate::quant::ranges::ActivationQuantizer;

/// Input codes from one point of a 16-bit table to the next.
const POINT_STEP: i32 = 128;

/// Output codes of `function`, clamped: one for each input code up to 8 bits, [`Table::POINTS`] points at 16.
pub fn table_entries(function: &Function, clamp: Clamp, input: &ActivationQuantizer, output: &ActivationQuantizer) -> Vec<i16> {
    let (lo, hi) = output.code_range();
    let [lo, hi] = clamp_codes(clamp, output).unwrap_or([lo, hi]);
    let entry = |code: i32| {
        let y = function.at(f64::from(code - input.zero_point) * f64::from(input.scale)) / f64::from(output.scale);
        // Codes at which the function has no value stand for nothing that the network computes.
        let y = if y.is_nan() { 0.0 } else { y };
        (y.round() + f64::from(output.zero_point)).clamp(f64::from(lo), f64::from(hi)) as i16
    };
    match input.bits {
        16 => (0..Table::POINTS as i32).map(|point| entry(point * POINT_STEP - 32768)).collect(),
        bits => (0..1 << bits).map(entry).collect(),
    }
}

/// What the table of those entries makes of a code.
pub fn look_up(entries: &[i16], input: &ActivationQuantizer, code: i32) -> i32 {
    if input.bits != 16 {
        return i32::from(entries[code as usize]);
    }
    let offset = code + 32768;
    let (here, next) = (i32::from(entries[(offset >> 7) as usize]), i32::from(entries[(offset >> 7) as usize + 1]));
    here + (((next - here) * (offset & 127) + 64) >> 7)
}
