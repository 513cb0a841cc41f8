//! Numbers with units, as people write budgets: `9ms`, `12mJ`, `256KiB`, `19.2G`.
//!
//! Everything becomes an integer of the smallest unit. Decimal fractions are exact, and what is left of a smallest unit is cut: a value in whole
//! units is at most 9.5 exactly when it is at most 9.

use std::fmt;

/// Why a text is not a number with a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    /// Not a decimal number at the front.
    #[error("not a number of 0 or more; write it like {example}")]
    Number {
        /// How it could look.
        example: &'static str,
    },
    /// A number and nothing behind it.
    #[error("give the unit: {example} (units: {units})")]
    Missing {
        /// How it could look.
        example: String,
        /// All units.
        units: String,
    },
    /// A unit that is none.
    #[error("`{unit}` is not one of the units {units}; write it like {example}")]
    Unknown {
        /// What stands there.
        unit: String,
        /// All units.
        units: String,
        /// How it could look.
        example: &'static str,
    },
    /// More than 64 bits of the smallest unit.
    #[error("the number is too large")]
    TooLarge,
}

/// A non-negative decimal number, exactly as written: `digits / 10^decimals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: u128,
    decimals: u32,
}

impl Decimal {
    /// The number at the front of `text`, and what follows it without the spaces between.
    fn split(text: &str) -> Option<(Result<Decimal, UnitError>, &str)> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        // 20 digits of a whole number and 12 decimals pass every budget that fits in 64 bits.
        let decimal = if digits.len() > 32 {
            Err(UnitError::TooLarge)
        } else {
            let digits = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u128::MAX) };
            Ok(Decimal { digits, decimals: fraction.len() as u32 })
        };
        Some((decimal, rest.trim_start()))
    }

    /// The number times `factor`, cut to an integer; `None` past 64 bits.
    pub(crate) fn times(self, factor: u64) -> Option<u64> {
        let product = self.digits.checked_mul(u128::from(factor))?;
        let divisor = 10_u128.checked_pow(self.decimals);
        u64::try_from(divisor.map_or(0, |divisor| product / divisor)).ok()
    }

    fn is_whole(self) -> bool {
        self.decimals == 0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.decimals as usize;
        let text = format!("{:0>width$}", self.digits, width = decimals + 1);
        let (whole, fraction) = text.split_at(text.len() - decimals);
        if fraction.is_empty() { f.write_str(whole) } else { write!(f, "{whole}.{fraction}") }
    }
}

/// The units of one quantity: names with what they are worth in the smallest one.
struct Units {
    example: &'static str,
    /// The unit that a number without one probably has.
    usual: &'static str,
    factors: &'static [(&'static str, u64)],
}

const TIME: Units = Units {
    example: "9ms",
    usual: "ms",
    factors: &[("ns", 1), ("us", 1_000), ("\u{b5}s", 1_000), ("\u{3bc}s", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)],
};

const ENERGY: Units = Units {
    example: "12mJ",
    usual: "mJ",
    factors: &[
        ("pJ", 1),
        ("nJ", 1_000),
        ("uJ", 1_000_000),
        ("\u{b5}J", 1_000_000),
        ("\u{3bc}J", 1_000_000),
        ("mJ", 1_000_000_000),
        ("J", 1_000_000_000_000),
    ],
};

const BYTES: Units = Units {
    example: "256KiB",
    usual: "KiB",
    factors: &[("B", 1), ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
};

impl Units {
    fn names(&self) -> String {
        let names: Vec<&str> = self.factors.iter().map(|(name, _)| *name).filter(|name| name.is_ascii()).collect();
        names.join(", ")
    }

    fn parse(&self, text: &str) -> Result<u64, UnitError> {
        let (number, unit) = Decimal::split(text).ok_or(UnitError::Number { example: self.example })?;
        let number = number?;
        if unit.is_empty() {
            return Err(UnitError::Missing { example: format!("{number}{}", self.usual), units: self.names() });
        }
        let known = self.factors.iter().find(|(name, _)| *name == unit);
        let (_, factor) = known.ok_or_else(|| UnitError::Unknown { unit: unit.into(), units: self.names(), example: self.example })?;
        number.times(*factor).ok_or(UnitError::TooLarge)
    }
}

/// A time in nanoseconds.
pub(crate) fn nanoseconds(text: &str) -> Result<u64, UnitError> {
    TIME.parse(text)
}

/// An energy in picojoules.
pub(crate) fn picojoules(text: &str) -> Result<u64, UnitError> {
    ENERGY.parse(text)
}

/// A size in bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, UnitError> {
    BYTES.parse(text)
}

/// Why a text is no fraction or no number of decibels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QualityError {
    /// Not a share of the samples.
    #[error("a share of the samples is from 0% to 100%; write it like 1% or 0.01")]
    Fraction,
    /// Not an SQNR.
    #[error("an SQNR is from -100 to 100 dB; write it like 30dB")]
    Decibels,
}

/// A share of samples: `1%`, or `0.01` for the same. Above 1 it needs its unit.
pub(crate) fn fraction(text: &str) -> Result<f64, QualityError> {
    let (number, unit) = Decimal::split(text).ok_or(QualityError::Fraction)?;
    let number = number.map_err(|_| QualityError::Fraction)?;
    let decimals = match unit {
        "" if number.times(1).is_some_and(|whole| whole == 0) || number.digits == 0 => number.decimals,
        "%" => number.decimals + 2,
        _ => return Err(QualityError::Fraction),
    };
    // One division of two exact numbers: the nearest to what is written, as shares of samples are.
    let fraction = number.digits as f64 / 10_f64.powi(decimals as i32);
    if fraction <= 1.0 { Ok(fraction) } else { Err(QualityError::Fraction) }
}

