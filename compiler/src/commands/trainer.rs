//! `apqc-train` as a program that is called: it alone needs libtorch.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use apq_search::space::Design;
use apq_search::space::record::FineTuning;
use apqc::dataset::Tuner;
use serde_json::json;

use super::dataset::SampleArgs;
use super::failure::input_with_hint;
use super::inputs::sha256;

/// Name of the program.
const PROGRAM: &str = "apqc-train";

/// Fine-tunes networks of one supernet.
pub(super) struct Trainer {
    program: PathBuf,
    supernet: PathBuf,
    preprocess: Option<PathBuf>,
    /// Images that measure, and those that calibrate: nothing is trained on them.
    held_out: PathBuf,
    calibration: Option<PathBuf>,
    images: PathBuf,
    facts: FineTuning,
    seed: u64,
}

impl Trainer {
    /// The program beside this one, or on the path, ready for the supernet of `args`.
    ///
    /// # Errors
    /// There is none, or the images are not there.
    pub(super) fn find(args: &SampleArgs, images: &Path, steps: u32, seed: u64) -> anyhow::Result<Trainer> {
        let facts = FineTuning { steps, images: files_sha256(images)? };
        let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
        let own = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_path_buf()));
        // Where `cargo xtask train` builds it: it has a workspace, and so a folder, of its own.
        let built = own.iter().flat_map(|own| ["release", "debug"].map(|profile| own.join("../supernet").join(profile)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = own.iter().cloned().chain(std::env::split_paths(&path)).chain(built);
        let program = folders.map(|folder| folder.join(&name)).find(|program| program.is_file()).ok_or_else(|| {
            let text = format!("--finetune needs {PROGRAM}, which is neither beside apqc nor on the path");
            input_with_hint(text, "`cargo xtask train --version` builds it")
        })?;
        let (supernet, preprocess) = (args.supernet.clone(), args.preprocess.clone());
        let (held_out, calibration) = (args.data.clone(), args.calib.as_ref().map(PathBuf::from));
        Ok(Trainer { program, supernet, preprocess, held_out, calibration, images: images.into(), facts, seed })
    }

    /// What the dataset's header says.
    pub(super) fn facts(&self) -> FineTuning {
        self.facts.clone()
    }

    fn run(&self, design: &Design, folder: &Path) -> anyhow::Result<Vec<u8>> {
        let (described, output) = (folder.join("design.json"), folder.join("tuned.onnx"));
        let text = json!({ "architecture": design.architecture, "policy": design.policy });
        std::fs::write(&described, text.to_string()).context("cannot describe the design")?;
        let mut command = Command::new(&self.program);
        command.args(["finetune", "-q", "--seed", &self.seed.to_string(), "--steps", &self.facts.steps.to_string()]);
        // The designs are spread over the cores already.
        command.args(["--threads", "1", "--no-report"]).arg("--held-out").arg(&self.held_out);
        command.arg("--supernet").arg(&self.supernet).arg("--data").arg(&self.images).arg("--design").arg(&described);
        if let Some(preprocess) = &self.preprocess {
            command.arg("--preprocess").arg(preprocess);
        }
        if let Some(calibration) = &self.calibration {
            command.arg("--calib").arg(calibration);
        }
        let run = command.arg("-o").arg(&output).output().with_context(|| format!("cannot start {}", self.program.display()))?;
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            let failed = format!("{PROGRAM} ended with {}: {}", run.status, said.trim());
            // The loader's exit code.
            let unlinked = run.status.code() == Some(127) && ["libtorch", "libc10"].iter().any(|library| said.contains(library));
            return Err(if unlinked { input_with_hint(failed, "`cargo xtask libtorch` fetches it") } else { anyhow::anyhow!(failed) });
        }
        std::fs::read(&output).with_context(|| format!("{PROGRAM} wrote no network"))
    }
}

/// SHA-256 of a file, or of the files of a folder in the order of their names.
fn files_sha256(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
        files = entries.with_context(cannot)?.into_iter().filter(|file| file.is_file()).collect();
        files.sort();
    }
    let digests = files.iter().map(|file| Ok(sha256(&[&std::fs::read(file).with_context(cannot)?]))).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(if let [digest] = &digests[..] { digest.clone() } else { sha256(&[digests.concat().as_bytes()]) })
}

impl Tuner for Trainer {
    fn tune(&self, design: &Design) -> Result<Vec<u8>, String> {
        let folder = tempfile::Builder::new().prefix("apqc-").tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        self.run(design, folder.path()).map_err(|error| format!("{error:#}"))
    }
}
