//! Parameters that nobody validated: what `check` accepts must run, in a build that stops at every overflow, and give
//! the reference's answer; what it refuses is never run.

use super::conv::{Case, depthwise_shapes, shapes};
use super::{Random, Tensor, same};
use crate::portable::planes;
use crate::portable::planes::blocks::Portable;
use crate::reference::{self, Native};
use crate::*;
use core::cell::Cell;
use std::vec;
use std::vec::Vec;

/// Sizes at which arithmetic goes wrong, among ordinary ones.
pub(super) const SIZES: [usize; 16] =
    [0, 1, 2, 3, 4, 5, 8, 9, 17, 70, 1 << 31, 1 << 32, usize::MAX / 8, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX];

pub(super) const NUMBERS: [i32; 14] = [0, 1, -1, 2, 3, 15, 16, 63, 255, 256, 32767, -32768, i32::MAX, i32::MIN];

/// Largest buffer that a test makes.
const BYTES_MAX: usize = 1 << 16;

/// Replaces none, one or two of the fields.
pub(super) fn corrupt<T: Copy>(random: &mut Random, fields: &mut [&mut T], values: &[T]) {
    for _ in 0..random.choose(&[0, 0, 1, 1, 2]) {
        let field = random.between(0, fields.len() as i32 - 1) as usize;
        *fields[field] = random.choose(values);
    }
}

pub(super) fn corrupt_codes(random: &mut Random, codes: &mut OutputCodes) {
    corrupt(random, &mut [&mut codes.zero_point, &mut codes.lo, &mut codes.hi], &NUMBERS);
    corrupt(random, &mut [&mut codes.bits], &ActivationBits::ALL);
}

fn corrupt_image(random: &mut Random, image: &mut Image) {
    corrupt(random, &mut [&mut image.height, &mut image.width, &mut image.channels], &SIZES);
}

fn corrupt_window(random: &mut Random, window: &mut Window) {
    let Window { kernel, stride, dilation, pad } = window;
    let fields = kernel.iter_mut().chain(stride).chain(dilation).chain(pad);
    corrupt(random, &mut fields.collect::<Vec<_>>(), &SIZES);
}

/// A tensor for an image, or one of another size where the image's would be too large.
pub(super) fn tensor(random: &mut Random, image: Image, bits: ActivationBits) -> Tensor {
    let mut tensor = match image.bytes_checked(bits) {
        Ok(bytes) if bytes <= BYTES_MAX => random.tensor(image.pixels(), image.channels, bits),
        _ => random.tensor(1, 5, bits),
    };
    let same = tensor.zero_point;
    corrupt(random, &mut [&mut tensor.zero_point], &[same, same, -1, 0, 256]);
    tensor
}

/// The right length for an image, or another where that would be too large; at times one byte off.
pub(super) fn bytes(random: &mut Random, image: Image, bits: ActivationBits) -> usize {
    let bytes = image.bytes_checked(bits).ok().filter(|&bytes| bytes <= BYTES_MAX).unwrap_or(7);
    bytes + random.choose(&[0, 0, 0, 0, 0, 0, 0, 1])
}

pub(super) fn rows(rows: usize, channels: usize) -> Image {
    Image { height: 1, width: rows, channels }
}

