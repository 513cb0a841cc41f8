//! Files that are wrong on purpose behind a right checksum: loading never panics, and what loads also runs.

mod common;

use apq_runtime::build::{ActivationBits, AlignedBytes, WeightBits, seal};
use apq_runtime::{Arithmetic, HEADER_BYTES, Model, Session};
use common::{every_operator_net, residual_net};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Loads a file and runs it in all arithmetics; whether it loaded.
fn load_and_run(file: &[u8], arena: &mut [u8], noise: u8) -> bool {
    let Ok(model) = Model::new_checked(file) else {
        return false;
    };
    if model.arena_bytes() > arena.len() {
        return true;
    }
    let mut outputs: [Option<Vec<u8>>; 3] = [None, None, None];
    for (output, arithmetic) in outputs.iter_mut().zip([Arithmetic::Native, Arithmetic::Reference, Arithmetic::BitFused]) {
        let mut session = Session::with_arithmetic(&model, arena, arithmetic).unwrap();
        session.input_codes_mut().fill(noise);
        session.run(&mut ());
        *output = Some(session.output_bytes().to_vec());
    }
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0], outputs[2]);
    true
}

/// Changes one place of the file in one of several ways.
fn mutate(file: &mut [u8], from: usize, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(from..file.len());
    match rng.random_range(0..5) {
        0 => file[at] ^= 1 << rng.random_range(0..8),
        1 => file[at] = rng.random(),
        2 => file[at] = file[at].wrapping_add(1),
        3 => file[at] = file[at].wrapping_sub(1),
        _ => {
            let extremes = [0x00, 0x7f, 0x80, 0xff];
            file[at] = extremes[rng.random_range(0..extremes.len())];
        }
    }
}

fn fuzz(file: &AlignedBytes, graph_share: f64, count: usize, seed: u64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let model = Model::new_checked(file).unwrap();
    let mut arena = AlignedBytes::zeroed(model.arena_bytes() + 4096);
    let raw_begin = file.len() - model.raw_bytes();
    let mut mutated = file.clone();
    let mut loaded = 0;
    for _ in 0..count {
        mutated.copy_from_slice(file);
        for _ in 0..rng.random_range(1..=3) {
            if rng.random_bool(graph_share) {
                mutate(&mut mutated[..raw_begin], HEADER_BYTES, &mut rng);
            } else {
                mutate(&mut mutated, 12, &mut rng);
            }
        }
        seal(&mut mutated);
        loaded += usize::from(load_and_run(&mutated, &mut arena, rng.random()));
    }
    println!("{loaded} of {count} mutated files loaded");
    loaded
}

#[test]
fn mutated_residual_net() {
    let file = residual_net(2, WeightBits::W4, ActivationBits::A4).file();
    let loaded = fuzz(&file, 0.8, 60_000, 1);
    assert!(loaded > 0);
}

#[test]
fn mutated_wide_residual_net() {
    let file = residual_net(3, WeightBits::W8, ActivationBits::A16).file();
    let loaded = fuzz(&file, 0.8, 40_000, 2);
    assert!(loaded > 0);
}

/// The pointwise convolution runs by rows over its input, the sum by codes over that.
#[test]
fn mutated_outputs_over_inputs() {
    let mut net = residual_net(7, WeightBits::W8, ActivationBits::A8);
    let row_bytes = 6 * 8;
    net.spec.tensors[3].offset = net.spec.tensors[2].offset - row_bytes;
    net.spec.tensors[4].offset = net.spec.tensors[3].offset;
    let loaded = fuzz(&net.file(), 0.9, 40_000, 7);
    assert!(loaded > 0);
}

#[test]
fn mutated_operators() {
    for (seed, bits) in [(3, ActivationBits::A2), (4, ActivationBits::A6), (5, ActivationBits::A8), (6, ActivationBits::A16)] {
        let file = every_operator_net(seed, bits).file();
        let loaded = fuzz(&file, 0.9, 30_000, seed);
        assert!(loaded > 0);
    }
}
