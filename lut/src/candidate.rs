//! A pair of bit widths, `w4a8`.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bit widths that weights and activations may have.
pub const WIDTHS: [u8; 5] = [2, 4, 6, 8, 16];

/// Bit widths of a quantizer group: weights and activations. Text form `w4a8`; papers' `W4A8` is
/// read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Candidate {
    /// Bits of a weight, one of [`WIDTHS`].
    pub weight_bits: u8,
    /// Bits of an activation, one of [`WIDTHS`].
    pub activation_bits: u8,
}

/// A text that is not a candidate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a candidate: write wNaM, for example w4a8, with N and M of 2, 4, 6, 8 or 16")]
pub struct CandidateError(pub String);

impl Candidate {
    /// The pair, or `None` where a width is not one of [`WIDTHS`].
    #[must_use]
    pub fn new(weight_bits: u8, activation_bits: u8) -> Option<Self> {
        (WIDTHS.contains(&weight_bits) && WIDTHS.contains(&activation_bits)).then_some(Self { weight_bits, activation_bits })
    }

    /// `weight_bits * activation_bits`: BOPs of one multiply-accumulate, and the order from
    /// narrow to wide.
    #[must_use]
    pub fn product(self) -> u32 {
        u32::from(self.weight_bits) * u32::from(self.activation_bits)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}a{}", self.weight_bits, self.activation_bits)
    }
}

impl FromStr for Candidate {
    type Err = CandidateError;

    fn from_str(text: &str) -> Result<Self, CandidateError> {
        parse(text).ok_or_else(|| CandidateError(text.to_string()))
    }
}

fn parse(text: &str) -> Option<Candidate> {
    let rest = text.strip_prefix(['w', 'W'])?;
    let (weight, activation) = rest.split_once(['a', 'A'])?;
    // `u8::from_str` would take a sign and leading zeros.
    let width = |digits: &str| WIDTHS.into_iter().find(|width| width.to_string() == digits);
    Candidate::new(width(weight)?, width(activation)?)
}

impl TryFrom<String> for Candidate {
    type Error = CandidateError;

    fn try_from(text: String) -> Result<Self, CandidateError> {
        text.parse()
    }
}

impl From<Candidate> for String {
    fn from(candidate: Candidate) -> String {
        candidate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for weight_bits in WIDTHS {
            for activation_bits in WIDTHS {
                let candidate = Candidate::new(weight_bits, activation_bits).unwrap();
                assert_eq!(candidate.to_string().parse(), Ok(candidate));
            }
        }
        let upper: Candidate = "W6A4".parse().unwrap();
        assert_eq!(upper.to_string(), "w6a4");
        assert_eq!(upper.product(), 24);
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in ["", "w", "w8", "a8", "w8a", "wa8", "w3a8", "w8a32", "w08a8", "w+8a8", "w8a8 ", "8a8", "w8a8a8", "w256a8", "w-8a8"] {
            let error = bad.parse::<Candidate>().unwrap_err();
            assert!(error.to_string().contains(bad), "{bad}");
        }
        assert_eq!(Candidate::new(8, 5), None);
    }
}
