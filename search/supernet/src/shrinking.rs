//! Progressive shrinking: the full network first, then elastic kernels, depth and width, each subnet learning from the full network.
//!
//! Source: "Once-for-All: Train One Network and Specialize it for Efficient Deployment", section 3, as used by APQ, section 3.1. In every phase but the first
//! a step trains the full network on the labels and a random subnet of what is open on the full network's answers, so that the full network keeps
//! improving while it teaches.

use std::collections::BTreeMap;
use std::time::Instant;

use apq_search::space::{Architecture, Space};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use crate::data::{Augment, Images, Preprocess, permutation};
use crate::depthwise::Pending;
use crate::network::{Elastic, Norms, Supernet};
use crate::optimizer::Sgd;

/// One phase of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The full network alone.
    Full,
    /// Kernels open.
    Kernel,
    /// Kernels and depth open.
    Depth,
    /// Kernels, depth and width open.
    Width,
}

impl Phase {
    /// In the order of training.
    pub const ALL: [Self; 4] = [Self::Full, Self::Kernel, Self::Depth, Self::Width];

    /// What is open.
    pub fn open(self) -> Elastic {
        Elastic { kernel: self >= Self::Kernel, depth: self >= Self::Depth, width: self >= Self::Width }
    }

    /// As written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Kernel => "kernel",
            Self::Depth => "depth",
            Self::Width => "width",
        }
    }
}

impl PartialOrd for Phase {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (*self as u8).partial_cmp(&(*other as u8))
    }
}

/// What decides how a supernet is trained, beside the data and the space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Epochs of each phase, in the order of [`Phase::ALL`].
    pub epochs: [u32; 4],
    /// Learning rate at the beginning of each phase; it falls to zero along a cosine.
    pub rates: [f64; 4],
    /// Images of a step.
    pub batch: usize,
    /// Share of the last step that is kept.
    pub momentum: f64,
    /// Of convolution and classifier weights.
    pub weight_decay: f64,
    /// Probability that goes to all classes alike.
    pub label_smoothing: f64,
    /// Pixels by which images are shifted.
    pub shift: usize,
    /// Whether images are mirrored.
    pub mirror: bool,
    /// Of everything that is drawn.
    pub seed: u64,
}

/// How far a run has come. The next epoch follows from this alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What is trained.
    pub space: Space,
    /// How.
    pub recipe: Recipe,
    /// Raw values to inputs.
    pub preprocess: Preprocess,
    /// Epochs that are finished, over all phases.
    pub epochs_done: u32,
}

impl State {
    /// This state under the recipe of `asked`, which may differ in epochs and rates of phases that have not begun; `None` where it differs in more.
    pub fn continued(&self, asked: &Self) -> Option<Self> {
        let (mut recipe, mut before) = (self.recipe.clone(), 0);
        for (phase, epochs) in self.recipe.epochs.into_iter().enumerate() {
            if self.epochs_done <= before {
                recipe.epochs[phase] = asked.recipe.epochs[phase];
                recipe.rates[phase] = asked.recipe.rates[phase];
            }
            before += epochs;
        }
        let state = Self { recipe, ..self.clone() };
        (Self { epochs_done: asked.epochs_done, ..state.clone() } == *asked).then_some(state)
    }
}

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

/// A checkpoint without a parameter of the space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint has no parameter `{name}` of shape {shape:?}")]
pub struct RestoreError {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
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
    pub fn new(space: Space, recipe: Recipe, preprocess: Preprocess, device: Device) -> Self {
        let supernet = Supernet::new(space.clone(), recipe.seed, device);
        Self { supernet, moments: BTreeMap::new(), state: State { space, recipe, preprocess, epochs_done: 0 } }
    }

    /// Goes on from a checkpoint of the same space and recipe.
    ///
    /// # Errors
    /// A parameter is missing or has another shape; its name is in the error.
    pub fn restore(
        &mut self,
        parameters: BTreeMap<String, Tensor>,
        moments: BTreeMap<String, Tensor>,
        state: State,
    ) -> Result<(), RestoreError> {
        let device = self.supernet.device();
        for (name, parameter) in &mut self.supernet.parameters {
            let kept = parameters.get(name).filter(|kept| kept.size() == parameter.size());
            let kept = kept.ok_or_else(|| RestoreError { name: name.clone(), shape: parameter.size() })?;
            tch::no_grad(|| parameter.copy_(kept));
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
            self.supernet.sort_channels(&mut self.moments);
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
            if phase != Phase::Full {
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
