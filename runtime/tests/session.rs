//! Input, output, arena, observer and accessors.

mod common;

use apq_runtime::build::*;
use apq_runtime::{ArenaError, Arithmetic, LengthError, Model, Node, Observer, Session, TensorView, quantize_input};
use common::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::Rng;

#[test]
fn all_arithmetics_agree_on_whole_models() {
    let mut seed = 20;
    for weight_bits in WEIGHTS {
        for bits in ACTIVATIONS {
            seed += 1;
            let mut nets = vec![residual_net(seed, weight_bits, bits)];
            if weight_bits == WeightBits::W4 {
                nets.push(every_operator_net(seed, bits));
            }
            for mut net in nets {
                let file = net.file();
                let model = Model::new_checked(&file).unwrap_or_else(|error| panic!("{error}"));
                let input = net.input_bytes();
                let mut traces = Vec::new();
                for arithmetic in [Arithmetic::Native, Arithmetic::Reference, Arithmetic::BitFused] {
                    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
                    arena.fill(net.rng.random());
                    let mut session = Session::with_arithmetic(&model, &mut arena, arithmetic).unwrap();
                    session.input_codes_mut().copy_from_slice(&input);
                    let mut trace = Trace::default();
                    session.run(&mut trace);
                    traces.push(trace);
                }
                assert_eq!(traces[0], traces[1]);
                assert_eq!(traces[0], traces[2]);
                assert_eq!(traces[0].after.len(), net.spec.nodes.len());
            }
        }
    }
}

/// Equal codes are equal bytes, whatever the caller left in the bits of a row that no code uses.
#[test]
fn unused_bits_of_the_input_do_not_travel() {
    for bits in [ActivationBits::A2, ActivationBits::A4] {
        for operator in 0..5 {
            let mut net = Net::new(operator, &[1, 2, 3, 5], bits);
            let output = if operator == 0 { 0 } else { net.tensor_like(&[1, 2, 3, 5], 0) };
            match operator {
                0 => {}
                1 => drop(net.node(OperatorSpec::MaxPool(POINT), &[0], output)),
                2 => drop(net.node(OperatorSpec::Pad(Pad { before: [0; 3], code: 1 }), &[0], output)),
                3 => drop(net.node(OperatorSpec::Slice(Slice { begin: [0; 3], step: [1; 3] }), &[0], output)),
                _ => drop(net.node(OperatorSpec::Concat { axis: 1, rescales: vec![None] }, &[0], output)),
            }
            let file = net.file();
            let model = Model::new_checked(&file).unwrap_or_else(|error| panic!("{operator}: {error}"));
            let input = net.input_bytes();
            for arithmetic in [Arithmetic::Native, Arithmetic::Reference, Arithmetic::BitFused] {
                let outputs = [0x00, if bits == ActivationBits::A2 { 0xfc } else { 0xf0 }].map(|unused| {
                    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
                    let mut session = Session::with_arithmetic(&model, &mut arena, arithmetic).unwrap();
                    session.input_codes_mut().copy_from_slice(&input);
                    let row_bytes = input.len() / 6;
                    session.input_codes_mut().chunks_exact_mut(row_bytes).for_each(|row| row[row_bytes - 1] |= unused);
                    session.run(&mut ());
                    session.output_bytes().to_vec()
                });
                assert_eq!(outputs[0], outputs[1], "{bits:?} {operator} {arithmetic:?}");
            }
        }
    }
}

/// Every node's name and codes.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    before: Vec<(usize, String)>,
    after: Vec<(usize, String, Vec<i32>)>,
}

impl Observer for Trace {
    fn before(&mut self, index: usize, node: &Node<'_>) {
        self.before.push((index, node.name.into()));
    }

    fn after(&mut self, index: usize, node: &Node<'_>, output: &TensorView<'_>) {
        assert_eq!(output.codes().len(), output.tensor().shape.elements());
        assert_eq!(output.values().count(), output.codes().len());
        self.after.push((index, node.name.into(), output.codes().collect()));
    }
}

#[test]
fn the_observer_sees_every_node_before_and_after() {
    let net = residual_net(1, WeightBits::W4, ActivationBits::A4);
    let file = net.file();
    let model = Model::new_checked(&file).unwrap();
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::new(&model, &mut arena).unwrap();
    session.write_input_u8(&[17; 108]).unwrap();
    let mut trace = Trace::default();
    session.run(&mut trace);
    let expected: Vec<_> = (0..6).map(|index| (index, format!("n{index}"))).collect();
    assert_eq!(trace.before, expected);
    assert_eq!(trace.after.len(), 6);
    // This plan reuses nothing, so that every tensor is still there.
    let stem = model.tensor(1).unwrap();
    assert_eq!(trace.after[0].2, session.codes(&stem).collect::<Vec<_>>());
    assert_eq!(trace.after[5].2, session.output_codes().collect::<Vec<_>>());
}

