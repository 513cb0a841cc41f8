//! Programs for microcontrollers, built and run in an emulator.

mod cores;
mod emulator;
mod library;
mod size;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::toolchain::{self, Toolchain};
use crate::{Failure, process};
use cores::{CORES, Core};

/// Longest run of all checks of one core; they take some minutes.
const TEST_SECONDS_MAX: u64 = 900;

const USAGE: &str = "usage: cargo xtask firmware build [--all | CORE...] | size [CORE...] [-- FEATURE...] | test [CORE...] [-- CHECK...] \
    | library CORE FOLDER [FEATURE...] | cargo CORE WORKSPACE ARGUMENT...";

/// `firmware COMMAND ...`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    match arguments {
        ["build", "--all"] => build_runners(&[]).and_then(|()| build_boards()),
        ["build", rest @ ..] => build_runners(rest),
        ["size", rest @ ..] => size::run(rest),
        ["test", rest @ ..] => test(rest),
        ["library", core, folder, features @ ..] => library::build(core, folder, features),
        ["cargo", core, folder, arguments @ ..] => library::run_cargo(core, folder, arguments),
        _ => Err(USAGE.into()),
    }
}

/// The workspaces for microcontrollers.
const WORKSPACES: [&str; 2] = ["examples/firmware", "tests/firmware"];

/// What has to hold of the firmware: formatting, and where all is wanted, that every program builds and the kernels pass on every core.
pub(crate) fn check(all: bool) -> Result<(), Failure> {
    for workspace in WORKSPACES {
        process::run(process::cargo().current_dir(process::root().join(workspace)).args(["fmt", "--all", "--check"]))?;
    }
    if all {
        run(&["build", "--all"])?;
        run(&["test"])?;
    }
    Ok(())
}

/// Builds the program that runs models, for each core, as `CORE.elf` in the folder of build results.
fn build_runners(arguments: &[&str]) -> Result<(), Failure> {
    let cores = cores::named(arguments)?;
    let toolchain = install(&cores)?;
    for core in cores {
        println!("{}", build_runner(toolchain, core)?.display());
    }
    Ok(())
}

fn build_runner(toolchain: Toolchain, core: &Core) -> Result<PathBuf, Failure> {
    let program = build(toolchain, core, "examples/firmware", "runner", &["--package", "runner"])?;
    let to = process::target_folder().join("firmware").join(format!("{}.elf", core.name));
    // Tests build at the same time, and one may be reading what another made.
    let new = to.with_extension(format!("{}.new", std::process::id()));
    let put = std::fs::copy(&program, &new).and_then(|_| std::fs::rename(&new, &to));
    put.map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(to)
}

/// Makes the lookup tables of the built-in cores anew: every layer of the built-in list in each core's emulator, minutes in all.
pub(crate) fn tables(arguments: &[&str]) -> Result<(), Failure> {
    let cores = cores::named(arguments)?;
    let toolchain = install(&cores)?;
    for core in cores {
        let program = build_runner(toolchain, core)?;
        let table = process::root().join("targets/tables").join(format!("{}.json", core.name));
        let mut command = process::cargo();
        command.args(["run", "--quiet", "--release", "--package", "apq-profile", "--example", "tables", "--", core.name]);
        process::run(command.arg(program).arg(table))?;
    }
    Ok(())
}

/// Builds both programs of the real boards, as a user would in the board's folder.
fn build_boards() -> Result<(), Failure> {
    let targets: Vec<&str> = cores::BOARDS.iter().map(|board| board.target).collect();
    let toolchain = toolchain::install(&targets)?;
    for board in &cores::BOARDS {
        let folder = process::root().join("examples/firmware/boards").join(board.name);
        for package in [&["--package", board.name][..], &["--package", "runner", "--features", board.name]] {
            let mut command = toolchain.cargo();
            command.current_dir(&folder).args(["build", "--quiet", "--release"]).args(package);
            command.arg("--target-dir").arg(process::target_folder().join("firmware").join(board.name));
            toolchain.build_library(&mut command, true);
            process::run(&mut command)?;
        }
    }
    Ok(())
}

/// Runs the kernels' comparisons with the reference on each core. Names behind `--` choose among them.
fn test(arguments: &[&str]) -> Result<(), Failure> {
    let mut parts = arguments.splitn(2, |argument| *argument == "--");
    let cores = cores::named(parts.next().unwrap_or_default())?;
    let checks = parts.next().unwrap_or_default();
    let toolchain = install(&cores)?;
    let left = Mutex::new(cores.into_iter());
    let failures = Mutex::new(Vec::new());
    // An emulator keeps one processor busy. The lock is let go before a core is tested.
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        while let Some(core) = next() {
            if let Err(failure) = test_core(toolchain, core, checks) {
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{}: {failure}", core.name));
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(worker)));
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nerror: ")) }
}

fn test_core(toolchain: Toolchain, core: &Core, checks: &[&str]) -> Result<(), Failure> {
    println!("\n== {}", core.name);
    let start = Instant::now();
    let program = build(toolchain, core, "tests/firmware", "kernel-tests", &[])?;
    process::run_within(&mut emulator::command(core, &program, checks), Duration::from_secs(TEST_SECONDS_MAX))?;
    println!("== {}: passed in {:.0} s", core.name, start.elapsed().as_secs_f64());
    Ok(())
}

/// Sees to it that the cores can be compiled for and emulated.
fn install(cores: &[&'static Core]) -> Result<Toolchain, Failure> {
    emulator::install(cores)?;
    let mut targets: Vec<&str> = cores.iter().map(|core| core.target).collect();
    targets.dedup();
    let toolchain = toolchain::install(&targets)?;
    if matches!(toolchain, Toolchain::Debian) {
        emulator::install_linker()?;
    }
    Ok(toolchain)
}

/// As [`install`], for every core.
pub(crate) fn install_all() -> Result<(), Failure> {
    library::install_compiler()?;
    install(&CORES.iter().collect::<Vec<_>>()).map(|_| ())
}

/// Builds one program of a workspace for microcontrollers, for an emulated board, and returns its path.
fn build(toolchain: Toolchain, core: &Core, workspace: &str, program: &str, flags: &[&str]) -> Result<PathBuf, Failure> {
    build_with(toolchain, core, workspace, program, flags, Some(core.machine))
}

fn build_with(
    toolchain: Toolchain,
    core: &Core,
    workspace: &str,
    program: &str,
    flags: &[&str],
    board: Option<&str>,
) -> Result<PathBuf, Failure> {
    let folder = process::target_folder().join("firmware").join(core.name);
    let mut command: Command = toolchain.cargo();
    command.current_dir(process::root().join(workspace));
    command.args(["build", "--quiet", "--release", "--bin", program, "--target", core.target]).args(flags);
    if let Some(board) = board {
        command.args(["--features", board]);
    }
    command.arg("--target-dir").arg(&folder).env("RUSTFLAGS", core.compiler_flags(toolchain));
    toolchain.build_library(&mut command, true);
    process::run(&mut command)?;
    Ok(folder.join(core.target).join("release").join(program))
}
