//! Files that several commands read.

use std::collections::BTreeMap;
use std::path::Path;

use apq_onnx::supernet::{Tensor, tensor_shapes, write};
use apq_search::space::Space;

/// Writes a supernet of regular weights; another `phase` gives other weights.
pub(crate) fn supernet(path: &Path, space: &Space, phase: f32) {
    let mut tensors = BTreeMap::new();
    for (name, shape) in tensor_shapes(space) {
        let fan = (shape.iter().product::<usize>() / shape[0]).max(1) as f32;
        let plain = name.ends_with("scale") || name.ends_with("variance");
        let wave = |at: usize| if plain { 1.0 } else { (at as f32 * 0.7 + name.len() as f32 + phase).sin() / fan.sqrt() };
        let values = (0..shape.iter().product()).map(wave).collect();
        tensors.insert(name, Tensor { shape, values });
    }
    std::fs::write(path, write(space, &tensors).unwrap()).unwrap();
}
