//! Models that are legal but unusual, and models that are not legal: what the importer makes of them.

use apq_examples::onnx::{Attribute, Dim, GraphBuilder};
use apqc::float::{Executor, Simulation};
use apqc::graph::Op;
use apqc::network::Network;

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + 13) % 257) as f32 / 128.0 - 1.0).collect()
}

fn load(builder: &GraphBuilder) -> Result<Network, String> {
    Network::load(&builder.to_bytes(), "model", None, |_, _, _| {}).map_err(|error| error.to_string())
}

/// Our executor equals tract.
fn check(network: &Network) {
    let graph = &network.graph;
    let input = values(graph.tensor(graph.input).len());
    let ours = Executor::new(graph).run(&Simulation::float(graph), &input);
    let reference = network.reference().unwrap().run(&input).unwrap();
    assert_eq!(ours.len(), reference.len());
    let difference = ours.iter().zip(&reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-4, "{difference}\n{graph}");
}

fn image(channels: usize, height: usize, width: usize) -> [Dim<'static>; 4] {
    [Dim::Symbol("N"), channels.into(), height.into(), width.into()]
}

fn one_node(input: &[Dim], op: &str, attributes: &[(&str, Attribute)]) -> GraphBuilder {
    let mut builder = GraphBuilder::new(13);
    builder.input("input", input).node(op, "node", &["input"], &["output"], attributes).output_of_any_shape("output");
    builder
}

#[test]
fn a_long_concatenation_is_joined_in_parts() {
    for count in [16, 17, 33, 300] {
        let mut builder = GraphBuilder::new(13);
        builder.input("input", &image(2, 3, 3));
        let names: Vec<String> = (0..count).map(|i| if i % 2 == 0 { "input".into() } else { "relu".into() }).collect();
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        builder.node("Relu", "r", &["input"], &["relu"], &[]);
        builder.node("Concat", "join", &inputs, &["output"], &[("axis", 1.into())]).output_of_any_shape("output");
        let network = load(&builder).unwrap();
        assert!(network.graph.nodes.iter().all(|node| node.inputs.len() <= 16));
        check(&network);
    }
}

#[test]
fn a_softmax_behind_which_only_reshapes_follow_ends_the_network() {
    let mut builder = GraphBuilder::new(13);
    builder.input("input", &image(5, 4, 4)).initializer_i64("axes", &[2], &[2, 3]);
    builder.node("GlobalAveragePool", "pool", &["input"], &["p"], &[]);
    builder.node("Softmax", "softmax", &["p"], &["s"], &[("axis", 1.into())]);
    builder.node("Squeeze", "squeeze", &["s", "axes"], &["output"], &[]).output_of_any_shape("output");
    let network = load(&builder).unwrap();
    assert!(network.graph.softmax_dropped);
    assert!(!network.graph.nodes.iter().any(|node| matches!(node.op, Op::Softmax)));
    check(&network);
}

#[test]
fn outputs_leave_channel_last_or_in_onnx_order() {
    // A constant along the height makes that axis the innermost one for a moment.
    let mut builder = GraphBuilder::new(13);
    builder.input("input", &image(3, 4, 5)).initializer("c", &[1, 1, 4, 1], &values(4));
    builder.node("Add", "add", &["input", "c"], &["output"], &[]).output_of_any_shape("output");
    let network = load(&builder).unwrap();
    assert_eq!(network.graph.tensor(network.graph.output).shape, [1, 4, 5, 3]);
    check(&network);
    // A product from the left contracts the last axis but one.
    let mut builder = GraphBuilder::new(13);
    builder.input("input", &image(3, 4, 5)).initializer("w", &[7, 4], &values(28));
    builder.node("MatMul", "product", &["w", "input"], &["output"], &[]).output_of_any_shape("output");
    let network = load(&builder).unwrap();
    assert_eq!(network.graph.tensor(network.graph.output).shape, [1, 7, 5, 3]);
    check(&network);
}

#[test]
fn names_that_repeat_are_numbered_and_values_that_repeat_are_refused() {
    let mut builder = GraphBuilder::new(13);
    builder.input("input", &image(2, 3, 3));
    builder.initializer("w", &[2, 2, 1, 1], &values(4));
    builder.node("Conv", "same", &["input", "w"], &["a"], &[]).node("Conv", "same", &["a", "w"], &["b"], &[]);
    builder.node("Conv", "", &["b", "w"], &["output"], &[]).output_of_any_shape("output");
    let network = load(&builder).unwrap();
    let names: Vec<&str> = network.graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["same", "same#2", "output"]);
    check(&network);

    builder.node("Relu", "late", &["a"], &["b"], &[]);
    let error = load(&builder).err().unwrap();
    assert!(error.contains("value \"b\" is made twice: by node \"same#2\" and by node \"late\""), "{error}");
}

