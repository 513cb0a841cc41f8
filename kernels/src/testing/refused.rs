//! What `check` answers to each broken promise, one at a time.

use std::vec::Vec;

use super::Random;
use super::conv::{Case, Shape, shape};
use crate::*;

const CODES: OutputCodes = OutputCodes::full(ActivationBits::A8, 5);

fn operand(bytes: usize, bits: ActivationBits) -> Operand {
    Operand { bytes, bits, zero_point: 0 }
}

/// A 3 x 3 convolution of a 4 x 4 image, 4 to 6 channels in 2 groups, and what its `check` answers.
fn conv(change: impl FnOnce(&mut Case)) -> Result<(), Invalid> {
    let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad: [1, 1] };
    let shape = shape([4, 4], [4, 6], window, [1, 1], 2);
    let (a8, w4) = (ActivationBits::A8, WeightBits::W4);
    let mut case = Case::random(&mut Random::new(50), shape, w4, [a8; 2], Accumulator::I32);
    let (input, output) = (case.input.view().operand(), case.output_bytes());
    change(&mut case);
    let operand = Operand { bits: case.input.bits, zero_point: case.input.zero_point, ..input };
    case.conv().check(operand, output, 1 << 20)
}

#[test]
fn convolution() {
    assert_eq!(conv(|_| ()), Ok(()));
    let shape = |change: fn(&mut Shape)| conv(|case| change(&mut case.shape));
    assert_eq!(shape(|shape| shape.input.height = 0), Err(Invalid::Shape));
    assert_eq!(shape(|shape| shape.input.width = usize::MAX), Err(Invalid::TooLarge));
    assert_eq!(shape(|shape| shape.input.width = 5), Err(Invalid::InputLength));
    assert_eq!(shape(|shape| shape.output.channels = 8), Err(Invalid::OutputLength));
    assert_eq!(shape(|shape| shape.window.stride[1] = 0), Err(Invalid::Window));
    assert_eq!(shape(|shape| shape.window.kernel[0] = 0), Err(Invalid::Window));
    assert_eq!(shape(|shape| shape.window.dilation[0] = usize::MAX), Err(Invalid::TooLarge));
    assert_eq!(shape(|shape| shape.window.pad[0] = usize::MAX), Err(Invalid::TooLarge));
    assert_eq!(shape(|shape| shape.window.kernel = [usize::MAX / 4; 2]), Err(Invalid::TooLarge));
    assert_eq!(shape(|shape| shape.window.kernel[0] = 4), Err(Invalid::WeightLength));
    assert_eq!(shape(|shape| shape.groups = 3), Err(Invalid::Groups));
    assert_eq!(shape(|shape| shape.groups = 0), Err(Invalid::Groups));
    assert_eq!(conv(|case| case.weights.truncate(1)), Err(Invalid::WeightLength));
    assert_eq!(conv(|case| case.bias.truncate(5)), Err(Invalid::StageLength));
    assert_eq!(conv(|case| case.multiplier[3] = -1), Err(Invalid::Multiplier));
    assert_eq!(conv(|case| case.shift[5] = 0), Err(Invalid::Shift));
    assert_eq!(conv(|case| case.shift[5] = 63), Err(Invalid::Shift));
    assert_eq!(conv(|case| case.codes.zero_point = 256), Err(Invalid::ZeroPoint));
    assert_eq!(conv(|case| case.input.zero_point = -1), Err(Invalid::ZeroPoint));
    assert_eq!(conv(|case| case.codes.lo = case.codes.hi + 1), Err(Invalid::Clamp));
    assert_eq!(conv(|case| case.codes.hi = 256), Err(Invalid::Clamp));
    let wide = |multiplier| {
        conv(|case| {
            case.accumulator = Accumulator::I64;
            case.multiplier.fill(multiplier);
        })
    };
    assert_eq!(wide((1 << 23) - 1), Ok(()));
    assert_eq!(wide(1 << 23), Err(Invalid::Multiplier));
}

