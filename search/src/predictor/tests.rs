use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn values(rng: &mut ChaCha8Rng, count: usize, bound: f32) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-bound..=bound)).collect()
}

fn layers(dimensions: usize, widths: [usize; 3], seed: u64) -> ([Dense; 3], Dense) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut inputs = dimensions;
    let mut dense = |outputs: usize| {
        let bound = 1.0 / libm::sqrtf(inputs as f32);
        let layer = Dense { weight: values(&mut rng, inputs * outputs, bound), bias: values(&mut rng, outputs, bound) };
        inputs = outputs;
        layer
    };
    (widths.map(&mut dense), dense(1))
}

const SCALE: Scale = Scale { mean: 0.7, deviation: 0.05 };

fn predictor(dimensions: usize, widths: [usize; 3], seed: u64) -> Predictor {
    let (layers, output) = layers(dimensions, widths, seed);
    Predictor::new(dimensions, layers, output, SCALE).unwrap()
}

/// The network as the paper writes it, in f64 and with the dense one-hot vector.
fn reference((layers, output): &([Dense; 3], Dense), dimensions: usize, ones: &[u32]) -> f64 {
    let mut x = vec![0.0; dimensions];
    ones.iter().for_each(|&one| x[one as usize] = 1.0);
    for layer in layers {
        let outputs = layer.bias.len();
        x = (0..outputs)
            .map(|output| {
                let sum: f64 = x.iter().enumerate().map(|(input, x)| x * f64::from(layer.weight[input * outputs + output])).sum();
                (sum + f64::from(layer.bias[output])).max(0.0)
            })
            .collect();
    }
    let sum: f64 = x.iter().zip(&output.weight).map(|(x, w)| x * f64::from(*w)).sum();
    f64::from(SCALE.mean) + f64::from(SCALE.deviation) * (sum + f64::from(output.bias[0]))
}

fn encodings(dimensions: usize, count: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..dimensions as u32).filter(|_| rng.random_bool(0.2)).collect()).collect()
}

/// The product that the trait describes, value by value, with tiles of 8 rows that must not be cut off.
struct Tiled;

impl MatrixProduct for Tiled {
    fn row_multiple(&self) -> usize {
        8
    }

    fn multiply(&mut self, Sizes { rows, inner, columns }: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
        assert!(rows.is_multiple_of(8));
        assert_eq!([a.len(), b.len(), c.len()], [rows * inner, inner * columns, rows * columns]);
        for (index, c) in c.iter_mut().enumerate() {
            let (row, column) = (index / columns, index % columns);
            *c = (0..inner).map(|k| a[row * inner + k] * b[k * columns + column]).fold(0.0, |sum, term| sum + term);
        }
    }
}

#[test]
fn the_network_of_the_paper_is_computed() {
    for (dimensions, widths, seed) in [(75, [400, 400, 400], 1), (12, [7, 41, 3], 2), (1, [1, 1, 1], 3)] {
        let predictor = predictor(dimensions, widths, seed);
        let candidates = encodings(dimensions, 37, seed);
        let accuracies = predictor.predict(&candidates, &mut Portable).unwrap();
        assert_eq!(accuracies.len(), candidates.len());
        for (ones, accuracy) in candidates.iter().zip(accuracies) {
            let expected = reference(&layers(dimensions, widths, seed), dimensions, ones);
            assert!((f64::from(accuracy) - expected).abs() < 1e-5, "{accuracy} {expected}");
        }
    }
}

#[test]
fn a_candidate_has_the_same_bits_in_every_batch() {
    let predictor = predictor(75, [400, 64, 33], 4);
    let candidates = encodings(75, BATCH + 9, 5);
    let bits = |accuracies: Vec<f32>| accuracies.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let together = bits(predictor.predict(&candidates, &mut Portable).unwrap());
    for (start, count) in [(0, 1), (1, 1), (3, 4), (500, 21), (1, BATCH + 8), (BATCH, 5)] {
        let part = &candidates[start..start + count];
        assert_eq!(bits(predictor.predict(part, &mut Portable).unwrap()), together[start..start + count], "{start} {count}");
        assert_eq!(bits(predictor.predict(part, &mut Tiled).unwrap()), together[start..start + count], "{start} {count}");
    }
    assert_eq!(predictor.predict(&[], &mut Portable), Ok(vec![]));
}

proptest! {
    #[test]
    fn portable_products_are_the_sums_in_order(rows in 0_usize..11, inner in 0_usize..20, columns in 0_usize..19, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (a, b) = (values(&mut rng, rows * inner, 3.0), values(&mut rng, inner * columns, 3.0));
        let mut c = vec![f32::NAN; rows * columns];
        Portable.multiply(Sizes { rows, inner, columns }, &a, &b, &mut c);
        for row in 0..rows {
            for column in 0..columns {
                let sum = (0..inner).map(|k| a[row * inner + k] * b[k * columns + column]).fold(0.0_f32, |sum, term| sum + term);
                prop_assert_eq!(c[row * columns + column].to_bits(), sum.to_bits());
            }
        }
    }
}

#[test]
fn weights_that_are_no_predictor_are_refused() {
    let (layers, output) = layers(6, [5, 4, 3], 7);
    let refused = |layers: [Dense; 3], output: Dense| Predictor::new(6, layers, output, SCALE).unwrap_err();
    let mut short = layers.clone();
    short[1].weight.pop();
    assert_eq!(refused(short, output.clone()), PredictorError::Size { tensor: "layers.1.weight", expected: 20, actual: 19 });
    let mut infinite = layers.clone();
    infinite[2].bias[1] = f32::INFINITY;
    assert_eq!(refused(infinite, output.clone()), PredictorError::NotFinite { tensor: "layers.2.bias", index: 1 });
    let mut not_a_number = layers.clone();
    not_a_number[0].weight[29] = f32::NAN;
    assert_eq!(refused(not_a_number, output.clone()), PredictorError::NotFinite { tensor: "layers.0.weight", index: 29 });
    let mut empty = layers.clone();
    empty[0].bias.clear();
    assert_eq!(refused(empty, output.clone()), PredictorError::Empty { tensor: "layers.0.bias" });
    let wide = Dense { weight: vec![0.0; 6], bias: vec![0.0; 2] };
    assert_eq!(refused(layers.clone(), wide), PredictorError::Size { tensor: "output.bias", expected: 1, actual: 2 });
    let flat = Scale { mean: f32::NAN, deviation: 1.0 };
    assert!(matches!(Predictor::new(6, layers.clone(), output.clone(), flat), Err(PredictorError::NotFinite { tensor: "mean", .. })));
    assert!(matches!(Predictor::new(0, layers.clone(), output.clone(), SCALE), Err(PredictorError::Empty { tensor: "layers.0.weight" })));
    let predictor = Predictor::new(6, layers, output, SCALE).unwrap();
    assert_eq!(predictor.predict(&[vec![0], vec![6]], &mut Portable), Err(PredictorError::Index { index: 6, dimensions: 6 }));
}
