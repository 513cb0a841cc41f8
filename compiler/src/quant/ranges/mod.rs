//! Where quantizers get their ranges: distributions of activations, and the rules that turn a distribution or a row of weights into a scale.
//!
//! q(x) = clamp(round(x / s) + z, lo, hi), x~ = s * (q - z), rounding half away from zero. The division is a division: x * (1 / s) rounds differently.

mod activation;
mod histogram;
mod kl;
mod weight;

use std::fmt;
use std::str::FromStr;

pub use activation::{ActivationQuantizer, activation_quantizer};
pub use histogram::{Histogram, MinMax};
pub use weight::{quantize_row, weight_scale};

/// How a range is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeRule {
    /// The clipping thresholds with the smallest expected squared error.
    Mse,
    /// The thresholds with the smallest Kullback-Leibler divergence between the float and the quantized histogram.
    Kl,
    /// Thresholds that leave out [`PERCENTILE_OUTSIDE`] of the values on each side.
    Percentile,
    /// The smallest and the largest value.
    MinMax,
}

/// Share of the values that [`RangeRule::Percentile`] clips on each side.
pub const PERCENTILE_OUTSIDE: f64 = 5e-5;

/// A rule that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown range rule \"{0}\"; the rules are mse, kl, percentile and minmax")]
pub struct UnknownRule(pub String);

impl RangeRule {
    /// All rules.
    pub const ALL: [RangeRule; 4] = [RangeRule::Mse, RangeRule::Kl, RangeRule::Percentile, RangeRule::MinMax];

    /// The rule's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            RangeRule::Mse => "mse",
            RangeRule::Kl => "kl",
            RangeRule::Percentile => "percentile",
            RangeRule::MinMax => "minmax",
        }
    }
}

impl fmt::Display for RangeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RangeRule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        RangeRule::ALL.into_iter().find(|rule| rule.name() == text).ok_or_else(|| UnknownRule(text.into()))
    }
}

/// Rounds half away from zero. Exact, and vectorised where `f32::round` is a call; `t` must lie within the range of i32.
#[inline(always)]
fn round(t: f32) -> f32 {
    let whole = t as i32 as f32;
    let up = if (t - whole).abs() >= 0.5 { 1f32.copysign(t) } else { 0.0 };
    whole + up
}

/// [`round`] for |t| < 2^22, as codes are, in fewer instructions; a result of zero is positive.
#[inline(always)]
fn round_code(t: f32) -> f32 {
    /// Between this and twice this, floats are whole numbers.
    const WHOLE: f32 = (1 << 23) as f32;
    let size = t.abs();
    let even = (size + WHOLE) - WHOLE;
    // A tie that went down to the even number goes up.
    let away = if size - even >= 0.5 { 1.0 } else { 0.0 };
    (even + away).copysign(t) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_rounded_as_everything_is() {
        let near = |t: f32| [-2, -1, 0, 1, 2].map(|ulps: i32| f32::from_bits(t.to_bits().wrapping_add_signed(ulps)));
        let halves = (1..140_000).flat_map(|half| near(half as f32 / 2.0));
        let spread = (0..2_000_000u32).map(|i| f32::from_bits(i * 2048 % 0x4880_0000));
        for t in halves.chain(spread).flat_map(|t| [t, -t]) {
            assert_eq!(round_code(t).to_bits(), (t.round() + 0.0).to_bits(), "{t}");
        }
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        for t in [0.0, 0.49999997, 0.5, 0.50000006, 1.5, 2.5, -0.49999997, -0.5, -1.5, -2.4999998, 8388607.5, 127.5, -300.5] {
            assert_eq!(round(t), t.round(), "{t}");
        }
    }

    #[test]
    fn rules_have_names() {
        for rule in RangeRule::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        assert!("max".parse::<RangeRule>().is_err());
    }
}
