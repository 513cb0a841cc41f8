//! A model measured once, whose assignments are then finished and run as integers.

use apq_lut::Candidate;
use apq_runtime::{Arithmetic, Model};
use apq_search::{Budget, Problem, Quantity, Sensitivity};
use apqc::compile::{Data, Options, run_reference};
use apqc::data::Dataset;
use apqc::evaluate::{quality, run_integer, sqnr_db, top1};
use apqc::lower::lower;
use apqc::plan::Effort;
use apqc::prepare::Prepared;
use apqc::quant::QuantizedNetwork;
use apqc::quant::rounding::Rounding;

use crate::models::{Case, options};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the float network does on the test set, found once.
pub(crate) struct Float {
    hits: Vec<bool>,
    /// Accuracy.
    pub(crate) accuracy: f64,
}

impl Float {
    /// Runs the test set.
    pub(crate) fn new(case: &Case) -> Result<Float> {
        let outputs = run_reference(&case.network, &case.test, &case.preprocess, || {})?;
        let hits = hits(&outputs, &case.test);
        Ok(Float { accuracy: share(&hits), hits })
    }
}

fn hits(outputs: &[Vec<f32>], data: &Dataset) -> Vec<bool> {
    outputs.iter().zip(data.labels().unwrap_or_default()).map(|(output, label)| top1(output) == *label as usize).collect()
}

fn share(hits: &[bool]) -> f64 {
    hits.iter().filter(|hit| **hit).count() as f64 / hits.len().max(1) as f64
}

/// One evaluated assignment.
pub(crate) struct Point {
    /// BOPs relative to W8A16.
    pub(crate) r: f64,
    /// Accuracy of the integer runtime on the whole test set.
    pub(crate) accuracy: f64,
    /// Difference to the float network and half of its paired 95 % interval.
    pub(crate) difference: (f64, f64),
    /// Against the float network on the calibration samples.
    pub(crate) sqnr_db: f64,
    /// Bytes of the file.
    pub(crate) file_bytes: usize,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mean, half) = self.difference;
        write!(f, "{:.2} ({:+.2} +- {:.2})", 100.0 * self.accuracy, 100.0 * mean, 100.0 * half)
    }
}

/// A model with its quantizers and its list.
pub(crate) struct Lab<'a> {
    case: &'a Case,
    /// The prepared network.
    pub(crate) prepared: Prepared<'a>,
    /// Its sensitivity list.
    pub(crate) list: Vec<Sensitivity>,
    options: Options,
}

impl<'a> Lab<'a> {
    /// Calibrates, rounds and measures the list.
    pub(crate) fn new(case: &'a Case, calibration: &Dataset, candidates: &str, rounding: Rounding) -> Result<Lab<'a>> {
        let options = Options { rounding, ..options(candidates, Vec::new()) };
        let data = Data { calibration, test: None, preprocess: &case.preprocess };
        let prepared = Prepared::new(&case.network, &case.target, &data, &options, &())?;
        let list = prepared.sensitivity(options.estimator, (&(), ""), &())?.list;
        Ok(Lab { case, prepared, list, options })
    }

    /// The greedy assignment with at most these relative BOPs; the widest where `r` is `None`.
    pub(crate) fn assignment(&self, r: Option<f64>) -> Result<Option<Vec<Candidate>>> {
        let costs = self.prepared.costs(None, false)?;
        let problem = Problem::new(&self.prepared.groups, &self.list, &costs)?;
        let budget = r.map(|r| Budget { quantity: Quantity::Bops, limit: (r * self.unit()).round() as u64 });
        let outcome = problem.assign(budget.as_slice())?;
        Ok(outcome.feasible.then_some(outcome.assignment))
    }

    /// BOPs of W8A16.
    fn unit(&self) -> f64 {
        128.0 * self.case.network.macs as f64
    }

    /// The network as it is shipped.
    pub(crate) fn finished(&self, assignment: Vec<Candidate>) -> QuantizedNetwork<'_> {
        self.prepared.finished(assignment, &self.options, &()).0
    }

    /// The network with weights rounded in graph order by another method than the list was measured with.
    pub(crate) fn finished_by(&self, assignment: Vec<Candidate>, method: Rounding) -> QuantizedNetwork<'_> {
        self.prepared.finished(assignment, &Options { rounding: method, ..self.options.clone() }, &()).0
    }

    /// Lowers a network and runs the whole test set as integers.
    pub(crate) fn judge(&self, network: &QuantizedNetwork<'_>, float: &Float) -> Result<Point> {
        let lowered = lower(network, &self.prepared.raw_input, Effort::quick())?;
        let file = Model::new_checked(&lowered.file).map_err(|error| error.to_string())?;
        let outputs = run_integer(&file, Arithmetic::Native, &self.case.test, || {})?;
        let own = hits(&outputs, &self.case.test);
        let differences: Vec<f64> = own.iter().zip(&float.hits).map(|(a, b)| f64::from(u8::from(*a)) - f64::from(u8::from(*b))).collect();
        let count = differences.len().max(1) as f64;
        let mean = differences.iter().sum::<f64>() / count;
        let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / count;
        let simulation = network.simulation();
        let simulated: Vec<Vec<f32>> = {
            use rayon::prelude::*;
            self.prepared.samples.par_iter().map(|sample| self.prepared.executor.run(&simulation, sample)).collect()
        };
        let costs = self.prepared.costs(None, false)?;
        Ok(Point {
            r: apq_search::NetworkCost::totals(&costs, &network.assignment).bops as f64 / self.unit(),
            accuracy: quality(&outputs, self.case.test.labels(), None).accuracy_top1.unwrap_or(0.0),
            difference: (mean, 1.96 * (variance / count).sqrt()),
            sqnr_db: sqnr_db(&self.prepared.reference_outputs, &simulated).unwrap_or(f64::NEG_INFINITY),
            file_bytes: lowered.file.len(),
        })
    }

    /// The point under a budget of relative BOPs; `None` where no assignment meets it.
    pub(crate) fn at(&self, r: Option<f64>, float: &Float) -> Result<Option<Point>> {
        match self.assignment(r)? {
            Some(assignment) => Ok(Some(self.judge(&self.finished(assignment), float)?)),
            None => Ok(None),
        }
    }
}
