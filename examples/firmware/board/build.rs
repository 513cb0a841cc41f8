//! Hands the board's memory map to the linker and its properties to the code.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What differs from board to board.
struct Board {
    name: &'static str,
    /// What counts: `systick`, `dwt` or `mcycle`.
    counter: &'static str,
    /// Hz of the counter.
    clock_hz: u32,
    /// Whether an emulator runs it, whose counter counts instructions: with QEMU's `-icount shift=0` each is a nanosecond.
    emulated: bool,
    /// Kind and address of the serial port.
    port: Option<(&'static str, u32)>,
    /// Kind of the light.
    light: Option<&'static str>,
}

const BOARDS: [Board; 9] = [
    emulated("mps2-an385", "systick", 25_000_000, "cmsdk", 0x4000_4000),
    emulated("mps2-an386", "systick", 25_000_000, "cmsdk", 0x4000_4000),
    emulated("mps2-an500", "systick", 25_000_000, "cmsdk", 0x4000_4000),
    emulated("mps2-an505", "systick", 20_000_000, "cmsdk", 0x5020_0000),
    emulated("mps3-an547", "systick", 32_000_000, "cmsdk", 0x5930_3000),
    emulated("virt", "mcycle", 1_000_000_000, "ns16550", 0x1000_0000),
    real("nucleo-f446re", "dwt", 16_000_000, "stm32f4"),
    real("nrf52840-dk", "dwt", 64_000_000, "nrf52"),
    real("rp2040-pico", "systick", 12_000_000, "rp2040"),
];

const fn emulated(name: &'static str, counter: &'static str, clock_hz: u32, port: &'static str, address: u32) -> Board {
    Board { name, counter, clock_hz, emulated: true, port: Some((port, address)), light: None }
}

const fn real(name: &'static str, counter: &'static str, clock_hz: u32, light: &'static str) -> Board {
    Board { name, counter, clock_hz, emulated: false, port: None, light: Some(light) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_on = |board: &&Board| env::var_os(format!("CARGO_FEATURE_{}", board.name.to_uppercase().replace('-', "_"))).is_some();
    let on: Vec<&Board> = BOARDS.iter().filter(is_on).collect();
    let [board] = on[..] else {
        return Err(format!("turn on one of the features {}", BOARDS.map(|board| board.name).join(", ")).into());
    };
    let memory = match board.emulated {
        true => Path::new("memory").join(format!("{}.x", board.name)),
        false => Path::new("../boards").join(board.name).join("memory.x"),
    };
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::copy(&memory, out.join("memory.x"))?;
    let (port, address) = board.port.unwrap_or(("", 0));
    let Board { name, counter, clock_hz, emulated, .. } = board;
    fs::write(
        out.join("board.rs"),
        format!(
            "/// Name of the board: QEMU's name of the machine, or the maker's.\npub const NAME: &str = \"{name}\";\n\
             pub(crate) const CLOCK_HZ: u32 = {clock_hz};\npub(crate) const IS_EMULATED: bool = {emulated};\n\
             #[allow(dead_code)]\npub(crate) const PORT: usize = {address};\n"
        ),
    )?;
    for (key, value, values) in [
        ("counter", *counter, "\"systick\", \"dwt\", \"mcycle\""),
        ("port", port, "\"cmsdk\", \"ns16550\""),
        ("light", board.light.unwrap_or(""), "\"stm32f4\", \"nrf52\", \"rp2040\""),
    ] {
        println!("cargo::rustc-check-cfg=cfg({key}, values({values}))");
        if !value.is_empty() {
            println!("cargo::rustc-cfg={key}=\"{value}\"");
        }
    }
    println!("cargo::rustc-check-cfg=cfg(v6m_on_v7m)");
    if *emulated && env::var("TARGET")?.starts_with("thumbv6m") {
        println!("cargo::rustc-cfg=v6m_on_v7m");
    }
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed={}", memory.display());
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