#[test]
fn pools() {
    let (input, output) = (Image { height: 4, width: 4, channels: 3 }, Image { height: 2, width: 2, channels: 3 });
    let window = Window { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], pad: [0, 0] };
    let codes = operand(48, ActivationBits::A8);
    let pool = MaxPool { input, output, window };
    assert_eq!(pool.check(codes, 12), Ok(()));
    assert_eq!(pool.check(codes, 13), Err(Invalid::OutputLength));
    let far = Window { pad: [2, 0], ..window };
    assert_eq!(MaxPool { window: far, ..pool }.check(codes, 12), Err(Invalid::Window));
    let other = Image { channels: 4, ..output };
    assert_eq!(MaxPool { output: other, ..pool }.check(codes, 16), Err(Invalid::Shape));

    let pool = AveragePool {
        input,
        output,
        window,
        padding: CountPadding::Exclude,
        counts: &[4],
        multiplier: &[1 << 30],
        shift: &[32],
        codes: CODES,
    };
    assert_eq!(pool.check(codes, 12), Ok(()));
    assert_eq!(AveragePool { counts: &[3], ..pool }.check(codes, 12), Err(Invalid::Count));
    assert_eq!(AveragePool { counts: &[4, 2], ..pool }.check(codes, 12), Err(Invalid::StageLength));
    assert_eq!(AveragePool { window: far, ..pool }.check(codes, 12), Err(Invalid::Count));
    // 2^16 elements of -32768: the sum would be -2^31.
    let square = Image { height: 256, width: 256, channels: 1 };
    let pool = AveragePool {
        input: square,
        output: Image { height: 1, width: 1, channels: 1 },
        window: Window { kernel: [256, 256], ..Window::POINT },
        counts: &[1 << 16],
        ..pool
    };
    assert_eq!(pool.check(operand(1 << 17, ActivationBits::A16), 1), Err(Invalid::Count));
    assert_eq!(pool.check(operand(1 << 16, ActivationBits::A8), 1), Ok(()));
    for counts in [[4, 2], [4, 4]] {
        let pool = AveragePool { counts: &counts, multiplier: &[1 << 30; 2], shift: &[32; 2], ..pool };
        assert_eq!(pool.check(operand(1 << 16, ActivationBits::A8), 1), Err(Invalid::CountOrder));
    }
}

/// A list of 65535 divisors and four million columns: the check must not search the list from its front for each.
#[test]
fn a_long_list_of_divisors_is_checked_at_once() {
    const COUNT: usize = u16::MAX as usize;
    const OUTPUTS: usize = 1 << 22;
    let counts: Vec<u32> = (1..=COUNT as u32).collect();
    let (multiplier, shift) = ([1 << 30; COUNT], [32; COUNT]);
    let input = Image { height: 1, width: OUTPUTS + COUNT - 1, channels: 1 };
    let output = Image { height: 1, width: OUTPUTS, channels: 1 };
    let pool = AveragePool {
        input,
        output,
        window: Window { kernel: [1, COUNT], ..Window::POINT },
        padding: CountPadding::Exclude,
        counts: &counts,
        multiplier: &multiplier,
        shift: &shift,
        codes: CODES,
    };
    let output_bytes = output.bytes(CODES.bits);
    let begin = std::time::Instant::now();
    assert_eq!(pool.check(operand(input.bytes(ActivationBits::A2), ActivationBits::A2), output_bytes), Ok(()));
    // Half a minute where it was searched, and milliseconds where it is not.
    assert!(begin.elapsed().as_secs() < 10);
    assert_eq!((pool.divisor(1), pool.divisor(COUNT)), (Some((1 << 30, 32)), Some((1 << 30, 32))));
    assert_eq!((pool.divisor(0), pool.divisor(COUNT + 1)), (None, None));
}

