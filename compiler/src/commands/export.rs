//! `apqc export`: a compiled model for other programs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apqc::export::{ExportError, Source, c, encodings, rust};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::failure::{Exit, input_with_hint, unsupported};
use super::{Context, InputFile, inputs};
use crate::report::files;
use crate::units::human_bytes;

/// Writes a compiled model as C or Rust source that firmware links, or its quantizers as JSON.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The compiled model.
    #[arg(value_name = "MODEL.apq")]
    model: PathBuf,
    /// The form.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Form,
    /// What files and symbols are called: a lower-case identifier [default: made from the model's name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Names of the classes: a text file with one in each line, or JSON with a list of them as `classes` or by itself.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Where the files go [default: MODEL.FORM.d].
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace the output directory if it is there.
    #[arg(long)]
    force: bool,
}

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A header and a file with the model as an aligned array.
    C,
    /// A module that includes the model, with the arena's size as a constant.
    Rust,
    /// Scale, zero point and width of every tensor and of all weights, as JSON.
    Encodings,
    /// Not in this build.
    #[value(hide = true)]
    OnnxQdq,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Rust => "rust",
            Self::Encodings => "encodings",
            Self::OnnxQdq => "onnx-qdq",
        }
    }
}

/// The command.
pub(crate) fn export(context: &Context, args: &ExportArgs) -> anyhow::Result<Exit> {
    let write = match args.form {
        Form::C => c::files,
        Form::Rust => rust::files,
        Form::Encodings => encodings::files,
        Form::OnnxQdq => return Err(unsupported("this build does not export `onnx-qdq`", "what there is: --as c, rust, encodings")),
    };
    let form = args.form.name();
    let directory = args.output.clone().unwrap_or_else(|| args.model.with_extension(format!("{form}.d")));
    files::check_destination(&directory, args.force)?;
    let file = inputs::apq(&args.model)?;
    let mut manifest_inputs = vec![InputFile::new("model", &args.model, &file)];
    let labels = match &args.labels {
        Some(path) => {
            let bytes = inputs::read(path)?;
            manifest_inputs.push(InputFile::new("labels", path, &bytes));
            labels(path, bytes)?
        }
        None => Vec::new(),
    };
    let source = Source::new(&file, args.name.as_deref(), labels).map_err(|error| named(args, error))?;
    let written = write(&source).map_err(|error| named(args, error))?;

    let mut flags = Map::new();
    flags.insert("as".into(), form.into());
    flags.insert("name".into(), Value::String(source.name.clone()));
    let manifest = files::Manifest { tool: "apqc", version: env!("CARGO_PKG_VERSION"), seed: context.seed, flags, inputs: manifest_inputs };
    let all: Vec<(&str, Vec<u8>)> = written.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    files::write_all(&directory, args.force, &all, &manifest)?;

    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let (model_bytes, arena_bytes) = (file.len(), source.model.arena_bytes());
    let result = json!({
        "as": form,
        "name": source.name,
        "output": directory.display().to_string(),
        "files": names,
        "model_bytes": model_bytes,
        "arena_bytes": arena_bytes,
        "operators": source.model.operators().collect::<Vec<_>>(),
    });
    let text = || {
        let (model, arena) = (human_bytes(model_bytes as u64), human_bytes(arena_bytes as u64));
        format!("{} in {}; model {model}, arena {arena}", names.join(", "), directory.display())
    };
    context.console.result(&result, text)?;
    Ok(Exit::Done)
}

/// An error with the file that it is about.
fn named(args: &ExportArgs, error: ExportError) -> anyhow::Error {
    match error {
        ExportError::Load(error) => anyhow::Error::from(error).context(args.model.display().to_string()),
        ExportError::Labels { .. } => {
            input_with_hint(format!("{}: {error}", args.labels.as_deref().unwrap_or(Path::new("")).display()), "one label for each output")
        }
        error => error.into(),
    }
}

/// Reads the names of the classes.
fn labels(path: &Path, bytes: Vec<u8>) -> anyhow::Result<Vec<String>> {
    let shown = path.display().to_string();
    let text = inputs::text(path, bytes)?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let json: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        let list = json.get("classes").unwrap_or(&json).as_array();
        let names = list.and_then(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        return names.ok_or_else(|| input_with_hint(format!("{shown} has no list of names"), "a list of strings, or one as `classes`"));
    }
    Ok(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}