#[test]
fn convolution() {
    let mut random = Random::new(40);
    let (shapes, mut accepted, on_planes) = ([shapes(), depthwise_shapes()].concat(), 0, Cell::new(0));
    for _ in 0..60_000 {
        let shape = random.choose(&shapes);
        let bits = [random.choose(&ActivationBits::ALL), random.choose(&ActivationBits::ALL)];
        let accumulator = random.choose(&[Accumulator::I32, Accumulator::I64]);
        if shape.output.pixels() * shape.output.channels * shape.window.taps() > 2000 {
            continue;
        }
        let w_bits = random.choose(&WeightBits::ALL);
        let mut case = Case::random(&mut random, shape, w_bits, bits, accumulator);
        match random.between(0, 5) {
            0 => corrupt_image(&mut random, &mut case.shape.input),
            1 => corrupt_image(&mut random, &mut case.shape.output),
            2 => corrupt(&mut random, &mut [&mut case.shape.groups], &SIZES),
            _ => corrupt_window(&mut random, &mut case.shape.window),
        }
        corrupt_codes(&mut random, &mut case.codes);
        corrupt(&mut random, &mut case.multiplier.iter_mut().collect::<Vec<_>>(), &NUMBERS);
        corrupt(&mut random, &mut case.bias.iter_mut().collect::<Vec<_>>(), &NUMBERS);
        corrupt(&mut random, &mut case.shift.iter_mut().collect::<Vec<_>>(), &[0, 1, 62, 63, 64, 255]);
        case.input = tensor(&mut random, case.shape.input, bits[0]);
        let output_bytes = bytes(&mut random, case.shape.output, case.codes.bits);
        let (outputs, taps) = (case.shape.output.channels, case.shape.window.kernel);
        let inputs = case.shape.input.channels.checked_div(case.shape.groups).unwrap_or(1);
        let row = taps[0].checked_mul(taps[1]).and_then(|taps| taps.checked_mul(inputs));
        let row = row.filter(|&row| row < 4096 && outputs < 16).unwrap_or(3);
        let groups = if outputs < 16 { case.shape.groups } else { 1 };
        let matrix = WeightShape { groups, rows: if outputs < 16 { outputs } else { 1 }, row_len: row };
        case.arrangement = random.choose(&Arrangement::ALL);
        let weights = case.arrangement.bytes(case.weight_bits, &matrix).filter(|&bytes| bytes <= BYTES_MAX).unwrap_or(5);
        case.weights = (0..weights).map(|_| random.next() as u8).collect();
        if !case.arrangement.padding_is_clear(case.weight_bits, &matrix, &case.weights) {
            let codes: Vec<i8> = (0..matrix.rows * row).map(|_| random.next() as i8).collect();
            case.arrangement.arrange(case.weight_bits, &matrix, &codes, &mut case.weights);
        }
        for stage in [&mut case.multiplier, &mut case.bias] {
            stage.resize(outputs.min(100), 1);
        }
        case.shift.resize(outputs.min(100), 1);
        let (conv, input) = (case.conv(), case.input.view());
        if conv.check(input.operand(), output_bytes, usize::MAX).is_err() || conv.macs() > 100_000 {
            continue;
        }
        accepted += 1;
        let least = portable::conv_scratch_bytes_min(&conv, bits[0]);
        // What padding meets there must not matter.
        let rubbish = if matches!(case.arrangement, Arrangement::Pairs | Arrangement::Duals) { 0x77 } else { 0 };
        if let Some(less) = least.checked_sub(1) {
            assert_eq!(conv.check(input.operand(), output_bytes, less), Err(Invalid::ScratchLength));
        }
        same(
            output_bytes,
            &(case.shape, case.codes, case.accumulator, case.input.bits, case.arrangement, case.weight_bits),
            |out| reference::conv::<Native>(&conv, input, out),
            |out| portable::conv(&conv, input, out, &mut vec![rubbish; least]),
        );
        let best = portable::conv_scratch_bytes(&conv, bits[0]);
        same(
            output_bytes,
            &(case.shape, case.codes, case.accumulator, case.input.bits),
            |out| reference::conv::<Native>(&conv, input, out),
            |out| {
                if planes::conv(&Portable, &conv, input, out, &mut vec![0; best]) {
                    on_planes.set(on_planes.get() + 1);
                } else {
                    reference::conv::<Native>(&conv, input, out);
                }
            },
        );
    }
    assert!(accepted > 1000 && on_planes.get() > 300, "{accepted} {}", on_planes.get());
}

