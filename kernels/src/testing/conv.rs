//! Runner for convolution kernels.

use super::{Random, Tensor};
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Arrangement, Conv, Image, OutputStage, WeightBits, Window, pack};
use alloc::vec;
use alloc::vec::Vec;

/// A convolution with its data.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) weight_bits: WeightBits,
    pub(crate) accumulator: Accumulator,
    pub(crate) arrangement: Arrangement,
    pub(crate) weights: Vec<u8>,
    pub(crate) bias: Vec<i32>,
    pub(crate) multiplier: Vec<i32>,
    pub(crate) shift: Vec<u8>,
    pub(crate) codes: crate::OutputCodes,
    pub(crate) input: Tensor,
}

/// Geometry of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) input: Image,
    pub(crate) output: Image,
    pub(crate) window: Window,
    pub(crate) groups: usize,
}

impl Case {
    pub(crate) fn random(
        random: &mut Random,
        shape: Shape,
        weight_bits: WeightBits,
        [input_bits, output_bits]: [ActivationBits; 2],
        accumulator: Accumulator,
    ) -> Self {
        let outputs = shape.output.channels;
        let row_len = shape.window.taps() * shape.input.channels / shape.groups;
        let row_bytes = pack::weight_row_bytes(weight_bits, row_len);
        let mut weights = vec![0; outputs * row_bytes];
        for row in weights.chunks_exact_mut(row_bytes) {
            let values = random.values(weight_bits.lo(), weight_bits.hi(), row_len);
            let values: Vec<i8> = values.into_iter().map(|value| value as i8).collect();
            pack::pack_weights(weight_bits, &values, row);
        }
        let largest_code = f64::from(input_bits.hi().max(-input_bits.lo()));
        let magnitude = row_len as f64 * largest_code * f64::from(-weight_bits.lo());
        let stages: Vec<_> = (0..outputs).map(|_| random.rescale(accumulator.multiplier_max(), magnitude / 4.0, output_bits)).collect();
        let bias_max = (magnitude / 8.0).min(1e9) as i32;
        Self {
            shape,
            weight_bits,
            accumulator,
            arrangement: Arrangement::RowMajor,
            weights,
            bias: (0..outputs).map(|_| random.between(-bias_max, bias_max)).collect(),
            multiplier: stages.iter().map(|stage| stage.0).collect(),
            shift: stages.iter().map(|stage| stage.1).collect(),
            codes: random.codes(output_bits),
            input: random.tensor(shape.input.pixels(), shape.input.channels, input_bits),
        }
    }

    pub(crate) fn conv(&self) -> Conv<'_> {
        Conv {
            input: self.shape.input,
            output: self.shape.output,
            window: self.shape.window,
            groups: self.shape.groups,
            weight_bits: self.weight_bits,
            arrangement: self.arrangement,
            weights: &self.weights,
            accumulator: self.accumulator,
            stage: OutputStage {
                bias: &self.bias,
                multiplier: &self.multiplier,
                shift: &self.shift,
                zero_point: self.codes.zero_point,
                lo: self.codes.lo,
                hi: self.codes.hi,
                bits: self.codes.bits,
            },
        }
    }

    /// The same convolution with its weights in another order.
    pub(crate) fn arranged(self, arrangement: Arrangement) -> Self {
        let (conv, shape) = (self.conv(), self.conv().weight_shape());
        let mut codes = Vec::with_capacity(shape.rows * shape.row_len);
        for row in 0..shape.rows {
            codes.extend((0..shape.row_len).map(|index| conv.weight(row, index) as i8));
        }
        let mut weights = vec![0; arrangement.bytes(self.weight_bits, &shape).unwrap()];
        arrangement.arrange(self.weight_bits, &shape, &codes, &mut weights);
        Self { arrangement, weights, ..self }
    }

    pub(crate) fn output_bytes(&self) -> usize {
        self.shape.output.bytes(self.codes.bits)
    }
}

/// A convolution that is as large as its padding on all sides (`[top, left, bottom, right]`) makes it.
pub(crate) fn shape(
    [height, width]: [usize; 2],
    [inputs, outputs]: [usize; 2],
    window: Window,
    [bottom, right]: [usize; 2],
    groups: usize,
) -> Shape {
    let extent = |axis: usize, input: usize, end: usize| {
        let span = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        (input + window.pad[axis] + end).saturating_sub(span) / window.stride[axis] + 1
    };
    Shape {
        input: Image { height, width, channels: inputs },
        output: Image { height: extent(0, height, bottom), width: extent(1, width, right), channels: outputs },
        window,
        groups,
    }
}

