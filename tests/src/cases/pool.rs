//! Pooling and the mean over space.

use super::{Attributes, Case, case};

pub(super) fn cases() -> Vec<Case> {
    [max(), average(), global()].into_iter().flatten().collect()
}

/// A pool of the network's input, with a convolution behind it.
fn pool(name: &'static str, opset: i64, op: &'static str, input: &[usize], attributes: Attributes) -> Case {
    let channels = input[1];
    case(name, opset, input, |net| {
        let a = net.node(op, &["input"], attributes);
        let w = net.weights(&[3, channels, 1, 1]);
        net.node("Conv", &[&a, &w], &[])
    })
}

fn max() -> Vec<Case> {
    let kernel = |side: i64| ("kernel_shape", [side, side].into());
    let strides = |side: i64| ("strides", [side, side].into());
    vec![
        pool("max-pool", 12, "MaxPool", &[1, 3, 8, 7], &[kernel(2), strides(2)]),
        pool("max-pool-pads", 8, "MaxPool", &[1, 3, 7, 7], &[kernel(3), strides(2), ("pads", [1, 1, 1, 1].into())]),
        pool("max-pool-pads-asymmetric", 10, "MaxPool", &[1, 3, 7, 6], &[kernel(3), strides(2), ("pads", [0, 1, 2, 0].into())]),
        pool("max-pool-ceil", 12, "MaxPool", &[1, 3, 8, 6], &[kernel(3), strides(2), ("ceil_mode", 1.into())]),
        pool(
            "max-pool-ceil-pads",
            12,
            "MaxPool",
            &[1, 3, 7, 6],
            &[kernel(3), strides(2), ("ceil_mode", 1.into()), ("pads", [1, 1, 1, 1].into())],
        ),
        pool("max-pool-dilated", 12, "MaxPool", &[1, 3, 9, 8], &[kernel(3), ("dilations", [2, 2].into()), ("pads", [1, 1, 0, 1].into())]),
        pool("max-pool-same-upper", 12, "MaxPool", &[1, 3, 7, 8], &[kernel(3), strides(2), ("auto_pad", "SAME_UPPER".into())]),
        pool("max-pool-same-lower", 12, "MaxPool", &[1, 3, 7, 8], &[kernel(2), strides(2), ("auto_pad", "SAME_LOWER".into())]),
        pool("max-pool-oblong", 12, "MaxPool", &[1, 3, 9, 5], &[("kernel_shape", [3, 1].into()), ("strides", [1, 2].into())]),
        case("max-pool-alone", 12, &[1, 3, 6, 6], |net| net.node("MaxPool", &["input"], &[("kernel_shape", [2, 2].into())])),
        case("max-pool-last", 12, &[1, 3, 6, 6], |net| {
            let a = net.conv("input", 3, 5);
            net.node("MaxPool", &[&a], &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())])
        }),
        case("max-pool-1d", 12, &[1, 3, 11], |net| {
            net.node("MaxPool", &["input"], &[("kernel_shape", [3].into()), ("strides", [2].into())])
        }),
    ]
}

