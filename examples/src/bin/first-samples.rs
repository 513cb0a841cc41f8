//! The first samples of a `.npz`, bytes and nothing else, as a program on a board reads them.
//!
//!     cargo run -p apq-examples --bin first-samples -- FILE.npz N FILE.bin

use std::fs::File;
use std::process::ExitCode;

use ndarray::{Ix4, OwnedRepr};
use ndarray_npy::NpzReader;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, count, to] = &arguments[..] else {
        eprintln!("usage: first-samples FILE.npz N FILE.bin");
        return ExitCode::from(2);
    };
    match write(from, count, to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::from(2)
        }
    }
}

/// `x`, u8 `[N, H, W, C]`, row by row.
fn write(from: &str, count: &str, to: &str) -> Result<(), String> {
    let count: usize = count.parse().map_err(|_| format!("`{count}` is not a number of samples"))?;
    let file = File::open(from).map_err(|error| format!("cannot read {from}: {error}"))?;
    let arrays = NpzReader::new(file).and_then(|mut arrays| arrays.by_name::<OwnedRepr<u8>, Ix4>("x"));
    let samples = arrays.map_err(|error| format!("{from}: `x` must be u8 [N, H, W, C]: {error}"))?;
    let bytes: Vec<u8> = samples.outer_iter().take(count).flat_map(|sample| sample.iter().copied().collect::<Vec<u8>>()).collect();
    std::fs::write(to, bytes).map_err(|error| format!("cannot write {to}: {error}"))
}
