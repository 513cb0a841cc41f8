//! Properties of the assignment under efficiency budgets.

mod common;
mod exact;

use apq_search::{Budget, Candidate, NetworkCost, Problem, Quantity, SkipReason, Step, checker};
use common::{Latency, Network, all_assignments, networks};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Budgets on some quantities, each a fraction of the widest assignment's value.
fn budgets() -> impl Strategy<Value = Vec<(Quantity, u64)>> {
    let quantities = vec![Quantity::Bops, Quantity::Latency, Quantity::Flash, Quantity::Ram];
    (prop::sample::subsequence(quantities, 0..=4), prop::collection::vec(0_u64..=110, 4))
        .prop_map(|(quantities, percents)| quantities.into_iter().zip(percents).collect())
}

fn limits(network: &Network, fractions: &[(Quantity, u64)]) -> Vec<Budget> {
    let widest: Vec<Candidate> = network.groups.iter().map(|group| group.widest().expect("candidates")).collect();
    let totals = network.totals(&widest);
    let one = |&(quantity, percent): &(Quantity, u64)| Budget { quantity, limit: totals.get(quantity).expect("modelled") * percent / 100 };
    fractions.iter().map(one).collect()
}

fn meets(network: &Network, assignment: &[Candidate], budgets: &[Budget]) -> bool {
    let totals = network.totals(assignment);
    budgets.iter().all(|b| totals.get(b.quantity).expect("modelled") <= b.limit)
}

fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(2000) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_checker_finds_nothing(
        network in networks(8, 7, Latency::TileEdges),
        fractions in budgets(),
    ) {
        let budgets = limits(&network, &fractions);
        let problem = Problem::new(&network.groups, &network.list, &network).unwrap();
        let outcome = problem.assign(&budgets).unwrap();
        let checked =
            checker::check(&network.groups, &network.list, &network, &budgets, &outcome);
        prop_assert_eq!(checked, Ok(()));
        prop_assert_eq!(outcome.feasible, meets(&network, &outcome.assignment, &budgets));
    }

    #[test]
    fn monotone_cost_is_infeasible_exactly_when_the_narrowest_is(
        mut network in networks(8, 6, Latency::Monotone),
        fractions in budgets(),
    ) {
        // These two have more weight bits but fewer activation bits than w4a8, so that flash and
        // RAM do not both fall with w*a.
        let crossing = [(8, 4), (6, 6)].map(|(weight_bits, activation_bits)| Candidate {
            weight_bits,
            activation_bits,
        });
        for candidate in crossing {
            network.drop_candidate(candidate);
        }
        prop_assume!(network.groups.iter().all(|group| !group.candidates.is_empty()));
        let budgets = limits(&network, &fractions);
        let problem = Problem::new(&network.groups, &network.list, &network).unwrap();
        let outcome = problem.assign(&budgets).unwrap();
        let narrowest = problem.narrowest();
        prop_assert_eq!(outcome.feasible, meets(&network, &narrowest, &budgets));
    }

    #[test]
    fn one_additive_budget_is_met_whenever_it_can_be(
        network in networks(5, 4, Latency::TileEdges),
        quantity in prop::sample::select(vec![Quantity::Bops, Quantity::Latency, Quantity::Flash]),
        percent in 0_u64..=110,
    ) {
        let budgets = limits(&network, &[(quantity, percent)]);
        let problem = Problem::new(&network.groups, &network.list, &network).unwrap();
        let outcome = problem.assign(&budgets).unwrap();
        let all = all_assignments(&network.groups);
        let possible = all.iter().any(|assignment| meets(&network, assignment, &budgets));
        prop_assert_eq!(outcome.feasible, possible);
        if !possible {
            let value = |assignment: &Vec<Candidate>| network.totals(assignment).get(quantity);
            let least = all.iter().map(value).min().unwrap();
            prop_assert_eq!(outcome.smallest.get(quantity), least);
            // One budget: the nearest point is the one with the smallest value.
            prop_assert_eq!(outcome.totals.get(quantity), least);
        }
    }

    #[test]
    fn the_order_of_lists_does_not_matter(
        (network, shuffled) in networks(6, 5, Latency::TileEdges)
            .prop_flat_map(|network| {
                let list = Just(network.list.clone()).prop_shuffle();
                (Just(network), list)
            }),
        fractions in budgets(),
    ) {
        let budgets = limits(&network, &fractions);
        let problem = Problem::new(&network.groups, &network.list, &network).unwrap();
        let mut groups = network.groups.clone();
        for group in &mut groups {
            group.candidates.sort();
        }
        let other = Problem::new(&groups, &shuffled, &network).unwrap();
        prop_assert_eq!(problem.list(), other.list());
        prop_assert_eq!(problem.assign(&budgets).unwrap(), other.assign(&budgets).unwrap());
        prop_assert_eq!(problem.curve(&[]).unwrap(), other.curve(&[]).unwrap());
    }

    #[test]
    fn flips_follow_the_list(network in networks(8, 6, Latency::TileEdges)) {
        let problem = Problem::new(&network.groups, &network.list, &network).unwrap();
        let list = problem.list();
        prop_assert!(list.windows(2).all(|pair| pair[0].sqnr_db >= pair[1].sqnr_db));
        let curve = problem.curve(&[]).unwrap();
        let mut position = 0;
        for pair in curve.points.windows(2) {
            let Step::Flip(change) = pair[1].step else { panic!("a curve has only flips") };
            prop_assert!(pair[1].totals.bops <= pair[0].totals.bops);
            let found = list[position..]
                .iter()
                .position(|entry| entry.group == change.group && entry.candidate == change.to);
            position += found.expect("flips come in list order") + 1;
        }
        prop_assert_eq!(curve.points.len() - 1 + curve.skipped.len(), list.len());
        for skipped in curve.skipped {
            prop_assert_eq!(skipped.reason, SkipReason::NotNarrower);
        }
    }
}
