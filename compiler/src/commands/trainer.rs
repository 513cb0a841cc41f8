//! `apqc-train` as a program that is called: it alone needs libtorch.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use apq_search::space::Design;
use apqc::dataset::Tuner;
use serde_json::json;

use super::dataset::SampleArgs;
use super::failure::input_with_hint;

/// Name of the program.
const PROGRAM: &str = "apqc-train";

/// Fine-tunes networks of one supernet.
pub(super) struct Trainer {
    program: PathBuf,
    supernet: PathBuf,
    preprocess: Option<PathBuf>,
    images: PathBuf,
    steps: u32,
    seed: u64,
}

impl Trainer {
    /// The program beside this one, or on the path, ready for the supernet of `args`.
    ///
    /// # Errors
    /// There is none, or the images are not there.
    pub(super) fn find(args: &SampleArgs, images: &Path, steps: u32, seed: u64) -> anyhow::Result<Trainer> {
        std::fs::metadata(images).with_context(|| format!("cannot read {}", images.display()))?;
        let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
        let own = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_path_buf()));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = own.into_iter().chain(std::env::split_paths(&path));
        let program = folders.map(|folder| folder.join(&name)).find(|program| program.is_file()).ok_or_else(|| {
            let text = format!("--finetune needs {PROGRAM}, which is neither beside apqc nor on the path");
            input_with_hint(text, "`cargo xtask train --version` builds it")
        })?;
        let (supernet, preprocess) = (args.supernet.clone(), args.preprocess.clone());
        Ok(Trainer { program, supernet, preprocess, images: images.into(), steps, seed })
    }

    fn run(&self, design: &Design, folder: &Path) -> anyhow::Result<Vec<u8>> {
        let (described, output) = (folder.join("design.json"), folder.join("tuned.onnx"));
        let text = json!({ "architecture": design.architecture, "policy": design.policy });
        std::fs::write(&described, text.to_string()).context("cannot describe the design")?;
        let mut command = Command::new(&self.program);
        command.args(["finetune", "-q", "--seed", &self.seed.to_string(), "--steps", &self.steps.to_string()]);
        command.arg("--supernet").arg(&self.supernet).arg("--data").arg(&self.images).arg("--design").arg(&described);
        if let Some(preprocess) = &self.preprocess {
            command.arg("--preprocess").arg(preprocess);
        }
        let run = command.arg("-o").arg(&output).output().with_context(|| format!("cannot start {}", self.program.display()))?;
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            anyhow::bail!("{PROGRAM} ended with {}: {}", run.status, said.trim());
        }
        std::fs::read(&output).with_context(|| format!("{PROGRAM} wrote no network"))
    }
}

impl Tuner for Trainer {
    fn tune(&self, design: &Design) -> Result<Vec<u8>, String> {
        let folder = tempfile::Builder::new().prefix("apqc-").tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        self.run(design, folder.path()).map_err(|error| format!("{error:#}"))
    }
}
