//! Quantizer groups and the order of their candidates.

use alloc::string::String;
use alloc::vec::Vec;

pub use apq_lut::Candidate;

/// A quantizer group: what must change its bit widths together ("A Practical Mixed Precision
/// Algorithm for Post-Training Quantization", section 3.4).
///
/// Groups stand in graph order; a group is addressed by its position in that list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Name of the group's first operation in graph order. Only reports use it.
    pub name: String,
    /// What all operations of the group have kernels for; at least one, without repetition, in any
    /// order.
    pub candidates: Vec<Candidate>,
}

/// Position of a candidate on the way from narrow to wide: the product w*a, and between equal
/// products the activation bits. The product alone is the group's share of BOPs, so only its fall
/// makes a flip.
pub(crate) fn width(candidate: Candidate) -> (u32, u8, u8) {
    (candidate.product(), candidate.activation_bits, candidate.weight_bits)
}

impl Group {
    /// The candidate with the largest w*a, of equal ones the one with more activation bits; `None`
    /// for a group without candidates.
    pub fn widest(&self) -> Option<Candidate> {
        self.candidates.iter().copied().max_by_key(|&c| width(c))
    }

    /// The candidate with the smallest w*a, of equal ones the one with fewer activation bits;
    /// `None` for a group without candidates.
    pub fn narrowest(&self) -> Option<Candidate> {
        self.candidates.iter().copied().min_by_key(|&c| width(c))
    }
}
