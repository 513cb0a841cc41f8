//! Small networks in which operators meet as they do in real ones.

use super::{Case, Sketch, case};

pub(super) fn cases() -> Vec<Case> {
    networks().into_iter().chain(opsets()).collect()
}

/// The same network in every supported version of the operators.
fn opsets() -> Vec<Case> {
    const NAMES: [&str; 15] = [
        "opset-7", "opset-8", "opset-9", "opset-10", "opset-11", "opset-12", "opset-13", "opset-14", "opset-15", "opset-16", "opset-17",
        "opset-18", "opset-19", "opset-20", "opset-21",
    ];
    let network = |(name, opset): (&'static str, i64)| {
        case(name, opset, &[1, 3, 8, 8], |net| {
            let a = net.conv("input", 3, 5);
            let a = net.norm(&a, 5);
            let a = net.node("Relu", &[&a], &[]);
            let b = net.conv(&a, 5, 5);
            let a = net.node("Add", &[&a, &b], &[]);
            let a = net.node("MaxPool", &[&a], &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())]);
            let a = net.node("Concat", &[&a, &a], &[("axis", 1.into())]);
            let a = head(net, &a, 10);
            net.node("Softmax", &[&a], &[])
        })
    };
    NAMES.into_iter().zip(7..).map(network).collect()
}

fn networks() -> Vec<Case> {
    vec![
        case("net-residual", 13, &[1, 3, 8, 8], |net| {
            let a = relu_conv(net, "input", 3, 6);
            let b = relu_conv(net, &a, 6, 6);
            let b = net.conv(&b, 6, 6);
            let a = net.node("Add", &[&b, &a], &[]);
            let a = net.node("Relu", &[&a], &[]);
            let w = net.weights(&[9, 6, 1, 1]);
            let short = net.node("Conv", &[&a, &w], &[("strides", [2, 2].into())]);
            let w = net.weights(&[9, 6, 3, 3]);
            let b = net.node("Conv", &[&a, &w], &[("strides", [2, 2].into()), ("pads", [1, 1, 1, 1].into())]);
            let b = net.norm(&b, 9);
            let a = net.node("Add", &[&short, &b], &[]);
            let a = net.node("Relu", &[&a], &[]);
            head(net, &a, 9)
        }),
        case("net-inverted-residual", 13, &[1, 3, 8, 8], |net| {
            let a = relu_conv(net, "input", 3, 4);
            let w = net.weights(&[12, 4, 1, 1]);
            let b = net.node("Conv", &[&a, &w], &[]);
            let b = net.norm(&b, 12);
            let [zero, six] = [0.0, 6.0].map(|bound| net.constant(&[], &[bound]));
            let b = net.node("Clip", &[&b, &zero, &six], &[]);
            let w = net.weights(&[12, 1, 3, 3]);
            let b = net.node("Conv", &[&b, &w], &[("group", 12.into()), ("pads", [1, 1, 1, 1].into())]);
            let b = net.norm(&b, 12);
            let b = net.node("Clip", &[&b, &zero, &six], &[]);
            let w = net.weights(&[4, 12, 1, 1]);
            let b = net.node("Conv", &[&b, &w], &[]);
            let b = net.norm(&b, 4);
            let a = net.node("Add", &[&a, &b], &[]);
            head(net, &a, 4)
        }),
        case("net-dense", 13, &[1, 3, 6, 6], |net| {
            let mut a = relu_conv(net, "input", 3, 4);
            for channels in [4, 7, 10] {
                let grown = relu_conv(net, &a, channels, 3);
                a = net.node("Concat", &[&a, &grown], &[("axis", 1.into())]);
            }
            let a = net.node("MaxPool", &[&a], &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())]);
            head(net, &a, 13)
        }),
        case("net-branches", 13, &[1, 3, 8, 8], |net| {
            let a = relu_conv(net, "input", 3, 5);
            let pooled =
                net.node("MaxPool", &[&a], &[("kernel_shape", [3, 3].into()), ("strides", [2, 2].into()), ("pads", [1, 1, 1, 1].into())]);
            let mean = net.node("AveragePool", &[&a], &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())]);
            let w = net.weights(&[5, 5, 3, 3]);
            let strided = net.node("Conv", &[&a, &w], &[("strides", [2, 2].into()), ("pads", [1, 1, 1, 1].into())]);
            let a = net.node("Concat", &[&pooled, &mean, &strided], &[("axis", 1.into())]);
            let a = net.conv(&a, 15, 5);
            let a = net.node("Add", &[&a, &mean], &[]);
            head(net, &a, 5)
        }),
        case("net-tensorflow", 13, &[1, 8, 8, 3], |net| {
            let a = net.node("Transpose", &["input"], &[("perm", [0, 3, 1, 2].into())]);
            let w = net.weights(&[5, 3, 3, 3]);
            let a = net.node("Conv", &[&a, &w], &[("auto_pad", "SAME_UPPER".into()), ("strides", [2, 2].into())]);
            let a = net.norm(&a, 5);
            let a = net.node("Relu", &[&a], &[]);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 3, 1].into())]);
            let shape = net.integers(&[-1, 80]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            let w = net.weights(&[80, 6]);
            let a = net.node("MatMul", &[&a, &w], &[]);
            let b = net.vector(&[6], 0.3);
            let a = net.node("Add", &[&a, &b], &[]);
            net.node("Softmax", &[&a], &[])
        }),
    ]
}

fn relu_conv(net: &mut Sketch, input: &str, inputs: usize, outputs: usize) -> String {
    let a = net.conv(input, inputs, outputs);
    net.node("Relu", &[&a], &[])
}

/// Global pool, flatten, fully connected.
fn head(net: &mut Sketch, input: &str, channels: usize) -> String {
    let a = net.node("GlobalAveragePool", &[input], &[]);
    let a = net.node("Flatten", &[&a], &[]);
    let w = net.weights(&[channels, 4]);
    let b = net.vector(&[4], 0.2);
    net.node("Gemm", &[&a, &w, &b], &[])
}