pub(crate) fn window(kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2], pad: [usize; 2]) -> Window {
    Window { kernel, stride, dilation, pad }
}

/// Geometries on both sides of every boundary: lanes, blocks of columns, bytes of packed codes, edges of the image.
pub(crate) fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    let three = window([3, 3], [1, 1], [1, 1], [1, 1]);
    for channels in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        shapes.push(shape([2, 3], [channels, 5], Window::POINT, [0, 0], 1));
        shapes.push(shape([1, 1], [3, channels], Window::POINT, [0, 0], 1));
        shapes.push(shape([4, 3], [channels, channels], three, [1, 1], channels));
        shapes.push(shape([3, 2], [channels, 2], three, [1, 1], 1));
    }
    // More pixels than a block of columns has.
    for width in [63, 64, 65, 129] {
        shapes.push(shape([1, width], [3, 2], Window::POINT, [0, 0], 1));
    }
    // Columns so long that a block has the fewest.
    shapes.push(shape([3, 5], [300, 3], three, [1, 1], 1));
    for stride in [1, 2, 3] {
        for dilation in [1, 2] {
            for pad in [[0, 0], [1, 0], [0, 2], [2, 1]] {
                let window = window([3, 2], [stride, 2], [dilation, 1], pad);
                shapes.push(shape([7, 6], [4, 3], window, [pad[1], pad[0]], 1));
                shapes.push(shape([7, 6], [6, 4], window, [pad[1], 0], 2));
                shapes.push(shape([7, 6], [5, 5], window, [0, pad[0]], 5));
                shapes.push(shape([7, 6], [3, 6], window, [0, pad[0]], 3));
            }
        }
    }
    for kernel in [[1, 3], [3, 1], [5, 5], [7, 2], [4, 4]] {
        let wide = window(kernel, [1, 1], [1, 1], [kernel[0] / 2, kernel[1] / 2]);
        shapes.push(shape([5, 6], [3, 4], wide, [kernel[0] / 2, kernel[1] / 2], 1));
        shapes.push(shape([5, 6], [18, 18], wide, [kernel[0] / 2, kernel[1] / 2], 18));
        shapes.push(shape([5, 6], [6, 9], wide, [kernel[0] / 2, kernel[1] / 2], 3));
    }
    // Strided and padded pointwise; a window that meets padding alone; a dilation wider than the image.
    shapes.push(shape([5, 5], [9, 4], window([1, 1], [2, 2], [1, 1], [0, 0]), [0, 0], 1));
    shapes.push(shape([3, 3], [9, 4], window([1, 1], [1, 1], [1, 1], [2, 1]), [1, 2], 1));
    shapes.push(shape([2, 2], [4, 4], window([3, 3], [2, 2], [1, 1], [5, 4]), [4, 5], 1));
    shapes.push(shape([2, 2], [4, 4], window([3, 3], [1, 1], [4, 5], [4, 5]), [4, 5], 4));
    shapes.push(shape([2, 2], [4, 4], window([3, 3], [1, 1], [4, 5], [4, 5]), [4, 5], 1));
    shapes
}

