use std::path::PathBuf;
use std::time::Instant;

use apq_lut::{Cost, CostError, CostModel, Entry, LayerKey, Memo, Operator, Provenance, Table, bops_total, import_published};
use apq_search::Quantity;
use apq_search::evolution::{Domain, cheapest};
use apq_search::space::{
    BlockBits, BlockShape, CostsError, Design, DesignCosts, Space, SpaceError, sample_architecture, sample_policy, uniform_policy,
};
use apq_targets::{BitFusion, Target};
use proptest::prelude::*;

use crate::{bits, narrow_and_wide, rng, tiny};

fn design(costs: &DesignCosts, seed: u64) -> Design {
    let mut rng = rng(seed);
    let architecture = sample_architecture(costs.space(), &mut rng);
    let policy = sample_policy(costs.choices(), &architecture, &mut rng);
    Design { architecture, policy }
}

fn least_of(costs: &DesignCosts, quantity: Quantity) -> Option<(Design, u64)> {
    cheapest(&Domain::new(costs.space(), costs.choices()).unwrap(), costs, quantity)
}

/// The published table, or `None` and a line that says so; with `CI=true` its absence fails.
fn published() -> Option<Table> {
    let folder =
        std::env::var_os("APQ_DATA").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join("apq_bitfusion_b1.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is not there", path.display());
        println!("skipped: {} is not there", path.display());
        return None;
    };
    Some(import_published(&text).unwrap())
}

#[test]
fn the_layers_of_a_small_design_by_hand() {
    let space = narrow_and_wide();
    let mut architecture = space.smallest();
    architecture.0[5] = Some(BlockShape { kernel: 7, channels: 112 });
    let target = Target::builtin("host").unwrap();
    let costs = DesignCosts::new(&space, &target, None).unwrap();
    let mut policy = uniform_policy(costs.choices(), &architecture, bits(8, 8)).unwrap();
    policy.0[1] = Some(BlockBits { pointwise: bits(4, 6), depthwise: bits(6, 4) });
    let design = Design { architecture, policy };
    let lines: Vec<String> = costs.keys(&design).unwrap().iter().map(|(name, key)| format!("{name}: {key}")).collect();
    assert_eq!(
        lines,
        [
            "stem: conv 28x28x1 -> 14x14x16 kernel 3x3 stride 2x2 padding 1,1,1,1 from the network's input w8a8",
            "stages.0.blocks.0.expand: conv 14x14x16 -> 14x14x64 kernel 1x1 stride 1x1 w8a8",
            "stages.0.blocks.0.depthwise: depthwise 14x14x64 -> 14x14x64 kernel 3x3 stride 1x1 padding 1,1,1,1 groups 64 w8a8",
            "stages.0.blocks.0.project: conv 14x14x64 -> 14x14x8 kernel 1x1 stride 1x1 w8a8",
            "stages.0.blocks.1.expand: conv 14x14x8 -> 14x14x32 kernel 1x1 stride 1x1 w4a6",
            "stages.0.blocks.1.depthwise: depthwise 14x14x32 -> 14x14x32 kernel 3x3 stride 1x1 padding 1,1,1,1 groups 32 w6a4",
            "stages.0.blocks.1.project: conv 14x14x32 -> 14x14x8 kernel 1x1 stride 1x1 w4a6",
            "stages.0.blocks.1.add: add 14x14x8 -> 14x14x8 kernel 1x1 stride 1x1 w8a6",
            "stages.1.blocks.0.expand: conv 14x14x8 -> 14x14x32 kernel 1x1 stride 1x1 w8a8",
            "stages.1.blocks.0.depthwise: depthwise 14x14x32 -> 7x7x32 kernel 3x3 stride 2x2 padding 1,1,1,1 groups 32 w8a8",
            "stages.1.blocks.0.project: conv 7x7x32 -> 7x7x24 kernel 1x1 stride 1x1 w8a8",
            "stages.1.blocks.1.expand: conv 7x7x24 -> 7x7x112 kernel 1x1 stride 1x1 w8a8",
            "stages.1.blocks.1.depthwise: depthwise 7x7x112 -> 7x7x112 kernel 7x7 stride 1x1 padding 3,3,3,3 groups 112 w8a8",
            "stages.1.blocks.1.project: conv 7x7x112 -> 7x7x24 kernel 1x1 stride 1x1 w8a8",
            "stages.1.blocks.1.add: add 7x7x24 -> 7x7x24 kernel 1x1 stride 1x1 w8a8",
            "head: conv 7x7x24 -> 7x7x128 kernel 1x1 stride 1x1 w8a8",
            "pool: average_pool 7x7x128 -> 1x1x128 kernel 7x7 stride 1x1 w8a8",
            "classifier: fully_connected 1x128 -> 1x10 w8a8",
        ]
    );
    let cost = costs.cost(&design).unwrap();
    let weights = 16 * 9 + 16 * 64 + 64 * 9 + 64 * 8                            // row by row, each row in whole bytes
        + 32 * 4 + 32 * 7 + 8 * 16
        + 8 * 32 + 32 * 9 + 32 * 24 + 24 * 112 + 112 * 49 + 112 * 24 + 24 * 128 + 1280;
    assert_eq!(cost.weights_bytes, weights);
    assert_eq!((cost.totals.latency_ns, cost.totals.energy_pj, cost.totals.cycles, cost.totals.ram_bytes), (None, None, None, 0));
    let overhead = cost.totals.flash_bytes - weights;
    let channels = 16 + 64 + 64 + 8 + 32 + 32 + 8 + 32 + 32 + 24 + 112 + 112 + 24 + 128 + 10;
    assert!((9 * channels + 256..9 * channels + 6000).contains(&overhead), "{overhead}");
}

