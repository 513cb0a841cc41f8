//! BitFusion against the table that APQ published: every entry.

mod common;

use std::time::Instant;

use apq_lut::{CostModel, Operator, diff};
use apq_targets::BitFusion;

#[test]
fn every_entry_is_reproduced() {
    let Some(table) = common::published() else {
        return;
    };
    assert_eq!(table.len(), 6569, "6567 layers, head and tail");
    let start = Instant::now();
    let result = diff(&table, &BitFusion).unwrap();
    let each_us = start.elapsed().as_secs_f64() * 1e6 / table.len() as f64;
    println!("{each_us:.1} us a layer, {result:?}");
    assert!(each_us <= 1000.0, "{each_us} us a layer");
    assert_eq!((result.compared, result.missing), (6569, 0));
    assert_eq!(result.cycles_mismatched, 0);
    assert!(result.energy_rel_max.is_some_and(|max| max <= 1e-12));
    assert!(result.latency_rel_max.is_some_and(|max| max <= 1e-12));
}

#[test]
fn head_and_tail_are_the_two_layers_on_the_page() {
    let Some(table) = common::published() else {
        return;
    };
    let head = table.keys().find(|key| key.reads_network_input).unwrap();
    assert_eq!(head.operator, Operator::Conv);
    let cost = BitFusion.cost(head).unwrap();
    assert_eq!(cost.cycles, Some(147_952));
    assert!((cost.energy_nj.unwrap() - 506_184.484).abs() < 1e-3);
    let tail = table.keys().find(|key| (key.input_channels, key.output_channels) == (320, 1280)).unwrap();
    let cost = BitFusion.cost(tail).unwrap();
    assert_eq!(cost.cycles, Some(40_804));
    assert!((cost.energy_nj.unwrap() - 151_807.563).abs() < 1e-3);
}
