//! Tables of activation functions.

use apq_kernels::Table;

use crate::graph::Activation;
use crate::quant::ranges::ActivationQuantizer;

/// Output codes for input codes: one for each up to 8 bits, points to interpolate between at 16.
pub(crate) struct Entries {
    pub(crate) codes: Vec<i16>,
    interpolated: bool,
}

impl Entries {
    pub(crate) fn new(activation: &Activation, input: &ActivationQuantizer, output: &ActivationQuantizer) -> Entries {
        let (lo, hi) = output.code_range();
        let entry = |code: i32| {
            let y = activation.apply(f64::from(code - input.zero_point) * f64::from(input.scale)) / f64::from(output.scale);
            // A function that is not defined somewhere gives zero there.
            let rounded = if y.is_nan() { 0.0 } else { y.round() };
            (rounded.clamp(-1e6, 1e6) as i32 + output.zero_point).clamp(lo, hi) as i16
        };
        let interpolated = input.bits == 16;
        let codes = if interpolated {
            // The last point lies one past the largest code.
            (0..Table::POINTS as i32).map(|point| entry((point << 7) - 32768)).collect()
        } else {
            (0..1 << input.bits).map(entry).collect()
        };
        Entries { codes, interpolated }
    }

    /// The output code of an input code.
    pub(crate) fn code(&self, code: i32) -> i32 {
        let at = |index: usize| i32::from(self.codes.get(index).copied().unwrap_or(0));
        if !self.interpolated {
            return at(code as usize);
        }
        let offset = (code + 32768) as usize;
        let (here, next) = (at(offset >> 7), at((offset >> 7) + 1));
        here + (((next - here) * (offset & 127) as i32 + 64) >> 7)
    }
}
