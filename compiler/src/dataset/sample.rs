//! Evaluates the points of a dataset that are not there yet.

use std::sync::{Mutex, PoisonError};

use apq_onnx::supernet::{Subnet, Supernet, SupernetError};
use apq_search::space::record::{Header, Point};
use apq_search::space::{Architecture, Choices, Design};
use rayon::prelude::*;

use super::error::DatasetError;
use super::file::{Contents, DatasetFile};
use super::subject::{Quantization, Subject};
use crate::compile::{CompileError, Progress, Stage};
use crate::data::Dataset;
use crate::lower::RawInput;
use crate::network::Network;
use crate::supernet::{FloatSubnet, Images, calibrate};

/// Why points could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The file.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The subnet.
    #[error(transparent)]
    Supernet(#[from] SupernetError),
    /// The network, quantized.
    #[error("point {index}")]
    Point {
        /// The point.
        index: u64,
        /// What went wrong.
        source: CompileError,
    },
    /// Its fine-tuning.
    #[error("point {index}: fine-tuning failed: {reason}")]
    Tune {
        /// The point.
        index: u64,
        /// What went wrong.
        reason: String,
    },
    /// A point of the file is not what its header says.
    #[error("point {0} of the file is another design than this tool draws for its header; begin a new file")]
    OtherDesign(u64),
    /// A header that asks for something else than the bench measures.
    #[error("internal: the dataset's kind is not what is measured")]
    Kind,
}

/// What points are evaluated on.
pub struct Bench<'a> {
    /// Where subnets come from.
    pub supernet: &'a Supernet,
    /// Labelled samples that measure.
    pub data: &'a Dataset,
    /// Samples that calibrate norms.
    pub norms: &'a Images,
    /// What measures, and how.
    pub measure: Measure<'a>,
}

/// How a network is measured.
pub enum Measure<'a> {
    /// In floats, on the samples of [`Bench::data`].
    Float(&'a Images),
    /// As integers.
    Integer {
        /// Samples that give the ranges of activations, as the network takes them.
        ranges: &'a [Vec<f32>],
        /// How networks are quantized.
        quantization: Quantization,
        /// What raw samples are.
        input: &'a RawInput,
        /// Trains each network with its quantizers before it is measured.
        tuner: Option<&'a dyn Tuner>,
    },
}

/// Trains the networks of designs.
pub trait Tuner: Sync {
    /// The network of a design after training with its quantizers, as ONNX; nodes have the names of the subnet's.
    ///
    /// # Errors
    /// What went wrong, for people.
    fn tune(&self, design: &Design) -> Result<Vec<u8>, String>;
}

/// Evaluates the points of a file's shard that it does not have, each appended when it is finished; `choices` are those of the header's target.
///
/// # Errors
/// The file cannot be written, or a network cannot be quantized. What was finished before is in the file.
pub fn sample(bench: &Bench<'_>, choices: &Choices, file: DatasetFile, progress: &dyn Progress) -> Result<Contents, SampleError> {
    let header = file.header().clone();
    let space = bench.supernet.space();
    for (index, point) in file.points() {
        if header.design(space, choices, *index) != (point.architecture.clone(), point.policy.clone()) {
            return Err(SampleError::OtherDesign(*index));
        }
    }
    // Points of one architecture each.
    let mut units: Vec<Vec<u64>> = Vec::new();
    for index in (0..header.points).filter(|index| header.holds(*index) && !file.points().contains_key(index)) {
        match units.last_mut() {
            Some(unit) if header.unit(unit[0]) == header.unit(index) => unit.push(index),
            _ => units.push(vec![index]),
        }
    }
    progress.begin(Stage::Sample, units.iter().map(Vec::len).sum());
    let file = Mutex::new(file);
    units.par_iter().try_for_each(|unit| {
        bench.unit(&header, choices, unit, &|point| {
            file.lock().unwrap_or_else(PoisonError::into_inner).append(point)?;
            progress.step();
            Ok(())
        })
    })?;
    Ok(file.into_inner().unwrap_or_else(PoisonError::into_inner).close()?)
}

impl Bench<'_> {
    /// Evaluates points of one architecture.
    fn unit(
        &self,
        header: &Header,
        choices: &Choices,
        unit: &[u64],
        finished: &dyn Fn(Point) -> Result<(), DatasetError>,
    ) -> Result<(), SampleError> {
        let mut subject = None;
        for &index in unit {
            let (architecture, policy) = header.design(self.supernet.space(), choices, index);
            let accuracy = match (&self.measure, &policy) {
                (Measure::Integer { tuner: Some(tuner), ranges, quantization, input }, Some(policy)) => {
                    let design = Design { architecture: architecture.clone(), policy: policy.clone() };
                    let onnx = tuner.tune(&design).map_err(|reason| SampleError::Tune { index, reason })?;
                    let failed = |source| SampleError::Point { index, source };
                    let network = Network::load(&onnx, "tuned", None, |_, _, _| ()).map_err(|error| failed(error.into()))?;
                    let subject = Subject::of_graph(network.graph, self.supernet.space(), ranges, *quantization).map_err(failed)?;
                    subject.accuracy(policy, input, self.data).map_err(failed)?
                }
                (Measure::Integer { ranges, quantization, input, .. }, Some(policy)) => {
                    let subject = match &mut subject {
                        Some(subject) => subject,
                        none => {
                            let made = Subject::new(&self.subnet(&architecture)?, ranges, *quantization);
                            none.insert(made.map_err(|source| SampleError::Point { index, source })?)
                        }
                    };
                    subject.accuracy(policy, input, self.data).map_err(|source| SampleError::Point { index, source })?
                }
                (Measure::Float(images), None) => {
                    FloatSubnet::new(&self.subnet(&architecture)?).accuracy(images, self.data.labels().unwrap_or_default())
                }
                _ => return Err(SampleError::Kind),
            };
            finished(Point { index, architecture, policy, accuracy })?;
        }
        Ok(())
    }

    /// A subnet with norms of its own.
    fn subnet(&self, architecture: &Architecture) -> Result<Subnet, SupernetError> {
        let mut subnet = self.supernet.extract(architecture)?;
        calibrate(&mut subnet, self.norms)?;
        Ok(subnet)
    }
}
