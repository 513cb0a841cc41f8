//! The one factorisation that rounding needs, in f64, its work done by matrix products.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayViewMut2, Axis};

/// Below this side a block is factored by plain loops.
const BLOCK: usize = 48;

/// The upper triangular `U` with `U' U = H^-1`, for a symmetric positive definite `H`; `None` where it is not.
///
/// With `H = R R'`, `R` upper triangular, `U = R^-1`: row `j` of `U` over its diagonal says how an error in weight `j` is best made up for by the
/// weights after it.
pub(super) fn inverse_factor(h: &Array2<f64>) -> Option<Array2<f64>> {
    let mut r = h.clone();
    upper_factor(r.view_mut())?;
    invert_upper(r.view_mut());
    Some(r)
}

/// Overwrites the upper triangle of `h` with `R`, `R R' = h`, and the rest with zeros. From the last block to the first.
fn upper_factor(mut h: ArrayViewMut2<'_, f64>) -> Option<()> {
    let n = h.nrows();
    if n <= BLOCK {
        return upper_factor_small(h);
    }
    let half = n / 2;
    let [mut a, mut b, mut below, mut c] = quarters(h.view_mut(), half);
    below.fill(0.0);
    upper_factor(c.view_mut())?;
    // B = R_b C' gives R_b = B C'^-1.
    let mut c_inverse = c.to_owned();
    invert_upper(c_inverse.view_mut());
    let right = b.to_owned();
    general_mat_mul(1.0, &right, &c_inverse.t(), 0.0, &mut b);
    general_mat_mul(-1.0, &b, &b.t(), 1.0, &mut a);
    upper_factor(a)
}

fn upper_factor_small(mut h: ArrayViewMut2<'_, f64>) -> Option<()> {
    let n = h.nrows();
    for j in (0..n).rev() {
        let pivot = h[[j, j]] - (j + 1..n).map(|k| h[[j, k]].powi(2)).sum::<f64>();
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        let pivot = pivot.sqrt();
        h[[j, j]] = pivot;
        for i in 0..j {
            let sum: f64 = (j + 1..n).map(|k| h[[i, k]] * h[[j, k]]).sum();
            h[[i, j]] = (h[[i, j]] - sum) / pivot;
            h[[j, i]] = 0.0;
        }
    }
    Some(())
}

/// Inverts an upper triangular matrix in place.
fn invert_upper(mut r: ArrayViewMut2<'_, f64>) {
    let n = r.nrows();
    if n <= BLOCK {
        for j in 0..n {
            let diagonal = 1.0 / r[[j, j]];
            // Columns before j hold the inverse already; in column j, the rows from i on do not.
            for i in 0..j {
                let sum: f64 = (i..j).map(|k| r[[i, k]] * r[[k, j]]).sum();
                r[[i, j]] = -sum * diagonal;
            }
            r[[j, j]] = diagonal;
        }
        return;
    }
    let [mut a, mut b, _, mut c] = quarters(r, n / 2);
    invert_upper(a.view_mut());
    invert_upper(c.view_mut());
    let left = a.dot(&b);
    general_mat_mul(-1.0, &left, &c, 0.0, &mut b);
}

/// The blocks of a matrix: top left, top right, bottom left, bottom right.
fn quarters(matrix: ArrayViewMut2<'_, f64>, side: usize) -> [ArrayViewMut2<'_, f64>; 4] {
    let (top, bottom) = matrix.split_at(Axis(0), side);
    let ((a, b), (c, d)) = (top.split_at(Axis(1), side), bottom.split_at(Axis(1), side));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_factor_squares_to_the_inverse() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for n in [1, 2, 7, 48, 49, 130, 301] {
            let x = Array2::from_shape_fn((n + 20, n), |_| random.random::<f64>() - 0.5);
            let mut h = x.t().dot(&x);
            h.diag_mut().iter_mut().for_each(|d| *d += 0.01);
            let u = inverse_factor(&h).expect("positive definite");
            let identity = u.t().dot(&u).dot(&h);
            for ((i, j), value) in identity.indexed_iter() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-6, "side {n}, [{i}, {j}] = {value}");
                assert!(i <= j || u[[i, j]] == 0.0);
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        for side in [3, 100] {
            let mut h = Array2::eye(side);
            h[[side / 2, side / 2]] = -1.0;
            assert!(inverse_factor(&h).is_none());
            h[[side / 2, side / 2]] = f64::NAN;
            assert!(inverse_factor(&h).is_none());
        }
    }
}