#[test]
fn pools() {
    let mut random = Random::new(41);
    let (shapes, mut accepted) = (shapes(), [0; 2]);
    for _ in 0..40_000 {
        let mut shape = random.choose(&shapes);
        shape.output.channels = shape.input.channels;
        match random.between(0, 3) {
            0 => corrupt_image(&mut random, &mut shape.input),
            1 => corrupt_image(&mut random, &mut shape.output),
            _ => corrupt_window(&mut random, &mut shape.window),
        }
        let super::conv::Shape { input, output, window, .. } = shape;
        let mut codes = random.codes(random.clone().choose(&ActivationBits::ALL));
        corrupt_codes(&mut random, &mut codes);
        let input_bits = random.choose(&ActivationBits::ALL);
        let tensor = tensor(&mut random, input, input_bits);
        let mut end = [random.choose(&[0, 1, 2]), random.choose(&[0, 1])];
        let [bottom, right] = &mut end;
        corrupt(&mut random, &mut [bottom, right], &SIZES);
        let mut multiplier: Vec<i32> = (0..40).map(|_| random.between(0, i32::MAX)).collect();
        corrupt(&mut random, &mut multiplier.iter_mut().collect::<Vec<_>>(), &NUMBERS);
        let pool = AveragePool {
            input,
            output,
            window,
            padding: random.choose(&[CountPadding::Exclude, CountPadding::Include { end }]),
            counts: &(1..=40).collect::<Vec<_>>(),
            multiplier: &multiplier,
            shift: &[32; 40],
            codes,
        };
        let output_bytes = bytes(&mut random, output, codes.bits);
        if pool.check(tensor.view().operand(), output_bytes).is_ok() {
            accepted[0] += 1;
            same(
                output_bytes,
                &(pool, tensor.bits),
                |out| reference::average_pool(&pool, tensor.view(), out),
                |out| portable::average_pool(&pool, tensor.view(), out),
            );
        }
        let pool = MaxPool { input, output, window };
        let output_bytes = bytes(&mut random, output, input_bits);
        if pool.check(tensor.view().operand(), output_bytes).is_ok() {
            accepted[1] += 1;
            same(
                output_bytes,
                &(pool, tensor.bits),
                |out| reference::max_pool(&pool, tensor.view(), out),
                |out| portable::max_pool(&pool, tensor.view(), out),
            );
        }
    }
    assert!(accepted.into_iter().all(|count| count > 1000), "{accepted:?}");
}

#[test]
fn elementwise() {
    let mut random = Random::new(42);
    let mut accepted = [0; 6];
    for _ in 0..40_000 {
        let mut size = [random.between(1, 5) as usize, random.between(1, 70) as usize];
        let [height, channels] = &mut size;
        corrupt(&mut random, &mut [height, channels], &SIZES);
        let [height, channels] = size;
        let bits = [0; 3].map(|_| random.choose(&ActivationBits::ALL));
        let mut codes = random.codes(bits[2]);
        corrupt_codes(&mut random, &mut codes);
        let (mut multiplier, mut other) = (random.between(0, i32::MAX), random.between(0, i32::MAX));
        corrupt(&mut random, &mut [&mut multiplier, &mut other], &NUMBERS);
        let shift = random.choose(&[0, 1, 20, 30, 31, 32, 40, 62, 63, 255]);
        let broadcast = random.between(0, 1) == 0;
        let image = rows(height, channels);
        let a = tensor(&mut random, image, bits[0]);
        let b = tensor(&mut random, rows(if broadcast { 1 } else { height }, channels), bits[1]);
        let output_bytes = bytes(&mut random, image, codes.bits);
        let (va, vb) = (a.view(), b.view());
        let add = Add {
            rows: height,
            channels,
            broadcast,
            subtract: random.between(0, 1) == 0,
            multiplier_a: multiplier,
            multiplier_b: other,
            shift,
            codes,
        };
        if add.check(va.operand(), vb.operand(), output_bytes).is_ok() {
            accepted[0] += 1;
            let one = |out: &mut [u8]| reference::add(&add, va, vb, out);
            same(output_bytes, &(add, bits), one, |out| portable::add(&add, va, vb, out));
        }
        let mul = Mul { rows: height, channels, broadcast, multiplier, shift, codes };
        if mul.check(va.operand(), vb.operand(), output_bytes).is_ok() {
            accepted[1] += 1;
            let one = |out: &mut [u8]| reference::mul(&mul, va, vb, out);
            same(output_bytes, &(mul, bits), one, |out| portable::mul(&mul, va, vb, out));
        }
        let params = Requantize { rows: height, channels, multiplier, shift, codes };
        if params.check(va.operand(), output_bytes).is_ok() {
            accepted[2] += 1;
            let one = |out: &mut [u8]| reference::requantize(&params, va, out);
            same(output_bytes, &(params, bits), one, |out| portable::requantize(&params, va, out));
        }
        let len = Table::entries_bytes(bits[0], codes.bits) + random.choose(&[0, 0, 0, 1]);
        let entries: Vec<u8> = match random.between(0, 3) {
            0 => (0..len).map(|_| random.next() as u8).collect(),
            _ => vec![0; len],
        };
        let table = Table { rows: height, channels, entries: &entries, bits: codes.bits };
        if table.check(va.operand(), output_bytes).is_ok() {
            accepted[3] += 1;
            let one = |out: &mut [u8]| reference::table(&table, va, out);
            same(output_bytes, &bits, one, |out| portable::table(&table, va, out));
        }
        let slopes = channels.clamp(1, 80) + random.choose(&[0, 0, 0, 1]);
        let mut slope_multiplier: Vec<i32> = (0..slopes).map(|_| random.between(-i32::MAX, i32::MAX)).collect();
        corrupt(&mut random, &mut slope_multiplier.iter_mut().collect::<Vec<_>>(), &NUMBERS);
        let slope_shift = vec![shift; slopes];
        let prelu =
            Prelu { rows: height, channels, multiplier, shift, slope_multiplier: &slope_multiplier, slope_shift: &slope_shift, codes };
        if prelu.check(va.operand(), output_bytes).is_ok() {
            accepted[5] += 1;
            let one = |out: &mut [u8]| reference::prelu(&prelu, va, out);
            same(output_bytes, &(prelu, bits), one, |out| portable::prelu(&prelu, va, out));
        }
        let one = random.choose(&[0, 1, 255, 32767, Softmax::ONE_MAX, u32::MAX]);
        let softmax = Softmax { rows: height, channels, multiplier, shift, bits: codes.bits, one };
        if softmax.check(va.operand(), output_bytes).is_ok() {
            accepted[4] += 1;
            let one = |out: &mut [u8]| reference::softmax(&softmax, va, out);
            same(output_bytes, &(softmax, bits), one, |out| portable::softmax(&softmax, va, out));
        }
    }
    assert!(accepted.into_iter().all(|count| count > 1000), "{accepted:?}");
}

