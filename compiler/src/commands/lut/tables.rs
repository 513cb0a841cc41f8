//! `apqc lut import` and `apqc lut merge`: files of tables.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_lut::{MergeError, Prefer, Table, import_published, merge as merge_tables};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::commands::failure::{Exit, input, input_with_hint};
use crate::commands::{Context, destination, inputs};

/// A file that the command writes.
#[derive(Debug, Args)]
pub(in crate::commands) struct NewFile {
    /// The table that is written.
    #[arg(short, long, value_name = "TABLE")]
    output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

impl NewFile {
    /// Refuses a file that is there before anything is read.
    fn check(&self) -> anyhow::Result<()> {
        destination::check(&self.output, self.force)
    }

    /// Writes a table: whole or not at all.
    fn write(&self, table: &Table) -> anyhow::Result<()> {
        destination::write(&self.output, self.force, &table.to_json()?)
    }
}

/// `--prefer`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::commands) enum PreferArgument {
    /// That of the earlier table.
    First,
    /// That of the later table.
    Last,
    /// The one that was measured.
    Measured,
}

impl From<PreferArgument> for Prefer {
    fn from(argument: PreferArgument) -> Prefer {
        match argument {
            PreferArgument::First => Prefer::First,
            PreferArgument::Last => Prefer::Last,
            PreferArgument::Measured => Prefer::Measured,
        }
    }
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    /// Tables read.
    tables: usize,
    entries: usize,
    not_modelled: usize,
    /// Layers that several tables have, at one cost.
    agreed: usize,
    /// Layers whose costs differed.
    preferred: usize,
}

fn report(context: &Context, output: &NewFile, written: &Written<'_>) -> anyhow::Result<Exit> {
    context.console.result(written, || {
        let Written { name, entries, agreed, preferred, .. } = written;
        let both = if *agreed + *preferred > 0 {
            format!(" ({agreed} in several tables at one cost, {preferred} at different costs)")
        } else {
            String::new()
        };
        format!("{}: {name}, {entries} entries{both}", output.output.display())
    })?;
    Ok(Exit::Done)
}

/// `apqc lut import`.
pub(super) fn import(context: &Context, published: &Path, output: &NewFile) -> anyhow::Result<Exit> {
    output.check()?;
    let text = String::from_utf8(inputs::read(published)?).map_err(|_| input(format!("{} is not a text file", published.display())))?;
    if Table::from_json(&text).is_ok() {
        return Err(input_with_hint(
            format!("{} is an apq-lut file already", published.display()),
            "to put tables together: apqc lut merge A B -o TABLE",
        ));
    }
    let table = import_published(&text).with_context(|| published.display().to_string())?;
    output.write(&table)?;
    let (entries, not_modelled) = (table.len(), table.not_modelled().count());
    report(context, output, &Written { name: table.name(), tables: 1, entries, not_modelled, agreed: 0, preferred: 0 })
}

/// `apqc lut merge`.
pub(super) fn merge(context: &Context, files: &[PathBuf], prefer: Option<Prefer>, output: &NewFile) -> anyhow::Result<Exit> {
    output.check()?;
    let tables = files.iter().map(|file| inputs::table_file(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let labels: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let labelled = labels.iter().map(String::as_str).zip(&tables);
    let merged = merge_tables(labelled, prefer).map_err(|error| match error {
        MergeError::Conflict { .. } => input_with_hint(
            error.to_string(),
            match prefer {
                Some(Prefer::Measured) => {
                    "neither or both of the two are measured; to decide by the order of the files: --prefer first|last"
                }
                _ => "to decide: --prefer first|last|measured",
            },
        ),
        other => other.into(),
    })?;
    output.write(&merged.table)?;
    let (entries, not_modelled) = (merged.table.len(), merged.table.not_modelled().count());
    let (agreed, preferred) = (merged.agreed, merged.preferred);
    report(context, output, &Written { name: merged.table.name(), tables: tables.len(), entries, not_modelled, agreed, preferred })
}
