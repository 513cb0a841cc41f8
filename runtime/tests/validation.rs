//! Descriptions with one mistake each: loading names the mistake.

mod common;

use apq_kernels::Invalid;
use apq_runtime::build::*;
use apq_runtime::{ErrorClass, LoadError, Model, NodeProblem, PortProblem, TensorProblem};
use common::*;

/// The error of the residual net after `change`. Tensors: 0 input, 1 stem, 2 depthwise, 3 pointwise, 4 sum, 5 pooled,
/// 6 flat (a view of 5), 7 logits. Nodes: 0..=2 convolutions, 3 add, 4 pool, 5 fully connected.
fn error(change: impl FnOnce(&mut ModelSpec)) -> LoadError {
    let mut spec = residual_net(5, WeightBits::W8, ActivationBits::A8).spec;
    assert!(Model::new_checked(&write(&spec).unwrap()).is_ok());
    change(&mut spec);
    let error = Model::new_checked(&write(&spec).unwrap()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::BadFile);
    assert!(!error.to_string().is_empty());
    error
}

fn tensor(tensor: u16, problem: TensorProblem) -> LoadError {
    LoadError::Tensor { tensor, problem }
}

fn node(node: u16, problem: NodeProblem) -> LoadError {
    LoadError::Node { node, problem }
}

#[test]
fn tensors() {
    use TensorProblem::*;
    assert_eq!(error(|spec| spec.tensors[4].shape = vec![]), tensor(4, Shape));
    assert_eq!(error(|spec| spec.tensors[4].shape[2] = 0), tensor(4, Shape));
    assert_eq!(error(|spec| spec.tensors[4].shape = vec![1 << 16; 4]), tensor(4, Shape));
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(error(|spec| spec.tensors[2].scale = scale), tensor(2, Scale));
    }
    assert_eq!(error(|spec| spec.tensors[2].zero_point = 256), tensor(2, ZeroPoint));
    assert_eq!(error(|spec| spec.tensors[2].zero_point = -1), tensor(2, ZeroPoint));
    let wide = |spec: &mut ModelSpec| {
        (spec.tensors[7].bits, spec.tensors[7].zero_point) = (ActivationBits::A16, 1);
    };
    assert_eq!(error(wide), tensor(7, ZeroPoint));
    assert_eq!(error(|spec| spec.tensors[3].offset += 8), tensor(3, Placement));
    assert_eq!(error(|spec| spec.tensors[3].offset = spec.arena_bytes.next_multiple_of(16)), tensor(3, Placement));
    assert_eq!(error(|spec| spec.tensors[3].offset = 0xffff_fff0), tensor(3, Placement));
    assert!(matches!(error(|spec| spec.arena_bytes -= 1), LoadError::Tensor { .. } | LoadError::Node { .. }));
}

#[test]
fn views() {
    let alias = tensor(6, TensorProblem::Alias);
    assert_eq!(error(|spec| spec.tensors[6].alias = Some(99)), alias);
    assert_eq!(error(|spec| spec.tensors[6].alias = Some(4)), alias);
    assert_eq!(error(|spec| spec.tensors[6].alias = Some(6)), alias);
    assert_eq!(error(|spec| spec.tensors[6].offset += 16), alias);
    assert_eq!(error(|spec| spec.tensors[6].scale *= 2.0), alias);
    assert_eq!(error(|spec| spec.tensors[6].zero_point ^= 1), alias);
    assert_eq!(error(|spec| spec.tensors[6].shape[0] = 2), alias);
    // A shape is looked at before any view of it, whatever their order: sizes are multiplied only where they are legal.
    let shown_later = |spec: &mut ModelSpec| {
        spec.tensors.push(TensorSpec { shape: vec![1, u32::MAX as usize], ..spec.tensors[4].clone() });
        spec.tensors[6].alias = Some(8);
    };
    assert_eq!(error(shown_later), tensor(8, TensorProblem::Shape));
    let view_of_view = |spec: &mut ModelSpec| {
        let view = TensorSpec { alias: Some(6), ..spec.tensors[6].clone() };
        spec.tensors.push(view);
    };
    assert_eq!(error(view_of_view), tensor(8, TensorProblem::Alias));
    // Written through a view that shows all of it.
    let mut spec = residual_net(5, WeightBits::W8, ActivationBits::A8).spec;
    spec.nodes[4].output = 6;
    assert!(Model::new_checked(&write(&spec).unwrap()).is_ok());
}

