//! A memory map that suits the measurement alone: the program is looked at, and not run.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let regions = ["TEXT", "RODATA", "DATA", "BSS", "HEAP", "STACK"];
    let mut map = String::from("MEMORY { FLASH : ORIGIN = 0x08000000, LENGTH = 1M RAM : ORIGIN = 0x20000000, LENGTH = 128K }\n");
    if env::var("CARGO_CFG_TARGET_ARCH")?.starts_with("riscv") {
        for (index, region) in regions.iter().enumerate() {
            map += &format!("REGION_ALIAS(\"REGION_{region}\", {});\n", if index < 2 { "FLASH" } else { "RAM" });
        }
    }
    fs::write(out.join("memory.x"), map)?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
