//! The pruned search for a tiling against an enumerator that skips nothing: every tile, all 24
//! orders of the loops, written down again from the model's definition.

use apq_lut::{Candidate, CostModel, LayerKey};
use apq_targets::BitFusion;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LAYERS: usize = 400;

/// Half of each SRAM in bits: weights, activations, outputs.
const FITS: [f64; 3] = [262_144.0, 131_072.0, 65_536.0];

/// `(cycles, energy in nJ)` of a convolution with one group. All quantities are whole numbers below
/// 2^53, so `f64` holds them exactly.
fn slow(key: &LayerKey) -> Option<(f64, f64)> {
    let b = |bits: u8| f64::from(bits);
    let f = |number: u32| f64::from(number);
    let up = |bits: u8| [2.0, 4.0, 8.0, 16.0].into_iter().find(|&up| b(bits) <= up).unwrap();
    let lanes = |bits: u8| 8.0 / up(bits).min(8.0);
    let (w, a) = (key.weight_bits, key.activation_bits);
    let q = 16.0 * lanes(w) * lanes(a);
    let passes = [w, a].iter().filter(|&&bits| bits == 16).count() as i32;
    let passes = 2.0_f64.powi(passes);
    let cd = |a: f64, b: f64| (a / b).ceil();
    let [kh, kw] = key.kernel.map(f);
    let [sh, sw] = key.stride.map(f);
    let [dh, dw] = key.dilation.map(f);
    let [height, width] = key.output.map(f);
    let (ins, outs) = (f(key.input_channels), f(key.output_channels));
    let im2col = key.reads_network_input && kh * kw > 1.0;
    let column = if im2col { 1.0 } else { 32.0 };

    let mut best: Option<(f64, f64)> = None;
    let powers = || (0..14).map(|i| 2.0_f64.powi(i));
    for side in powers() {
        let (oh, ow) = (side.min(height), side.min(width));
        for ic in powers().map(|p| p.min(ins)) {
            for oc in powers().map(|p| (column * p).min(outs)) {
                let px = ow * oh;
                let side_h = (kh - 1.0) * dh + 1.0 + (oh - 1.0) * sh;
                let side_w = (kw - 1.0) * dw + 1.0 + (ow - 1.0) * sw;
                let read = if im2col { px * kh * kw } else { side_h * side_w };
                let raw = [kh * kw * ic * oc * b(w), read * ic * b(a), px * oc * 32.0];
                let pad =
                    [cd(kh * kw * ic, q) * q * cd(oc, 32.0) * 32.0 * up(w), read * cd(ic, q) * q * up(a), px * cd(oc, 32.0) * 32.0 * 32.0];
                if (0..3).any(|x| pad[x] > FITS[x]) {
                    continue;
                }
                let steps = if im2col { cd(kh * kw * ic, q) } else { kh * kw * cd(ic, q) };
                let trips = [cd(width, ow), cd(height, oh), cd(ins, ic), cd(outs, oc)];
                let tiles: f64 = trips.iter().product();
                let comp = tiles * px * cd(oc, 32.0) * steps * passes;
                for order in 0..256_usize {
                    let order = [order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6];
                    if (0..4).any(|axis| !order.contains(&axis)) {
                        continue;
                    }
                    // Streams: weights, activations, outputs; loops: ow, oh, ic, oc.
                    let depends = [[false, false, true, true], [true, true, true, false], [true, true, false, true]];
                    let (mut sum, mut first) = (raw, raw);
                    for x in 0..3 {
                        let (mut held, mut fits) = (pad[x], true);
                        for axis in order {
                            if !fits {
                                sum[x] *= trips[axis];
                            } else if depends[x][axis] {
                                sum[x] *= trips[axis];
                                held *= trips[axis];
                                fits = held <= FITS[x];
                                if fits {
                                    first[x] = sum[x];
                                }
                            }
                        }
                    }
                    let rd = sum[0] + sum[1] + sum[2];
                    let wr = sum[2];
                    let lat = cd(first[0] + first[1] + first[2], 192.0) + cd(first[2], 192.0);
                    let cycles = (comp + lat).max(cd(rd, 192.0) + cd(wr, 192.0));
                    let per_bit = |access: f64| access / 32.0;
                    let (wr_nj, ww_nj) = (per_bit(0.000683701), per_bit(0.000925317));
                    let (ir_nj, iw_nj) = (per_bit(0.00190318), per_bit(0.00363853));
                    let o_nj = per_bit(0.000947547) + per_bit(0.0020125);
                    let acts = px * kh * kw * ic * cd(oc, 32.0) * b(a) * ir_nj;
                    let held_outputs = acts + raw[0] * px * wr_nj + px * oc * 32.0 * o_nj;
                    let held_weights = acts + raw[0] * wr_nj + px * oc * 32.0 * o_nj * steps;
                    let energy = comp * 0.4766518
                        + cycles * 0.433014704
                        + 0.015 * (rd + wr)
                        + sum[1] * iw_nj
                        + sum[0] * ww_nj
                        + sum[2] * o_nj
                        + tiles * held_outputs.min(held_weights);
                    if best.is_none_or(|best| (cycles, energy) < best) {
                        best = Some((cycles, energy));
                    }
                }
            }
        }
    }
    best
}

fn random_layer(rng: &mut ChaCha8Rng, square: bool) -> LayerKey {
    let widths = [2_u8, 4, 6, 8, 16];
    let mut width = || *widths.choose(rng).unwrap();
    let bits = Candidate::new(width(), width()).unwrap();
    let mut pair = |choices: &[u32]| {
        let first = *choices.choose(rng).unwrap();
        let second = *choices.choose(rng).unwrap();
        [first, if square { first } else { second }]
    };
    let kernel = pair(&[1, 1, 2, 3, 5, 7]);
    let stride = pair(&[1, 1, 2, 3]);
    let dilation = pair(&[1, 1, 2]);
    let output = pair(&[1, 2, 4, 7, 8, 14, 17, 28, 56]);
    let mut channels = || {
        let max = *[3, 40, 300, 700].choose(rng).unwrap();
        rng.random_range(1..=max)
    };
    let (ins, outs) = (channels(), channels());
    let mut key = LayerKey::fully_connected(1, ins, outs, bits);
    key.operator = apq_lut::Operator::Conv;
    (key.kernel, key.stride, key.dilation, key.output) = (kernel, stride, dilation, output);
    key.input = [0, 1].map(|axis| (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1);
    assert_eq!(key.window_output(), Ok(output));
    key.reads_network_input = rng.random_bool(0.2);
    key
}

#[test]
fn pruning_never_loses_the_best_tiling() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut modelled = 0;
    for index in 0..LAYERS {
        let key = random_layer(&mut rng, index % 2 == 0);
        let expected = slow(&key);
        let cost = BitFusion.cost(&key).ok();
        assert_eq!(cost.is_some(), expected.is_some(), "{key}");
        let (Some(cost), Some((cycles, energy))) = (cost, expected) else {
            continue;
        };
        modelled += 1;
        assert_eq!(cost.cycles, Some(cycles as u64), "{key}");
        let relative = cost.energy_nj.unwrap() / energy - 1.0;
        assert!(relative.abs() < 1e-12, "{key}: {relative}");
    }
    println!("{modelled} of {LAYERS} layers are modelled");
    assert!(modelled > LAYERS * 3 / 4);
}
