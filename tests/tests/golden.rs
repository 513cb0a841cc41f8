//! The graph as text after import and after each pass. `UPDATE_GOLDEN=1` rewrites the files in `tests/golden/`.

use std::path::Path;

use apq_tests::cases;
use apq_tests::data::{self, DSCNN, RESNET8};
use apqc::import::import;
use apqc::network::Network;

/// The imported graph and what each pass made of it.
fn text(bytes: &[u8], name: &str) -> String {
    let imported = import(bytes, name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut text = format!("== import ==\n{imported}");
    Network::load(bytes, name, None, |pass, applied, graph| match applied {
        0 => text += &format!("\n== {pass} ==\n(unchanged)\n"),
        _ => text += &format!("\n== {pass}: {applied} ==\n{graph}"),
    })
    .unwrap_or_else(|error| panic!("{name}: {error}"));
    text
}

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let written = std::fs::create_dir_all(path.parent().expect("it has a folder")).and_then(|()| std::fs::write(&path, text));
        return written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display()));
    let mut lines = golden.lines().zip(text.lines()).enumerate();
    if let Some((line, (expected, found))) = lines.find(|(_, (expected, found))| expected != found) {
        panic!("{}, line {}:\n  expected {expected}\n  found    {found}\nUPDATE_GOLDEN=1 rewrites it", path.display(), line + 1);
    }
    assert_eq!(golden.lines().count(), text.lines().count(), "{}", path.display());
}

#[test]
fn passes_over_small_networks() {
    let names = [
        "net-residual",
        "net-inverted-residual",
        "net-branches",
        "net-tensorflow",
        "conv1d-chain",
        "norm-behind-add",
        "relu-behind-max-pool",
        "relu-behind-concat",
        "pad-before-padded-conv",
        "flatten",
        "matmul-both-sides",
        "transpose-there-and-back",
        "squeeze-and-excite",
        "scaled-before-tanh",
        "sigmoid-behind-relu",
        "transposed-groups",
    ];
    for name in names {
        check(name, &text(&cases::find(name).model, name));
    }
}

#[test]
fn passes_over_real_models() {
    let Some(folder) = data::folder() else { return };
    for model in [RESNET8, DSCNN] {
        check(model.name, &text(&model.bytes(&folder), model.name));
    }
}
