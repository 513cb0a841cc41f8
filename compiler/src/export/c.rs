//! A C header with what a program must know about the model, and a C file with its bytes.

use std::fmt::{self, Write as _};

use apq_runtime::{ALIGNMENT, Tensor};

use super::{ExportError, File, Source, ports};

/// Bytes of the model in one line of the file.
const LINE_BYTES: usize = 20;

/// `NAME.h` and `NAME.c`.
///
/// # Errors
/// See [`ExportError`].
pub fn files(source: &Source<'_>) -> Result<Vec<File>, ExportError> {
    let (mut header, mut body) = (String::new(), String::new());
    write_header(source, &mut header)?;
    // Writing to a string cannot fail.
    let _ = write_body(source, &mut body);
    Ok(vec![(format!("{}.h", source.name), header.into_bytes()), (format!("{}.c", source.name), body.into_bytes())])
}

fn write_header(source: &Source<'_>, text: &mut String) -> Result<(), ExportError> {
    let ports = ports(&source.model)?;
    let raw_type = source.model.input().ok_or(ExportError::Missing("input"))?.raw_type;
    let output = source.model.output().ok_or(ExportError::Missing("output"))?;
    let upper = source.name.to_ascii_uppercase();
    let head = |text: &mut String| -> fmt::Result {
        writeln!(text, "/* Made by `apqc export --as c` from a model with the SHA-256\n * {}; do not edit. */", source.sha256())?;
        writeln!(text, "#ifndef APQ_EXPORT_{upper}_H\n#define APQ_EXPORT_{upper}_H\n\n#include <stdint.h>\n")?;
        writeln!(text, "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n")?;
        writeln!(text, "/* Bytes of the model, and of the arena that it runs in; both start at a multiple of {}. */", ALIGNMENT)?;
        writeln!(text, "#define {upper}_MODEL_BYTES {}", source.file.len())?;
        writeln!(text, "#define {upper}_ARENA_BYTES {}", source.model.arena_bytes())?;
        writeln!(text, "#define {upper}_ALIGNMENT {}\n", ALIGNMENT)?;
        writeln!(text, "#define {upper}_NAME {}", literal(source.model.name()))?;
        writeln!(text, "/* The operators that run. */")?;
        writeln!(text, "#define {upper}_OPERATORS {}", literal(&source.operators().join(" ")))?;
        writeln!(text, "/* Features of a library that runs this model and nothing else. */")?;
        writeln!(text, "#define {upper}_FEATURES {}", literal(&source.features().join(" ")))
    };
    let tail = |text: &mut String| -> fmt::Result {
        for port in &ports {
            write_port(text, &upper, port.role, &port.tensor)?;
        }
        writeln!(text, "\n/* Raw data that the model was compiled for: u8, i8 or f32. */")?;
        writeln!(text, "#define {upper}_INPUT_RAW_TYPE {}", literal(raw_type.name()))?;
        writeln!(text, "/* Classes of a classifier, else 0; whether a softmax at the end was left out, so that outputs are logits. */")?;
        writeln!(text, "#define {upper}_OUTPUT_CLASSES {}", output.classes)?;
        writeln!(text, "#define {upper}_OUTPUT_SOFTMAX_REMOVED {}\n", u8::from(output.softmax_removed))?;
        writeln!(text, "/* The .apq file. */\nextern const uint8_t {}_model[{upper}_MODEL_BYTES];", source.name)?;
        if !source.labels.is_empty() {
            writeln!(text, "\n/* Names of the classes. */\n#define {upper}_LABELS {}", source.labels.len())?;
            writeln!(text, "extern const char *const {}_labels[{upper}_LABELS];", source.name)?;
        }
        writeln!(text, "\n#ifdef __cplusplus\n}}\n#endif\n\n#endif")
    };
    // Writing to a string cannot fail.
    let _ = head(text).and_then(|()| tail(text));
    Ok(())
}

fn write_port(text: &mut String, upper: &str, role: &str, tensor: &Tensor<'_>) -> fmt::Result {
    let sizes: Vec<String> = tensor.shape.sizes().map(|size| size.to_string()).collect();
    let prefix = format!("{upper}_{}", role.to_ascii_uppercase());
    writeln!(text, "\n/* The {role}, channel last: a code q of so many bits stands for SCALE * (q - ZERO_POINT). */")?;
    writeln!(text, "#define {prefix}_NAME {}", literal(tensor.name))?;
    writeln!(text, "#define {prefix}_RANK {}", sizes.len())?;
    writeln!(text, "#define {prefix}_SHAPE {{{}}}", sizes.join(", "))?;
    writeln!(text, "#define {prefix}_ELEMENTS {}", tensor.shape.elements())?;
    writeln!(text, "#define {prefix}_PACKED_BYTES {}", tensor.bytes())?;
    writeln!(text, "#define {prefix}_BITS {}", tensor.bits.bits())?;
    // The shortest decimals that give this number again.
    writeln!(text, "#define {prefix}_SCALE {:?}f", tensor.scale)?;
    writeln!(text, "#define {prefix}_ZERO_POINT ({})", tensor.zero_point)
}

fn write_body(source: &Source<'_>, text: &mut String) -> fmt::Result {
    let name = &source.name;
    let upper = name.to_ascii_uppercase();
    writeln!(text, "/* Made by `apqc export --as c`; do not edit. */\n#include \"{name}.h\"\n")?;
    writeln!(text, "#if defined(__cplusplus) && __cplusplus >= 201103L\n#define ALIGNED alignas({upper}_ALIGNMENT)")?;
    writeln!(text, "#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n#define ALIGNED _Alignas({upper}_ALIGNMENT)")?;
    writeln!(text, "#elif defined(__GNUC__)\n#define ALIGNED __attribute__((aligned({upper}_ALIGNMENT)))")?;
    writeln!(text, "#else\n#error \"C11 or later is needed, which can align an array\"\n#endif\n")?;
    write!(text, "ALIGNED const uint8_t {name}_model[{upper}_MODEL_BYTES] = {{")?;
    for line in source.file.chunks(LINE_BYTES) {
        text.push_str("\n    ");
        for (index, byte) in line.iter().enumerate() {
            write!(text, "{}{byte},", if index == 0 { "" } else { " " })?;
        }
    }
    writeln!(text, "\n}};")?;
    if !source.labels.is_empty() {
        writeln!(text, "\nconst char *const {name}_labels[{upper}_LABELS] = {{")?;
        for label in &source.labels {
            writeln!(text, "    {},", literal(label))?;
        }
        writeln!(text, "}};")?;
    }
    Ok(())
}

/// A string literal. Everything but plain ASCII becomes an octal escape, which ends after three digits; `?` does too, for the sake of trigraphs.
fn literal(text: &str) -> String {
    let mut made = String::from("\"");
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' | b'?' | 0..=0x1f | 0x7f.. => {
                let _ = write!(made, "\\{byte:03o}");
            }
            _ => made.push(char::from(byte)),
        }
    }
    made.push('"');
    made
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn any_name_is_a_literal() {
        assert_eq!(literal("a/b:0"), "\"a/b:0\"");
        assert_eq!(literal("\"\\\n??=é7"), "\"\\042\\134\\012\\077\\077=\\303\\2517\"");
    }
}
