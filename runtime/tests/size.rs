//! Files are little larger than their weights: packed weights, 9 bytes for each output channel, 4 KiB and 3 %.

mod common;

use apq_runtime::Model;
use apq_runtime::build::*;
use common::*;

/// Names as exporters make them.
fn lengthen_names(net: &mut Net) {
    for (index, node) in net.spec.nodes.iter_mut().enumerate() {
        node.name = format!("/features/features.{}/conv/conv.{}/Conv", index / 3, index % 3);
    }
    for (index, tensor) in net.spec.tensors.iter_mut().enumerate() {
        tensor.name = format!("/features/features.{}/conv/conv.{}/Conv_output_0", index / 3, index % 3);
    }
}

fn check(mut net: Net) {
    lengthen_names(&mut net);
    let mut payload = 0;
    for node in &net.spec.nodes {
        if let OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted } = &node.operator {
            payload += weighted.weights.len() + 9 * weighted.bias.len();
        }
    }
    let file = net.file();
    assert!(Model::new_checked(&file).is_ok());
    let limit = payload + payload * 3 / 100 + 4096;
    println!("{} nodes, payload {payload}, file {}, limit {limit}", net.spec.nodes.len(), file.len());
    assert!(file.len() <= limit, "{} bytes for {payload}", file.len());
}

fn resnet8(weight_bits: WeightBits, bits: ActivationBits) -> Net {
    let mut net = Net::new(1, &[1, 32, 32, 3], bits);
    net.spec.input.mean = vec![0.0; 3];
    net.spec.input.std = vec![255.0; 3];
    let mut last = net.conv(0, THREE, 1, 16, weight_bits, bits);
    for (channels, stride) in [(16, 1), (32, 2), (64, 2)] {
        let down = Window { stride: [stride; 2], ..THREE };
        let first = net.conv(last, down, 1, channels, weight_bits, bits);
        let second = net.conv(first, THREE, 1, channels, weight_bits, bits);
        let skip = match stride {
            1 => last,
            _ => net.conv(last, Window { stride: [stride; 2], ..POINT }, 1, channels, weight_bits, bits),
        };
        last = net.add(second, skip, bits);
    }
    let pooled = net.average_pool(last, Window { kernel: [8, 8], pad: [0, 0], ..THREE }, bits);
    if let OperatorSpec::AveragePool { divisors, .. } = &mut net.spec.nodes.last_mut().unwrap().operator {
        divisors.retain(|divisor| divisor.count == 64);
    }
    let flat = net.view(&[1, 64], pooled);
    net.fully_connected(flat, 10, weight_bits, ActivationBits::A8);
    net
}

/// Inverted residual blocks: expansion, channels, repetitions, stride.
const MOBILENET_V2: [(usize, usize, usize, u16); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn mobilenet_v2(weight_bits: WeightBits, bits: ActivationBits) -> Net {
    let mut net = Net::new(1, &[1, 224, 224, 3], bits);
    net.spec.input.mean = vec![123.7, 116.3, 103.5];
    net.spec.input.std = vec![58.4, 57.1, 57.4];
    let mut last = net.conv(0, Window { stride: [2, 2], ..THREE }, 1, 32, weight_bits, bits);
    let mut channels = 32;
    for (expansion, outputs, repetitions, first_stride) in MOBILENET_V2 {
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { first_stride } else { 1 };
            let hidden = channels * expansion;
            let wide = if expansion == 1 { last } else { net.conv(last, POINT, 1, hidden, weight_bits, bits) };
            let window = Window { stride: [stride; 2], ..THREE };
            let deep = net.conv(wide, window, hidden, hidden, weight_bits, bits);
            let narrow = net.conv(deep, POINT, 1, outputs, weight_bits, bits);
            let residual = stride == 1 && channels == outputs;
            last = if residual { net.add(last, narrow, bits) } else { narrow };
            channels = outputs;
        }
    }
    last = net.conv(last, POINT, 1, 1280, weight_bits, bits);
    let pooled = net.average_pool(last, Window { kernel: [7, 7], pad: [0, 0], ..THREE }, bits);
    if let OperatorSpec::AveragePool { divisors, .. } = &mut net.spec.nodes.last_mut().unwrap().operator {
        divisors.retain(|divisor| divisor.count == 49);
    }
    let flat = net.view(&[1, 1280], pooled);
    net.fully_connected(flat, 1000, weight_bits, ActivationBits::A8);
    net
}

#[test]
fn resnet8_is_small() {
    for weight_bits in WEIGHTS {
        check(resnet8(weight_bits, ActivationBits::A8));
        check(resnet8(weight_bits, ActivationBits::A16));
    }
}

#[test]
fn mobilenet_v2_is_small() {
    for weight_bits in WEIGHTS {
        check(mobilenet_v2(weight_bits, ActivationBits::A8));
    }
}
