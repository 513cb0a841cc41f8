//! Every operator at every width: what a session computes is what the reference kernel computes from the same numbers.

mod common;

use apq_kernels::{self as kernels, Activations, CountPadding, Image, OutputCodes, OutputStage, reference};
use apq_runtime::build::*;
use apq_runtime::{Arithmetic, Model, Session};
use common::*;
use rand::Rng;

/// Runs a model of one node in all arithmetics and compares its output bytes with those of `kernel`.
fn compare(mut net: Net, kernel: impl Fn(&ModelSpec, &[u8], &mut [u8])) {
    let file = net.file();
    let model = Model::new_checked(&file).unwrap_or_else(|error| panic!("{error}"));
    let input = net.input_bytes();
    let output = &net.spec.tensors[net.spec.output.tensor];
    let mut expected = vec![0; bytes(&output.shape, output.bits)];
    kernel(&net.spec, &input, &mut expected);
    for arithmetic in [Arithmetic::Native, Arithmetic::Reference, Arithmetic::BitFused] {
        let mut arena = AlignedBytes::zeroed(model.arena_bytes());
        // What the arena held before does not matter.
        arena.fill(0xa5);
        let mut session = Session::with_arithmetic(&model, &mut arena, arithmetic).unwrap();
        session.input_codes_mut().copy_from_slice(&input);
        session.run(&mut ());
        assert_eq!(session.output_bytes(), expected, "{arithmetic:?} {:?}", net.spec.nodes[0].operator);
    }
}

fn activations<'a>(spec: &ModelSpec, tensor: usize, codes: &'a [u8]) -> Activations<'a> {
    let TensorSpec { bits, zero_point, .. } = spec.tensors[tensor];
    Activations { codes, bits, zero_point }
}

fn output_codes(spec: &ModelSpec) -> OutputCodes {
    let TensorSpec { bits, zero_point, .. } = spec.tensors[spec.output.tensor];
    let [lo, hi] = spec.nodes[0].clamp.unwrap_or([bits.lo(), bits.hi()]);
    OutputCodes { zero_point, lo, hi, bits }
}

fn image(spec: &ModelSpec, tensor: usize) -> Image {
    let shape = &spec.tensors[tensor].shape;
    Image { height: shape[1], width: shape[2], channels: shape[3] }
}

fn stage<'a>(spec: &ModelSpec, weighted: &'a WeightedSpec) -> OutputStage<'a> {
    let OutputCodes { zero_point, lo, hi, bits } = output_codes(spec);
    let WeightedSpec { bias, multiplier, shift, .. } = weighted;
    OutputStage { bias, multiplier, shift, zero_point, lo, hi, bits }
}

#[test]
fn convolutions() {
    let wide = Window { kernel: [3, 2], stride: [2, 1], dilation: [1, 2], pad: [1, 2] };
    let mut seed = 0;
    for weight_bits in WEIGHTS {
        for bits in ACTIVATIONS {
            for (window, groups, outputs) in [(THREE, 1, 5), (POINT, 1, 7), (THREE, 6, 6), (THREE, 6, 12), (wide, 2, 4)] {
                seed += 1;
                let mut net = Net::new(seed, &[1, 5, 7, 6], bits);
                let output_bits = ACTIVATIONS[seed as usize % 5];
                net.conv(0, window, groups, outputs, weight_bits, output_bits);
                if seed % 3 == 0 {
                    let zero_point = net.spec.tensors[net.spec.output.tensor].zero_point;
                    net.spec.nodes[0].clamp = Some([zero_point, output_bits.hi()]);
                }
                compare(net, |spec, input, output| {
                    let OperatorSpec::Conv { window, groups, weighted } = &spec.nodes[0].operator else { panic!() };
                    let conv = kernels::Conv {
                        input: image(spec, 0),
                        output: image(spec, spec.output.tensor),
                        window: (*window).into(),
                        groups: *groups,
                        weight_bits: weighted.bits,
                        weights: &weighted.weights,
                        accumulator: weighted.accumulator,
                        stage: stage(spec, weighted),
                    };
                    reference::conv::<reference::Native>(&conv, activations(spec, 0, input), output);
                });
            }
        }
    }
}

