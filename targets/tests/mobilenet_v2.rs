//! MobileNetV2 1.0 at 224x224 on BitFusion, every layer included, against the figures of the APQ
//! paper (Table 2: 9.10 ms and 12.46 mJ at 8 bits).

use apq_lut::{Candidate, CostModel, LayerKey, Operator, Total, bops_total, total};
use apq_targets::BitFusion;

/// Expansion, output channels, blocks and stride of the first block of each stage.
const STAGES: [(u32, u32, u32, u32); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn layers(bits: Candidate) -> Vec<LayerKey> {
    let pointwise = |side: u32, ins: u32, outs: u32| LayerKey::conv([side; 2], ins, outs, [1; 2], [1; 2], [0; 4], bits).unwrap();
    let mut head = LayerKey::conv([224; 2], 3, 32, [3; 2], [2; 2], [1; 4], bits).unwrap();
    head.reads_network_input = true;
    let mut keys = vec![head];
    let (mut side, mut ins) = (112, 32);
    for (expansion, outs, blocks, stride) in STAGES {
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            let hidden = ins * expansion;
            if expansion != 1 {
                keys.push(pointwise(side, ins, hidden));
            }
            let depthwise = LayerKey::depthwise([side; 2], hidden, [3; 2], [stride; 2], [1; 4], bits).unwrap();
            side = depthwise.output[0];
            keys.push(depthwise);
            keys.push(pointwise(side, hidden, outs));
            if stride == 1 && ins == outs {
                keys.push(LayerKey::plain(Operator::Add, [side; 2], outs, bits));
            }
            ins = outs;
        }
    }
    keys.push(pointwise(side, ins, 1280));
    let mut pool = LayerKey::plain(Operator::AveragePool, [side; 2], 1280, bits);
    (pool.output, pool.kernel) = ([1; 2], [side; 2]);
    keys.push(pool);
    keys.push(LayerKey::fully_connected(1, 1280, 1000, bits));
    keys
}

fn cost(text: &str) -> Total {
    total(&BitFusion, &layers(text.parse().unwrap())).unwrap()
}

fn ms(total: &Total) -> f64 {
    total.cost.latency_ns.unwrap() / 1e6
}

#[test]
fn the_whole_network_at_eight_bits() {
    let total = cost("w8a8");
    println!("{} ms, {} nJ", ms(&total), total.cost.energy_nj.unwrap());
    assert_eq!(format!("{:.3}", ms(&total)), "9.099");
    assert_eq!(format!("{:.3}", total.cost.energy_nj.unwrap() / 1e6), "12.456");
    let names: Vec<_> = total.not_modelled.iter().map(|key| key.operator.name()).collect();
    assert_eq!(names.iter().filter(|&&name| name == "add").count(), 10);
    assert_eq!(names.iter().filter(|&&name| name == "average_pool").count(), 1);
    assert_eq!(names.len(), 11);
}

#[test]
fn six_bit_weights_hardly_help() {
    assert_eq!(format!("{:.3}", ms(&cost("w6a8"))), "9.028");
}

#[test]
fn what_the_published_table_leaves_out() {
    let keys = layers("w8a8".parse().unwrap());
    let depthwise = BitFusion.cost(&keys[1]).unwrap();
    assert_eq!(keys[1].operator, Operator::Depthwise);
    assert_eq!(depthwise.cycles, Some(452_500));
    assert_eq!(format!("{:.4}", depthwise.energy_nj.unwrap() / 1e6), "0.8817");
    let pointwise = BitFusion.cost(&keys[2]).unwrap();
    assert_eq!(pointwise.cycles, Some(83_649));
    assert_eq!(format!("{:.4}", pointwise.energy_nj.unwrap() / 1e6), "0.2914");
    let classifier = BitFusion.cost(keys.last().unwrap()).unwrap();
    assert_eq!(classifier.cycles, Some(53_721));
}

#[test]
fn macs_and_bops() {
    let keys = layers("w4a8".parse().unwrap());
    let macs: u64 = keys.iter().map(|key| key.macs().unwrap()).sum();
    assert_eq!(macs, 300_774_272);
    assert_eq!(bops_total(&keys), Some(32 * macs));
}
