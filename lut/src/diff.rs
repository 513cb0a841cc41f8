//! Two sources of costs side by side.

use serde::Serialize;

use crate::{CostError, CostModel, Table};

/// Result of [`diff`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Diff {
    /// Keys that both sides have a cost for.
    pub compared: usize,
    /// Keys of the first side that the second has no cost for.
    pub missing: usize,
    /// Compared keys whose cycles differ; a figure that only the first side has differs.
    pub cycles_mismatched: usize,
    /// Largest `|b - a| / a` of the latency; `None` where no key has a latency on both sides.
    pub latency_rel_max: Option<f64>,
    /// Largest `|b - a| / a` of the energy; `None` where no key has an energy on both sides.
    pub energy_rel_max: Option<f64>,
}

/// Compares `b`, a table or any other model, with `a` on the keys of `a`.
///
/// # Errors
/// `b` holds a key of `a` for no layer at all.
pub fn diff(a: &Table, b: &(impl CostModel + ?Sized)) -> Result<Diff, CostError> {
    let mut result = Diff::default();
    for (key, entry) in a.iter() {
        let theirs = match b.cost(key) {
            Ok(cost) => cost,
            Err(CostError::Missing { .. } | CostError::NotModelled { .. }) => {
                result.missing += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        let ours = entry.cost;
        result.compared += 1;
        if ours.cycles.is_some() && ours.cycles != theirs.cycles {
            result.cycles_mismatched += 1;
        }
        widen(&mut result.latency_rel_max, ours.latency_ns, theirs.latency_ns);
        widen(&mut result.energy_rel_max, ours.energy_nj, theirs.energy_nj);
    }
    Ok(result)
}

/// Raises `max` to the relative difference of `b` from `a`.
fn widen(max: &mut Option<f64>, a: Option<f64>, b: Option<f64>) {
    let Some((a, b)) = a.zip(b) else { return };
    // Against zero the difference is measured by the other side, so that the result stays finite.
    let unit = if a == 0.0 { b.abs() } else { a.abs() };
    let relative = if a == b { 0.0 } else { (b - a).abs() / unit };
    *max = Some(max.unwrap_or(0.0).max(relative));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Cost, Entry, LayerKey, Provenance};

    fn table(costs: &[(u32, Cost)]) -> Table {
        let mut table = Table::new("t");
        for &(outputs, cost) in costs {
            let bits = Candidate::new(8, 8).unwrap();
            let provenance = Provenance::Imported { source: "s".into() };
            let key = LayerKey::fully_connected(1, 1, outputs, bits);
            table.insert(key, Entry { cost, provenance }).unwrap();
        }
        table
    }

    fn cost(cycles: u64, latency_ns: f64, energy_nj: f64) -> Cost {
        Cost { cycles: Some(cycles), latency_ns: Some(latency_ns), energy_nj: Some(energy_nj) }
    }

    #[test]
    fn counts_and_largest_differences() {
        let a = table(&[(1, cost(10, 20.0, 4.0)), (2, cost(11, 22.0, 0.0)), (3, cost(12, 24.0, 5.0))]);
        let b = table(&[(1, cost(10, 25.0, 4.0)), (2, cost(12, 22.0, 3.0)), (4, cost(1, 1.0, 1.0))]);
        let result = diff(&a, &b).unwrap();
        assert_eq!(result, Diff { compared: 2, missing: 1, cycles_mismatched: 1, latency_rel_max: Some(0.25), energy_rel_max: Some(1.0) });
        let same = diff(&a, &a).unwrap();
        assert_eq!((same.compared, same.missing), (3, 0));
        assert_eq!((same.cycles_mismatched, same.latency_rel_max), (0, Some(0.0)));
    }

    #[test]
    fn what_is_not_there_is_not_equal() {
        let full = table(&[(1, cost(10, 20.0, 4.0))]);
        let bare = table(&[(1, Cost::default())]);
        let result = diff(&full, &bare).unwrap();
        assert_eq!((result.compared, result.cycles_mismatched), (1, 1));
        assert_eq!((result.latency_rel_max, result.energy_rel_max), (None, None));
        assert_eq!(diff(&bare, &full).unwrap().cycles_mismatched, 0);
    }
}
