//! What commands read: models, targets, data, preprocessing. Every input file leaves its SHA-256, which the manifest and the cache's keys hold.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_lut::{CostModel, Counter, Table, Unit, import_published};
use apq_runtime::build::AlignedBytes;
use apq_runtime::{MAGIC, Model};
use apq_targets::{CostSource, Target};
use apqc::data::{self, Dataset, Normal, Preprocess, Raw};
use apqc::evaluate::RunError;
use apqc::hash::hexadecimal;
use apqc::network::Network;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::failure::{input, input_with_hint};

/// Largest file that is read as a model, a table or a description.
const FILE_BYTES_MAX: u64 = 1 << 32;

/// Most values that are drawn.
const DRAWN_VALUES_MAX: usize = 1 << 30;

/// One input of a command, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InputFile {
    /// What it is for: `model`, `calibration`, ...
    pub(crate) role: &'static str,
    /// As on the command line, or the default that was found.
    pub(crate) path: String,
    /// Of the file's bytes; of a folder, of the samples that were decoded from it.
    pub(crate) sha256: String,
}

impl InputFile {
    pub(crate) fn new(role: &'static str, path: &Path, bytes: &[u8]) -> InputFile {
        InputFile { role, path: path.display().to_string(), sha256: sha256(&[bytes]) }
    }
}

/// SHA-256 of parts one after the other, in hexadecimal digits.
pub(crate) fn sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hexadecimal(&hash.finalize())
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let meta = std::fs::metadata(path).with_context(cannot)?;
    if meta.is_dir() {
        return Err(input(format!("{} is a folder, not a file", path.display())));
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(input(format!("{} has {} bytes; {FILE_BYTES_MAX} is the most", path.display(), meta.len())));
    }
    std::fs::read(path).with_context(cannot)
}

pub(crate) fn text(path: &Path, bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|_| input(format!("{} is not a text file", path.display())))
}

/// `MODEL` of `MODEL.onnx`.
pub(crate) fn stem(model: &Path) -> PathBuf {
    match model.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("onnx") => model.with_extension(""),
        _ => model.to_path_buf(),
    }
}

/// A file beside the model: `MODEL` and an ending.
pub(crate) fn beside(model: &Path, ending: &str) -> PathBuf {
    let mut path = stem(model).into_os_string();
    path.push(ending);
    path.into()
}

/// An ONNX model.
pub(crate) struct OnnxModel {
    /// What it computes.
    pub(crate) network: Network,
    /// The file, and those with its weights.
    pub(crate) files: Vec<InputFile>,
}

/// Reads and imports an ONNX model.
pub(crate) fn onnx(path: &Path) -> anyhow::Result<OnnxModel> {
    let bytes = read(path)?;
    if bytes.starts_with(&MAGIC) {
        return Err(input(format!("{} is a compiled .apq file; this takes an ONNX model", path.display())));
    }
    let name = stem(path).file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let network = Network::load(&bytes, &name, Some(folder), |_, _, _| ()).with_context(|| path.display().to_string())?;
    let mut files = vec![InputFile::new("model", path, &bytes)];
    for external in network.external_files() {
        let path = folder.join(&external);
        files.push(InputFile::new("weights", &path, &read(&path)?));
    }
    Ok(OnnxModel { network, files })
}

/// Whether a file starts like a compiled model, or is called like one.
pub(crate) fn is_apq(path: &Path, bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("apq"))
}

/// A compiled model's bytes, placed as the runtime wants them; [`checked`] proves them.
pub(crate) fn apq(path: &Path) -> anyhow::Result<AlignedBytes> {
    Ok(AlignedBytes::from(&*read(path)?))
}

/// Proves a compiled model.
pub(crate) fn checked<'f>(path: &Path, file: &'f AlignedBytes) -> anyhow::Result<Model<'f>> {
    Model::new_checked(file).map_err(|error| anyhow::Error::from(error).context(path.display().to_string()))
}

/// Shape of a compiled model's samples, without the batch, and its preprocessing.
pub(crate) fn apq_input(model: &Model<'_>) -> anyhow::Result<(Vec<usize>, Preprocess)> {
    let port = model.input().ok_or_else(|| RunError::Session("the model has no input".into()))?;
    let shape: Vec<usize> = port.tensor.shape.sizes().skip(1).collect();
    let preprocess = Preprocess::new(port.mean.to_vec(), port.std.to_vec(), port.tensor.shape.channels())?;
    Ok((shape, preprocess))
}

