//! Sums, products, pools and functions at every width: what a session computes is what the reference kernel computes from the same numbers.

mod common;

use apq_kernels::{self as kernels, CountPadding, reference};
use apq_runtime::build::*;
use common::oracle::*;
use common::*;
use rand::Rng;

#[test]
fn sums_and_products() {
    for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
        for broadcast in [false, true] {
            for product in [false, true] {
                let mut net = Net::new(seed as u64, &[1, 3, 4, 5], bits);
                let shape: &[usize] = if broadcast { &[1, 1, 1, 5] } else { &[1, 3, 4, 5] };
                // The second input comes from the first, so that one input feeds the whole model.
                let operator =
                    if broadcast { OperatorSpec::Slice(Slice { begin: [1, 1, 0], step: [1; 3] }) } else { OperatorSpec::MaxPool(THREE) };
                let second = net.tensor_like(shape, 0);
                net.node(operator.clone(), &[0], second);
                let output = net.tensor(&[1, 3, 4, 5], ACTIVATIONS[(seed + 2) % 5]);
                let rescale = Rescale { multiplier: net.rng.random_range(1 << 29..1 << 30), shift: 33 };
                let add = Add { multipliers: [300_000, 500_000], shift: 20, subtract: seed % 2 == 0 };
                let node = net.node(if product { OperatorSpec::Mul(rescale) } else { OperatorSpec::Add(add) }, &[0, second], output);
                net.spec.nodes.swap(0, node);
                net.spec.nodes.swap(0, node);
                compare(net, |spec, input, output| {
                    let a = activations(spec, 0, input);
                    let mut b = vec![0; bytes(&spec.tensors[1].shape, spec.tensors[1].bits)];
                    match &spec.nodes[0].operator {
                        OperatorSpec::Slice(slice) => {
                            let slice = kernels::Slice {
                                input: image(spec, 0),
                                output: image(spec, 1),
                                begin: slice.begin.map(|at| at as usize),
                                step: slice.step.map(|at| at as usize),
                            };
                            reference::slice(&slice, a, &mut b);
                        }
                        OperatorSpec::MaxPool(window) => {
                            let (input, output) = (image(spec, 0), image(spec, 1));
                            let pool = kernels::MaxPool { input, output, window: (*window).into() };
                            reference::max_pool(&pool, a, &mut b);
                        }
                        _ => panic!(),
                    }
                    let b = activations(spec, 1, &b);
                    let broadcast = spec.tensors[1].shape[1] == 1;
                    let codes = output_codes(spec);
                    match &spec.nodes[1].operator {
                        OperatorSpec::Add(add) => {
                            let add = kernels::Add {
                                rows: 12,
                                channels: 5,
                                broadcast,
                                subtract: add.subtract,
                                multiplier_a: add.multipliers[0],
                                multiplier_b: add.multipliers[1],
                                shift: add.shift,
                                codes,
                            };
                            reference::add(&add, a, b, output);
                        }
                        OperatorSpec::Mul(Rescale { multiplier, shift }) => {
                            let (multiplier, shift) = (*multiplier, *shift);
                            let mul = kernels::Mul { rows: 12, channels: 5, broadcast, multiplier, shift, codes };
                            reference::mul(&mul, a, b, output);
                        }
                        _ => panic!(),
                    }
                });
            }
        }
    }
}

#[test]
fn one_tensor_may_be_both_inputs() {
    for bits in ACTIVATIONS {
        let mut net = Net::new(3, &[1, 2, 2, 3], bits);
        let view = net.view(&[1, 2, 2, 3], 0);
        net.add(0, view, bits);
        compare(net, |spec, input, output| {
            let OperatorSpec::Add(add) = &spec.nodes[0].operator else { panic!() };
            let add = kernels::Add {
                rows: 4,
                channels: 3,
                broadcast: false,
                subtract: add.subtract,
                multiplier_a: add.multipliers[0],
                multiplier_b: add.multipliers[1],
                shift: add.shift,
                codes: output_codes(spec),
            };
            reference::add(&add, activations(spec, 0, input), activations(spec, 0, input), output);
        });
    }
}

#[test]
fn pools() {
    let window = Window { kernel: [3, 2], stride: [2, 2], dilation: [1, 1], pad: [1, 1] };
    for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
        let mut net = Net::new(seed as u64, &[1, 6, 5, 5], bits);
        net.average_pool(0, window, bits);
        if seed % 2 == 0 {
            let OperatorSpec::AveragePool { counted_end, .. } = &mut net.spec.nodes[0].operator else { panic!() };
            *counted_end = Some([1, 1]);
        }
        compare(net, |spec, input, output| {
            let OperatorSpec::AveragePool { window, counted_end, divisors } = &spec.nodes[0].operator else { panic!() };
            let counts: Vec<u32> = divisors.iter().map(|divisor| divisor.count).collect();
            let multiplier: Vec<i32> = divisors.iter().map(|divisor| divisor.multiplier).collect();
            let shift: Vec<u8> = divisors.iter().map(|divisor| divisor.shift).collect();
            let pool = kernels::AveragePool {
                input: image(spec, 0),
                output: image(spec, 1),
                window: (*window).into(),
                padding: match counted_end {
                    Some(end) => CountPadding::Include { end: end.map(usize::from) },
                    None => CountPadding::Exclude,
                },
                counts: &counts,
                multiplier: &multiplier,
                shift: &shift,
                codes: output_codes(spec),
            };
            reference::average_pool(&pool, activations(spec, 0, input), output);
        });
        let mut net = Net::new(seed as u64, &[1, 6, 5, 5], bits);
        let [height, width] = output_size(window, 6, 5);
        let output = net.tensor_like(&[1, height, width, 5], 0);
        net.node(OperatorSpec::MaxPool(window), &[0], output);
        compare(net, |spec, input, output| {
            let OperatorSpec::MaxPool(window) = &spec.nodes[0].operator else { panic!() };
            let pool = kernels::MaxPool { input: image(spec, 0), output: image(spec, 1), window: (*window).into() };
            reference::max_pool(&pool, activations(spec, 0, input), output);
        });
    }
}

