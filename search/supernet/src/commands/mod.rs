//! The commands, one file for each.

mod console;
mod destination;
mod export;
pub(crate) mod failure;
mod finetune;
mod images;
mod predictor;
mod space;
mod supernet;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tch::Device;

pub(crate) use console::Console;
use console::{Format, eprint_lossy};
use failure::Exit;

/// What stands under the help.
const AFTER_HELP: &str = "Exit codes: 0 done, 2 bad input or usage, 3 not supported, 101 a bug.";

/// Trains once-for-all networks and accuracy predictors, and fine-tunes quantized networks.
#[derive(Debug, Parser)]
#[command(name = "apqc-train", version, after_help = AFTER_HELP, propagate_version = false, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
struct Global {
    /// What stdout gets: tables for people, or JSON (people's text then goes to stderr).
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// No progress and no notes.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Seed of everything that is random.
    #[arg(long, global = true, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Threads, at most 1024 [default: one for each core].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Supernet(Box<supernet::SupernetArgs>),
    Export(Box<export::ExportArgs>),
    Predictor(Box<predictor::PredictorArgs>),
    Finetune(Box<finetune::FinetuneArgs>),
}

/// Everything that a command needs beside its own flags.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where output goes.
    pub(crate) console: Console,
    /// Seed of everything that is random; libtorch's own generator is seeded with it.
    pub(crate) seed: u64,
    /// A GPU where libtorch sees one.
    pub(crate) device: Device,
}

/// Parses the command line, runs the command and turns its end into an exit code.
pub(crate) fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        eprint_lossy(&format!(
            "error: this is a bug of apqc-train {}: {}\nhint: please report it with the command line",
            env!("CARGO_PKG_VERSION"),
            failure::without_backtrace(&info.to_string())
        ));
    }));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0. A closed pipe is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let exit = catch_unwind(AssertUnwindSafe(|| match execute(&cli) {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprint_lossy(&format!("error: {}", failure::message(&error)));
            if let Some(hint) = failure::hint(&error) {
                eprint_lossy(&format!("hint: {hint}"));
            }
            failure::exit(&error)
        }
    }));
    ExitCode::from(exit.unwrap_or(Exit::Bug) as u8)
}

fn execute(cli: &Cli) -> anyhow::Result<()> {
    if let Some(threads) = cli.global.threads {
        tch::set_num_threads(threads.into());
    }
    tch::manual_seed(i64::from_ne_bytes(cli.global.seed.to_ne_bytes()));
    let context = Context {
        console: Console { format: cli.global.format, quiet: cli.global.quiet },
        seed: cli.global.seed,
        device: Device::cuda_if_available(),
    };
    match &cli.command {
        Command::Supernet(args) => supernet::run(&context, args),
        Command::Export(args) => export::run(&context, args),
        Command::Predictor(args) => predictor::run(&context, args),
        Command::Finetune(args) => finetune::run(&context, args),
    }
}
