//! A table, and who answers for what it does not hold.

use crate::{Cost, CostError, CostModel, LayerKey, Table};

/// A table before a model: layers that the table says nothing about are the model's.
///
/// What the table says stays, also that a layer is not modelled. Nothing is interpolated: where both are silent, the
/// layer is missing, by the table's name.
#[derive(Debug, Clone)]
pub struct WithFallback<'t, M> {
    table: &'t Table,
    model: M,
}

impl<'t, M: CostModel> WithFallback<'t, M> {
    /// The table before the model.
    pub fn new(table: &'t Table, model: M) -> Self {
        Self { table, model }
    }
}

impl<M: CostModel> CostModel for WithFallback<'_, M> {
    fn name(&self) -> &str {
        self.table.name()
    }

    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError> {
        let ours = self.table.cost(key);
        match &ours {
            Err(CostError::Missing { .. }) => match self.model.cost(key) {
                Err(CostError::Missing { .. }) => ours,
                theirs => theirs,
            },
            _ => ours,
        }
    }

    fn estimates(&self, key: &LayerKey) -> bool {
        if self.table.answer(key).is_some() { self.table.estimates(key) } else { self.model.estimates(key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Entry, Provenance};

    fn key(outputs: u32) -> LayerKey {
        LayerKey::fully_connected(1, 1, outputs, Candidate::new(8, 8).unwrap())
    }

    fn table(name: &str, costs: &[(u32, u64)]) -> Table {
        let mut table = Table::new(name);
        for &(outputs, cycles) in costs {
            let provenance = Provenance::Imported { source: name.into() };
            table.insert(key(outputs), Entry { cost: Cost { cycles: Some(cycles), ..Cost::default() }, provenance }).unwrap();
        }
        table
    }

    #[test]
    fn the_table_comes_first_and_the_model_next() {
        let mut first = table("first", &[(1, 10)]);
        first.insert_not_modelled(key(4), "no").unwrap();
        let mut second = table("second", &[(1, 11), (2, 20), (4, 40)]);
        second.insert_not_modelled(key(5), "neither").unwrap();
        let both = WithFallback::new(&first, &second);
        assert_eq!(both.name(), "first");
        assert_eq!(both.cost(&key(1)).unwrap().cycles, Some(10));
        assert_eq!(both.cost(&key(2)).unwrap().cycles, Some(20));
        assert!(matches!(both.cost(&key(3)), Err(CostError::Missing { model, .. }) if model == "first"));
        assert!(matches!(both.cost(&key(4)), Err(CostError::NotModelled { model, .. }) if model == "first"));
        assert!(matches!(both.cost(&key(5)), Err(CostError::NotModelled { model, .. }) if model == "second"));
        let mut invalid = key(1);
        invalid.groups = 0;
        assert!(matches!(both.cost(&invalid), Err(CostError::Invalid { .. })));
    }
}
