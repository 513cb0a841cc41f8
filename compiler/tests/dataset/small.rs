//! A small supernet with random weights, and images for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use apq_lut::Candidate;
use apq_onnx::supernet::{Supernet, Tensor, tensor_shapes};
use apq_search::space::{Space, Stage, Stem};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 12;
const CLASSES: u32 = 5;

pub(crate) fn space() -> Space {
    let widths = [4, 6, 8];
    let pairs = |weight_bits| widths.map(|activation_bits| Candidate { weight_bits, activation_bits });
    Space {
        name: "small".into(),
        input: [SIDE as u32, SIDE as u32, 1],
        classes: CLASSES,
        stem: Stem { channels: 8, kernel: 3, stride: 2 },
        first: Some(8),
        stages: vec![Stage { channels: 8, stride: 1, depths: vec![1, 2] }, Stage { channels: 12, stride: 2, depths: vec![1, 2] }],
        head: 16,
        kernels: vec![3, 5, 7],
        expansion: [2, 4],
        channel_step: 8,
        candidates: widths.into_iter().flat_map(pairs).collect(),
        fixed: Candidate { weight_bits: 8, activation_bits: 8 },
    }
}

/// Weights of a size that keeps activations alive.
pub(crate) fn supernet(seed: u64) -> Supernet {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tensor = |name: &str, shape: Vec<usize>| {
        let fan = shape.iter().skip(1).product::<usize>().max(1) as f32;
        let mut value = |place: usize| {
            let u: f32 = random.random_range(-1.0..1.0);
            match name.rsplit('.').next() {
                Some("scale" | "variance") => 1.0 + 0.3 * u,
                Some("bias" | "mean") => 0.3 * u,
                Some("7to5" | "5to3") => f32::from(u8::from(place / shape[0] == place % shape[0])) + 0.02 * u,
                _ => u * (3.0 / fan).sqrt(),
            }
        };
        let values = (0..shape.iter().product()).map(&mut value).collect();
        Tensor { shape, values }
    };
    let tensors: BTreeMap<String, Tensor> =
        tensor_shapes(&space()).into_iter().map(|(name, shape)| (name.clone(), tensor(&name, shape))).collect();
    Supernet::new(space(), tensors).unwrap()
}

fn images(count: usize, seed: u64) -> (Array4<u8>, Array1<i64>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let labels = Array1::from_shape_fn(count, |_| random.random_range(0..i64::from(CLASSES)));
    (Array4::from_shape_fn((count, SIDE, SIDE, 1), |_| random.random_range(0..4)), labels)
}

pub(crate) fn samples(path: &Path, count: usize, seed: u64) {
    let (x, y) = images(count, seed);
    let mut npz = NpzWriter::new(File::create(path).unwrap());
    npz.add_array("x", &x).unwrap();
    npz.add_array("y", &y).unwrap();
    npz.finish().unwrap();
}

pub(crate) fn unlabelled(path: &Path, count: usize) {
    let mut npz = NpzWriter::new(File::create(path).unwrap());
    npz.add_array("x", &images(count, 3).0).unwrap();
    npz.finish().unwrap();
}
