//! Undoing flips that turned out unnecessary.
//!
//! The mirror image of the walk down the list: the most harmful group, the one whose current
//! candidate stands lowest in the list, goes one step up, to its wider candidate of next higher
//! SQNR; then again the most harmful one. Steps, rather than all the way back at once, because the
//! slack that takes the worst group from good to perfect takes another one from bad to good.

use alloc::vec;

use crate::cost::{Budget, all_met};
use crate::greedy::Search;
use crate::outcome::Step;

/// Undoes flips while all `held` budgets stay met, until no single undo is possible.
pub(crate) fn undo(search: &mut Search<'_, '_>, held: &[Budget]) {
    let groups = search.problem.choices.len();
    // Groups that cannot be undone now. Costs are not monotone, so another undo may free them.
    let mut stuck = vec![false; groups];
    let mut changed = false;
    loop {
        let rank = |group: usize| search.problem.choice(group, search.candidate(group))?.rank;
        let harmed = (0..groups).filter(|&group| !stuck[group]);
        let most_harmful = harmed.filter_map(|group| Some((rank(group)?, group))).max().map(|(_, group)| group);
        match most_harmful {
            Some(group) if undo_one(search, group, held) => changed = true,
            Some(group) => stuck[group] = true,
            None if changed => {
                stuck.fill(false);
                changed = false;
            }
            None => return,
        }
    }
}

/// Takes `group` back to the candidate of next higher SQNR that all `held` budgets allow. Whether
/// there was one.
fn undo_one(search: &mut Search<'_, '_>, group: usize, held: &[Budget]) -> bool {
    let problem = search.problem;
    let Some(current) = problem.choice(group, search.candidate(group)) else {
        return false;
    };
    let mut wider: alloc::vec::Vec<_> = problem.choices[group].iter().filter(|choice| current.is_undone_by(choice)).collect();
    // Narrowest first among equals: the sort is stable and `choices` runs from wide to narrow.
    wider.reverse();
    wider.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
    for choice in wider {
        let after = search.evaluate(group, choice.candidate);
        if all_met(held, &after) {
            search.take(Step::Undo, group, choice.candidate, after);
            return true;
        }
    }
    false
}
