//! Random assignment problems for the tests.

use apq_search::{Candidate, Group, NetworkCost, Sensitivity, Totals};
use proptest::prelude::*;

/// A network whose bops, latency and flash are sums over the groups, and whose RAM is the largest
/// sum over the groups alive at one step.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) groups: Vec<Group>,
    pub(crate) list: Vec<Sensitivity>,
    /// For each group MACs, weights and activations.
    sizes: Vec<[u64; 3]>,
    /// For each group and candidate, in the order of `groups`, ns.
    latency: Vec<Vec<u64>>,
    /// Groups alive at each step.
    steps: Vec<Vec<usize>>,
}

impl Network {
    /// Takes one candidate out of every group.
    pub(crate) fn drop_candidate(&mut self, candidate: Candidate) {
        self.list.retain(|entry| entry.candidate != candidate);
        for (group, latency) in self.groups.iter_mut().zip(&mut self.latency) {
            if let Some(index) = group.candidates.iter().position(|&c| c == candidate) {
                group.candidates.remove(index);
                latency.remove(index);
            }
        }
    }

    fn latency_ns(&self, group: usize, candidate: Candidate) -> u64 {
        let mut candidates = self.groups[group].candidates.iter();
        self.latency[group][candidates.position(|&c| c == candidate).expect("own candidate")]
    }
}

impl NetworkCost for Network {
    fn totals(&self, assignment: &[Candidate]) -> Totals {
        assert_eq!(assignment.len(), self.groups.len());
        let mut totals = Totals { latency_ns: Some(0), ..Totals::default() };
        for (group, &candidate) in assignment.iter().enumerate() {
            totals.bops += self.sizes[group][0] * u64::from(candidate.product());
            totals.flash_bytes += self.sizes[group][1] * u64::from(candidate.weight_bits);
            totals.latency_ns = totals.latency_ns.map(|ns| ns + self.latency_ns(group, candidate));
        }
        let live = |group: &usize| self.sizes[*group][2] * u64::from(assignment[*group].activation_bits);
        let step_bytes = self.steps.iter().map(|step| step.iter().map(live).sum());
        totals.ram_bytes = step_bytes.max().unwrap_or(0);
        totals
    }

    fn totals_after(&self, assignment: &[Candidate], changed: usize, from: Candidate, before: &Totals) -> Totals {
        let to = assignment[changed];
        let change = |total: u64, size: u64, from: u64, to: u64| total - size * from + size * to;
        let [macs, weights, _] = self.sizes[changed];
        let bops = change(before.bops, macs, from.product().into(), to.product().into());
        let flash_bytes = change(before.flash_bytes, weights, from.weight_bits.into(), to.weight_bits.into());
        let latency = self.latency_ns(changed, from)..self.latency_ns(changed, to);
        let latency_ns = before.latency_ns.map(|ns| ns - latency.start + latency.end);
        let ram_bytes = self.totals(assignment).ram_bytes;
        Totals { bops, flash_bytes, latency_ns, ram_bytes, ..Totals::default() }
    }
}

/// Whether more bits may be faster, as at tile edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latency {
    /// Proportional to BOPs.
    Monotone,
    /// Any value.
    TileEdges,
}

const CANDIDATES: [[u8; 2]; 7] = [[4, 4], [4, 6], [4, 8], [6, 6], [6, 8], [8, 8], [8, 4]];

/// Networks of 1 to `groups_max` groups with 1 to `candidates_max` candidates each.
pub(crate) fn networks(groups_max: usize, candidates_max: usize, latency: Latency) -> impl Strategy<Value = Network> {
    let candidates = prop::sample::subsequence(CANDIDATES.to_vec(), 1..=candidates_max);
    let shuffled = candidates.prop_shuffle().prop_map(|list| {
        let one = |[weight_bits, activation_bits]: [u8; 2]| Candidate::new(weight_bits, activation_bits).expect("valid widths");
        list.into_iter().map(one).collect::<Vec<_>>()
    });
    // Few distinct values of everything, so that ties happen.
    let noise = prop::collection::vec(0_i32..12, 7);
    let group = (shuffled, [0_u64..6, 0_u64..6, 0_u64..6], prop::collection::vec(0_u64..50, 7), noise);
    prop::collection::vec(group, 1..=groups_max).prop_flat_map(move |parts| {
        let count = parts.len();
        let step = prop::collection::vec(0..count, 1..=3);
        prop::collection::vec(step, 1..=count).prop_map(move |steps| network(&parts, &steps, latency))
    })
}

type Part = (Vec<Candidate>, [u64; 3], Vec<u64>, Vec<i32>);

fn network(parts: &[Part], steps: &[Vec<usize>], latency: Latency) -> Network {
    let mut network = Network { groups: Vec::new(), list: Vec::new(), sizes: Vec::new(), latency: Vec::new(), steps: steps.to_vec() };
    for (group, (candidates, sizes, ns, noise)) in parts.iter().enumerate() {
        network.groups.push(Group { name: format!("g{group}"), candidates: candidates.clone() });
        network.sizes.push(*sizes);
        let of = |(index, c): (usize, &Candidate)| match latency {
            Latency::Monotone => sizes[0] * u64::from(c.product()),
            Latency::TileEdges => ns[index] + u64::from(c.product()) / 4,
        };
        network.latency.push(candidates.iter().enumerate().map(of).collect());
        for (index, &candidate) in candidates.iter().enumerate() {
            let bits = f64::from(candidate.weight_bits.min(candidate.activation_bits));
            let sqnr_db = 6.0 * bits - f64::from(noise[index]);
            network.list.push(Sensitivity { group, candidate, sqnr_db });
        }
    }
    network
}

/// All assignments of a small network.
pub(crate) fn all_assignments(groups: &[Group]) -> Vec<Vec<Candidate>> {
    let mut all = vec![Vec::new()];
    for group in groups {
        let extend = |prefix: Vec<Candidate>| group.candidates.iter().map(move |&c| [prefix.as_slice(), &[c]].concat());
        all = all.into_iter().flat_map(extend).collect();
    }
    all
}
