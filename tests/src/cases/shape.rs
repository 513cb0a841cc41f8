//! Concat, Pad, and what only moves or renames axes.

use apq_examples::onnx::Tensor;

use super::{Case, Sketch, case, fixed};

pub(super) fn cases() -> Vec<Case> {
    [concat(), pad(), reshape(), transpose(), nothing()].into_iter().flatten().collect()
}

fn concat() -> Vec<Case> {
    vec![
        case("concat-channels", 13, &[1, 3, 5, 5], |net| {
            let parts = [net.conv("input", 3, 2), net.conv("input", 3, 5), net.conv("input", 3, 1)];
            let a = net.node("Concat", &[&parts[0], &parts[1], &parts[2]], &[("axis", 1.into())]);
            net.conv(&a, 8, 3)
        }),
        case("concat-height", 13, &[1, 3, 5, 5], |net| {
            let parts = [net.conv("input", 3, 3), net.conv("input", 3, 3)];
            let a = net.node("Concat", &[&parts[0], &parts[1]], &[("axis", 2.into())]);
            net.conv(&a, 3, 2)
        }),
        case("concat-width", 13, &[1, 3, 4, 5], |net| {
            let parts: Vec<String> = (0..4).map(|_| net.conv("input", 3, 3)).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            net.node("Concat", &parts, &[("axis", (-1).into())])
        }),
        case("concat-five-and-the-input", 13, &[1, 2, 4, 4], |net| {
            let parts: Vec<String> = (1..=4).map(|outputs| net.conv("input", 2, outputs)).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).chain(["input"]).collect();
            let a = net.node("Concat", &parts, &[("axis", 1.into())]);
            net.conv(&a, 12, 3)
        }),
        case("concat-twice-the-same", 13, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 3);
            net.node("Concat", &[&a, &a], &[("axis", 1.into())])
        }),
        case("concat-rank-2", 13, &[1, 7], |net| {
            let w = net.weights(&[7, 5]);
            let a = net.node("Gemm", &["input", &w], &[]);
            net.node("Concat", &[&a, "input"], &[("axis", 1.into())])
        }),
        case("concat-of-one", 13, &[1, 7], |net| {
            let a = net.node("Concat", &["input"], &[("axis", 1.into())]);
            let w = net.weights(&[7, 5]);
            net.node("Gemm", &[&a, &w], &[])
        }),
        case("concat-seventeen", 13, &[1, 2, 3, 3], |net| {
            // More inputs than one node of the file can have.
            let parts: Vec<String> = (0..17).map(|_| net.conv("input", 2, 1)).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let a = net.node("Concat", &parts, &[("axis", 1.into())]);
            net.conv(&a, 17, 3)
        }),
        case("concat-of-views", 13, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 4);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 3, 1].into())]);
            let b = net.node("Transpose", &["input"], &[("perm", [0, 3, 2, 1].into())]);
            let c = net.node("Concat", &[&a, &b], &[("axis", 3.into())]);
            net.node("Transpose", &[&c], &[("perm", [0, 3, 1, 2].into())])
        }),
        case("concat-rank-5", 13, &[1, 2, 2, 3, 4], |net| {
            let w = net.weights(&[4, 5]);
            let a = net.node("MatMul", &["input", &w], &[]);
            let w = net.weights(&[4, 5]);
            let b = net.node("MatMul", &["input", &w], &[]);
            net.node("Concat", &[&a, &b], &[("axis", 2.into())])
        }),
        case("concat-of-pools", 13, &[1, 3, 6, 6], |net| {
            let a = net.conv("input", 3, 4);
            let pooled = net.node("MaxPool", &[&a], &[("kernel_shape", [3, 3].into()), ("pads", [1, 1, 1, 1].into())]);
            let mean = net.node("AveragePool", &[&a], &[("kernel_shape", [3, 3].into()), ("pads", [1, 1, 1, 1].into())]);
            let a = net.node("Concat", &[&a, &pooled, &mean], &[("axis", 1.into())]);
            net.conv(&a, 12, 2)
        }),
    ]
}

