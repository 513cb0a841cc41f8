//! Random data of a stated distribution.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{DataError, Dataset, Raw};

/// Independent normal values, written `normal:MEAN,STD`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    mean: f32,
    std: f32,
}

impl Normal {
    /// Draws `count` samples of f32. Sample i depends on `seed` and i alone.
    ///
    /// # Errors
    /// [`DataError::Inconsistent`] where `count` or a dimension is 0.
    pub fn draw(&self, sample_shape: &[usize], count: usize, seed: u64) -> Result<Dataset, DataError> {
        let size: usize = sample_shape.iter().product();
        let mut values = Vec::with_capacity(count * size);
        for index in 0..count as u64 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index);
            values.extend((0..size).map(|_| (f64::from(self.mean) + f64::from(self.std) * standard_normal(&mut rng)) as f32));
        }
        Dataset::new(sample_shape.to_vec(), Raw::F32(values), None, format!("{self}, seed {seed}"))
    }
}

impl FromStr for Normal {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Normal, DataError> {
        let numbers = text.strip_prefix("normal:").and_then(|t| t.split_once(','));
        let number = |t: &str| t.trim().parse::<f32>().ok().filter(|x| x.is_finite());
        let parsed = numbers.and_then(|(mean, std)| Some(Normal { mean: number(mean)?, std: number(std)? }));
        parsed.filter(|n| n.std >= 0.0).ok_or_else(|| DataError::Normal { text: text.into() })
    }
}

impl fmt::Display for Normal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "normal:{},{}", self.mean, self.std)
    }
}

/// One value of the standard normal distribution (Marsaglia's polar method).
pub(super) fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let (u, v) = (2.0 * rng.random::<f64>() - 1.0, 2.0 * rng.random::<f64>() - 1.0);
        let s = u * u + v * v;
        if 0.0 < s && s < 1.0 {
            return u * (-2.0 * s.ln() / s).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_stated_moments() {
        let normal: Normal = "normal:3,0.5".parse().unwrap();
        let data = normal.draw(&[100, 100], 4, 1).unwrap();
        let Raw::F32(values) = data.raw() else { panic!("normal data is f32") };
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((mean - 3.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() - 0.5).abs() < 0.01, "{variance}");
        assert_eq!(data.source(), "normal:3,0.5, seed 1");
    }

    #[test]
    fn a_sample_depends_on_seed_and_index_alone() {
        let normal: Normal = "normal:0,1".parse().unwrap();
        let [few, many, other] = [(2, 7), (5, 7), (2, 8)].map(|(n, seed)| normal.draw(&[6], n, seed).unwrap());
        assert_eq!(many.take(2), few);
        assert_ne!(few.sample(0), few.sample(1));
        assert_ne!(few.raw(), other.raw());
    }

    #[test]
    fn unusable_descriptions_are_refused() {
        for text in ["normal:0", "normal:a,1", "normal:0,-1", "normal:0,inf", "normal:nan,1", "uniform:0,1", "normal:"] {
            assert!(text.parse::<Normal>().is_err(), "{text}");
        }
        assert_eq!("normal: -1 , 0".parse::<Normal>().unwrap().to_string(), "normal:-1,0");
    }
}
