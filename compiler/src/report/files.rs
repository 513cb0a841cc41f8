//! The output directory: it appears whole or not at all.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apqc::compile::Compiled;
use serde::Serialize;

use super::Report;
use super::layers::{LayerReport, shape_text};
use crate::commands::InputFile;

/// `manifest.json`: everything that the result depends on.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest {
    /// Always `apqc`.
    pub(crate) tool: &'static str,
    /// Of the tool.
    pub(crate) version: &'static str,
    /// `--seed`.
    pub(crate) seed: u64,
    /// Flags that change the result, with their values.
    pub(crate) flags: serde_json::Map<String, serde_json::Value>,
    /// Files that were read.
    pub(crate) inputs: Vec<InputFile>,
}

/// Name of the file by which a directory of ours is known.
const MANIFEST: &str = "manifest.json";

/// Refuses an output directory that must not be replaced.
pub(crate) fn check_destination(directory: &Path, force: bool) -> anyhow::Result<()> {
    if fs::symlink_metadata(directory).is_err() {
        return Ok(());
    }
    let shown = directory.display();
    if !force {
        anyhow::bail!("{shown} exists; --force replaces it, -o DIR writes elsewhere");
    }
    let empty = || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    if directory.join(MANIFEST).is_file() || empty() {
        return Ok(());
    }
    anyhow::bail!("{shown} is not an output directory of apqc (it has no {MANIFEST}), so --force does not replace it");
}

/// Writes all files of a compilation to `directory`, and `more`.
pub(crate) fn write(
    directory: &Path,
    force: bool,
    (compiled, report): (&Compiled, &Report),
    more: Vec<(&str, Vec<u8>)>,
    manifest: &Manifest,
) -> anyhow::Result<()> {
    let mut files = vec![
        ("model.apq", compiled.lowered.file.to_vec()),
        ("report.json", json(report)?),
        ("layers.csv", layers_csv(&report.layers)?),
        ("assignment.toml", assignment_toml(report)?.into_bytes()),
    ];
    files.extend(more);
    write_all(directory, force, &files, manifest)
}

/// Writes `files` and the manifest to `directory`, all or none.
pub(crate) fn write_all(directory: &Path, force: bool, files: &[(&str, Vec<u8>)], manifest: &Manifest) -> anyhow::Result<()> {
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let cannot = || format!("cannot write {}", directory.display());
    fs::create_dir_all(&parent).with_context(cannot)?;
    // A sibling, so that renaming moves no bytes; it goes away with everything that is left in it.
    let workshop = tempfile::Builder::new().prefix(".apqc-").tempdir_in(&parent).with_context(cannot)?;
    let fresh = workshop.path().join("new");
    fs::create_dir(&fresh).with_context(cannot)?;
    for (name, bytes) in files {
        fs::write(fresh.join(name), bytes).with_context(cannot)?;
    }
    fs::write(fresh.join(MANIFEST), json(manifest)?).with_context(cannot)?;
    check_destination(directory, force)?;
    let old = workshop.path().join("old");
    let replaced = fs::symlink_metadata(directory).is_ok();
    if replaced {
        fs::rename(directory, &old).with_context(cannot)?;
    }
    let moved = fs::rename(&fresh, directory);
    if moved.is_err() && replaced {
        fs::rename(&old, directory).with_context(cannot)?;
    }
    moved.with_context(cannot)
}

/// JSON for people and programs, with a line end.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// `assignment.toml`: one table for each group, in graph order.
fn assignment_toml(report: &Report) -> anyhow::Result<String> {
    let mut text = String::from("# Bit widths of each quantizer group.\n");
    for group in &report.groups {
        let name = toml::Value::String(group.name.clone());
        // Multi-line strings are no keys.
        let name = if group.name.contains(['\n', '\'', '"']) { serde_json::to_string(&group.name)? } else { name.to_string() };
        write!(text, "\n[groups.{name}]\nweight_bits = {}\nactivation_bits = {}\n", group.weight_bits, group.activation_bits)?;
    }
    Ok(text)
}

/// `layers.csv`: the fields of `layers` in `report.json`, empty where they are absent.
fn layers_csv(layers: &[LayerReport]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "name",
        "op",
        "group",
        "input_shape",
        "output_shape",
        "macs",
        "weight_bits",
        "activation_bits",
        "weights_bytes",
        "latency_ms",
        "energy_mj",
        "cycles",
        "accumulator_bits",
    ])?;
    let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for layer in layers {
        writer.write_record([
            layer.name.clone(),
            layer.op.into(),
            layer.group.clone().unwrap_or_default(),
            shape_text(&layer.input_shape),
            shape_text(&layer.output_shape),
            layer.macs.to_string(),
            layer.weight_bits.to_string(),
            layer.activation_bits.to_string(),
            layer.weights_bytes.to_string(),
            optional(layer.latency_ms),
            optional(layer.energy_mj),
            layer.cycles.map(|cycles| cycles.to_string()).unwrap_or_default(),
            layer.accumulator_bits.to_string(),
        ])?;
    }
    Ok(writer.into_inner()?)
}
