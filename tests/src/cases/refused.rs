//! Forms that are not supported: what the message has to say.

mod quantized;

use apq_examples::onnx::{Dim, Element, Tensor};

use super::{Case, Sketch, case, fixed};

/// A network that must be refused.
pub struct Refused {
    /// The network.
    pub case: Case,
    /// What the message must contain: node, operator, attribute or input, nearest supported form.
    pub says: Vec<&'static str>,
}

/// All of them.
pub fn refused() -> Vec<Refused> {
    [operators(), forms(), quantized::refused(), models(), invalid()].into_iter().flatten().collect()
}

fn refuse(case: Case, says: &[&'static str]) -> Refused {
    Refused { case, says: says.to_vec() }
}

/// An operator that there is none of.
fn unknown(name: &'static str, op: &'static str, nearest: &'static str) -> Refused {
    let case = case(name, 17, &[1, 4, 6, 6], |net| {
        let a = net.conv("input", 4, 4);
        net.node(op, &[&a], &[])
    });
    refuse(case, &["node \"", op, "nearest supported form", nearest])
}

fn operators() -> Vec<Refused> {
    vec![
        unknown("refused-celu", "Celu", "Elu, LeakyRelu or Relu"),
        unknown("refused-depth-to-space", "DepthToSpace", "Reshape and Transpose"),
        unknown("refused-lrn", "LRN", "one of"),
        unknown("refused-instance-normalization", "InstanceNormalization", "BatchNormalization"),
        unknown("refused-reduce-max", "ReduceMax", "ReduceMean"),
        refuse(
            case("refused-other-domain", 13, &[1, 4], |net| {
                net.builder.node_of("com.example", "Relu", "odd", &["input"], &["out"], &[]);
                "out".into()
            }),
            &["node \"odd\"", "operator Relu"],
        ),
    ]
}

fn forms() -> Vec<Refused> {
    let pool = |name, op: &'static str, attributes: &[(&str, apq_examples::onnx::Attribute)], says: &[&'static str]| {
        refuse(case(name, 12, &[1, 3, 8, 8], |net| net.node(op, &["input"], attributes)), says)
    };
    let resize = |name, attributes: &[(&str, apq_examples::onnx::Attribute)], says: &[&'static str]| {
        let case = case(name, 18, &[1, 3, 4, 4], |net| {
            let scales = net.constant(&[4], &[1.0, 1.0, 2.0, 2.0]);
            net.node("Resize", &["input", "", &scales], attributes)
        });
        refuse(case, &[&["node \"resize", "Resize"], says].concat())
    };
    let reduce = |name, axes: &'static [i64]| {
        refuse(
            case(name, 13, &[1, 3, 5, 5], |net| net.node("ReduceMean", &["input"], &[("axes", axes.into())])),
            &["node \"reducemean1\"", "attribute axes", "height and width"],
        )
    };
    vec![
        refuse(
            case("refused-weights-from-input", 13, &[1, 3, 3, 3], |net| {
                let shape = net.integers(&[3, 3, 3, 1]);
                let w = net.node("Reshape", &["input", &shape], &[]);
                net.node("Conv", &["input", &w], &[])
            }),
            &["node \"reshape2\"", "Reshape", "the batch"],
        ),
        refuse(
            case("refused-conv-3d", 13, &[1, 2, 4, 4, 4], |net| {
                let w = net.weights(&[3, 2, 3, 3, 3]);
                net.node("Conv", &["input", &w], &[])
            }),
            &["node \"conv", "Conv", "one or two spatial axes"],
        ),
        refuse(
            case("refused-conv-negative-pads", 13, &[1, 2, 6, 6], |net| {
                let w = net.weights(&[3, 2, 3, 3]);
                net.node("Conv", &["input", &w], &[("pads", [-1, 0, 0, 0].into())])
            }),
            &["node conv2", "Conv", "pads"],
        ),
        refuse(
            case("refused-gemm-trans-a", 13, &[1, 5], |net| {
                let w = net.weights(&[1, 4]);
                net.node("Gemm", &["input", &w], &[("transA", 1.into())])
            }),
            &["node \"gemm", "attribute transA", "transA = 0"],
        ),
        refuse(
            case("refused-matmul-batched", 13, &[1, 3, 4, 5], |net| {
                let w = net.weights(&[3, 5, 6]);
                net.node("MatMul", &["input", &w], &[])
            }),
            &["node \"matmul", "one constant matrix"],
        ),
        refuse(
            case("refused-add-broadcast", 13, &[1, 4, 5, 5], |net| {
                let a = net.conv("input", 4, 1);
                net.node("Mul", &["input", &a], &[])
            }),
            &["node \"mul", "Mul", "two inputs of one shape, or one of them [1, C, 1, 1]"],
        ),
        refuse(
            case("refused-sub-row-first", 13, &[1, 4, 5, 5], |net| {
                let a = net.node("GlobalAveragePool", &["input"], &[]);
                net.node("Sub", &[&a, "input"], &[])
            }),
            &["node \"sub", "Sub", "the larger input first"],
        ),
        refuse(
            case("refused-div-of-values", 13, &[1, 4, 5, 5], |net| {
                let a = net.conv("input", 4, 1);
                net.node("Div", &["input", &a], &[])
            }),
            &["node \"div", "Div", "a constant divisor"],
        ),
        refuse(
            case("refused-div-by-zero", 13, &[1, 4, 5, 5], |net| {
                let c = net.constant(&[], &[0.0]);
                net.node("Div", &["input", &c], &[])
            }),
            &["node \"div", "Div", "holds 0"],
        ),
        refuse(
            case("refused-slopes-of-pixels", 13, &[1, 4, 5, 5], |net| {
                let slopes = net.vector(&[5, 5], 1.0);
                net.node("PRelu", &["input", &slopes], &[])
            }),
            &["node \"prelu", "attribute slope", "one for each channel"],
        ),
        refuse(
            case("refused-gelu-approximation", 20, &[1, 9], |net| net.node("Gelu", &["input"], &[("approximate", "fast".into())])),
            &["node \"gelu1\"", "attribute approximate", "none or tanh"],
        ),
        refuse(
            case("refused-slice-backwards", 13, &[1, 4, 5, 5], |net| {
                let lists = [[-1], [-6], [2], [-1]].map(|list| net.integers(&list));
                net.node("Slice", &["input", &lists[0], &lists[1], &lists[2], &lists[3]], &[])
            }),
            &["node \"slice", "attribute steps", "positive steps"],
        ),
        refuse(
            case("refused-gather-many-runs", 13, &[1, 700], |net| {
                let places: Vec<i64> = (0..600).map(|place| place * place % 700).collect();
                let indices = net.integers(&places);
                net.node("Gather", &["input", &indices], &[("axis", 1.into())])
            }),
            &["node \"gather", "Gather", "1 to 256 runs"],
        ),
        resize("refused-resize-cubic", &[("mode", "cubic".into())], &["attribute mode", "nearest or linear"]),
        resize(
            "refused-resize-crop",
            &[("mode", "linear".into()), ("coordinate_transformation_mode", "tf_crop_and_resize".into())],
            &["attribute coordinate_transformation_mode", "half_pixel"],
        ),
        resize("refused-resize-antialias", &[("mode", "linear".into()), ("antialias", 1.into())], &["attribute antialias"]),
        refuse(
            case("refused-resize-channels", 13, &[1, 4, 5, 5], |net| {
                let scales = net.constant(&[4], &[1.0, 2.0, 2.0, 2.0]);
                net.node("Resize", &["input", "", &scales], &[])
            }),
            &["node \"resize", "Resize", "channels unchanged"],
        ),
        refuse(
            case("refused-transposed-pads", 13, &[1, 2, 5, 5], |net| {
                let w = net.weights(&[2, 3, 2, 2]);
                net.node("ConvTranspose", &["input", &w], &[("pads", [2, 0, 0, 0].into())])
            }),
            &["node \"convtranspose", "attribute pads", "smaller than the kernel"],
        ),
        refuse(
            case("refused-softmax-flattened", 11, &[1, 4, 5], |net| net.node("Softmax", &["input"], &[("axis", 1.into())])),
            &["node \"softmax1\"", "attribute axis", "the last axis"],
        ),
        refuse(
            case("refused-clip-by-value", 13, &[1, 1], |net| {
                let shape = net.integers(&[1]);
                let bound = net.node("Reshape", &["input", &shape], &[]);
                net.node("Clip", &["input", &bound], &[])
            }),
            &["node \"clip", "constant bound"],
        ),
        refuse(
            case("refused-pad-reflect", 13, &[1, 3, 5, 5], |net| {
                let pads = net.integers(&[0, 0, 1, 1, 0, 0, 1, 1]);
                net.node("Pad", &["input", &pads], &[("mode", "reflect".into())])
            }),
            &["node \"pad", "attribute mode", "reflect", "constant"],
        ),
        refuse(
            case("refused-pad-negative", 13, &[1, 3, 5, 5], |net| {
                let pads = net.integers(&[0, 0, -1, 0, 0, 0, 0, 0]);
                net.node("Pad", &["input", &pads], &[])
            }),
            &["node \"pad", "attribute pads", "at least 0"],
        ),
        refuse(
            case("refused-dropout-training", 13, &[1, 5], |net| {
                let ratio = net.constant(&[], &[0.5]);
                let training = net.tensor(Tensor::of_bytes(Element::Bool, &[], vec![1]));
                net.node("Dropout", &["input", &ratio, &training], &[])
            }),
            &["node \"dropout", "training_mode = false"],
        ),
        pool(
            "refused-ceil-and-include",
            "AveragePool",
            &[("kernel_shape", [3, 3].into()), ("strides", [2, 2].into()), ("ceil_mode", 1.into()), ("count_include_pad", 1.into())],
            &["node \"averagepool1\"", "attribute ceil_mode", "one of the two"],
        ),
        refuse(
            case("refused-pad-rank-5", 13, &[1, 2, 2, 3, 4], |net| {
                let pads = net.integers(&[0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
                net.node("Pad", &["input", &pads], &[])
            }),
            &["node \"pad", "axes"],
        ),
        pool(
            "refused-window-of-padding",
            "MaxPool",
            &[("kernel_shape", [2, 2].into()), ("dilations", [9, 1].into()), ("pads", [9, 0, 9, 0].into())],
            &["node \"maxpool1\"", "attribute pads", "nothing but padding"],
        ),
        pool(
            "refused-window-of-many-taps",
            "AveragePool",
            &[("kernel_shape", [33, 1].into()), ("pads", [16, 0, 16, 0].into())],
            &["node \"averagepool1\"", "attribute kernel_shape", "33"],
        ),
        reduce("refused-mean-of-batch", &[0]),
        refuse(
            case("refused-matmul-of-other-batches", 13, &[1, 3, 4, 4], |net| {
                let b = net.node("ReduceMean", &["input"], &[("axes", [1].into())]);
                net.node("MatMul", &["input", &b], &[])
            }),
            &["node \"matmul", "MatMul", "equal but for the last two axes"],
        ),
        refuse(
            case("refused-power-of-values", 13, &[1, 4, 6, 6], |net| {
                let a = net.conv("input", 4, 4);
                net.node("Pow", &[&a, "input"], &[])
            }),
            &["node \"pow", "Pow", "one value"],
        ),
        refuse(
            case("refused-layer-norm-axis", 17, &[1, 4, 6], |net| {
                let g = net.vector(&[4, 6], 1.0);
                net.node("LayerNormalization", &["input", &g], &[("axis", 1.into())])
            }),
            &["node \"layernormalization", "attribute axis", "the last axis"],
        ),
        refuse(
            case("refused-mean-of-all", 13, &[1, 3, 5, 5], |net| net.node("ReduceMean", &["input"], &[])),
            &["node \"reducemean1\"", "attribute axes", "height and width"],
        ),
        refuse(
            case("refused-transposed-batch", 13, &[1, 5, 4], |net| net.node("Transpose", &["input"], &[("perm", [1, 0, 2].into())])),
            &["node \"transpose1\"", "attribute perm", "batch"],
        ),
        refuse(
            case("refused-indices-of-max-pool", 12, &[1, 3, 6, 6], |net| {
                net.builder.node("MaxPool", "pool", &["input"], &["a", "indices"], &[("kernel_shape", [2, 2].into())]);
                net.builder.output_of("indices", Element::I64, &[]);
                "a".into()
            }),
            &["node \"pool\"", "MaxPool", "one output"],
        ),
    ]
}

fn models() -> Vec<Refused> {
    let typed = |name, element| {
        let mut net = Sketch::new(name, 13);
        net.builder.input_of("input", element, &[Dim::Fixed(1), Dim::Fixed(4)]);
        let output = net.node("Relu", &["input"], &[]);
        net.builder.output_of_any_shape(&output);
        Case { name, model: net.builder.to_bytes(), input: vec![1, 4] }
    };
    let two_inputs = fixed("refused-two-inputs", 13, &[1, 4], |net| {
        net.builder.input("other", &[1.into(), 4.into()]);
        net.node("Add", &["input", "other"], &[])
    });
    let two_outputs = fixed("refused-two-outputs", 13, &[1, 4], |net| {
        let a = net.node("Relu", &["input"], &[]);
        net.builder.output_of_any_shape(&a);
        net.node("Identity", &[&a], &[])
    });
    let mut net = Sketch::new("refused-dynamic-height", 13);
    net.builder.input("input", &[Dim::Symbol("N"), 3.into(), Dim::Symbol("H"), 8.into()]);
    let output = net.node("Relu", &["input"], &[]);
    net.builder.output_of_any_shape(&output);
    let dynamic = Case { name: "refused-dynamic-height", model: net.builder.to_bytes(), input: vec![1, 3, 8, 8] };
    vec![
        refuse(case("refused-opset-6", 6, &[1, 4], |net| net.node("Relu", &["input"], &[])), &["opset 6", "7 to 21"]),
        refuse(case("refused-opset-22", 22, &[1, 4], |net| net.node("Relu", &["input"], &[])), &["opset 22", "7 to 21"]),
        refuse(typed("refused-input-of-doubles", Element::F64), &["input \"input\"", "float32"]),
        refuse(typed("refused-input-of-bytes", Element::U8), &["input \"input\"", "float32"]),
        refuse(two_inputs, &["2 inputs", "input, other", "one is supported"]),
        refuse(two_outputs, &["2 outputs", "one is supported"]),
        refuse(dynamic, &["axis 2", "\"H\"", "only axis 0"]),
    ]
}

/// Networks that contradict themselves.
fn invalid() -> Vec<Refused> {
    let conv = |name, weights: &'static [usize], attributes: &[(&str, apq_examples::onnx::Attribute)], says: &[&'static str]| {
        let case = case(name, 13, &[1, 3, 6, 6], |net| {
            let w = net.weights(weights);
            net.node("Conv", &["input", &w], attributes)
        });
        refuse(case, says)
    };
    vec![
        conv("refused-conv-channels", &[4, 2, 3, 3], &[], &[]),
        conv("refused-conv-window", &[4, 3, 9, 9], &[], &[]),
        conv("refused-conv-kernel-shape", &[4, 3, 3, 3], &[("kernel_shape", [5, 5].into())], &[]),
        conv("refused-conv-stride", &[4, 3, 3, 3], &[("strides", [0, 1].into())], &[]),
        refuse(
            case("refused-weights-not-finite", 13, &[1, 3], |net| {
                let w = net.constant(&[3, 2], &[1.0, 2.0, f32::NAN, 1.0, f32::INFINITY, 0.0]);
                net.node("Gemm", &["input", &w], &[])
            }),
            &["node \"gemm", "NaN", "element 2"],
        ),
        refuse(
            case("refused-clip-crossed", 9, &[1, 3], |net| net.node("Clip", &["input"], &[("min", 1.0.into()), ("max", (-1.0).into())])),
            &["node \"clip1\"", "bounds"],
        ),
        refuse(case("refused-dangling", 13, &[1, 3], |net| net.node("Add", &["input", "nowhere"], &[])), &["nowhere"]),
    ]
}