#[test]
fn resizes() {
    let mut random = Random::new(44);
    let mut accepted = [0; 2];
    for _ in 0..40_000 {
        let mut size = || random.between(1, 5) as usize;
        let (mut input, mut output) =
            (Image { height: size(), width: size(), channels: size() }, Image { height: size(), width: size(), channels: 1 });
        output.channels = input.channels;
        let mut coordinates = |count: usize, size: usize| -> Vec<u32> {
            let last = (size as i32 - 1) << Resize::FRACTION_BITS;
            (0..count).map(|_| random.choose(&[0, last, last / 2, last + 2047]) as u32).collect()
        };
        let (mut rows, mut columns) = (coordinates(output.height, input.height), coordinates(output.width, input.width));
        match random.between(0, 4) {
            0 => corrupt_image(&mut random, &mut input),
            1 => corrupt_image(&mut random, &mut output),
            2 => corrupt(&mut random, &mut rows.iter_mut().chain(&mut columns).collect::<Vec<_>>(), &[2048, 4096, 10 << 11, u32::MAX]),
            _ => {}
        }
        let bits = random.choose(&ActivationBits::ALL);
        let mut codes = random.codes(random.clone().choose(&ActivationBits::ALL));
        corrupt_codes(&mut random, &mut codes);
        let nearest = random.between(0, 1) == 0;
        if nearest {
            codes.bits = bits;
            rows.iter_mut().chain(&mut columns).for_each(|coordinate| *coordinate &= !2047);
        }
        let multiplier = random.choose(&[0, 1, 1 << 22, (1 << 23) - 1, 1 << 23, i32::MAX, -1]);
        let rescale = Rescale { multiplier, shift: random.choose(&[1, 40, 52, 62, 63]) };
        let resize = Resize { input, output, rows: &rows, columns: &columns, rescale: (!nearest).then_some(rescale), codes };
        let tensor = tensor(&mut random, input, bits);
        let output_bytes = bytes(&mut random, output, codes.bits);
        if resize.check(tensor.view().operand(), output_bytes).is_ok() {
            accepted[usize::from(nearest)] += 1;
            let one = |out: &mut [u8]| reference::resize(&resize, tensor.view(), out);
            same(output_bytes, &(resize, bits), one, |out| portable::resize(&resize, tensor.view(), out));
        }
    }
    assert!(accepted.into_iter().all(|count| count > 1000), "{accepted:?}");
}

