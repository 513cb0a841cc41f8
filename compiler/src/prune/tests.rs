//! Every way in which operators couple channels, on small networks whose weights and inputs are small whole numbers: sums are then exact in any order,
//! and the pruned network must equal the zeroed one bit for bit.

use apq_onnx::{Attribute, Dim, GraphBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::checker::{Fault, check};
use super::classes::Kept;
use super::sets::{ChannelSet, Prunable};
use super::slice::{Sliced, sliced};
use crate::evaluate::sqnr_db;
use crate::float::{Executor, Simulation};
use crate::graph::Graph;
use crate::network::Network;
use crate::quant::rounding::refitted;

const SIDE: usize = 4;

/// A network under construction over `[N, channels, SIDE, SIDE]`.
struct Builder {
    graph: GraphBuilder,
    random: ChaCha8Rng,
}

impl Builder {
    fn new(channels: usize) -> Builder {
        let mut graph = GraphBuilder::new(13);
        graph.input("input", &[Dim::Symbol("N"), channels.into(), SIDE.into(), SIDE.into()]);
        Builder { graph, random: ChaCha8Rng::seed_from_u64(7) }
    }

    fn whole(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random.random_range(-2..=2) as f32).collect()
    }

    /// A convolution with a bias: `[inputs, outputs, kernel, stride, groups]`.
    fn conv(&mut self, name: &str, input: &str, [inputs, outputs, kernel, stride, groups]: [usize; 5]) -> &mut Self {
        let weights = self.whole(outputs * inputs / groups * kernel * kernel);
        let bias = self.whole(outputs);
        let names = [format!("{name}.w"), format!("{name}.b")];
        self.graph.initializer(&names[0], &[outputs, inputs / groups, kernel, kernel], &weights).initializer(&names[1], &[outputs], &bias);
        let pad = (kernel / 2) as i64;
        let attributes = [("pads", [pad; 4].into()), ("strides", [stride as i64; 2].into()), ("group", Attribute::from(groups as i64))];
        self.graph.node("Conv", name, &[input, &names[0], &names[1]], &[name], &attributes);
        self
    }

    fn node(&mut self, op: &str, name: &str, inputs: &[&str]) -> &mut Self {
        self.graph.node(op, name, inputs, &[name], &[]);
        self
    }

    fn dense(&mut self, name: &str, input: &str, inputs: usize, outputs: usize) -> &mut Self {
        let (weights, bias) = (self.whole(inputs * outputs), self.whole(outputs));
        let names = [format!("{name}.w"), format!("{name}.b")];
        self.graph.initializer(&names[0], &[outputs, inputs], &weights).initializer(&names[1], &[outputs], &bias);
        self.graph.node("Gemm", name, &[input, &names[0], &names[1]], &[name], &[("transB", 1.into())]);
        self
    }

    /// Global pool, flatten and a classifier, which end the network.
    fn head(&mut self, input: &str, channels: usize) -> Graph {
        self.node("GlobalAveragePool", "pool", &[input]).node("Flatten", "flatten", &["pool"]).dense("classifier", "flatten", channels, 3);
        self.end("classifier")
    }

    fn end(&mut self, output: &str) -> Graph {
        self.graph.node("Identity", "end", &[output], &["output"], &[]);
        self.graph.output_of_any_shape("output");
        let network = Network::load(&self.graph.to_bytes(), "test", None, |_, _, _| {});
        network.unwrap_or_else(|error| panic!("{error}")).graph
    }
}

fn inputs(graph: &Graph, count: usize) -> Vec<Vec<f32>> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let len = graph.tensor(graph.input).len();
    (0..count).map(|_| (0..len).map(|_| random.random_range(-2..=2) as f32).collect()).collect()
}

fn at(graph: &Graph, prunable: &Prunable, widths: &[usize]) -> Sliced {
    sliced(graph, &prunable.classes, &prunable.gone(widths)).unwrap_or_else(|error| panic!("{error}\n{graph}"))
}

