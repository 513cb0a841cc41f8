//! SQNR noise as a quantity that adds up.
//!
//! Noises of groups that are quantized alone add up in power at the output as long as they are small and uncorrelated:
//! noise(assignment) = sum over groups of 10^(-SQNR/10), relative to the signal. The widest candidates are the baseline and
//! add nothing. Sums are kept in whole units of 2^-60, so that they do not depend on the order of the groups.

use crate::group::Candidate;
use crate::problem::{Choice, Problem};

/// Units of noise in the signal.
const UNITS: f64 = (1_u64 << 60) as f64;

/// An SQNR below this in dB counts as this.
const SQNR_DB_MIN: f64 = -100.0;

/// Noise of a choice in units.
pub(crate) fn units(choice: &Choice) -> u128 {
    // The cast cuts: what is below a unit, 180 dB under the signal, is nothing.
    (libm::exp10(-choice.sqnr_db.max(SQNR_DB_MIN) / 10.0) * UNITS) as u128
}

/// Units as a part of the signal.
pub(crate) fn relative(units: u128) -> f64 {
    units as f64 / UNITS
}

/// The whole units in a part of the signal.
pub(crate) fn floor_units(relative: f64) -> u128 {
    (relative * UNITS) as u128
}

impl Problem<'_> {
    /// The noise of an assignment relative to the signal: the sum over its groups, above the widest candidates.
    ///
    /// A candidate that a group does not have counts as none.
    pub fn noise(&self, assignment: &[Candidate]) -> f64 {
        let of_group = |(group, &candidate): (usize, &Candidate)| self.choice(group, candidate).map_or(0, units);
        relative(assignment.iter().enumerate().take(self.choices.len()).map(of_group).sum())
    }
}
