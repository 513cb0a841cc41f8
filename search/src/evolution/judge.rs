//! Which designs are scored: new ones that meet the budgets.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Ordering;

use rand_chacha::ChaCha8Rng;

use super::variation::Variation;
use super::{Deployment, Scored, Scorer, SearchError};
use crate::cost::{Excess, Totals, all_met};
use crate::space::Design;

/// What becomes of a design.
enum Verdict {
    /// New, and within the budgets.
    Admitted(Totals),
    /// Admitted before.
    Known,
    /// Over a budget, and how far; or without costs.
    Over(Option<Excess>),
}

/// Holds every design that was admitted, so that none is scored twice.
pub(super) struct Judge<'a, 's> {
    pub(super) deployment: Deployment<'a>,
    scorer: &'s mut dyn Scorer,
    known: BTreeSet<Design>,
    pub(super) evaluations: u64,
    pub(super) discarded: u64,
}

impl<'a, 's> Judge<'a, 's> {
    pub(super) fn new(deployment: Deployment<'a>, scorer: &'s mut dyn Scorer) -> Self {
        Self { deployment, scorer, known: BTreeSet::new(), evaluations: 0, discarded: 0 }
    }

    /// The design with its costs, where it is new and meets the budgets; then it is not new any more.
    pub(super) fn admit(&mut self, design: Design) -> Option<(Design, Totals)> {
        match self.look_at(&design) {
            Verdict::Admitted(totals) => Some((design, totals)),
            _ => None,
        }
    }

    /// [`Self::admit`] for a design that is changed, where it is over a budget, one choice after the other: as long as there are `changes` left, and each
    /// brings it closer.
    pub(super) fn admit_repaired(
        &mut self,
        mut design: Design,
        variation: &Variation<'_>,
        changes: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<(Design, Totals)> {
        let mut excess = match self.look_at(&design) {
            Verdict::Admitted(totals) => return Some((design, totals)),
            Verdict::Known => return None,
            Verdict::Over(excess) => excess?,
        };
        for _ in 0..changes {
            let mut changed = design.clone();
            variation.change_one(&mut changed, rng);
            match self.look_at(&changed) {
                Verdict::Admitted(totals) => return Some((changed, totals)),
                Verdict::Over(Some(after)) if after.cmp(&excess).is_lt() => (design, excess) = (changed, after),
                Verdict::Over(_) | Verdict::Known => {}
            }
        }
        None
    }

    fn look_at(&mut self, design: &Design) -> Verdict {
        if self.known.contains(design) {
            return Verdict::Known;
        }
        let totals = self.deployment.costs.totals(design);
        match totals {
            Some(totals) if all_met(self.deployment.budgets, &totals) => {
                self.known.insert(design.clone());
                Verdict::Admitted(totals)
            }
            _ => {
                self.discarded += 1;
                Verdict::Over(totals.map(|totals| Excess::of(self.deployment.budgets, &totals)))
            }
        }
    }

    /// Scores designs that were admitted.
    pub(super) fn score(&mut self, admitted: Vec<(Design, Totals)>) -> Result<Vec<Scored>, SearchError> {
        if admitted.is_empty() {
            return Ok(Vec::new());
        }
        let (designs, totals): (Vec<Design>, Vec<Totals>) = admitted.into_iter().unzip();
        let scores = self.scorer.score(&designs);
        if scores.len() != designs.len() {
            return Err(SearchError::Scores { asked: designs.len(), got: scores.len() });
        }
        self.evaluations += designs.len() as u64;
        let number = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
        let scored = designs.into_iter().zip(totals).zip(scores);
        Ok(scored.map(|((design, totals), score)| Scored { design, score: number(score), totals }).collect())
    }
}

/// The better one first; of equal ones, the order of the designs decides.
pub(super) fn better(a: &Scored, b: &Scored) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| a.design.cmp(&b.design))
}
