//! Writes the example model and its data: `make-textures [FOLDER]`, by default into `examples/textures/` of this repository.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/textures");
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(default), PathBuf::from);
    let result = apq_examples::textures::generate().and_then(|files| files.write(&folder).map(|()| files));
    match result {
        Ok(files) => {
            for (name, bytes) in files.named() {
                println!("{name}: {} bytes", bytes.len());
            }
            println!("float accuracy: training {:.4}, test {:.4}", files.accuracy_training, files.accuracy_test);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error} ({})", folder.display());
            ExitCode::from(2)
        }
    }
}