#[test]
fn movement() {
    let mut random = Random::new(43);
    let mut accepted = [0; 4];
    for _ in 0..60_000 {
        let bits = random.choose(&ActivationBits::ALL);
        let mut size = || random.between(1, 5) as usize;
        let mut input = Image { height: size(), width: size(), channels: size() };
        let mut before = [size() - 1, size() - 1, size() - 1];
        let mut output = Image {
            height: input.height + before[0] + size() - 1,
            width: input.width + before[1] + size() - 1,
            channels: input.channels + before[2] + size() - 1,
        };
        let mut step = [1, 1, size()];
        match random.between(0, 3) {
            0 => corrupt_image(&mut random, &mut input),
            1 => corrupt_image(&mut random, &mut output),
            2 => corrupt(&mut random, &mut step.iter_mut().collect::<Vec<_>>(), &SIZES),
            _ => corrupt(&mut random, &mut before.iter_mut().collect::<Vec<_>>(), &SIZES),
        }
        let tensor_in = tensor(&mut random, input, bits);
        let output_bytes = bytes(&mut random, output, bits);
        let pad = Pad { input, output, before, code: random.choose(&NUMBERS) };
        if pad.check(tensor_in.view().operand(), output_bytes).is_ok() {
            accepted[0] += 1;
            let one = |out: &mut [u8]| reference::pad(&pad, tensor_in.view(), out);
            same(output_bytes, &(pad, bits), one, |out| portable::pad(&pad, tensor_in.view(), out));
        }
        let tensor_in = tensor(&mut random, output, bits);
        let mut small = Image { height: 1, width: 1, channels: 1 };
        corrupt_image(&mut random, &mut small);
        let output_bytes = bytes(&mut random, small, bits);
        let slice = Slice { input: output, output: small, begin: before, step };
        if slice.check(tensor_in.view().operand(), output_bytes).is_ok() {
            accepted[1] += 1;
            let one = |out: &mut [u8]| reference::slice(&slice, tensor_in.view(), out);
            same(output_bytes, &(slice, bits), one, |out| portable::slice(&slice, tensor_in.view(), out));
        }

        let mut part = ConcatPart {
            outer: random.between(1, 3) as usize,
            input_rows: random.between(1, 3) as usize,
            output_rows: 3,
            row_offset: 0,
            input_channels: random.between(1, 4) as usize,
            output_channels: 5,
            channel_offset: random.between(0, 1) as usize,
            rescale: Some(Rescale { multiplier: random.choose(&NUMBERS), shift: random.choose(&[1, 40, 62, 63]) }),
            codes: random.codes(bits),
        };
        if random.between(0, 1) == 0 {
            part.rescale = None;
        }
        corrupt_codes(&mut random, &mut part.codes);
        let ConcatPart { outer, input_rows, output_rows, row_offset, .. } = &mut part;
        corrupt(&mut random, &mut [outer, input_rows, output_rows, row_offset], &SIZES);
        let ConcatPart { input_channels, output_channels, channel_offset, .. } = &mut part;
        corrupt(&mut random, &mut [input_channels, output_channels, channel_offset], &SIZES);
        let input = rows(part.outer.wrapping_mul(part.input_rows), part.input_channels);
        let output = rows(part.outer.wrapping_mul(part.output_rows), part.output_channels);
        let tensor_in = tensor(&mut random, input, bits);
        let output_bytes = bytes(&mut random, output, part.codes.bits);
        if part.check(tensor_in.view().operand(), output_bytes).is_ok() {
            accepted[2] += 1;
            let run = |kernel: fn(&ConcatPart, Activations<'_>, &mut [u8]), out: &mut [u8]| {
                // Both keep what is around the part.
                out.fill(0x5a);
                kernel(&part, tensor_in.view(), out);
            };
            same(
                output_bytes,
                &(part, bits),
                |out| run(reference::concat_part, out),
                |out| {
                    run(portable::concat_part, out);
                },
            );
        }

        let mut shape = [0; RANK_MAX].map(|_| random.between(1, 3) as usize);
        let mut axes = random.choose(&[[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 2, 4, 3]]);
        corrupt(&mut random, &mut shape.iter_mut().collect::<Vec<_>>(), &SIZES);
        corrupt(&mut random, &mut axes.iter_mut().collect::<Vec<_>>(), &SIZES);
        let transpose = Transpose { shape, axes };
        let image = |[lead @ .., channels]: [usize; RANK_MAX]| rows(lead.into_iter().fold(1, usize::wrapping_mul), channels);
        let tensor_in = tensor(&mut random, image(shape), bits);
        let output_bytes = bytes(&mut random, image(transpose.output_shape()), bits);
        if transpose.check(tensor_in.view().operand(), output_bytes).is_ok() {
            accepted[3] += 1;
            let one = |out: &mut [u8]| reference::transpose(&transpose, tensor_in.view(), out);
            same(output_bytes, &(transpose, bits), one, |out| {
                portable::transpose(&transpose, tensor_in.view(), out);
            });
        }
    }
    assert!(accepted.into_iter().all(|count| count > 1000), "{accepted:?}");
}
