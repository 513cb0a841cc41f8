//! The supernet of `examples/fashion`: what is in the repository does what its pages say.

use std::path::{Path, PathBuf};

use apq_examples::onnx::supernet::{Supernet, read};
use apq_search::Estimator;
use apq_search::space::{Choices, Design, sample_architecture, uniform_policy};
use apq_targets::Target;
use apqc::assign::SearchOptions;
use apqc::compile::{Data, Options};
use apqc::data::{self, Dataset, Preprocess};
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;
use apqc::supernet::{Bench, read_predictor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fashion").join(name)
}

fn supernet() -> Supernet {
    read(&std::fs::read(path("supernet.onnx")).unwrap()).unwrap().unwrap()
}

fn images(name: &str) -> Dataset {
    data::load_at_most(&path(name), &[28, 28, 1], usize::MAX).unwrap()
}

#[test]
fn the_predictor_belongs_to_the_supernet() {
    let (_, facts) = read_predictor(&std::fs::read(path("supernet.predictor")).unwrap(), supernet().space()).unwrap();
    assert!(facts.pairwise.unwrap() > 0.7, "{facts:?}");
    assert!(facts.supernet.is_some());
}

#[test]
fn integers_at_8_bits_are_worth_what_floats_are() {
    let supernet = supernet();
    let space = supernet.space();
    let target = Target::builtin("bitfusion").unwrap();
    let options = Options {
        candidates: space.candidates.clone(),
        budgets: Vec::new(),
        weight_ranges: RangeRule::Mse,
        activation_ranges: RangeRule::Mse,
        estimator: Estimator::Pooled,
        output_bits: 8,
        rounding: Rounding::Nearest,
        bias_correction: false,
        seed: 0,
        layer_cache: None,
        keep_softmax: false,
        search: SearchOptions::default(),
    };
    let preprocess: serde_json::Value = serde_json::from_slice(&std::fs::read(path("supernet.json")).unwrap()).unwrap();
    let number = |name: &str| preprocess[name].as_f64().unwrap() as f32;
    let preprocess = Preprocess::new(vec![number("mean")], vec![number("std")], 1).unwrap();
    let (calibration, test) = (images("supernet.calib.npz"), images("supernet.test.npz"));
    assert_eq!((calibration.len(), test.len()), (256, 1000));
    let data = Data { calibration: &calibration, test: None, preprocess: &preprocess };
    let bench = Bench::new(&supernet, &target, data, Some(&test), &options, 1);
    let choices = Choices::new(space, Some(&target)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut architectures = vec![space.largest(), space.smallest()];
    architectures.extend((0..4).map(|_| sample_architecture(space, &mut rng)));
    let mut differences = Vec::new();
    for architecture in architectures {
        let policy = uniform_policy(&choices, &architecture, space.fixed).unwrap();
        let trial = bench.try_out(&Design { architecture, policy }).unwrap();
        let (integer, float) = (trial.accuracy.unwrap(), trial.float_accuracy.unwrap());
        assert!(float > 0.9, "{float}");
        differences.push(integer - float);
    }
    println!("integers less floats: {differences:?}");
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    assert!(mean.abs() <= 0.005 && differences.iter().all(|difference| difference.abs() <= 0.01), "{differences:?}");
}
