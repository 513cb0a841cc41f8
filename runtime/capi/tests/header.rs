//! The committed header is what the source says.

use std::path::{Path, PathBuf};

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/apq_runtime.h")
}

fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new().with_config(config).with_src(root.join("src/lib.rs"));
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_up_to_date() {
    let generated = generated();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(header(), &generated).unwrap();
    }
    let committed = std::fs::read_to_string(header()).unwrap_or_default();
    assert!(committed == generated, "include/apq_runtime.h is old; UPDATE_GOLDEN=1 cargo test --test header writes it");
}

#[test]
fn every_function_is_declared() {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api.rs")).unwrap();
    let names: Vec<&str> = source.split("extern \"C\" fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    assert!(names.len() >= 19, "{names:?}");
    let header = generated();
    for name in names {
        assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
    }
}
