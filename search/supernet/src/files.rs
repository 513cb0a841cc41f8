//! Files that appear whole or not at all, and tensors in them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use tch::{Kind, Tensor};

/// Writes a file that appears whole or not at all, with the user's permissions.
///
/// # Errors
/// The file system.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file in a sibling folder gets the user's permissions, which a temporary file would not.
    let workshop = tempfile::Builder::new().prefix(".apqc-").tempdir_in(folder)?;
    let fresh = workshop.path().join("file");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

/// Writes tensors as f32 in safetensors, with `text` as the metadata entry `key`; whole or not at all.
///
/// # Errors
/// The file system, or a name twice.
pub fn write_tensors<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, &'a Tensor)>,
    key: &str,
    text: String,
) -> std::io::Result<()> {
    let bytes_of = |tensor: &Tensor| values(tensor).iter().flat_map(|value| value.to_le_bytes()).collect();
    let data: Vec<(String, Vec<usize>, Vec<u8>)> =
        tensors.into_iter().map(|(name, tensor)| (name, shape(tensor), bytes_of(tensor))).collect();
    let views = data.iter().map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>().map_err(std::io::Error::other)?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([(key.to_owned(), text)]))).map_err(std::io::Error::other)?;
    write_whole(path, &bytes)
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sizes of a tensor.
pub fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().iter().map(|&side| side as usize).collect()
}

/// Elements of a tensor in row-major order.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_kind(Kind::Float).contiguous().view(-1);
    let mut values = vec![0.0; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}