#[test]
fn the_others() {
    let (a4, a8, a16) = (ActivationBits::A4, ActivationBits::A8, ActivationBits::A16);
    let eight = operand(8, a8);
    let requantize = Requantize { rows: 2, channels: 4, multiplier: 1 << 30, shift: 30, codes: CODES };
    assert_eq!(requantize.check(eight, 8), Ok(()));
    assert_eq!(requantize.check(eight, 7), Err(Invalid::OutputLength));
    assert_eq!(Requantize { rows: 0, ..requantize }.check(eight, 8), Err(Invalid::Shape));
    assert_eq!(Requantize { rows: usize::MAX, ..requantize }.check(eight, 8), Err(Invalid::TooLarge));

    let table = Table { rows: 2, channels: 4, entries: &[15; 256], bits: a4 };
    assert_eq!(table.check(eight, 4), Ok(()));
    assert_eq!(Table { entries: &[16; 256], ..table }.check(eight, 4), Err(Invalid::Code));
    assert_eq!(Table { entries: &[0; 255], ..table }.check(eight, 4), Err(Invalid::StageLength));

    let softmax = Softmax { rows: 2, channels: 4, multiplier: 1, shift: 1, bits: a16, one: 255 };
    assert_eq!(softmax.check(eight, 16), Ok(()));
    for one in [0, Softmax::ONE_MAX + 1] {
        assert_eq!(Softmax { one, ..softmax }.check(eight, 16), Err(Invalid::Code));
    }
    assert_eq!(Softmax { bits: a4, ..softmax }.check(eight, 4), Err(Invalid::Bits));

    let prelu = Prelu {
        rows: 2,
        channels: 4,
        multiplier: 1 << 30,
        shift: 30,
        slope_multiplier: &[1, -1, 0, -i32::MAX],
        slope_shift: &[1, 62, 30, 31],
        codes: CODES,
    };
    assert_eq!(prelu.check(eight, 8), Ok(()));
    assert_eq!(Prelu { slope_multiplier: &[1; 3], ..prelu }.check(eight, 8), Err(Invalid::StageLength));
    assert_eq!(Prelu { slope_multiplier: &[i32::MIN; 4], ..prelu }.check(eight, 8), Err(Invalid::Multiplier));
    assert_eq!(Prelu { slope_shift: &[63; 4], ..prelu }.check(eight, 8), Err(Invalid::Shift));
    assert_eq!(Prelu { multiplier: -1, ..prelu }.check(eight, 8), Err(Invalid::Multiplier));

    let product = MatMul { batches: 1, rows: 2, inner: 4, columns: 2, transposed: true, multiplier: 1, shift: 1, codes: CODES };
    let scratch = portable::matmul_scratch_bytes_min(&product);
    assert_eq!(product.check(eight, eight, 4, scratch), Ok(()));
    assert_eq!(product.check(eight, eight, 4, scratch - 1), Err(Invalid::ScratchLength));
    assert_eq!(product.check(eight, eight, 5, scratch), Err(Invalid::OutputLength));
    assert_eq!(MatMul { transposed: false, columns: 3, ..product }.check(eight, eight, 6, scratch), Err(Invalid::InputLength));
    assert_eq!(MatMul { batches: 0, ..product }.check(eight, eight, 4, scratch), Err(Invalid::Shape));
    assert_eq!(MatMul { batches: usize::MAX, ..product }.check(eight, eight, 4, scratch), Err(Invalid::TooLarge));
    // 2^17 products of 2^30 reach 2^47.
    let long = MatMul { rows: 1, inner: 1 << 17, columns: 1, ..product };
    let (wide, narrow) = (operand(1 << 18, a16), operand((1 << 17) - 1, a8));
    assert_eq!(long.check(wide, wide, 1, usize::MAX), Err(Invalid::Count));
    let shorter = MatMul { inner: (1 << 17) - 1, ..long };
    assert_eq!(shorter.check(operand((1 << 18) - 2, a16), operand((1 << 18) - 2, a16), 1, usize::MAX), Ok(()));
    assert_eq!(shorter.check(narrow, narrow, 1, usize::MAX), Ok(()));

    let off_centre = Operand { zero_point: -1, ..operand(16, a16) };
    assert_eq!(product.check(off_centre, operand(16, a16), 4, scratch), Err(Invalid::ZeroPoint));

    let norm = LayerNorm { rows: 2, channels: 4, epsilon: 1, gamma: &[1; 4], beta: &[0; 4], shift: 20, codes: CODES };
    assert_eq!(norm.check(eight, 8), Ok(()));
    assert_eq!(norm.check(eight, 7), Err(Invalid::OutputLength));
    assert_eq!(LayerNorm { gamma: &[1; 3], ..norm }.check(eight, 8), Err(Invalid::StageLength));
    assert_eq!(LayerNorm { epsilon: 1 << 62, ..norm }.check(eight, 8), Err(Invalid::TooLarge));
    assert_eq!(LayerNorm { shift: 14, ..norm }.check(eight, 8), Err(Invalid::Shift));
    assert_eq!(LayerNorm { shift: 43, ..norm }.check(eight, 8), Err(Invalid::Shift));
    assert_eq!(LayerNorm { rows: 1, channels: 8193, ..norm }.check(operand(8193, a8), 8193), Err(Invalid::TooLarge));

    let image = Image { height: 2, width: 2, channels: 2 };
    let rescale = Some(Rescale { multiplier: 1 << 30, shift: 52 });
    let resize = Resize { input: image, output: image, rows: &[0, 2049], columns: &[2048, 5], rescale, codes: CODES };
    assert_eq!(resize.check(eight, 8), Ok(()));
    assert_eq!(Resize { rows: &[0, 4096], ..resize }.check(eight, 8), Err(Invalid::Coordinate));
    assert_eq!(Resize { rows: &[0], ..resize }.check(eight, 8), Err(Invalid::StageLength));
    assert_eq!(Resize { rescale: None, ..resize }.check(eight, 8), Err(Invalid::Coordinate));
    assert_eq!(Resize { output: Image { channels: 3, ..image }, ..resize }.check(eight, 12), Err(Invalid::Shape));
    assert_eq!(resize.check(operand(16, a16), 8), Err(Invalid::Multiplier));
    let copied = Resize { rows: &[0, 2048], columns: &[2048, 0], rescale: None, ..resize };
    assert_eq!(copied.check(eight, 8), Ok(()));
    assert_eq!(copied.check(operand(4, a4), 8), Err(Invalid::Bits));
    let larger = Image { height: 3, ..image };
    let pad = Pad { input: image, output: larger, before: [1, 0, 0], code: 255 };
    assert_eq!(pad.check(eight, 12), Ok(()));
    assert_eq!(Pad { before: [2, 0, 0], ..pad }.check(eight, 12), Err(Invalid::Shape));
    assert_eq!(Pad { code: 256, ..pad }.check(eight, 12), Err(Invalid::Code));
    let slice = Slice { input: larger, output: image, begin: [0, 0, 0], step: [2, 1, 1] };
    assert_eq!(slice.check(operand(12, a8), 8), Ok(()));
    assert_eq!(Slice { begin: [1, 0, 0], ..slice }.check(operand(12, a8), 8), Err(Invalid::Shape));
    assert_eq!(Slice { step: [0, 1, 1], ..slice }.check(operand(12, a8), 8), Err(Invalid::Shape));

    let part = ConcatPart {
        outer: 1,
        input_rows: 4,
        output_rows: 4,
        row_offset: 0,
        input_channels: 2,
        output_channels: 3,
        channel_offset: 1,
        rescale: None,
        codes: CODES,
    };
    assert_eq!(part.check(eight, 12), Ok(()));
    assert_eq!(ConcatPart { channel_offset: 2, ..part }.check(eight, 12), Err(Invalid::Shape));
    assert_eq!(part.check(operand(4, a4), 12), Err(Invalid::Bits));

    assert_eq!(Transpose::new(&[2, 3], &[0, 0]), Err(Invalid::Permutation));
    assert_eq!(Transpose::new(&[2, 3], &[0, 2]), Err(Invalid::Permutation));
    assert_eq!(Transpose::new(&[2; 6], &[0, 1, 2, 3, 4, 5]), Err(Invalid::Permutation));
    let transpose = Transpose::new(&[2, 4], &[1, 0]);
    assert_eq!(transpose.and_then(|transpose| transpose.check(eight, 8)), Ok(()));
    assert_eq!(transpose.and_then(|transpose| transpose.check(operand(4, a4), 5)), Err(Invalid::OutputLength));
}
