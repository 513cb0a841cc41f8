//! Runner for pooling and for the operators that move codes.

use super::conv::{Shape, shapes};
use super::{Random, same};
use crate::{
    ActivationBits, Activations, AveragePool, ConcatPart, CountPadding, Image, Invalid, MaxPool, Pad, Rescale, Slice, Transpose, pack,
    reference,
};
use alloc::vec::Vec;

type Unary<P> = fn(&P, Activations<'_>, &mut [u8]);

/// Geometries of pooling: those of depthwise convolution.
fn pools(mut case: impl FnMut(Shape, ActivationBits)) {
    for shape in shapes().into_iter().filter(|shape| shape.input.channels == shape.output.channels) {
        for bits in ActivationBits::ALL {
            case(shape, bits);
        }
    }
}

pub(crate) fn check_average_pool(kernel: fn(&AveragePool<'_>, Activations<'_>, &mut [u8])) {
    let mut random = Random::new(20);
    let mut checked = 0;
    pools(|Shape { input, output, window, .. }, input_bits| {
        for padding in [CountPadding::Exclude, CountPadding::Include { end: [1, 1] }] {
            let bits = random.choose(&ActivationBits::ALL);
            let counts: Vec<u32> = (1..=window.taps() as u32).collect();
            let rescale: Vec<_> =
                counts.iter().map(|&count| random.rescale(i32::MAX, f64::from(count) * f64::from(input_bits.hi()), bits)).collect();
            let multiplier: Vec<_> = rescale.iter().map(|pair| pair.0).collect();
            let shift: Vec<_> = rescale.iter().map(|pair| pair.1).collect();
            let codes = random.codes(bits);
            let (counts, multiplier, shift) = (&counts[..], &multiplier[..], &shift[..]);
            let pool = AveragePool { input, output, window, padding, counts, multiplier, shift, codes };
            let tensor = random.tensor(input.pixels(), input.channels, input_bits);
            let bytes = output.bytes(bits);
            match pool.check(tensor.view().operand(), bytes) {
                Ok(()) => checked += 1,
                // A window in the padding alone.
                Err(error) => {
                    assert_eq!(error, Invalid::Count);
                    continue;
                }
            }
            same(
                bytes,
                &(pool, input_bits),
                |out| reference::average_pool(&pool, tensor.view(), out),
                |out| kernel(&pool, tensor.view(), out),
            );
        }
    });
    assert!(checked > 300, "{checked}");
}

pub(crate) fn check_max_pool(kernel: Unary<MaxPool>) {
    let mut random = Random::new(21);
    let mut checked = 0;
    pools(|Shape { input, output, window, .. }, bits| {
        let pool = MaxPool { input, output, window };
        let tensor = random.tensor(input.pixels(), input.channels, bits);
        let bytes = output.bytes(bits);
        if pool.check(tensor.view().operand(), bytes) == Err(Invalid::Window) {
            return;
        }
        checked += 1;
        same(bytes, &(pool, bits), |out| reference::max_pool(&pool, tensor.view(), out), |out| kernel(&pool, tensor.view(), out));
    });
    assert!(checked > 100, "{checked}");
}

fn image(random: &mut Random) -> Image {
    let channels = random.choose(&[1, 2, 3, 4, 5, 7, 8, 9, 16, 17]);
    Image { height: random.between(1, 5) as usize, width: random.between(1, 5) as usize, channels }
}

fn below(random: &mut Random, bound: usize) -> usize {
    random.between(0, bound as i32) as usize
}

pub(crate) fn check_pad(kernel: Unary<Pad>) {
    let mut random = Random::new(22);
    for round in 0..4000 {
        let bits = ActivationBits::ALL[round % 5];
        let input = image(&mut random);
        let whole_pixels = random.between(0, 1) == 0;
        let before = [below(&mut random, 2), below(&mut random, 2), if whole_pixels { 0 } else { below(&mut random, 3) }];
        let output = Image {
            height: input.height + before[0] + below(&mut random, 2),
            width: input.width + before[1] + below(&mut random, 2),
            channels: input.channels + before[2] + if whole_pixels { 0 } else { below(&mut random, 3) },
        };
        let pad = Pad { input, output, before, code: random.between(bits.lo(), bits.hi()) };
        let tensor = random.tensor(input.pixels(), input.channels, bits);
        let bytes = output.bytes(bits);
        pad.check(tensor.view().operand(), bytes).unwrap();
        same(bytes, &(pad, bits), |out| reference::pad(&pad, tensor.view(), out), |out| kernel(&pad, tensor.view(), out));
    }
}

pub(crate) fn check_slice(kernel: Unary<Slice>) {
    let mut random = Random::new(23);
    for round in 0..4000 {
        let bits = ActivationBits::ALL[round % 5];
        let input = image(&mut random);
        let whole_pixels = random.between(0, 1) == 0;
        let mut axis = |extent: usize, whole: bool| {
            if whole {
                return (0, 1, extent);
            }
            let begin = below(&mut random, extent - 1);
            let step = random.between(1, 3) as usize;
            let most = (extent - begin).div_ceil(step);
            (begin, step, 1 + below(&mut random, most - 1))
        };
        let axes = [axis(input.height, false), axis(input.width, false), axis(input.channels, whole_pixels)];
        let output = Image { height: axes[0].2, width: axes[1].2, channels: axes[2].2 };
        let slice = Slice { input, output, begin: axes.map(|axis| axis.0), step: axes.map(|axis| axis.1) };
        let tensor = random.tensor(input.pixels(), input.channels, bits);
        let bytes = output.bytes(bits);
        slice.check(tensor.view().operand(), bytes).unwrap();
        same(bytes, &(slice, bits), |out| reference::slice(&slice, tensor.view(), out), |out| kernel(&slice, tensor.view(), out));
    }
}

/// Whole concatenations, along the channels and along the rows, with rubbish in the output before.
pub(crate) fn check_concat(kernel: Unary<ConcatPart>) {
    let mut random = Random::new(24);
    for round in 0..3000 {
        let bits = ActivationBits::ALL[round % 5];
        let along_channels = random.between(0, 1) == 0;
        let (outer, count) = (random.between(1, 3) as usize, random.between(1, 4) as usize);
        let (rows, channels) = (random.between(1, 3) as usize, random.choose(&[1, 2, 3, 4, 5, 8, 9, 65]));
        let sizes: Vec<usize> = (0..count).map(|_| random.choose(&[1, 2, 3, 4, 7, 8, 70])).collect();
        let total: usize = sizes.iter().sum();
        let codes = random.codes(bits);
        let mut offset = 0;
        let mut parts = Vec::new();
        for &size in &sizes {
            let scaled = random.between(0, 1) == 0;
            let input_bits = if scaled { random.choose(&ActivationBits::ALL) } else { bits };
            let (multiplier, shift) = random.rescale(i32::MAX, f64::from(input_bits.hi()), bits);
            let part = ConcatPart {
                outer,
                input_rows: if along_channels { rows } else { size },
                output_rows: if along_channels { rows } else { total },
                row_offset: if along_channels { 0 } else { offset },
                input_channels: if along_channels { size } else { channels },
                output_channels: if along_channels { total } else { channels },
                channel_offset: if along_channels { offset } else { 0 },
                rescale: scaled.then_some(Rescale { multiplier, shift }),
                codes,
            };
            let tensor = random.tensor(outer * part.input_rows, part.input_channels, input_bits);
            parts.push((part, tensor));
            offset += size;
        }
        let last = parts[0].0;
        let bytes = outer * last.output_rows * pack::row_bytes(bits, last.output_channels);
        for (part, tensor) in &parts {
            part.check(tensor.view().operand(), bytes).unwrap();
        }
        let run = |kernel: Unary<ConcatPart>, out: &mut [u8]| {
            for (part, tensor) in &parts {
                kernel(part, tensor.view(), out);
            }
        };
        same(bytes, &(&parts[0].0, &sizes), |out| run(reference::concat_part, out), |out| run(kernel, out));
    }
}

pub(crate) fn check_transpose(kernel: Unary<Transpose>) {
    let mut random = Random::new(25);
    for round in 0..4000 {
        let bits = ActivationBits::ALL[round % 5];
        let rank = 1 + round / 5 % 5;
        let shape: Vec<usize> = (0..rank).map(|_| random.choose(&[1, 2, 3, 4, 5])).collect();
        let mut axes: Vec<usize> = (0..rank).collect();
        for at in (1..rank).rev() {
            axes.swap(at, below(&mut random, at));
        }
        let transpose = Transpose::new(&shape, &axes).unwrap();
        let channels = shape[rank - 1];
        let rows = shape.iter().product::<usize>() / channels;
        let tensor = random.tensor(rows, channels, bits);
        let [out_lead @ .., out_channels] = transpose.output_shape();
        let bytes = out_lead.iter().product::<usize>() * pack::row_bytes(bits, out_channels);
        transpose.check(tensor.view().operand(), bytes).unwrap();
        same(
            bytes,
            &(transpose, bits),
            |out| reference::transpose(&transpose, tensor.view(), out),
            |out| kernel(&transpose, tensor.view(), out),
        );
        // And back again.
        let mut there = alloc::vec![0; bytes];
        kernel(&transpose, tensor.view(), &mut there);
        let mut inverse = [0; crate::RANK_MAX];
        for (to, &from) in transpose.axes.iter().enumerate() {
            inverse[from] = to;
        }
        let inverse = Transpose { shape: transpose.output_shape(), axes: inverse };
        let mut back = alloc::vec![0; tensor.codes.len()];
        kernel(&inverse, Activations { codes: &there, ..tensor.view() }, &mut back);
        assert_eq!(back, tensor.codes, "{transpose:?} {bits:?}");
    }
}
