//! Photographs: single files and folders.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader};
use rayon::prelude::*;

use super::{DataError, Dataset, Raw, extension};

/// One image as a data set of one sample.
pub(super) fn load_image(path: &Path, model_input: &[usize]) -> Result<Dataset, DataError> {
    let input = Input::of_model(model_input)?;
    Dataset::new(model_input.to_vec(), Raw::U8(input.pixels(path)?), None, path.display().to_string())
}

/// The first `limit` images of a folder, decoded on all threads of the current rayon pool.
///
/// `labels.csv` gives the order and the labels; without it, all `.png`, `.jpg` and `.jpeg` files in the order of their names.
pub(super) fn load_folder(path: &Path, model_input: &[usize], limit: usize) -> Result<Dataset, DataError> {
    let input = Input::of_model(model_input)?;
    let list = path.join("labels.csv");
    let (mut files, labels) = if list.exists() {
        let (files, labels) = read_labels(&list)?;
        (files.into_iter().map(|f| path.join(f)).collect(), Some(labels))
    } else {
        (image_files(path)?, None)
    };
    if files.is_empty() {
        return Err(DataError::Empty { path: path.into() });
    }
    files.truncate(limit.max(1));
    let labels = labels.map(|l| l.into_iter().take(files.len()).collect());
    // All results first, so that the error is the first bad file's and not the fastest thread's.
    let images: Vec<Result<Vec<u8>, DataError>> = files.par_iter().map(|file| input.pixels(file)).collect();
    let images = images.into_iter().collect::<Result<Vec<_>, _>>()?;
    Dataset::new(model_input.to_vec(), Raw::U8(images.concat()), labels, path.display().to_string())
}

/// Columns `file` and `label`, in any position, others ignored.
fn read_labels(list: &Path) -> Result<(Vec<String>, Vec<u32>), DataError> {
    let csv_error = |source| DataError::Csv { path: list.into(), source };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(list).map_err(csv_error)?;
    let header = reader.headers().map_err(csv_error)?;
    let position = |column| header.iter().position(|h| h == column).ok_or(DataError::CsvColumn { path: list.into(), column });
    let (file, label) = (position("file")?, position("label")?);
    let mut files = Vec::new();
    let mut labels = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(csv_error)?;
        // The reader has checked that every record is as long as the header.
        let (name, text) = (record.get(file).unwrap_or_default(), record.get(label).unwrap_or_default());
        labels.push(text.parse().map_err(|_| DataError::Label { path: list.into(), index, text: text.into() })?);
        files.push(name.into());
    }
    Ok((files, labels))
}

fn image_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read_error = |source| DataError::Read { path: folder.into(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if matches!(extension(&path).as_str(), "png" | "jpg" | "jpeg") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the model takes: height, width, and one channel or three.
struct Input {
    height: usize,
    width: usize,
    rgb: bool,
}

impl Input {
    fn of_model(model_input: &[usize]) -> Result<Input, DataError> {
        match *model_input {
            [height, width, channels @ (1 | 3)] => Ok(Input { height, width, rgb: channels == 3 }),
            _ => Err(DataError::NotAnImageModel { model: model_input.to_vec() }),
        }
    }

    /// Decodes one file and crops it: `[H, W, C]`, 8 bits a value.
    fn pixels(&self, path: &Path) -> Result<Vec<u8>, DataError> {
        let read_error = |source| DataError::Read { path: path.into(), source };
        // By content: a wrong ending is common and harmless.
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(read_error)?;
        let image = reader.decode().map_err(|source| DataError::Image { path: path.into(), source })?;
        self.crop(&image).ok_or_else(|| DataError::ImageTooSmall {
            path: path.into(),
            image: [image.height() as usize, image.width() as usize],
            model: [self.height, self.width],
        })
    }

    /// The centre of the image, the offset rounded down, without transparency and as grey (Rec. 709 luma) where the model has one channel.
    fn crop(&self, image: &DynamicImage) -> Option<Vec<u8>> {
        let top = (image.height() as usize).checked_sub(self.height)? / 2;
        let left = (image.width() as usize).checked_sub(self.width)? / 2;
        // The offsets and sizes are at most the image's, so they fit its type.
        let part = image.crop_imm(left as u32, top as u32, self.width as u32, self.height as u32);
        Some(if self.rgb { part.into_rgb8().into_raw() } else { part.into_luma8().into_raw() })
    }
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
