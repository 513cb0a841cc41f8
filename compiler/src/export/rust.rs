//! A Rust module with what a program must know about the model, beside the file that it includes.

use std::fmt::{self, Write as _};

use apq_runtime::{ALIGNMENT, Tensor};

use super::{ExportError, File, Source, ports};

/// `NAME.rs` and `NAME.apq`.
///
/// # Errors
/// See [`ExportError`].
pub fn files(source: &Source<'_>) -> Result<Vec<File>, ExportError> {
    let ports = ports(&source.model)?;
    let raw_type = source.model.input().ok_or(ExportError::Missing("input"))?.raw_type;
    let output = source.model.output().ok_or(ExportError::Missing("output"))?;
    let mut text = String::new();
    let write = |text: &mut String| -> fmt::Result {
        write_head(source, text)?;
        for port in &ports {
            write_port(text, port.role, &port.tensor)?;
        }
        constant(
            text,
            "Raw data that the model was compiled for: `u8`, `i8` or `f32`.",
            "INPUT_RAW_TYPE",
            "&str",
            literal(raw_type.name()),
        )?;
        constant(text, "Classes of a classifier, else 0.", "OUTPUT_CLASSES", "usize", output.classes)?;
        let removed = "Whether a softmax at the end was left out, so that outputs are logits.";
        constant(text, removed, "OUTPUT_SOFTMAX_REMOVED", "bool", output.softmax_removed)?;
        list(text, "The operators that run.", "OPERATORS", source.operators().into_iter())?;
        list(text, "Names of the classes, or none.", "LABELS", source.labels.iter().map(String::as_str))
    };
    // Writing to a string cannot fail.
    let _ = write(&mut text);
    Ok(vec![(format!("{}.rs", source.name), text.into_bytes()), (format!("{}.apq", source.name), source.file.to_vec())])
}

fn write_head(source: &Source<'_>, text: &mut String) -> fmt::Result {
    let name = &source.name;
    write!(
        text,
        "\
//! Made by `apqc export --as rust` from a model with the SHA-256
//! {sha256}; do not edit.
//!
//! With these features of the runtime, and without its default ones, only what the model needs is linked:
//! `features = [{features}]`
#![allow(dead_code, unreachable_pub)]

/// Bytes at an address that suits the runtime.
#[repr(C, align({ALIGNMENT}))]
pub struct Aligned<const BYTES: usize>(pub [u8; BYTES]);

/// Memory for a session, to be placed in a `static`.
pub type Arena = Aligned<ARENA_BYTES>;

impl<const BYTES: usize> Aligned<BYTES> {{
    /// All zero.
    pub const fn zeroed() -> Self {{
        Self([0; BYTES])
    }}
}}

/// A tensor, channel last: a code `q` stands for `scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {{
    /// Name in the network that was compiled.
    pub name: &'static str,
    /// Sizes, slowest axis first.
    pub shape: &'static [usize],
    /// Number of codes.
    pub elements: usize,
    /// Bytes of the packed codes.
    pub packed_bytes: usize,
    /// Width of a code.
    pub bits: u32,
    /// Step of the quantizer.
    pub scale: f32,
    /// Code of the real value zero.
    pub zero_point: i32,
}}

static FILE: Aligned<MODEL_BYTES> = Aligned(*include_bytes!(\"{name}.apq\"));

/// The `.apq` file.
pub static MODEL: &[u8; MODEL_BYTES] = &FILE.0;
",
        sha256 = source.sha256(),
        features = source.features().iter().map(|feature| literal(feature)).collect::<Vec<_>>().join(", "),
    )?;
    constant(text, "Bytes of the model.", "MODEL_BYTES", "usize", source.file.len())?;
    constant(text, "Bytes of the arena that the model runs in.", "ARENA_BYTES", "usize", source.model.arena_bytes())?;
    constant(text, "Name of the model.", "NAME", "&str", literal(source.model.name()))
}

fn write_port(text: &mut String, role: &str, tensor: &Tensor<'_>) -> fmt::Result {
    let sizes: Vec<String> = tensor.shape.sizes().map(|size| size.to_string()).collect();
    writeln!(text, "\n/// The {role}.\n#[rustfmt::skip]\npub const {}: Tensor = Tensor {{", role.to_ascii_uppercase())?;
    writeln!(text, "    name: {},", literal(tensor.name))?;
    writeln!(text, "    shape: &[{}],", sizes.join(", "))?;
    writeln!(text, "    elements: {},", tensor.shape.elements())?;
    writeln!(text, "    packed_bytes: {},", tensor.bytes())?;
    writeln!(text, "    bits: {},", tensor.bits.bits())?;
    // The shortest decimals that give this number again.
    writeln!(text, "    scale: {:?},", tensor.scale)?;
    writeln!(text, "    zero_point: {},\n}};", tensor.zero_point)
}

/// Long literals make long lines, which rustfmt would break as its settings say.
fn constant(text: &mut String, about: &str, name: &str, element: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(text, "\n/// {about}\n#[rustfmt::skip]\npub const {name}: {element} = {value};")
}

fn list<'t>(text: &mut String, about: &str, name: &str, items: impl ExactSizeIterator<Item = &'t str>) -> fmt::Result {
    writeln!(text, "\n/// {about}\n#[rustfmt::skip]\npub const {name}: [&str; {}] = [", items.len())?;
    for item in items {
        writeln!(text, "    {},", literal(item))?;
    }
    writeln!(text, "];")
}

/// A string literal in plain ASCII.
fn literal(text: &str) -> String {
    format!("\"{}\"", text.escape_default())
}