/// The sets as `name width` or `name width: why`.
fn described(prunable: &Prunable) -> Vec<String> {
    let why = |set: &ChannelSet| set.kept.as_ref().map_or_else(String::new, |kept| format!(": {kept}"));
    prunable.sets.iter().map(|set| format!("{} {}{}", set.name, set.width(), why(set))).collect()
}

/// Checks the sets, and that every set pruned to every width, alone and all together, gives the zeroed network exactly.
fn expect(graph: &Graph, sets: &[&str]) -> Prunable {
    let prunable = Prunable::new(graph);
    assert_eq!(described(&prunable), sets, "{graph}");
    let full = prunable.widths();
    let mut designs = vec![full.clone(), prunable.sets.iter().map(|set| set.widths().last().copied().unwrap_or(0)).collect()];
    for set in 0..full.len() {
        designs.extend(prunable.sets[set].widths().into_iter().map(|width| {
            let mut widths = full.clone();
            widths[set] = width;
            widths
        }));
    }
    for widths in designs {
        let pruned = at(graph, &prunable, &widths);
        for input in inputs(graph, 2) {
            let difference = check(graph, &pruned.graph, &pruned.left, &input);
            assert_eq!(difference, Ok(0.0), "{widths:?}\n{graph}\n{}", pruned.graph);
        }
        assert_eq!(widths == full, pruned.graph == *graph);
        assert_eq!(widths == full, pruned.graph.total_macs() == graph.total_macs(), "{widths:?}");
    }
    prunable
}

#[test]
fn a_chain_of_convolutions() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 20, 3, 1, 1]).node("Relu", "r", &["a"]).conv("b", "r", [20, 32, 3, 2, 1]);
    let graph = net.head("b", 32);
    let prunable = expect(&graph, &["a 20", "b 32", "classifier 3: reaches the network's output"]);
    assert_eq!(prunable.sets[0].widths(), [20, 16, 8]);
    assert_eq!(prunable.sets[1].widths(), [32, 24, 16, 8]);
}

#[test]
fn sums_tie_what_they_add() {
    let mut net = Builder::new(3);
    net.conv("stem", "input", [3, 16, 3, 1, 1]).node("Relu", "r", &["stem"]);
    net.conv("a", "r", [16, 24, 3, 1, 1]).node("Relu", "ra", &["a"]).conv("b", "ra", [24, 16, 3, 1, 1]);
    net.node("Add", "sum", &["b", "r"]).node("Relu", "rs", &["sum"]);
    let graph = net.head("rs", 16);
    let prunable = expect(&graph, &["stem 16", "a 24", "classifier 3: reaches the network's output"]);
    assert_eq!(prunable.sets[0].makers.len(), 2);
    assert_eq!(prunable.sets[0].readers.len(), 2);
}

#[test]
fn depthwise_layers_and_operators_on_each_channel_hand_on() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 16, 1, 1, 1]).node("Sigmoid", "s", &["a"]).conv("d", "s", [16, 16, 3, 1, 16]);
    net.graph.initializer("slopes", &[16, 1, 1], &[0.5; 16]);
    net.node("PRelu", "p", &["d", "slopes"]).conv("m", "p", [16, 32, 3, 1, 16]);
    net.graph.node("MaxPool", "max", &["m"], &["max"], &[("kernel_shape", [2, 2].into())]);
    net.conv("b", "max", [32, 16, 1, 1, 1]);
    let graph = net.head("b", 16);
    // A multiplier of 2: each channel of `a` takes two of `m` with it.
    let sets = expect_near(&graph, &["a 16", "b 16", "classifier 3: reaches the network's output"]);
    let pruned = at(&graph, &sets, &[8, 16, 3]);
    assert_eq!(pruned.graph.nodes.iter().filter(|node| node.op.name() == "depthwise").count(), 2);
}

/// As [`expect`], for networks with functions that are not exact.
fn expect_near(graph: &Graph, sets: &[&str]) -> Prunable {
    let prunable = Prunable::new(graph);
    assert_eq!(described(&prunable), sets, "{graph}");
    let widths: Vec<usize> = prunable.sets.iter().map(|set| set.widths().last().copied().unwrap_or(0)).collect();
    let pruned = at(graph, &prunable, &widths);
    for input in inputs(graph, 2) {
        check(graph, &pruned.graph, &pruned.left, &input).unwrap_or_else(|fault| panic!("{fault}"));
    }
    prunable
}

