//! Products of activations, layer normalisation and constants at every width: what a session computes is what the reference kernel computes.

mod common;

use apq_kernels::{self as kernels, Invalid, reference};
use apq_runtime::build::*;
use apq_runtime::{LoadError, Model, NodeProblem};
use common::oracle::*;
use common::*;
use rand::Rng;

#[test]
fn products() {
    for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
        for transposed in [false, true] {
            // A square, so that the input is both operands in both forms.
            let mut net = Net::new(seed as u64, &[1, 3, 5, 5], bits);
            let output = net.tensor(&[1, 3, 5, 5], ACTIVATIONS[(seed + 2) % 5]);
            let rescale = Rescale { multiplier: net.rng.random_range(1 << 29..1 << 30), shift: 30 + bits.bits() as u8 };
            net.node(OperatorSpec::MatMul(MatMul { transposed, rescale }), &[0, 0], output);
            compare(net, |spec, input, output| {
                let OperatorSpec::MatMul(MatMul { transposed, rescale }) = spec.nodes[0].operator else { panic!() };
                let product = kernels::MatMul {
                    batches: 3,
                    rows: 5,
                    inner: 5,
                    columns: 5,
                    transposed,
                    multiplier: rescale.multiplier,
                    shift: rescale.shift,
                    codes: output_codes(spec),
                };
                let a = activations(spec, 0, input);
                reference::matmul::<reference::Native>(&product, a, a, output);
            });
        }
    }
}

#[test]
fn layer_normalisation() {
    for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
        for output_bits in ACTIVATIONS {
            let mut net = Net::new(seed as u64, &[1, 6, 7], bits);
            let output = net.tensor(&[1, 6, 7], output_bits);
            let norm = layer_norm(&mut net, 7, output_bits);
            let node = net.node(norm, &[0], output);
            net.spec.nodes[node].clamp = Some([output_bits.lo() + 1, output_bits.hi()]);
            compare(net, |spec, input, output| {
                let OperatorSpec::LayerNorm { epsilon, gamma, beta, shift } = &spec.nodes[0].operator else { panic!() };
                let (epsilon, shift, codes) = (*epsilon, *shift, output_codes(spec));
                let norm = kernels::LayerNorm { rows: 6, channels: 7, epsilon, gamma, beta, shift, codes };
                reference::layer_norm(&norm, activations(spec, 0, input), output);
            });
        }
    }
}

#[test]
fn a_constant_holds_its_codes() {
    for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
        let mut net = Net::new(seed as u64, &[1, 2, 3, 5], bits);
        let output = net.tensor(&[1, 4, 5], bits);
        let codes = (0..20).map(|_| net.rng.random_range(bits.lo()..=bits.hi()) as i16).collect();
        net.node(OperatorSpec::Constant { codes }, &[], output);
        compare(net, |spec, _, output| {
            let OperatorSpec::Constant { codes } = &spec.nodes[0].operator else { panic!() };
            let bits = spec.tensors[1].bits;
            let rows = output.chunks_exact_mut(kernels::pack::row_bytes(bits, 5));
            rows.zip(codes.chunks_exact(5)).for_each(|(row, codes)| kernels::pack::pack_row(bits, codes, row));
        });
    }
}

/// Input `[1, 4, 6]` twice into a transposed product, normalised, plus a constant. Nodes: product, norm, constant, sum.
fn error(change: impl FnOnce(&mut ModelSpec)) -> LoadError {
    let mut net = Net::new(7, &[1, 4, 6], ActivationBits::A8);
    let scores = net.tensor(&[1, 4, 4], ActivationBits::A8);
    net.node(OperatorSpec::MatMul(MatMul { transposed: true, rescale: UNIT }), &[0, 0], scores);
    let normal = net.tensor(&[1, 4, 4], ActivationBits::A8);
    let norm = layer_norm(&mut net, 4, ActivationBits::A8);
    net.node(norm, &[scores], normal);
    let constant = net.tensor(&[1, 4, 4], ActivationBits::A6);
    net.node(OperatorSpec::Constant { codes: vec![63; 16] }, &[], constant);
    net.add(normal, constant, ActivationBits::A8);
    assert!(Model::new_checked(&net.file()).is_ok());
    change(&mut net.spec);
    Model::new_checked(&write(&net.spec).unwrap()).unwrap_err()
}

