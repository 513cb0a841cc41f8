//! Memory: plans against bounds, and networks in less memory against themselves.

use apq_examples::mobilenet::{MACS, Norms, SIZE, visual_wake_words};
use apq_runtime::build::{ModelSpec, OperatorSpec, RawType};
use apq_runtime::{Arithmetic, Model};
use apq_targets::Target;
use apq_tests::bound::{self, scratch, tensor_bytes};
use apq_tests::compiled::{Prepared, lowered, trace};
use apq_tests::data::{self, AUTOENCODER, DSCNN, RESNET8};
use apq_tests::{arena, random};
use apqc::data::Preprocess;
use apqc::lower::{Lowered, MemoryGoal, RawInput, lower};
use apqc::network::Network;
use apqc::plan::{Buffer, Effort, plan};
use apqc::quant::QuantizedNetwork;
use apqc::quant::ranges::RangeRule;

fn network(name: &str, bytes: &[u8]) -> Network {
    Network::load(bytes, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn wake_words() -> Network {
    network("vww", &visual_wake_words(0, Norms::Separate))
}

fn textures() -> Network {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/textures/textures.onnx");
    network("textures", &std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// The four networks of MLPerf Tiny, as far as their files are here.
fn tiny() -> Vec<Network> {
    let mut networks = vec![wake_words()];
    if let Some(folder) = data::folder() {
        networks.extend([RESNET8, DSCNN, AUTOENCODER].map(|model| model.load(&folder)));
    }
    networks
}

/// A processor with DSP instructions: weights in pairs, depthwise ones row by row.
const DSP: &str = r#"
name = "dsp"
description = "Products of two halves"
clock_hz = 180000000
cost = "bops"
candidates = ["w4a4", "w8a8", "w8a16"]

[[kernels]]
operators = ["conv", "fully_connected"]
weight_bits = [2, 4, 6, 8]
activation_bits = [2, 4, 6, 8, 16]
arrangement = "pairs"

[[kernels]]
operators = ["depthwise"]
weight_bits = [2, 4, 6, 8]
activation_bits = [2, 4, 6, 8, 16]
arrangement = "row-major"

[[kernels]]
operators = ["add", "mul", "average_pool", "max_pool", "requantize", "table", "softmax"]
activation_bits = [2, 4, 6, 8, 16]
arrangement = "row-major"
"#;

/// Does something with a network at uniform widths, its ranges from random samples.
fn quantized<T>(network: &Network, candidate: &str, act: impl FnOnce(&QuantizedNetwork<'_>) -> T) -> T {
    let target = Target::from_toml(DSP).unwrap_or_else(|error| panic!("{error}"));
    let samples = random::samples(&network.graph.name, network.sample_shape().iter().product(), 2);
    let candidates = [candidate.parse().expect("a candidate")];
    let prepared = Prepared::new(network, &target, &candidates, &samples, RangeRule::MinMax).unwrap_or_else(|error| panic!("{error}"));
    let mut quantized = prepared.widest();
    quantized.layout = Some(&target);
    act(&quantized)
}

fn within(network: &QuantizedNetwork<'_>, arena_bytes_max: usize) -> Lowered {
    let channels = network.graph.tensor(network.graph.input).channels();
    let input = RawInput { raw: RawType::F32, preprocess: Preprocess::identity(channels) };
    let goal = MemoryGoal { effort: Effort::default(), arena_bytes_max: Some(arena_bytes_max) };
    lower(network, &input, goal).unwrap_or_else(|error| panic!("{}: {error}", network.graph.name))
}

#[test]
fn the_wake_word_network_is_imported_and_folding_changes_nothing() {
    let (separate, folded) = (wake_words(), network("vww", &visual_wake_words(0, Norms::Folded)));
    assert_eq!((separate.macs, folded.macs), (MACS, MACS));
    assert_eq!(separate.sample_shape(), [SIZE, SIZE, 3]);
    for sample in random::samples("vww", SIZE * SIZE * 3, 2) {
        let run = |network: &Network| {
            network.reference().unwrap_or_else(|error| panic!("{error}")).run(&sample).unwrap_or_else(|error| panic!("{error}"))
        };
        let (a, b) = (run(&separate), run(&folded));
        let largest = a.iter().fold(0f32, |largest, v| largest.max(v.abs()));
        assert!(largest > 1e-3, "{a:?}");
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-4 * largest), "{a:?} {b:?}");
    }
}

/// Lifetimes of tensors and working memory by the order of the nodes.
fn buffers(spec: &ModelSpec) -> Vec<Buffer> {
    let root = |tensor: usize| spec.tensors[tensor].alias.unwrap_or(tensor);
    let mut buffers = Vec::new();
    for tensor in (0..spec.tensors.len()).filter(|tensor| root(*tensor) == *tensor) {
        let touched = |node: &usize| {
            let node = &spec.nodes[*node];
            root(node.output) == tensor || node.inputs.iter().any(|input| root(*input) == tensor)
        };
        let mut steps: Vec<usize> = (0..spec.nodes.len()).filter(touched).map(|node| node + 1).collect();
        steps.extend((root(spec.input.tensor) == tensor).then_some(0));
        steps.extend((root(spec.output.tensor) == tensor).then_some(spec.nodes.len() + 1));
        let (Some(&first), Some(&last)) = (steps.iter().min(), steps.iter().max()) else { continue };
        buffers.push(Buffer { bytes: tensor_bytes(spec, tensor), align: 16, first, last });
    }
    let working = (0..spec.nodes.len()).map(|node| Buffer { bytes: scratch(spec, node), align: 16, first: node + 1, last: node + 1 });
    buffers.extend(working.filter(|buffer| buffer.bytes > 0));
    buffers
}

/// With tensors apart from each other the planner meets a bound that holds for every plan and every order of the nodes; outputs over inputs go below it, and
/// working memory is in both figures.
#[test]
fn plans_of_the_tiny_networks_are_optimal() {
    for network in tiny() {
        let name = network.graph.name.clone();
        quantized(&network, "w8a8", |quantized| {
            let lowered = lowered(quantized);
            let bound = bound::apart(&lowered.spec);
            let apart = plan(&buffers(&lowered.spec), &[], Effort::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
            // The bound counts bytes, plans count in sixteens: the topmost buffer alone may end anywhere.
            assert!(apart.optimal && (bound..bound + 4 * 16).contains(&apart.arena_bytes), "{name}: {} for {bound}", apart.arena_bytes);
            println!("{name}: {} apart (bound {bound}), {} in the file", apart.arena_bytes, lowered.spec.arena_bytes);
            assert!(lowered.spec.arena_bytes <= apart.arena_bytes, "{name}");
            let model = Model::new_checked(&lowered.file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(arena::check(&model), Ok(()), "{name}");
        });
    }
}

/// Bytes of arena at 8-bit weights and activations.
#[test]
fn arenas_of_the_tiny_networks() {
    for (network, most) in tiny().iter().map(|network| (network, most(&network.graph.name))) {
        quantized(network, "w8a8", |quantized| {
            let arena_bytes = lowered(quantized).spec.arena_bytes;
            assert!(arena_bytes <= most, "{}: {arena_bytes} of {most}", network.graph.name);
        });
    }
}

fn most(name: &str) -> usize {
    match name {
        "vww" => 57_344,
        name if name == RESNET8.name => 51_200,
        name if name == DSCNN.name => 18_048,
        name if name == AUTOENCODER.name => 1280,
        other => panic!("{other}"),
    }
}

/// Every limit down to nothing gives the same codes, by the fast kernels and by the obvious ones.
#[test]
fn less_memory_gives_the_same_codes() {
    let mut networks = vec![textures(), wake_words()];
    networks.extend(data::folder().map(|folder| RESNET8.load(&folder)));
    for network in networks {
        let name = network.graph.name.clone();
        for candidate in if name == "textures" { ["w8a8", "w4a4", "w8a16"].as_slice() } else { &["w8a8"] } {
            quantized(&network, candidate, |quantized| {
                let input = random::samples("codes", network.sample_shape().iter().product(), 1).remove(0);
                let run = |lowered: &Lowered, arithmetic| {
                    let model = Model::new_checked(&lowered.file).unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert_eq!(arena::check(&model), Ok(()), "{name}");
                    trace(&model, arithmetic, &input).output
                };
                let plain = lowered(quantized);
                let expected = run(&plain, Arithmetic::Native);
                let mut before = plain.spec.arena_bytes;
                for percent in [80, 60, 40, 0] {
                    let limit = plain.spec.arena_bytes * percent / 100;
                    let less = within(quantized, limit);
                    let arena_bytes = less.spec.arena_bytes;
                    assert_eq!(run(&less, Arithmetic::Native), expected, "{name} {candidate} within {limit}");
                    if percent == 60 {
                        assert_eq!(run(&less, Arithmetic::Reference), expected, "{name} {candidate} within {limit}");
                    }
                    assert!(arena_bytes <= before, "{name} {candidate}: {arena_bytes} after {before}");
                    println!("{name} {candidate}: {arena_bytes} bytes for {limit}, {} bytes of file, {:?}", less.file.len(), less.streamed);
                    before = arena_bytes;
                    let weights = |lowered: &Lowered| lowered.weights_bytes;
                    assert_eq!(weights(&less), weights(&plain));
                }
                assert!(before < plain.spec.arena_bytes * 9 / 10, "{name} {candidate}: {before} of {}", plain.spec.arena_bytes);
            });
        }
    }
}

/// Of streamed layers every row of the output is computed once.
#[test]
fn streaming_computes_nothing_twice() {
    let network = wake_words();
    quantized(&network, "w8a8", |quantized| {
        let least = within(quantized, 0);
        assert!(!least.streamed.is_empty());
        let macs = |spec: &ModelSpec| -> u64 {
            let of = |node: &apq_runtime::build::NodeSpec| {
                let (OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted }) = &node.operator else { return 0 };
                let outputs: usize = spec.tensors[node.output].shape.iter().product();
                let row_len = match &node.operator {
                    OperatorSpec::Conv { window, groups, .. } => {
                        let inputs = spec.tensors[node.inputs[0]].shape[3];
                        usize::from(window.kernel[0]) * usize::from(window.kernel[1]) * inputs / groups
                    }
                    _ => spec.tensors[node.inputs[0]].shape[1],
                };
                assert!(!weighted.weights.is_empty());
                (outputs * row_len) as u64
            };
            spec.nodes.iter().map(of).sum()
        };
        assert_eq!(macs(&least.spec), MACS);
        let moved: usize = least.streamed.iter().map(|stretch| stretch.moved_bytes).sum();
        let copies = least.spec.nodes.iter().filter(|node| matches!(node.operator, OperatorSpec::Reshape));
        let copied: usize = copies.map(|node| tensor_bytes(&least.spec, node.output)).sum();
        assert_eq!(moved, copied);
    });
}