#[test]
fn concatenated_channels_are_sets_of_their_own() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 16, 1, 1, 1]).conv("b", "input", [3, 24, 1, 1, 1]);
    net.graph.node("Concat", "joined", &["a", "b"], &["joined"], &[("axis", 1.into())]);
    net.conv("c", "joined", [40, 16, 1, 1, 1]);
    let graph = net.head("c", 16);
    expect(&graph, &["a 16", "b 24", "c 16", "classifier 3: reaches the network's output"]);
}

#[test]
fn slices_take_their_part_of_a_set() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 48, 1, 1, 1]);
    for (name, range) in [("s", [0, 16, 1]), ("t", [16, 48, 1])] {
        let names = ["starts", "ends", "axes"].map(|part| format!("{name}.{part}"));
        for (name, value) in names.iter().zip(range) {
            net.graph.initializer_i64(name, &[1], &[value]);
        }
        let inputs = [&names[0], &names[1], &names[2]].map(String::as_str);
        net.graph.node("Slice", name, &["a", inputs[0], inputs[1], inputs[2]], &[name], &[]);
    }
    net.conv("c", "s", [16, 32, 1, 1, 1]).node("Mul", "product", &["c", "t"]);
    let graph = net.head("product", 32);
    // The second slice is tied to `c`; the first is not.
    expect(&graph, &["a 16", "a 32", "classifier 3: reaches the network's output"]);
}

#[test]
fn a_map_that_is_flattened_takes_all_pixels_of_a_channel_along() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 16, 3, 1, 1]).node("Flatten", "flat", &["a"]).dense("hidden", "flat", 16 * SIDE * SIDE, 24);
    net.node("Relu", "r", &["hidden"]).dense("last", "r", 24, 3);
    let graph = net.end("last");
    expect(&graph, &["a 16", "hidden 24", "last 3: reaches the network's output"]);
}

#[test]
fn gates_are_tied_to_what_they_gate() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 32, 1, 1, 1]).node("GlobalAveragePool", "squeeze", &["a"]);
    net.conv("reduce", "squeeze", [32, 16, 1, 1, 1]).node("Relu", "r", &["reduce"]).conv("expand", "r", [16, 32, 1, 1, 1]);
    net.node("HardSigmoid", "gate", &["expand"]).node("Mul", "gated", &["a", "gate"]).conv("b", "gated", [32, 16, 1, 1, 1]);
    let graph = net.head("b", 16);
    expect_near(&graph, &["a 32", "reduce 16", "b 16", "classifier 3: reaches the network's output"]);
}

#[test]
fn padded_channels_go_with_those_that_they_are_added_to() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 16, 1, 1, 1]).conv("b", "a", [16, 48, 1, 1, 1]);
    net.graph.initializer_i64("pads", &[8], &[0, 16, 0, 0, 0, 16, 0, 0]);
    net.node("Pad", "padded", &["a", "pads"]).node("Add", "sum", &["b", "padded"]);
    let graph = net.head("sum", 48);
    expect(&graph, &["a 16", "b 32", "classifier 3: reaches the network's output"]);
}

