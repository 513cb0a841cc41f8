//! BitFusion on single layers: published vectors, and the rules beyond the published table, each
//! with a number that a person can work out.

use apq_lut::{Candidate, CostError, CostModel, KeyError, LayerKey, Memo, Operator};
use apq_targets::BitFusion;

fn bits(text: &str) -> Candidate {
    text.parse().unwrap()
}

fn conv(side: u32, ins: u32, outs: u32, kernel: u32, stride: u32, width: &str) -> LayerKey {
    let padding = [(kernel - 1) / 2; 4];
    LayerKey::conv([side; 2], ins, outs, [kernel; 2], [stride; 2], padding, bits(width)).unwrap()
}

fn depthwise(side: u32, channels: u32, kernel: u32, stride: u32, width: &str) -> LayerKey {
    let padding = [(kernel - 1) / 2; 4];
    LayerKey::depthwise([side; 2], channels, [kernel; 2], [stride; 2], padding, bits(width)).unwrap()
}

fn cycles(key: &LayerKey) -> u64 {
    BitFusion.cost(key).unwrap().cycles.unwrap()
}

fn energy_nj(key: &LayerKey) -> f64 {
    BitFusion.cost(key).unwrap().energy_nj.unwrap()
}

#[test]
fn published_vectors() {
    assert_eq!(cycles(&conv(14, 96, 456, 1, 1, "w4a4")), 31096);
    assert_eq!(cycles(&conv(7, 192, 784, 1, 1, "w8a8")), 19860);
    assert_eq!(cycles(&conv(7, 832, 320, 1, 1, "w8a8")), 33308);
    assert_eq!(cycles(&conv(7, 832, 320, 1, 1, "w4a4")), 15021);
    assert_eq!(cycles(&depthwise(14, 400, 5, 1, "w8a8")), 50 * 5121);
    assert_eq!(cycles(&depthwise(14, 488, 3, 1, "w4a4")), 16 * 2806);
    // More bits can be faster, at tile edges.
    assert_eq!(cycles(&conv(14, 96, 520, 1, 1, "w4a4")), 37022);
    assert_eq!(cycles(&conv(14, 96, 520, 1, 1, "w4a6")), 35602);
}

#[test]
fn latency_is_two_nanoseconds_a_cycle() {
    let cost = BitFusion.cost(&conv(14, 96, 456, 1, 1, "w4a4")).unwrap();
    assert_eq!(cost.latency_ns, Some(62192.0));
}

#[test]
fn depthwise_is_flat_within_a_block() {
    // 8 channels a block at w8a8, 16 at w4a8, 32 at w4a4, 128 at w2a2.
    for (width, block) in [("w8a8", 8), ("w6a6", 8), ("w4a8", 16), ("w4a4", 32), ("w2a2", 128)] {
        let one = cycles(&depthwise(14, 1, 3, 1, width));
        assert_eq!(cycles(&depthwise(14, block, 3, 1, width)), one, "{width}");
        assert_eq!(cycles(&depthwise(14, block + 1, 3, 1, width)), 2 * one, "{width}");
    }
}

/// Small layers whose streams all fit on chip: one tile, everything loaded once.
/// cycles = busy + ceil(all bits / 192) + ceil(output bits / 192).
mod one_tile {
    use super::*;

    #[test]
    fn eight_bits() {
        // 4x4x16 -> 4x4x32, 1x1. Weights 16*32*8 = 4096, activations 16*16*8 = 2048, outputs
        // 16*32*32 = 16384 bits: 118 + 86 cycles. Busy: 16 pixels.
        assert_eq!(cycles(&conv(4, 16, 32, 1, 1, "w8a8")), 16 + 118 + 86);
    }

    #[test]
    fn sixteen_bit_operands_take_two_passes_each_and_twice_the_traffic() {
        // Activations 4096 bits; busy 32.
        assert_eq!(cycles(&conv(4, 16, 32, 1, 1, "w8a16")), 32 + 128 + 86);
        // Weights 8192 bits; busy 32.
        assert_eq!(cycles(&conv(4, 16, 32, 1, 1, "w16a8")), 32 + 139 + 86);
        // Both; busy 64.
        assert_eq!(cycles(&conv(4, 16, 32, 1, 1, "w16a16")), 64 + 150 + 86);
        // No lanes beside each other: 17 input channels are a second reduction.
        assert_eq!(cycles(&conv(4, 17, 32, 1, 1, "w16a16")), 2 * 64 + 154 + 86);
    }

