//! Runners for resizing and for the rectifier with a slope for each channel.

use super::{Random, same};
use crate::{Accumulator, ActivationBits, Activations, Image, Prelu, Rescale, Resize, pack, reference};
use alloc::vec::Vec;

const CHANNELS: [usize; 7] = [1, 2, 3, 5, 63, 64, 67];

pub(crate) fn check_resize(kernel: fn(&Resize<'_>, Activations<'_>, &mut [u8])) {
    let mut random = Random::new(20);
    for channels in CHANNELS {
        for bits in ActivationBits::ALL {
            for round in 0..30 {
                let mut side = || random.between(1, 6) as usize;
                let (input, output) = ([side(), side()], [side(), side()]);
                let nearest = round % 3 == 0;
                let coordinates = |random: &mut Random, from: usize, to: usize| -> Vec<u32> {
                    (0..to)
                        .map(|_| {
                            let whole = random.between(0, from as i32 - 1) << Resize::FRACTION_BITS;
                            let fraction = if nearest { 0 } else { random.choose(&[0, 1, 512, 1024, 2047]) };
                            (whole + fraction) as u32
                        })
                        .collect()
                };
                let rows = coordinates(&mut random, input[0], output[0]);
                let columns = coordinates(&mut random, input[1], output[1]);
                let free = random.choose(&ActivationBits::ALL);
                let written = if nearest { bits } else { free };
                let multiplier_max = if bits == ActivationBits::A16 { Accumulator::I64 } else { Accumulator::I32 }.multiplier_max();
                let magnitude = f64::from(bits.hi()) * f64::from(Resize::ONE) * f64::from(Resize::ONE);
                let (multiplier, shift) = random.rescale(multiplier_max, magnitude, written);
                let image = |[height, width]: [usize; 2]| Image { height, width, channels };
                let resize = Resize {
                    input: image(input),
                    output: image(output),
                    rows: &rows,
                    columns: &columns,
                    rescale: (!nearest).then_some(Rescale { multiplier, shift }),
                    codes: random.codes(written),
                };
                let tensor = random.tensor(input[0] * input[1], channels, bits);
                let bytes = image(output).bytes(written);
                assert_eq!(resize.check(tensor.view().operand(), bytes), Ok(()));
                let one = |out: &mut [u8]| reference::resize(&resize, tensor.view(), out);
                same(bytes, &(resize, bits), one, |out| kernel(&resize, tensor.view(), out));
            }
        }
    }
}

pub(crate) fn check_prelu(kernel: fn(&Prelu<'_>, Activations<'_>, &mut [u8])) {
    let mut random = Random::new(21);
    for channels in CHANNELS {
        for bits in ActivationBits::ALL {
            for _ in 0..20 {
                let rows = random.between(1, 5) as usize;
                let written = random.choose(&ActivationBits::ALL);
                let (multiplier, shift) = random.rescale(i32::MAX, f64::from(bits.hi()), written);
                let slopes: Vec<(i32, u8)> = (0..channels).map(|_| random.rescale(i32::MAX, f64::from(bits.hi()), written)).collect();
                let slope_multiplier: Vec<i32> = slopes.iter().map(|(m, _)| if random.between(0, 2) == 0 { -m } else { *m }).collect();
                let slope_shift: Vec<u8> = slopes.iter().map(|(_, shift)| *shift).collect();
                let prelu = Prelu {
                    rows,
                    channels,
                    multiplier,
                    shift,
                    slope_multiplier: &slope_multiplier,
                    slope_shift: &slope_shift,
                    codes: random.codes(written),
                };
                let tensor = random.tensor(rows, channels, bits);
                let bytes = rows * pack::row_bytes(written, channels);
                assert_eq!(prelu.check(tensor.view().operand(), bytes), Ok(()));
                let one = |out: &mut [u8]| reference::prelu(&prelu, tensor.view(), out);
                same(bytes, &(prelu, bits), one, |out| kernel(&prelu, tensor.view(), out));
            }
        }
    }
}