#[test]
fn views_of_packed_tensors_must_pack_alike() {
    let net = |bits, shape: &[usize], view: &[usize]| {
        let mut net = Net::new(1, shape, bits);
        let view = net.view(view, 0);
        net.spec.output.tensor = view;
        Model::new_checked(&net.file()).map(|_| ())
    };
    let alias = Err(tensor(1, TensorProblem::Alias));
    assert_eq!(net(ActivationBits::A4, &[1, 2, 2, 3], &[1, 12]), alias);
    assert_eq!(net(ActivationBits::A4, &[1, 2, 2, 3], &[1, 4, 3]), Ok(()));
    assert_eq!(net(ActivationBits::A4, &[1, 2, 2, 2], &[1, 8]), Ok(()));
    assert_eq!(net(ActivationBits::A2, &[1, 2, 2, 2], &[1, 8]), alias);
    assert_eq!(net(ActivationBits::A2, &[1, 2, 2, 4], &[1, 16]), Ok(()));
    assert_eq!(net(ActivationBits::A6, &[1, 2, 2, 3], &[1, 12]), Ok(()));
    assert_eq!(net(ActivationBits::A16, &[1, 2, 2, 3], &[1, 12]), Ok(()));
    // Equal bytes are not enough: 4 rows of 5 codes take as many bytes as 4 rows of 6.
    assert_eq!(net(ActivationBits::A4, &[1, 2, 2, 5], &[1, 2, 2, 6]), alias);
}

#[test]
fn references() {
    assert_eq!(error(|spec| spec.nodes[3].inputs[0] = 50), node(3, NodeProblem::Reference));
    assert_eq!(error(|spec| spec.nodes[3].output = 50), node(3, NodeProblem::Reference));
    assert_eq!(error(|spec| spec.nodes[3].group = Some(1)), node(3, NodeProblem::Reference));
    assert_eq!(error(|spec| spec.nodes[3].inputs.truncate(1)), node(3, NodeProblem::InputCount));
    assert_eq!(error(|spec| spec.nodes[3].inputs.push(0)), node(3, NodeProblem::InputCount));
    assert_eq!(error(|spec| spec.nodes[0].inputs.clear()), node(0, NodeProblem::InputCount));
    let port = |problem| LoadError::Output { problem };
    assert_eq!(error(|spec| spec.output.tensor = 50), port(PortProblem::Reference));
    assert_eq!(error(|spec| spec.output.classes = 4), port(PortProblem::Classes));
    let port = |problem| LoadError::Input { problem };
    assert_eq!(error(|spec| spec.input.std[1] = 0.0), port(PortProblem::Preprocessing));
    assert_eq!(error(|spec| spec.input.mean[1] = f32::NAN), port(PortProblem::Preprocessing));
    let two_lists = |spec: &mut ModelSpec| {
        spec.input.mean.truncate(2);
        spec.input.std.truncate(2);
    };
    assert_eq!(error(two_lists), port(PortProblem::Preprocessing));
    assert_eq!(error(|spec| spec.input.tensor = 6), port(PortProblem::Reference));
}

