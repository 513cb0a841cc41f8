//! Progressive shrinking: the full network first, then elastic kernels, depth and width, each subnet learning from the full network.
//!
//! Source: "Once-for-All: Train One Network and Specialize it for Efficient Deployment", section 3, as used by APQ, section 3.1. In every phase but the first
//! a step trains the full network on the labels and a random subnet of what is open on the full network's answers, so that the full network keeps
//! improving while it teaches.

use std::collections::BTreeMap;
use std::time::Instant;

use apq_search::space::Architecture;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use tch::{Device, Kind, Reduction, Tensor};

use crate::data::{Augment, Images, permutation};
use crate::depthwise::Pending;
use crate::network::{Elastic, Norms, Supernet};
use crate::optimizer::Sgd;
use crate::recipe::{Phase, State};

/// What an epoch brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochRecord {
    /// Over all phases, from 1.
    pub epoch: u32,
    /// Its phase.
    pub phase: &'static str,
    /// Learning rate of its last step.
    pub rate: f64,
    /// Mean loss of the full network.
    pub loss_full: f64,
    /// Mean loss of the subnets against the full network's answers; 0 in the first phase.
    pub loss_subnets: f64,
    /// Of the full network on the held-out images.
    pub accuracy_largest: f64,
    /// Of the smallest subnet that is open, on the held-out images.
    pub accuracy_smallest: f64,
    /// Of the epoch, evaluation included.
    pub seconds: f64,
}

/// A checkpoint whose tensors are not those of its space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// One of the space's is missing, or has another shape.
    #[error("the checkpoint has no parameter `{name}` of shape {shape:?}")]
    Parameter {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<i64>,
    },
    /// A moment of no parameter, or of another shape than its parameter.
    #[error("the checkpoint has a moment `{name}` of shape {shape:?}, and no such parameter")]
    Moment {
        /// The parameter that it names.
        name: String,
        /// Its shape.
        shape: Vec<i64>,
    },
}

/// Training images that statistics of norms are taken from.
pub const CALIBRATION_IMAGES: usize = 512;
/// Images that are evaluated at once.
const EVALUATION_BATCH: usize = 250;
/// Every so many steps the subnet is the smallest one instead of a random one.
const SMALLEST_EVERY: usize = 4;
/// Epochs over which the learning rate rises.
const WARM_UP: f64 = 0.5;

/// A supernet in training.
pub struct Training {
    /// Its weights.
    pub supernet: Supernet,
    /// Moments of the optimizer.
    pub moments: BTreeMap<String, Tensor>,
    /// How far it has come.
    pub state: State,
}

impl Training {
    /// Before the first epoch.
    pub fn new(state: State, device: Device) -> Self {
        let supernet = Supernet::new(state.space.clone(), state.recipe.seed, device);
        Self { supernet, moments: BTreeMap::new(), state: State { epochs_done: 0, ..state } }
    }

    /// Goes on from a checkpoint of the same space. A training that is refused stays as it is.
    ///
    /// # Errors
    /// A parameter is missing or has another shape, or a moment belongs to none; its name is in the error.
    pub fn restore(
        &mut self,
        parameters: BTreeMap<String, Tensor>,
        moments: BTreeMap<String, Tensor>,
        state: State,
    ) -> Result<(), RestoreError> {
        let device = self.supernet.device();
        let own = &mut self.supernet.parameters;
        let fits = |name: &str, tensor: &Tensor| own.get(name).is_some_and(|parameter| parameter.size() == tensor.size());
        if let Some((name, moment)) = moments.iter().find(|(name, moment)| !fits(name, moment)) {
            return Err(RestoreError::Moment { name: name.clone(), shape: moment.size() });
        }
        if let Some((name, parameter)) = own.iter().find(|(name, own)| parameters.get(*name).is_none_or(|kept| kept.size() != own.size())) {
            return Err(RestoreError::Parameter { name: name.clone(), shape: parameter.size() });
        }
        for (name, parameter) in own {
            if let Some(kept) = parameters.get(name) {
                tch::no_grad(|| parameter.copy_(kept));
            }
        }
        self.moments = moments.into_iter().map(|(name, moment)| (name, moment.to_device(device))).collect();
        self.state = state;
        Ok(())
    }

    /// Whether an epoch with elastic widths has begun, before which the channels of each expansion are sorted.
    pub fn has_sorted_channels(&self) -> bool {
        let [before @ .., _] = self.state.recipe.epochs;
        self.state.epochs_done > before.iter().sum()
    }

    /// Whether every parameter is a finite number: no training comes back from one that is not.
    pub fn is_finite(&self) -> bool {
        self.supernet.parameters.values().all(|parameter| parameter.isfinite().all().int64_value(&[]) != 0)
    }

    /// The phase of the next epoch, and the number of epochs of that phase that are done; `None` when everything is.
    pub fn next(&self) -> Option<(Phase, u32)> {
        let mut done = self.state.epochs_done;
        for (phase, epochs) in Phase::ALL.into_iter().zip(self.state.recipe.epochs) {
            if done < epochs {
                return Some((phase, done));
            }
            done -= epochs;
        }
        None
    }

