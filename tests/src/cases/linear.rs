//! Conv, Gemm and MatMul.

use apq_examples::onnx::{Element, Tensor};

use super::{Attributes, Case, case, fixed};

pub(super) fn cases() -> Vec<Case> {
    [convolutions(), sequences(), gemm(), matmul()].into_iter().flatten().collect()
}

/// A convolution of `[1, C, H, W]` with weights `[O, I, KH, KW]`.
fn conv(name: &'static str, input: &[usize], weights: [usize; 4], bias: bool, attributes: Attributes) -> Case {
    case(name, 13, input, |net| {
        let w = net.weights(&weights);
        let b = net.vector(&[weights[0]], 0.4);
        net.node("Conv", if bias { vec!["input", &w, &b] } else { vec!["input", &w] }.as_slice(), attributes)
    })
}

fn convolutions() -> Vec<Case> {
    let same = |text: &str| ("auto_pad", text.into());
    let strides = ("strides", [2, 2].into());
    vec![
        conv("conv", &[1, 3, 8, 7], [5, 3, 3, 3], true, &[("pads", [1, 1, 1, 1].into()), ("kernel_shape", [3, 3].into())]),
        conv("conv-without-bias", &[1, 3, 8, 7], [5, 3, 3, 3], false, &[]),
        conv("conv-pointwise", &[1, 7, 5, 4], [9, 7, 1, 1], true, &[]),
        conv("conv-pointwise-strided", &[1, 6, 7, 5], [4, 6, 1, 1], true, &[("strides", [2, 3].into())]),
        conv("conv-oblong", &[1, 2, 9, 8], [3, 2, 2, 5], true, &[("strides", [3, 1].into()), ("pads", [0, 2, 1, 2].into())]),
        conv("conv-pads-asymmetric", &[1, 3, 6, 6], [4, 3, 3, 3], true, &[("pads", [0, 1, 2, 0].into()), strides.clone()]),
        conv("conv-dilated", &[1, 3, 11, 12], [4, 3, 3, 3], true, &[("dilations", [2, 3].into()), ("pads", [2, 3, 2, 3].into())]),
        conv("conv-same-upper", &[1, 3, 7, 8], [4, 3, 3, 3], true, &[same("SAME_UPPER"), strides.clone()]),
        conv("conv-same-upper-even-kernel", &[1, 3, 7, 8], [4, 3, 4, 2], true, &[same("SAME_UPPER")]),
        conv("conv-same-lower", &[1, 3, 8, 7], [4, 3, 4, 4], true, &[same("SAME_LOWER"), ("strides", [3, 2].into())]),
        conv("conv-valid", &[1, 3, 8, 9], [4, 3, 3, 3], true, &[same("VALID"), strides.clone()]),
        conv("conv-pads-beyond-kernel", &[1, 3, 4, 4], [4, 3, 1, 2], true, &[("pads", [2, 3, 1, 2].into())]),
        conv("conv-stride-beyond-kernel", &[1, 3, 9, 8], [4, 3, 2, 1], true, &[("strides", [4, 3].into())]),
        conv("conv-notset", &[1, 3, 5, 5], [4, 3, 3, 3], true, &[same("NOTSET"), ("pads", [1, 0, 1, 0].into())]),
        conv("conv-groups", &[1, 6, 6, 5], [9, 2, 3, 3], true, &[("group", 3.into()), ("pads", [1, 1, 1, 1].into())]),
        conv("conv-depthwise", &[1, 7, 8, 6], [7, 1, 3, 3], true, &[("group", 7.into()), ("pads", [1, 1, 1, 1].into())]),
        conv("conv-depthwise-strided", &[1, 5, 9, 9], [5, 1, 5, 5], false, &[("group", 5.into()), same("SAME_LOWER"), strides.clone()]),
        conv(
            "conv-depthwise-dilated",
            &[1, 4, 9, 8],
            [4, 1, 3, 3],
            true,
            &[("group", 4.into()), ("dilations", [2, 1].into()), ("pads", [2, 1, 2, 1].into())],
        ),
        conv("conv-depthwise-multiplier", &[1, 3, 7, 7], [6, 1, 3, 3], true, &[("group", 3.into()), ("pads", [1, 1, 1, 1].into())]),
        conv("conv-depthwise-one-channel", &[1, 1, 7, 7], [4, 1, 3, 3], true, &[("group", 1.into())]),
        conv("conv-whole-image", &[1, 3, 5, 4], [6, 3, 5, 4], true, &[]),
        conv("conv-one-channel-out", &[1, 3, 6, 6], [1, 3, 3, 3], true, &[]),
        fixed("conv-fixed-batch", 11, &[1, 3, 6, 6], |net| net.conv("input", 3, 5)),
        case("conv-chain", 13, &[1, 3, 9, 9], |net| {
            let a = net.conv("input", 3, 6);
            let a = net.node("Relu", &[&a], &[]);
            let b = net.conv(&a, 6, 5);
            let b = net.node("Relu", &[&b], &[]);
            net.conv(&b, 5, 3)
        }),
        case("conv-weights-of-doubles", 13, &[1, 2, 6, 6], |net| {
            let values = net.values(4 * 2 * 9, 0.3);
            let bytes = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
            let w = net.tensor(Tensor::of_bytes(Element::F64, &[4, 2, 3, 3], bytes));
            let w = net.node("Cast", &[&w], &[("to", 1.into())]);
            net.node("Conv", &["input", &w], &[])
        }),
        case("conv-zero-channel", 13, &[1, 2, 6, 6], |net| {
            let mut values = net.values(3 * 18, 0.3);
            values[18..36].fill(0.0);
            let w = net.constant(&[3, 2, 3, 3], &values);
            let b = net.constant(&[3], &[0.2, 0.7, -0.1]);
            net.node("Conv", &["input", &w, &b], &[])
        }),
        case("conv-initializers-as-inputs", 8, &[1, 2, 6, 6], |net| {
            let w = net.weights(&[4, 2, 3, 3]);
            net.builder.input(&w, &[4.into(), 2.into(), 3.into(), 3.into()]);
            net.node("Conv", &["input", &w], &[])
        }),
    ]
}

