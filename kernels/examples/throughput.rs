//! Multiply-accumulates per second of this processor's kernels, of the portable ones, and of the reference on BitBricks,
//! on one core.
//!
//! `cargo run --release -p apq-kernels --example throughput`. Every layer's answer is compared with the reference's.

use apq_kernels::bitfused::BitFused;
use apq_kernels::reference::{self, Native};
use apq_kernels::{
    Accumulator, ActivationBits, Activations, Add, Arrangement, AveragePool, Conv, CountPadding, Image, OutputCodes, OutputStage,
    Requantize, WeightBits, Window, native, portable,
};
use std::time::Instant;

type Convolve = fn(&Conv<'_>, Activations<'_>, &mut [u8], &mut [u8]);

fn main() {
    let (w8, a8, a16) = (WeightBits::W8, ActivationBits::A8, ActivationBits::A16);
    let point = Window::POINT;
    let three = |stride| Window { kernel: [3, 3], stride: [stride; 2], dilation: [1; 2], pad: [1; 2] };
    println!("{:<44}{:>10}{:>12}{:>12}", "convolution", "M MAC", "ms", "GMAC/s");
    for (name, side, inputs, outputs, window, groups, w_bits, a_bits) in [
        ("first 3x3 s2 3-32 at 224", 224, 3, 32, three(2), 1, w8, a8),
        ("1x1 16-96 at 112", 112, 16, 96, point, 1, w8, a8),
        ("1x1 96-24 at 56", 56, 96, 24, point, 1, w8, a8),
        ("1x1 64-384 at 14", 14, 64, 384, point, 1, w8, a8),
        ("1x1 960-320 at 7", 7, 960, 320, point, 1, w8, a8),
        ("3x3 16-16 at 32", 32, 16, 16, three(1), 1, w8, a8),
        ("3x3 64-64 at 28", 28, 64, 64, three(1), 1, w8, a8),
        ("3x3 512-512 at 7", 7, 512, 512, three(1), 1, w8, a8),
        ("3x3 128-128 in 4 groups at 14", 14, 128, 128, three(1), 4, w8, a8),
        ("3x3 64-64 at 28, W4A4", 28, 64, 64, three(1), 1, WeightBits::W4, ActivationBits::A4),
        ("3x3 64-64 at 28, W2A2", 28, 64, 64, three(1), 1, WeightBits::W2, ActivationBits::A2),
        ("3x3 64-64 at 28, W6A6", 28, 64, 64, three(1), 1, WeightBits::W6, ActivationBits::A6),
        ("3x3 64-64 at 28, W8A16", 28, 64, 64, three(1), 1, w8, a16),
        ("depthwise 3x3 96 at 112", 112, 96, 96, three(1), 96, w8, a8),
        ("depthwise 3x3 s2 144 at 56", 56, 144, 144, three(2), 144, w8, a8),
        ("depthwise 3x3 384 at 14, A4", 14, 384, 384, three(1), 384, w8, ActivationBits::A4),
        ("depthwise 3x3 384 at 14, A16", 14, 384, 384, three(1), 384, w8, a16),
        ("fully connected 1280-1000", 1, 1280, 1000, point, 1, w8, a8),
    ] {
        let input = Image { height: side, width: side, channels: inputs };
        let side = side.div_ceil(window.stride[0]);
        let output = Image { height: side, width: side, channels: outputs };
        let data = Data::new(input, output, window.taps() * inputs / groups, w_bits, a_bits);
        let conv = data.conv(input, output, window, groups, w_bits);
        let view = Activations { codes: &data.codes, bits: a_bits, zero_point: data.zero_point };
        let mut scratch = vec![0; portable::conv_scratch_bytes(&conv, a_bits)];
        let mut out = vec![0; output.bytes(a8)];
        conv.check(view.operand(), out.len(), scratch.len()).expect("the layers above are valid");
        let mut expected = vec![0; out.len()];
        reference::conv::<Native>(&conv, view, &mut expected);
        for (prefix, kernel) in [("", native::conv as Convolve), ("  portable: ", portable::conv)] {
            let seconds = fastest(|| kernel(&conv, view, &mut out, &mut scratch));
            line(&format!("{prefix}{name}"), conv.macs(), seconds);
            assert!(out == expected, "{name} differs from the reference");
        }
        if name.starts_with("1x1 64-384") || name.starts_with("3x3 64-64 at 28, W8A16") {
            let seconds = fastest(|| reference::conv::<Native>(&conv, view, &mut out));
            line("  the same, reference", conv.macs(), seconds);
            let seconds = fastest(|| reference::conv::<BitFused>(&conv, view, &mut out));
            line("  the same, BitBricks", conv.macs(), seconds);
            assert!(out == expected, "{name} differs on BitBricks");
        }
    }
    elementwise();
}

