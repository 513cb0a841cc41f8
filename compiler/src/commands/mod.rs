//! The commands, one file for each.

mod choices;
mod compile;
mod console;
mod dataset;
mod destination;
mod device;
mod eval;
mod export;
mod failure;
mod inputs;
mod inspect;
mod lut;
mod pareto;
mod profile;
mod provenance;
mod prune;
mod request;
mod run;
mod search;
mod sensitivity;
mod supernet;
mod supernet_front;
mod supernet_search;
mod targets;
mod trainer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub(crate) use console::eprint_lossy;
use console::{Console, Format};
use failure::Exit;
pub(crate) use inputs::{InputFile, sha256};
pub(crate) use request::Request;

/// What stands under the help.
const AFTER_HELP: &str = "Exit codes: 0 done, 1 a budget or tolerance was not met, 2 bad input or usage, 3 not supported, 101 a bug.";

/// Compiles neural networks for small hardware at the fewest bits that keep them accurate.
#[derive(Debug, Parser)]
#[command(name = "apqc", version, after_help = AFTER_HELP, propagate_version = false, max_term_width = 120)]
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
    /// Threads, at most 1024; results do not depend on it [default: one for each core].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Where sensitivity lists and learned roundings are kept [default: `apqc` in the user's cache folder].
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compile(Box<compile::CompileArgs>),
    Sensitivity(Box<sensitivity::SensitivityArgs>),
    Pareto(Box<pareto::ParetoArgs>),
    Run(run::RunArgs),
    Eval(eval::EvalArgs),
    Inspect(inspect::InspectArgs),
    Profile(Box<profile::ProfileArgs>),
    Export(export::ExportArgs),
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    #[command(subcommand)]
    Lut(lut::LutCommand),
    #[command(subcommand)]
    Targets(targets::TargetsCommand),
    #[command(subcommand)]
    Search(search::SearchCommand),
}

/// Everything that a command needs beside its own flags.
pub(crate) struct Context {
    /// Where output goes.
    console: Console,
    /// Seed of everything that is random.
    seed: u64,
    /// Folder of the cache; `None` where the system has none.
    cache: Option<PathBuf>,
}

/// Parses the command line, runs the command and turns its end into an exit code.
pub(crate) fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        eprint_lossy(&format!(
            "error: this is a bug of apqc {}: {info}\nhint: please report it with the command line and, if you can, the model",
            env!("CARGO_PKG_VERSION")
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
    let exit = catch_unwind(AssertUnwindSafe(|| match execute(cli) {
        Ok(exit) => exit,
        Err(error) => {
            let exit = failure::exit(&error);
            let bug = if exit == Exit::Bug { "this is a bug of apqc: " } else { "" };
            eprint_lossy(&format!("error: {bug}{}", failure::message(&error)));
            if let Some(hint) = failure::hint(&error) {
                eprint_lossy(&format!("hint: {hint}"));
            }
            exit
        }
    }));
    ExitCode::from(exit.unwrap_or(Exit::Bug) as u8)
}

fn execute(cli: Cli) -> anyhow::Result<Exit> {
    if let Some(threads) = cli.global.threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global()?;
    }
    let context = Context {
        console: Console { format: cli.global.format, quiet: cli.global.quiet },
        seed: cli.global.seed,
        cache: cli.global.cache.or_else(|| dirs::cache_dir().map(|folder| folder.join("apqc"))),
    };
    match cli.command {
        Command::Compile(args) => compile::compile(&context, &args),
        Command::Sensitivity(args) => sensitivity::sensitivity(&context, &args),
        Command::Pareto(args) => pareto::pareto(&context, &args),
        Command::Run(args) => run::run(&context, &args),
        Command::Eval(args) => eval::eval(&context, &args),
        Command::Inspect(args) => inspect::inspect(&context, &args),
        Command::Profile(args) => profile::profile(&context, &args),
        Command::Export(args) => export::export(&context, &args),
        Command::Dataset(command) => dataset::dataset(&context, &command),
        Command::Lut(command) => lut::lut(&context, &command),
        Command::Targets(command) => targets::targets(&context, &command),
        Command::Search(command) => search::search(&context, &command),
    }
}