/// A target with its lookup table.
pub(crate) struct TargetChoice {
    /// The target.
    pub(crate) target: Target,
    /// Its lookup table, where its costs come from one.
    pub(crate) table: Option<Table>,
    /// The lookup table that the user gave; it goes before the target's own costs.
    pub(crate) given: Option<Table>,
    /// Files it was read from.
    pub(crate) files: Vec<InputFile>,
}

impl TargetChoice {
    /// Who answers for latency and energy; `None` where only bit operations are known.
    pub(crate) fn cost_model(&self) -> Option<Box<dyn CostModel + '_>> {
        if let Some(table) = &self.given {
            return Some(Box::new(table));
        }
        self.target.cost_model(self.table.as_ref())
    }

    /// What a reader should know about latencies that come from counts.
    pub(crate) fn cost_note(&self) -> Option<String> {
        let counter = self.given.as_ref().or(self.table.as_ref())?.profile()?.counter();
        let Counter { board, runner, clock_hz, .. } = counter;
        let mhz = *clock_hz as f64 / 1e6;
        Some(match counter.unit {
            Unit::Instructions => format!(
                "latency is the number of instructions that {runner} counts on {board}, at 1 instruction per cycle of {mhz} MHz: wait states of \
                 memory and instructions of several cycles are not in it; `apqc profile` measures a board"
            ),
            Unit::Cycles => format!("latency is in cycles measured on {board}, at {mhz} MHz"),
        })
    }
}

/// Whether a word on the command line means a file rather than a name.
fn looks_like_a_file(word: &str) -> bool {
    word.contains(['/', '\\']) || Path::new(word).extension().is_some() || Path::new(word).is_file()
}

/// A built-in target by its name, or one of a TOML file.
pub(crate) fn target(word: &str) -> anyhow::Result<TargetChoice> {
    target_with(word, None)
}

/// The same with a lookup table in place of its own costs.
fn target_with(word: &str, lut: Option<&Path>) -> anyhow::Result<TargetChoice> {
    let mut choice = own_costs(word, lut.is_some())?;
    if let Some(path) = lut {
        let bytes = read(path)?;
        choice.files.push(InputFile::new("lookup table", path, &bytes));
        choice.given = Some(table(path, bytes)?.at_clock(choice.target.clock_hz()));
    }
    Ok(choice)
}

/// `replaced`: a table need not be there.
fn own_costs(word: &str, replaced: bool) -> anyhow::Result<TargetChoice> {
    if !looks_like_a_file(word) {
        let target = Target::builtin(word)?;
        // A core that nobody has measured yet counts bit operations only.
        let table = target.builtin_table().transpose()?.filter(|table| table.profile().is_some());
        return Ok(TargetChoice { target, table, given: None, files: Vec::new() });
    }
    let path = Path::new(word);
    let bytes = read(path)?;
    let mut files = vec![InputFile::new("target", path, &bytes)];
    let target = Target::from_toml(&text(path, bytes)?).with_context(|| path.display().to_string())?;
    let table = match (target.cost_source(), target.table_file()) {
        (CostSource::Table, _) if replaced => None,
        (CostSource::Table, Some(_)) if target.builtin_table().is_some() => {
            target.builtin_table().transpose()?.map(|table| table.at_clock(target.clock_hz()))
        }
        (CostSource::Table, Some(file)) => {
            let path = path.parent().unwrap_or(Path::new("")).join(file);
            let bytes = read(&path)?;
            files.push(InputFile::new("lookup table", &path, &bytes));
            Some(table(&path, bytes)?.at_clock(target.clock_hz()))
        }
        (CostSource::Table, None) => {
            return Err(input_with_hint(
                format!("{}: the target takes its costs from a lookup table and names none", path.display()),
                "add a line: table = \"FILE\", or give --lut FILE",
            ));
        }
        _ => None,
    };
    Ok(TargetChoice { target, table, given: None, files })
}

/// The target that a flag names; without the flag an error that lists the names.
pub(crate) fn required_target(word: Option<&str>, lut: Option<&Path>) -> anyhow::Result<TargetChoice> {
    let known = Target::builtin_names().join(", ");
    match word {
        Some(word) => target_with(word, lut),
        None => Err(input_with_hint(
            format!("for which target? Give --target NAME or --target FILE.toml; known names: {known}"),
            "`apqc targets list` describes them",
        )),
    }
}

