//! Takes in the model and the input that the environment names, at addresses that the runtime can use.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut code = String::new();
    for (name, variable) in [("MODEL", "APQ_MODEL"), ("INPUT", "APQ_INPUT")] {
        println!("cargo::rerun-if-env-changed={variable}");
        code += &match env::var_os(variable) {
            Some(path) => {
                let path = fs::canonicalize(&path).map_err(|error| format!("{variable}={}: {error}", Path::new(&path).display()))?;
                println!("cargo::rerun-if-changed={}", path.display());
                format!("static {name}: Option<&[u8]> = Some(&Aligned(*include_bytes!({path:?})).0);\n")
            }
            None => format!("static {name}: Option<&[u8]> = None;\n"),
        };
    }
    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}
