//! The real models and data, which lie outside this repository.

use std::path::PathBuf;

use apqc::data::{Dataset, Preprocess, load_at_most};
use apqc::network::Network;

/// A real model with its calibration and test data.
#[derive(Debug, Clone, Copy)]
pub struct RealModel {
    /// File name without its ending.
    pub name: &'static str,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Folder of `calib` and `test`, where there are data.
    pub data: Option<&'static str>,
}

/// ResNet8 for CIFAR-10.
pub const RESNET8: RealModel = RealModel { name: "mlperftiny_resnet8_cifar10", macs: 12_501_632, data: Some("cifar10") };
/// DS-CNN for keyword spotting.
pub const DSCNN: RealModel = RealModel { name: "mlperftiny_dscnn_kws", macs: 2_656_768, data: Some("kws") };
/// ResNet20 for CIFAR-10.
pub const RESNET20: RealModel = RealModel { name: "resnet20_cifar10", macs: 40_813_184, data: Some("cifar10") };
/// MobileNetV2 for ImageNet.
pub const MOBILENET: RealModel = RealModel { name: "mobilenet_v2_100_224_imagenet", macs: 300_774_272, data: Some("imagenet-val") };
/// The fully connected autoencoder.
pub const AUTOENCODER: RealModel = RealModel { name: "mlperftiny_ad01_autoencoder", macs: 264_192, data: None };
/// The transformer, which is not supported.
pub const KWT1: RealModel = RealModel { name: "kwt1_speechcommands", macs: 0, data: None };

/// Every model that can be imported.
pub const IMPORTABLE: [RealModel; 5] = [RESNET8, DSCNN, RESNET20, MOBILENET, AUTOENCODER];

/// The folder of models and data: `APQ_DATA`, or `../shared/data` beside the workspace. Prints why a test is skipped where there is none.
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("APQ_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
    };
    if folder.join("models").is_dir() {
        return Some(folder);
    }
    println!("skipped: no models under {} (set APQ_DATA)", folder.display());
    None
}

impl RealModel {
    /// The ONNX file.
    pub fn path(&self, folder: &std::path::Path) -> PathBuf {
        folder.join("models").join(self.name).with_extension("onnx")
    }

    /// The bytes of the ONNX file.
    pub fn bytes(&self, folder: &std::path::Path) -> Vec<u8> {
        let path = self.path(folder);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The model, imported and simplified.
    pub fn load(&self, folder: &std::path::Path) -> Network {
        let path = self.path(folder);
        Network::load(&self.bytes(folder), self.name, path.parent(), |_, _, _| {}).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The preprocessing beside the model.
    pub fn preprocess(&self, folder: &std::path::Path, network: &Network) -> Preprocess {
        let path = self.path(folder).with_extension("json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let channels = network.sample_shape().last().copied().unwrap_or(1);
        Preprocess::from_json(&text, channels).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Samples of `part`, `calib` or `test`; drawn at random for a model without data.
    pub fn samples(&self, folder: &std::path::Path, network: &Network, part: &str, limit: usize) -> Dataset {
        let shape = network.sample_shape();
        let Some(data) = self.data else { return drawn(self.name, shape, limit) };
        let archive = folder.join(data).join(part).with_extension("npz");
        let path = if archive.is_file() { archive } else { folder.join(data).join(part) };
        load_at_most(&path, shape, limit).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// A data set of real values that nothing but its name decides.
pub fn drawn(name: &str, shape: &[usize], count: usize) -> Dataset {
    let values = crate::random::samples(name, shape.iter().product(), count).concat();
    Dataset::new(shape.to_vec(), apqc::data::Raw::F32(values), None, "drawn".into()).unwrap_or_else(|error| panic!("{error}"))
}