/// Larger geometries, on both sides of the boundaries of wide vectors: panels, tiles, blocks of channels, rows whose
/// windows lie inside the image.
pub(crate) fn wide_shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    let three = |stride| window([3, 3], [stride; 2], [1, 1], [1, 1]);
    for channels in [8, 16, 32, 63, 64, 65, 96, 130] {
        for stride in [1, 2] {
            shapes.push(shape([5, 13], [channels, channels], three(stride), [1, 1], channels));
        }
    }
    shapes.push(shape([9, 11], [32, 32], window([5, 5], [1, 1], [1, 1], [2, 2]), [2, 2], 32));
    shapes.push(shape([9, 11], [20, 20], window([3, 3], [1, 1], [2, 2], [2, 2]), [2, 2], 20));
    // More taps than are kept, and one that leaves each remainder of four.
    shapes.push(shape([10, 10], [3, 3], window([9, 9], [1, 1], [1, 1], [4, 4]), [4, 4], 3));
    for kernel in [[1, 2], [1, 3], [2, 2], [1, 5]] {
        shapes.push(shape([3, 9], [70, 70], window(kernel, [1, 1], [1, 1], [0, 1]), [0, 1], 70));
    }
    // Several passes of several panels; several segments of a column; tiles of every size.
    shapes.push(shape([4, 9], [40, 70], three(1), [1, 1], 1));
    shapes.push(shape([2, 5], [101, 33], three(1), [1, 1], 1));
    shapes.push(shape([2, 5], [132, 33], three(1), [1, 1], 1));
    for width in 1..20 {
        shapes.push(shape([1, width], [12, 17], Window::POINT, [0, 0], 1));
        shapes.push(shape([2, width], [3, 17], three(2), [1, 1], 1));
    }
    shapes.push(shape([3, 9], [48, 96], three(1), [1, 1], 3));
    shapes
}

/// Depthwise geometries, on both sides of the boundaries of four channels, blocks of four and six outputs, strips of rows.
pub(crate) fn depthwise_shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for stride in [1, 2] {
        for width in 1..17 {
            let three = window([3, 3], [stride; 2], [1, 1], [1, 1]);
            shapes.push(shape([3, width], [4, 4], three, [1, 1], 4));
        }
        for channels in [1, 2, 3, 5, 7, 8, 9, 12] {
            let three = window([3, 3], [stride; 2], [1, 1], [0, 1]);
            shapes.push(shape([7, 6], [channels, channels], three, [1, 0], channels));
            shapes.push(shape([4, 7], [channels, 2 * channels], three, [1, 2], channels));
        }
        for kernel in [[1, 1], [1, 4], [2, 2], [3, 1], [3, 2], [3, 4], [1, 3], [3, 5], [5, 5], [7, 7], [2, 6], [9, 8]] {
            for [top, left] in [[0, 0], [kernel[0] / 2, kernel[1] / 2], [1, 3]] {
                let wide = window(kernel, [stride, stride], [1, 1], [top, left]);
                shapes.push(shape([kernel[0] + 2, kernel[1] + 6], [8, 8], wide, [top, left], 8));
            }
        }
    }
    for (stride, dilation) in [([3, 3], [1, 1]), ([1, 3], [2, 1]), ([1, 1], [2, 2]), ([2, 2], [3, 2]), ([1, 2], [2, 1])] {
        let three = window([3, 3], stride, dilation, [2, 1]);
        shapes.push(shape([11, 12], [5, 5], three, [1, 2], 5));
    }
    // Several strips.
    shapes.push(shape([40, 9], [4, 4], window([3, 3], [1, 1], [1, 1], [1, 1]), [1, 1], 4));
    shapes.push(shape([41, 30], [4, 4], window([3, 3], [2, 2], [1, 1], [1, 1]), [1, 1], 4));
    // Padding wider than the rows of a plane; an input that is wider than what is read.
    shapes.push(shape([2, 2], [4, 4], window([3, 3], [2, 2], [1, 1], [5, 40]), [4, 0], 4));
    let mut narrow = shape([5, 20], [4, 4], window([3, 3], [1, 1], [1, 1], [1, 1]), [1, 1], 4);
    narrow.output.width = 3;
    shapes.push(narrow);
    shapes
}

/// Compares a kernel with the reference on every geometry, at every pair of widths, with both accumulators.
#[track_caller]
pub(crate) fn check(seed: u64, kernel: impl Fn(&Conv<'_>, Activations<'_>, &mut [u8])) {
    check_shapes(seed, shapes(), kernel);
}

/// As [`check`], on those geometries.
#[track_caller]
pub(crate) fn check_shapes(seed: u64, shapes: Vec<Shape>, kernel: impl Fn(&Conv<'_>, Activations<'_>, &mut [u8])) {
    check_arranged(Arrangement::RowMajor, seed, shapes, kernel);
}

/// As [`check_shapes`], with weights in that order for the kernel, and row by row for the reference.
#[track_caller]
pub(crate) fn check_arranged(
    arrangement: Arrangement,
    seed: u64,
    shapes: Vec<Shape>,
    kernel: impl Fn(&Conv<'_>, Activations<'_>, &mut [u8]),
) {
    check_widths(arrangement, seed, shapes, &kernel);
    check_bounds(arrangement, kernel);
}

