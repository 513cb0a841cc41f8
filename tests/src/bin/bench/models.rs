//! The models and data that the figures are measured on.

use std::path::{Path, PathBuf};

use apq_lut::Candidate;
use apq_search::{Budget, Estimator};
use apq_targets::{BitFusion, Target};
use apqc::compile::{Compiled, Data, Options, compile};
use apqc::data::{Dataset, Preprocess, load_at_most};
use apqc::network::Network;
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;

/// Calibration samples of every figure.
pub(crate) const CALIBRATION_SAMPLES: usize = 256;

/// A model with its calibration and test data.
pub(crate) struct Case {
    /// Name in the tables.
    pub(crate) name: &'static str,
    /// The network.
    pub(crate) network: Network,
    /// Its ONNX file.
    pub(crate) onnx: PathBuf,
    /// Calibration data.
    pub(crate) calibration: Dataset,
    /// Test data, which only report.
    pub(crate) test: Dataset,
    /// Preprocessing.
    pub(crate) preprocess: Preprocess,
    /// What accuracy is studied on: this machine.
    pub(crate) target: Target,
}

/// The folder of models and data, where it exists.
pub(crate) fn data_folder() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("APQ_DATA").map_or(default, PathBuf::from);
    folder.join("models").is_dir().then_some(folder)
}

/// Files of a model: its name in the tables, the ONNX file, calibration and test data.
const FILES: [(&str, &str, &str, &str); 4] = [
    ("ResNet8", "mlperftiny_resnet8_cifar10", "cifar10/calib.npz", "cifar10/test.npz"),
    ("DS-CNN", "mlperftiny_dscnn_kws", "kws/calib.npz", "kws/test.npz"),
    ("ResNet20", "resnet20_cifar10", "cifar10/calib.npz", "cifar10/test.npz"),
    ("MobileNetV2", "mobilenet_v2_100_224_imagenet", "imagenet-val/calib", "imagenet-val/test"),
];

/// Names in the tables.
pub(crate) fn names() -> [&'static str; 4] {
    FILES.map(|file| file.0)
}

/// Loads a model and its data.
pub(crate) fn load(data: &Path, name: &str) -> Result<Case, Box<dyn std::error::Error>> {
    let (name, stem, calibration, test) = FILES.into_iter().find(|file| file.0 == name).ok_or("no such model")?;
    let onnx = data.join("models").join(format!("{stem}.onnx"));
    let network = Network::load(&std::fs::read(&onnx)?, stem, onnx.parent(), |_, _, _| {})?;
    let shape = network.sample_shape().to_vec();
    let channels = shape.last().copied().unwrap_or(1);
    let preprocess = Preprocess::from_json(&std::fs::read_to_string(onnx.with_extension("json"))?, channels)?;
    let calibration = load_at_most(&data.join(calibration), &shape, CALIBRATION_SAMPLES)?;
    let test = load_at_most(&data.join(test), &shape, usize::MAX)?;
    let target = Target::builtin("host")?;
    Ok(Case { name, network, onnx, calibration, test, preprocess, target })
}

/// All calibration samples of a model, from which subsets are drawn.
pub(crate) fn calibration_pool(data: &Path, case: &Case) -> Result<Dataset, Box<dyn std::error::Error>> {
    let (_, _, calibration, _) = FILES.into_iter().find(|file| file.0 == case.name).ok_or("no such model")?;
    Ok(load_at_most(&data.join(calibration), case.network.sample_shape(), usize::MAX)?)
}

/// Options of every figure, but for candidates and budgets.
pub(crate) fn options(candidates: &str, budgets: Vec<Budget>) -> Options {
    Options {
        candidates: candidates.split(',').filter_map(|c| c.parse::<Candidate>().ok()).collect(),
        budgets,
        weight_ranges: RangeRule::Mse,
        activation_ranges: RangeRule::Mse,
        estimator: Estimator::Pooled,
        output_bits: 8,
        rounding: Rounding::Descent,
        bias_correction: true,
        keep_softmax: false,
        seed: 0,
        layer_cache: None,
        search: apqc::assign::SearchOptions::default(),
    }
}

/// Compiles a model for a target, without test data: whoever needs outputs runs the file.
pub(crate) fn compiled(
    case: &Case,
    calibration: &Dataset,
    target: &str,
    options: &Options,
) -> Result<Compiled, Box<dyn std::error::Error>> {
    let target = Target::builtin(target)?;
    let fusion = BitFusion;
    let model: Option<&dyn apq_lut::CostModel> = if target.name() == "bitfusion" { Some(&fusion) } else { None };
    let data = Data { calibration, test: None, preprocess: &case.preprocess };
    Ok(compile(&case.network, &target, model, &data, options, (&(), ""), &())?)
}