#[test]
fn parameters() {
    let parameters = |index, invalid| node(index, NodeProblem::Parameters(invalid));
    for shift in [0, 63, 255] {
        assert_eq!(error(|spec| weighted(spec, 1).shift[3] = shift), parameters(1, Invalid::Shift));
    }
    assert_eq!(error(|spec| weighted(spec, 1).multiplier[3] = -1), parameters(1, Invalid::Multiplier));
    let wide = |spec: &mut ModelSpec| weighted(spec, 1).accumulator = Accumulator::I64;
    assert_eq!(error(wide), parameters(1, Invalid::Multiplier));
    let add = |change: fn(&mut Add)| {
        error(|spec| match &mut spec.nodes[3].operator {
            OperatorSpec::Add(add) => change(add),
            _ => panic!("node 3 adds"),
        })
    };
    assert_eq!(add(|add| add.shift = 0), parameters(3, Invalid::Shift));
    assert_eq!(add(|add| add.multipliers[1] = -5), parameters(3, Invalid::Multiplier));
    let pool = |change: fn(&mut Vec<DivisorSpec>)| {
        error(|spec| match &mut spec.nodes[4].operator {
            OperatorSpec::AveragePool { divisors, .. } => change(divisors),
            _ => panic!("node 4 pools"),
        })
    };
    assert_eq!(pool(|divisors| divisors.truncate(35)), parameters(4, Invalid::Count));
    assert_eq!(pool(|divisors| divisors[35].shift = 63), parameters(4, Invalid::Shift));
    let groups = |spec: &mut ModelSpec| match &mut spec.nodes[1].operator {
        OperatorSpec::Conv { groups, .. } => *groups = 0,
        _ => panic!("node 1 convolves"),
    };
    assert_eq!(error(groups), parameters(1, Invalid::Groups));
    let scratch = |spec: &mut ModelSpec| {
        assert!(scratch_bytes_min(spec, 0) <= scratch_bytes(spec, 0));
        spec.nodes[0].scratch.length = scratch_bytes_min(spec, 0).saturating_sub(1) as u32;
    };
    assert_eq!(error(scratch), parameters(0, Invalid::ScratchLength));
    assert_eq!(error(|spec| spec.nodes[0].scratch.offset += 4), node(0, NodeProblem::Scratch));
    assert_eq!(error(|spec| spec.nodes[0].scratch.offset = u32::MAX - 15), node(0, NodeProblem::Scratch));
    for clamp in [[5, 4], [-1, 10], [0, 256]] {
        assert_eq!(error(|spec| spec.nodes[2].clamp = Some(clamp)), node(2, NodeProblem::Clamp));
    }
    assert_eq!(error(|spec| spec.tensors[4].shape[1] = 7), node(3, NodeProblem::Shape));
}

#[test]
fn sums_that_could_overflow() {
    let overflow = node(5, NodeProblem::Accumulator { channel: 2 });
    assert_eq!(error(|spec| weighted(spec, 5).bias[2] = i32::MAX), overflow);
    assert_eq!(error(|spec| weighted(spec, 5).bias[2] = i32::MIN), overflow);
    // The bound is exact: eight weights of -128 and codes of 255.
    let mut spec = residual_net(5, WeightBits::W8, ActivationBits::A8).spec;
    let layer = weighted(&mut spec, 5);
    layer.weights.fill(0x80);
    layer.bias.fill(i32::MAX - 8 * 128 * 255);
    assert!(Model::new_checked(&write(&spec).unwrap()).is_ok());
    weighted(&mut spec, 5).bias[2] += 1;
    assert_eq!(Model::new_checked(&write(&spec).unwrap()).unwrap_err(), overflow);
    weighted(&mut spec, 5).bias[2] = -(i32::MAX - 8 * 128 * 255) - 1;
    assert_eq!(Model::new_checked(&write(&spec).unwrap()).unwrap_err(), overflow);
}

#[test]
fn shared_memory() {
    // A node's own tensors.
    let place = |spec: &mut ModelSpec, to: usize, from: usize| spec.tensors[to].offset = spec.tensors[from].offset;
    assert_eq!(error(|spec| place(spec, 2, 1)), node(1, NodeProblem::Overlap));
    // The pool's output and its view.
    let pooled_over_sum = |spec: &mut ModelSpec| [5, 6].into_iter().for_each(|tensor| place(spec, tensor, 4));
    assert_eq!(error(pooled_over_sum), node(4, NodeProblem::Overlap));
    let scratch_on = |spec: &mut ModelSpec, tensor: usize| {
        spec.nodes[0].scratch.offset = spec.tensors[tensor].offset as u32;
        spec.nodes[0].scratch.length = spec.nodes[0].scratch.length.max(16);
    };
    assert_eq!(error(|spec| scratch_on(spec, 0)), node(0, NodeProblem::Overlap));
    assert_eq!(error(|spec| scratch_on(spec, 1)), node(0, NodeProblem::Overlap));
    // The stem's output is still to be added when the pointwise convolution runs.
    let unwritten = |tensor| NodeProblem::Unwritten { tensor };
    assert_eq!(error(|spec| place(spec, 3, 1)), node(3, unwritten(1)));
    let scratch_later = |spec: &mut ModelSpec| {
        let length = scratch_bytes(spec, 2).max(1) as u32;
        spec.nodes[2].scratch = Region { offset: spec.tensors[1].offset as u32, length };
    };
    assert_eq!(error(scratch_later), node(3, unwritten(1)));
    // The sum may take the place of what is no longer needed: the input, or the depthwise output.
    for free in [0, 2] {
        let mut spec = residual_net(5, WeightBits::W8, ActivationBits::A8).spec;
        if free == 0 {
            spec.tensors[4].offset = spec.tensors[0].offset;
            // The sum is larger than the input; make room.
            for (index, tensor) in spec.tensors.iter_mut().enumerate() {
                tensor.offset += if index == 4 || index == 0 { 0 } else { 512 };
            }
            for node in &mut spec.nodes {
                node.scratch.offset += 512;
            }
            spec.arena_bytes += 512;
        } else {
            spec.tensors[4].offset = spec.tensors[2].offset;
        }
        assert_eq!(Model::new_checked(&write(&spec).unwrap()).map(|_| ()), Ok(()));
    }
}

