//! Movements at every width: what a session computes is what the reference kernel computes from the same numbers.

mod common;

use apq_kernels::{self as kernels, reference};
use apq_runtime::build::*;
use apq_runtime::{Arithmetic, Model, Session};
use common::oracle::*;
use common::*;

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
