//! Weight files beside a model. They may lie in the model's folder or below it, and nowhere else: a model must not read what its user did not give.

use std::path::{Component, Path};

use tract_onnx::pb;

use super::error::ImportError;

/// The files in which some of the model's constants lie, each once, in the order of the model.
pub(crate) fn files(proto: &pb::ModelProto) -> Vec<String> {
    let graph = proto.graph.iter();
    let attributes =
        graph.clone().flat_map(|graph| &graph.node).flat_map(|node| &node.attribute).filter_map(|attribute| attribute.t.as_ref());
    let mut files: Vec<String> = Vec::new();
    for tensor in graph.flat_map(|graph| &graph.initializer).chain(attributes) {
        for entry in tensor.external_data.iter().filter(|entry| entry.key == "location") {
            if !files.contains(&entry.value) {
                files.push(entry.value.clone());
            }
        }
    }
    files
}

/// Refuses a weight file outside the model's folder, however it is named.
pub(crate) fn check(proto: &pb::ModelProto, folder: Option<&Path>) -> Result<(), ImportError> {
    for location in files(proto) {
        let refused = |why: &str| {
            Err(ImportError::Model(format!("the model asks for the weight file \"{location}\", {why}; put it in the model's folder")))
        };
        let path = Path::new(&location);
        if path.is_absolute() || path.components().any(|part| matches!(part, Component::RootDir | Component::Prefix(_))) {
            return refused("an absolute path");
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return refused("a path that leaves the model's folder");
        }
        let Some(folder) = folder else { return refused("but it was not read from a folder") };
        // Links are followed before the comparison.
        let (inside, file) = match (folder.canonicalize(), folder.join(path).canonicalize()) {
            (Ok(inside), Ok(file)) => (inside, file),
            (Err(error), _) | (_, Err(error)) => return refused(&format!("which cannot be read ({error})")),
        };
        if !file.starts_with(&inside) {
            return refused("a link that leads out of the model's folder");
        }
        if !file.is_file() {
            return refused("which is no file");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(location: &str) -> pb::ModelProto {
        let entry = pb::StringStringEntryProto { key: "location".into(), value: location.into() };
        let tensor = pb::TensorProto {
            name: "w".into(),
            dims: vec![1],
            data_type: 1,
            external_data: vec![entry],
            data_location: Some(1),
            ..Default::default()
        };
        pb::ModelProto { graph: Some(pb::GraphProto { initializer: vec![tensor], ..Default::default() }), ..Default::default() }
    }

    #[test]
    fn weight_files_stay_in_the_models_folder() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("models");
        std::fs::create_dir_all(folder.join("weights")).unwrap();
        for file in ["secret.bin", "models/net.bin", "models/weights/net.bin"] {
            std::fs::write(outside.path().join(file), [0; 4]).unwrap();
        }
        let ask = |location: &str| check(&model(location), Some(&folder)).map_err(|error| error.to_string());
        for location in ["net.bin", "weights/net.bin", "./net.bin"] {
            assert_eq!(ask(location), Ok(()), "{location}");
        }
        let absolute = outside.path().join("secret.bin");
        let absolute = absolute.to_str().unwrap();
        for (location, why) in [
            (absolute, "an absolute path"),
            ("../secret.bin", "leaves the model's folder"),
            ("weights/../../secret.bin", "leaves the model's folder"),
            ("missing.bin", "cannot be read"),
            ("weights", "is no file"),
        ] {
            let error = ask(location).unwrap_err();
            assert!(error.contains(location) && error.contains(why) && error.contains("put it in the model's folder"), "{error}");
        }
        assert!(check(&model("net.bin"), None).is_err());
        #[cfg(unix)]
        for (link, target) in [("link.bin", "secret.bin"), ("linked", ".")] {
            std::os::unix::fs::symlink(outside.path().join(target), folder.join(link)).unwrap();
            let location = if link == "linked" { "linked/secret.bin" } else { link };
            let error = ask(location).unwrap_err();
            assert!(error.contains(location) && error.contains("a link that leads out"), "{error}");
        }
    }
}
