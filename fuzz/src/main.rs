//! Feeds the readers of files with damaged ones, made from a corpus of small good ones.
//!
//! `cargo xtask fuzz [--seconds N] [--seed N] [TARGET...]`. A target fails on a panic, on a case of more than ten seconds
//! and on more memory than [`MEMORY_KIB`]. Each target runs in a process of its own, which notes the number of every
//! case before it runs it; from the number, the seed and the corpus follows the file, which is written when the process
//! dies, and which `cargo run -p apq-fuzz -- --case FILE TARGET` runs again.
//!
//! The corpus lies in `fuzz/corpus/TARGET`; `--write-corpus` makes its ONNX, target and lookup-table files anew.

mod corpus;
mod mutate;
mod targets;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
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

fn usage() -> String {
    let targets: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    format!(
        "usage: apq-fuzz [--seconds N] [--seed N] [TARGET...]   targets: {}\n       apq-fuzz --case FILE TARGET\n       apq-fuzz --write-corpus",
        targets.join(", ")
    )
}

type Failure = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["--write-corpus"] => corpus::write(&corpus_folder()),
        ["--case", file, target] => one(Path::new(file), target),
        ["--child", target, seconds, seed, note] => child(target, seconds, seed, Path::new(note)),
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
    targets::ALL.iter().find(|target| target.name == name).ok_or_else(|| format!("no target `{name}`\n{}", usage()))
}

fn number(word: Option<&&str>) -> Result<u64, Failure> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("a whole number is missing\n{}", usage()))
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
                Ok(status) => failures.push(format!("{name}: {status}; the case: {}", keep(name, seed, &folder)?.display())),
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

/// Writes the case at which a target's process died.
fn keep(name: &str, seed: u64, folder: &Path) -> Result<PathBuf, Failure> {
    let note = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let number = note.trim().parse().map_err(|_| format!("{name} died before its first case"))?;
    let file = case(find(name)?, &corpus::read(&corpus_folder().join(name))?, seed, number);
    let path = folder.join(format!("{name}-{seed}-{number}"));
    std::fs::write(&path, file).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// Case `number`: the files of the corpus as they are, then damaged ones.
fn case(target: &Target, corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    if let Some(file) = usize::try_from(number).ok().and_then(|number| corpus.get(number)) {
        return file.clone();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    let mut file = corpus[random.random_range(0..corpus.len())].clone();
    mutate::mutate(&mut file, corpus, &mut random);
    (target.repair)(&mut file, &mut random);
    file
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
fn child(name: &str, seconds: &str, seed: &str, note: &Path) -> Result<(), Failure> {
    let target = find(name)?;
    let (seconds, seed) = (number(Some(&seconds))?, number(Some(&seed))?);
    let corpus = corpus::read(&corpus_folder().join(name))?;
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", note.display());
    let mut note = File::create(note).map_err(cannot)?;
    watch();
    let (begin, limit) = (Instant::now(), Duration::from_secs(seconds));
    let (mut good, mut accepted, mut number) = (0u64, 0u64, 0u64);
    while number < corpus.len() as u64 || begin.elapsed() < limit {
        let file = case(target, &corpus, seed, number);
        // Numbers of one width replace each other.
        note.seek(SeekFrom::Start(0)).and_then(|_| write!(note, "{number:020}")).map_err(cannot)?;
        CASE_BEGAN.store(elapsed_ms(), Ordering::Relaxed);
        // A panic ends the process, and the parent names the case.
        let ok = u64::from((target.run)(&file));
        if number < corpus.len() as u64 {
            good += ok
        } else {
            accepted += ok
        }
        number += 1;
    }
    let damaged = number - corpus.len() as u64;
    println!("{name}: {damaged} damaged files from {} good ones, {accepted} of them accepted, none fatal", corpus.len());
    if good < corpus.len() as u64 || damaged == 0 {
        return Err(format!("{name}: {good} of {} files of the corpus are accepted, and {damaged} cases ran", corpus.len()));
    }
    Ok(())
}

/// Milliseconds since the start at which the case began.
static CASE_BEGAN: AtomicU64 = AtomicU64::new(0);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_follow_from_seed_and_number() {
        for target in targets::ALL {
            let corpus = corpus::read(&corpus_folder().join(target.name)).unwrap();
            let first = corpus.len() as u64;
            for number in 0..first + 200 {
                let file = case(target, &corpus, 3, number);
                assert_eq!(file, case(target, &corpus, 3, number));
                if number < first {
                    assert!((target.run)(&file), "{}: file {number} of the corpus is refused", target.name);
                }
            }
            let changed = (first..first + 200).filter(|&number| !corpus.contains(&case(target, &corpus, 3, number))).count();
            assert!(changed > 150, "{}: {changed} of 200 files are damaged", target.name);
        }
    }

    /// What this repository's writers make is what lies in the corpus.
    #[test]
    fn the_corpus_is_reproducible() {
        let folder = std::env::temp_dir().join(format!("apq-fuzz-corpus-{}", std::process::id()));
        for target in targets::ALL {
            std::fs::create_dir_all(folder.join(target.name)).unwrap();
        }
        corpus::write(&folder).unwrap();
        for name in ["onnx", "target", "lut"] {
            let kept = corpus::read(&corpus_folder().join(name)).unwrap();
            assert!(corpus::read(&folder.join(name)).unwrap().iter().all(|file| kept.contains(file)), "{name}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
