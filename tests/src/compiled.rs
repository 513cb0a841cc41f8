//! A network quantized and lowered by the compiler's parts, and its runs with every intermediate tensor kept.

use apq_lut::Candidate;
use apq_runtime::build::{AlignedBytes, RawType};
use apq_runtime::{Arithmetic, Model, Node, Observer, Session, TensorView};
use apq_targets::Target;
use apqc::data::Preprocess;
use apqc::float::Executor;
use apqc::graph::Graph;
use apqc::lower::{Lowered, RawInput, lower};
use apqc::network::{Network, NetworkError};
use apqc::plan::Effort;
use apqc::quant::QuantizedNetwork;
use apqc::quant::bank::{Bank, nearest};
use apqc::quant::calibration::Calibration;
use apqc::quant::groups::Grouping;
use apqc::quant::ranges::RangeRule;

/// Groups and quantizers of a network, ready for any assignment.
pub struct Prepared<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// Its groups.
    pub grouping: Grouping,
    /// Its quantizers.
    pub bank: Bank,
}

/// Bits of every network's output in these tests.
pub const OUTPUT_BITS: u8 = 8;

impl<'a> Prepared<'a> {
    /// Groups for `target` at `candidates`, quantizers from `samples` as the network stores its input.
    pub fn new(
        network: &'a Network,
        target: &Target,
        candidates: &[Candidate],
        samples: &[Vec<f32>],
        rule: RangeRule,
    ) -> Result<Self, NetworkError> {
        let graph = &network.graph;
        let grouping = network.group(target, candidates)?;
        let executor = Executor::new(graph);
        let calibration = Calibration::new(&executor, samples, || {});
        let bank = Bank::new(graph, &grouping, OUTPUT_BITS, nearest(graph, &grouping, rule), |tensor, bits| {
            calibration.quantizer(tensor, bits, rule)
        });
        Ok(Prepared { graph, grouping, bank })
    }

    /// The network with that width for each group.
    pub fn assigned(&self, assignment: Vec<Candidate>) -> QuantizedNetwork<'_> {
        QuantizedNetwork::new(self.graph, &self.grouping, &self.bank, assignment, OUTPUT_BITS)
    }

    /// The network with the widest candidate in each group.
    pub fn widest(&self) -> QuantizedNetwork<'_> {
        let widest = |candidates: &[Candidate]| candidates.iter().copied().max_by_key(|candidate| candidate.product());
        self.assigned(self.grouping.groups.iter().filter_map(|group| widest(&group.candidates)).collect())
    }
}

/// Lowers a network whose caller has real values that need no preprocessing.
pub fn lowered(network: &QuantizedNetwork<'_>) -> Lowered {
    let channels = network.graph.tensor(network.graph.input).channels();
    let input = RawInput { raw: RawType::F32, preprocess: Preprocess::identity(channels) };
    lower(network, &input, Effort::default()).unwrap_or_else(|error| panic!("{}: {error}", network.graph.name))
}

/// What the nodes of one run wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Codes of the network's input.
    pub input: Vec<i32>,
    /// Codes of each node's output, in the file's order.
    pub nodes: Vec<Vec<i32>>,
    /// Packed bytes of each node's output.
    pub bytes: Vec<Vec<u8>>,
    /// Packed bytes of the network's output.
    pub output: Vec<u8>,
}

#[derive(Default)]
struct Recorder {
    nodes: Vec<Vec<i32>>,
    bytes: Vec<Vec<u8>>,
}

impl Observer for Recorder {
    fn after(&mut self, index: usize, _: &Node<'_>, output: &TensorView<'_>) {
        assert_eq!(index, self.nodes.len());
        self.nodes.push(output.codes().collect());
        self.bytes.push(output.bytes().to_vec());
    }
}

/// Runs a model over real values and keeps everything. The arena holds rubbish at the start.
pub fn trace(model: &Model<'_>, arithmetic: Arithmetic, input: &[f32]) -> Trace {
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    arena.fill(0xa5);
    let mut session = Session::with_arithmetic(model, &mut arena, arithmetic).unwrap_or_else(|error| panic!("{error}"));
    session.write_input_f32(input).unwrap_or_else(|error| panic!("{error}"));
    let tensor = session.input().clone();
    let packed = session.input_codes_mut().to_vec();
    let rows = packed.chunks_exact(tensor.pixel_bytes());
    let input =
        rows.flat_map(|row| (0..tensor.shape.channels()).map(|channel| apq_kernels::pack::code(row, tensor.bits, channel))).collect();
    let mut recorder = Recorder::default();
    session.run(&mut recorder);
    Trace { input, nodes: recorder.nodes, bytes: recorder.bytes, output: session.output_bytes().to_vec() }
}

/// The codes of every tensor of the graph in a run; reshapes that the file holds as views show what they view.
pub fn tensor_codes(graph: &Graph, lowered: &Lowered, trace: &Trace) -> Vec<Vec<i32>> {
    let mut codes = vec![Vec::new(); graph.tensors.len()];
    codes[graph.input.0].clone_from(&trace.input);
    for (node, written) in lowered.spec.nodes.iter().zip(&trace.nodes) {
        if graph.tensors[node.output].constant.is_some() {
            codes[node.output].clone_from(written);
        }
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        codes[node.output.0] = match lowered.node_of[index] {
            Some(place) => trace.nodes[place].clone(),
            None => codes[node.inputs[0].0].clone(),
        };
    }
    codes
}
