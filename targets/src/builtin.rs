//! The built-in targets.

use alloc::string::ToString;
use alloc::vec::Vec;

use apq_lut::{Candidate, Operator};

use crate::bitfusion::CLOCK_HZ;
use crate::kernels::{KernelRow, ROW_MAJOR};
use crate::target::{CostSource, Description, Memory};

/// Sorted.
pub(crate) const NAMES: [&str; 3] = ["bitfusion", "cortex-m4", "host"];

pub(crate) fn description(name: &str) -> Option<Description> {
    match name {
        "bitfusion" => Some(bitfusion()),
        "cortex-m4" => Some(cortex_m4()),
        "host" => Some(host()),
        _ => None,
    }
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
    }
}

/// STM32F446RE: Cortex-M4 at 180 MHz, 512 KiB of flash, 128 KiB of SRAM (its data sheet).
fn cortex_m4() -> Description {
    Description {
        name: "cortex-m4".to_string(),
        description: "Cortex-M4 with the memories of an STM32F446RE, 180 MHz".to_string(),
        clock_hz: 180_000_000,
        cost: CostSource::Bops,
        table: None,
        candidates: candidates(&[(2, 8), (4, 8), (8, 8), (8, 16)]),
        memory: Memory { flash_bytes: Some(512 * 1024), ram_bytes: Some(128 * 1024) },
        kernels: integer_kernels(),
    }
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
    }
}

fn candidates(pairs: &[(u8, u8)]) -> Vec<Candidate> {
    pairs.iter().map(|&(weight_bits, activation_bits)| Candidate { weight_bits, activation_bits }).collect()
}

/// What the integer kernels have everywhere: every width that the arithmetic defines.
fn integer_kernels() -> Vec<KernelRow> {
    let row = |operators: &[Operator], weight_bits: &[u8]| KernelRow {
        operators: operators.to_vec(),
        weight_bits: weight_bits.to_vec(),
        activation_bits: [2, 4, 6, 8, 16].into(),
        arrangement: ROW_MAJOR.to_string(),
    };
    let weighted = [Operator::Conv, Operator::Depthwise, Operator::FullyConnected];
    let plain = [
        Operator::Add,
        Operator::Mul,
        Operator::Sub,
        Operator::AveragePool,
        Operator::MaxPool,
        Operator::Requantize,
        Operator::Pad,
        Operator::Slice,
        Operator::Resize,
        Operator::Prelu,
        Operator::Concat,
        Operator::Transpose,
        Operator::Softmax,
        Operator::Table,
        Operator::LayerNorm,
    ];
    // Both operands of a product of activations are activations.
    [row(&weighted, &[2, 4, 6, 8]), row(&[Operator::MatMul], &[2, 4, 6, 8, 16]), row(&plain, &[])].into()
}
