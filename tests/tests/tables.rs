//! How far a table is from its function: the figures in the documentation of `apq_kernels::Table`.

use apq_kernels::{ActivationBits, Activations, Table, reference};
use apqc::graph::{Clamp, Function, Unary};
use apqc::lower::table_entries;
use apqc::quant::ranges::ActivationQuantizer;

/// Largest input of the tables, in both directions.
const RANGES: [f64; 3] = [5.0, 10.0, 20.0];

/// Functions, and for each range the documented error of a table from 16-bit to 16-bit codes, in output codes.
fn functions() -> [(&'static str, Unary, [f64; 3]); 11] {
    let sixth = Unary::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
    [
        ("Gelu", Unary::Gelu, [1.1, 1.4, 1.8]),
        ("Gelu, tanh", Unary::GeluTanh, [1.1, 1.4, 1.8]),
        ("Sigmoid", Unary::Sigmoid, [1.2, 1.6, 3.2]),
        ("Tanh", Unary::Tanh, [2.2, 5.6, 19.7]),
        ("Mish", Unary::Mish, [1.1, 1.3, 1.5]),
        ("Softplus", Unary::Softplus, [1.3, 1.1, 1.2]),
        ("Elu", Unary::Elu(1.0), [1.1, 1.4, 1.8]),
        ("Exp", Unary::Exp, [5.1, 10.1, 22.7]),
        ("HardSwish", Unary::HardSwish, [15.2, 10.4, 15.0]),
        ("HardSigmoid", sixth, [26.0, 34.4, 102.4]),
        ("LeakyRelu", Unary::LeakyRelu(0.1), [1.0, 1.0, 1.0]),
    ]
}

/// Quantizer of all values that the function takes over the input's codes.
fn output_quantizer(function: &Function, input: &ActivationQuantizer, bits: u8) -> ActivationQuantizer {
    let (lo, hi) = input.code_range();
    let values = || (lo..=hi).map(|code| function.at(f64::from(code - input.zero_point) * f64::from(input.scale)));
    let (least, most) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    if bits == 16 {
        return ActivationQuantizer { scale: (most.max(-least) / 32767.0) as f32, zero_point: 0, bits };
    }
    let levels = f64::from((1u32 << bits) - 1);
    let scale = ((most - least) / levels) as f32;
    ActivationQuantizer { scale, zero_point: (-least / f64::from(scale)).round() as i32, bits }
}

/// Largest distance of the kernel's codes from the exact value, in output codes.
fn error(function: &Function, input: &ActivationQuantizer, output: &ActivationQuantizer) -> f64 {
    let bits = |quantizer: &ActivationQuantizer| ActivationBits::try_from(quantizer.bits).expect("a width");
    let entries = table_entries(function, Clamp::NONE, input, output);
    let wide = input.bits == 16 || output.bits == 16;
    let entries: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes().into_iter().take(if wide { 2 } else { 1 })).collect();
    let (lo, hi) = input.code_range();
    let codes: Vec<u8> = match input.bits {
        16 => (lo..=hi).flat_map(|code| (code as i16).to_le_bytes()).collect(),
        _ => (lo..=hi).map(|code| code as u8).collect(),
    };
    let channels = (hi - lo + 1) as usize;
    let table = Table { rows: 1, channels, entries: &entries, bits: bits(output) };
    let activations = Activations { codes: &codes, bits: bits(input), zero_point: input.zero_point };
    let mut written = vec![0; channels * if output.bits == 16 { 2 } else { 1 }];
    assert_eq!(table.check(activations.operand(), written.len()), Ok(()));
    reference::table(&table, activations, &mut written);
    let code = |index: usize| match output.bits {
        16 => i32::from(i16::from_le_bytes([written[2 * index], written[2 * index + 1]])),
        _ => i32::from(written[index]),
    };
    (lo..=hi)
        .enumerate()
        .map(|(index, at)| {
            let exact = function.at(f64::from(at - input.zero_point) * f64::from(input.scale)) / f64::from(output.scale);
            (f64::from(code(index) - output.zero_point) - exact).abs()
        })
        .fold(0.0, f64::max)
}

#[test]
fn tables_are_as_exact_as_documented() {
    let mut wrong = Vec::new();
    for (name, unary, documented) in functions() {
        let function = Function::unary(unary);
        for (range, most) in RANGES.into_iter().zip(documented) {
            let input = ActivationQuantizer { scale: (range / 32768.0) as f32, zero_point: 0, bits: 16 };
            let output = output_quantizer(&function, &input, 16);
            let measured = error(&function, &input, &output);
            println!("{name}, inputs to {range}: {measured:.2} codes of 16 bits");
            // The documentation rounds up to the next tenth.
            if measured > most || measured < most - 0.1 {
                wrong.push(format!("{name} to {range}: {measured:.3}, documented {most}"));
            }
            // A table with an entry for each code is the function, rounded.
            let input = ActivationQuantizer { scale: (2.0 * range / 255.0) as f32, zero_point: 128, bits: 8 };
            for bits in [6, 8, 16] {
                let measured = error(&function, &input, &output_quantizer(&function, &input, bits));
                // A zero point is rounded too: the outermost code may lie half a code beyond the range.
                if measured > 1.0 + 1e-6 || (bits == 16 && measured > 0.5 + 1e-3) {
                    wrong.push(format!("{name} to {range} from 8 to {bits} bits: {measured}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
