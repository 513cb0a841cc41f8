//! Development commands of this workspace: `cargo xtask setup | test [--quick] | no-std | firmware | tables | bench [SECTION] | fuzz |
//! libtorch | train`.
//!
//! No dependency, so that the first command after a clone starts within seconds.

mod firmware;
mod libtorch;
mod no_std;
mod packages;
mod process;
mod python;
mod slurm;
mod test;
mod toolchain;
mod tools;
mod trainer;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup            install what the tests need, with apt-get, rustup and pip; print what is installed
  test [--quick]   setup, then formatting, clippy, the no_std builds, the documentation and all tests
                   (--quick: only formatting, clippy and tests)
  no-std           build the device crates for microcontrollers, without an operating system
  firmware build [--all | CORE...]
                   build the program that runs models, as target/firmware/CORE.elf; --all: for every core and every real board
  firmware size [CORE...] [-- FEATURE...]
                   bytes of flash memory that each operator takes (cortex-m4), or a program with these features of apq-runtime
  firmware test [CORE...] [-- CHECK...]
                   compare every kernel with the reference on emulated cores: cortex-m0, cortex-m3, cortex-m4, cortex-m7, cortex-m33,
                   cortex-m55, rv32 (all of them); CHECK is a part of a check's name
  tables [CORE...] measure the built-in cores' lookup tables anew (targets/tables), in the emulator
  firmware library CORE FOLDER [FEATURE...]
                   build the runtime as a static library for C programs on that core, with these features (all of them)
  firmware cargo CORE WORKSPACE ARGUMENT...
                   run cargo with a toolchain for that core in the folder of a workspace
  fuzz [--seconds N] [--seed N] [TARGET...]
                   feed the readers of files with damaged ones: apq, onnx, target, assignment, lut (60 seconds each)
  libtorch [--yes] fetch the library that training needs into target/libtorch, after telling its size (LIBTORCH, if you set it, is taken as it is)
  train [ARGUMENT...]
                   build and run apqc-train, which trains supernets and predictors
  bench [SECTION]  print every figure of the project beside its reference
";

/// Why a command stopped, in words for the user.
type Failure = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["setup"] => setup(),
        ["test"] => return test::run(test::Extent::Full),
        ["test", "--quick"] => return test::run(test::Extent::Quick),
        ["no-std"] => no_std::run(),
        ["firmware", rest @ ..] => firmware::run(rest),
        ["tables", cores @ ..] => firmware::tables(cores),
        ["bench", sections @ ..] => bench(sections),
        ["libtorch", rest @ ..] => libtorch::run(rest),
        ["train", rest @ ..] => match trainer::run(rest) {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
        ["fuzz", rest @ ..] => process::run(process::cargo().args(["run", "--package", "apq-fuzz", "--"]).args(rest)),
        ["help" | "-h" | "--help"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Installs everything at once; every part is tried, so that one run names all that is missing.
fn setup() -> Result<(), Failure> {
    slurm::install();
    let results = [tools::install(), no_std::install().map(|_| ()), firmware::install_all(), python::install().map(|_| ())];
    let failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nerror: ")) }
}

fn bench(sections: &[&str]) -> Result<(), Failure> {
    let mut command = process::cargo();
    command.args(["run", "--release", "--package", "apq-tests", "--bin", "bench", "--"]).args(sections);
    process::run(&mut command)
}