/// Decibels: `30` or `30dB`.
pub(crate) fn decibels(text: &str) -> Result<f64, QualityError> {
    let number = text.trim().trim_end_matches("dB").trim_end();
    let plain = number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'));
    number.parse().ok().filter(|db: &f64| plain && db.abs() <= 100.0).ok_or(QualityError::Decibels)
}

/// A budget of bit operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bops {
    /// Part of the imported network's BOPs at w8a16.
    Relative(Decimal),
    /// A number of bit operations.
    Absolute(u64),
}

/// A number without a suffix below this is a part, from here on a count: w8a16 everywhere is 1.0, and no network has this few bit operations.
const RELATIVE_END: u64 = 16;

/// A part such as `0.25`, or a number of bit operations such as `19.2G` or `19200000000`.
pub(crate) fn bops(text: &str) -> Result<Bops, UnitError> {
    const EXAMPLE: &str = "0.25 (of w8a16 everywhere) or 19.2G";
    let (number, suffix) = Decimal::split(text).ok_or(UnitError::Number { example: EXAMPLE })?;
    let number = number?;
    let factor = match suffix {
        "" if number.times(1).is_some_and(|whole| whole < RELATIVE_END) => return Ok(Bops::Relative(number)),
        "" if !number.is_whole() => return Err(UnitError::Number { example: EXAMPLE }),
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        other => return Err(UnitError::Unknown { unit: other.into(), units: "k, M, G, T".into(), example: EXAMPLE }),
    };
    number.times(factor).map(Bops::Absolute).ok_or(UnitError::TooLarge)
}

impl Bops {
    /// The largest number of bit operations that is allowed, for a network whose w8a16 form has `reference` of them.
    pub(crate) fn limit(self, reference: u64) -> u64 {
        match self {
            Bops::Relative(part) => part.times(reference).unwrap_or(u64::MAX),
            Bops::Absolute(bops) => bops,
        }
    }
}

/// Nanoseconds in milliseconds.
pub(crate) fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// Picojoules in millijoules.
pub(crate) fn mj(picojoules: u64) -> f64 {
    picojoules as f64 / 1e9
}

/// Bytes for people: `78.4 KiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.2} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A count for people: `12.5 M`.
pub(crate) fn human_count(count: u64) -> String {
    let scales = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match scales.into_iter().find(|(scale, _)| count >= *scale) {
        Some((scale, suffix)) => format!("{:.2} {suffix}", count as f64 / scale as f64),
        None => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_fractions_are_exact() {
        assert_eq!(nanoseconds("9ms"), Ok(9_000_000));
        assert_eq!(nanoseconds("9.0285 ms"), Ok(9_028_500));
        assert_eq!(nanoseconds(".5us"), Ok(500));
        assert_eq!(nanoseconds("1.9ns"), Ok(1));
        assert_eq!(picojoules("0.1mJ"), Ok(100_000_000));
        assert_eq!(bytes("256KiB"), Ok(262_144));
        assert_eq!(bytes("1.5kB"), Ok(1500));
        assert_eq!(bytes("0.30000000000000000001MB"), Ok(300_000));
    }

    #[test]
    fn what_is_missing_is_said() {
        let message = |result: Result<u64, UnitError>| result.unwrap_err().to_string();
        assert_eq!(message(nanoseconds("9")), "give the unit: 9ms (units: ns, us, ms, s)");
        assert_eq!(message(picojoules("12.50")), "give the unit: 12.5mJ (units: pJ, nJ, uJ, mJ, J)");
        assert!(message(bytes("256KB")).starts_with("`KB` is not one of the units B, kB,"));
        for bad in ["", "ms", "-1ms", "1.2.3ms", ".ms", "1e3ms", "NaNms"] {
            assert!(nanoseconds(bad).is_err(), "{bad}");
        }
        assert_eq!(bytes("99999999999999999999GiB"), Err(UnitError::TooLarge));
        assert_eq!(nanoseconds(&"9".repeat(60)), Err(UnitError::TooLarge));
    }

    #[test]
    fn shares_and_decibels() {
        assert_eq!((fraction("1%"), fraction("0.01"), fraction(" 0.5 % ")), (Ok(0.01), Ok(0.01), Ok(0.005)));
        assert_eq!((fraction("0%"), fraction("100%"), fraction("0")), (Ok(0.0), Ok(1.0), Ok(0.0)));
        assert_eq!(fraction("0.7%"), Ok(7.0 / 1000.0));
        for bad in ["1", "5", "101%", "-1%", "1 percent", "", "%", "1e-2"] {
            assert_eq!(fraction(bad), Err(QualityError::Fraction), "{bad}");
        }
        assert_eq!((decibels("30"), decibels("-2.5dB"), decibels("30 dB")), (Ok(30.0), Ok(-2.5), Ok(30.0)));
        for bad in ["", "dB", "NaN", "inf", "101", "3e1", "30 db"] {
            assert_eq!(decibels(bad), Err(QualityError::Decibels), "{bad}");
        }
    }

    #[test]
    fn bops_are_a_part_or_a_count() {
        let limit = |text: &str| bops(text).map(|bops| bops.limit(1000));
        assert_eq!(limit("0.25"), Ok(250));
        assert_eq!(limit("1"), Ok(1000));
        assert_eq!(limit("0.2509"), Ok(250));
        assert_eq!(limit("15.9"), Ok(15_900));
        assert_eq!(limit("16"), Ok(16));
        assert_eq!(limit("19.2G"), Ok(19_200_000_000));
        assert_eq!(limit("1k"), Ok(1000));
        assert!(limit("100.5").is_err());
        assert!(limit("5X").is_err());
        assert_eq!(Bops::Relative(Decimal { digits: 15, decimals: 0 }).limit(u64::MAX), u64::MAX);
    }
}
