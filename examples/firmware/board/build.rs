//! Hands the board's memory map to the linker.

use std::path::{Path, PathBuf};
use std::{env, fs};

const MACHINES: [&str; 6] = ["mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547", "virt"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_on = |machine: &&str| env::var_os(format!("CARGO_FEATURE_{}", machine.to_uppercase().replace('-', "_"))).is_some();
    let on: Vec<&str> = MACHINES.into_iter().filter(is_on).collect();
    let [machine] = on[..] else {
        return Err(format!("turn on one of the features {}", MACHINES.join(", ")).into());
    };
    let memory = Path::new("memory").join(format!("{machine}.x"));
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::copy(&memory, out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-env=BOARD_MACHINE={machine}");
    println!("cargo::rustc-check-cfg=cfg(v6m)");
    if env::var("TARGET")?.starts_with("thumbv6m") {
        println!("cargo::rustc-cfg=v6m");
    }
    println!("cargo::rerun-if-changed={}", memory.display());
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
