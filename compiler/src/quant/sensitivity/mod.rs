//! Phase 1: how much each group's quantization disturbs the network, everything else being float.
//!
//! Source: "A Practical Mixed Precision Algorithm for Post-Training Quantization", section 3.2, equation 3. A list holds one value for each group and
//! candidate, the larger the less harmful, by one of three metrics ([`Metric`]).

mod error;
mod file;
mod fisher;
mod measure;

use apq_lut::Candidate;
use apq_search::{Estimator, SampleEnergy, Sensitivity};
use rayon::prelude::*;

pub use error::FileError;
pub use file::{Basis, Entry, ListFile, Shard, key, merge, paired};
pub use fisher::{NoGradient, differentiable};
pub use measure::{MeasureError, Measurement, Metric, Pieces, SAMPLES_PER_PIECE};

use super::bank::Bank;
use super::groups::Grouping;
use crate::float::Executor;
use crate::hash::hexadecimal;

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

/// The list from the values of what was measured: candidates that are the same for a group share the measurement.
pub fn expanded(grouping: &Grouping, measured: &[(usize, Candidate)], values: &[f64]) -> Vec<Sensitivity> {
    let mut list = Vec::new();
    for ((group, candidate), value) in measured.iter().zip(values) {
        let members = &grouping.groups[*group];
        let same = |c: &&Candidate| **c == *candidate || (!members.weighted && c.activation_bits == candidate.activation_bits);
        list.extend(members.candidates.iter().filter(same).map(|c| Sensitivity { group: *group, candidate: *c, sqnr_db: *value }));
    }
    list
}

/// Signal and noise at the output: sums of squares over its elements.
pub fn energy(float: &[f32], quantized: &[f32]) -> SampleEnergy {
    let signal = float.iter().map(|x| f64::from(*x).powi(2)).sum();
    let noise = float.iter().zip(quantized).map(|(x, q)| (f64::from(*x) - f64::from(*q)).powi(2)).sum();
    SampleEnergy { signal, noise }
}

/// The sensitivity list by SQNR, in the order of groups and candidates. `progress` is called after each sample.
pub fn sensitivity(
    executor: &Executor<'_>,
    grouping: &Grouping,
    bank: &Bank,
    samples: &[Vec<f32>],
    widest: &[Candidate],
    estimator: Estimator,
    progress: impl Fn() + Sync,
) -> Vec<Sensitivity> {
    let measured = measured(grouping, widest);
    let measurement = Measurement::sqnr(executor, grouping, bank, estimator, &measured);
    expanded(grouping, &measured, &measurement.run(samples, &(), &progress))
}

/// SHA-256 over every quantizer and every rounded weight: what a list depends on beside the network and its samples.
pub fn quantizers_sha256(bank: &Bank) -> String {
    use sha2::{Digest, Sha256};
    let activations = bank.activations.iter().map(|widths| format!("{widths:?}\n"));
    let layers: Vec<Vec<u8>> = bank
        .layers
        .par_iter()
        .map(|widths| {
            let mut hash = Sha256::new();
            for (bits, layer) in widths {
                let weights = &layer.weights;
                hash.update([*bits]);
                weights.scales.iter().for_each(|scale| hash.update(scale.to_bits().to_le_bytes()));
                hash.update(weights.codes.iter().map(|code| *code as u8).collect::<Vec<u8>>());
                layer.bias.iter().for_each(|bias| hash.update(bias.to_bits().to_le_bytes()));
            }
            hash.finalize().to_vec()
        })
        .collect();
    let mut hash = Sha256::new();
    activations.for_each(|text| hash.update(text));
    layers.iter().for_each(|layer| hash.update(layer));
    hexadecimal(&hash.finalize())
}
