//! The training itself.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use tch::nn::{Adam, OptimizerConfig};
use tch::{Kind, TchError, Tensor};

use super::Quantized;
use super::network::Pass;
use crate::data::{Augment, Images, Preprocess, permutation};
use crate::depthwise::Pending;

/// Images that are evaluated at once.
const EVALUATION_BATCH: usize = 250;
/// Weight of the float subnet's answers beside the labels.
const TEACHER: f64 = 0.5;

/// How a subnet is fine-tuned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Course {
    /// Steps.
    pub steps: usize,
    /// Images of a step.
    pub batch: usize,
    /// Learning rate of Adam at the beginning; it falls to zero along a cosine.
    pub rate: f64,
    /// Steps after which ranges are fitted anew.
    pub refit: usize,
    /// Order of the images.
    pub seed: u64,
}

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Record {
    /// From 1.
    pub step: usize,
    /// Of the quantized subnet, against labels and the float subnet's answers.
    pub loss: f64,
}

/// Trains `network`; ranges are fitted to `calibration` `[N, C, H, W]`. `tick` is called after each step.
///
/// # Errors
/// libtorch.
pub fn train(
    network: &mut Quantized,
    course: &Course,
    (images, preprocess, augment): (&Images, Preprocess, Augment),
    calibration: &Tensor,
    mut tick: impl FnMut(Record),
) -> Result<(), TchError> {
    let device = network.device();
    let mut rng = ChaCha8Rng::seed_from_u64(course.seed);
    let mut optimizer = Adam::default().build(network.store(), course.rate)?;
    let mut order: Vec<usize> = Vec::new();
    for step in 0..course.steps {
        let progress = step as f64 / course.steps.max(1) as f64;
        optimizer.set_lr(course.rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()));
        if step > 0 && step % course.refit.max(1) == 0 {
            network.fit(calibration);
        }
        if order.len() < course.batch {
            order = permutation(images.len(), &mut rng);
        }
        let indices = order.split_off(order.len().saturating_sub(course.batch));
        let (x, labels) = images.batch(&indices, preprocess, Some((augment, &mut rng)));
        let (x, labels) = (x.to_device(device), labels.to_device(device));
        let answers = tch::no_grad(|| network.forward(&x, &mut Pass::Float).softmax(-1, Kind::Float));
        optimizer.zero_grad();
        let mut pending = Pending::default();
        let guesses = network.forward(&x, &mut Pass::Train(&mut pending)).log_softmax(-1, Kind::Float);
        let labelled = guesses.nll_loss(&labels);
        let taught = (answers * &guesses).sum(Kind::Float) / -(indices.len() as f64);
        let loss = labelled * (1.0 - TEACHER) + taught * TEACHER;
        loss.backward();
        pending.finish();
        optimizer.step();
        tick(Record { step: step + 1, loss: loss.double_value(&[]) });
    }
    network.fit(calibration);
    Ok(())
}

/// Share of `images` that the network classifies as labelled: with codes, or in floats as it came.
#[must_use]
pub fn accuracy(network: &Quantized, images: &Images, preprocess: Preprocess, codes: bool) -> f64 {
    let order: Vec<usize> = (0..images.len()).collect();
    let correct = order.chunks(EVALUATION_BATCH).map(|indices| {
        let (x, labels) = images.batch(indices, preprocess, None);
        let mut pass = if codes { Pass::Codes } else { Pass::Float };
        let logits = tch::no_grad(|| network.forward(&x.to_device(network.device()), &mut pass));
        logits.argmax(-1, false).eq_tensor(&labels.to_device(network.device())).sum(Kind::Double).double_value(&[])
    });
    correct.sum::<f64>() / images.len().max(1) as f64
}
