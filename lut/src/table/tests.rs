//! What tables take, answer and estimate.

use super::*;
use alloc::vec::Vec;

use crate::{Candidate, Operator, Unit, total};

fn entry(cost: Cost) -> Entry {
    Entry { cost, provenance: Provenance::Imported { source: "test".into() } }
}

fn key(outputs: u32) -> LayerKey {
    LayerKey::fully_connected(1, 8, outputs, Candidate::new(8, 8).unwrap())
}

#[test]
fn what_cannot_be_an_entry_is_refused_with_its_key() {
    let mut table = Table::new("t");
    table.insert(key(1), entry(Cost::ZERO)).unwrap();
    let duplicate = table.insert(key(1), entry(Cost::ZERO)).unwrap_err();
    assert_eq!(duplicate, TableError::Duplicate(Box::new(key(1))));
    assert!(duplicate.to_string().contains("1x8 -> 1x1"), "{duplicate}");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let latency = Cost { latency_ns: Some(bad), ..Cost::ZERO };
        let energy = Cost { energy_nj: Some(bad), ..Cost::ZERO };
        for cost in [latency, energy] {
            let error = table.insert(key(2), entry(cost)).unwrap_err();
            assert!(matches!(error, TableError::Cost { .. }));
            assert!(error.to_string().contains("1x8 -> 1x2"), "{error}");
        }
    }
    assert!(matches!(table.insert(key(0), entry(Cost::ZERO)), Err(TableError::Key { .. })));
    let mut measured = entry(Cost::ZERO);
    measured.provenance = Provenance::Measured { board: "b".into(), runner: "r".into(), samples: 0, mean_cycles: 1.0, spread_cycles: 0.0 };
    assert!(matches!(table.insert(key(3), measured), Err(TableError::Measurement(_))));
    assert_eq!(table.len(), 1);
}

#[test]
fn a_profiled_table_estimates_what_it_does_not_hold() {
    use crate::{Fit, Path, Term};
    let counter = Counter { board: "b".into(), runner: "r".into(), kernels: "k".into(), unit: Unit::Instructions, clock_hz: 1_000_000_000 };
    let fit = Fit {
        operator: Operator::FullyConnected,
        path: Path::Vector,
        weight_bits: 8,
        activation_bits: 8,
        layers: 5,
        error_max: 0.5,
        error_mean: 0.1,
        terms: [(Term::Macs, 2.0)].into(),
    };
    let mut table = Table::new("t").with_profile(Profile::new(counter, [fit].into()).unwrap());
    table.insert(key(1), entry(Cost::ZERO)).unwrap();
    table.insert_not_modelled(key(2), "no").unwrap();
    assert_eq!((table.cost(&key(1)), table.estimates(&key(1))), (Ok(Cost::ZERO), false), "an entry goes before an estimate");
    assert!(matches!(table.cost(&key(2)), Err(CostError::NotModelled { .. })));
    let estimate = Cost { latency_ns: Some(48.0), ..Cost::default() };
    assert_eq!((table.cost(&key(3)), table.estimates(&key(3))), (Ok(estimate), true));
    assert!(matches!(table.answer(&key(3)).unwrap().provenance, Provenance::Estimated { layers: 5, .. }));
    let mut first = key(1);
    first.reads_network_input = true;
    assert_eq!((table.cost(&first), table.estimates(&first)), (Ok(Cost::ZERO), false), "the same work");
    let narrow = LayerKey::fully_connected(1, 8, 3, Candidate::new(4, 8).unwrap());
    assert!(matches!(table.cost(&narrow), Err(CostError::Missing { .. })));
    // Half the clock, twice the time, for what was counted and for what is estimated.
    let counted =
        Provenance::Emulated { emulator: "e".into(), core: "c".into(), samples: 1, mean_instructions: 30.0, spread_instructions: 0.0 };
    table.insert(key(7), Entry { cost: Unit::Instructions.cost(30.0, 1_000_000_000), provenance: counted }).unwrap();
    let slow = table.clone().at_clock(500_000_000);
    let latency = |table: &Table, outputs| table.cost(&key(outputs)).unwrap().latency_ns;
    assert_eq!((latency(&table, 7), latency(&slow, 7), latency(&slow, 3)), (Some(30.0), Some(60.0), Some(96.0)));
    assert_eq!((slow.at_clock(1_000_000_000), latency(&table, 1)), (table.clone(), Some(0.0)));
}

/// Knows `conv` only.
struct ConvOnly;

impl CostModel for ConvOnly {
    fn name(&self) -> &str {
        "conv-only"
    }

    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError> {
        if key.operator == Operator::Conv {
            return Ok(Cost { cycles: key.macs(), ..Cost::default() });
        }
        Err(CostError::NotModelled { key: Box::new(key.clone()), model: "conv-only".into(), reason: "operator".into() })
    }
}

#[test]
fn a_table_answers_as_the_model_that_filled_it() {
    let bits = Candidate::new(8, 8).unwrap();
    let conv = LayerKey::conv([2, 2], 3, 4, [1, 1], [1, 1], [0; 4], bits).unwrap();
    let add = LayerKey::plain(Operator::Add, [2, 2], 4, bits);
    let keys = [conv.clone(), add.clone(), conv.clone()];
    let table = Table::from_model(&ConvOnly, &keys).unwrap();
    assert_eq!((table.len(), table.name()), (1, "conv-only"));
    assert!(matches!(table.get(&conv).unwrap().provenance, Provenance::Analytic { .. }));
    let sum = total(&ConvOnly, &keys).unwrap();
    assert_eq!(sum.cost.cycles, Some(96));
    assert_eq!(sum.cost.energy_nj, None);
    assert_eq!(sum.not_modelled, core::slice::from_ref(&add));
    assert_eq!(total(&table, &keys).unwrap(), sum);
    assert_eq!(total(&Table::from_json(&table.to_json().unwrap()).unwrap(), &keys).unwrap(), sum);
    for key in &keys {
        assert_eq!(table.cost(key), ConvOnly.cost(key));
    }
    assert_eq!(table.not_modelled().collect::<Vec<_>>(), [(&add, "operator")]);
    assert_eq!(Table::from_model(&table, &keys).unwrap().not_modelled().count(), 1);
    let other = LayerKey::plain(Operator::Mul, [2, 2], 4, bits);
    let missing = total(&table, core::slice::from_ref(&other)).unwrap_err();
    assert_eq!(missing, CostError::Missing { key: Box::new(other), model: "conv-only".into() });
    assert!(missing.to_string().contains("mul 2x2x4"), "{missing}");
    // A layer is modelled or not.
    let mut table = table;
    assert_eq!(table.insert(add.clone(), entry(Cost::ZERO)), Err(TableError::Duplicate(Box::new(add))));
    assert_eq!(table.insert_not_modelled(conv.clone(), "why"), Err(TableError::Duplicate(Box::new(conv))));
    assert!(matches!(table.insert_not_modelled(key(0), "why"), Err(TableError::Key { .. })));
}
