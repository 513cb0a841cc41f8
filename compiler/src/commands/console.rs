//! What the user sees: JSON or text on stdout, notes and progress on stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use apqc::compile::{Progress, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Form of what is written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables.
    #[default]
    Human,
    /// One JSON value.
    Json,
}

/// Where output goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    /// Form of stdout.
    pub(crate) format: Format,
    /// Neither progress nor notes.
    pub(crate) quiet: bool,
}

impl Console {
    /// The result of a command: JSON on stdout and the text on stderr, or the text on stdout.
    ///
    /// # Errors
    /// stdout cannot be written. A pipe that its reader closed is not an error.
    pub(crate) fn result(&self, json: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self.format {
            Format::Human => print(&text()),
            Format::Json => {
                if !self.quiet {
                    eprint_lossy(&text());
                }
                print(&serde_json::to_string_pretty(json)?)
            }
        }
    }

    /// A drawer of progress bars; it draws on a terminal only.
    pub(crate) fn progress(&self) -> Drawer {
        let visible = !self.quiet && io::stderr().is_terminal();
        Drawer { visible, bar: Mutex::new(None) }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", trimmed(text)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes to stderr; there is nobody to tell where that fails.
pub(crate) fn eprint_lossy(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", trimmed(text));
}

/// Tables end their lines in blanks.
fn trimmed(text: &str) -> String {
    text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Draws the progress of a compilation.
pub(crate) struct Drawer {
    visible: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Drawer {
    /// Starts a bar of `steps` steps, or a spinner for none, in place of the one before.
    pub(crate) fn start(&self, name: &'static str, steps: usize) {
        if !self.visible {
            return;
        }
        // No colours: a plain bar is right with and without NO_COLOR.
        let template = if steps == 0 { "{spinner} {msg}" } else { "{msg:<12} {wide_bar} {pos}/{len} {eta}" };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr()).with_style(style).with_message(name);
        if let Ok(mut current) = self.bar.lock()
            && let Some(before) = current.replace(bar)
        {
            before.finish_and_clear();
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Ok(mut current) = self.bar.lock()
            && let Some(bar) = current.take()
        {
            bar.finish_and_clear();
        }
    }

    /// One step is done.
    pub(crate) fn advance(&self) {
        if self.visible
            && let Ok(current) = self.bar.lock()
            && let Some(bar) = current.as_ref()
        {
            bar.inc(1);
        }
    }
}

impl Progress for Drawer {
    fn begin(&self, stage: Stage, steps: usize) {
        let name = match stage {
            Stage::Prune => "prune",
            Stage::Calibrate => "calibrate",
            Stage::Sensitivity => "sensitivity",
            Stage::Assign => "assign",
            Stage::Round => "round",
            Stage::Correct => "correct",
            Stage::Lower => "lower",
            Stage::Evaluate => "evaluate",
            Stage::Sample => "sample",
            Stage::Search => "search",
            Stage::Check => "check",
        };
        self.start(name, steps);
    }

    fn step(&self) {
        self.advance();
    }
}

impl Drop for Drawer {
    fn drop(&mut self) {
        self.finish();
    }
}
