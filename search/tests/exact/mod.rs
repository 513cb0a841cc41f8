//! The exact assignment against all assignments, one by one.

use crate::common::{Latency, Network, all_assignments, networks};
use crate::{budgets, limits, meets};
use apq_search::{Budget, Candidate, Effort, Group, NetworkCost, Problem, ProblemError, Quantity, Sensitivity, Totals};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Noise of an assignment from the list alone: nothing of the search is asked.
fn noise(network: &Network, assignment: &[Candidate]) -> f64 {
    let of_group = |(group, candidate): (usize, &Candidate)| {
        if Some(*candidate) == network.groups[group].widest() {
            return 0.0;
        }
        let entry = network.list.iter().find(|entry| entry.group == group && entry.candidate == *candidate);
        10f64.powf(-entry.expect("a candidate has an entry").sqnr_db / 10.0)
    };
    assignment.iter().enumerate().map(of_group).sum()
}

fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..ProptestConfig::with_cases(1500) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_that_meets_the_budgets_has_less_noise(
        network in networks(6, 4, Latency::TileEdges),
        fractions in budgets(),
    ) {
        let budgets = limits(&network, &fractions);
        let problem = Problem::new(&network.groups, &network.list, &network).unwrap();
        let greedy = problem.assign(&budgets).unwrap();
        let all = all_assignments(&network.groups);
        let least = all.iter().filter(|one| meets(&network, one, &budgets)).map(|one| noise(&network, one)).min_by(f64::total_cmp);
        for start in [None, Some(greedy.assignment.as_slice())] {
            let exact = problem.assign_exact(&budgets, start).unwrap();
            prop_assert!(exact.proved);
            prop_assert_eq!(exact.best.is_some(), least.is_some());
            let (Some(best), Some(least)) = (exact.best, least) else { continue };
            prop_assert!(meets(&network, &best.assignment, &budgets));
            prop_assert_eq!(best.totals, network.totals(&best.assignment));
            let own = noise(&network, &best.assignment);
            prop_assert!((own - least).abs() <= 1e-12 * least.max(1e-6), "{} against {}", own, least);
            prop_assert!((best.noise - own).abs() <= 1e-12 * own.max(1e-6));
            prop_assert_eq!(best.noise, exact.noise_min);
            if greedy.feasible {
                prop_assert!(best.noise <= problem.noise(&greedy.assignment));
            }
        }
    }

    #[test]
    fn the_order_of_candidates_does_not_matter(network in networks(6, 4, Latency::TileEdges), fractions in budgets()) {
        let budgets = limits(&network, &fractions);
        let mut sorted = network.groups.clone();
        sorted.iter_mut().for_each(|group| group.candidates.sort());
        let exact = |groups: &[Group]| Problem::new(groups, &network.list, &network).unwrap().assign_exact(&budgets, None).unwrap();
        prop_assert_eq!(exact(&network.groups), exact(&sorted));
    }
}

/// A network of the size of MobileNetV2 on BitFusion's candidates, with costs that are sums.
struct Large {
    /// For each group MACs and weights.
    sizes: Vec<[u64; 2]>,
}

const CANDIDATES: [(u8, u8); 8] = [(2, 8), (4, 4), (4, 6), (4, 8), (6, 6), (6, 8), (8, 8), (8, 16)];

fn candidates() -> Vec<Candidate> {
    CANDIDATES.into_iter().map(|(weight_bits, activation_bits)| Candidate { weight_bits, activation_bits }).collect()
}

impl NetworkCost for Large {
    fn totals(&self, assignment: &[Candidate]) -> Totals {
        let mut totals = Totals { latency_ns: Some(0), ..Totals::default() };
        for (size, candidate) in self.sizes.iter().zip(assignment) {
            totals.bops += size[0] * u64::from(candidate.product());
            totals.flash_bytes += size[1] * u64::from(candidate.weight_bits) / 8;
            // Rows of fusion units: narrow widths are hardly faster than the next wider ones.
            let rows = u64::from(candidate.weight_bits).next_power_of_two() * u64::from(candidate.activation_bits).next_power_of_two();
            totals.latency_ns = totals.latency_ns.map(|ns| ns + size[0] * rows / 512 + size[1]);
        }
        totals
    }
}

