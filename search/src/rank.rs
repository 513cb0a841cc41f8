//! How much two orders agree, and how much a figure scatters: for comparing sensitivity lists.

/// Kendall's tau-b of two lists of values of the same things: 1 for the same order, -1 for the opposite one, ties counted in neither list's favour.
///
/// tau-b = (C - D) / sqrt((P - T_a) (P - T_b)) with C pairs in the same and D in the opposite order, P pairs in all, T_a and T_b of them tied in a list
/// (Kendall 1945). Counts are integers, so that the result does not depend on the order of the things. `None` where the lengths differ, there are
/// fewer than two things, a value is not a number, or one list is nothing but ties.
pub fn kendall_tau_b(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    let (mut same, mut opposite, mut untied_a, mut untied_b) = (0u64, 0u64, 0u64, 0u64);
    for first in 0..a.len() {
        for second in 0..first {
            let in_a = a[first].partial_cmp(&a[second])?;
            let in_b = b[first].partial_cmp(&b[second])?;
            untied_a += u64::from(in_a.is_ne());
            untied_b += u64::from(in_b.is_ne());
            if in_a.is_ne() && in_b.is_ne() {
                if in_a == in_b { same += 1 } else { opposite += 1 }
            }
        }
    }
    if untied_a == 0 || untied_b == 0 {
        return None;
    }
    // Two roots: the product could round where each count is exact.
    let scale = if untied_a == untied_b { untied_a as f64 } else { libm::sqrt(untied_a as f64) * libm::sqrt(untied_b as f64) };
    Some((same as f64 - opposite as f64) / scale)
}

/// Mean of values, and the standard deviation of the sample (n - 1; 0 for one value). `None` for no values.
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() == 1 {
        return Some((mean, 0.0));
    }
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((mean, libm::sqrt(squares / (count - 1.0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn orders_are_compared() {
        let up = [1.0, 2.0, 3.0, 4.0];
        let down = [4.0, 3.0, 2.0, 1.0];
        assert_eq!(kendall_tau_b(&up, &up), Some(1.0));
        assert_eq!(kendall_tau_b(&up, &down), Some(-1.0));
        // One of six pairs is the other way round.
        assert_eq!(kendall_tau_b(&up, &[1.0, 3.0, 2.0, 4.0]), Some(4.0 / 6.0));
        assert_eq!(kendall_tau_b(&up, &[0.1, 0.2, 7.0, f64::INFINITY]), Some(1.0));
    }

    #[test]
    fn ties_count_for_neither() {
        // By hand: 10 pairs, 1 tied in a, 2 in b; of the others 6 agree and 1 does not. 5 / sqrt(9 * 8).
        let (a, b) = ([1.0, 2.0, 2.0, 3.0, 4.0], [1.0, 1.0, 2.0, 4.0, 2.0]);
        let tau = kendall_tau_b(&a, &b).unwrap();
        assert!((tau - 5.0 / 72f64.sqrt()).abs() < 1e-15, "{tau}");
        // The example of scipy.stats.kendalltau's documentation, tau-b = -0.47140452079103173.
        let tau = kendall_tau_b(&[12.0, 2.0, 1.0, 12.0, 2.0], &[1.0, 4.0, 7.0, 1.0, 0.0]).unwrap();
        assert!((tau + 0.471_404_520_791_031_7).abs() < 1e-15, "{tau}");
    }

    #[test]
    fn what_has_no_order_has_no_tau() {
        assert_eq!(kendall_tau_b(&[], &[]), None);
        assert_eq!(kendall_tau_b(&[1.0], &[1.0]), None);
        assert_eq!(kendall_tau_b(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(kendall_tau_b(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(kendall_tau_b(&[1.0, f64::NAN], &[1.0, 2.0]), None);
    }

    #[test]
    fn tau_does_not_depend_on_the_order_of_things_and_turns_with_a_list() {
        let values = |seed: u64| -> Vec<f64> { (0..40u64).map(|i| (i * i * seed % 17) as f64).collect() };
        let (a, b) = (values(5), values(11));
        let tau = kendall_tau_b(&a, &b).unwrap();
        let turned = |list: &[f64]| list.iter().rev().copied().collect::<Vec<f64>>();
        assert_eq!(kendall_tau_b(&turned(&a), &turned(&b)), Some(tau));
        assert_eq!(kendall_tau_b(&b, &a), Some(tau));
        let negated: Vec<f64> = b.iter().map(|value| -value).collect();
        assert_eq!(kendall_tau_b(&a, &negated), Some(-tau));
    }

    #[test]
    fn scatter_is_that_of_a_sample() {
        assert_eq!(mean_and_deviation(&[]), None);
        assert_eq!(mean_and_deviation(&[3.0]), Some((3.0, 0.0)));
        let (mean, deviation) = mean_and_deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!(mean, 5.0);
        assert!((deviation - (32.0f64 / 7.0).sqrt()).abs() < 1e-15);
    }
}