/// Codes per second of the operators that do not multiply and accumulate.
fn elementwise() {
    let (a8, image) = (ActivationBits::A8, Image { height: 56, width: 56, channels: 96 });
    let count = image.bytes(a8);
    let codes: Vec<u8> = (0..count).map(|index| ((index * 7919) >> 3) as u8).collect();
    let view = Activations { codes: &codes, bits: a8, zero_point: 3 };
    let mut out = vec![0; count];
    println!("\n{:<44}{:>10}{:>12}{:>12}", "operator", "M codes", "ms", "Gcode/s");
    let (rows, channels, output) = (image.pixels(), image.channels, OutputCodes::full(a8, 5));
    let add =
        Add { rows, channels, broadcast: false, subtract: false, multiplier_a: 1_500_000, multiplier_b: 900_000, shift: 21, codes: output };
    line("add", count, fastest(|| native::add(&add, view, view, &mut out)));
    let requantize = Requantize { rows, channels, multiplier: 1_500_000_000, shift: 31, codes: output };
    line("requantize", count, fastest(|| native::requantize(&requantize, view, &mut out)));
    let pool = AveragePool {
        input: image,
        output: Image { height: 1, width: 1, channels },
        window: Window { kernel: [56, 56], stride: [1; 2], dilation: [1; 2], pad: [0; 2] },
        padding: CountPadding::Exclude,
        counts: &[56 * 56],
        multiplier: &[1_369_568_000],
        shift: &[42],
        codes: output,
    };
    line("global average pool", count, fastest(|| native::average_pool(&pool, view, &mut out[..channels])));
}

/// Weights, codes and an output stage with no pattern that a kernel could profit from.
struct Data {
    weights: Vec<u8>,
    codes: Vec<u8>,
    zero_point: i32,
    bias: Vec<i32>,
    multiplier: Vec<i32>,
    shift: Vec<u8>,
}

impl Data {
    fn new(input: Image, output: Image, row_len: usize, w_bits: WeightBits, a_bits: ActivationBits) -> Self {
        let mut state = 1u64;
        let mut bytes = |count: usize, mask: u8| -> Vec<u8> {
            (0..count)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8 & mask
                })
                .collect()
        };
        let mask = if a_bits == ActivationBits::A6 { 63 } else { 255 };
        let scale = (row_len as f64).sqrt() * f64::from(1 << (w_bits.bits() + a_bits.bits() - 2)) / 64.0;
        Self {
            weights: bytes(output.channels * apq_kernels::pack::weight_row_bytes(w_bits, row_len), 255),
            codes: bytes(input.bytes(a_bits), mask),
            zero_point: if a_bits == ActivationBits::A16 { 0 } else { 1 },
            bias: vec![12; output.channels],
            multiplier: vec![1_234_567_890; output.channels],
            shift: vec![30 + scale.log2().ceil().max(0.0) as u8; output.channels],
        }
    }

    fn conv(&self, input: Image, output: Image, window: Window, groups: usize, weight_bits: WeightBits) -> Conv<'_> {
        Conv {
            input,
            output,
            window,
            groups,
            weight_bits,
            arrangement: Arrangement::RowMajor,
            weights: &self.weights,
            accumulator: Accumulator::I32,
            stage: OutputStage {
                bias: &self.bias,
                multiplier: &self.multiplier,
                shift: &self.shift,
                zero_point: 128,
                lo: 0,
                hi: 255,
                bits: ActivationBits::A8,
            },
        }
    }
}

/// Seconds of the fastest run in a tenth of a second.
fn fastest(mut run: impl FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed().as_secs_f64() < 0.1 {
        let begin = Instant::now();
        run();
        best = best.min(begin.elapsed().as_secs_f64());
    }
    best
}

fn line(name: &str, count: usize, seconds: f64) {
    let millions = count as f64 / 1e6;
    println!("{name:<44}{millions:>10.2}{:>12.3}{:>12.2}", seconds * 1e3, millions / 1e3 / seconds);
}
