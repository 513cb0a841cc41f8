//! What transformers are made of: products of values, layer normalisation, GELU in its spellings, class tokens and positions.

use super::{Case, Sketch, case, fixed};

pub(super) fn cases() -> Vec<Case> {
    [products(), normalisation(), functions(), tokens(), blocks()].into_iter().flatten().collect()
}

/// A fully connected layer with a bias over the last axis.
fn linear(net: &mut Sketch, input: &str, inputs: usize, outputs: usize) -> String {
    let w = net.vector(&[inputs, outputs], 1.0 / (inputs as f32).sqrt());
    let b = net.vector(&[outputs], 0.2);
    let a = net.node("MatMul", &[input, &w], &[]);
    net.node("Add", &[&a, &b], &[])
}

fn number(net: &mut Sketch, value: f32) -> String {
    net.constant(&[], &[value])
}

fn products() -> Vec<Case> {
    vec![
        case("matmul-of-values", 13, &[1, 5, 7], |net| {
            let a = linear(net, "input", 7, 6);
            let b = linear(net, "input", 7, 5);
            let b = net.node("Transpose", &[&b], &[("perm", [0, 2, 1].into())]);
            // [5, 6]^T [5, 5]^T
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 1].into())]);
            let b = net.node("Transpose", &[&b], &[("perm", [0, 2, 1].into())]);
            net.node("MatMul", &[&a, &b], &[])
        }),
        case("matmul-by-its-transpose", 13, &[1, 5, 7], |net| {
            let a = linear(net, "input", 7, 6);
            let b = net.node("Transpose", &[&a], &[("perm", [0, 2, 1].into())]);
            let a = net.node("MatMul", &[&a, &b], &[]);
            let c = number(net, 0.3);
            let a = net.node("Mul", &[&a, &c], &[]);
            net.node("Relu", &[&a], &[])
        }),
        case("matmul-of-one-value", 13, &[1, 5, 9], |net| {
            let a = linear(net, "input", 9, 5);
            net.node("MatMul", &[&a, &a], &[])
        }),
        case("matmul-of-heads", 13, &[1, 5, 6], |net| {
            let heads = |net: &mut Sketch, perm: [i64; 4]| {
                let a = linear(net, "input", 6, 9);
                let shape = net.integers(&[1, 5, 3, 3]);
                let a = net.node("Reshape", &[&a, &shape], &[]);
                net.node("Transpose", &[&a], &[("perm", perm.into())])
            };
            let (q, k, v) = (heads(net, [0, 2, 1, 3]), heads(net, [0, 2, 3, 1]), heads(net, [0, 2, 1, 3]));
            let root = number(net, 3f32.sqrt());
            let a = net.node("MatMul", &[&q, &k], &[]);
            let a = net.node("Div", &[&a, &root], &[]);
            let a = net.node("Softmax", &[&a], &[("axis", (-1).into())]);
            let a = net.node("MatMul", &[&a, &v], &[]);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 1, 3].into())]);
            let shape = net.integers(&[1, 5, 9]);
            net.node("Reshape", &[&a, &shape], &[])
        }),
        case("mul-of-values", 13, &[1, 4, 5, 5], |net| {
            let a = net.conv("input", 4, 4);
            let a = net.node("Mul", &[&a, "input"], &[]);
            net.node("Relu", &[&a], &[])
        }),
    ]
}

fn normalisation() -> Vec<Case> {
    vec![
        case("layer-norm", 17, &[1, 5, 7], |net| {
            let (g, b) = (net.vector(&[7], 1.0), net.vector(&[7], 0.5));
            net.node("LayerNormalization", &["input", &g, &b], &[("axis", (-1).into()), ("epsilon", 1e-6.into())])
        }),
        case("layer-norm-without-offset", 17, &[1, 7, 3], |net| {
            let a = linear(net, "input", 3, 9);
            let g = net.vector(&[9], 1.0);
            let a = net.node("LayerNormalization", &[&a, &g], &[("axis", 2.into())]);
            net.node("Relu", &[&a], &[])
        }),
        case("layer-norm-of-channels", 17, &[1, 4, 5, 6], |net| {
            // As ConvNeXt does, around a convolution.
            let a = net.conv("input", 4, 8);
            let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 3, 1].into())]);
            let (g, b) = (net.vector(&[8], 1.0), net.vector(&[8], 0.5));
            let a = net.node("LayerNormalization", &[&a, &g, &b], &[]);
            net.node("Transpose", &[&a], &[("perm", [0, 3, 1, 2].into())])
        }),
        case("layer-norm-written-out", 13, &[1, 5, 7], |net| {
            let a = linear(net, "input", 7, 8);
            written_out(net, &a, 8, false)
        }),
        case("layer-norm-written-out-with-a-product", 12, &[1, 3, 6], |net| {
            let a = linear(net, "input", 6, 6);
            let a = written_out(net, &a, 6, true);
            linear(net, &a, 6, 4)
        }),
    ]
}