fn pad() -> Vec<Case> {
    let by_input = |name: &'static str, opset, pads: [i64; 8], value: Option<f32>| {
        case(name, opset, &[1, 3, 5, 4], move |net| {
            let a = net.conv("input", 3, 4);
            let pads = net.integers(&pads);
            let value = value.map(|value| net.constant(&[], &[value]));
            let inputs: Vec<&str> = [a.as_str(), &pads].into_iter().chain(value.as_deref()).collect();
            let a = net.node("Pad", &inputs, &[]);
            net.node("AveragePool", &[&a], &[("kernel_shape", [2, 2].into())])
        })
    };
    vec![
        case("pad-opset-2-before-conv", 10, &[1, 3, 6, 6], |net| {
            let a = net.node(
                "Pad",
                &["input"],
                &[("mode", "constant".into()), ("pads", [0, 0, 1, 0, 0, 0, 2, 1].into()), ("value", 0.0.into())],
            );
            let w = net.weights(&[4, 3, 3, 3]);
            net.node("Conv", &[&a, &w], &[("strides", [2, 2].into())])
        }),
        case("pad-before-padded-conv", 11, &[1, 3, 6, 6], |net| {
            let pads = net.integers(&[0, 0, 1, 1, 0, 0, 0, 0]);
            let a = net.node("Pad", &["input", &pads], &[]);
            net.conv(&a, 3, 4)
        }),
        case("pad-opset-2-before-pool", 9, &[1, 3, 6, 6], |net| {
            let a = net.node("Pad", &["input"], &[("pads", [0, 0, 1, 0, 0, 0, 2, 1].into()), ("value", 0.5.into())]);
            net.node("MaxPool", &[&a], &[("kernel_shape", [2, 2].into())])
        }),
        by_input("pad-zeros", 11, [0, 0, 1, 2, 0, 0, 0, 1], None),
        by_input("pad-value", 13, [0, 0, 1, 2, 0, 0, 0, 1], Some(0.75)),
        by_input("pad-value-outside-the-range", 19, [0, 0, 1, 2, 0, 0, 0, 1], Some(-9.5)),
        by_input("pad-channels", 18, [0, 1, 0, 0, 0, 2, 0, 0], Some(0.25)),
        by_input("pad-nothing", 21, [0; 8], None),
        case("pad-before-conv-not-zero", 13, &[1, 3, 5, 5], |net| {
            let pads = net.integers(&[0, 0, 1, 1, 0, 0, 1, 1]);
            let value = net.constant(&[], &[0.5]);
            let a = net.node("Pad", &["input", &pads, &value], &[]);
            let w = net.weights(&[4, 3, 3, 3]);
            net.node("Conv", &[&a, &w], &[])
        }),
        case("pad-channel-last", 13, &[1, 3, 4, 5], |net| {
            let a = net.conv("input", 3, 4);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 3, 1].into())]);
            let pads = net.integers(&[0, 1, 0, 0, 0, 0, 2, 0]);
            let a = net.node("Pad", &[&a, &pads], &[]);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 3, 1, 2].into())]);
            net.conv(&a, 4, 3)
        }),
        case("pad-rank-2", 13, &[1, 7], |net| {
            let pads = net.integers(&[0, 2, 0, 1]);
            let a = net.node("Pad", &["input", &pads], &[]);
            let w = net.weights(&[10, 5]);
            net.node("Gemm", &[&a, &w], &[])
        }),
    ]
}

/// `Flatten` or `Reshape` of a convolution's output `[N, 5, 3, 4]` into a fully connected layer of 60 inputs.
fn flat(name: &'static str, opset: i64, flatten: impl Fn(&mut Sketch, &str) -> String) -> Case {
    case(name, opset, &[1, 2, 3, 4], |net| {
        let a = net.conv("input", 2, 5);
        let a = net.node("Relu", &[&a], &[]);
        let a = flatten(net, &a);
        let w = net.weights(&[4, 60]);
        // C may be left out since opset 11 only.
        let c = net.vector(&[4], 0.3);
        net.node("Gemm", &[&a, &w, &c], &[("transB", 1.into())])
    })
}

