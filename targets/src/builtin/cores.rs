//! Microcontroller cores, each with the clock and the memories of one part that has it, from that part's data sheet.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use apq_lut::Operator;

use super::{candidates, plain_row, row};
use crate::kernels::{KernelRow, ROW_MAJOR};
use crate::target::{BUILTIN_TABLE, CostSource, Description, Memory};

/// One core.
struct Core {
    name: &'static str,
    /// The core and the part, for people.
    about: &'static str,
    clock_hz: u64,
    flash_bytes: Option<u64>,
    ram_bytes: u64,
    /// How the kernels of convolution and fully connected layers, and of depthwise ones, want their weights.
    arrangements: [&'static str; 2],
    /// Lookup table, as `apqc profile` wrote it.
    table: &'static str,
}

const KIB: u64 = 1024;
const MHZ: u64 = 1_000_000;

/// Two output channels in a word: the order of the kernels for cores with DSP instructions. At 2 bits by 2 they have a faster one.
const PAIRS: &str = "pairs";

/// Sorted by name.
const CORES: [Core; 7] = [
    Core {
        name: "cortex-m0",
        about: "Cortex-M0 and M0+, with the memories of an RP2040 with 2 MiB of flash",
        clock_hz: 133 * MHZ,
        flash_bytes: Some(2048 * KIB),
        ram_bytes: 264 * KIB,
        arrangements: ["unsigned"; 2],
        table: include_str!("../../tables/cortex-m0.json"),
    },
    Core {
        name: "cortex-m3",
        about: "Cortex-M3, with the memories of an STM32F207ZG",
        clock_hz: 120 * MHZ,
        flash_bytes: Some(1024 * KIB),
        ram_bytes: 128 * KIB,
        arrangements: ["unsigned"; 2],
        table: include_str!("../../tables/cortex-m3.json"),
    },
    Core {
        name: "cortex-m33",
        about: "Cortex-M33 with DSP extension, with the memories of an nRF5340's application core",
        clock_hz: 128 * MHZ,
        flash_bytes: Some(1024 * KIB),
        ram_bytes: 512 * KIB,
        arrangements: [PAIRS, ROW_MAJOR],
        table: include_str!("../../tables/cortex-m33.json"),
    },
    Core {
        name: "cortex-m4",
        about: "Cortex-M4, with the memories of an STM32F446RE",
        clock_hz: 180 * MHZ,
        flash_bytes: Some(512 * KIB),
        ram_bytes: 128 * KIB,
        arrangements: [PAIRS, ROW_MAJOR],
        table: include_str!("../../tables/cortex-m4.json"),
    },
    Core {
        name: "cortex-m55",
        about: "Cortex-M55 with Helium, with the RAM of an STM32N657, which runs from external flash",
        clock_hz: 800 * MHZ,
        flash_bytes: None,
        ram_bytes: 4200 * KIB,
        arrangements: ["vectors", "lanes"],
        table: include_str!("../../tables/cortex-m55.json"),
    },
    Core {
        name: "cortex-m7",
        about: "Cortex-M7, with the memories of an STM32F746ZG",
        clock_hz: 216 * MHZ,
        flash_bytes: Some(1024 * KIB),
        ram_bytes: 320 * KIB,
        arrangements: [PAIRS, ROW_MAJOR],
        table: include_str!("../../tables/cortex-m7.json"),
    },
    Core {
        name: "rv32",
        about: "RISC-V RV32IMC, with the memories of an ESP32-C3 with 4 MiB of flash",
        clock_hz: 160 * MHZ,
        flash_bytes: Some(4096 * KIB),
        ram_bytes: 400 * KIB,
        arrangements: ["unsigned"; 2],
        table: include_str!("../../tables/rv32.json"),
    },
];

fn core(name: &str) -> Option<&'static Core> {
    CORES.iter().find(|core| core.name == name)
}

/// JSON of the lookup table of a core.
pub(super) fn table(name: &str) -> Option<&'static str> {
    core(name).map(|core| core.table)
}

pub(super) fn description(name: &str) -> Option<Description> {
    let &Core { name, about, clock_hz, flash_bytes, ram_bytes, arrangements, .. } = core(name)?;
    Some(Description {
        name: name.to_string(),
        description: format!("{about}, {} MHz", clock_hz / MHZ),
        clock_hz,
        cost: CostSource::Table,
        table: Some(format!("{BUILTIN_TABLE}{name}")),
        candidates: candidates(&[(2, 8), (4, 8), (8, 8), (8, 16)]),
        memory: Memory { flash_bytes, ram_bytes: Some(ram_bytes) },
        kernels: kernels(arrangements),
        search_exclusions: Vec::new(),
    })
}

/// Every width that the arithmetic defines. Where the core's own kernels want another order of the weights, it comes first: any runtime also
/// runs layers that lie row by row.
fn kernels([dense, depthwise]: [&str; 2]) -> Vec<KernelRow> {
    let widths = [2, 4, 6, 8];
    let mut rows = Vec::new();
    if dense == PAIRS {
        rows.push(KernelRow { activation_bits: [2].into(), ..row(&[Operator::Conv], &[2], "duals") });
    }
    let layers = [(dense, [Operator::Conv, Operator::FullyConnected].as_slice()), (depthwise, &[Operator::Depthwise])];
    for (arrangement, operators) in layers.into_iter().filter(|(arrangement, _)| *arrangement != ROW_MAJOR) {
        rows.push(row(operators, &widths, arrangement));
    }
    rows.push(row(&[Operator::Conv, Operator::Depthwise, Operator::FullyConnected], &widths, ROW_MAJOR));
    rows.push(row(&[Operator::MatMul], &[2, 4, 6, 8, 16], ROW_MAJOR));
    rows.push(plain_row());
    rows
}
