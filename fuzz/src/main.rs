//! Feeds the readers of files with damaged ones, made from a corpus of small good ones.
//!
//! `cargo xtask fuzz [--seconds N] [--seed N] [TARGET...]`. A target fails on a panic, on a case of more than ten seconds
//! and on more memory than [`MEMORY_KIB`]. Each target runs in a process of its own, which writes every case to a file
//! before it runs it; what is there when the process dies is the case that killed it, and
//! `cargo run -p apq-fuzz -- --case FILE TARGET` runs it again.
//!
//! The corpus lies in `fuzz/corpus/TARGET`; `--write-corpus` makes its ONNX, target and lookup-table files anew.

mod corpus;
mod mutate;
mod targets;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use targets::Target;

/// Longest time of one case.
const CASE_SECONDS_MAX: u64 = 10;

/// Address space of a target's process, in KiB.
const MEMORY_KIB: u64 = 4 << 20;

const USAGE: &str = "usage: apq-fuzz [--seconds N] [--seed N] [TARGET...]   targets: apq, onnx, target, lut\n\
                     \x20      apq-fuzz --case FILE TARGET\n\
                     \x20      apq-fuzz --write-corpus";

type Failure = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["--write-corpus"] => corpus::write(&corpus_folder()),
        ["--case", file, target] => one(Path::new(file), target),
        ["--child", target, seconds, seed, case] => child(target, seconds, seed, Path::new(case)),
        rest => parent(rest),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn find(name: &str) -> Result<&'static Target, Failure> {
    targets::ALL.iter().find(|target| target.name == name).ok_or_else(|| format!("no target `{name}`\n{USAGE}"))
}

fn number(word: Option<&&str>) -> Result<u64, Failure> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("a whole number is missing\n{USAGE}"))
}

/// Runs one file again, in this process.
fn one(file: &Path, target: &str) -> Result<(), Failure> {
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let accepted = (find(target)?.run)(&bytes);
    println!("{}", if accepted { "accepted" } else { "refused" });
    Ok(())
}

/// Runs the targets side by side, as many as there are processors.
fn parent(words: &[&str]) -> Result<(), Failure> {
    let (mut seconds, mut seed, mut chosen) = (60, 0, Vec::new());
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "--seconds" => seconds = number(words.next())?,
            "--seed" => seed = number(words.next())?,
            name => chosen.push(find(name)?),
        }
    }
    if chosen.is_empty() {
        chosen = targets::ALL.iter().collect();
    }
    let folder = std::env::temp_dir().join(format!("apq-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut failures = Vec::new();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    for several in chosen.chunks(processors) {
        let running: Vec<_> = several.iter().map(|target| (target.name, start(target.name, seconds, seed, &folder))).collect();
        for (name, started) in running {
            let ended = started.and_then(|mut process| process.wait().map_err(|error| error.to_string()));
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => failures.push(format!("{name} ({status}); its case: {}", folder.join(name).display())),
                Err(error) => failures.push(format!("{name}: {error}")),
            }
        }
    }
    if failures.is_empty() {
        // Nothing of interest is left there.
        let _ = std::fs::remove_dir_all(&folder);
        Ok(())
    } else {
        Err(failures.join("\nerror: "))
    }
}

fn start(target: &str, seconds: u64, seed: u64, folder: &Path) -> Result<Child, Failure> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // The shell's limit needs no code here that calls the operating system.
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY_KIB} && exec \"$0\" \"$@\"")]).arg(program);
    command.args(["--child", target, &seconds.to_string(), &seed.to_string()]).arg(folder.join(target));
    command.spawn().map_err(|error| format!("cannot start a process: {error}"))
}

/// One target until its time is over.
fn child(name: &str, seconds: &str, seed: &str, case: &Path) -> Result<(), Failure> {
    let target = find(name)?;
    let (seconds, seed) = (number(Some(&seconds))?, number(Some(&seed))?);
    let corpus = corpus::read(&corpus_folder().join(name))?;
    watch();
    let mut accepted = 0u64;
    for file in &corpus {
        accepted += u64::from(run(target, file, case)?);
    }
    if accepted == 0 {
        return Err(format!("{name}: no file of the corpus is accepted, so that nothing behind the first check would be tried"));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (begin, limit) = (Instant::now(), Duration::from_secs(seconds));
    let (mut cases, mut accepted) = (0u64, 0u64);
    while begin.elapsed() < limit {
        let mut file = corpus[random.random_range(0..corpus.len())].clone();
        mutate::mutate(&mut file, &corpus, &mut random);
        (target.repair)(&mut file, &mut random);
        accepted += u64::from(run(target, &file, case)?);
        cases += 1;
    }
    println!("{name}: {cases} damaged files from {} good ones, {accepted} of them accepted, none fatal", corpus.len());
    if cases == 0 { Err(format!("{name}: nothing ran")) } else { Ok(()) }
}

/// Milliseconds since the start at which the case began.
static CASE_BEGAN: AtomicU64 = AtomicU64::new(0);

fn run(target: &Target, file: &[u8], case: &Path) -> Result<bool, Failure> {
    std::fs::write(case, file).map_err(|error| format!("cannot write {}: {error}", case.display()))?;
    CASE_BEGAN.store(elapsed_ms(), Ordering::Relaxed);
    // A panic ends the process, and the parent names the file.
    Ok((target.run)(file))
}

fn elapsed_ms() -> u64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// Ends the process when a case takes too long.
fn watch() {
    CASE_BEGAN.store(elapsed_ms(), Ordering::Relaxed);
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let took_ms = elapsed_ms().saturating_sub(CASE_BEGAN.load(Ordering::Relaxed));
            if took_ms > CASE_SECONDS_MAX * 1000 {
                eprintln!("error: a case took more than {CASE_SECONDS_MAX} s");
                std::process::exit(3);
            }
        }
    });
}
