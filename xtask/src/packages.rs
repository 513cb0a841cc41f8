//! Packages of the operating system.

use std::process::Command;

use crate::Failure;
use crate::process;

/// Installs Debian packages as root, or with `sudo` where that asks for no password.
///
/// # Errors
/// Says what to install by hand where neither works.
pub(crate) fn apt_install(packages: &[&str], purpose: &str) -> Result<(), Failure> {
    let list = packages.join(" ");
    let by_hand = |reason: &str| format!("{purpose}: {reason}; install {list} (Debian's names) and run this again");
    if !process::succeeds(Command::new("apt-get").arg("--version")) {
        return Err(by_hand("this system has no apt-get"));
    }
    let root = process::output(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    if !root && !process::succeeds(Command::new("sudo").args(["-n", "true"])) {
        return Err(by_hand("apt-get needs root"));
    }
    let apt_get = || {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            // sudo drops the environment, so the variable is an argument there.
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        } else {
            command.env("DEBIAN_FRONTEND", "noninteractive");
        }
        command
    };
    println!("installing {list} with apt-get: {purpose}");
    // A package list that is somewhat old still finds packages, so a failed update is no failure yet.
    let _ = process::run(apt_get().args(["update", "--quiet"]));
    let install = process::run(apt_get().args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages));
    install.map_err(|failure| by_hand(&failure))
}