#[test]
fn odd_sides_and_single_channels_keep_their_shapes() {
    let mut space = tiny();
    (space.input, space.stem.stride, space.stem.channels, space.first) = ([5, 9, 2], 2, 1, Some(3));
    let costs = DesignCosts::new(&space, &Target::builtin("host").unwrap(), None).unwrap();
    for seed in 0..50 {
        let design = design(&costs, seed);
        for (name, key) in costs.keys(&design).unwrap() {
            key.check().unwrap();
            let windowed = matches!(key.operator, Operator::Conv | Operator::Depthwise | Operator::AveragePool);
            assert!(!windowed || key.window_output() == Ok(key.output), "{name}: {key}");
            assert_eq!(key.operator == Operator::Depthwise, key.groups > 1, "{name}: {key}");
            assert_eq!(key.reads_network_input, name == "stem");
        }
    }
}

#[test]
fn every_layer_of_the_papers_space_is_in_its_table() {
    let Some(table) = published() else { return };
    let bitfusion = Target::builtin("bitfusion").unwrap();
    let model = Memo::new(BitFusion);
    let begin = Instant::now();
    let costs = DesignCosts::new(&Space::imagenet(), &bitfusion, Some(&model)).unwrap();
    println!("{} layers tabulated in {:.2?}", model.misses(), begin.elapsed());
    // What the paper leaves out of its table: the first block, sums, mean and classifier.
    let gap = |name: &str| name.starts_with("first.") || name.ends_with(".add") || name == "pool" || name == "classifier";
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..4000 {
        if seed < 100 {
            assert_is_the_sum(&costs, &design(&costs, seed), &model);
        }
        for (name, key) in costs.keys(&design(&costs, seed)).unwrap() {
            assert_eq!(table.get(&key).is_some(), !gap(&name), "{name}: {key}");
            seen.insert(key);
        }
    }
    let reached = table.keys().filter(|key| seen.contains(key)).count();
    assert!(reached * 100 > table.len() * 95, "{reached} of {}", table.len());
    // The gaps are the target's: without its exclusions the space has layers that the table does not know.
    let mut free = bitfusion.description().clone();
    free.search_exclusions.clear();
    let costs = DesignCosts::new(&Space::imagenet(), &Target::new(free).unwrap(), None).unwrap();
    let unknown =
        (0..200).flat_map(|seed| costs.keys(&design(&costs, seed)).unwrap()).find(|(name, key)| !gap(name) && table.get(key).is_none());
    let (_, key) = unknown.unwrap();
    assert_eq!((key.kernel, key.activation_bits, key.operator), ([7, 7], 4, Operator::Depthwise));
}