/// A lookup table in our format or as APQ published it.
pub(crate) fn table_file(path: &Path) -> anyhow::Result<Table> {
    table(path, read(path)?)
}

fn table(path: &Path, bytes: Vec<u8>) -> anyhow::Result<Table> {
    let text = text(path, bytes)?;
    let ours = text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"format\""));
    let named = || path.display().to_string();
    if ours { Table::from_json(&text).with_context(named) } else { import_published(&text).with_context(named) }
}

/// The preprocessing of a file, or of `MODEL.json`, or none.
pub(crate) fn preprocess(explicit: Option<&Path>, model: &Path, channels: usize) -> anyhow::Result<(Preprocess, Option<InputFile>)> {
    let default = beside(model, ".json");
    let path = match explicit {
        Some(path) => path,
        None if default.is_file() => &default,
        None => return Ok((Preprocess::identity(channels), None)),
    };
    let bytes = read(path)?;
    let file = InputFile::new("preprocessing", path, &bytes);
    let preprocess = Preprocess::from_json(&text(path, bytes)?, channels).with_context(|| path.display().to_string())?;
    Ok((preprocess, Some(file)))
}

/// Samples, and the file they came from, if they did.
pub(crate) struct Samples {
    /// The samples.
    pub(crate) data: Dataset,
    /// Their file or folder.
    pub(crate) file: Option<InputFile>,
    /// How the tool came by them.
    pub(crate) origin: Origin,
}

/// Where samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file or folder.
    File,
    /// Drawn, because the user asked for it.
    Asked,
    /// Images drawn by the tool, because there were none.
    Drawn,
}

/// The first `limit` samples of a file or folder.
pub(crate) fn samples(role: &'static str, path: &Path, sample_shape: &[usize], limit: usize) -> anyhow::Result<Samples> {
    let data = data::load_at_most(path, sample_shape, limit)?;
    let sha256 = if path.is_dir() { content_sha256(&data) } else { sha256(&[&read(path)?]) };
    let file = InputFile { role, path: path.display().to_string(), sha256 };
    Ok(Samples { data, file: Some(file), origin: Origin::File })
}

/// SHA-256 over shape, element type, values and labels of samples.
pub(crate) fn content_sha256(data: &Dataset) -> String {
    let head = format!("{:?} {} {:?}\n", data.sample_shape(), data.raw().element_type(), data.labels());
    match data.raw() {
        Raw::U8(values) => sha256(&[head.as_bytes(), values]),
        Raw::I8(values) => sha256(&[head.as_bytes(), &values.iter().map(|v| *v as u8).collect::<Vec<u8>>()]),
        Raw::F32(values) => sha256(&[head.as_bytes(), &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()]),
    }
}

/// Calibration samples: of the flag, of `MODEL.calib.npz`, or drawn where the model takes images.
pub(crate) fn calibration(
    explicit: Option<&str>,
    model: &Path,
    sample_shape: &[usize],
    count: usize,
    seed: u64,
) -> anyhow::Result<Samples> {
    let default = beside(model, ".calib.npz");
    let drawable = || match sample_shape.iter().try_fold(count, |product, size| product.checked_mul(*size)) {
        Some(values) if values <= DRAWN_VALUES_MAX => Ok(()),
        _ => Err(input(format!("{count} samples of shape {sample_shape:?} are too many to draw; lower --samples"))),
    };
    match explicit {
        Some(word) if word.starts_with("normal:") => {
            drawable()?;
            let data = word.parse::<Normal>()?.draw(sample_shape, count, seed)?;
            Ok(Samples { data, file: None, origin: Origin::Asked })
        }
        Some(path) => samples("calibration", Path::new(path), sample_shape, count),
        None if default.is_file() => samples("calibration", &default, sample_shape, count),
        None if matches!(sample_shape, [_, _, 1 | 3]) => {
            drawable()?;
            let data = data::dead_leaves(sample_shape, count, seed)?;
            Ok(Samples { data, file: None, origin: Origin::Drawn })
        }
        None => Err(input_with_hint(
            format!("the model takes samples of shape {sample_shape:?}, which are no images: it needs calibration data"),
            format!("give --calib FILE.npz (array `x`), put {} beside the model, or use --calib normal:MEAN,STD", default.display()),
        )),
    }
}