    #[test]
    fn dilation_widens_the_input_only() {
        let mut key = conv(8, 16, 32, 3, 1, "w8a8");
        (key.padding, key.dilation, key.output) = ([0; 4], [2, 2], [4, 4]);
        assert_eq!(key.window_output(), Ok([4, 4]));
        // Input tile (3-1)*2+1 + 3 = 8 a side: 64*16*8 = 8192; weights 9*16*32*8 = 36864;
        // outputs 16384: 320 + 86. Busy 16 * 9.
        assert_eq!(cycles(&key), 144 + 320 + 86);
        // Without dilation the tile is 6 a side: 4608 bits, 302 cycles.
        (key.input, key.dilation) = ([6, 6], [1, 1]);
        assert_eq!(cycles(&key), 144 + 302 + 86);
    }

    #[test]
    fn shapes_that_are_not_square() {
        let key = LayerKey::conv([2, 8], 16, 32, [1, 3], [1, 1], [0, 1, 0, 1], bits("w8a8"));
        // Input tile 2 x 10: 2560; weights 3*16*32*8 = 12288; outputs 16384: 163 + 86.
        // Busy 16 * 3.
        assert_eq!(cycles(&key.unwrap()), 48 + 163 + 86);
        let key = LayerKey::conv([2, 17], 16, 32, [1, 3], [1, 2], [0; 4], bits("w8a8")).unwrap();
        assert_eq!(key.output, [2, 8]);
        // Input tile 2 x 3+14: 34*16*8 = 4352: 172.
        assert_eq!(cycles(&key), 48 + 172 + 86);
    }

    #[test]
    fn im2col_reads_each_pixel_once_for_each_kernel_element() {
        let mut key = conv(4, 3, 32, 3, 1, "w8a8");
        // Input tile 6x6: 36*3*8 = 864; weights 9*3*32*8 = 6912; outputs 16384: 126 + 86.
        // Each of 9 kernel elements reduces 3 channels: busy 16 * 9.
        assert_eq!(cycles(&key), 144 + 126 + 86);
        key.reads_network_input = true;
        // 16*9*3*8 = 3456: 140. Kernel and channels line up: ceil(27/16) = 2 reductions.
        assert_eq!(cycles(&key), 32 + 140 + 86);
    }
}

#[test]
fn im2col_needs_the_network_input_one_group_and_a_kernel() {
    let reads = |mut key: LayerKey| {
        let before = BitFusion.cost(&key).unwrap();
        key.reads_network_input = true;
        (before, BitFusion.cost(&key).unwrap())
    };
    let (before, after) = reads(conv(14, 3, 16, 3, 1, "w8a8"));
    assert_ne!(before, after);
    let mut grouped = conv(14, 16, 16, 3, 1, "w8a8");
    grouped.groups = 2;
    for same in [conv(14, 16, 16, 1, 1, "w8a8"), grouped, depthwise(14, 16, 3, 1, "w8a8")] {
        let (before, after) = reads(same);
        assert_eq!(before, after);
    }
}

#[test]
fn groups_run_one_after_another() {
    let mut grouped = conv(14, 96, 48, 3, 1, "w4a8");
    grouped.groups = 3;
    let one = conv(14, 32, 16, 3, 1, "w4a8");
    assert_eq!(cycles(&grouped), 3 * cycles(&one));
    assert_eq!(energy_nj(&grouped), 3.0 * energy_nj(&one));
}

#[test]
fn a_channel_multiplier_widens_the_blocks() {
    let mut key = depthwise(14, 20, 3, 1, "w8a8");
    key.output_channels = 60;
    // ceil(20/8) = 3 blocks of 8 -> 24.
    let block = conv(14, 8, 24, 3, 1, "w8a8");
    assert_eq!(cycles(&key), 3 * cycles(&block));
    assert_eq!(energy_nj(&key), 3.0 * energy_nj(&block));
}

#[test]
fn rows_of_a_product_are_pixels() {
    // The classifier of MobileNetV2.
    let classifier = LayerKey::fully_connected(1, 1280, 1000, bits("w8a8"));
    assert_eq!(cycles(&classifier), 53721);
    assert_eq!(cycles(&classifier), cycles(&conv(1, 1280, 1000, 1, 1, "w8a8")));

    let product = LayerKey::fully_connected(50, 64, 128, bits("w8a4"));
    let pixels = LayerKey::conv([50, 1], 64, 128, [1, 1], [1, 1], [0; 4], bits("w8a4")).unwrap();
    assert_eq!(BitFusion.cost(&product), BitFusion.cost(&pixels));
    let mut matmul = product.clone();
    matmul.operator = Operator::MatMul;
    assert_eq!(BitFusion.cost(&matmul), BitFusion.cost(&pixels));
}

