//! BatchNormalization, Relu, Clip, Add and Softmax.

use super::{Case, Sketch, case, fixed};

pub(super) fn cases() -> Vec<Case> {
    [normalisation(), clamps(), sums(), softmax()].into_iter().flatten().collect()
}

fn normalisation() -> Vec<Case> {
    vec![
        case("norm-behind-conv", 15, &[1, 3, 6, 6], |net| {
            let a = net.conv("input", 3, 5);
            net.norm(&a, 5)
        }),
        case("norm-behind-depthwise", 9, &[1, 4, 6, 6], |net| {
            let w = net.weights(&[4, 1, 3, 3]);
            let a = net.node("Conv", &["input", &w], &[("group", 4.into())]);
            let a = net.norm(&a, 4);
            net.node("Relu", &[&a], &[])
        }),
        case("norm-behind-gemm", 13, &[1, 9], |net| {
            let w = net.weights(&[9, 6]);
            let a = net.node("Gemm", &["input", &w], &[]);
            net.norm(&a, 6)
        }),
        case("norm-behind-add", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let b = net.conv("input", 3, 5);
            let a = net.node("Add", &[&a, &b], &[]);
            let a = net.norm(&a, 5);
            net.node("Relu", &[&a], &[])
        }),
        case("norm-before-conv", 13, &[1, 3, 6, 5], |net| {
            let a = net.norm("input", 3);
            let a = net.node("Relu", &[&a], &[]);
            net.conv(&a, 3, 4)
        }),
        case("norm-of-a-branch", 13, &[1, 3, 6, 5], |net| {
            let a = net.conv("input", 3, 4);
            let b = net.norm(&a, 4);
            net.node("Add", &[&a, &b], &[])
        }),
        case("norm-rank-2", 13, &[1, 7], |net| net.norm("input", 7)),
        case("norm-rank-3", 13, &[1, 4, 6], |net| net.norm("input", 4)),
        case("norm-twice", 13, &[1, 4, 5, 5], |net| {
            let a = net.norm("input", 4);
            net.norm(&a, 4)
        }),
        case("norm-behind-relu", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            let a = net.node("Relu", &[&a], &[]);
            let a = net.norm(&a, 4);
            net.conv(&a, 4, 3)
        }),
    ]
}

fn clip(net: &mut Sketch, input: &str, lo: Option<f32>, hi: Option<f32>) -> String {
    let mut bounds = [String::new(), String::new()];
    for (name, bound) in bounds.iter_mut().zip([lo, hi]) {
        if let Some(bound) = bound {
            *name = net.constant(&[], &[bound]);
        }
    }
    net.node("Clip", &[input, &bounds[0], &bounds[1]], &[])
}

fn clamps() -> Vec<Case> {
    vec![
        case("relu", 13, &[1, 3, 5, 5], |net| net.node("Relu", &["input"], &[])),
        case("relu-behind-conv", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            net.node("Relu", &[&a], &[])
        }),
        case("relu6-behind-conv", 13, &[1, 3, 6, 6], |net| {
            let w = net.vector(&[4, 3, 3, 3], 2.0);
            let a = net.node("Conv", &["input", &w], &[]);
            clip(net, &a, Some(0.0), Some(6.0))
        }),
        case("clip-attributes", 6 + 1, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            net.node("Clip", &[&a], &[("min", (-0.5).into()), ("max", 0.75.into())])
        }),
        case("clip-attributes-upper", 10, &[1, 9], |net| net.node("Clip", &["input"], &[("max", 0.75.into())])),
        case("clip-attributes-lower", 9, &[1, 9], |net| net.node("Clip", &["input"], &[("min", (-0.25).into())])),
        case("clip-inputs", 11, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            clip(net, &a, Some(-0.5), Some(0.75))
        }),
        case("clip-inputs-upper", 12, &[1, 3, 5, 5], |net| clip(net, "input", None, Some(0.5))),
        case("clip-inputs-lower", 13, &[1, 3, 5, 5], |net| clip(net, "input", Some(0.25), None)),
        case("clip-above-zero", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            clip(net, &a, Some(0.5), Some(1.5))
        }),
        case("clip-behind-relu", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            let a = net.node("Relu", &[&a], &[]);
            clip(net, &a, Some(-1.0), Some(1.0))
        }),
        case("relu-behind-max-pool", 13, &[1, 3, 7, 7], |net| {
            let a = net.conv("input", 3, 4);
            let a = net.node("MaxPool", &[&a], &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())]);
            net.node("Relu", &[&a], &[])
        }),
        case("relu-behind-concat", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            let b = net.conv("input", 3, 3);
            let a = net.node("Concat", &[&a, &b], &[("axis", 1.into())]);
            net.node("Relu", &[&a], &[])
        }),
        case("relu-behind-reshape", 13, &[1, 3, 4, 5], |net| {
            let a = net.conv("input", 3, 4);
            let shape = net.integers(&[1, 8, 10]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            net.node("Relu", &[&a], &[])
        }),
        case("relu-behind-average-pool", 13, &[1, 3, 6, 6], |net| {
            let a = net.conv("input", 3, 4);
            let a = net.node("AveragePool", &[&a], &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())]);
            net.node("Relu", &[&a], &[])
        }),
        case("relu-of-a-branch", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            let b = net.node("Relu", &[&a], &[]);
            net.node("Add", &[&a, &b], &[])
        }),
        case("relu-behind-pad", 13, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 4);
            let pads = net.integers(&[0, 0, 1, 1, 0, 0, 0, 2]);
            let a = net.node("Pad", &[&a, &pads], &[]);
            net.node("Relu", &[&a], &[])
        }),
    ]
}