/// The normalisation as exporters before opset 17 write it.
fn written_out(net: &mut Sketch, input: &str, channels: usize, product: bool) -> String {
    let mean = |net: &mut Sketch, x: &str| net.node("ReduceMean", &[x], &[("axes", [-1].into())]);
    let average = mean(net, input);
    let distance = net.node("Sub", &[input, &average], &[]);
    let squares = if product {
        net.node("Mul", &[&distance, &distance], &[])
    } else {
        let two = number(net, 2.0);
        net.node("Pow", &[&distance, &two], &[])
    };
    let variance = mean(net, &squares);
    let epsilon = number(net, 1e-5);
    let a = net.node("Add", &[&variance, &epsilon], &[]);
    let deviation = net.node("Sqrt", &[&a], &[]);
    let a = net.node("Div", &[&distance, &deviation], &[]);
    let (g, b) = (net.vector(&[channels], 1.0), net.vector(&[channels], 0.4));
    let a = net.node("Mul", &[&a, &g], &[]);
    net.node("Add", &[&a, &b], &[])
}

/// `0.5 x (1 + erf(x / sqrt 2))`
fn gelu_erf(net: &mut Sketch, x: &str) -> String {
    let (root, one, half) = (number(net, 2f32.sqrt()), number(net, 1.0), number(net, 0.5));
    let a = net.node("Div", &[x, &root], &[]);
    let a = net.node("Erf", &[&a], &[]);
    let a = net.node("Add", &[&a, &one], &[]);
    let a = net.node("Mul", &[x, &a], &[]);
    net.node("Mul", &[&a, &half], &[])
}

/// `0.5 x (1 + tanh(0.798 (x + 0.0447 x^3)))`
fn gelu_tanh(net: &mut Sketch, x: &str) -> String {
    let (three, k, root, one, half) =
        (number(net, 3.0), number(net, 0.044715), number(net, 0.797_884_6), number(net, 1.0), number(net, 0.5));
    let a = net.node("Pow", &[x, &three], &[]);
    let a = net.node("Mul", &[&a, &k], &[]);
    let a = net.node("Add", &[x, &a], &[]);
    let a = net.node("Mul", &[&a, &root], &[]);
    let a = net.node("Tanh", &[&a], &[]);
    let a = net.node("Add", &[&a, &one], &[]);
    let b = net.node("Mul", &[x, &half], &[]);
    net.node("Mul", &[&b, &a], &[])
}

fn functions() -> Vec<Case> {
    vec![
        case("gelu-erf-written-out", 13, &[1, 5, 7], |net| {
            let a = linear(net, "input", 7, 9);
            gelu_erf(net, &a)
        }),
        case("gelu-tanh-written-out", 13, &[1, 5, 7], |net| {
            let a = linear(net, "input", 7, 9);
            gelu_tanh(net, &a)
        }),
        case("gelu-op", 20, &[1, 5, 7], |net| {
            let a = linear(net, "input", 7, 9);
            let a = net.node("Gelu", &[&a], &[]);
            let a = linear(net, &a, 9, 6);
            net.node("Gelu", &[&a], &[("approximate", "tanh".into())])
        }),
        case("function-read-twice", 13, &[1, 4, 6, 6], |net| {
            // The function's middle has a reader of its own.
            let a = net.conv("input", 4, 4);
            let t = net.node("Tanh", &[&a], &[]);
            let b = net.node("Mul", &[&a, &t], &[]);
            let b = net.conv(&b, 4, 4);
            net.node("Add", &[&b, &t], &[])
        }),
        case("silu-and-numbers", 13, &[1, 4, 6, 6], |net| {
            let a = net.conv("input", 4, 4);
            let s = net.node("Sigmoid", &[&a], &[]);
            let a = net.node("Mul", &[&a, &s], &[]);
            let (two, five) = (number(net, 2.0), number(net, -5.0));
            let a = net.node("Sub", &[&two, &a], &[]);
            let a = net.node("Div", &[&a, &five], &[]);
            net.node("Neg", &[&a], &[])
        }),
        case("numbers-alone", 13, &[1, 4, 6], |net| {
            let (two, three) = (number(net, 2.0), number(net, 3.0));
            let a = net.node("Mul", &["input", &two], &[]);
            let a = net.node("Add", &[&three, &a], &[]);
            let c = net.vector(&[6], 1.0);
            net.node("Sub", &[&a, &c], &[])
        }),
    ]
}

