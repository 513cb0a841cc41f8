//! How near the assignment comes to the best one, where noise adds up and all assignments can be
//! listed.

use std::collections::BTreeMap;

use apq_search::{Budget, Candidate, Group, NetworkCost, Problem, Quantity, Sensitivity, Totals, checker};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const GROUPS: usize = 5;
const PROBLEMS: usize = 60;

/// What BitFusion offers by default.
const CANDIDATES: [[u8; 2]; 6] = [[4, 4], [4, 6], [4, 8], [6, 6], [6, 8], [8, 8]];

fn candidates() -> [Candidate; 6] {
    CANDIDATES.map(|[weight_bits, activation_bits]| Candidate { weight_bits, activation_bits })
}

/// A chain of layers. Latency has a part that knows only 4 and 8 bits, and tile edges.
struct Chain {
    macs: Vec<u64>,
    weights: Vec<u64>,
    activations: Vec<u64>,
    latency_ns: Vec<BTreeMap<Candidate, u64>>,
}

impl Chain {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        let mut sizes = || (0..GROUPS).map(|_| random.random_range(10..100)).collect::<Vec<u64>>();
        let (macs, weights, activations) = (sizes(), sizes(), sizes());
        let stored = |bits: u8| if bits <= 4 { 4 } else { 8 };
        let mut latency_ns = Vec::new();
        for &macs in &macs {
            let mut ns = |c: Candidate| {
                macs * stored(c.weight_bits) * stored(c.activation_bits) / 2
                    + macs * u64::from(c.product()) / 8
                    + random.random_range(0..macs * 4)
            };
            latency_ns.push(candidates().map(|c| (c, ns(c))).into());
        }
        Self { macs, weights, activations, latency_ns }
    }
}

impl NetworkCost for Chain {
    fn totals(&self, assignment: &[Candidate]) -> Totals {
        let sum = |size: &[u64], bits: fn(Candidate) -> u32| size.iter().zip(assignment).map(|(size, &c)| size * u64::from(bits(c))).sum();
        let output = |group: usize| self.activations[group] * u64::from(assignment[group].activation_bits);
        let step_bytes = (1..GROUPS).map(|group| output(group - 1) + output(group));
        let latency = self.latency_ns.iter().zip(assignment).map(|(ns, candidate)| ns[candidate]);
        Totals {
            bops: sum(&self.macs, Candidate::product),
            flash_bytes: sum(&self.weights, |c| c.weight_bits.into()),
            latency_ns: Some(latency.sum()),
            ram_bytes: step_bytes.max().unwrap_or(0),
            ..Totals::default()
        }
    }
}

/// A list in which weights and activations add noise of 6 dB a bit, each layer with its own
/// offsets.
fn draw_list(random: &mut ChaCha8Rng) -> Vec<Sensitivity> {
    let mut list = Vec::new();
    for group in 0..GROUPS {
        let offsets_db = [0; 2].map(|_| random.random_range(-15.0..5.0));
        for candidate in candidates() {
            let widths = [candidate.weight_bits, candidate.activation_bits];
            let noise = widths.iter().zip(offsets_db).map(|(&bits, offset_db)| {
                let sqnr_db = 6.0 * f64::from(bits) + offset_db + random.random_range(0.0..2.0);
                10_f64.powf(-sqnr_db / 10.0)
            });
            let sqnr_db = -10.0 * noise.sum::<f64>().log10();
            list.push(Sensitivity { group, candidate, sqnr_db });
        }
    }
    list
}

/// Sum of the groups' noise energies for a signal of 1.
fn noise(list: &[Sensitivity], assignment: &[Candidate]) -> f64 {
    let chosen = list.iter().filter(|entry| assignment[entry.group] == entry.candidate);
    chosen.map(|entry| 10_f64.powf(-entry.sqnr_db / 10.0)).sum()
}

/// Mean over random problems of how much more noise the assignment has than the best one, in dB.
fn mean_gap_db(quantity: Quantity) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let group = |group| Group { name: format!("g{group}"), candidates: candidates().into() };
    let groups: Vec<Group> = (0..GROUPS).map(group).collect();
    let mut gap_db = 0.0;
    for _ in 0..PROBLEMS {
        let chain = Chain::draw(&mut random);
        let list = draw_list(&mut random);
        let problem = Problem::new(&groups, &list, &chain).unwrap();
        let value = |assignment: &[Candidate]| chain.totals(assignment).get(quantity).unwrap();
        let (least, most) = (value(&problem.narrowest()), value(&problem.widest()));
        let limit = least + (most - least) * random.random_range(10..90) / 100;
        let budgets = [Budget { quantity, limit }];

        let outcome = problem.assign(&budgets).unwrap();
        assert_eq!(checker::check(&groups, &list, &chain, &budgets, &outcome), Ok(()));
        assert!(outcome.feasible);
        let mut best = f64::INFINITY;
        for code in 0..CANDIDATES.len().pow(GROUPS as u32) {
            let digit = |group: u32| candidates()[code / 6_usize.pow(group) % 6];
            let assignment: Vec<Candidate> = (0..GROUPS as u32).map(digit).collect();
            if value(&assignment) <= limit {
                best = best.min(noise(&list, &assignment));
            }
        }
        gap_db += 10.0 * (noise(&list, &outcome.assignment) / best).log10();
    }
    gap_db / PROBLEMS as f64
}

#[test]
fn the_assignment_is_near_the_best_one() {
    for quantity in [Quantity::Bops, Quantity::Latency, Quantity::Flash, Quantity::Ram] {
        let gap_db = mean_gap_db(quantity);
        println!("{quantity}: {gap_db:.3} dB above the best assignment on average");
        assert!((0.0..0.6).contains(&gap_db), "{quantity}: {gap_db} dB");
    }
}
