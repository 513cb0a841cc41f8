//! What the user sees: JSON or text on stdout, notes and progress on stderr.

use std::io::{self, IsTerminal, Write};

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
                self.note(text);
                print(&serde_json::to_string_pretty(json)?)
            }
        }
    }

    /// A line for people, on stderr.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        if !self.quiet {
            eprint_lossy(&text());
        }
    }

    /// A progress bar of `steps` steps, with the time left; it draws on a terminal only.
    pub(crate) fn bar(&self, name: &str, steps: u64) -> Bar {
        if self.quiet || !io::stderr().is_terminal() {
            return Bar { bar: ProgressBar::hidden(), console: *self };
        }
        // No colours: a plain bar is right with and without NO_COLOR.
        let style = ProgressStyle::with_template("{prefix:<12} {wide_bar} {pos}/{len} {eta} {msg}");
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(name.to_owned());
        Bar { bar, console: *self }
    }
}

/// A progress bar that disappears when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    console: Console,
}

impl Bar {
    /// `steps` more steps are done.
    pub(crate) fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// A few words beside the bar, such as the loss.
    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text());
        }
    }

    /// A line for people, on stderr, above the bar.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        self.bar.suspend(|| self.console.note(text));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes to stderr; there is nobody to tell where that fails.
pub(crate) fn eprint_lossy(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}
