//! Sub, Mul and Div, and Add where one side is a row of channels.

use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    [constants(), values()].into_iter().flatten().collect()
}

fn constants() -> Vec<Case> {
    let constant = |name: &'static str, opset, op: &'static str, shape: &'static [usize], first: bool| {
        case(name, opset, &[1, 4, 5, 3], move |net| {
            let values: Vec<f32> = net.values(shape.iter().product(), 1.0).into_iter().map(|v| v.signum() * (0.4 + v.abs())).collect();
            let c = net.constant(shape, &values);
            let order = if first { [c.as_str(), "input"] } else { ["input", c.as_str()] };
            let a = net.node(op, &order, &[]);
            net.node("Relu", &[&a], &[])
        })
    };
    vec![
        constant("sub-scalar", 7, "Sub", &[], false),
        constant("sub-from-scalar", 13, "Sub", &[1], true),
        constant("sub-channels", 13, "Sub", &[1, 4, 1, 1], false),
        constant("sub-from-channels", 14, "Sub", &[4, 1, 1], true),
        constant("mul-scalar", 7, "Mul", &[], true),
        constant("mul-channels", 13, "Mul", &[1, 4, 1, 1], false),
        constant("mul-along-width", 14, "Mul", &[3], false),
        constant("div-scalar", 7, "Div", &[], false),
        constant("div-channels", 13, "Div", &[4, 1, 1], false),
        case("mean-and-deviation-of-input", 13, &[1, 3, 6, 5], |net| {
            let mean = net.constant(&[1, 3, 1, 1], &[0.1, -0.2, 0.3]);
            let deviation = net.constant(&[1, 3, 1, 1], &[0.9, 1.1, 0.8]);
            let a = net.node("Sub", &["input", &mean], &[]);
            let a = net.node("Div", &[&a, &deviation], &[]);
            net.conv(&a, 3, 4)
        }),
        case("scale-behind-conv", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            let c = net.constant(&[], &[0.125]);
            let a = net.node("Mul", &[&c, &a], &[]);
            net.node("Sub", &[&a, &c], &[])
        }),
    ]
}

fn values() -> Vec<Case> {
    let two = |name: &'static str, op: &'static str| {
        case(name, 13, &[1, 3, 5, 5], move |net| {
            let a = net.conv("input", 3, 5);
            let b = net.conv("input", 3, 5);
            let a = net.node(op, &[&a, &b], &[]);
            net.node("Relu", &[&a], &[])
        })
    };
    let row = |name: &'static str, op: &'static str, first: bool| {
        case(name, 13, &[1, 4, 5, 3], move |net| {
            let a = net.conv("input", 4, 5);
            let pooled = net.node("GlobalAveragePool", &[&a], &[]);
            let order = if first { [&pooled, &a] } else { [&a, &pooled] };
            net.node(op, &[order[0], order[1]], &[])
        })
    };
    vec![
        two("sub", "Sub"),
        two("mul", "Mul"),
        row("add-row", "Add", false),
        row("sub-row", "Sub", false),
        row("mul-row", "Mul", false),
        row("mul-row-first", "Mul", true),
        case("mul-square", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 4);
            net.node("Mul", &[&a, &a], &[])
        }),
        case("sub-scales-apart", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 5);
            let w = net.vector(&[5, 3, 1, 1], 40.0);
            let b = net.node("Conv", &["input", &w], &[]);
            net.node("Sub", &[&a, &b], &[])
        }),
        case("mul-rank-2", 11, &[1, 9], |net| {
            let w = net.weights(&[9, 9]);
            let a = net.node("Gemm", &["input", &w, ""], &[]);
            net.node("Mul", &["input", &a], &[])
        }),
        case("mul-lower-rank", 13, &[1, 5, 6], |net| {
            let shape = net.integers(&[1, 6]);
            let w = net.weights(&[1, 5]);
            let a = net.node("MatMul", &[&w, "input"], &[]);
            let a = net.node("Reshape", &[&a, &shape], &[]);
            net.node("Mul", &["input", &a], &[])
        }),
        case("mul-along-width-of-values", 13, &[1, 4, 5, 3], |net| {
            let perm: &[i64] = &[0, 3, 2, 1];
            let a = net.node("Transpose", &["input"], &[("perm", perm.into())]);
            let a = net.node("GlobalAveragePool", &[&a], &[]);
            let a = net.node("Transpose", &[&a], &[("perm", perm.into())]);
            net.node("Mul", &["input", &a], &[])
        }),
        case("mul-one-channel", 13, &[1, 3, 5, 5], |net| {
            let a = net.conv("input", 3, 1);
            let pooled = net.node("GlobalMaxPool", &[&a], &[]);
            net.node("Mul", &[&a, &pooled], &[])
        }),
        case("mul-of-branches-transposed", 13, &[1, 4, 5, 5], |net| {
            let a = net.conv("input", 4, 4);
            let b = net.node("Transpose", &["input"], &[("perm", [0, 1, 3, 2].into())]);
            net.node("Mul", &[&a, &b], &[])
        }),
    ]
}