#[test]
fn mistakes_are_named() {
    let node = |node, problem| LoadError::Node { node, problem };
    let product = |change: fn(&mut MatMul)| {
        error(|spec| match &mut spec.nodes[0].operator {
            OperatorSpec::MatMul(product) => change(product),
            _ => panic!(),
        })
    };
    assert_eq!(product(|product| product.transposed = false), node(0, NodeProblem::Shape));
    assert_eq!(product(|product| product.rescale.shift = 63), node(0, NodeProblem::Parameters(Invalid::Shift)));
    assert_eq!(product(|product| product.rescale.multiplier = -1), node(0, NodeProblem::Parameters(Invalid::Multiplier)));
    assert_eq!(error(|spec| spec.nodes[0].inputs.truncate(1)), node(0, NodeProblem::InputCount));
    assert_eq!(error(|spec| spec.nodes[0].scratch.length = 60), node(0, NodeProblem::Parameters(Invalid::ScratchLength)));
    assert_eq!(error(|spec| spec.tensors[1].shape = vec![1, 16]), node(0, NodeProblem::Shape));
    let norm = |epsilon: u64, shift: u8| {
        error(|spec| match &mut spec.nodes[1].operator {
            OperatorSpec::LayerNorm { epsilon: e, shift: r, .. } => (*e, *r) = (epsilon, shift),
            _ => panic!(),
        })
    };
    assert_eq!(norm(1 << 62, 20), node(1, NodeProblem::Parameters(Invalid::TooLarge)));
    assert_eq!(norm(0, 14), node(1, NodeProblem::Parameters(Invalid::Shift)));
    assert_eq!(norm(0, 43), node(1, NodeProblem::Parameters(Invalid::Shift)));
    assert_eq!(error(|spec| spec.nodes[2].inputs.push(0)), node(2, NodeProblem::InputCount));
    assert_eq!(error(|spec| spec.nodes[2].clamp = Some([0, 1])), node(2, NodeProblem::Clamp));
    // A constant must be written before it is read, and only once.
    assert!(matches!(error(|spec| spec.nodes.swap(2, 3)), LoadError::Node { node: 2, .. }));
}

#[test]
fn codes_that_the_width_does_not_have_are_refused() {
    let file = |bits: ActivationBits, channels: usize| {
        let mut net = Net::new(1, &[1, 2], ActivationBits::A8);
        let output = net.tensor(&[1, channels], bits);
        net.node(OperatorSpec::Constant { codes: vec![1; channels] }, &[], output);
        net.file()
    };
    let refused = Some(LoadError::Node { node: 0, problem: NodeProblem::Parameters(Invalid::Code) });
    // The constant's block is the first of the raw section.
    let with_raw = |bits, channels| {
        let file = file(bits, channels);
        let model = Model::new_checked(&file).unwrap();
        let raw = file.len() - model.raw_bytes();
        (file, raw)
    };
    let (mut six, raw) = with_raw(ActivationBits::A6, 4);
    assert_eq!(six[raw..raw + 4], [1; 4]);
    six[raw] = 64;
    seal(&mut six);
    assert_eq!(Model::new_checked(&six).err(), refused);
    let (mut four, raw) = with_raw(ActivationBits::A4, 3);
    assert_eq!(four[raw..raw + 2], [0x11, 0x01]);
    four[raw + 1] = 0x21;
    seal(&mut four);
    assert_eq!(Model::new_checked(&four).err(), refused);
}
