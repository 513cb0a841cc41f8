//! Slice, Split and Gather.

use apq_examples::onnx::Tensor;

use super::{Case, Sketch, case};

pub(super) fn cases() -> Vec<Case> {
    [slices(), splits(), gathers()].into_iter().flatten().collect()
}

fn slice(net: &mut Sketch, input: &str, starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]) -> String {
    let lists = [starts, ends, axes, steps].map(|list| if list.is_empty() { String::new() } else { net.integers(list) });
    net.node("Slice", &[input, &lists[0], &lists[1], &lists[2], &lists[3]], &[])
}

fn slices() -> Vec<Case> {
    vec![
        case("slice-attributes", 9, &[1, 5, 6, 7], |net| {
            let attributes = [("starts", [1, 2].into()), ("ends", [4, i64::from(i32::MAX)].into()), ("axes", [1, 3].into())];
            net.node("Slice", &["input"], &attributes)
        }),
        case("slice-attributes-all-axes", 7, &[1, 5, 6], |net| {
            net.node("Slice", &["input"], &[("starts", [0, 1, -4].into()), ("ends", [1, -1, 6].into())])
        }),
        case("slice-inputs", 11, &[1, 5, 6, 7], |net| {
            let a = net.conv("input", 5, 5);
            slice(net, &a, &[1, -5], &[4, 6], &[1, 2], &[])
        }),
        case("slice-steps", 13, &[1, 5, 6, 7], |net| {
            let a = slice(net, "input", &[1, 0], &[i64::MAX, i64::MAX], &[2, 3], &[2, 3]);
            net.conv(&a, 5, 3)
        }),
        case("slice-channels-step", 13, &[1, 7, 4, 4], |net| slice(net, "input", &[1], &[100], &[-3], &[2])),
        case("slice-of-nothing", 13, &[1, 3, 4, 4], |net| {
            let a = slice(net, "input", &[0], &[4], &[2], &[1]);
            net.conv(&a, 3, 3)
        }),
        case("slice-focus", 13, &[1, 3, 6, 6], |net| {
            let parts: Vec<String> = [[0, 0], [1, 0], [0, 1], [1, 1]]
                .iter()
                .map(|from| slice(net, "input", from, &[i64::MAX, i64::MAX], &[2, 3], &[2, 2]))
                .collect();
            let a = net.node("Concat", &[&parts[0], &parts[1], &parts[2], &parts[3]], &[("axis", 1.into())]);
            net.conv(&a, 12, 4)
        }),
        case("slice-rank-2", 13, &[1, 9], |net| {
            let a = slice(net, "input", &[2], &[8], &[1], &[]);
            let w = net.weights(&[6, 4]);
            net.node("Gemm", &[&a, &w], &[])
        }),
    ]
}

fn split(net: &mut Sketch, input: &str, parts: usize, sizes: Option<&str>, attributes: super::Attributes) -> Vec<String> {
    let name = net.name("split");
    let outputs: Vec<String> = (0..parts).map(|part| format!("{name}_out{part}")).collect();
    let inputs: Vec<&str> = [input].into_iter().chain(sizes).collect();
    net.builder.node("Split", &name, &inputs, &outputs.iter().map(String::as_str).collect::<Vec<_>>(), attributes);
    outputs
}

fn splits() -> Vec<Case> {
    vec![
        case("split-equal", 11, &[1, 6, 4, 5], |net| {
            let parts = split(net, "input", 2, None, &[("axis", 1.into())]);
            let a = net.conv(&parts[0], 3, 3);
            net.node("Add", &[&a, &parts[1]], &[])
        }),
        case("split-sizes-attribute", 7, &[1, 6, 4, 5], |net| {
            let parts = split(net, "input", 3, None, &[("axis", 1.into()), ("split", [1, 2, 3].into())]);
            net.conv(&parts[2], 3, 3)
        }),
        case("split-sizes-input", 13, &[1, 6, 4, 5], |net| {
            let sizes = net.integers(&[2, 2, 2]);
            let parts = split(net, "input", 3, Some(&sizes), &[("axis", 1.into())]);
            let a = net.node("Mul", &[&parts[0], &parts[1]], &[]);
            net.node("Sub", &[&a, &parts[2]], &[])
        }),
        case("split-width", 13, &[1, 3, 4, 6], |net| {
            let a = net.conv("input", 3, 4);
            let parts = split(net, &a, 2, None, &[("axis", 3.into())]);
            net.node("Concat", &[&parts[1], &parts[0]], &[("axis", 1.into())])
        }),
        case("split-uneven", 18, &[1, 7, 4, 4], |net| {
            let parts = split(net, "input", 3, None, &[("axis", 1.into()), ("num_outputs", 3.into())]);
            let a = net.node("Add", &[&parts[0], &parts[1]], &[]);
            net.node("Concat", &[&a, &parts[2]], &[("axis", 1.into())])
        }),
        case("split-shuffle", 13, &[1, 4, 4, 4], |net| {
            let parts = split(net, "input", 2, None, &[("axis", 1.into())]);
            let b = net.conv(&parts[1], 2, 2);
            let a = net.node("Concat", &[&parts[0], &b], &[("axis", 1.into())]);
            let shape = net.integers(&[1, 2, 2, 4, 4]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 1, 3, 4].into())]);
            let shape = net.integers(&[1, 4, 4, 4]);
            net.node("Reshape", &[&a, &shape], &[])
        }),
    ]
}

fn gathers() -> Vec<Case> {
    vec![
        case("gather-channels", 13, &[1, 6, 4, 5], |net| {
            let indices = net.integers(&[4, 0, 1, 5, 5]);
            let a = net.node("Gather", &["input", &indices], &[("axis", 1.into())]);
            net.conv(&a, 5, 3)
        }),
        case("gather-row", 11, &[1, 5, 6], |net| {
            let w = net.weights(&[6, 4]);
            let a = net.node("MatMul", &["input", &w], &[]);
            let index = net.tensor(Tensor::i64(&[], &[-1]));
            net.node("Gather", &[&a, &index], &[("axis", 1.into())])
        }),
        case("gather-steps", 7, &[1, 3, 4, 9], |net| {
            let indices = net.integers(&[1, 3, 5, 7]);
            net.node("Gather", &["input", &indices], &[("axis", 3.into())])
        }),
    ]
}