fn assert_is_the_sum(costs: &DesignCosts, design: &Design, model: &dyn CostModel) {
    let keys: Vec<LayerKey> = costs.keys(design).unwrap().into_iter().map(|(_, key)| key).collect();
    let cost = costs.cost(design).unwrap();
    assert_eq!(Some(cost.totals.bops), bops_total(&keys));
    assert_eq!(cost.macs, keys.iter().map(|key| key.macs().unwrap()).sum::<u64>());
    let mut sum = [Some(0), Some(0), Some(0)];
    for key in &keys {
        let modelled = match model.cost(key) {
            Err(CostError::NotModelled { .. }) => continue,
            other => other.unwrap(),
        };
        let figures =
            [modelled.cycles, modelled.latency_ns.map(|ns| ns.ceil() as u64), modelled.energy_nj.map(|nj| (nj * 1e3).ceil() as u64)];
        sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum = sum.and_then(|sum| Some(sum + figure?)));
    }
    assert_eq!([cost.totals.cycles, cost.totals.latency_ns, cost.totals.energy_pj], sum);
}

#[test]
fn costs_are_sums_over_layers() {
    let bitfusion = Target::builtin("bitfusion").unwrap();
    let model = Memo::new(BitFusion);
    for space in [Space::fashion(), tiny()] {
        let costs = DesignCosts::new(&space, &bitfusion, Some(&model)).unwrap();
        let mut least = u64::MAX;
        for seed in 0..300 {
            let design = design(&costs, seed);
            assert_is_the_sum(&costs, &design, &model);
            least = least.min(costs.cost(&design).unwrap().totals.latency_ns.unwrap());
        }
        let (design, value) = least_of(&costs, Quantity::Latency).unwrap();
        assert_eq!(costs.cost(&design).unwrap().totals.latency_ns, Some(value));
        assert!(value <= least);
    }
    let core = Target::builtin("cortex-m4").unwrap();
    let table = core.builtin_table().unwrap().unwrap();
    let space = Space { candidates: vec![bits(2, 8), bits(4, 8), bits(8, 8)], ..Space::fashion() };
    let costs = DesignCosts::new(&space, &core, Some(&table)).unwrap();
    for seed in 0..50 {
        assert_is_the_sum(&costs, &design(&costs, seed), &table);
    }
    let least = |quantity| least_of(&costs, quantity);
    assert!(least(Quantity::Energy).is_none() && least(Quantity::Cycles).is_none(), "an emulator counts neither");
    assert!(least(Quantity::Flash).is_some());
}

#[test]
fn the_cheapest_design_is_that_of_a_list() {
    let space = tiny();
    let bitfusion = Target::builtin("bitfusion").unwrap();
    let costs = DesignCosts::new(&space, &bitfusion, Some(&Memo::new(BitFusion))).unwrap();
    for quantity in [Quantity::Bops, Quantity::Latency, Quantity::Energy, Quantity::Cycles, Quantity::Flash] {
        let of = |design: &Design| costs.cost(design).unwrap().totals.get(quantity).unwrap();
        let (cheapest, value) = least_of(&costs, quantity).unwrap();
        let least = (0..20_000).map(|seed| of(&design(&costs, seed))).min().unwrap();
        assert!(of(&cheapest) <= least, "{quantity}");
        // One block at a time, nothing is cheaper.
        for index in 0..cheapest.architecture.0.len() {
            for other in (0..200).map(|seed| design(&costs, seed)) {
                let mut mixed = cheapest.clone();
                (mixed.architecture.0[index], mixed.policy.0[index]) = (other.architecture.0[index], other.policy.0[index]);
                let changed = costs.cost(&mixed).map(|cost| cost.totals.get(quantity).unwrap());
                assert!(changed.is_err() || changed.unwrap() >= value);
            }
        }
    }
}

