//! The matrix product that accuracy predictors run on.

use apq_search::predictor::{MatrixProduct, Sizes};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

/// A multiple of the rows of every tile of `ndarray`'s product, so that no tile is cut off and a row does not depend on those beside it.
const ROWS: usize = 16;

/// `ndarray`'s product, rows shared out among the threads of the current pool. The result does not depend on their number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parallel;

impl MatrixProduct for Parallel {
    fn row_multiple(&self) -> usize {
        ROWS
    }

    fn multiply(&mut self, Sizes { rows, inner, columns }: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
        let part = rows.div_ceil(rayon::current_num_threads().max(1)).next_multiple_of(ROWS);
        let parts = a.par_chunks((part * inner).max(1)).zip(c.par_chunks_mut((part * columns).max(1)));
        parts.for_each(|(a, c)| {
            let rows = c.len() / columns.max(1);
            let views = (
                ArrayView2::from_shape((rows, inner), a),
                ArrayView2::from_shape((inner, columns), b),
                ArrayViewMut2::from_shape((rows, columns), c),
            );
            if let (Ok(a), Ok(b), Ok(mut c)) = views {
                general_mat_mul(1.0, &a, &b, 0.0, &mut c);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apq_search::predictor::{Dense, Portable, Predictor, Scale};

    /// Numbers of all sizes from -1 to 1, the same in each run.
    fn numbers(count: usize, seed: u32, scale: f32) -> Vec<f32> {
        let number = |index: u32| (index.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        (0..count as u32).map(|index| scale * number(index)).collect()
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_batch_and_on_any_number_of_threads() {
        let dense = |inputs: usize, outputs, seed| Dense {
            weight: numbers(inputs * outputs, seed, 1.0 / (inputs as f32).sqrt()),
            bias: numbers(outputs, seed + 1, 0.1),
        };
        let layers = [dense(64, 400, 1), dense(400, 400, 3), dense(400, 400, 5)];
        let predictor = Predictor::new(64, layers, dense(400, 1, 7), Scale { mean: 0.5, deviation: 0.1 }).unwrap();
        let candidates: Vec<Vec<u32>> = (0..700).map(|index| (0..64).filter(|one| (index * 7 + one * one) % 5 == 0).collect()).collect();
        let run = |threads: usize, candidates: &[Vec<u32>]| -> Vec<u32> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let accuracies = pool.install(|| predictor.predict(candidates, &mut Parallel).unwrap());
            accuracies.into_iter().map(f32::to_bits).collect()
        };
        let whole = run(1, &candidates);
        for threads in [1, 2, 3, 8] {
            assert_eq!(run(threads, &candidates), whole, "{threads} threads");
            for (first, count) in [(0, 1), (5, 31), (33, 100), (640, 60)] {
                assert_eq!(
                    run(threads, &candidates[first..first + count]),
                    whole[first..first + count],
                    "{threads} threads, {first}, {count}"
                );
            }
        }
        let portable = predictor.predict(&candidates, &mut Portable).unwrap();
        for (ours, portable) in whole.into_iter().map(f32::from_bits).zip(portable) {
            assert!((ours - portable).abs() < 1e-5, "{ours} {portable}");
        }
    }
}