fn sequences() -> Vec<Case> {
    vec![
        case("conv1d", 13, &[1, 4, 17], |net| {
            let w = net.weights(&[5, 4, 3]);
            let b = net.vector(&[5], 0.3);
            net.node("Conv", &["input", &w, &b], &[("pads", [1, 2].into()), ("strides", [2].into()), ("kernel_shape", [3].into())])
        }),
        case("conv1d-chain", 13, &[1, 3, 16], |net| {
            let w = net.weights(&[6, 3, 5]);
            let a = net.node("Conv", &["input", &w], &[("auto_pad", "SAME_UPPER".into())]);
            let a = net.node("Relu", &[&a], &[]);
            let w = net.weights(&[6, 1, 3]);
            let a = net.node("Conv", &[&a, &w], &[("group", 6.into()), ("dilations", [2].into())]);
            let a = net.norm(&a, 6);
            let a = net.node("MaxPool", &[&a], &[("kernel_shape", [2].into()), ("strides", [2].into())]);
            let a = net.node("GlobalAveragePool", &[&a], &[]);
            net.node("Flatten", &[&a], &[])
        }),
    ]
}

fn gemm() -> Vec<Case> {
    let attributes = || [("alpha", 0.7.into()), ("beta", 1.6.into())];
    let with_c = |name: &'static str, opset, c: &'static [usize]| {
        case(name, opset, &[1, 11], move |net| {
            let w = net.weights(&[11, 6]);
            let c = net.vector(c, 0.5);
            net.node("Gemm", &["input", &w, &c], &attributes())
        })
    };
    vec![
        with_c("gemm-c-vector", 13, &[6]),
        with_c("gemm-c-row", 11, &[1, 6]),
        with_c("gemm-c-scalar", 9, &[]),
        with_c("gemm-c-one", 7, &[1]),
        case("gemm-wide", 13, &[1, 3000], |net| {
            // At w8a16 the sum of so many products leaves 32 bits.
            let w = net.vector(&[3000, 3], 0.5);
            net.node("Gemm", &["input", &w], &[])
        }),
        case("gemm-small-weights-large-bias", 13, &[1, 9], |net| {
            // The first bias is no 32-bit multiple of s_in * s_w.
            let mut values = net.values(27, 0.3);
            values[..9].iter_mut().for_each(|w| *w *= 1e-10);
            let w = net.constant(&[3, 9], &values);
            let c = net.constant(&[3], &[0.8, 0.1, -0.4]);
            net.node("Gemm", &["input", &w, &c], &[("transB", 1.into())])
        }),
        case("gemm-without-c", 13, &[1, 11], |net| {
            let w = net.weights(&[11, 6]);
            net.node("Gemm", &["input", &w], &[])
        }),
        case("gemm-transposed", 13, &[1, 11], |net| {
            let w = net.weights(&[6, 11]);
            let c = net.vector(&[6], 0.5);
            net.node("Gemm", &["input", &w, &c], &[("transB", 1.into()), ("transA", 0.into())])
        }),
        fixed("gemm-chain", 13, &[1, 19], |net| {
            let w = net.weights(&[13, 19]);
            let a = net.node("Gemm", &["input", &w], &[("transB", 1.into())]);
            let a = net.norm(&a, 13);
            let a = net.node("Relu", &[&a], &[]);
            let w = net.weights(&[13, 4]);
            net.node("Gemm", &[&a, &w], &[])
        }),
    ]
}