/// Numbers in 0..1 that look random, the same everywhere.
fn drawn(state: &mut u32) -> f64 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    f64::from(*state >> 8) / f64::from(1 << 24)
}

#[test]
fn eighty_five_groups_under_three_budgets_are_solved() {
    let mut state = 7;
    let sizes = (0..85).map(|_| [(drawn(&mut state) * 1e7) as u64 + 1000, (drawn(&mut state) * 1e5) as u64 + 10]).collect();
    let cost = Large { sizes };
    let groups: Vec<Group> = (0..85).map(|index| Group { name: format!("g{index}"), candidates: candidates() }).collect();
    let mut list = Vec::new();
    for group in 0..85 {
        let level = 5.0 + 20.0 * drawn(&mut state);
        for candidate in candidates() {
            let bits = f64::from(candidate.weight_bits.min(candidate.activation_bits + 2));
            list.push(Sensitivity { group, candidate, sqnr_db: level + 5.0 * bits + 3.0 * drawn(&mut state) });
        }
    }
    let problem = Problem::new(&groups, &list, &cost).unwrap();
    let widest = cost.totals(&problem.widest());
    let part = |quantity, percent| Budget { quantity, limit: widest.get(quantity).unwrap() / 100 * percent };
    let sets = [
        vec![part(Quantity::Bops, 50)],
        vec![part(Quantity::Bops, 25)],
        vec![part(Quantity::Latency, 60), part(Quantity::Flash, 60)],
        vec![part(Quantity::Bops, 35), part(Quantity::Latency, 50), part(Quantity::Flash, 62)],
    ];
    for budgets in sets {
        let greedy = problem.assign(&budgets).unwrap();
        assert!(greedy.feasible);
        let exact = problem.assign_exact(&budgets, Some(&greedy.assignment)).unwrap();
        let best = exact.best.unwrap();
        assert!(exact.proved, "{budgets:?}");
        let (start, greedy) = (greedy.assignment.clone(), problem.noise(&greedy.assignment));
        assert!(best.noise < greedy, "{} against {greedy}", best.noise);
        let quick = problem.assign_exact_within(&budgets, Some(&start), Effort::quick()).unwrap().best.unwrap();
        assert!((best.noise..=greedy).contains(&quick.noise) && budgets.iter().all(|budget| budget.met(&quick.totals)), "{budgets:?}");
        println!("{budgets:?}: noise {:.6} against {greedy:.6}", best.noise);
    }
}

/// Costs of which one is no sum.
struct Crooked;

impl NetworkCost for Crooked {
    fn totals(&self, assignment: &[Candidate]) -> Totals {
        let narrow = assignment.iter().filter(|candidate| candidate.weight_bits == 4).count() as u64;
        Totals { bops: 100 - narrow * narrow, ..Totals::default() }
    }
}

#[test]
fn costs_that_are_no_sums_are_refused() {
    let candidates: Vec<Candidate> = ["w4a8", "w8a8"].map(|text| text.parse().unwrap()).to_vec();
    let groups: Vec<Group> = (0..3).map(|index| Group { name: format!("g{index}"), candidates: candidates.clone() }).collect();
    let list: Vec<Sensitivity> = (0..3).map(|group| Sensitivity { group, candidate: candidates[0], sqnr_db: 20.0 }).collect();
    let problem = Problem::new(&groups, &list, &Crooked).unwrap();
    let budget = |quantity, limit| [Budget { quantity, limit }];
    let refused = problem.assign_exact(&budget(Quantity::Bops, 98), None);
    assert_eq!(refused, Err(ProblemError::NotAdditive { quantity: Quantity::Bops }));
    let unknown = problem.assign_exact(&budget(Quantity::Latency, 98), None);
    assert_eq!(unknown, Err(ProblemError::NotModelled { quantity: Quantity::Latency }));
}
