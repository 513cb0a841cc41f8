//! What a training of a supernet is asked to do, and how far it has come: what its checkpoint says beside the weights.

use apq_search::space::Space;
use serde::{Deserialize, Serialize};

use crate::data::Preprocess;
use crate::network::Elastic;

/// One phase of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// Forward and backward passes of a step.
    pub fn passes(self) -> u32 {
        if self == Self::Full { 1 } else { 2 }
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
    /// [`Images::sha256`](crate::data::Images::sha256) of the training images, those that are held out among them.
    pub images: String,
    /// How many of them are held out: [`Images::split`](crate::data::Images::split) by the recipe's seed.
    pub validation: usize,
    /// Epochs that are finished, over all phases.
    pub epochs_done: u32,
}

impl State {
    /// This state under the recipe of `asked`, which may differ in epochs and rates of phases that are not finished.
    ///
    /// # Errors
    /// The first difference that may not be.
    pub fn continued(&self, asked: &Self) -> Result<Self, Difference> {
        let (mut recipe, mut before) = (self.recipe.clone(), 0u32);
        for (phase, epochs) in self.recipe.epochs.into_iter().enumerate() {
            let done = self.epochs_done.saturating_sub(before);
            if done == 0 || done < epochs {
                recipe.epochs[phase] = asked.recipe.epochs[phase];
                recipe.rates[phase] = asked.recipe.rates[phase];
                if recipe.epochs[phase] < done {
                    return Err(Difference::Epochs { phase: Phase::ALL[phase].name(), done });
                }
            }
            before = before.saturating_add(epochs);
        }
        let differences = [
            (self.space != asked.space, Difference::Space),
            (self.images != asked.images, Difference::Images),
            (self.validation != asked.validation, Difference::Validation { own: self.validation }),
            (recipe != asked.recipe, Difference::Recipe),
            (self.preprocess != asked.preprocess, Difference::Preprocess),
        ];
        match differences.into_iter().find(|(differs, _)| *differs) {
            Some((_, difference)) => Err(difference),
            None => Ok(Self { recipe, ..self.clone() }),
        }
    }
}

/// Why a training is not the one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// [`State::space`].
    #[error("another search space")]
    Space,
    /// [`State::images`].
    #[error("other training images")]
    Images,
    /// [`State::validation`].
    #[error("{own} held-out images")]
    Validation {
        /// Of the training that is there.
        own: usize,
    },
    /// [`State::recipe`], as far as it is used up.
    #[error("another recipe: batch, rates, decay, smoothing, augmentation, seed or epochs of finished phases differ")]
    Recipe,
    /// [`State::preprocess`].
    #[error("another preprocessing")]
    Preprocess,
    /// The phase is further than it is asked to go.
    #[error("{done} epochs in phase `{phase}`")]
    Epochs {
        /// The phase's name.
        phase: &'static str,
        /// Its finished epochs.
        done: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(epochs: [u32; 4], done: u32) -> State {
        let recipe = Recipe {
            epochs,
            rates: [0.1, 0.2, 0.3, 0.4],
            batch: 32,
            momentum: 0.9,
            weight_decay: 1e-4,
            label_smoothing: 0.1,
            shift: 2,
            mirror: true,
            seed: 1,
        };
        let preprocess = Preprocess { mean: 0.0, std: 1.0 };
        State { space: Space::fashion(), recipe, preprocess, images: "a".repeat(64), validation: 10, epochs_done: done }
    }

    #[test]
    fn phases_that_are_not_finished_may_change() {
        // Two of three epochs of the second phase are done.
        let found = state([4, 3, 0, 5], 6);
        let epochs = |epochs| found.continued(&state(epochs, 0)).map(|state| state.recipe.epochs);
        for asked in [[4, 3, 0, 5], [4, 2, 0, 5], [4, 9, 2, 0]] {
            assert_eq!(epochs(asked), Ok(asked));
        }
        assert_eq!(epochs([4, 1, 0, 5]), Err(Difference::Epochs { phase: "kernel", done: 2 }));
        assert_eq!(epochs([3, 3, 0, 5]), Err(Difference::Recipe));
        let mut asked = state([4, 3, 0, 5], 0);
        asked.recipe.rates = [0.1, 0.7, 0.8, 0.9];
        assert_eq!(found.continued(&asked), Ok(State { epochs_done: 6, ..asked.clone() }));
        asked.recipe.rates[0] = 0.2;
        assert_eq!(found.continued(&asked), Err(Difference::Recipe));
        // The last phase is finished: it does not grow.
        assert_eq!(state([1, 0, 0, 1], 2).continued(&state([1, 0, 0, 2], 0)), Err(Difference::Recipe));
    }

    #[test]
    fn other_data_are_another_training() {
        let found = state([1, 1, 1, 1], 2);
        let refused = |change: fn(&mut State)| {
            let mut asked = state([1, 1, 1, 1], 0);
            change(&mut asked);
            found.continued(&asked).unwrap_err()
        };
        assert_eq!(refused(|asked| asked.images = "b".repeat(64)), Difference::Images);
        assert_eq!(refused(|asked| asked.validation = 11), Difference::Validation { own: 10 });
        assert_eq!(refused(|asked| asked.preprocess.mean = 1.0), Difference::Preprocess);
        assert_eq!(refused(|asked| asked.recipe.seed = 2), Difference::Recipe);
        assert_eq!(refused(|asked| asked.space.head += 8), Difference::Space);
    }
}