#[test]
fn order_of_the_nodes() {
    let unwritten = |tensor| NodeProblem::Unwritten { tensor };
    assert_eq!(error(|spec| spec.nodes.swap(0, 1)), node(0, unwritten(1)));
    assert_eq!(error(|spec| spec.nodes[3].inputs[1] = 4), node(3, unwritten(4)));
    assert_eq!(error(|spec| spec.nodes[1].output = 3), node(2, unwritten(2)));
    let twice = |spec: &mut ModelSpec| {
        spec.nodes[1].operator = spec.nodes[0].operator.clone();
        spec.nodes[1].inputs = vec![0];
        spec.nodes[1].output = 1;
    };
    assert_eq!(error(twice), node(0, NodeProblem::Written { tensor: 1 }));
    let onto_input = |spec: &mut ModelSpec| {
        spec.tensors[0] = TensorSpec { offset: spec.tensors[0].offset, ..spec.tensors[5].clone() };
        spec.nodes.drain(0..4);
        spec.nodes.truncate(1);
        spec.nodes[0].operator = OperatorSpec::Requantize(UNIT);
        spec.nodes[0].inputs = vec![5];
        spec.nodes[0].output = 0;
        spec.input.mean.truncate(1);
        spec.input.std.truncate(1);
        spec.output = OutputSpec { tensor: 0, classes: 0, softmax_removed: false };
    };
    assert!(matches!(error(onto_input), LoadError::Node { node: 0, problem: NodeProblem::Written { tensor: 0 } }));
    let never = |spec: &mut ModelSpec| {
        spec.nodes.pop();
    };
    assert_eq!(error(never), LoadError::Output { problem: PortProblem::Unwritten });
    let overwritten = |spec: &mut ModelSpec| {
        spec.output = OutputSpec { tensor: 1, classes: 0, softmax_removed: false };
        spec.tensors[4].offset = spec.tensors[1].offset;
        spec.nodes[3].inputs = vec![3, 3];
    };
    assert_eq!(error(overwritten), LoadError::Output { problem: PortProblem::Unwritten });
}

#[test]
fn shared_quantizers() {
    let error = |operator: fn(&mut ModelSpec)| {
        let mut net = every_operator_net(1, ActivationBits::A8);
        operator(&mut net.spec);
        Model::new_checked(&net.file()).unwrap_err()
    };
    let scale_of = |name: &'static str| {
        let mut net = every_operator_net(1, ActivationBits::A8);
        let place = net.spec.nodes.iter().position(|node| format!("{:?}", node.operator).starts_with(name)).unwrap();
        let output = net.spec.nodes[place].output;
        net.spec.tensors[output].scale *= 1.5;
        (place as u16, Model::new_checked(&net.file()).unwrap_err())
    };
    for name in ["MaxPool", "Pad", "Slice", "Transpose", "Reshape", "Concat"] {
        let (place, error) = scale_of(name);
        assert_eq!(error, node(place, NodeProblem::Quantizer), "{name}");
    }
    let softmax = error(|spec| spec.tensors.last_mut().unwrap().zero_point = 3);
    assert!(matches!(softmax, LoadError::Node { problem: NodeProblem::Quantizer, .. }));
    let clamped = error(|spec| {
        for node in &mut spec.nodes {
            if let OperatorSpec::MaxPool(_) = node.operator {
                node.clamp = Some([0, 255]);
            }
        }
    });
    assert!(matches!(clamped, LoadError::Node { problem: NodeProblem::Clamp, .. }));
}
