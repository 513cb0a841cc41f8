//! Resize and Upsample, and transposed convolution.

use super::{Attributes, Case, Sketch, case};

pub(super) fn cases() -> Vec<Case> {
    [scaled(), sized(), older(), transposed()].into_iter().flatten().collect()
}

fn text(name: &'static str, value: &'static str) -> (&'static str, apq_examples::onnx::Attribute) {
    (name, value.into())
}

/// Resize by scales, since opset 11.
fn by_scales(net: &mut Sketch, input: &str, scales: &[f32], attributes: Attributes) -> String {
    let scales = net.constant(&[scales.len()], scales);
    // Opset 11 asks for regions, though only one convention reads them.
    let regions = net.constant(&[0], &[]);
    net.node("Resize", &[input, &regions, &scales], attributes)
}

fn scaled() -> Vec<Case> {
    let form = |name: &'static str, opset, mode: &'static str, convention: &'static str, rounding: &'static str, scales: [f32; 2]| {
        case(name, opset, &[1, 3, 5, 6], move |net| {
            let a = net.conv("input", 3, 5);
            let mut attributes = vec![text("mode", mode), text("coordinate_transformation_mode", convention)];
            if !rounding.is_empty() {
                attributes.push(text("nearest_mode", rounding));
            }
            let a = by_scales(net, &a, &[1.0, 1.0, scales[0], scales[1]], &attributes);
            net.conv(&a, 5, 3)
        })
    };
    vec![
        form("resize-nearest-twice", 11, "nearest", "asymmetric", "floor", [2.0, 2.0]),
        form("resize-nearest-half-pixel", 13, "nearest", "half_pixel", "round_prefer_floor", [2.0, 3.0]),
        form("resize-nearest-ceil", 13, "nearest", "half_pixel", "round_prefer_ceil", [1.7, 2.0]),
        form("resize-nearest-down", 19, "nearest", "pytorch_half_pixel", "ceil", [0.6, 0.5]),
        form("resize-nearest-corners", 13, "nearest", "align_corners", "round_prefer_floor", [2.0, 1.5]),
        form("resize-linear-twice", 11, "linear", "half_pixel", "", [2.0, 2.0]),
        form("resize-linear-pytorch", 13, "linear", "pytorch_half_pixel", "", [2.0, 4.0]),
        form("resize-linear-corners", 13, "linear", "align_corners", "", [2.0, 2.0]),
        form("resize-linear-asymmetric", 13, "linear", "asymmetric", "", [3.0, 2.0]),
        form("resize-linear-uneven", 18, "linear", "half_pixel", "", [1.3, 2.7]),
        form("resize-linear-down", 13, "linear", "half_pixel", "", [0.6, 0.5]),
        form("resize-linear-symmetric", 19, "linear", "half_pixel_symmetric", "", [1.3, 0.7]),
        case("resize-linear-relu", 13, &[1, 3, 4, 5], |net| {
            let a = net.conv("input", 3, 4);
            let a = by_scales(net, &a, &[1.0, 1.0, 2.0, 2.0], &[text("mode", "linear")]);
            net.node("Relu", &[&a], &[])
        }),
        case("resize-default", 13, &[1, 3, 4, 5], |net| by_scales(net, "input", &[1.0, 1.0, 2.0, 2.0], &[])),
        case("resize-one-axis", 18, &[1, 3, 4, 5], |net| by_scales(net, "input", &[2.5], &[text("mode", "linear"), ("axes", [-1].into())])),
        case("resize-sequence", 13, &[1, 3, 7], |net| {
            let w = net.weights(&[4, 3, 3]);
            let a = net.node("Conv", &["input", &w], &[]);
            by_scales(net, &a, &[1.0, 1.0, 2.0], &[text("mode", "linear")])
        }),
    ]
}

fn sized() -> Vec<Case> {
    let form = |name: &'static str, opset, mode: &'static str, convention: &'static str, sizes: [i64; 2]| {
        case(name, opset, &[1, 3, 5, 6], move |net| {
            let sizes = net.integers(&[1, 3, sizes[0], sizes[1]]);
            let attributes = [text("mode", mode), text("coordinate_transformation_mode", convention)];
            let empty = net.constant(&[0], &[]);
            let a = net.node("Resize", &["input", &empty, &empty, &sizes], &attributes);
            net.conv(&a, 3, 4)
        })
    };
    vec![
        form("resize-to-size", 11, "linear", "half_pixel", [9, 11]),
        form("resize-to-size-corners", 13, "linear", "align_corners", [13, 3]),
        form("resize-to-size-nearest", 13, "nearest", "half_pixel", [7, 4]),
        form("resize-to-size-one", 13, "linear", "pytorch_half_pixel", [1, 3]),
        form("resize-to-size-corners-one", 13, "linear", "align_corners", [1, 12]),
        case("resize-from-one-pixel", 13, &[1, 3, 5, 6], |net| {
            let a = net.node("GlobalAveragePool", &["input"], &[]);
            let sizes = net.integers(&[1, 3, 5, 6]);
            let a = net.node("Resize", &[&a, "", "", &sizes], &[text("mode", "linear")]);
            let a = net.node("Concat", &[&a, "input"], &[("axis", 1.into())]);
            net.conv(&a, 6, 4)
        }),
        // As exporters write it: the size of another tensor.
        case("resize-to-shape-of", 13, &[1, 3, 8, 6], |net| {
            let down: Attributes = &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())];
            let a = net.node("MaxPool", &["input"], down);
            let a = net.conv(&a, 3, 4);
            let shape = net.node("Shape", &["input"], &[]);
            let lists = [[2], [4], [0]].map(|list| net.integers(&list));
            let sides = net.node("Slice", &[&shape, &lists[0], &lists[1], &lists[2]], &[]);
            let own = net.node("Shape", &[&a], &[]);
            let lists = [[0], [2], [0]].map(|list| net.integers(&list));
            let lead = net.node("Slice", &[&own, &lists[0], &lists[1], &lists[2]], &[]);
            let sizes = net.node("Concat", &[&lead, &sides], &[("axis", 0.into())]);
            let mode = [text("mode", "linear"), text("coordinate_transformation_mode", "pytorch_half_pixel")];
            let a = net.node("Resize", &[&a, "", "", &sizes], &mode);
            let shape = net.integers(&[1, 4, 48]);
            net.node("Reshape", &[&a, &shape], &[])
        }),
    ]
}

