//! Hands the memory map to the linker, and finds what the program embeds: the folder of `apqc export --as rust` (`APQ_EXPORT`, by default
//! `model`) and raw input (`APQ_INPUT`, by default the first images of the textures).

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=APQ_EXPORT");
    println!("cargo::rerun-if-env-changed=APQ_INPUT");
    println!("cargo::rerun-if-changed=memory.x");
    fs::copy(root.join("memory.x"), out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());

    let chosen = |variable: &str, default: &str| root.join(env::var_os(variable).unwrap_or_else(|| default.into()));
    let module = chosen("APQ_EXPORT", "model").join("model.rs");
    println!("cargo::rerun-if-changed={}", module.display());
    if !module.is_file() {
        return Err(format!("there is no {}: `apqc export MODEL.apq --as rust --name model -o DIR` makes it", module.display()).into());
    }
    let input = chosen("APQ_INPUT", "../textures/textures.samples.bin");
    println!("cargo::rerun-if-changed={}", input.display());
    if !input.is_file() {
        return Err(format!("there is no {}: APQ_INPUT names a file of raw bytes, one for each value of the input", input.display()).into());
    }
    let text = |path: &Path| format!("{:?}", path.display().to_string());
    let code = format!(
        "#[path = {}]\nmod model;\n\n/// Raw input.\nconst INPUT: &[u8] = include_bytes!({});\n",
        text(&module),
        text(&fs::canonicalize(&input)?)
    );
    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}
