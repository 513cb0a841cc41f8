//! As [`super::hostile`], for products of activations and layer normalisation.

use super::hostile::{NUMBERS, SIZES, bytes, corrupt, corrupt_codes, rows, tensor};
use super::{Random, same};
use crate::bitfused::BitFused;
use crate::reference::{self, Native};
use crate::*;
use std::vec;
use std::vec::Vec;

#[test]
fn products() {
    let mut random = Random::new(45);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let [a_bits, b_bits, bits] = [0; 3].map(|_| random.choose(&ActivationBits::ALL));
        let mut size = || random.between(1, 6) as usize;
        let mut product = MatMul {
            batches: size(),
            rows: size(),
            inner: size() * size(),
            columns: size(),
            transposed: size() > 3,
            multiplier: 1 << 30,
            shift: 36,
            codes: OutputCodes::full(bits, 0),
        };
        let a = rows(product.batches * product.rows, product.inner);
        let right = product.right();
        let b = rows(product.batches * right.0, right.1);
        let out = rows(product.batches * product.rows, product.columns);
        if random.between(0, 1) == 0 {
            let MatMul { batches, rows, inner, columns, .. } = &mut product;
            corrupt(&mut random, &mut [batches, rows, inner, columns], &SIZES);
        }
        corrupt(&mut random, &mut [&mut product.multiplier], &NUMBERS);
        corrupt(&mut random, &mut [&mut product.shift], &[0, 1, 31, 32, 62, 63, 255]);
        corrupt_codes(&mut random, &mut product.codes);
        let (a, b) = (tensor(&mut random, a, a_bits), tensor(&mut random, b, b_bits));
        let (a, b, output_bytes) = (a.view(), b.view(), bytes(&mut random, out, product.codes.bits));
        if product.check(a.operand(), b.operand(), output_bytes, usize::MAX).is_err() {
            continue;
        }
        accepted += 1;
        let least = portable::matmul_scratch_bytes_min(&product);
        assert_eq!(product.check(a.operand(), b.operand(), output_bytes, least - 1), Err(Invalid::ScratchLength));
        let what = (product, a_bits, b_bits, a.zero_point, b.zero_point);
        let expected = |out: &mut [u8]| reference::matmul::<Native>(&product, a, b, out);
        same(output_bytes, &what, expected, |out| portable::matmul(&product, a, b, out, &mut vec![0; least]));
        same(output_bytes, &what, expected, |out| reference::matmul::<BitFused>(&product, a, b, out));
    }
    assert!(accepted > 1000, "{accepted}");
}

#[test]
fn layer_normalisation() {
    let mut random = Random::new(46);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let bits = [0; 2].map(|_| random.choose(&ActivationBits::ALL));
        let (mut count, mut channels) = (random.between(1, 4) as usize, random.between(1, 40) as usize);
        let image = rows(count, channels);
        corrupt(&mut random, &mut [&mut count, &mut channels], &SIZES);
        let len = image.channels + random.choose(&[0, 0, 0, 0, 1]);
        let numbers = |random: &mut Random| -> Vec<i32> {
            (0..len)
                .map(|_| if random.between(0, 2) == 0 { random.choose(&NUMBERS) } else { random.between(-(1 << 30), 1 << 30) })
                .collect()
        };
        let (gamma, beta) = (numbers(&mut random), numbers(&mut random));
        let mut codes = OutputCodes::full(bits[1], 0);
        corrupt_codes(&mut random, &mut codes);
        let epsilon = random.choose(&[0, 1, 1000, (1 << 62) - 1, 1 << 62, u64::MAX]);
        let shift = random.choose(&[0, 14, 15, 23, 31, 42, 43, 255]);
        let norm = LayerNorm { rows: count, channels, epsilon, gamma: &gamma, beta: &beta, shift, codes };
        let input = tensor(&mut random, image, bits[0]);
        let output_bytes = bytes(&mut random, image, codes.bits);
        if norm.check(input.view().operand(), output_bytes).is_ok() {
            accepted += 1;
            let one = |out: &mut [u8]| reference::layer_norm(&norm, input.view(), out);
            same(output_bytes, &bits, one, |out| portable::layer_norm(&norm, input.view(), out));
        }
    }
    assert!(accepted > 1000, "{accepted}");
}