fn sums() -> Vec<Case> {
    let constant = |name: &'static str, opset, shape: &'static [usize], first: bool| {
        case(name, opset, &[1, 4, 5, 3], move |net| {
            let c = net.vector(shape, 1.0);
            let order = if first { [c.as_str(), "input"] } else { ["input", c.as_str()] };
            let sum = net.node("Add", &order, &[]);
            net.node("Relu", &[&sum], &[])
        })
    };
    vec![
        constant("add-scalar", 7, &[], false),
        constant("add-one", 13, &[1], true),
        constant("add-channels", 13, &[1, 4, 1, 1], false),
        constant("add-channels-rank-3", 14, &[4, 1, 1], true),
        constant("add-along-width", 13, &[3], false),
        constant("add-along-height", 13, &[5, 1], false),
        case("add-bias-to-conv", 13, &[1, 3, 5, 5], |net| {
            let w = net.weights(&[4, 3, 3, 3]);
            let a = net.node("Conv", &["input", &w], &[]);
            let b = net.vector(&[1, 4, 1, 1], 0.5);
            net.node("Add", &[&b, &a], &[])
        }),
        case("add", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let b = net.conv("input", 3, 5);
            net.node("Add", &[&a, &b], &[])
        }),
        case("add-residual", 13, &[1, 4, 6, 6], |net| {
            let a = net.conv("input", 4, 4);
            let a = net.node("Relu", &[&a], &[]);
            let b = net.conv(&a, 4, 4);
            let a = net.node("Add", &[&a, &b], &[]);
            let a = net.node("Relu", &[&a], &[]);
            net.conv(&a, 4, 3)
        }),
        case("add-scales-apart", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let w = net.vector(&[5, 3, 1, 1], 40.0);
            let b = net.node("Conv", &["input", &w], &[]);
            net.node("Add", &[&a, &b], &[])
        }),
        fixed("add-to-itself", 13, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 3);
            net.node("Add", &[&a, &a], &[])
        }),
        case("add-input", 13, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 3);
            net.node("Add", &["input", &a], &[])
        }),
        case("add-rank-2", 13, &[1, 9], |net| {
            let w = net.weights(&[9, 9]);
            let a = net.node("Gemm", &["input", &w], &[]);
            net.node("Add", &["input", &a], &[])
        }),
        case("add-rank-3", 13, &[1, 5, 6], |net| {
            let w = net.weights(&[6, 6]);
            let a = net.node("MatMul", &["input", &w], &[]);
            net.node("Add", &[&a, "input"], &[])
        }),
        case("add-transposed", 13, &[1, 4, 5, 5], |net| {
            let a = net.conv("input", 4, 4);
            let b = net.node("Transpose", &["input"], &[("perm", [0, 1, 3, 2].into())]);
            net.node("Add", &[&a, &b], &[])
        }),
    ]
}

fn softmax() -> Vec<Case> {
    vec![
        case("softmax-last", 13, &[1, 9], |net| {
            let w = net.weights(&[9, 6]);
            let a = net.node("Gemm", &["input", &w], &[]);
            net.node("Softmax", &[&a], &[])
        }),
        case("softmax-opset-11", 11, &[1, 9], |net| {
            let w = net.weights(&[9, 6]);
            let a = net.node("Gemm", &["input", &w], &[]);
            net.node("Softmax", &[&a], &[])
        }),
        case("softmax-channels", 13, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 5);
            net.node("Softmax", &[&a], &[("axis", 1.into())])
        }),
        case("softmax-behind-global-pool", 11, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 5);
            let a = net.node("GlobalAveragePool", &[&a], &[]);
            let a = net.node("Softmax", &[&a], &[("axis", 1.into())]);
            net.node("Flatten", &[&a], &[])
        }),
        case("softmax-in-the-middle", 13, &[1, 9], |net| {
            let w = net.weights(&[9, 6]);
            let a = net.node("Gemm", &["input", &w], &[]);
            let a = net.node("Softmax", &[&a], &[("axis", (-1).into())]);
            let w = net.weights(&[6, 4]);
            net.node("Gemm", &[&a, &w], &[])
        }),
        case("softmax-of-rows", 13, &[1, 4, 9], |net| {
            let w = net.weights(&[9, 5]);
            let a = net.node("MatMul", &["input", &w], &[]);
            let a = net.node("Softmax", &[&a], &[("axis", (-1).into())]);
            let w = net.weights(&[5, 3]);
            net.node("MatMul", &[&a, &w], &[])
        }),
    ]
}
