//! The pairs of bit widths that a target leaves to the blocks of a space.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use apq_lut::{Candidate, Operator};
use apq_targets::Target;

use super::{Space, SpaceError};

/// Pairs of widths that the convolutions of a block may take, in the order of the space's candidates.
///
/// Expansion and projection share theirs, and the sum at the end of a block reads at the expansion's width, since both read the block's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    pointwise: Vec<Candidate>,
    /// For each kernel of the space.
    depthwise: Vec<(u8, Vec<Candidate>)>,
}

/// Why a space cannot be searched for a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoicesError {
    /// The space is none.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// No candidate is left for the blocks.
    #[error("target `{target}` runs none of the search space's candidates ({candidates}) in {layers}")]
    None {
        /// Name of the target.
        target: String,
        /// What the space offers.
        candidates: String,
        /// The layers.
        layers: String,
    },
    /// The layers around the blocks cannot run at their widths.
    #[error("target `{target}` has no {operator} kernel for {fixed}, the widths of stem, head and classifier in this search space")]
    Fixed {
        /// Name of the target.
        target: String,
        /// The operator.
        operator: Operator,
        /// The widths.
        fixed: Candidate,
    },
}

impl Choices {
    /// What the kernel table and the search exclusions of `target` leave of the space's candidates; all of them without a target.
    ///
    /// # Errors
    /// The space is none, or nothing is left for some layer.
    pub fn new(space: &Space, target: Option<&Target>) -> Result<Self, ChoicesError> {
        space.check()?;
        let runs = |operator: &Operator, candidate: &Candidate| {
            target.is_none_or(|target| target.kernel_supports(operator, candidate.weight_bits, candidate.activation_bits))
        };
        let searched = |operator: &Operator, side: u8, candidate: &Candidate| {
            target.is_none_or(|target| !target.search_excludes(operator, [u32::from(side); 2], *candidate))
        };
        if let Some(target) = target {
            let mut around = [Operator::Conv, Operator::AveragePool, Operator::FullyConnected, Operator::Depthwise].into_iter();
            let needed = |operator: &Operator| space.first.is_some() || *operator != Operator::Depthwise;
            if let Some(operator) = around.find(|operator| needed(operator) && !runs(operator, &space.fixed)) {
                return Err(ChoicesError::Fixed { target: target.name().to_string(), operator, fixed: space.fixed });
            }
        }
        let some = |pairs: Vec<Candidate>, layers: &dyn Fn() -> String| match target {
            Some(target) if pairs.is_empty() => Err(ChoicesError::None {
                target: target.name().to_string(),
                candidates: space.candidates.iter().map(Candidate::to_string).collect::<Vec<_>>().join(", "),
                layers: layers(),
            }),
            _ => Ok(pairs),
        };
        let sums = space.blocks().iter().any(super::Block::is_residual);
        let pointwise = |candidate: &&Candidate| {
            runs(&Operator::Conv, candidate) && searched(&Operator::Conv, 1, candidate) && (!sums || runs(&Operator::Add, candidate))
        };
        let pointwise = space.candidates.iter().filter(pointwise).copied().collect();
        let depthwise = |side: u8| {
            let fits = |candidate: &&Candidate| runs(&Operator::Depthwise, candidate) && searched(&Operator::Depthwise, side, candidate);
            let pairs = space.candidates.iter().filter(fits).copied().collect();
            Ok((side, some(pairs, &|| alloc::format!("a depthwise convolution {side}x{side}"))?))
        };
        Ok(Self {
            pointwise: some(pointwise, &|| "pointwise convolutions and sums".to_string())?,
            depthwise: space.kernels.iter().map(|side| depthwise(*side)).collect::<Result<_, ChoicesError>>()?,
        })
    }

    /// Pairs for the expansion and the projection of a block.
    #[must_use]
    pub fn pointwise(&self) -> &[Candidate] {
        &self.pointwise
    }

    /// Pairs for a block's depthwise convolution with a kernel of that side; none for a side that the space does not have.
    #[must_use]
    pub fn depthwise(&self, kernel: u8) -> &[Candidate] {
        self.depthwise.iter().find(|(side, _)| *side == kernel).map_or(&[], |(_, pairs)| pairs)
    }
}
