//! Functions of each value alone, and operations that together are one.

use super::{Case, Sketch, case};

pub(super) fn cases() -> Vec<Case> {
    [plain(), fused(), slopes()].into_iter().flatten().collect()
}

fn plain() -> Vec<Case> {
    let function = |name: &'static str, opset: i64, op: &'static str, attributes: super::Attributes| {
        case(name, opset, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            net.node(op, &[&a], attributes)
        })
    };
    let wide = |name: &'static str, op: &'static str| {
        case(name, 18, &[1, 11], |net| {
            let w = net.vector(&[11, 9], 2.0);
            let a = net.node("Gemm", &["input", &w], &[]);
            let a = net.node(op, &[&a], &[]);
            let w = net.weights(&[9, 4]);
            net.node("Gemm", &[&a, &w], &[])
        })
    };
    vec![
        function("abs", 13, "Abs", &[]),
        function("elu", 8, "Elu", &[("alpha", 0.7.into())]),
        function("exp", 13, "Exp", &[]),
        function("gelu", 20, "Gelu", &[]),
        function("gelu-tanh", 20, "Gelu", &[("approximate", "tanh".into())]),
        function("hard-sigmoid", 7, "HardSigmoid", &[]),
        function("hard-sigmoid-sixth", 13, "HardSigmoid", &[("alpha", (1.0 / 6.0).into()), ("beta", 0.5.into())]),
        function("hard-swish", 14, "HardSwish", &[]),
        function("leaky-relu", 7, "LeakyRelu", &[]),
        function("leaky-relu-slope", 16, "LeakyRelu", &[("alpha", 0.2.into())]),
        function("mish", 18, "Mish", &[]),
        function("neg", 13, "Neg", &[]),
        function("selu", 7, "Selu", &[]),
        function("sigmoid", 7, "Sigmoid", &[]),
        function("softplus", 13, "Softplus", &[]),
        function("softsign", 13, "Softsign", &[]),
        function("tanh", 21, "Tanh", &[]),
        wide("sigmoid-wide", "Sigmoid"),
        wide("tanh-wide", "Tanh"),
        wide("hard-swish-wide", "HardSwish"),
        wide("softplus-wide", "Softplus"),
        case("sqrt-of-positive", 13, &[1, 3, 4, 4], |net| {
            let a = net.node("Relu", &["input"], &[]);
            net.node("Sqrt", &[&a], &[])
        }),
        case("log-of-softplus", 13, &[1, 9], |net| {
            let a = net.node("Softplus", &["input"], &[]);
            net.node("Log", &[&a], &[])
        }),
        case("reciprocal-above-one", 13, &[1, 9], |net| {
            let a = net.node("Exp", &["input"], &[]);
            let one = net.constant(&[], &[1.0]);
            let a = net.node("Add", &[&a, &one], &[]);
            net.node("Reciprocal", &[&a], &[])
        }),
        case("constant-over-value", 13, &[1, 3, 4, 4], |net| {
            let a = net.node("Softplus", &["input"], &[]);
            let [half, two] = [0.5, 2.0].map(|c| net.constant(&[], &[c]));
            let a = net.node("Add", &[&a, &half], &[]);
            net.node("Div", &[&two, &a], &[])
        }),
        case("sigmoid-of-input", 13, &[1, 3, 4, 5], |net| {
            let a = net.node("Sigmoid", &["input"], &[]);
            net.conv(&a, 3, 4)
        }),
        case("clip-behind-tanh", 13, &[1, 3, 4, 5], |net| {
            let a = net.node("Tanh", &["input"], &[]);
            let bounds = [-0.5, 0.75].map(|bound| net.constant(&[], &[bound]));
            let a = net.node("Clip", &[&a, &bounds[0], &bounds[1]], &[]);
            net.conv(&a, 3, 4)
        }),
    ]
}

/// x * clip(x + 3, 0, 6) / 6, divided before or after the product.
fn hard_swish(net: &mut Sketch, x: &str, divide_first: bool) -> String {
    let [zero, three, six] = [0.0, 3.0, 6.0].map(|c| net.constant(&[], &[c]));
    let gate = net.node("Add", &[x, &three], &[]);
    let gate = net.node("Clip", &[&gate, &zero, &six], &[]);
    if divide_first {
        let gate = net.node("Div", &[&gate, &six], &[]);
        net.node("Mul", &[x, &gate], &[])
    } else {
        let product = net.node("Mul", &[x, &gate], &[]);
        net.node("Div", &[&product, &six], &[])
    }
}

