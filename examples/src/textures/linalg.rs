//! Dense linear algebra on small symmetric matrices, row-major.

/// Inner product, in four interleaved sums so that it can use vector units without changing from run to run.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}

/// Mean `[n]` and covariance `[n, n]` of samples `[count, n]`.
pub(super) fn covariance(samples: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let count = (samples.len() / n) as f64;
    let mut mean = vec![0.0; n];
    for sample in samples.chunks_exact(n) {
        mean.iter_mut().zip(sample).for_each(|(m, v)| *m += v / count);
    }
    let mut matrix = vec![0.0; n * n];
    let mut centred = vec![0.0; n];
    for sample in samples.chunks_exact(n) {
        centred.iter_mut().zip(sample.iter().zip(&mean)).for_each(|(c, (v, m))| *c = v - m);
        for (row, &a) in matrix.chunks_exact_mut(n).zip(&centred) {
            row.iter_mut().zip(&centred).for_each(|(sum, b)| *sum += a * b / count);
        }
    }
    (mean, matrix)
}

/// Eigenvalues, largest first, and unit eigenvectors as rows, of a symmetric matrix (cyclic Jacobi rotations).
pub(super) fn eigen(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    const SWEEPS_MAX: usize = 30;
    let mut a = matrix.to_vec();
    // Row i of `v` becomes eigenvector i.
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    let scale: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS_MAX {
        let off: f64 = (0..n * n).filter(|i| i / n != i % n).map(|i| a[i] * a[i]).sum();
        if off <= 1e-22 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, n, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]).then(i.cmp(&j)));
    let values = order.iter().map(|&i| a[i * n + i]).collect();
    let vectors = order.iter().flat_map(|&i| v[i * n..(i + 1) * n].iter().copied()).collect();
    (values, vectors)
}

/// One Jacobi rotation, which makes `a[p][q]` zero.
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + libm::sqrt(theta * theta + 1.0));
    let c = 1.0 / libm::sqrt(t * t + 1.0);
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for matrix in [a, v] {
        for k in 0..n {
            let (x, y) = (matrix[p * n + k], matrix[q * n + k]);
            matrix[p * n + k] = c * x - s * y;
            matrix[q * n + k] = s * x + c * y;
        }
    }
}

/// Solves `matrix * x = right` for a symmetric positive definite matrix `[n, n]`; `right` and the result are `[n, columns]` (Cholesky).
pub(super) fn solve(matrix: &[f64], right: &[f64], n: usize) -> Vec<f64> {
    let columns = right.len() / n;
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum = matrix[i * n + j] - dot(&l[i * n..i * n + j], &l[j * n..j * n + j]);
            l[i * n + j] = if i == j { libm::sqrt(sum) } else { sum / l[j * n + j] };
        }
    }
    let mut x = right.to_vec();
    for i in 0..n {
        for column in 0..columns {
            let known: f64 = (0..i).map(|k| l[i * n + k] * x[k * columns + column]).sum();
            x[i * columns + column] = (x[i * columns + column] - known) / l[i * n + i];
        }
    }
    for i in (0..n).rev() {
        for column in 0..columns {
            let known: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k * columns + column]).sum();
            x[i * columns + column] = (x[i * columns + column] - known) / l[i * n + i];
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_diagonalise() {
        let matrix = [4.0, 1.0, 0.5, 1.0, 3.0, -1.0, 0.5, -1.0, 2.0];
        let (values, vectors) = eigen(&matrix, 3);
        assert!(values[0] > values[1] && values[1] > values[2]);
        for (value, vector) in values.iter().zip(vectors.chunks_exact(3)) {
            for (row, component) in matrix.chunks_exact(3).zip(vector) {
                assert!((dot(row, vector) - value * component).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn solution_satisfies_the_equations() {
        let matrix = [4.0, 1.0, 0.5, 1.0, 3.0, -1.0, 0.5, -1.0, 2.0];
        let x = solve(&matrix, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        for (row, right) in matrix.chunks_exact(3).zip([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]) {
            for column in 0..2 {
                let left: f64 = (0..3).map(|k| row[k] * x[2 * k + column]).sum();
                assert!((left - right[column]).abs() < 1e-9);
            }
        }
    }
}