#[test]
fn fully_connected_layers() {
    let mut seed = 100;
    for weight_bits in WEIGHTS {
        for bits in ACTIVATIONS {
            for shape in [&[1, 37][..], &[1, 3, 13], &[1, 2, 2, 2, 5], &[1, 700]] {
                seed += 1;
                let mut net = Net::new(seed, shape, bits);
                net.fully_connected(0, 9, weight_bits, ACTIVATIONS[seed as usize % 5]);
                compare(net, |spec, input, output| {
                    let OperatorSpec::FullyConnected { weighted } = &spec.nodes[0].operator else { panic!() };
                    let (inputs, rows) = spec.tensors[0].shape.split_last().unwrap();
                    let layer = kernels::FullyConnected {
                        rows: rows.iter().product(),
                        inputs: *inputs,
                        outputs: 9,
                        weight_bits: weighted.bits,
                        weights: &weighted.weights,
                        accumulator: weighted.accumulator,
                        stage: stage(spec, weighted),
                    };
                    reference::fully_connected::<reference::Native>(&layer, activations(spec, 0, input), output);
                });
            }
        }
    }
}

#[test]
fn a_wide_accumulator_is_used_where_it_must_be() {
    let mut net = Net::new(7, &[1, 2000], ActivationBits::A16);
    net.fully_connected(0, 3, WeightBits::W8, ActivationBits::A16);
    let OperatorSpec::FullyConnected { weighted } = &net.spec.nodes[0].operator else { panic!() };
    assert_eq!(weighted.accumulator, Accumulator::I64);
    let model = net.file();
    let model = Model::new_checked(&model).unwrap();
    assert_eq!(model.node(0).unwrap().weighted().unwrap().accumulator, Accumulator::I64);
}

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

            if matches!(output_bits, ActivationBits::A8 | ActivationBits::A16) {
                let mut net = Net::new(seed as u64, &[1, 3, 3, 5], bits);
                let output = net.tensor(&[1, 3, 3, 5], output_bits);
                net.spec.tensors[output].zero_point = 0;
                let rescale = Rescale { multiplier: 1 << 30, shift: 20 };
                net.node(OperatorSpec::Softmax(rescale), &[0], output);
                compare(net, |spec, input, output| {
                    let OperatorSpec::Softmax(Rescale { multiplier, shift }) = spec.nodes[0].operator else { panic!() };
                    let bits = spec.tensors[1].bits;
                    let softmax = kernels::Softmax { rows: 9, channels: 5, multiplier, shift, bits };
                    reference::softmax(&softmax, activations(spec, 0, input), output);
                });
            }
        }
    }
}

/// Codes of a packed tensor, one after the other.
fn unpack(shape: &[usize], bits: ActivationBits, codes: &[u8]) -> Vec<i32> {
    let (&channels, _) = shape.split_last().unwrap();
    let rows = codes.chunks_exact(kernels::pack::row_bytes(bits, channels));
    rows.flat_map(|row| (0..channels).map(move |index| kernels::pack::code(row, bits, index))).collect()
}

/// Runs a model of one movement and compares its codes with what `source` says: the input's place of each output place.
fn compare_movement(mut net: Net, source: impl Fn(&[usize]) -> Option<usize>, constant: i32) {
    let file = net.file();
    let model = Model::new_checked(&file).unwrap_or_else(|error| panic!("{error}"));
    let input = net.input_bytes();
    let [from, to] = [&net.spec.tensors[0], &net.spec.tensors[net.spec.output.tensor]];
    let codes = unpack(&from.shape, from.bits, &input);
    let mut expected = Vec::new();
    for place in 0..to.shape.iter().product() {
        let mut rest: usize = place;
        let mut at = vec![0; to.shape.len()];
        for (axis, &size) in to.shape.iter().enumerate().rev() {
            at[axis] = rest % size;
            rest /= size;
        }
        expected.push(source(&at).map_or(constant, |place| codes[place]));
    }
    for arithmetic in [Arithmetic::Native, Arithmetic::Reference, Arithmetic::BitFused] {
        let mut arena = AlignedBytes::zeroed(model.arena_bytes());
        arena.fill(0xa5);
        let mut session = Session::with_arithmetic(&model, &mut arena, arithmetic).unwrap();
        session.input_codes_mut().copy_from_slice(&input);
        session.run(&mut ());
        let output: Vec<i32> = session.output_codes().collect();
        assert_eq!(output, expected, "{arithmetic:?} {:?}", net.spec.nodes[0].operator);
    }
}