fn reshape() -> Vec<Case> {
    let to = |name: &'static str, opset, shape: &'static [i64]| {
        flat(name, opset, move |net, a| {
            let shape = net.integers(shape);
            net.node("Reshape", &[a, &shape], &[])
        })
    };
    let squeeze = |name: &'static str, opset: i64| {
        case(name, opset, &[1, 6, 1, 1], move |net| {
            let w = net.weights(&[5, 6, 1, 1]);
            let a = net.node("Conv", &["input", &w], &[]);
            let change = |net: &mut Sketch, op: &str, a: &str, axes: [i64; 2]| {
                if opset < 13 {
                    return net.node(op, &[a], &[("axes", axes.into())]);
                }
                let axes = net.integers(&axes);
                net.node(op, &[a, &axes], &[])
            };
            let a = change(net, "Squeeze", &a, [2, 3]);
            let w = net.weights(&[5, 4]);
            let a = net.node("Gemm", &[&a, &w], &[]);
            let a = change(net, "Unsqueeze", &a, [2, 3]);
            let w = net.weights(&[3, 4, 1, 1]);
            net.node("Conv", &[&a, &w], &[])
        })
    };
    vec![
        flat("flatten", 13, |net, a| net.node("Flatten", &[a], &[])),
        flat("flatten-axis", 9, |net, a| net.node("Flatten", &[a], &[("axis", 1.into())])),
        flat("flatten-axis-negative", 13, |net, a| net.node("Flatten", &[a], &[("axis", (-3).into())])),
        to("reshape-rest", 13, &[-1, 60]),
        to("reshape-keep-batch", 13, &[0, -1]),
        to("reshape-fixed", 13, &[1, 60]),
        flat("reshape-twice", 13, |net, a| {
            let shape = net.integers(&[0, 0, -1]);
            let a = net.node("Reshape", &[a, &shape], &[]);
            let shape = net.integers(&[0, -1]);
            net.node("Reshape", &[&a, &shape], &[])
        }),
        flat("reshape-by-shape-arithmetic", 13, |net, a| {
            let shape = net.node("Shape", &[a], &[]);
            let zero = net.tensor(Tensor::i64(&[], &[0]));
            let batch = net.node("Gather", &[&shape, &zero], &[("axis", 0.into())]);
            let axes = net.integers(&[0]);
            let batch = net.node("Unsqueeze", &[&batch, &axes], &[]);
            let rest = net.integers(&[-1]);
            let shape = net.node("Concat", &[&batch, &rest], &[("axis", 0.into())]);
            net.node("Reshape", &[a, &shape], &[])
        }),
        flat("reshape-by-constant-node", 13, |net, a| {
            let shape = net.node("Constant", &[], &[("value", Tensor::i64(&[2], &[1, -1]).into())]);
            net.node("Reshape", &[a, &shape], &[])
        }),
        squeeze("squeeze-attributes", 11),
        squeeze("squeeze-inputs", 13),
        case("squeeze-all", 13, &[1, 6, 1, 5], |net| {
            let axes = net.integers(&[2]);
            let a = net.node("Squeeze", &["input", &axes], &[]);
            let w = net.weights(&[5, 4]);
            net.node("MatMul", &[&a, &w], &[])
        }),
        case("reshape-to-image", 13, &[1, 36], |net| {
            let shape = net.integers(&[1, 4, 3, 3]);
            let a = net.node("Reshape", &["input", &shape], &[]);
            net.conv(&a, 4, 5)
        }),
        case("reshape-last", 13, &[1, 3, 4, 4], |net| {
            let a = net.conv("input", 3, 5);
            let shape = net.integers(&[1, 5, 16]);
            net.node("Reshape", &[&a, &shape], &[])
        }),
        case("reshape-merged-space", 13, &[1, 3, 4, 5], |net| {
            let a = net.conv("input", 3, 6);
            let shape = net.integers(&[0, 6, -1]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 1].into())]);
            let w = net.weights(&[6, 4]);
            let a = net.node("MatMul", &[&a, &w], &[]);
            net.node("Softmax", &[&a], &[("axis", 1.into())])
        }),
        case("reshape-packing", 13, &[1, 2, 3, 4], |net| {
            // Channels of 5 become channels of 3: sub-byte pixels have to be packed anew.
            let a = net.node("Transpose", &["input"], &[("perm", [0, 2, 3, 1].into())]);
            let w = net.weights(&[2, 5]);
            let a = net.node("MatMul", &[&a, &w], &[]);
            let shape = net.integers(&[1, 20, 3]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            let w = net.weights(&[3, 4]);
            net.node("MatMul", &[&a, &w], &[])
        }),
    ]
}