#[test]
fn a_plan_explains_its_cost() {
    let plan = BitFusion.plan(&depthwise(14, 400, 5, 1, "w8a8")).unwrap();
    assert_eq!(plan.convolutions, 50);
    assert_eq!(plan.tiling.cycles(), 5121);
    assert!(plan.tiling.busy_cycles > plan.tiling.dram_cycles, "depthwise is compute-bound");
    let plan = BitFusion.plan(&conv(14, 96, 456, 1, 1, "w4a4")).unwrap();
    let busy = plan.tiling.busy_cycles + plan.tiling.fill_cycles;
    assert!(plan.tiling.dram_cycles > busy, "pointwise is DRAM-bound");
}

#[test]
fn what_is_not_modelled_says_so() {
    for operator in Operator::NAMED {
        let modelled = operator.has_weights();
        let key = LayerKey::plain(operator, [1, 1], 8, bits("w8a8"));
        match BitFusion.cost(&key) {
            Ok(_) => assert!(modelled, "{key}"),
            // A plain depthwise key has one group, which does not fit its channels.
            Err(CostError::Invalid { .. }) => assert_eq!(key.operator, Operator::Depthwise),
            Err(error) => {
                assert!(matches!(error, CostError::NotModelled { .. }));
                assert!(!modelled && error.to_string().contains(key.operator.name()));
            }
        }
    }
    let mut key = conv(4, 16, 32, 1, 1, "w8a8");
    for width in [9, 12, 15, 17, 32, 255] {
        key.weight_bits = width;
        assert!(matches!(BitFusion.cost(&key), Err(CostError::NotModelled { .. })));
    }
    // Padded weights of one kernel column alone exceed the SRAM.
    let huge = conv(64, 1, 1, 63, 1, "w8a8");
    let error = BitFusion.cost(&huge).unwrap_err();
    assert!(error.to_string().contains("does not fit in the SRAMs"), "{error}");
}

#[test]
fn what_is_no_layer_is_an_error_and_never_an_overflow() {
    let good = conv(4, 16, 32, 3, 1, "w8a8");
    let broken = |change: &dyn Fn(&mut LayerKey)| {
        let mut key = good.clone();
        change(&mut key);
        match BitFusion.cost(&key) {
            Err(CostError::Invalid { reason, .. }) => Some(reason),
            _ => None,
        }
    };
    let max = u32::MAX;
    assert_eq!(broken(&|key| key.groups = 0), Some(KeyError::Zero("groups")));
    assert_eq!(broken(&|key| key.groups = 5), Some(KeyError::Groups));
    let too_large: [&dyn Fn(&mut LayerKey); 9] = [
        &|key| key.output = [max; 2],
        &|key| key.input_channels = max,
        &|key| key.output_channels = max,
        &|key| key.kernel = [max; 2],
        &|key| key.kernel = [1, max],
        &|key| key.stride = [max; 2],
        &|key| key.dilation = [max; 2],
        &|key| (key.kernel, key.stride, key.dilation) = ([max; 2], [max; 2], [max; 2]),
        &|key| (key.input_channels, key.output_channels, key.groups) = (max, max, max),
    ];
    for (index, change) in too_large.iter().take(8).enumerate() {
        assert_eq!(broken(*change), Some(KeyError::TooLarge), "case {index}");
    }
    // Many small groups are only slow, and still counted exactly.
    assert_eq!(broken(too_large[8]), None);
    let rows = LayerKey::fully_connected(max, max, 1, bits("w16a16"));
    assert!(BitFusion.cost(&rows).is_err());
}

#[test]
fn a_memo_gives_the_same_answers() {
    let memo = Memo::new(BitFusion);
    let keys = [conv(14, 96, 456, 1, 1, "w4a4"), depthwise(14, 400, 5, 1, "w8a8")];
    for key in keys.iter().chain(&keys) {
        assert_eq!(memo.cost(key), BitFusion.cost(key));
    }
    assert_eq!(memo.misses(), 2);
}