    /// Trains one epoch; `step` is called with the number of images seen. `None` when everything is done.
    pub fn epoch(&mut self, train: &Images, held_out: &Images, mut step: impl FnMut(usize)) -> Option<EpochRecord> {
        let (phase, done) = self.next()?;
        let start = Instant::now();
        let recipe = self.state.recipe.clone();
        let (phase_epochs, rate_max) = (recipe.epochs[phase as usize], recipe.rates[phase as usize]);
        // The moments speak of another loss.
        if done == 0 {
            self.moments.clear();
        }
        if done == 0 && phase == Phase::Width {
            self.supernet.sort_channels();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        rng.set_stream(1 + u64::from(self.state.epochs_done));
        let order = permutation(train.len(), &mut rng);
        let sgd = Sgd { momentum: recipe.momentum, weight_decay: recipe.weight_decay };
        let augment = Augment { shift: recipe.shift, mirror: recipe.mirror };
        let Elastic { depth, kernel, width } = phase.open();
        let largest = self.supernet.space.largest();
        let smallest = self.supernet.space.smallest_in(depth, kernel, width);
        // A last batch that is not full would have norms of its own.
        let steps = (order.len() / recipe.batch).max(1);
        let (mut loss_full, mut loss_subnets, mut rate) = (0.0, 0.0, 0.0);
        for (at, indices) in order.chunks(recipe.batch).take(steps).enumerate() {
            let progress = (f64::from(done) + at as f64 / steps as f64) / f64::from(phase_epochs);
            let warm = ((f64::from(done) + (at + 1) as f64 / steps as f64) / WARM_UP).min(1.0);
            rate = rate_max * warm * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
            let (images, labels) = train.batch(indices, self.state.preprocess, Some((augment, &mut rng)));
            let (images, labels) = (images.to_device(self.supernet.device()), labels.to_device(self.supernet.device()));
            let mut pending = Pending::default();
            let logits = self.supernet.forward(&largest, &images, &mut Norms::Train(&mut pending));
            let loss = logits.cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, recipe.label_smoothing);
            loss.backward();
            pending.finish();
            loss_full += loss.double_value(&[]);
            if phase > Phase::Full {
                let random = self.supernet.sample(phase.open(), &mut rng);
                let subnet = if at % SMALLEST_EVERY == 0 { &smallest } else { &random };
                let answers = logits.detach().softmax(-1, Kind::Float);
                let mut pending = Pending::default();
                let logits = self.supernet.forward(subnet, &images, &mut Norms::Train(&mut pending));
                let loss = (answers * logits.log_softmax(-1, Kind::Float)).sum(Kind::Float) / -(indices.len() as f64);
                loss.backward();
                pending.finish();
                loss_subnets += loss.double_value(&[]);
            }
            sgd.step(&mut self.supernet.parameters, &mut self.moments, rate);
            step(indices.len());
        }
        self.state.epochs_done += 1;
        let accuracy = |architecture| accuracy(&self.supernet, architecture, train, held_out, &self.state);
        let accuracy_largest = accuracy(&largest);
        let accuracy_smallest = if smallest == largest { accuracy_largest } else { accuracy(&smallest) };
        Some(EpochRecord {
            epoch: self.state.epochs_done,
            phase: phase.name(),
            rate,
            loss_full: loss_full / steps as f64,
            loss_subnets: loss_subnets / steps as f64,
            accuracy_largest,
            accuracy_smallest,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// Share of `images` that a subnet classifies as labelled, its norms calibrated on the first images of `train`.
pub fn accuracy(supernet: &Supernet, architecture: &Architecture, train: &Images, images: &Images, state: &State) -> f64 {
    let calibration: Vec<usize> = (0..train.len().min(CALIBRATION_IMAGES)).collect();
    let (calibration, _) = train.batch(&calibration, state.preprocess, None);
    let device = supernet.device();
    let statistics = supernet.calibrate(architecture, &calibration.to_device(device));
    let order: Vec<usize> = (0..images.len()).collect();
    let correct: f64 = order
        .chunks(EVALUATION_BATCH)
        .map(|indices| {
            let (x, y) = images.batch(indices, state.preprocess, None);
            let logits = tch::no_grad(|| supernet.forward(architecture, &x.to_device(device), &mut Norms::Fixed(&statistics)));
            logits.argmax(-1, false).eq_tensor(&y.to_device(device)).sum(Kind::Double).double_value(&[])
        })
        .sum();
    correct / images.len().max(1) as f64
}

/// `count` random subnets of the whole space, drawn by `seed`.
pub fn random_subnets(supernet: &Supernet, count: usize, seed: u64) -> Vec<Architecture> {
    // A stream that no epoch uses.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX);
    (0..count).map(|_| supernet.sample(Phase::Width.open(), &mut rng)).collect()
}