fn older() -> Vec<Case> {
    let scales = |net: &mut Sketch, op: &str, scales: [f32; 2], mode: &'static str| {
        let scales = net.constant(&[4], &[1.0, 1.0, scales[0], scales[1]]);
        net.node(op, &["input", &scales], &[text("mode", mode)])
    };
    vec![
        case("resize-10-nearest", 10, &[1, 3, 5, 6], |net| scales(net, "Resize", [2.0, 1.5], "nearest")),
        case("resize-10-nearest-down", 10, &[1, 3, 5, 6], |net| scales(net, "Resize", [0.6, 0.5], "nearest")),
        case("resize-10-linear", 10, &[1, 3, 5, 6], |net| scales(net, "Resize", [2.0, 2.5], "linear")),
        case("upsample-9-nearest", 9, &[1, 3, 5, 6], |net| scales(net, "Upsample", [2.0, 3.0], "nearest")),
        case("upsample-9-linear", 9, &[1, 3, 5, 6], |net| scales(net, "Upsample", [2.0, 2.0], "linear")),
        case("upsample-9-then-flatten", 9, &[1, 3, 4, 4], |net| {
            let scales = net.constant(&[4], &[1.0, 1.0, 2.0, 2.0]);
            let a = net.conv("input", 3, 2);
            let a = net.node("Upsample", &[&a, &scales], &[text("mode", "nearest")]);
            let a = net.conv(&a, 2, 3);
            let a = net.node("Upsample", &[&a, &scales], &[text("mode", "linear")]);
            let a = net.node("Flatten", &[&a], &[]);
            let w = net.weights(&[768, 4]);
            net.node("MatMul", &[&a, &w], &[])
        }),
        case("upsample-7", 7, &[1, 3, 5, 6], |net| {
            let scales = apq_examples::onnx::Attribute::from([1.0f32, 1.0, 2.0, 2.0].as_slice());
            net.node("Upsample", &["input"], &[text("mode", "nearest"), ("scales", scales)])
        }),
    ]
}

fn transposed() -> Vec<Case> {
    let form = |name: &'static str,
                opset,
                weights: &'static [usize],
                outputs: usize,
                attributes: Vec<(&'static str, apq_examples::onnx::Attribute)>| {
        case(name, opset, &[1, 4, 5, 4], move |net| {
            let w = net.weights(weights);
            let b = net.vector(&[outputs], 0.3);
            let a = net.node("ConvTranspose", &["input", &w, &b], &attributes);
            net.node("Relu", &[&a], &[])
        })
    };
    let two = || ("strides", [2, 2].into());
    vec![
        form("transposed-2x2", 11, &[4, 3, 2, 2], 3, vec![two()]),
        form("transposed-3x3", 11, &[4, 3, 3, 3], 3, vec![two(), ("pads", [1, 1, 1, 1].into()), ("output_padding", [1, 1].into())]),
        form("transposed-4x4", 7, &[4, 3, 4, 4], 3, vec![two(), ("pads", [1, 1, 1, 1].into())]),
        form("transposed-stride-1", 13, &[4, 5, 3, 3], 5, vec![("pads", [1, 0, 1, 2].into())]),
        form("transposed-depthwise", 13, &[4, 1, 4, 4], 4, vec![two(), ("pads", [1, 1, 1, 1].into()), ("group", 4.into())]),
        form("transposed-groups", 13, &[4, 3, 3, 2], 6, vec![("strides", [2, 3].into()), ("group", 2.into())]),
        form("transposed-dilated", 13, &[4, 3, 3, 2], 3, vec![two(), ("dilations", [2, 3].into()), ("pads", [2, 1, 0, 3].into())]),
        form("transposed-gaps", 13, &[4, 3, 1, 2], 3, vec![("strides", [3, 3].into()), ("output_padding", [2, 0].into())]),
        form("transposed-same", 13, &[4, 3, 3, 3], 3, vec![two(), text("auto_pad", "SAME_UPPER")]),
        form("transposed-to-shape", 13, &[4, 3, 3, 3], 3, vec![two(), ("output_shape", [10, 9].into())]),
        case("transposed-sequence", 13, &[1, 4, 6], |net| {
            let w = net.weights(&[4, 3, 4]);
            net.node("ConvTranspose", &["input", &w], &[("strides", [2].into()), ("pads", [1, 1].into())])
        }),
        case("transposed-norm", 13, &[1, 4, 3, 4], |net| {
            let w = net.weights(&[4, 6, 2, 2]);
            let a = net.node("ConvTranspose", &["input", &w], &[("strides", [2, 2].into())]);
            let a = net.norm(&a, 6);
            let a = net.node("Relu", &[&a], &[]);
            net.conv(&a, 6, 3)
        }),
    ]
}
