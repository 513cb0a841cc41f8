//! What an assignment costs, and the budgets that it is held against.

use core::cmp::Ordering;

use crate::group::Candidate;

/// Cost of a whole network under one assignment, in integers so that budgets compare exactly.
///
/// `None` = not modelled or not measured for this target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bit operations: sum of w*a*MAC.
    pub bops: u64,
    /// Latency of one inference in ns, rounded up.
    pub latency_ns: Option<u64>,
    /// Energy of one inference in pJ, rounded up.
    pub energy_pj: Option<u64>,
    /// Clock cycles of one inference.
    pub cycles: Option<u64>,
    /// Bytes of the model in flash.
    pub flash_bytes: u64,
    /// Bytes of the arena in RAM.
    pub ram_bytes: u64,
}

/// One of the costs in [`Totals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// [`Totals::bops`].
    Bops,
    /// [`Totals::latency_ns`].
    Latency,
    /// [`Totals::energy_pj`].
    Energy,
    /// [`Totals::cycles`].
    Cycles,
    /// [`Totals::flash_bytes`].
    Flash,
    /// [`Totals::ram_bytes`].
    Ram,
}

impl Quantity {
    /// All quantities, in the order in which reports list them.
    pub const ALL: [Self; 6] = [Self::Bops, Self::Latency, Self::Energy, Self::Cycles, Self::Flash, Self::Ram];

    /// The name that the command line and `report.json` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bops => "bops",
            Self::Latency => "latency",
            Self::Energy => "energy",
            Self::Cycles => "cycles",
            Self::Flash => "flash",
            Self::Ram => "ram",
        }
    }
}

impl core::fmt::Display for Quantity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

impl Totals {
    /// The value of one quantity, in the unit of its field.
    pub fn get(&self, quantity: Quantity) -> Option<u64> {
        match quantity {
            Quantity::Bops => Some(self.bops),
            Quantity::Latency => self.latency_ns,
            Quantity::Energy => self.energy_pj,
            Quantity::Cycles => self.cycles,
            Quantity::Flash => Some(self.flash_bytes),
            Quantity::Ram => Some(self.ram_bytes),
        }
    }

    /// Each quantity's smaller value of the two; a modelled value is smaller than none.
    pub(crate) fn smallest(&self, other: &Self) -> Self {
        let smaller = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (value, None) | (None, value) => value,
        };
        Self {
            bops: self.bops.min(other.bops),
            latency_ns: smaller(self.latency_ns, other.latency_ns),
            energy_pj: smaller(self.energy_pj, other.energy_pj),
            cycles: smaller(self.cycles, other.cycles),
            flash_bytes: self.flash_bytes.min(other.flash_bytes),
            ram_bytes: self.ram_bytes.min(other.ram_bytes),
        }
    }
}

/// An efficiency budget: met when the quantity's value is at most `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What is limited.
    pub quantity: Quantity,
    /// Largest value that is allowed, in the unit of the quantity's field in [`Totals`].
    pub limit: u64,
}

impl Budget {
    /// Whether `totals` meets the budget. A value that is not modelled meets none.
    pub fn met(&self, totals: &Totals) -> bool {
        totals.get(self.quantity).is_some_and(|value| value <= self.limit)
    }
}

/// The cost model as the assignment sees it: from bit widths to totals.
///
/// It is a pure function of the assignment: called again with the same bit widths it returns the
/// same totals. One search calls it up to a few thousand times, nearly always for an assignment
/// that differs from the one before in one group.
pub trait NetworkCost {
    /// Totals of the network with group `g` at `assignment[g]`.
    ///
    /// Every entry is one of the group's candidates; there is one entry for each group.
    fn totals(&self, assignment: &[Candidate]) -> Totals;

    /// The same totals, when it is known that only `changed` differs from an assignment that had
    /// `before`.
    ///
    /// `assignment` is the new one; `from` is the candidate that group `changed` had. Costs that
    /// are sums over layers can be updated by the difference, and a memory plan need not be made
    /// again when the activation bits are the same. The result must equal that of [`Self::totals`];
    /// the checker holds it to that.
    fn totals_after(&self, assignment: &[Candidate], changed: usize, from: Candidate, before: &Totals) -> Totals {
        let _ = (changed, from, before);
        self.totals(assignment)
    }
}

