//! Images that must fit a search space.

use std::path::Path;

use apq_search::space::Space;
use apq_supernet::data::Images;

use super::failure::input;

/// Refuses images, read from `path`, that networks of the space cannot take, or whose labels they do not have.
pub(super) fn check_images(images: &Images, space: &Space, path: &Path) -> anyhow::Result<()> {
    let (shown, expected) = (path.display(), space.input.map(|side| side as usize));
    if images.is_empty() {
        return Err(input(format!("{shown} has no images")));
    }
    if images.shape != expected {
        return Err(input(format!("{shown} has images of {:?}, space `{}` takes {expected:?}", images.shape, space.name)));
    }
    match images.labels.iter().find(|&&label| u32::from(label) >= space.classes) {
        Some(label) => Err(input(format!("{shown}: label {label}, and space `{}` has {} classes", space.name, space.classes))),
        None => Ok(()),
    }
}

/// The images that only report: a `.npz` of their own, or those of the folder of IDX files.
pub(super) fn read_test(data: &Path, test: Option<&Path>, space: &Space) -> anyhow::Result<Option<Images>> {
    let Some(path) = test.or_else(|| data.is_dir().then_some(data)) else { return Ok(None) };
    let images = Images::read(path, "t10k")?;
    check_images(&images, space, path)?;
    Ok(Some(images))
}