#[test]
fn requantisations_tables_and_softmax() {
    for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
        for output_bits in ACTIVATIONS {
            let mut net = Net::new(seed as u64, &[1, 3, 3, 5], bits);
            let output = net.tensor(&[1, 3, 3, 5], output_bits);
            let rescale = Rescale { multiplier: net.rng.random_range(1 << 30..i32::MAX), shift: 31 };
            let node = net.node(OperatorSpec::Requantize(rescale), &[0], output);
            net.spec.nodes[node].clamp = Some([output_bits.lo() + 1, output_bits.hi() - 1]);
            compare(net, |spec, input, output| {
                let OperatorSpec::Requantize(Rescale { multiplier, shift }) = spec.nodes[0].operator else { panic!() };
                let codes = output_codes(spec);
                let requantize = kernels::Requantize { rows: 9, channels: 5, multiplier, shift, codes };
                reference::requantize(&requantize, activations(spec, 0, input), output);
            });

            let mut net = Net::new(seed as u64, &[1, 3, 3, 5], bits);
            let output = net.tensor(&[1, 3, 3, 5], output_bits);
            let entries = table_entries(&mut net, bits, output_bits);
            net.node(OperatorSpec::Table { entries }, &[0], output);
            compare(net, |spec, input, output| {
                let OperatorSpec::Table { entries } = &spec.nodes[0].operator else { panic!() };
                let [input_bits, bits] = [spec.tensors[0].bits, spec.tensors[1].bits];
                let wide = [input_bits, bits].contains(&ActivationBits::A16);
                let entries: Vec<u8> = if wide {
                    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
                } else {
                    entries.iter().map(|&entry| entry as u8).collect()
                };
                let table = kernels::Table { rows: 9, channels: 5, entries: &entries, bits };
                reference::table(&table, activations(spec, 0, input), output);
            });

            let mut net = Net::new(seed as u64, &[1, 3, 3, 5], bits);
            let output = net.tensor(&[1, 3, 3, 5], output_bits);
            let slope_multiplier = (0..5).map(|_| net.rng.random_range(-i32::MAX..i32::MAX)).collect();
            let rescale = Rescale { multiplier: net.rng.random_range(1 << 30..i32::MAX), shift: 31 };
            net.node(OperatorSpec::Prelu { rescale, slope_multiplier, slope_shift: vec![32; 5] }, &[0], output);
            compare(net, |spec, input, output| {
                let OperatorSpec::Prelu { rescale, slope_multiplier, slope_shift } = &spec.nodes[0].operator else { panic!() };
                let Rescale { multiplier, shift } = *rescale;
                let codes = output_codes(spec);
                let prelu = kernels::Prelu { rows: 9, channels: 5, multiplier, shift, slope_multiplier, slope_shift, codes };
                reference::prelu(&prelu, activations(spec, 0, input), output);
            });

            let mut net = Net::new(seed as u64, &[1, 3, 2, 5], bits);
            let output = net.tensor(&[1, 4, 5, 5], output_bits);
            let (multiplier, shift) = if bits.signed() { ((1 << 23) - 1, 45) } else { (i32::MAX, 53) };
            let (rows, columns) = (vec![0, 700, 3000, 4096], vec![0, 511, 1024, 2047, 2048]);
            net.node(OperatorSpec::Resize { rows, columns, rescale: Some(Rescale { multiplier, shift }) }, &[0], output);
            compare(net, |spec, input, output| {
                let OperatorSpec::Resize { rows, columns, rescale } = &spec.nodes[0].operator else { panic!() };
                let rescale = rescale.map(|Rescale { multiplier, shift }| kernels::Rescale { multiplier, shift });
                let resize =
                    kernels::Resize { input: image(spec, 0), output: image(spec, 1), rows, columns, rescale, codes: output_codes(spec) };
                reference::resize(&resize, activations(spec, 0, input), output);
            });

            if matches!(output_bits, ActivationBits::A8 | ActivationBits::A16) {
                let mut net = Net::new(seed as u64, &[1, 3, 3, 5], bits);
                let output = net.tensor(&[1, 3, 3, 5], output_bits);
                net.spec.tensors[output].zero_point = 0;
                let rescale = Rescale { multiplier: 1 << 30, shift: 20 };
                net.node(OperatorSpec::Softmax(rescale), &[0], output);
                compare(net, |spec, input, output| {
                    let OperatorSpec::Softmax(Rescale { multiplier, shift }) = spec.nodes[0].operator else { panic!() };
                    let bits = spec.tensors[1].bits;
                    let one = (1.0 / spec.tensors[1].scale).round() as u32;
                    let softmax = kernels::Softmax { rows: 9, channels: 5, multiplier, shift, bits, one };
                    reference::softmax(&softmax, activations(spec, 0, input), output);
                });
            }
        }
    }
}