/// Whether all budgets are met.
pub(crate) fn all_met(budgets: &[Budget], totals: &Totals) -> bool {
    budgets.iter().all(|budget| budget.met(totals))
}

/// Whether `quantity` is smaller in `after`. A value that appears counts as smaller: it may meet a
/// budget, none cannot.
pub(crate) fn falls(quantity: Quantity, before: &Totals, after: &Totals) -> bool {
    match (before.get(quantity), after.get(quantity)) {
        (Some(before), Some(after)) => after < before,
        (None, after) => after.is_some(),
        (Some(_), None) => false,
    }
}

/// How far a point is from meeting its budgets, ordered from near to far: the largest relative
/// excess first, then the number of budgets that are not met.
#[derive(Clone, Copy, Debug)]
pub struct Excess {
    /// Value above the limit, of the budget that is missed by most.
    over: u64,
    /// That budget's limit; 0 makes any excess infinite.
    limit: u64,
    missed: usize,
}

impl Excess {
    /// How far `totals` are from meeting `budgets`.
    #[must_use]
    pub fn of(budgets: &[Budget], totals: &Totals) -> Self {
        let mut worst = Self { over: 0, limit: 1, missed: 0 };
        for budget in budgets.iter().filter(|budget| !budget.met(totals)) {
            let (over, limit) = match totals.get(budget.quantity) {
                Some(value) => (value.saturating_sub(budget.limit), budget.limit),
                None => (u64::MAX, 0),
            };
            let one = Self { over, limit, missed: 0 };
            let missed = worst.missed + 1;
            if one.cmp_ratio(&worst).is_gt() {
                worst = one;
            }
            worst.missed = missed;
        }
        worst
    }

    /// over/limit of both as fractions, without rounding.
    fn cmp_ratio(&self, other: &Self) -> Ordering {
        let left = u128::from(self.over) * u128::from(other.limit);
        let right = u128::from(other.over) * u128::from(self.limit);
        // Two limits of 0 make both products 0.
        let infinite = if self.limit == 0 && other.limit == 0 { self.over.cmp(&other.over) } else { Ordering::Equal };
        left.cmp(&right).then(infinite)
    }
}

impl Ord for Excess {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_ratio(other).then(self.missed.cmp(&other.missed))
    }
}

impl PartialOrd for Excess {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Excess {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Excess {}

/// Sum of the relative excesses; infinite where a value is not modelled. It tells apart two points whose
/// worst budget is the same, so that a descent does not stop there.
#[must_use]
pub fn excess_sum(budgets: &[Budget], totals: &Totals) -> f64 {
    let one = |budget: &Budget| match totals.get(budget.quantity) {
        Some(value) => value.saturating_sub(budget.limit) as f64 / budget.limit.max(1) as f64,
        None => f64::INFINITY,
    };
    budgets.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_compare_in_integers() {
        let totals = Totals { bops: 10, latency_ns: Some(7), ..Totals::default() };
        assert!(Budget { quantity: Quantity::Bops, limit: 10 }.met(&totals));
        assert!(!Budget { quantity: Quantity::Bops, limit: 9 }.met(&totals));
        assert!(Budget { quantity: Quantity::Latency, limit: 7 }.met(&totals));
        assert!(!Budget { quantity: Quantity::Energy, limit: u64::MAX }.met(&totals));
    }

    #[test]
    fn excess_orders_by_ratio_then_by_count() {
        let budgets = [Budget { quantity: Quantity::Bops, limit: 100 }, Budget { quantity: Quantity::Flash, limit: 10 }];
        let excess = |bops, flash_bytes| Excess::of(&budgets, &Totals { bops, flash_bytes, ..Totals::default() });
        assert!(excess(100, 10).cmp(&excess(101, 10)).is_lt());
        assert!(excess(150, 10).cmp(&excess(100, 16)).is_lt());
        assert!(excess(150, 15).cmp(&excess(150, 10)).is_gt());
        assert!(excess(150, 10).cmp(&excess(100, 15)).is_eq());
        let none = [Budget { quantity: Quantity::Bops, limit: 0 }];
        let zero = |bops| Excess::of(&none, &Totals { bops, ..Totals::default() });
        assert!(zero(0).cmp(&zero(1)).is_lt());
        assert!(zero(1).cmp(&zero(2)).is_lt());
        assert!(zero(1).cmp(&excess(u64::MAX, 0)).is_gt());
    }
}