#[test]
fn arenas() {
    let net = residual_net(1, WeightBits::W4, ActivationBits::A4);
    let file = net.file();
    let model = Model::new_checked(&file).unwrap();
    let needed = model.arena_bytes();
    assert_eq!(needed, net.spec.arena_bytes);
    let mut arena = AlignedBytes::zeroed(needed + 32);
    for given in [0, 1, needed - 1] {
        let error = Session::new(&model, &mut arena[..given]).unwrap_err();
        assert_eq!(error, ArenaError::TooSmall { needed, given });
        assert!(error.to_string().contains(&needed.to_string()));
    }
    for shift in 1..16 {
        let error = Session::new(&model, &mut arena[shift..]).unwrap_err();
        assert_eq!(error, ArenaError::Misaligned);
    }
    arena.fill(0xee);
    let mut session = Session::new(&model, &mut arena).unwrap();
    session.write_input_u8(&[1; 108]).unwrap();
    session.run(&mut ());
    assert!(arena[needed..].iter().all(|&byte| byte == 0xee), "bytes past the arena are left alone");
}

#[test]
fn a_file_that_was_read_back_is_what_was_written() {
    for net in [residual_net(3, WeightBits::W6, ActivationBits::A6), every_operator_net(4, ActivationBits::A4)] {
        let spec = &net.spec;
        let file = net.file();
        let model = Model::new_checked(&file).unwrap();
        assert_eq!(model.name(), spec.name);
        assert_eq!(model.file_bytes(), file.len());
        assert_eq!(model.groups().collect::<Vec<_>>(), spec.groups);
        assert_eq!(model.tensors().count(), spec.tensors.len());
        for (tensor, spec) in model.tensors().zip(&spec.tensors) {
            assert_eq!(tensor.name, spec.name);
            assert_eq!(tensor.shape.sizes().collect::<Vec<_>>(), spec.shape);
            assert_eq!((tensor.bits, tensor.scale, tensor.zero_point), (spec.bits, spec.scale, spec.zero_point));
            assert_eq!(tensor.offset as usize, spec.offset);
            assert_eq!(tensor.alias.map(usize::from), spec.alias);
            assert_eq!(tensor.bytes(), bytes(&spec.shape, spec.bits));
        }
        assert_eq!(model.nodes().count(), spec.nodes.len());
        for (node, spec) in model.nodes().zip(&spec.nodes) {
            assert_eq!(node.name, spec.name);
            assert_eq!(node.inputs.iter().map(|&input| usize::from(input)).collect::<Vec<_>>(), spec.inputs);
            assert_eq!(usize::from(node.output), spec.output);
            assert_eq!(node.group.map(usize::from), spec.group);
            assert_eq!(node.clamp, spec.clamp);
            assert_eq!(node.scratch, spec.scratch);
            let kernel = model.kernel(&node).unwrap();
            if let (OperatorSpec::Conv { weighted, .. }, apq_runtime::Kernel::Conv(conv)) = (&spec.operator, kernel) {
                assert_eq!(conv.weights, weighted.weights);
                assert_eq!(conv.stage.bias, weighted.bias);
                assert_eq!(conv.stage.multiplier, weighted.multiplier);
                assert_eq!(conv.stage.shift, weighted.shift);
            }
        }
        let input = model.input().unwrap();
        assert_eq!((input.raw_type, input.mean, input.std), (spec.input.raw, &*spec.input.mean, &*spec.input.std));
        let output = model.output().unwrap();
        assert_eq!(usize::from(output.index), spec.output.tensor);
        assert_eq!(output.classes, spec.output.classes);
        assert_eq!(output.softmax_removed, spec.output.softmax_removed);
        assert_eq!(model.arrangements().collect::<Vec<_>>(), [Arrangement::RowMajor]);
        let operators: Vec<_> = model.operators().collect();
        assert!(model.nodes().all(|node| operators.contains(&node.operator.name())));
        assert!(model.tensor(u16::MAX).is_none() && model.node(u16::MAX).is_none() && model.group(1).is_none());
    }
}

/// A model without nodes: its output is its input.
fn port(bits: ActivationBits, raw: RawType, lists: usize) -> Net {
    let mut net = Net::new(8, &[1, 2, 2, 3], bits);
    let mean = (0..lists).map(|list| 100.0 + 10.0 * list as f32).collect();
    let std = (0..lists).map(|list| 50.0 + 5.0 * list as f32).collect();
    net.spec.input = InputSpec { tensor: 0, raw, mean, std };
    net
}

