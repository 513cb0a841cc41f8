//! Proposals of the search and lowered networks in turn, until a design fits its RAM.
//!
//! The arena of a design is known once it is lowered. Until then it is estimated, as scratch memory and a scale times the tensors of its largest step; what the scale has to be
//! differs from design to design. So the search is asked with one scale after the other, and everything that was lowered stays a candidate.

use std::time::Instant;

use apq_search::Budget;
use apq_search::evolution::Smallest;
use apqc::compile::{Progress, Stage};
use apqc::supernet::{Bench, Checked, Judges, Origin, Proposal, Proposals};

/// What the search proposed, checked for real.
pub(super) struct Searched {
    /// Each design once.
    pub(super) checked: Vec<Checked>,
    /// Designs that were predicted.
    pub(super) evaluations: u64,
    /// Designs that were over a budget.
    pub(super) discarded: u64,
    /// Where no design meets the budgets, whatever its RAM: the least for each.
    pub(super) smallest: Option<Vec<Smallest>>,
    /// Of the evolution, and of the checks.
    pub(super) seconds: (f64, f64),
}

/// Searches under a budget for RAM, at most.
const ROUNDS: usize = 10;

/// Searches, and lowers the best `count` designs; with a budget for RAM as often as it takes to find designs that meet it.
///
/// # Errors
/// As [`Judges::propose`] and [`Bench::check`].
pub(super) fn search(
    mut judges: Judges<'_>,
    bench: &Bench<'_>,
    count: usize,
    ram: Option<&Budget>,
    progress: &dyn Progress,
) -> anyhow::Result<Searched> {
    let mut searched = Searched { checked: Vec::new(), evaluations: 0, discarded: 0, smallest: None, seconds: (0.0, 0.0) };
    let mut scale = Scale::default();
    for _ in 0..if ram.is_some() { ROUNDS } else { 1 } {
        judges.arena_scale = ram.map(|_| scale.value);
        progress.begin(Stage::Search, 0);
        let start = Instant::now();
        let proposals = judges.propose(count)?;
        searched.seconds.0 += start.elapsed().as_secs_f64();
        let start = Instant::now();
        let places = searched.check(&proposals, bench, progress)?;
        searched.seconds.1 += start.elapsed().as_secs_f64();
        searched.evaluations += proposals.evaluations;
        searched.discarded += proposals.discarded;
        let nearest = proposals.designs.iter().any(|one| one.origin == Origin::Nearest);
        searched.smallest = proposals.smallest;
        let of_round = || places.iter().map(|place| &searched.checked[*place]);
        let Some(ram) = ram else { break };
        if searched.smallest.is_some() || (!nearest && of_round().any(|one| one.feasible)) {
            break;
        }
        let least = of_round().map(|one| one.trial.ram_bytes).min().unwrap_or(0);
        let next = if nearest { scale.lower() } else { scale.raise(least as f64 / ram.limit.max(1) as f64) };
        if !next {
            break;
        }
    }
    Ok(searched)
}

impl Searched {
    /// Checks what is new; gives the places of all.
    fn check(&mut self, proposals: &Proposals, bench: &Bench<'_>, progress: &dyn Progress) -> anyhow::Result<Vec<usize>> {
        let place = |checked: &[Checked], one: &Proposal| checked.iter().position(|known| known.proposal.design == one.design);
        let new: Vec<Proposal> = proposals.designs.iter().filter(|one| place(&self.checked, one).is_none()).cloned().collect();
        self.checked.extend(bench.check(&new, progress)?);
        let mut places = Vec::new();
        for one in &proposals.designs {
            let Some(place) = place(&self.checked, one) else { continue };
            // What was the nearest by one estimate may be among the best by another.
            self.checked[place].proposal.origin = one.origin;
            places.push(place);
        }
        Ok(places)
    }
}

/// Arena for each byte of the largest step.
struct Scale {
    value: f64,
    /// Designs that the search liked best at this one had larger arenas than they may have.
    too_low: Option<f64>,
    /// At this one the search found nothing.
    too_high: Option<f64>,
}

impl Default for Scale {
    /// Low, since plans let tensors overlap and stream rows.
    fn default() -> Scale {
        Scale { value: 0.5, too_low: None, too_high: None }
    }
}

impl Scale {
    /// A scale below which there is no use in looking.
    const LEAST: f64 = 1e-3;
    /// Scales that are no further apart are the same.
    const CLOSE: f64 = 1.005;
    /// The least that a step upwards is worth.
    const STEP: f64 = 1.05;

    /// After designs whose arenas were larger than allowed by this factor. Whether there is anything left to try.
    fn raise(&mut self, overrun: f64) -> bool {
        self.too_low = Some(self.value);
        self.value = self.between().unwrap_or(self.value * Scale::STEP * overrun.max(1.0));
        self.apart()
    }

    /// After a search without a result. Whether there is anything left to try.
    fn lower(&mut self) -> bool {
        self.too_high = Some(self.value);
        self.value = self.between().unwrap_or(self.value / 2.0);
        self.apart()
    }

    fn between(&self) -> Option<f64> {
        self.too_low.zip(self.too_high).map(|(low, high)| (low * high).sqrt())
    }

    fn apart(&self) -> bool {
        let close = self.too_low.zip(self.too_high).is_some_and(|(low, high)| high <= low * Scale::CLOSE);
        !close && self.value >= Scale::LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds until a scale is tried that lies between `feasible` and `found`: from the first on designs fit, above the second the search finds none.
    fn rounds(feasible: f64, found: f64, overrun: f64) -> Option<usize> {
        let mut scale = Scale::default();
        (0..ROUNDS).find(|_| {
            let hit = scale.value >= feasible && scale.value <= found;
            let left = hit || if scale.value > found { scale.lower() } else { scale.raise(overrun) };
            assert!(left, "{feasible} {found} {overrun}");
            hit
        })
    }

    #[test]
    fn a_scale_between_too_low_and_too_high_is_found() {
        assert_eq!(rounds(0.4, 0.6, 1.0), Some(0));
        for overrun in [1.0, 1.2, 2.0, 5.0] {
            for feasible in [0.05, 0.2, 0.45, 0.55, 0.6] {
                assert!(rounds(feasible, feasible * 1.03, overrun).is_some(), "{feasible} {overrun}");
            }
        }
    }

    #[test]
    fn what_no_scale_reaches_ends() {
        let mut scale = Scale::default();
        assert!((0..100).any(|_| !scale.lower()));
        let mut scale = Scale::default();
        assert!(scale.raise(1.5) && scale.value > 0.7);
        assert!(scale.lower() && scale.value < 0.7 && scale.value > 0.5);
        assert!((0..100).any(|_| !scale.raise(3.0)));
    }
}
