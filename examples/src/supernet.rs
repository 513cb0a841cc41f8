//! A once-for-all network with random weights, small enough that whole searches over it take seconds in tests.
//!
//! What extraction, costs and search do does not depend on training. Norms keep the activations' size from layer to layer, and the transforms of kernels are near
//! the identity, so that subnets resemble each other as those of a trained network do.

use std::collections::BTreeMap;

use apq_onnx::supernet::{SupernetError, Tensor, tensor_shapes, write};
use serde_json::from_value;

use crate::random::Random;

/// Height and width of the input, which has one channel.
pub const SIZE: usize = 12;

/// Classes of the output.
pub const CLASSES: usize = 4;

/// The ONNX file of the supernet. Equal seeds give equal files.
///
/// # Errors
/// None; the type is that of the writer.
pub fn tiny(seed: u64) -> Result<Vec<u8>, SupernetError> {
    let pairs = ["w4a4", "w4a6", "w4a8", "w6a4", "w6a6", "w6a8", "w8a4", "w8a6", "w8a8"];
    let text = serde_json::json!({
        "name": "tiny", "input": [SIZE, SIZE, 1], "classes": CLASSES, "stem": { "channels": 8, "kernel": 3, "stride": 2 }, "first": null,
        "stages": [{ "channels": 8, "stride": 1, "depths": [1, 2] }, { "channels": 16, "stride": 2, "depths": [1, 2] }],
        "head": 32, "kernels": [3, 5, 7], "expansion": [2, 4], "channel_step": 8, "candidates": pairs, "fixed": "w8a8"
    });
    let space = from_value(text).map_err(|error| SupernetError::Metadata(error.to_string()))?;
    let mut random = Random::new(seed, 2);
    let mut tensors = BTreeMap::new();
    for (name, shape) in tensor_shapes(&space) {
        let count: usize = shape.iter().product();
        let row = (count / shape.first().copied().unwrap_or(1)).max(1);
        let mut draw = |index: usize| match name.rsplit('.').next() {
            Some("scale") => random.uniform(0.8, 1.2),
            Some("mean") => random.uniform(-0.1, 0.1),
            Some("variance") => random.uniform(0.8, 1.2),
            Some("bias") => random.uniform(-0.2, 0.4),
            Some("weight") => random.normal() * libm::sqrt(2.0 / row as f64),
            // A transform.
            _ => random.normal() * 0.05 + if index / row == index % row { 1.0 } else { 0.0 },
        };
        let values = (0..count).map(|index| draw(index) as f32).collect();
        tensors.insert(name, Tensor { shape, values });
    }
    write(&space, &tensors)
}

/// Images `[count, 12, 12, 1]` with blobs of light, so that neighbours are alike as in photographs.
pub fn images(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random::new(seed, 3);
    let image = |_: usize| -> Vec<u8> {
        let blobs: [[f64; 4]; 3] = std::array::from_fn(|_| {
            [random.uniform(0.0, 12.0), random.uniform(0.0, 12.0), random.uniform(1.0, 4.0), random.uniform(60.0, 200.0)]
        });
        let pixel = |place: usize| {
            let (y, x) = ((place / SIZE) as f64, (place % SIZE) as f64);
            let light = |[row, column, size, light]: &[f64; 4]| {
                let distance = ((y - row) * (y - row) + (x - column) * (x - column)) / (size * size);
                light * libm::exp(-distance)
            };
            blobs.iter().map(light).sum::<f64>().min(255.0) as u8
        };
        (0..SIZE * SIZE).map(pixel).collect()
    };
    (0..count).flat_map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_files() {
        assert_eq!(tiny(3), tiny(3));
        assert_ne!(tiny(3), tiny(4));
        let supernet = apq_onnx::supernet::read(&tiny(3).unwrap()).unwrap().unwrap();
        assert_eq!(supernet.space().name, "tiny");
        assert_eq!(images(1, 2).len(), 2 * SIZE * SIZE);
    }
}