#[test]
fn raw_data_of_every_type_become_the_same_codes() {
    for bits in ACTIVATIONS {
        for raw in [RawType::U8, RawType::I8, RawType::F32] {
            for lists in [1, 3] {
                let mut net = port(bits, raw, lists);
                let file = net.file();
                let model = Model::new_checked(&file).unwrap();
                assert_eq!(model.input().unwrap().table.is_empty(), raw == RawType::F32);
                let mut arena = AlignedBytes::zeroed(model.arena_bytes());
                let mut session = Session::new(&model, &mut arena).unwrap();
                for _ in 0..20 {
                    let data: [u8; 12] = net.rng.random();
                    let tensor = &net.spec.tensors[0];
                    let formula = |values: &[f32]| -> Vec<i32> {
                        let code = |(place, &x): (usize, &f32)| {
                            let list = if lists == 1 { 0 } else { place % 3 };
                            let (mean, std) = (net.spec.input.mean[list], net.spec.input.std[list]);
                            quantize_input(x, mean, std, tensor.scale, tensor.zero_point, bits.lo(), bits.hi())
                        };
                        values.iter().enumerate().map(code).collect()
                    };
                    let unsigned: Vec<f32> = data.iter().map(|&byte| f32::from(byte)).collect();
                    session.write_input_u8(&data).unwrap();
                    assert_eq!(session.output_codes().collect::<Vec<_>>(), formula(&unsigned));
                    session.write_input_f32(&unsigned).unwrap();
                    assert_eq!(session.output_codes().collect::<Vec<_>>(), formula(&unsigned));
                    let signed = data.map(|byte| byte as i8);
                    session.write_input_i8(&signed).unwrap();
                    let signed: Vec<f32> = signed.iter().map(|&byte| f32::from(byte)).collect();
                    assert_eq!(session.output_codes().collect::<Vec<_>>(), formula(&signed));
                }
                let mut values = [0.0; 12];
                session.read_output_f32(&mut values).unwrap();
                for (value, code) in values.into_iter().zip(session.output_codes()) {
                    let tensor = &net.spec.tensors[0];
                    assert_eq!(value, tensor.scale * (code - tensor.zero_point) as f32);
                }
                let wrong = Err(LengthError { needed: 12, given: 11 });
                assert_eq!(session.write_input_u8(&[0; 11]), wrong);
                assert_eq!(session.write_input_i8(&[0; 11]), wrong);
                assert_eq!(session.write_input_f32(&[0.0; 11]), wrong);
                assert_eq!(session.read_output_f32(&mut values[..11]), wrong);
            }
        }
    }
}

#[test]
fn ties_go_to_the_first() {
    let net = port(ActivationBits::A8, RawType::U8, 1);
    let file = net.file();
    let model = Model::new_checked(&file).unwrap();
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::new(&model, &mut arena).unwrap();
    session.input_codes_mut().copy_from_slice(&[1, 9, 3, 9, 0, 9, 2, 2, 2, 2, 2, 8]);
    assert_eq!(session.argmax(), 1);
    session.input_codes_mut().fill(0);
    assert_eq!(session.argmax(), 0);
}

#[test]
fn six_bit_input_bytes_that_are_no_codes_count_as_the_largest() {
    let mut net = Net::new(2, &[1, 2, 2, 3], ActivationBits::A6);
    let entries = table_entries(&mut net, ActivationBits::A6, ActivationBits::A8);
    let output = net.tensor(&[1, 2, 2, 3], ActivationBits::A8);
    net.node(OperatorSpec::Table { entries: entries.clone() }, &[0], output);
    let file = net.file();
    let model = Model::new_checked(&file).unwrap();
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::new(&model, &mut arena).unwrap();
    session.input_codes_mut().fill(0xff);
    session.run(&mut ());
    assert!(session.output_codes().all(|code| code == i32::from(entries[63])));
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quantized_input_is_the_nearest_code(x in -1e4f32..1e4, mean in -200f32..200.0, std in 1f32..100.0,
        scale in 0.001f32..1.0, zero_point in 0i32..256) {
        let code = quantize_input(x, mean, std, scale, zero_point, 0, 255);
        prop_assert!((0..=255).contains(&code));
        let exact = f64::from(((x - mean) / std) / scale) + f64::from(zero_point);
        prop_assert!((f64::from(code) - exact.clamp(0.0, 255.0)).abs() <= 0.5);
    }

    #[test]
    fn quantization_of_any_bits_stays_among_the_codes(bits: [u32; 4], zero_point: i32) {
        let [x, mean, std, scale] = bits.map(f32::from_bits);
        let code = quantize_input(x, mean, std, scale, zero_point, -32768, 32767);
        prop_assert!((-32768..=32767).contains(&code));
    }
}

#[test]
fn halves_round_away_from_zero() {
    let code = |x| quantize_input(x, 0.0, 1.0, 1.0, 10, 0, 255);
    assert_eq!([code(0.5), code(-0.5), code(1.5), code(-1.5), code(2.5)], [11, 9, 12, 8, 13]);
    assert_eq!(code(f32::NAN), 10);
    assert_eq!([code(f32::INFINITY), code(f32::NEG_INFINITY)], [255, 0]);
}