/// As [`check_arranged`], without the long rows that bring accumulators to their bounds.
#[track_caller]
pub(crate) fn check_widths(
    arrangement: Arrangement,
    seed: u64,
    shapes: Vec<Shape>,
    kernel: impl Fn(&Conv<'_>, Activations<'_>, &mut [u8]),
) {
    let mut random = Random::new(seed);
    for shape in shapes {
        for weight_bits in WeightBits::ALL {
            for input_bits in ActivationBits::ALL {
                for accumulator in [Accumulator::I32, Accumulator::I64] {
                    let output_bits = random.choose(&ActivationBits::ALL);
                    let bits = [input_bits, output_bits];
                    let case = Case::random(&mut random, shape, weight_bits, bits, accumulator);
                    check_case(&case, arrangement, &kernel);
                }
            }
        }
    }
    // Every triple of widths.
    let shape = shape([3, 3], [5, 6], window([2, 2], [1, 1], [1, 1], [1, 0]), [0, 1], 1);
    for weight_bits in WeightBits::ALL {
        for input_bits in ActivationBits::ALL {
            for output_bits in ActivationBits::ALL {
                let bits = [input_bits, output_bits];
                let case = Case::random(&mut random, shape, weight_bits, bits, Accumulator::I32);
                check_case(&case, arrangement, &kernel);
            }
        }
    }
}

#[track_caller]
fn check_case(case: &Case, arrangement: Arrangement, kernel: &impl Fn(&Conv<'_>, Activations<'_>, &mut [u8])) {
    let (conv, arranged) = (case.conv(), case.clone().arranged(arrangement));
    let other = arranged.conv();
    let (input, bytes) = (case.input.view(), case.output_bytes());
    other.check(input.operand(), bytes, usize::MAX).unwrap();
    let what = (&case.shape, case.weight_bits, case.input.bits, case.codes, case.accumulator);
    super::same(bytes, &what, |out| reference::conv::<Native>(&conv, input, out), |out| kernel(&other, input, out));
}

/// Accumulators at their bounds: 2^31 - 1, -2^31 and 2^39 - 1, from the longest rows of the largest products.
#[track_caller]
fn check_bounds(arrangement: Arrangement, kernel: impl Fn(&Conv<'_>, Activations<'_>, &mut [u8])) {
    let cases = [
        (Accumulator::I32, 511, -128, -32768, (1 << 22) - 1, (1i64 << 31) - 1),
        (Accumulator::I32, 511, -128, 32767, -(511 * 128) - (1 << 22), -(1i64 << 31)),
        (Accumulator::I64, 131_071, -128, -32768, (1 << 22) - 1, (1i64 << 39) - 1),
        (Accumulator::I64, 131_071, -128, 32767, -(1 << 22), -(131_071i64 << 22) + 131_071 * 128 - (1 << 22)),
    ];
    for (accumulator, inputs, weight, code, bias, acc) in cases {
        let (a8, w8) = (ActivationBits::A16, WeightBits::W8);
        let shape = shape([1, 1], [inputs, 1], Window::POINT, [0, 0], 1);
        let mut case = Case::random(&mut Random::new(1), shape, w8, [a8, ActivationBits::A16], accumulator);
        case.weights.fill(weight as i8 as u8);
        case = case.arranged(arrangement);
        case.input.codes.chunks_exact_mut(2).for_each(|pair| pair.copy_from_slice(&(code as i16).to_le_bytes()));
        case.bias = vec![bias];
        for m in [accumulator.multiplier_max(), accumulator.multiplier_max() / 2 + 1] {
            for r in 1..=62 {
                case.multiplier = vec![m];
                case.shift = vec![r];
                case.codes = crate::OutputCodes::full(ActivationBits::A16, 0);
                let mut out = [0; 2];
                kernel(&case.conv(), case.input.view(), &mut out);
                let exact = ((i128::from(acc) * i128::from(m) + (1 << (r - 1))) >> r).clamp(-32768, 32767);
                assert_eq!(i128::from(i16::from_le_bytes(out)), exact, "{accumulator:?} {acc} {m} {r}");
            }
        }
    }
}