fn average() -> Vec<Case> {
    let kernel = |side: i64| ("kernel_shape", [side, side].into());
    let strides = |side: i64| ("strides", [side, side].into());
    let include = || ("count_include_pad", 1.into());
    vec![
        pool("average-pool", 11, "AveragePool", &[1, 3, 8, 7], &[kernel(2), strides(2)]),
        pool("average-pool-pads", 7, "AveragePool", &[1, 3, 7, 7], &[kernel(3), strides(2), ("pads", [1, 1, 1, 1].into())]),
        pool("average-pool-include", 11, "AveragePool", &[1, 3, 7, 7], &[kernel(3), strides(2), ("pads", [1, 1, 1, 1].into()), include()]),
        pool("average-pool-asymmetric", 11, "AveragePool", &[1, 3, 7, 6], &[kernel(3), ("pads", [0, 2, 1, 0].into())]),
        pool("average-pool-asymmetric-include", 11, "AveragePool", &[1, 3, 7, 6], &[kernel(3), ("pads", [0, 2, 1, 0].into()), include()]),
        pool("average-pool-ceil", 11, "AveragePool", &[1, 3, 8, 6], &[kernel(3), strides(2), ("ceil_mode", 1.into())]),
        pool(
            "average-pool-ceil-pads",
            11,
            "AveragePool",
            &[1, 3, 7, 6],
            &[kernel(3), strides(2), ("ceil_mode", 1.into()), ("pads", [1, 1, 1, 1].into())],
        ),
        pool(
            "average-pool-ceil-include",
            19,
            "AveragePool",
            &[1, 3, 7, 7],
            &[kernel(3), strides(2), ("ceil_mode", 1.into()), ("pads", [1, 1, 1, 1].into()), include()],
        ),
        pool("average-pool-same-upper", 11, "AveragePool", &[1, 3, 7, 8], &[kernel(3), strides(2), ("auto_pad", "SAME_UPPER".into())]),
        pool(
            "average-pool-same-include",
            11,
            "AveragePool",
            &[1, 3, 7, 8],
            &[kernel(3), strides(2), ("auto_pad", "SAME_LOWER".into()), include()],
        ),
        pool(
            "average-pool-dilated",
            19,
            "AveragePool",
            &[1, 3, 9, 8],
            &[kernel(3), ("dilations", [2, 2].into()), ("pads", [1, 1, 0, 1].into())],
        ),
        pool(
            "average-pool-dilated-include",
            21,
            "AveragePool",
            &[1, 3, 9, 8],
            &[kernel(3), ("dilations", [2, 2].into()), ("pads", [1, 1, 0, 1].into()), include()],
        ),
        case("average-pool-1d", 11, &[1, 3, 11], |net| {
            net.node("AveragePool", &["input"], &[("kernel_shape", [3].into()), ("pads", [1, 1].into())])
        }),
        case("average-pool-last", 11, &[1, 3, 6, 6], |net| {
            let a = net.conv("input", 3, 5);
            net.node("AveragePool", &[&a], &[kernel(3), strides(3)])
        }),
    ]
}

fn global() -> Vec<Case> {
    let mean = |name: &'static str, opset, keep: i64, axes: [i64; 2]| {
        case(name, opset, &[1, 3, 5, 4], move |net| {
            let a = net.conv("input", 3, 6);
            let keepdims = ("keepdims", keep.into());
            let a = if opset < 18 {
                net.node("ReduceMean", &[&a], &[("axes", axes.into()), keepdims])
            } else {
                let axes = net.integers(&axes);
                net.node("ReduceMean", &[&a, &axes], &[keepdims])
            };
            if keep == 1 {
                let w = net.weights(&[4, 6, 1, 1]);
                return net.node("Conv", &[&a, &w], &[]);
            }
            let w = net.weights(&[6, 4]);
            net.node("Gemm", &[&a, &w], &[])
        })
    };
    vec![
        pool("global-average-pool", 13, "GlobalAveragePool", &[1, 5, 6, 7], &[]),
        pool("global-max-pool", 13, "GlobalMaxPool", &[1, 5, 6, 7], &[]),
        mean("reduce-mean-opset-11", 11, 1, [2, 3]),
        mean("reduce-mean-opset-13-squeezed", 13, 0, [2, 3]),
        mean("reduce-mean-negative-axes", 17, 0, [-1, -2]),
        mean("reduce-mean-axes-input", 18, 1, [2, 3]),
        mean("reduce-mean-axes-input-squeezed", 20, 0, [-2, -1]),
        case("global-average-pool-flatten-gemm", 13, &[1, 3, 6, 6], |net| {
            let a = net.conv("input", 3, 7);
            let a = net.node("Relu", &[&a], &[]);
            let a = net.node("GlobalAveragePool", &[&a], &[]);
            let a = net.node("Flatten", &[&a], &[("axis", 1.into())]);
            let w = net.weights(&[4, 7]);
            let b = net.vector(&[4], 0.2);
            net.node("Gemm", &[&a, &w, &b], &[("transB", 1.into())])
        }),
    ]
}
