//! Measuring a list: records for each sample, kept in pieces so that a run that was stopped goes on, and the values that follow from all of them.

use apq_lut::Candidate;
use apq_search::{Estimator, RATIO_MIN, SampleEnergy};
use rayon::prelude::*;

use super::energy;
use super::fisher::{Fisher, NoGradient};
use crate::evaluate::top1;
use crate::float::{Executor, Simulation};
use crate::graph::Graph;
use crate::quant::bank::Bank;
use crate::quant::groups::Grouping;

/// What a list measures. The larger a value, the less harm the group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Signal to quantization noise at the network's output, in dB.
    Sqnr(Estimator),
    /// Share of labelled samples whose label is the top class.
    Accuracy,
    /// Fisher information times quantization noise, as -10 log10 of it.
    Fit,
}

impl Metric {
    /// The metric's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Sqnr(_) => "sqnr",
            Metric::Accuracy => "accuracy",
            Metric::Fit => "fit",
        }
    }

    /// Name, with the estimator for SQNR.
    pub fn full_name(self) -> String {
        match self {
            Metric::Sqnr(estimator) => format!("sqnr {}", estimator.name()),
            other => other.name().into(),
        }
    }
}

/// Why a list cannot be measured by a metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    /// Accuracy needs labels.
    #[error("the metric accuracy needs labelled samples")]
    NoLabels,
    /// An operator without a gradient.
    #[error(transparent)]
    NoGradient(#[from] NoGradient),
}

/// Samples whose records are kept together: fixed, so that pieces do not depend on the number of threads.
pub const SAMPLES_PER_PIECE: usize = 4;

/// Records of finished samples, kept until the list is whole.
pub trait Pieces: Sync {
    /// The records of a piece, where they are kept.
    fn load(&self, piece: usize) -> Option<Vec<f64>>;
    /// Keeps the records of a piece; it appears whole or not at all.
    fn store(&self, piece: usize, records: &[f64]);
}

impl Pieces for () {
    fn load(&self, _: usize) -> Option<Vec<f64>> {
        None
    }
    fn store(&self, _: usize, _: &[f64]) {}
}

/// A list to be measured.
pub struct Measurement<'a> {
    executor: &'a Executor<'a>,
    method: Method<'a>,
}

enum Method<'a> {
    /// Energies at the output: the signal, then the noise of each entry.
    Energies { simulations: Vec<Simulation>, estimator: Estimator },
    /// 1 for each entry whose top class is the label.
    Hits { simulations: Vec<Simulation>, labels: &'a [u32] },
    /// Gradients and noise of each tensor.
    Fisher(Box<Fisher<'a>>),
}

impl<'a> Measurement<'a> {
    /// `entries` are groups and candidates; `labels` one class for each sample that will be measured. FIT takes the float network's classes where
    /// there are no labels.
    ///
    /// # Errors
    /// See [`MeasureError`].
    pub fn new(
        executor: &'a Executor<'a>,
        grouping: &'a Grouping,
        bank: &'a Bank,
        metric: Metric,
        entries: &'a [(usize, Candidate)],
        labels: Option<&'a [u32]>,
    ) -> Result<Measurement<'a>, MeasureError> {
        let method = match metric {
            Metric::Sqnr(estimator) => return Ok(Measurement::sqnr(executor, grouping, bank, estimator, entries)),
            Metric::Accuracy => Method::Hits {
                simulations: simulations(executor.graph(), grouping, bank, entries),
                labels: labels.ok_or(MeasureError::NoLabels)?,
            },
            Metric::Fit => Method::Fisher(Box::new(Fisher::new(executor, grouping, bank, entries, labels)?)),
        };
        Ok(Measurement { executor, method })
    }

    /// A measurement by SQNR, which every network allows.
    pub fn sqnr(
        executor: &'a Executor<'a>,
        grouping: &Grouping,
        bank: &Bank,
        estimator: Estimator,
        entries: &[(usize, Candidate)],
    ) -> Measurement<'a> {
        Measurement {
            executor,
            method: Method::Energies { simulations: simulations(executor.graph(), grouping, bank, entries), estimator },
        }
    }

    /// One value for each entry. `progress` is called after each sample.
    pub fn run(&self, samples: &[Vec<f32>], pieces: &dyn Pieces, progress: &(impl Fn() + Sync)) -> Vec<f64> {
        let width = self.width();
        let records: Vec<Vec<f64>> = samples
            .par_chunks(SAMPLES_PER_PIECE)
            .enumerate()
            .map(|(piece, chunk)| {
                if let Some(records) = pieces.load(piece).filter(|records| records.len() == chunk.len() * width) {
                    chunk.iter().for_each(|_| progress());
                    return records;
                }
                let mut records = Vec::with_capacity(chunk.len() * width);
                for (offset, sample) in chunk.iter().enumerate() {
                    records.extend(self.record(piece * SAMPLES_PER_PIECE + offset, sample));
                    progress();
                }
                pieces.store(piece, &records);
                records
            })
            .collect();
        self.values(&records.concat())
    }

    /// Numbers in the record of one sample.
    fn width(&self) -> usize {
        match &self.method {
            Method::Energies { simulations, .. } => 1 + simulations.len(),
            Method::Hits { simulations, .. } => simulations.len(),
            Method::Fisher(fisher) => fisher.width(),
        }
    }

    fn record(&self, index: usize, sample: &[f32]) -> Vec<f64> {
        let graph = self.executor.graph();
        let values = self.executor.run_all(&Simulation::float(graph), sample);
        let output = values[graph.output.0].as_deref().unwrap_or_default();
        match &self.method {
            Method::Energies { simulations, .. } => {
                let noises = simulations.iter().map(|simulation| energy(output, &self.executor.run_changed(simulation, &values)).noise);
                std::iter::once(energy(output, output).signal).chain(noises).collect()
            }
            Method::Hits { simulations, labels } => {
                let right = |output: Vec<f32>| f64::from(u8::from(labels.get(index).is_some_and(|label| top1(&output) == *label as usize)));
                simulations.iter().map(|simulation| right(self.executor.run_changed(simulation, &values))).collect()
            }
            Method::Fisher(fisher) => fisher.record(index, &values),
        }
    }

    /// Records are added in the order of the samples, so that the result does not depend on the number of threads.
    fn values(&self, records: &[f64]) -> Vec<f64> {
        let rows = || records.chunks_exact(self.width().max(1));
        match &self.method {
            Method::Energies { simulations, estimator } => (0..simulations.len())
                .map(|entry| {
                    let energies: Vec<SampleEnergy> = rows().map(|row| SampleEnergy { signal: row[0], noise: row[1 + entry] }).collect();
                    estimator.sqnr_db(&energies).unwrap_or(f64::NEG_INFINITY)
                })
                .collect(),
            Method::Hits { simulations, .. } => {
                let count = rows().count().max(1) as f64;
                (0..simulations.len()).map(|entry| rows().map(|row| row[entry]).sum::<f64>() / count).collect()
            }
            Method::Fisher(fisher) => {
                let decibels = |fit: &f64| -10.0 * fit.max(RATIO_MIN * RATIO_MIN).log10();
                fisher.values(rows()).iter().map(decibels).collect()
            }
        }
    }
}

fn simulations(graph: &Graph, grouping: &Grouping, bank: &Bank, entries: &[(usize, Candidate)]) -> Vec<Simulation> {
    entries.iter().map(|(group, candidate)| bank.one_group(graph, grouping, *group, *candidate)).collect()
}
