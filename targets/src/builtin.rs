//! The built-in targets.

use alloc::string::ToString;
use alloc::vec::Vec;

use apq_lut::{Candidate, Operator};

use crate::bitfusion::CLOCK_HZ;
use crate::exclusion::Exclusion;
use crate::kernels::{KernelRow, ROW_MAJOR};
use crate::target::{CostSource, Description, Memory};

mod cores;

/// Sorted.
pub(crate) const NAMES: [&str; 9] =
    ["bitfusion", "cortex-m0", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7", "host", "rv32"];

pub(crate) fn description(name: &str) -> Option<Description> {
    match name {
        "bitfusion" => Some(bitfusion()),
        "host" => Some(host()),
        _ => cores::description(name),
    }
}

/// JSON of the lookup table of a built-in target.
pub(crate) fn table(name: &str) -> Option<&'static str> {
    cores::table(name)
}

/// The accelerator of the APQ paper. Its arithmetic is the integer kernels' at every width; a
/// 16-bit operand takes two passes.
fn bitfusion() -> Description {
    Description {
        name: "bitfusion".to_string(),
        description: "BitFusion accelerator, 512 fusion units, batch 1 (analytic model)".to_string(),
        clock_hz: CLOCK_HZ,
        cost: CostSource::BitFusion,
        table: None,
        candidates: candidates(&[(4, 4), (4, 6), (4, 8), (6, 6), (6, 8), (8, 8)]),
        memory: Memory::default(),
        kernels: integer_kernels(),
        search_exclusions: [seven_by_seven()].into(),
    }
}

/// The table that APQ published has no such layers, so the paper searched without them.
fn seven_by_seven() -> Exclusion {
    Exclusion { operators: [Operator::Depthwise].into(), kernel: Some([7, 7]), weight_bits: Vec::new(), activation_bits: [4].into() }
}

/// The machine that the compiler runs on. Nothing is timed, so the clock only has to be there.
fn host() -> Description {
    Description {
        name: "host".to_string(),
        description: "This computer: AVX-512 VNNI, AVX2 or portable kernels, whichever it has".to_string(),
        clock_hz: 1_000_000_000,
        cost: CostSource::Bops,
        table: None,
        candidates: candidates(&[(2, 8), (4, 8), (8, 8), (8, 16)]),
        memory: Memory::default(),
        kernels: integer_kernels(),
        search_exclusions: Vec::new(),
    }
}

fn candidates(pairs: &[(u8, u8)]) -> Vec<Candidate> {
    pairs.iter().map(|&(weight_bits, activation_bits)| Candidate { weight_bits, activation_bits }).collect()
}

/// What the integer kernels have everywhere: every width that the arithmetic defines.
fn integer_kernels() -> Vec<KernelRow> {
    let weighted = [Operator::Conv, Operator::Depthwise, Operator::FullyConnected];
    // Both operands of a product of activations are activations.
    [row(&weighted, &[2, 4, 6, 8], ROW_MAJOR), row(&[Operator::MatMul], &[2, 4, 6, 8, 16], ROW_MAJOR), plain_row()].into()
}

/// A row of operators with weights, at every width of an activation.
fn row(operators: &[Operator], weight_bits: &[u8], arrangement: &str) -> KernelRow {
    KernelRow {
        operators: operators.to_vec(),
        weight_bits: weight_bits.to_vec(),
        activation_bits: [2, 4, 6, 8, 16].into(),
        arrangement: arrangement.to_string(),
    }
}

/// The operators without weights.
fn plain_row() -> KernelRow {
    use Operator::{
        Add, AveragePool, Concat, LayerNorm, MaxPool, Mul, Pad, Prelu, Requantize, Resize, Slice, Softmax, Sub, Table, Transpose,
    };
    let operators =
        [Add, Mul, Sub, AveragePool, MaxPool, Requantize, Pad, Slice, Resize, Prelu, Concat, Transpose, Softmax, Table, LayerNorm];
    row(&operators, &[], ROW_MAJOR)
}