#[test]
fn what_is_not_understood_stays() {
    let mut net = Builder::new(4);
    net.conv("a", "input", [4, 32, 1, 1, 1]).conv("g", "a", [32, 32, 1, 1, 4]).conv("c", "g", [32, 16, 1, 1, 1]);
    let graph = net.head("c", 16);
    let grouped = "node \"g\" is a convolution in groups of several channels";
    expect(&graph, &[&format!("a 32: {grouped}"), &format!("g 32: {grouped}"), "c 16", "classifier 3: reaches the network's output"]);
    let mut net = Builder::new(4);
    net.conv("a", "input", [4, 16, 1, 1, 1]);
    net.graph.node("Softmax", "soft", &["a"], &["soft"], &[("axis", 1.into())]);
    net.conv("b", "soft", [16, 8, 1, 1, 1]);
    let graph = net.head("b", 8);
    let prunable = Prunable::new(&graph);
    assert!(matches!(&prunable.sets[0].kept, Some(Kept::Operator { does, .. }) if does.contains("softmax")), "{:?}", described(&prunable));
    assert_eq!(prunable.sets[1].kept, Some(Kept::Narrow));
    let mut net = Builder::new(4);
    net.conv("a", "input", [4, 16, 1, 1, 1]).node("Relu", "r", &["a"]);
    let graph = net.end("r");
    assert_eq!(described(&Prunable::new(&graph)), ["a 16: reaches the network's output"]);
}

#[test]
fn the_checker_sees_wrong_weights_and_wrong_positions() {
    let mut net = Builder::new(3);
    net.conv("a", "input", [3, 16, 1, 1, 1]).conv("b", "a", [16, 16, 1, 1, 1]).node("Add", "sum", &["a", "b"]);
    let graph = net.head("sum", 16);
    let prunable = Prunable::new(&graph);
    let pruned = at(&graph, &prunable, &[8, 3]);
    let input = &inputs(&graph, 1)[0];
    assert_eq!(check(&graph, &pruned.graph, &pruned.left, input), Ok(0.0));
    let mut other = pruned.graph.clone();
    let weights = other.nodes[1].op.weights_mut().expect("a convolution");
    weights.values = weights.values.iter().rev().copied().collect();
    assert!(matches!(check(&graph, &other, &pruned.left, input), Err(Fault { at, .. }) if at.contains('b')));
    // `a` without other channels than `b`: the sum would add strangers.
    let mut left = pruned.left.clone();
    let tensor = graph.nodes[0].output.0;
    left[tensor] = (0..16).filter(|place| !left[tensor].contains(place)).collect();
    assert!(check(&graph, &pruned.graph, &left, input).is_err());
    let mut narrower = pruned.left.clone();
    narrower[tensor].pop();
    assert!(check(&graph, &pruned.graph, &narrower, input).is_err());
}

#[test]
fn least_squares_make_up_for_channels_that_others_know() {
    // Sixteen channels that are eight twice: half of them can go without a loss, but only if the rest takes over.
    let mut net = Builder::new(3);
    let half = net.whole(8 * 3 * 9);
    net.graph.initializer("w", &[16, 3, 3, 3], &[half.clone(), half].concat());
    net.graph.node("Conv", "a", &["input", "w"], &["a"], &[("pads", [1; 4].into())]);
    net.node("Relu", "r", &["a"]).conv("b", "r", [16, 32, 3, 1, 1]).node("Relu", "rb", &["b"]);
    let graph = net.head("rb", 32);
    let prunable = Prunable::new(&graph);
    // One of each pair.
    let mut gone = vec![false; prunable.classes.count];
    prunable.classes.of_tensor[graph.nodes[0].output.0].iter().take(8).for_each(|class| gone[*class] = true);
    let pruned = sliced(&graph, &prunable.classes, &gone).expect("consistent");
    let samples = inputs(&graph, 64);
    let executor = Executor::new(&graph);
    let outputs = |graph: &Graph| -> Vec<Vec<f32>> {
        let executor = Executor::new(graph);
        samples.iter().map(|sample| executor.run(&Simulation::float(graph), sample)).collect()
    };
    let reference = outputs(&graph);
    let fitted = refitted(&executor, (&pruned.graph, &pruned.left), &samples, 0.1, || ());
    let worth = |graph: &Graph| sqnr_db(&reference, &outputs(graph)).expect("finite");
    let (before, after) = (worth(&pruned.graph), worth(&fitted));
    assert!(before < 10.0 && after > 30.0, "{before} dB, {after} dB");
    // Nothing gone, nothing changed.
    let whole = at(&graph, &prunable, &prunable.widths());
    assert_eq!(refitted(&executor, (&whole.graph, &whole.left), &samples, 0.1, || ()), graph);
}
