//! Learning an accuracy that is a known function of the design.

use apq_search::predictor::{Dense, Portable, Predictor, Scale};
use apq_search::space::{Choices, Encoding, Space, sample_architecture, sample_policy};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::files::values;

/// Deeper, wider and larger kernels help; few bits hurt, most where the kernel is small.
fn points(count: usize, quantized: bool, seed: u64) -> (Vec<Vec<u32>>, Samples) {
    let space = Space::fashion();
    let encoding = Encoding::new(&space).unwrap();
    let choices = Choices::new(&space, None).unwrap();
    let blocks = space.blocks();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut ones, mut accuracies) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let architecture = sample_architecture(&space, &mut rng);
        let policy = quantized.then(|| sample_policy(&choices, &architecture, &mut rng));
        let mut accuracy = 0.85;
        for (index, (block, shape)) in blocks.iter().zip(&architecture.0).enumerate() {
            let Some(shape) = shape else { continue };
            let width = f64::from(shape.channels) / f64::from(*block.widths.last().unwrap());
            let worth = [0.9, 0.3, 0.6, 0.2][index % 4];
            let gain = 0.012 * worth + 0.004 * f64::from(shape.kernel - 3) * worth + 0.04 * (width - 0.8) * (1.0 - worth);
            let bits = policy.as_ref().and_then(|policy| policy.0[index]);
            let loss = bits.map_or(0.0, |bits| {
                let fewest = bits.pointwise.weight_bits.min(bits.depthwise.weight_bits).min(bits.pointwise.activation_bits);
                0.004 * f64::from(8 - fewest) * (1.2 - worth)
            });
            accuracy += gain - loss;
        }
        ones.push(encoding.encode(&architecture, policy.as_ref()).unwrap());
        accuracies.push(accuracy as f32);
    }
    let samples = Samples::new(&ones, accuracies, encoding.dimensions());
    (ones, samples)
}

fn plan() -> Plan {
    let space = Space::fashion();
    Plan { dimensions: Encoding::new(&space).unwrap().dimensions(), blocks: space.blocks().len(), steps: Some(150), seed: 3 }
}

fn evaluated(network: &Network, held: &Samples) -> f64 {
    let drawn = pairs(&held.accuracies, 2000, &mut ChaCha8Rng::seed_from_u64(0));
    pairwise_accuracy(&network.predict(&held.inputs), &held.accuracies, &drawn).unwrap()
}

#[test]
fn transfer_is_ahead_where_points_are_few() {
    tch::set_num_threads(1);
    let (plan, mut tick) = (plan(), || ());
    let float = plan.float(&points(600, false, 1).1, &mut tick).unwrap();
    let on_floats = evaluated(&float, &points(500, false, 2).1);
    assert!(on_floats > 0.85, "{on_floats}");
    let (held, few) = (points(500, true, 3).1, points(40, true, 4).1);
    let curve =
        curve::curve(&plan, &float, &few, &[40], &held, &pairs(&held.accuracies, 2000, &mut ChaCha8Rng::seed_from_u64(0)), &mut tick);
    let point = &curve.unwrap()[0];
    assert!(point.transfer >= point.scratch + 0.05, "{point:?}");
    assert!(point.transfer > 0.65, "{point:?}");
}

#[test]
fn training_is_a_function_of_its_seed() {
    tch::set_num_threads(1);
    let plan = Plan { steps: Some(20), ..plan() };
    let (_, few) = points(50, true, 5);
    let outputs = |plan: &Plan| plan.quantized(None, &few, &mut || ()).unwrap().predict(&few.inputs);
    assert_eq!(outputs(&plan), outputs(&plan));
    assert_ne!(outputs(&plan), outputs(&Plan { seed: 4, ..plan }));
}

#[test]
fn inference_without_libtorch_agrees() {
    let plan = Plan { steps: Some(20), ..plan() };
    let (ones, samples) = points(700, true, 6);
    let network = plan.quantized(None, &samples, &mut || ()).unwrap();
    let tensors: Vec<Vec<f32>> = network.tensors().iter().map(|(_, tensor)| values(tensor)).collect();
    let dense = |layer: usize| Dense { weight: tensors[2 * layer].clone(), bias: tensors[2 * layer + 1].clone() };
    let (mean, deviation) = samples.moments();
    let predictor = Predictor::new(plan.dimensions, [dense(0), dense(1), dense(2)], dense(3), Scale { mean, deviation }).unwrap();
    let without = predictor.predict(&ones, &mut Portable).unwrap();
    let with: Vec<f32> = network.predict(&samples.inputs).iter().map(|output| mean + deviation * output).collect();
    let worst = without.iter().zip(&with).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-4, "{worst}");
    assert!(with.iter().any(|&value| (value - with[0]).abs() > 1e-3), "all outputs are alike");
}
