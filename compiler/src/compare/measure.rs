//! Accuracies of designs as integers, each measured once.

use std::collections::BTreeMap;

use apq_onnx::supernet::Supernet;
use apq_search::space::{Architecture, Design, Policy};
use rayon::prelude::*;

use super::CompareError;
use crate::compile::{Progress, Stage};
use crate::data::Dataset;
use crate::dataset::{Quantization, Subject};
use crate::lower::RawInput;
use crate::supernet::{Images, TrialError, calibrate};

/// What designs are measured with.
pub struct Workbench<'a> {
    /// Where subnets come from.
    pub supernet: &'a Supernet,
    /// Samples that calibrate norms.
    pub norms: &'a Images,
    /// Samples that give the ranges of activations, as the network takes them.
    pub ranges: &'a [Vec<f32>],
    /// How networks are quantized.
    pub quantization: Quantization,
    /// What raw samples are.
    pub input: &'a RawInput,
}

/// Accuracies by design.
#[derive(Debug, Clone, Default)]
pub struct Measures(BTreeMap<Design, f64>);

impl Measures {
    /// Share of the samples whose label is the top class.
    pub fn of(&self, design: &Design) -> Option<f64> {
        self.0.get(design).copied()
    }
}

impl Workbench<'_> {
    /// Measures designs on labelled samples, each once. The progress has a step for each.
    ///
    /// # Errors
    /// A design is not of the space, or cannot be lowered.
    pub fn measure<'d>(
        &self,
        designs: impl Iterator<Item = &'d Design>,
        data: &Dataset,
        progress: &dyn Progress,
    ) -> Result<Measures, CompareError> {
        let mut by_architecture: BTreeMap<&Architecture, Vec<&Policy>> = BTreeMap::new();
        for design in designs {
            let policies = by_architecture.entry(&design.architecture).or_default();
            if !policies.contains(&&design.policy) {
                policies.push(&design.policy);
            }
        }
        progress.begin(Stage::Check, by_architecture.values().map(Vec::len).sum());
        let of_architecture = |(architecture, policies): (&&Architecture, &Vec<&Policy>)| {
            let mut subnet = self.supernet.extract(architecture).map_err(TrialError::from)?;
            calibrate(&mut subnet, self.norms).map_err(TrialError::from)?;
            let subject = Subject::new(&subnet, self.ranges, self.quantization)?;
            let mut measured = Vec::new();
            for policy in policies {
                let accuracy = subject.accuracy(policy, self.input, data)?;
                measured.push((Design { architecture: (*architecture).clone(), policy: (*policy).clone() }, accuracy));
                progress.step();
            }
            Ok(measured)
        };
        let measured: Vec<Vec<(Design, f64)>> = by_architecture.par_iter().map(of_architecture).collect::<Result<_, CompareError>>()?;
        Ok(Measures(measured.into_iter().flatten().collect()))
    }
}