fn tokens() -> Vec<Case> {
    vec![
        case("class-token", 13, &[1, 5, 6], |net| {
            let token = net.vector(&[1, 1, 6], 1.0);
            let a = net.node("Concat", &[&token, "input"], &[("axis", 1.into())]);
            let places = net.vector(&[1, 6, 6], 0.5);
            let a = net.node("Add", &[&a, &places], &[]);
            let a = linear(net, &a, 6, 8);
            let index = net.scalar(0);
            let a = net.node("Gather", &[&a, &index], &[("axis", 1.into())]);
            let w = net.weights(&[8, 4]);
            net.node("Gemm", &[&a, &w], &[])
        }),
        fixed("class-token-by-zero", 17, &[1, 5, 6], |net| {
            let (start, end) = (net.integers(&[0]), net.integers(&[1]));
            let axis = net.integers(&[1]);
            let a = net.node("Slice", &["input", &start, &end, &axis], &[]);
            let zero = number(net, 0.0);
            let a = net.node("Mul", &[&a, &zero], &[]);
            let token = net.vector(&[1, 1, 6], 1.0);
            let a = net.node("Add", &[&a, &token], &[]);
            net.node("Concat", &[&a, "input"], &[("axis", 1.into())])
        }),
        case("constant-by-element", 13, &[1, 4, 5, 5], |net| {
            let c = net.vector(&[5, 5], 1.0);
            let a = net.node("Add", &["input", &c], &[]);
            let d = net.vector(&[4, 5, 1], 1.0);
            let a = net.node("Mul", &[&a, &d], &[]);
            net.node("Sub", &[&a, &c], &[])
        }),
        case("mean-of-tokens", 13, &[1, 5, 6], |net| {
            let a = linear(net, "input", 6, 7);
            net.node("ReduceMean", &[&a], &[("axes", [1].into()), ("keepdims", 0.into())])
        }),
        case("mean-of-channels", 13, &[1, 3, 5, 4], |net| net.node("ReduceMean", &["input"], &[("axes", [1].into())])),
        case("mean-of-rows", 18, &[1, 3, 5, 4], |net| {
            let axes = net.integers(&[2]);
            net.node("ReduceMean", &["input", &axes], &[("keepdims", 0.into())])
        }),
        case("slice-of-axes", 13, &[1, 6, 7, 5], |net| {
            let (starts, ends) = (net.integers(&[1, -5]), net.integers(&[6, 1000]));
            let (axes, steps) = (net.integers(&[1, 2]), net.integers(&[2, 1]));
            net.node("Slice", &["input", &starts, &ends, &axes, &steps], &[])
        }),
        case("slice-by-attributes", 9, &[1, 6, 7], |net| {
            net.node("Slice", &["input"], &[("starts", [2].into()), ("ends", [5].into()), ("axes", [2].into())])
        }),
        case("gather-one-channel", 13, &[1, 6, 5, 4], |net| {
            let a = net.conv("input", 6, 5);
            let index = net.integers(&[-2]);
            net.node("Gather", &[&a, &index], &[("axis", 1.into())])
        }),
    ]
}

fn blocks() -> Vec<Case> {
    vec![case("queries-keys-values-in-one", 17, &[1, 5, 6], |net| {
        // As timm's vision transformers have it: one layer, the three of them brought to the front.
        let a = linear(net, "input", 6, 3 * 2 * 4);
        let shape = net.integers(&[1, 5, 3, 2, 4]);
        let a = net.node("Reshape", &[&a, &shape], &[]);
        let a = net.node("Transpose", &[&a], &[("perm", [2, 0, 3, 1, 4].into())]);
        let take = |net: &mut Sketch, which: i64| {
            let index = net.scalar(which);
            net.node("Gather", &[&a, &index], &[("axis", 0.into())])
        };
        let (q, k, v) = (take(net, 0), take(net, 1), take(net, 2));
        let scale = number(net, 0.5);
        let q = net.node("Mul", &[&q, &scale], &[]);
        let k = net.node("Transpose", &[&k], &[("perm", [0, 1, 3, 2].into())]);
        let a = net.node("MatMul", &[&q, &k], &[]);
        let a = net.node("Softmax", &[&a], &[("axis", (-1).into())]);
        let a = net.node("MatMul", &[&a, &v], &[]);
        let a = net.node("Transpose", &[&a], &[("perm", [0, 2, 1, 3].into())]);
        let shape = net.integers(&[1, 5, 8]);
        let a = net.node("Reshape", &[&a, &shape], &[]);
        let a = linear(net, &a, 8, 6);
        let a = net.node("Add", &["input", &a], &[]);
        let (g, b) = (net.vector(&[6], 1.0), net.vector(&[6], 0.3));
        let n = net.node("LayerNormalization", &[&a, &g, &b], &[]);
        let n = linear(net, &n, 6, 12);
        let n = gelu_erf(net, &n);
        let n = linear(net, &n, 12, 6);
        net.node("Add", &[&a, &n], &[])
    })]
}
