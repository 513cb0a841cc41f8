//! Phase 1: how much each group's quantization disturbs the network's output, everything else being float.
//!
//! Source: "A Practical Mixed Precision Algorithm for Post-Training Quantization", section 3.2, equation 3.

use apq_lut::Candidate;
use apq_search::{Estimator, SampleEnergy, Sensitivity};
use rayon::prelude::*;

use super::bank::Bank;
use super::groups::Grouping;
use crate::float::{Executor, Simulation};

/// Candidates that are measured: for each group all but the widest; an activation-only group at one width once.
pub fn measured(grouping: &Grouping, widest: &[Candidate]) -> Vec<(usize, Candidate)> {
    let mut list: Vec<(usize, Candidate)> = Vec::new();
    for (index, group) in grouping.groups.iter().enumerate() {
        for candidate in group.candidates.iter().filter(|c| **c != widest[index]) {
            let twin =
                |(other, c): &(usize, Candidate)| *other == index && !group.weighted && c.activation_bits == candidate.activation_bits;
            if !list.iter().any(twin) {
                list.push((index, *candidate));
            }
        }
    }
    list
}

/// Signal and noise at the output: sums of squares over its elements.
pub fn energy(float: &[f32], quantized: &[f32]) -> SampleEnergy {
    let signal = float.iter().map(|x| f64::from(*x).powi(2)).sum();
    let noise = float.iter().zip(quantized).map(|(x, q)| (f64::from(*x) - f64::from(*q)).powi(2)).sum();
    SampleEnergy { signal, noise }
}

/// The sensitivity list, in the order of groups and candidates. `progress` is called after each sample.
pub fn sensitivity(
    executor: &Executor<'_>,
    grouping: &Grouping,
    bank: &Bank,
    samples: &[Vec<f32>],
    widest: &[Candidate],
    estimator: Estimator,
    progress: impl Fn() + Sync,
) -> Vec<Sensitivity> {
    let graph = executor.graph();
    let measured = measured(grouping, widest);
    let simulations: Vec<Simulation> =
        measured.iter().map(|(group, candidate)| bank.one_group(graph, grouping, *group, *candidate)).collect();
    let float = Simulation::float(graph);
    let energies: Vec<Vec<SampleEnergy>> = samples
        .par_iter()
        .map(|sample| {
            let values = executor.run_all(&float, sample);
            let output = values[graph.output.0].as_deref().unwrap_or_default();
            let energies = simulations.iter().map(|simulation| energy(output, &executor.run_changed(simulation, &values))).collect();
            progress();
            energies
        })
        .collect();
    let sqnr = |place: usize| {
        let pairs: Vec<SampleEnergy> = energies.iter().map(|sample| sample[place]).collect();
        estimator.sqnr_db(&pairs).unwrap_or(f64::NEG_INFINITY)
    };
    let mut list = Vec::new();
    for (place, (group, candidate)) in measured.iter().enumerate() {
        let sqnr_db = sqnr(place);
        let members = &grouping.groups[*group];
        // Candidates that are the same for this group share the measurement.
        let same = |c: &&Candidate| **c == *candidate || (!members.weighted && c.activation_bits == candidate.activation_bits);
        list.extend(members.candidates.iter().filter(same).map(|c| Sensitivity { group: *group, candidate: *c, sqnr_db }));
    }
    list
}
