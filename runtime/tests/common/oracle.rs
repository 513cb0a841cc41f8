//! A session beside the reference kernel, with the same numbers.

use apq_kernels::{Activations, Image, OutputCodes, OutputStage};
use apq_runtime::build::*;
use apq_runtime::{Arithmetic, Model, Session};

use super::{Net, bytes};

/// Runs a model of one node in all arithmetics and compares its output bytes with those of `kernel`.
pub(crate) fn compare(mut net: Net, kernel: impl Fn(&ModelSpec, &[u8], &mut [u8])) {
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

/// Codes of a tensor as a kernel reads them.
pub(crate) fn activations<'a>(spec: &ModelSpec, tensor: usize, codes: &'a [u8]) -> Activations<'a> {
    let TensorSpec { bits, zero_point, .. } = spec.tensors[tensor];
    Activations { codes, bits, zero_point }
}

/// What a kernel may write into the output.
pub(crate) fn output_codes(spec: &ModelSpec) -> OutputCodes {
    let TensorSpec { bits, zero_point, .. } = spec.tensors[spec.output.tensor];
    let [lo, hi] = spec.nodes[0].clamp.unwrap_or([bits.lo(), bits.hi()]);
    OutputCodes { zero_point, lo, hi, bits }
}

/// Shape of a tensor of rank 4.
pub(crate) fn image(spec: &ModelSpec, tensor: usize) -> Image {
    let shape = &spec.tensors[tensor].shape;
    Image { height: shape[1], width: shape[2], channels: shape[3] }
}

/// Output stage of the only node.
pub(crate) fn stage<'a>(spec: &ModelSpec, weighted: &'a WeightedSpec) -> OutputStage<'a> {
    let OutputCodes { zero_point, lo, hi, bits } = output_codes(spec);
    let WeightedSpec { bias, multiplier, shift, .. } = weighted;
    OutputStage { bias, multiplier, shift, zero_point, lo, hi, bits }
}
