//! The quick way from a subnet to its accuracy against the way that every other model takes.

use apq_kernels::ActivationBits;
use apq_runtime::{Arithmetic, Model};
use apq_search::space::{Choices, Design, sample_architecture, sample_policy};
use apq_targets::Target;
use apqc::assign::SearchOptions;
use apqc::compile::{Data, Options};
use apqc::data::{Dataset, Preprocess, Raw};
use apqc::dataset::{Quantization, Subject, subnet_graph};
use apqc::evaluate::run_codes;
use apqc::lower::{RawInput, lower};
use apqc::network::Network;
use apqc::plan::Effort;
use apqc::prepare::{Prepared, raw_type};
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::small;

fn images(count: usize) -> Dataset {
    let shape = small::space().input.map(|size| size as usize);
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let values = (0..count * shape.iter().product::<usize>()).map(|_| random.random_range(0..4)).collect();
    Dataset::new(shape.into(), Raw::U8(values), None, "drawn".into()).unwrap()
}

fn design(seed: u64) -> Design {
    let (space, mut random) = (small::space(), ChaCha8Rng::seed_from_u64(seed));
    let choices = Choices::new(&space, None).unwrap();
    let architecture = sample_architecture(&space, &mut random);
    Design { policy: sample_policy(&choices, &architecture, &mut random), architecture }
}

#[test]
fn the_graph_of_a_subnet_is_the_one_of_its_file() {
    let supernet = small::supernet(3);
    for seed in 0..4 {
        let subnet = supernet.extract(&design(seed).architecture).unwrap();
        let graph = subnet_graph(&subnet).unwrap();
        let imported = Network::load(&subnet.to_onnx(), "small", None, |_, _, _| ()).unwrap().graph;
        assert_eq!(graph.nodes.len(), imported.nodes.len());
        for (own, other) in graph.nodes.iter().zip(&imported.nodes) {
            assert_eq!((&own.name, own.clamp), (&other.name, other.clamp));
            assert_eq!(own.op, other.op, "{}", own.name);
            let shapes = |graph: &apqc::graph::Graph, node: &apqc::graph::Node| -> Vec<Vec<usize>> {
                node.inputs.iter().chain([&node.output]).map(|tensor| graph.tensor(*tensor).shape.clone()).collect()
            };
            assert_eq!(shapes(&graph, own), shapes(&imported, other), "{}", own.name);
        }
    }
}

/// Groups, ranges and rounding are those of `compile`; that codes lie in bytes changes none of them.
#[test]
fn quick_networks_give_the_codes_of_compiled_ones() {
    let supernet = small::supernet(4);
    let (calibration, test) = (images(16), images(40));
    let preprocess = Preprocess::new(vec![1.0], vec![1.5], 1).unwrap();
    let samples: Vec<Vec<f32>> = (0..calibration.len()).map(|index| calibration.to_f32(index, &preprocess)).collect();
    let input = RawInput { raw: raw_type(&calibration), preprocess: preprocess.clone() };
    let target = Target::builtin("host").unwrap();
    let mut narrow = 0;
    let cases = [
        (5, RangeRule::Mse, Rounding::Nearest),
        (6, RangeRule::Kl, Rounding::Nearest),
        (7, RangeRule::MinMax, Rounding::Nearest),
        (8, RangeRule::Mse, Rounding::Descent),
    ];
    for (seed, rule, rounding) in cases {
        let Design { architecture, policy } = design(seed);
        let subnet = supernet.extract(&architecture).unwrap();
        let bias_correction = seed == 5;
        let quantization = Quantization { weight_ranges: rule, activation_ranges: rule, rounding, bias_correction, seed: 0 };
        let subject = Subject::new(&subnet, &samples, quantization).unwrap();
        let quick = subject.lowered(&policy, &input).unwrap();
        assert!(quick.spec.tensors.iter().all(|tensor| tensor.bits == ActivationBits::A8));

        let network = Network::load(&subnet.to_onnx(), "small", None, |_, _, _| ()).unwrap();
        let options = Options {
            candidates: small::space().candidates,
            budgets: Vec::new(),
            weight_ranges: rule,
            activation_ranges: rule,
            estimator: apq_search::Estimator::Pooled,
            output_bits: 8,
            rounding,
            bias_correction,
            seed: 0,
            layer_cache: None,
            keep_softmax: false,
            search: SearchOptions::default(),
        };
        let data = Data { calibration: &calibration, test: None, preprocess: &preprocess };
        let prepared = Prepared::new(&network, &target, &data, &options, &()).unwrap();
        let assignment = subject.assignment(&policy);
        let (quantized, _) = prepared.finished(assignment, &options, &());
        let compiled = lower(&quantized, &input, Effort::quick()).unwrap();
        narrow += compiled.spec.tensors.iter().filter(|tensor| tensor.bits < ActivationBits::A8).count();

        let codes = |file: &[u8]| run_codes(&Model::new_checked(file).unwrap(), Arithmetic::Native, &test, || ()).unwrap();
        let (quick, compiled) = (codes(&quick.file), codes(&compiled.file));
        assert_eq!(quick, compiled, "seed {seed}");
        assert!(quick.iter().any(|output| *output != quick[0]), "the outputs tell nothing");
    }
    assert!(narrow > 5);
}
