//! Layers that the joint search leaves alone.

use alloc::vec::Vec;

use apq_lut::{Candidate, Operator, WIDTHS};
use serde::{Deserialize, Serialize};

use crate::TargetError;

/// Layers that the joint search does without on a target: those that nobody measured, or that are never worth their time.
///
/// It narrows the search only. A network that has such a layer compiles where the kernel table has the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The operators.
    pub operators: Vec<Operator>,
    /// Kernel `[height, width]`; any where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<[u32; 2]>,
    /// Bits of the weights; any where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight_bits: Vec<u8>,
    /// Bits of the activations; any where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activation_bits: Vec<u8>,
}

impl Exclusion {
    /// Whether it says something about such a layer. Weight bits do not matter to operators without weights.
    #[must_use]
    pub fn covers(&self, operator: &Operator, kernel: [u32; 2], bits: Candidate) -> bool {
        let any_or = |widths: &[u8], bits: u8| widths.is_empty() || widths.contains(&bits);
        self.operators.contains(operator)
            && self.kernel.is_none_or(|own| own == kernel)
            && (!operator.has_weights() || any_or(&self.weight_bits, bits.weight_bits))
            && any_or(&self.activation_bits, bits.activation_bits)
    }
}

/// Checks that every exclusion says something that can be.
pub(crate) fn check(exclusions: &[Exclusion]) -> Result<(), TargetError> {
    for (index, exclusion) in exclusions.iter().enumerate() {
        let fail = |reason| TargetError::Exclusion { number: index + 1, reason };
        if exclusion.operators.is_empty() {
            return Err(fail("it needs operators"));
        }
        if exclusion.kernel.is_none() && exclusion.weight_bits.is_empty() && exclusion.activation_bits.is_empty() {
            return Err(fail("it excludes every layer of its operators; name a kernel or bit widths"));
        }
        if exclusion.kernel.is_some_and(|kernel| kernel.contains(&0)) {
            return Err(fail("a kernel of 0"));
        }
        if !exclusion.weight_bits.iter().chain(&exclusion.activation_bits).all(|bits| WIDTHS.contains(bits)) {
            return Err(fail("bit widths are 2, 4, 6, 8 or 16"));
        }
    }
    Ok(())
}
