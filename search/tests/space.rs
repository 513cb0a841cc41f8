//! The search space of once-for-all networks, through its public interface.

#[path = "space/costs.rs"]
mod costs;
#[path = "space/encoding.rs"]
mod encoding;
#[path = "space/records.rs"]
mod records;
#[path = "space/sizes.rs"]
mod sizes;
#[path = "space/targets.rs"]
mod targets;

use apq_search::Candidate;
use apq_search::space::{Space, Stage, Stem};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn bits(weight_bits: u8, activation_bits: u8) -> Candidate {
    Candidate::new(weight_bits, activation_bits).unwrap()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// The paper's example: 5 blocks with kernels 3, 5, 7 and widths 16, 24, 32, 40, and 4 or 8 bits.
fn five_blocks() -> Space {
    Space {
        stages: vec![Stage { channels: 8, stride: 1, depths: vec![1, 3, 5] }],
        stem: Stem { channels: 8, kernel: 3, stride: 1 },
        expansion: [2, 5],
        candidates: vec![bits(4, 4), bits(4, 8), bits(8, 4), bits(8, 8)],
        ..Space::fashion()
    }
}

/// Few enough designs to list them all.
fn tiny() -> Space {
    Space {
        stages: vec![Stage { channels: 8, stride: 2, depths: vec![1, 2] }, Stage { channels: 4, stride: 1, depths: vec![1, 3] }],
        stem: Stem { channels: 4, kernel: 3, stride: 1 },
        kernels: vec![3, 7],
        expansion: [2, 3],
        channel_step: 4,
        candidates: vec![bits(4, 4), bits(8, 8)],
        ..Space::fashion()
    }
}

/// Two stages, a wide one behind a narrow one.
fn narrow_and_wide() -> Space {
    let stage = |channels, stride| Stage { channels, stride, depths: vec![2, 3, 4] };
    Space { stages: vec![stage(8, 1), stage(24, 2)], ..Space::fashion() }
}