fn transpose() -> Vec<Case> {
    let perm = |axes: &'static [i64]| ("perm", axes.into());
    vec![
        case("transpose-there-and-back", 13, &[1, 3, 4, 5], |net| {
            let a = net.conv("input", 3, 4);
            let a = net.node("Transpose", &[&a], &[perm(&[0, 2, 3, 1])]);
            let a = net.node("Relu", &[&a], &[]);
            let a = net.node("Transpose", &[&a], &[perm(&[0, 3, 1, 2])]);
            net.conv(&a, 4, 3)
        }),
        case("transpose-input-channel-last", 13, &[1, 5, 4, 3], |net| {
            let a = net.node("Transpose", &["input"], &[perm(&[0, 3, 1, 2])]);
            let a = net.conv(&a, 3, 4);
            let a = net.node("Transpose", &[&a], &[perm(&[0, 2, 3, 1])]);
            let shape = net.integers(&[-1, 80]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            let w = net.weights(&[80, 3]);
            net.node("MatMul", &[&a, &w], &[])
        }),
        case("transpose-channel-last-norm", 18, &[1, 4, 4, 3], |net| {
            let a = net.node("Transpose", &["input"], &[perm(&[0, 3, 1, 2])]);
            let a = net.conv(&a, 3, 4);
            let a = net.node("Transpose", &[&a], &[perm(&[0, 2, 3, 1])]);
            let offset = net.vector(&[4], 0.5);
            let a = net.node("Add", &[&a, &offset], &[]);
            let axes = net.integers(&[1, 2]);
            net.node("ReduceMean", &[&a, &axes], &[("keepdims", 0.into())])
        }),
        case("transpose-space", 13, &[1, 3, 4, 6], |net| {
            let a = net.conv("input", 3, 5);
            let a = net.node("Transpose", &[&a], &[perm(&[0, 1, 3, 2])]);
            net.conv(&a, 5, 2)
        }),
        case("transpose-last", 13, &[1, 3, 4, 5], |net| {
            let a = net.conv("input", 3, 5);
            net.node("Transpose", &[&a], &[perm(&[0, 3, 2, 1])])
        }),
        case("transpose-rank-3", 13, &[1, 4, 6], |net| {
            let a = net.node("Transpose", &["input"], &[perm(&[0, 2, 1])]);
            let w = net.weights(&[4, 5]);
            let a = net.node("MatMul", &[&a, &w], &[]);
            let a = net.node("Transpose", &[&a], &[perm(&[0, 2, 1])]);
            let w = net.weights(&[6, 3]);
            net.node("MatMul", &[&a, &w], &[])
        }),
        case("transpose-rank-5", 13, &[1, 8, 3, 3], |net| {
            // A channel shuffle.
            let a = net.conv("input", 8, 6);
            let shape = net.integers(&[1, 2, 3, 3, 3]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            let a = net.node("Transpose", &[&a], &[perm(&[0, 2, 1, 3, 4])]);
            let shape = net.integers(&[1, 6, 3, 3]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            net.conv(&a, 6, 4)
        }),
        fixed("reshape-of-two-readers", 13, &[1, 3, 3, 3], |net| {
            let a = net.conv("input", 3, 4);
            let flat = net.node("Flatten", &[&a], &[]);
            let w = net.weights(&[36, 4]);
            let b = net.node("Gemm", &[&flat, &w], &[]);
            let a = net.node("GlobalAveragePool", &[&a], &[]);
            let a = net.node("Flatten", &[&a], &[]);
            net.node("Add", &[&a, &b], &[])
        }),
    ]
}

fn nothing() -> Vec<Case> {
    vec![
        case("identity-alone", 13, &[1, 3, 4, 4], |net| net.node("Identity", &["input"], &[])),
        case("flatten-alone", 13, &[1, 3, 4, 4], |net| net.node("Flatten", &["input"], &[])),
        case("identity", 13, &[1, 3, 4, 4], |net| {
            let a = net.node("Identity", &["input"], &[]);
            let a = net.conv(&a, 3, 4);
            net.node("Identity", &[&a], &[])
        }),
        case("dropout-attributes", 10, &[1, 9], |net| {
            let a = net.node("Dropout", &["input"], &[("ratio", 0.5.into())]);
            let w = net.weights(&[9, 4]);
            net.node("MatMul", &[&a, &w], &[])
        }),
        case("dropout-inputs", 13, &[1, 9], |net| {
            let ratio = net.constant(&[], &[0.5]);
            let a = net.node("Dropout", &["input", &ratio], &[]);
            let w = net.weights(&[9, 4]);
            net.node("Gemm", &[&a, &w], &[])
        }),
        case("constant-nodes", 13, &[1, 9], |net| {
            let values = net.values(36, 0.3);
            let w = net.node("Constant", &[], &[("value", Tensor::f32(&[9, 4], &values).into())]);
            let w = net.node("Identity", &[&w], &[]);
            let a = net.node("Gemm", &["input", &w], &[]);
            let b = net.node("Constant", &[], &[("value_float", 0.5.into())]);
            net.node("Add", &[&a, &b], &[])
        }),
    ]
}
