//! Convolutions and fully connected layers at every width: what a session computes is what the reference kernel
//! computes from the same numbers.

mod common;

use apq_kernels::{self as kernels, reference};
use apq_runtime::Model;
use apq_runtime::build::*;
use common::oracle::*;
use common::*;

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
                        arrangement: weighted.arrangement,
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
                        arrangement: weighted.arrangement,
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
