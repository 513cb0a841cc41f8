//! Samples for calibration and evaluation: loading, preprocessing, and data that the tool draws itself.
//!
//! A [`Dataset`] keeps the raw values as they lie in the file (u8, i8 or f32), channel last; [`Preprocess`] turns one sample into
//! the real values that the float network takes.
//!
//! | input | samples | labels |
//! |---|---|---|
//! | `.npz` | array `x`, `[N, H, W, C]` or `[N, F]`, u8, i8 or f32 | array `y`, `[N]`, any integer type |
//! | `.npy` | the array, as `x` | |
//! | folder | the images of `labels.csv` in its order, or else all images by name | column `label` of `labels.csv` |
//! | `.png`, `.jpg` | one image | |

mod dataset;
mod dead_leaves;
mod error;
mod images;
mod npy;
mod preprocess;
mod synthetic;

use std::path::Path;

pub use dataset::{Dataset, Raw, Sample};
pub use dead_leaves::dead_leaves;
pub use error::{DataError, Shape};
pub use npy::write_npy;
pub use preprocess::{Preprocess, PreprocessError};
pub use synthetic::Normal;

/// Loads all samples of a `.npz`, a `.npy`, an image or a folder of images.
///
/// `model_input` is the shape of the model's input without the batch, channel last: `[H, W, C]` or `[F]`. Samples must have it;
/// `[N, H, W]` is accepted where `C = 1`, and an array of exactly this shape is one sample. Images are converted to grey or RGB after
/// `C` and cropped at their centre to `H x W`, the offset rounded down.
///
/// # Errors
/// Anything but samples of this shape: see [`DataError`]. f32 values must be finite.
pub fn load(path: &Path, model_input: &[usize]) -> Result<Dataset, DataError> {
    load_at_most(path, model_input, usize::MAX)
}

/// The first `limit` samples of [`load`]; of a folder only these are decoded.
///
/// # Errors
/// As [`load`].
pub fn load_at_most(path: &Path, model_input: &[usize], limit: usize) -> Result<Dataset, DataError> {
    let data = if path.is_dir() {
        images::load_folder(path, model_input, limit)?
    } else {
        match extension(path).as_str() {
            "npz" => npy::load_npz(path, model_input)?,
            "npy" => npy::load_npy(path, model_input)?,
            "png" | "jpg" | "jpeg" => images::load_image(path, model_input)?,
            // A path that does not exist at all is the likelier mistake.
            _ => {
                std::fs::metadata(path).map_err(|source| DataError::Read { path: path.into(), source })?;
                return Err(DataError::UnknownFormat { path: path.into() });
            }
        }
    };
    Ok(data.take(limit))
}

/// The name's ending in lower case, empty where there is none.
fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}
