//! Seeded numbers: the same test sees the same network and the same samples on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator whose seed is a name.
pub fn seeded(name: &str) -> ChaCha8Rng {
    // FNV-1a.
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    ChaCha8Rng::seed_from_u64(seed)
}

/// Values with mean 0 and standard deviation 1, nearly normal: the sum of twelve uniform ones.
pub fn normal(random: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0).collect()
}

/// Samples of `len` values each, not centred, as images are not.
pub fn samples(name: &str, len: usize, count: usize) -> Vec<Vec<f32>> {
    let mut random = seeded(name);
    (0..count).map(|_| normal(&mut random, len).into_iter().map(|v| 0.3 + v).collect()).collect()
}
