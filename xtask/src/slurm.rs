//! Slurm, for the test of the array example.

use std::process::Command;

use crate::packages::apt_install;
use crate::process;

/// Installs Debian's Slurm where that is possible. Nothing else needs it: without it one test says that it is skipped.
pub(crate) fn install() {
    // Without a configuration `sbatch` fails whatever it is asked, so only its presence is.
    let there = |program: &str| Command::new(program).arg("-V").output().is_ok();
    let root = process::output(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    if !root || ["sbatch", "slurmctld", "slurmd", "munged"].into_iter().all(there) {
        return;
    }
    if let Err(failure) = apt_install(&["slurm-wlm", "munge"], "the Slurm example") {
        println!("{failure} (only the test of examples/slurm is skipped)");
    }
}