fn matmul() -> Vec<Case> {
    let right = |name: &'static str, input: &'static [usize], bias_first: bool| {
        case(name, 13, input, move |net| {
            let last = input[input.len() - 1];
            let w = net.weights(&[last, 5]);
            let b = net.vector(&[5], 0.4);
            let product = net.node("MatMul", &["input", &w], &[]);
            let sum = if bias_first { [b, product] } else { [product, b] };
            net.node("Add", &[&sum[0], &sum[1]], &[])
        })
    };
    let left = |name: &'static str, input: &'static [usize]| {
        case(name, 13, input, move |net| {
            let w = net.weights(&[5, input[input.len() - 2]]);
            net.node("MatMul", &[&w, "input"], &[])
        })
    };
    vec![
        right("matmul", &[1, 9], false),
        right("matmul-bias-first", &[1, 9], true),
        right("matmul-rank-3", &[1, 4, 9], false),
        right("matmul-rank-4", &[1, 2, 3, 9], true),
        right("matmul-rank-5", &[1, 2, 2, 3, 6], false),
        left("matmul-left-rank-3", &[1, 7, 3]),
        case("matmul-left-bias", 13, &[1, 7, 3], |net| {
            let w = net.weights(&[5, 7]);
            let a = net.node("MatMul", &[&w, "input"], &[]);
            let b = net.vector(&[5, 1], 0.4);
            let a = net.node("Add", &[&a, &b], &[]);
            net.node("Relu", &[&a], &[])
        }),
        left("matmul-left-rank-4", &[1, 2, 7, 3]),
        case("matmul-batched-constant", 13, &[1, 4, 6], |net| {
            let w = net.weights(&[1, 6, 5]);
            net.node("MatMul", &["input", &w], &[])
        }),
        case("matmul-both-sides", 13, &[1, 6, 5], |net| {
            let w = net.weights(&[5, 4]);
            let a = net.node("MatMul", &["input", &w], &[]);
            let a = net.node("Relu", &[&a], &[]);
            let w = net.weights(&[7, 6]);
            net.node("MatMul", &[&w, &a], &[])
        }),
    ]
}