fn fused() -> Vec<Case> {
    vec![
        case("silu", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let gate = net.node("Sigmoid", &[&a], &[]);
            net.node("Mul", &[&a, &gate], &[])
        }),
        case("silu-of-input", 13, &[1, 3, 5, 5], |net| {
            let gate = net.node("Sigmoid", &["input"], &[]);
            let a = net.node("Mul", &[&gate, "input"], &[]);
            net.conv(&a, 3, 4)
        }),
        case("hard-swish-decomposed", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let a = hard_swish(net, &a, false);
            net.conv(&a, 5, 3)
        }),
        case("hard-swish-divided-first", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let a = hard_swish(net, &a, true);
            net.conv(&a, 5, 3)
        }),
        case("hard-swish-of-hard-sigmoid", 14, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let gate = net.node("HardSigmoid", &[&a], &[("alpha", (1.0 / 6.0).into())]);
            net.node("Mul", &[&a, &gate], &[])
        }),
        case("mish-decomposed", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let gate = net.node("Softplus", &[&a], &[]);
            let gate = net.node("Tanh", &[&gate], &[]);
            net.node("Mul", &[&a, &gate], &[])
        }),
        case("gate-read-twice", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 3);
            let gate = net.node("Sigmoid", &[&a], &[]);
            let silu = net.node("Mul", &[&a, &gate], &[]);
            let a = net.node("Concat", &[&silu, &gate], &[("axis", 1.into())]);
            net.conv(&a, 6, 3)
        }),
        case("scaled-before-tanh", 13, &[1, 3, 5, 5], |net| {
            let [half, third] = [0.5, 0.3].map(|c| net.constant(&[], &[c]));
            let a = net.node("Add", &["input", &third], &[]);
            let a = net.node("Mul", &[&a, &half], &[]);
            let a = net.node("Tanh", &[&a], &[]);
            net.node("Mul", &[&a, &third], &[])
        }),
        case("sigmoid-behind-relu", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let a = net.node("Relu", &[&a], &[]);
            net.node("Sigmoid", &[&a], &[])
        }),
        case("tanh-behind-clip-of-input", 13, &[1, 3, 5, 5], |net| {
            let a = net.node("Relu", &["input"], &[]);
            net.node("Tanh", &[&a], &[])
        }),
        case("difference-of-functions", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let tanh = net.node("Tanh", &[&a], &[]);
            let sigmoid = net.node("Sigmoid", &[&a], &[]);
            net.node("Sub", &[&tanh, &sigmoid], &[])
        }),
        case("squeeze-and-excite", 13, &[1, 3, 6, 6], |net| {
            let a = net.conv("input", 3, 6);
            let a = hard_swish(net, &a, false);
            let pooled = net.node("GlobalAveragePool", &[&a], &[]);
            let w = net.weights(&[3, 6, 1, 1]);
            let b = net.vector(&[3], 0.2);
            let squeezed = net.node("Conv", &[&pooled, &w, &b], &[]);
            let squeezed = net.node("Relu", &[&squeezed], &[]);
            let w = net.weights(&[6, 3, 1, 1]);
            let b = net.vector(&[6], 0.2);
            let gate = net.node("Conv", &[&squeezed, &w, &b], &[]);
            let gate = net.node("HardSigmoid", &[&gate], &[]);
            let a = net.node("Mul", &[&gate, &a], &[]);
            net.conv(&a, 6, 3)
        }),
    ]
}

fn slopes() -> Vec<Case> {
    let sloped = |name: &'static str, opset, input: &'static [usize], slopes: &'static [usize]| {
        case(name, opset, input, move |net| {
            let slopes = net.vector(slopes, 0.5);
            net.node("PRelu", &["input", &slopes], &[])
        })
    };
    vec![
        sloped("prelu-one-slope", 7, &[1, 4, 5, 3], &[1]),
        sloped("prelu-channels", 9, &[1, 4, 5, 3], &[4, 1, 1]),
        sloped("prelu-channels-rank-4", 16, &[1, 4, 5, 3], &[1, 4, 1, 1]),
        sloped("prelu-along-width", 16, &[1, 4, 5, 3], &[3]),
        case("prelu-behind-conv", 16, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 7);
            let slopes = net.vector(&[7, 1, 1], 0.5);
            let a = net.node("PRelu", &[&a, &slopes], &[]);
            net.conv(&a, 7, 3)
        }),
        case("prelu-rank-2", 13, &[1, 9], |net| {
            let w = net.weights(&[9, 6]);
            let a = net.node("Gemm", &["input", &w], &[]);
            let slopes = net.vector(&[6], 0.5);
            net.node("PRelu", &[&a, &slopes], &[])
        }),
    ]
}
