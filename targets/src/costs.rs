//! Who answers for the costs of a target's layers.

use alloc::boxed::Box;

use apq_lut::{CostModel, Memo, Table, WithFallback};

use crate::{BitFusion, CostSource, Target};

impl Target {
    /// The cost model of the target with a lookup table that the user or the target names; `None` where only bit
    /// operations are known.
    ///
    /// The table answers for the layers that it holds. For the others answers BitFusion's model on a target of that kind,
    /// and nobody on the others: a layer that no one answers for is an error, never an estimate.
    #[must_use]
    pub fn cost_model<'t>(&self, table: Option<&'t Table>) -> Option<Box<dyn CostModel + 't>> {
        match (self.cost_source(), table) {
            (CostSource::BitFusion, Some(table)) => Some(Box::new(WithFallback::new(table, Memo::new(BitFusion)))),
            (CostSource::BitFusion, None) => Some(Box::new(Memo::new(BitFusion))),
            (CostSource::Table | CostSource::Bops, Some(table)) => Some(Box::new(table)),
            (CostSource::Table | CostSource::Bops, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use apq_lut::{Candidate, Cost, CostError, Entry, LayerKey, Provenance};

    use super::*;

    #[test]
    fn a_table_answers_first_and_the_targets_own_model_for_the_rest() {
        let bits = Candidate::new(8, 8).unwrap();
        let conv = |outputs| LayerKey::conv([8, 8], 16, outputs, [3, 3], [1, 1], [1; 4], bits).unwrap();
        let mut table = Table::new("mine");
        let entry = Entry {
            cost: Cost { cycles: Some(7), latency_ns: Some(14.0), energy_nj: Some(1.0) },
            provenance: Provenance::Imported { source: "me".into() },
        };
        table.insert(conv(16), entry.clone()).unwrap();
        let bitfusion = Target::builtin("bitfusion").unwrap();
        let model = bitfusion.cost_model(Some(&table)).unwrap();
        assert_eq!(model.cost(&conv(16)), Ok(entry.cost));
        assert_eq!(model.cost(&conv(32)), BitFusion.cost(&conv(32)));
        assert_eq!(bitfusion.cost_model(None).unwrap().cost(&conv(16)), BitFusion.cost(&conv(16)));
        let host = Target::builtin("host").unwrap();
        assert!(host.cost_model(None).is_none());
        let model = host.cost_model(Some(&table)).unwrap();
        assert_eq!(model.cost(&conv(16)), Ok(entry.cost));
        assert!(matches!(model.cost(&conv(32)), Err(CostError::Missing { .. })));
    }
}
