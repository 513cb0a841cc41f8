//! Descriptions that cannot be written.

mod common;

use apq_runtime::build::*;
use common::*;

fn spec() -> ModelSpec {
    residual_net(5, WeightBits::W8, ActivationBits::A8).spec
}

/// The writer's answer for a residual net after `change`.
fn refused(change: impl FnOnce(&mut ModelSpec)) -> WriteError {
    let mut spec = spec();
    change(&mut spec);
    let error = write(&spec).unwrap_err();
    assert!(!error.to_string().is_empty());
    error
}

#[test]
fn the_writer_refuses_what_the_format_cannot_say() {
    assert_eq!(refused(|spec| spec.tensors[2].shape = vec![1; 6]), WriteError::Shape { tensor: 2 });
    assert_eq!(refused(|spec| spec.nodes[3].inputs = vec![0; 17]), WriteError::Node { node: 3 });
    assert_eq!(refused(|spec| spec.nodes[3].inputs[0] = 1 << 16), WriteError::TooMany);
    let uneven = |spec: &mut ModelSpec| {
        spec.input.std.pop();
    };
    assert_eq!(refused(uneven), WriteError::Input);
    assert_eq!(refused(|spec| spec.arena_bytes = 1 << 32), WriteError::TooLarge);
    assert_eq!(write(&spec()).unwrap(), write(&spec()).unwrap());
}

/// A reader takes lengths from the shapes, so that a list of another length would shift what follows it.
#[test]
fn the_writer_refuses_lists_that_are_not_as_long_as_the_shapes_ask_for() {
    for node in [0, 1, 2, 5] {
        let stage = |change: fn(&mut WeightedSpec)| refused(|spec| change(weighted(spec, node)));
        let shorter: [fn(&mut WeightedSpec); 3] =
            [|layer| layer.bias.truncate(3), |layer| layer.multiplier.truncate(3), |layer| layer.shift.truncate(3)];
        let longer: [fn(&mut WeightedSpec); 3] =
            [|layer| layer.bias.push(1), |layer| layer.multiplier.push(1), |layer| layer.shift.push(1)];
        for change in shorter.into_iter().chain(longer) {
            assert_eq!(stage(change), WriteError::StageLength { node });
        }
        assert_eq!(stage(|layer| layer.weights.push(0)), WriteError::WeightLength { node });
        assert_eq!(stage(|layer| layer.weights.truncate(5)), WriteError::WeightLength { node });
        // The same weights under another width.
        assert_eq!(stage(|layer| layer.bits = WeightBits::W4), WriteError::WeightLength { node });
    }
    assert_eq!(refused(|spec| spec.tensors[7].shape[1] = 6), WriteError::StageLength { node: 5 });
    assert_eq!(refused(|spec| spec.tensors[6].shape[1] = 7), WriteError::WeightLength { node: 5 });
}

#[test]
fn the_writer_refuses_tables_of_another_length() {
    for bits in ACTIVATIONS {
        for change in [-1, 1] {
            let mut net = every_operator_net(1, bits);
            let place = net.spec.nodes.iter().position(|node| matches!(node.operator, OperatorSpec::Table { .. })).unwrap();
            let OperatorSpec::Table { entries } = &mut net.spec.nodes[place].operator else { panic!("a table") };
            entries.resize((entries.len() as isize + change) as usize, 0);
            assert_eq!(write(&net.spec), Err(WriteError::TableLength { node: place }));
        }
    }
}
