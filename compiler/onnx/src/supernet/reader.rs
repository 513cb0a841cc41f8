//! A supernet from the bytes of its file.

use std::collections::BTreeMap;

use apq_search::space::Space;
use prost::Message;
use serde_json::Value;

use super::{METADATA_KEY, Supernet, SupernetError, Tensor, VERSION, tensor_shapes};
use crate::Element;
use crate::proto::{LOCATION_EXTERNAL, ModelProto, TensorProto};

/// Most bytes of metadata.
const METADATA_BYTES_MAX: usize = 1 << 20;

/// The supernet in an ONNX file, `None` where the file is an ordinary network. Nodes are not looked at: that the file computes what the space says is
/// for those to check who can run it.
///
/// # Errors
/// The bytes are no ONNX file, the metadata are broken, or an initializer does not fit the space.
pub fn read(bytes: &[u8]) -> Result<Option<Supernet>, SupernetError> {
    let model = ModelProto::decode(bytes).map_err(|error| SupernetError::NotOnnx(error.to_string()))?;
    let mut entries = model.metadata_props.iter().filter(|entry| entry.key.as_deref() == Some(METADATA_KEY));
    let Some(entry) = entries.next() else { return Ok(None) };
    if entries.next().is_some() {
        return Err(SupernetError::Metadata("is there twice".into()));
    }
    let space = space(entry.value.as_deref().unwrap_or(""))?;
    space.check()?;
    let mut initializers: BTreeMap<String, TensorProto> = BTreeMap::new();
    for initializer in model.graph.unwrap_or_default().initializer {
        let name = initializer.name.clone().unwrap_or_default();
        if initializers.insert(name.clone(), initializer).is_some() {
            return Err(SupernetError::Twice(name));
        }
    }
    let mut tensors = BTreeMap::new();
    for (name, shape) in tensor_shapes(&space) {
        let Some(initializer) = initializers.remove(&name) else { return Err(SupernetError::Missing { name, shape }) };
        let tensor = tensor(&name, shape, initializer)?;
        tensors.insert(name, tensor);
    }
    Supernet::new(space, tensors).map(Some)
}

/// An initializer as a tensor of the shape that the space says. Values are not looked at.
fn tensor(name: &str, shape: Vec<usize>, initializer: TensorProto) -> Result<Tensor, SupernetError> {
    let wrong = |what: String| SupernetError::Elements { name: name.into(), what };
    if initializer.data_type != Some(Element::F32.code()) {
        return Err(wrong(format!("its element type is number {} of ONNX, not 1", initializer.data_type.unwrap_or(0))));
    }
    if initializer.data_location == Some(LOCATION_EXTERNAL) {
        return Err(wrong("its values are in another file".into()));
    }
    if !initializer.dims.iter().copied().eq(shape.iter().map(|&size| size as i64)) {
        return Err(SupernetError::Shape { name: name.into(), expected: shape, found: initializer.dims });
    }
    let values = match initializer.raw_data {
        Some(bytes) if bytes.len() % 4 != 0 => return Err(wrong(format!("{} bytes, which are no whole values", bytes.len()))),
        Some(bytes) => bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        None => initializer.float_data,
    };
    Ok(Tensor { shape, values })
}

/// The space in the metadata, not checked yet.
fn space(text: &str) -> Result<Space, SupernetError> {
    if text.len() > METADATA_BYTES_MAX {
        return Err(SupernetError::Metadata(format!("{} bytes; {METADATA_BYTES_MAX} is the most", text.len())));
    }
    let broken = |error: serde_json::Error| SupernetError::Metadata(error.to_string());
    let mut value: Value = serde_json::from_str(text).map_err(broken)?;
    let missing = |key: &str| SupernetError::Metadata(format!("no `{key}`; it is {{\"version\":{VERSION},\"space\":{{..}}}}"));
    let version = value.get("version").ok_or_else(|| missing("version"))?;
    match version.as_u64() {
        Some(VERSION) => {}
        Some(version) => return Err(SupernetError::Version(version)),
        None => return Err(SupernetError::Metadata(format!("`version` is {version}, not a whole number"))),
    }
    let space = value.get_mut("space").map(Value::take).ok_or_else(|| missing("space"))?;
    serde_json::from_value(space).map_err(|error| SupernetError::Metadata(format!("`space`: {error}")))
}