#[test]
fn what_has_no_form_here_is_named() {
    let five = [Dim::Symbol("N"), 2.into(), 3.into(), 4.into(), 5.into()];
    let mut pad = GraphBuilder::new(13);
    pad.input("input", &five).initializer_i64("pads", &[10], &[0, 0, 1, 1, 1, 0, 0, 1, 1, 1]);
    pad.node("Pad", "node", &["input", "pads"], &["output"], &[]).output_of_any_shape("output");
    let mut batch = GraphBuilder::new(13);
    batch.input("input", &[4.into(), 3.into()]).node("Relu", "node", &["input"], &["output"], &[]).output_of_any_shape("output");
    let mut gemm = GraphBuilder::new(13);
    gemm.input("input", &[Dim::Symbol("N"), 2.into()]).initializer("w", &[2, 3], &values(6));
    gemm.node("Gemm", "node", &["input", "w"], &["output"], &[("alpha", f32::NAN.into())]).output_of_any_shape("output");
    let pool: [(&str, Attribute); 3] = [("kernel_shape", [2, 2].into()), ("dilations", [4, 4].into()), ("pads", [4, 4, 4, 4].into())];
    let wide: [(&str, Attribute); 2] = [("kernel_shape", [1, 1].into()), ("strides", [70000, 1].into())];
    let large: [(&str, Attribute); 2] = [("kernel_shape", [300, 300].into()), ("pads", [200, 200, 200, 200].into())];
    for (builder, expected) in [
        (pad, ["node \"node\"", "at most 4 axes"]),
        (batch, ["fixed to 4", "dynamic batch"]),
        (gemm, ["\"node\"", "alpha NaN"]),
        (one_node(&image(1, 2, 2), "MaxPool", &pool), ["node \"node\"", "nothing but padding"]),
        (one_node(&image(1, 9, 9), "MaxPool", &wide), ["node \"node\"", "at most 65535"]),
        (one_node(&image(1, 20, 20), "MaxPool", &large), ["node \"node\"", "at most twice"]),
    ] {
        let error = load(&builder).err().unwrap();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn scales_that_overflow_stay_unfolded() {
    let mut builder = GraphBuilder::new(13);
    builder.input("input", &image(2, 3, 3)).initializer("w", &[2, 2, 1, 1], &[1e30; 4]);
    for (name, value) in [("scale", 1e30), ("offset", 0.0), ("mean", 0.0), ("variance", 1.0)] {
        builder.initializer(name, &[2], &[value; 2]);
    }
    builder.node("Conv", "conv", &["input", "w"], &["c"], &[]);
    builder
        .node("BatchNormalization", "norm", &["c", "scale", "offset", "mean", "variance"], &["output"], &[])
        .output_of_any_shape("output");
    assert_eq!(load(&builder).unwrap().graph.nodes.len(), 2);
}

#[test]
fn an_average_of_too_many_codes_has_no_wide_candidate() {
    let network = load(&one_node(&image(1, 256, 256), "GlobalAveragePool", &[])).unwrap();
    let target = apq_targets::Target::builtin("host").unwrap();
    let grouping = network.group(&target, target.candidates()).unwrap();
    assert!(grouping.groups[0].candidates.iter().all(|candidate| candidate.activation_bits == 8));
}

#[test]
fn padding_that_a_max_pool_ignores_becomes_its_own() {
    for (value, folds) in [(f32::NEG_INFINITY, true), (f32::MIN, true), (0.0, false)] {
        let mut builder = GraphBuilder::new(13);
        builder.input("input", &image(2, 5, 5)).initializer_i64("pads", &[8], &[0, 0, 1, 1, 0, 0, 1, 1]).initializer("v", &[], &[value]);
        builder.node("Pad", "pad", &["input", "pads", "v"], &["p"], &[]);
        let pool: [(&str, Attribute); 2] = [("kernel_shape", [3, 3].into()), ("strides", [2, 2].into())];
        builder.node("MaxPool", "pool", &["p"], &["output"], &pool).output_of_any_shape("output");
        let network = load(&builder).unwrap();
        assert_eq!(network.graph.nodes.len(), if folds { 1 } else { 2 });
        check(&network);
    }
}

#[test]
fn a_function_of_one_tensor_is_one_table() {
    // x * clip(x + 3, 0, 6) / 6 behind a convolution, its gate read by another operator too.
    let mut builder = GraphBuilder::new(13);
    builder.input("input", &image(2, 4, 4)).initializer("w", &[3, 2, 1, 1], &values(6));
    for (name, value) in [("zero", 0.0), ("three", 3.0), ("six", 6.0)] {
        builder.initializer(name, &[], &[value]);
    }
    builder.node("Conv", "conv", &["input", "w"], &["x"], &[]);
    builder.node("Add", "shift", &["x", "three"], &["shifted"], &[]).node("Clip", "clip", &["shifted", "zero", "six"], &["gate"], &[]);
    builder.node("Mul", "product", &["x", "gate"], &["scaled"], &[]).node("Div", "sixth", &["scaled", "six"], &["swish"], &[]);
    builder.node("Concat", "join", &["swish", "gate"], &["output"], &[("axis", 1.into())]).output_of_any_shape("output");
    let network = load(&builder).unwrap();
    let tables: Vec<String> = network
        .graph
        .nodes
        .iter()
        .filter_map(|node| match &node.op {
            Op::Table { function } => Some(function.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(tables.len(), 1, "{}", network.graph);
    assert!(!network.graph.nodes.iter().any(|node| node.op == Op::Mul), "{}", network.graph);
    check(&network);
}

#[test]
fn products_without_end_stay_products() {
    // Each product is a function of the one before: far more steps than a table takes, and exponentially many terms.
    let mut builder = GraphBuilder::new(13);
    builder.input("input", &[Dim::Symbol("N"), 4.into()]);
    let mut value = "input".to_owned();
    for step in 0..60 {
        let (gate, next) = (format!("g{step}"), format!("x{step}"));
        builder.node("Sigmoid", &gate, &[&value], &[&gate], &[]).node("Mul", &next, &[&value, &gate], &[&next], &[]);
        value = next;
    }
    builder.node("Identity", "last", &[&value], &["output"], &[]).output_of_any_shape("output");
    let network = load(&builder).unwrap();
    assert!(network.graph.nodes.len() > 3 && network.graph.to_string().len() < 1 << 20, "{}", network.graph.nodes.len());
    check(&network);
}