#[test]
fn what_has_no_cost_is_named() {
    let space = tiny();
    let bitfusion = Target::builtin("bitfusion").unwrap();
    let costs = DesignCosts::new(&space, &bitfusion, None).unwrap();
    let good =
        (0..).map(|seed| design(&costs, seed)).find(|one| one.architecture.0[0].unwrap().kernel == 7 && one.architecture.0[4].is_none());
    let good = good.unwrap();
    let message = |change: &dyn Fn(&mut Design)| {
        let mut other = good.clone();
        change(&mut other);
        costs.cost(&other).unwrap_err().to_string()
    };
    let narrow = BlockBits { pointwise: bits(8, 8), depthwise: bits(4, 4) };
    assert_eq!(message(&|d| d.policy.0[0] = Some(narrow)), "stages.0.blocks.0: the target has no w4a4 for its depthwise 7x7 convolution");
    assert_eq!(message(&|d| d.policy.0[0] = None), "stages.0.blocks.0: has no bit widths");
    assert_eq!(message(&|d| d.policy.0.clear()), "0 blocks where the search space has 5");
    assert_eq!(message(&|d| d.policy.0[4] = d.policy.0[0]), "stages.1.blocks.2: has bit widths, and is left out");
    for channels in [0, 4, 9, 16, u32::MAX] {
        let text = message(&|d| d.architecture.0[0] = Some(BlockShape { kernel: 3, channels }));
        assert_eq!(text, format!("stages.0.blocks.0: {channels} channels; the search space has 8, 12"));
    }
    let mut empty = Table::new("mine");
    let provenance = Provenance::Imported { source: "me".into() };
    let stem = LayerKey { reads_network_input: true, ..LayerKey::conv([28, 28], 1, 4, [3, 3], [1, 1], [1; 4], bits(8, 8)).unwrap() };
    empty.insert(stem, Entry { cost: Cost { latency_ns: Some(0.1), ..Cost::default() }, provenance }).unwrap();
    let error = DesignCosts::new(&space, &Target::builtin("host").unwrap(), Some(&empty)).unwrap_err();
    assert!(matches!(&error, CostsError::Cost { node, reason: CostError::Missing { .. } } if node == "head"), "{error}");
}

proptest! {
    /// Exactly the designs of the space that the target runs have costs.
    #[test]
    fn a_cost_is_there_where_the_design_is_one(seed: u64, index in 0..5_usize, from in 0..5_usize, what in 0..3) {
        let bitfusion = Target::builtin("bitfusion").unwrap();
        let costs = DesignCosts::new(&tiny(), &bitfusion, None).unwrap();
        let (mut one, other) = (design(&costs, seed), design(&costs, seed.wrapping_add(1)));
        if what != 0 {
            one.architecture.0[index] = other.architecture.0[from];
        }
        if what != 1 {
            one.policy.0[index] = other.policy.0[from];
        }
        let runs = one.architecture.0.iter().zip(&one.policy.0).all(|(shape, bits)| match (shape, bits) {
            (Some(shape), Some(bits)) => costs.choices().depthwise(shape.kernel).contains(&bits.depthwise),
            _ => true,
        });
        let legal = costs.space().check_design(&one);
        prop_assert_eq!(costs.cost(&one).is_ok(), legal.is_ok() && runs);
        if let Err(reason) = legal {
            prop_assert_eq!(costs.cost(&one), Err::<_, SpaceError>(reason));
        }
    }
}
