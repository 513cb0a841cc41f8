//! Answers that were given before.

use alloc::collections::BTreeMap;
use core::cell::{Cell, RefCell};

use crate::{Cost, CostError, CostModel, LayerKey};

/// A cost model with a memory: each key is asked of the inner model once.
///
/// For one thread. Threads that share costs precompute them with [`crate::Table::from_model`], which gives the same answers.
#[derive(Debug)]
pub struct Memo<M> {
    model: M,
    answers: RefCell<BTreeMap<LayerKey, Result<Cost, CostError>>>,
    misses: Cell<usize>,
}

impl<M: CostModel> Memo<M> {
    /// An empty memory over `model`.
    pub fn new(model: M) -> Self {
        Self { model, answers: RefCell::new(BTreeMap::new()), misses: Cell::new(0) }
    }

    /// How often the inner model was asked.
    #[must_use]
    pub fn misses(&self) -> usize {
        self.misses.get()
    }

    /// The inner model, without the memory.
    pub fn into_inner(self) -> M {
        self.model
    }
}

impl<M: CostModel> CostModel for Memo<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError> {
        if let Some(answer) = self.answers.borrow().get(key) {
            return answer.clone();
        }
        // Nothing is borrowed while the model runs, so that a model may ask this memo in turn.
        let answer = self.model.cost(key);
        self.misses.set(self.misses.get() + 1);
        self.answers.borrow_mut().insert(key.clone(), answer.clone());
        answer
    }

    fn estimates(&self, key: &LayerKey) -> bool {
        self.model.estimates(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Table};

    #[test]
    fn each_key_is_asked_once() {
        let bits = Candidate::new(8, 8).unwrap();
        let memo = Memo::new(Table::new("empty"));
        let key = LayerKey::fully_connected(1, 2, 3, bits);
        let other = LayerKey::fully_connected(1, 2, 4, bits);
        for _ in 0..3 {
            assert!(matches!(memo.cost(&key), Err(CostError::Missing { .. })));
        }
        assert!(memo.cost(&other).is_err());
        assert_eq!(memo.misses(), 2);
        assert_eq!(memo.name(), "empty");
    }
}