#[test]
fn movements() {
    for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
        let start = || Net::new(seed as u64, &[1, 3, 4, 5], bits);

        let mut net = start();
        let output = net.tensor_like(&[1, 5, 7, 8], 0);
        let code = net.spec.tensors[0].zero_point;
        net.node(OperatorSpec::Pad(Pad { before: [2, 1, 3], code }), &[0], output);
        let source = |at: &[usize]| {
            let (y, x, c) = (at[1].checked_sub(2)?, at[2].checked_sub(1)?, at[3].checked_sub(3)?);
            (y < 3 && x < 4 && c < 5).then_some((y * 4 + x) * 5 + c)
        };
        compare_movement(net, source, code);

        let mut net = start();
        let output = net.tensor_like(&[1, 2, 2, 3], 0);
        net.node(OperatorSpec::Slice(Slice { begin: [0, 1, 0], step: [2, 2, 2] }), &[0], output);
        compare_movement(net, |at| Some((at[1] * 2 * 4 + at[2] * 2 + 1) * 5 + at[3] * 2), 0);

        let mut net = start();
        let output = net.tensor_like(&[1, 5, 3, 4], 0);
        net.node(OperatorSpec::Transpose { axes: vec![0, 3, 1, 2] }, &[0], output);
        compare_movement(net, |at| Some((at[2] * 4 + at[3]) * 5 + at[1]), 0);

        let mut net = start();
        let output = net.tensor_like(&[1, 60], 0);
        net.node(OperatorSpec::Reshape, &[0], output);
        compare_movement(net, |at| Some(at[1]), 0);

        let mut net = start();
        let output = net.tensor_like(&[1, 3, 4, 10], 0);
        net.node(OperatorSpec::Concat { axis: 3, rescales: vec![None; 2] }, &[0, 0], output);
        compare_movement(net, |at| Some((at[1] * 4 + at[2]) * 5 + at[3] % 5), 0);

        let mut net = start();
        let output = net.tensor_like(&[1, 3, 12, 5], 0);
        net.node(OperatorSpec::Concat { axis: 2, rescales: vec![None; 3] }, &[0, 0, 0], output);
        compare_movement(net, |at| Some((at[1] * 4 + at[2] % 4) * 5 + at[3]), 0);

        let mut net = start();
        let output = net.tensor_like(&[1, 6, 4, 5], 0);
        net.node(OperatorSpec::Concat { axis: 1, rescales: vec![None; 2] }, &[0, 0], output);
        compare_movement(net, |at| Some((at[1] % 3 * 4 + at[2]) * 5 + at[3]), 0);
    }
}

#[test]
fn a_concatenation_brings_its_inputs_to_one_quantizer() {
    for bits in [ActivationBits::A4, ActivationBits::A8] {
        let mut net = Net::new(9, &[1, 2, 2, 3], bits);
        let output = net.tensor(&[1, 2, 2, 6], ActivationBits::A8);
        let rescale = Rescale { multiplier: 1 << 30, shift: 29 };
        let node = net.node(OperatorSpec::Concat { axis: 3, rescales: vec![Some(rescale); 2] }, &[0, 0], output);
        net.spec.nodes[node].clamp = Some([10, 200]);
        compare(net, |spec, input, output| {
            for channel_offset in [0, 3] {
                let part = kernels::ConcatPart {
                    outer: 1,
                    input_rows: 4,
                    output_rows: 4,
                    row_offset: 0,
                    input_channels: 3,
                    output_channels: 6,
                    channel_offset,
                    rescale: Some(kernels::Rescale { multiplier: 1 << 30, shift: 29 }),
                    codes: output_codes(spec),
                };
                reference::concat_part(&part, activations(spec, 0, input), output);
            }
        });
    }
}
