//! Products of two tensors and layer normalisation in floats.

use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar, linalg::general_mat_mul};

/// `[.., M, K]` times `[.., K, N]`, or `[.., N, K]` where the second is stored transposed; `from` is the first one's shape.
pub(super) fn product<T: LinalgScalar>(from: &[usize], to: &[usize], transposed: bool, a: &[T], b: &[T]) -> Vec<T> {
    let size = |shape: &[usize], back: usize| shape.len().checked_sub(back).map_or(1, |axis| shape[axis]);
    let (rows, inner, columns) = (size(from, 2), size(from, 1), size(to, 1));
    let mut output = vec![T::zero(); to.iter().product()];
    let parts = a.chunks_exact((rows * inner).max(1)).zip(b.chunks_exact((inner * columns).max(1)));
    for ((a, b), out) in parts.zip(output.chunks_exact_mut((rows * columns).max(1))) {
        let right = if transposed { (columns, inner) } else { (inner, columns) };
        let views =
            (ArrayView2::from_shape((rows, inner), a), ArrayView2::from_shape(right, b), ArrayViewMut2::from_shape((rows, columns), out));
        if let (Ok(a), Ok(b), Ok(mut out)) = views {
            let b = if transposed { b.reversed_axes() } else { b };
            general_mat_mul(T::one(), &a, &b, T::zero(), &mut out);
        }
    }
    output
}

/// `(x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c]` of each row.
pub(super) fn layer_norm(input: &[f32], gamma: &[f32], beta: &[f32], epsilon: f64) -> Vec<f32> {
    let channels = gamma.len().max(1);
    let mut output = Vec::with_capacity(input.len());
    for row in input.chunks_exact(channels) {
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / channels as f64;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / channels as f64;
        let deviation = (variance + epsilon).sqrt();
        // A row of equal values has no deviation, and no distance from its mean.
        let factor = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
        let normal = row.iter().map(|x| (f64::from(*x) - mean) * factor);
        output.extend(normal.zip(gamma.iter().zip(beta)).map(|(n, (g, b))| (n * f64::from(*g) + f64::from(*b)) as f32));
    }
    output
}
