//! Fine-tuning of small random subnets.

use std::collections::BTreeMap;

use apq_lut::Candidate;
use apq_onnx::supernet::{Subnet, Supernet, Tensor as Values, tensor_shapes};
use apq_search::space::{BlockBits, Design, Policy, Space};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::{Device, Tensor};

use super::*;
use crate::data::{Augment, Images, Preprocess};

const PREPROCESS: Preprocess = Preprocess { mean: 70.0, std: 90.0 };

/// Two classes that differ in which half of the image is bright.
fn images(count: usize, seed: u64, space: &Space) -> Images {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = space.input.map(|side| side as usize);
    let mut pixels = Vec::new();
    let labels: Vec<u8> = (0..count).map(|_| rng.random_range(0..2)).collect();
    for label in &labels {
        for at in 0..shape.iter().product::<usize>() {
            let upper = at < shape.iter().product::<usize>() / 2;
            let bright = upper == (*label == 0);
            pixels.push(rng.random_range(0..120) + if bright { 60 } else { 0 });
        }
    }
    Images { pixels, labels, shape }
}

fn random_subnet() -> (Space, Design, Subnet) {
    let space = Space::fashion();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut tensors = BTreeMap::new();
    for (name, shape) in tensor_shapes(&space) {
        let elements: usize = shape.iter().product();
        let fan = (elements / shape[0]).max(1) as f32;
        let value = |rng: &mut ChaCha8Rng| match name.rsplit('.').next() {
            Some("scale" | "variance") => rng.random_range(0.8..1.2),
            Some("bias" | "mean") => rng.random_range(-0.1..0.1),
            _ => rng.random_range(-1.0f32..1.0) * (3.0 / fan).sqrt(),
        };
        let values = (0..elements).map(|_| value(&mut rng)).collect();
        tensors.insert(name, Values { shape, values });
    }
    let architecture = space.smallest();
    let four = Candidate { weight_bits: 4, activation_bits: 4 };
    let policy = Policy(architecture.0.iter().map(|shape| shape.map(|_| BlockBits { pointwise: four, depthwise: four })).collect());
    let subnet = Supernet::new(space.clone(), tensors).unwrap().extract(&architecture).unwrap();
    (space, Design { architecture, policy }, subnet)
}

#[test]
fn fitted_quantizers_change_little_and_keep_zero() {
    let x = Tensor::from_slice(&[0.0f32, 0.1, -0.5, 1.0, 0.25, 0.7]);
    for bits in [4, 6, 8] {
        let quantizer = Quantizer::fitted(&x, bits);
        let error = (quantizer.apply(&x) - &x).abs().max().double_value(&[]);
        assert!(error < 1.5 / f64::from(1 << bits), "{bits} bits: {error}");
        assert_eq!(quantizer.apply(&Tensor::from(0f32)).double_value(&[]), 0.0);
    }
    // One value far out is clipped for the sake of the others.
    let tail = Tensor::cat(&[Tensor::linspace(0.0, 1.0, 999, tch::kind::FLOAT_CPU), Tensor::from_slice(&[2f32])], 0);
    let clipped = Quantizer::fitted(&tail, 4).apply(&tail).max().double_value(&[]);
    assert!(clipped < 1.9, "{clipped}");
}

#[test]
fn eight_bits_are_close_to_floats_and_four_learn() {
    tch::set_num_threads(1);
    let (space, design, subnet) = random_subnet();
    let train_images = images(256, 2, &space);
    let (calibration, _) = train_images.select(&(0..32).collect::<Vec<_>>()).all(PREPROCESS);
    let bits = Bits::new(&space, &design, subnet.convolutions()).unwrap();
    let mut network = Quantized::new(subnet.clone(), bits, &calibration, Device::Cpu).unwrap();

    let eight = Candidate { weight_bits: 8, activation_bits: 8 };
    let wide = Policy(design.policy.0.iter().map(|bits| bits.map(|_| BlockBits { pointwise: eight, depthwise: eight })).collect());
    let wide = Design { policy: wide, ..design.clone() };
    let wide = Bits::new(&space, &wide, subnet.convolutions()).unwrap();
    let wide = Quantized::new(subnet, wide, &calibration, Device::Cpu).unwrap();
    let distance = |network: &Quantized| {
        let run = |pass: &mut super::network::Pass<'_>| tch::no_grad(|| network.forward(&calibration, pass));
        let (float, codes) = (run(&mut super::network::Pass::Float), run(&mut super::network::Pass::Codes));
        ((codes - &float).square().mean(tch::Kind::Double) / float.square().mean(tch::Kind::Double)).double_value(&[])
    };
    assert!(distance(&wide) < 0.01, "{}", distance(&wide));
    assert!(distance(&network) > 2.0 * distance(&wide), "{} {}", distance(&network), distance(&wide));

    let course = Course { steps: 20, batch: 32, rate: 2e-3, refit: 10, seed: 0 };
    let mut losses = Vec::new();
    let augment = Augment { shift: 0, mirror: false };
    train(&mut network, &course, (&train_images, PREPROCESS, augment), &calibration, |record| losses.push(record.loss)).unwrap();
    assert_eq!(losses.len(), 20);
    assert!(losses[17..].iter().sum::<f64>() < 0.93 * losses[..3].iter().sum::<f64>(), "{losses:?}");
    let tuned = accuracy(&network, &images(100, 3, &space), PREPROCESS, true);
    assert!(tuned > 0.6, "{tuned}");
    // What is exported is what was trained.
    let exported = network.subnet().unwrap();
    assert!(exported.values("classifier.bias").iter().any(|&value| value != 0.0));
    assert!(apq_onnx::summary(&exported.to_onnx()).is_ok());
    // Who quantizes it again finds the same codes.
    let block = exported.convolutions()[1].clone();
    let weight = Tensor::from_slice(exported.values(&block.weight())).reshape([block.outputs as i64, -1]);
    let again = super::quantizer::quantized_weight(&weight, &super::quantizer::fitted_shares(&weight, 4), 4);
    assert!(again.allclose(&weight, 1e-5, 1e-7, false));
}
