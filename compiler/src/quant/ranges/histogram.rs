//! The distribution of a tensor over many samples, in two passes: bounds, then counts.

/// Smallest and largest value seen, zero always included: padding needs an exact zero.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MinMax {
    /// At most 0.
    pub lo: f32,
    /// At least 0.
    pub hi: f32,
}

impl MinMax {
    /// Bounds of some values.
    pub fn of(values: &[f32]) -> MinMax {
        values.iter().fold(MinMax::default(), |bounds, v| MinMax { lo: bounds.lo.min(*v), hi: bounds.hi.max(*v) })
    }

    /// Bounds of both.
    pub fn merge(&self, other: &MinMax) -> MinMax {
        MinMax { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }
}

/// Bins of a histogram.
pub(super) const BINS: usize = 2048;

/// Counts of values in equal bins between two bounds. Exact zeros are left out: a ReLU makes a spike of them, and zero has no rounding error.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: MinMax,
    counts: Vec<u64>,
    zeros: u64,
}

impl Histogram {
    /// No values yet.
    pub fn new(bounds: &MinMax) -> Histogram {
        Histogram { bounds: *bounds, counts: vec![0; BINS], zeros: 0 }
    }

    /// Counts values that lie within the bounds.
    pub fn add(&mut self, values: &[f32]) {
        let bins_per_unit = BINS as f32 / self.width();
        if !bins_per_unit.is_finite() {
            self.zeros += values.len() as u64;
            return;
        }
        for v in values {
            if *v == 0.0 {
                self.zeros += 1;
            } else {
                let bin = ((v - self.bounds.lo) * bins_per_unit) as usize;
                self.counts[bin.min(BINS - 1)] += 1;
            }
        }
    }

    /// Adds the counts of a histogram with the same bounds.
    pub fn merge(&mut self, other: &Histogram) {
        self.zeros += other.zeros;
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// The bounds.
    pub fn bounds(&self) -> MinMax {
        self.bounds
    }

    /// Values counted, zeros included.
    pub fn total(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Exact zeros.
    pub fn zeros(&self) -> u64 {
        self.zeros
    }

    fn width(&self) -> f32 {
        self.bounds.hi - self.bounds.lo
    }

    /// Width of a bin.
    pub(super) fn bin_width(&self) -> f64 {
        f64::from(self.width()) / BINS as f64
    }

    /// Centre and count of each bin that is not empty, ascending.
    pub(super) fn bins(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let (lo, width) = (f64::from(self.bounds.lo), self.bin_width());
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(bin, count)| (lo + (bin as f64 + 0.5) * width, *count))
    }

    /// The counts of all bins.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_do_not_depend_on_the_order() {
        let values: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 997) as f32 / 100.0 - 4.0).collect();
        let bounds = MinMax::of(&values);
        let mut whole = Histogram::new(&bounds);
        whole.add(&values);
        let (mut first, mut second) = (Histogram::new(&bounds), Histogram::new(&bounds));
        second.add(&values[300..]);
        first.add(&values[..300]);
        second.merge(&first);
        assert_eq!(whole, second);
        assert_eq!(whole.total(), 1000);
        assert!(whole.zeros() > 0);
    }

    #[test]
    fn constant_zero_has_no_width() {
        let mut histogram = Histogram::new(&MinMax::of(&[0.0, -0.0]));
        histogram.add(&[0.0; 5]);
        assert_eq!((histogram.total(), histogram.zeros()), (5, 5));
    }
}
