//! Least squares without negative coefficients.

/// The `x` with no negative entry that makes `|rows * x - ones|` least, after Lawson and Hanson.
///
/// Columns are brought to length 1 first; a trace of ridge keeps equal columns apart. Rows shorter than `columns` count as zeros.
pub(crate) fn non_negative(rows: &[Vec<f64>], columns: usize) -> Vec<f64> {
    const RIDGE: f64 = 1e-11;
    const GRADIENT_MIN: f64 = 1e-10;
    let at = |row: &Vec<f64>, column: usize| row.get(column).copied().unwrap_or(0.0);
    let lengths: Vec<f64> = (0..columns).map(|column| rows.iter().map(|row| at(row, column).powi(2)).sum::<f64>().sqrt()).collect();
    let scaled = |row: &Vec<f64>, column: usize| if lengths[column] > 0.0 { at(row, column) / lengths[column] } else { 0.0 };
    let mut products = vec![vec![0.0; columns]; columns];
    let mut targets = vec![0.0; columns];
    for row in rows {
        let row: Vec<f64> = (0..columns).map(|column| scaled(row, column)).collect();
        for i in 0..columns {
            targets[i] += row[i];
            for j in 0..columns {
                products[i][j] += row[i] * row[j];
            }
        }
    }
    for (i, row) in products.iter_mut().enumerate() {
        row[i] += RIDGE;
    }
    let mut x = vec![0.0; columns];
    let mut chosen: Vec<usize> = Vec::new();
    // Each round lowers the error, so that no set of columns comes twice; rounding could make it do so.
    for _ in 0..3 * columns {
        let gradient = |i: usize| targets[i] - products[i].iter().zip(&x).map(|(a, b)| a * b).sum::<f64>();
        let free = (0..columns).filter(|i| lengths[*i] > 0.0 && !chosen.contains(i));
        let Some(best) = free.max_by(|a, b| gradient(*a).total_cmp(&gradient(*b))).filter(|best| gradient(*best) > GRADIENT_MIN) else {
            break;
        };
        chosen.push(best);
        loop {
            let Some(solution) = cholesky(&products, &targets, &chosen) else {
                chosen.pop();
                break;
            };
            if solution.iter().all(|value| *value > 0.0) {
                x = vec![0.0; columns];
                chosen.iter().zip(solution).for_each(|(i, value)| x[*i] = value);
                break;
            }
            // As far as the first coefficient that would turn negative.
            let steps = chosen.iter().zip(&solution).filter(|(_, value)| **value <= 0.0).map(|(i, value)| x[*i] / (x[*i] - value));
            let step = steps.fold(1.0, f64::min);
            for (i, value) in chosen.iter().zip(&solution) {
                x[*i] += step * (value - x[*i]);
            }
            let before = chosen.len();
            chosen.retain(|i| x[*i] > 1e-15);
            if chosen.len() == before {
                break;
            }
            (0..columns).filter(|i| !chosen.contains(i)).for_each(|i| x[i] = 0.0);
        }
    }
    x.iter().zip(&lengths).map(|(value, length)| if *length > 0.0 { value / length } else { 0.0 }).collect()
}

/// Solves the equations of the chosen columns; `None` where they depend on each other.
fn cholesky(products: &[Vec<f64>], targets: &[f64], chosen: &[usize]) -> Option<Vec<f64>> {
    let n = chosen.len();
    let mut lower = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = products[chosen[i]][chosen[j]] - sum;
            lower[i][j] = if i == j {
                if rest <= 0.0 {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / lower[j][j]
            };
        }
    }
    let mut y = vec![0.0; n];
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| lower[i][k] * y[k]).sum();
        y[i] = (targets[chosen[i]] - sum) / lower[i][i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| lower[k][i] * y[k]).sum();
        y[i] = (y[i] - sum) / lower[i][i];
    }
    Some(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn exact_sums_are_found_and_negative_ones_are_not() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let truth: Vec<f64> = (0..8).map(|i| if i % 3 == 0 { 0.0 } else { random.random_range(0.1..1000.0) }).collect();
            let rows: Vec<Vec<f64>> = (0..20)
                .map(|_| {
                    let row: Vec<f64> = (0..8).map(|i| random.random_range(0.0..10.0_f64).powi(1 + i % 4)).collect();
                    let sum: f64 = row.iter().zip(&truth).map(|(a, b)| a * b).sum();
                    row.iter().map(|value| value / sum).collect()
                })
                .collect();
            let found = non_negative(&rows, 8);
            for (found, truth) in found.iter().zip(&truth) {
                assert!((found - truth).abs() <= 1e-3 * truth.max(1.0), "{found} {truth}");
            }
        }
        // The best fit of both rows has a negative slope.
        let found = non_negative(&[vec![1.0, 1.0], vec![1.0, 2.0], vec![0.5, 2.0]], 2);
        assert!(found.iter().all(|value| *value >= 0.0), "{found:?}");
    }

    #[test]
    fn equal_and_empty_columns_do_no_harm() {
        let rows = vec![vec![1.0, 1.0, 0.0], vec![2.0, 2.0, 0.0]];
        let found = non_negative(&rows, 3);
        assert!((found[0] + found[1] - 0.6).abs() < 1e-6 && found[2] == 0.0, "{found:?}");
        assert_eq!(non_negative(&[], 2), [0.0, 0.0]);
    }
}
