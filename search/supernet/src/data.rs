//! Labelled images: IDX files as MNIST and its successors use them, or `.npz`; and batches of them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use tch::Tensor;

use crate::files::hexadecimal;

/// Elements that a data set may have, images and labels together: 4 GiB.
const ELEMENTS_MAX: usize = 1 << 32;

/// Why data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No such file, or no permission.
    #[error("cannot read {path}: {source}")]
    Io {
        /// What was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not what the name says.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// A folder without the files of the data set.
    #[error(
        "{folder} has neither {name} nor {name}.gz; with Debian, `apt-get install dataset-fashion-mnist` puts them into /usr/share/datasets/fashion-mnist"
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file.
        name: String,
    },
}

/// Raw images `[N, H, W, C]` with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Row-major.
    pub pixels: Vec<u8>,
    /// One for each image.
    pub labels: Vec<u8>,
    /// `[height, width, channels]`.
    pub shape: [usize; 3],
}

/// How raw values become the network's input: `(x - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Preprocess {
    /// Subtracted.
    pub mean: f32,
    /// Divided by.
    pub std: f32,
}

/// How training images are changed: each is shifted by up to this many pixels in each direction, and mirrored half of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augment {
    /// Pixels.
    pub shift: usize,
    /// Whether images may be mirrored from left to right.
    pub mirror: bool,
}

impl Images {
    /// The training (`train`) or test (`t10k`) part of a folder of IDX files, gzipped or not, or a `.npz` with `x` and `y`.
    ///
    /// # Errors
    /// A file that is missing, cut short or something else.
    pub fn read(path: &Path, part: &str) -> Result<Self, DataError> {
        if path.is_dir() {
            let (shape, pixels) = read_idx(path, &format!("{part}-images-idx3-ubyte"), 3)?;
            let (_, labels) = read_idx(path, &format!("{part}-labels-idx1-ubyte"), 1)?;
            if shape[0] != labels.len() {
                let reason = format!("{} images and {} labels in part `{part}`", shape[0], labels.len());
                return Err(DataError::Format { path: path.to_owned(), reason });
            }
            Ok(Self { pixels, labels, shape: [shape[1], shape[2], 1] })
        } else {
            read_npz(path, true)
        }
    }

    /// Images from a `.npz` whose labels nobody asks for: where there is no `y` they are 0.
    ///
    /// # Errors
    /// A file that is missing or something else.
    pub fn read_unlabelled(path: &Path) -> Result<Self, DataError> {
        read_npz(path, false)
    }

    /// SHA-256 in hexadecimal digits: height, width and channels as u64 little-endian, all pixels, all labels.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.shape.iter().for_each(|&side| hash.update((side as u64).to_le_bytes()));
        hash.update(&self.pixels);
        hash.update(&self.labels);
        hexadecimal(&hash.finalize())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images at `indices`.
    pub fn select(&self, indices: &[usize]) -> Self {
        let size = self.shape.iter().product::<usize>();
        let pixels = indices.iter().flat_map(|&index| &self.pixels[index * size..][..size]).copied().collect();
        Self { pixels, labels: indices.iter().map(|&index| self.labels[index]).collect(), shape: self.shape }
    }

    /// The images that are in none of `others`, which have images of the same shape.
    pub fn without(&self, others: &[&Self]) -> Self {
        let size = self.shape.iter().product::<usize>().max(1);
        let known: HashSet<&[u8]> = others.iter().flat_map(|images| images.pixels.chunks_exact(size)).collect();
        let fresh = self.pixels.chunks_exact(size).enumerate().filter(|(_, image)| !known.contains(image));
        self.select(&fresh.map(|(index, _)| index).collect::<Vec<_>>())
    }

    /// Splits off `held_out` images, drawn by `seed`: (the rest, held out).
    pub fn split(&self, held_out: usize, seed: u64) -> (Self, Self) {
        let order = permutation(self.len(), &mut ChaCha8Rng::seed_from_u64(seed));
        let (held, rest) = order.split_at(held_out.min(order.len()));
        (self.select(rest), self.select(held))
    }

    /// Input `[N, C, H, W]` and labels `[N]` of the images at `indices`.
    pub fn batch(&self, indices: &[usize], preprocess: Preprocess, mut augment: Option<(Augment, &mut ChaCha8Rng)>) -> (Tensor, Tensor) {
        let [height, width, channels] = self.shape;
        let size = height * width * channels;
        let background = -preprocess.mean / preprocess.std;
        let mut values = vec![background; indices.len() * size];
        for (&index, input) in indices.iter().zip(values.chunks_exact_mut(size)) {
            let image = &self.pixels[index * size..][..size];
            let (mut down, mut right, mut mirrored) = (0, 0, false);
            if let Some((augment, rng)) = &mut augment {
                let reach = augment.shift as i32;
                down = rng.random_range(-reach..=reach) as isize;
                right = rng.random_range(-reach..=reach) as isize;
                mirrored = augment.mirror && rng.random();
            }
            for row in 0..height {
                let Some(from_row) = row.checked_add_signed(-down).filter(|&row| row < height) else { continue };
                for column in 0..width {
                    let Some(from) = column.checked_add_signed(-right).filter(|&column| column < width) else { continue };
                    let from = if mirrored { width - 1 - from } else { from };
                    for channel in 0..channels {
                        let raw = image[(from_row * width + from) * channels + channel];
                        input[(channel * height + row) * width + column] = (f32::from(raw) - preprocess.mean) / preprocess.std;
                    }
                }
            }
        }
        let labels: Vec<i64> = indices.iter().map(|&index| self.labels[index].into()).collect();
        let dims = [indices.len(), channels, height, width].map(|side| side as i64);
        (Tensor::from_slice(&values).reshape(dims), Tensor::from_slice(&labels))
    }

    /// Every image, as it is.
    pub fn all(&self, preprocess: Preprocess) -> (Tensor, Tensor) {
        self.batch(&(0..self.len()).collect::<Vec<_>>(), preprocess, None)
    }
}

/// The numbers below `count` in random order.
pub fn permutation(count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    order
}

/// Sizes and bytes of an IDX file of unsigned bytes with `rank` sizes.
fn read_idx(folder: &Path, name: &str, rank: usize) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let plain = folder.join(name);
    let zipped = folder.join(format!("{name}.gz"));
    let (path, bytes) = if plain.exists() {
        let bytes = std::fs::read(&plain);
        (plain, bytes)
    } else if zipped.exists() {
        let bytes = File::open(&zipped).and_then(|file| {
            let mut bytes = Vec::new();
            GzDecoder::new(file).take(ELEMENTS_MAX as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        (zipped, bytes)
    } else {
        return Err(DataError::Missing { folder: folder.to_owned(), name: name.to_owned() });
    };
    let bytes = bytes.map_err(|source| DataError::Io { path: path.clone(), source })?;
    let wrong = |reason: String| DataError::Format { path: path.clone(), reason };
    let header = 4 + 4 * rank;
    if bytes.len() < header || bytes[..4] != [0, 0, 8, rank as u8] {
        return Err(wrong(format!("not an IDX file of unsigned bytes with {rank} sizes")));
    }
    let sizes: Vec<usize> =
        bytes[4..header].chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]) as usize).collect();
    let expected = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).filter(|&elements| elements <= ELEMENTS_MAX);
    if expected != Some(bytes.len() - header) {
        return Err(wrong(format!("its header announces {sizes:?} bytes, {} follow", bytes.len() - header)));
    }
    Ok((sizes, bytes[header..].to_vec()))
}

fn read_npz(path: &Path, labelled: bool) -> Result<Images, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    read_arrays(file, labelled).map_err(|reason| DataError::Format { path: path.to_owned(), reason })
}

fn read_arrays(file: impl Read + Seek, labelled: bool) -> Result<Images, String> {
    let mut arrays = ndarray_npy::NpzReader::new(file).map_err(|error| format!("not a .npz file: {error}"))?;
    let x: ndarray::Array4<u8> = arrays.by_name("x").map_err(|error| format!("`x` must be u8 [N, H, W, C]: {error}"))?;
    let (count, height, width, channels) = x.dim();
    let labelled = labelled || arrays.names().is_ok_and(|names| names.iter().any(|name| name == "y"));
    let y = if labelled { labels(&mut arrays)? } else { vec![0; count] };
    if y.len() != count {
        return Err(format!("`x` has {count} images and `y` {} labels", y.len()));
    }
    Ok(Images { pixels: x.iter().copied().collect(), labels: y, shape: [height, width, channels] })
}

fn labels(arrays: &mut ndarray_npy::NpzReader<impl Read + Seek>) -> Result<Vec<u8>, String> {
    if let Ok(y) = arrays.by_name::<ndarray::OwnedRepr<u8>, ndarray::Ix1>("y") {
        return Ok(y.to_vec());
    }
    let y: ndarray::Array1<i64> = arrays.by_name("y").map_err(|error| format!("`y` must be u8 or i64 [N]: {error}"))?;
    y.iter().map(|&label| u8::try_from(label).map_err(|_| format!("label {label} is not in 0..=255"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Images {
        Images { pixels: (0..18).collect(), labels: vec![3, 7], shape: [3, 3, 1] }
    }

    #[test]
    fn a_batch_is_normalised_and_has_the_images_in_order() {
        let (x, y) = two().batch(&[1, 0], Preprocess { mean: 1.0, std: 2.0 }, None);
        assert_eq!(x.size(), [2, 1, 3, 3]);
        assert_eq!(f32::try_from(x.get(0).get(0).get(1).get(2)).unwrap(), 6.5);
        assert_eq!(Vec::<i64>::try_from(y).unwrap(), [7, 3]);
    }

    #[test]
    fn augmented_images_are_shifted_and_mirrored_ones() {
        let (images, mut rng) = (two(), ChaCha8Rng::seed_from_u64(1));
        let preprocess = Preprocess { mean: 0.0, std: 1.0 };
        for _ in 0..50 {
            let (x, _) = images.batch(&[1], preprocess, Some((Augment { shift: 1, mirror: true }, &mut rng)));
            let seen = Vec::<f32>::try_from(x.flatten(0, -1)).unwrap();
            let possible =
                (-1..=1isize).flat_map(|down| (-1..=1isize).flat_map(move |right| [false, true].map(|mirrored| (down, right, mirrored))));
            let expected = |(down, right, mirrored): (isize, isize, bool)| -> Vec<f32> {
                let at = |at: usize| {
                    let (row, column) = ((at / 3) as isize - down, (at % 3) as isize - right);
                    let column = if mirrored { 2 - column } else { column };
                    if (0..3).contains(&row) && (0..3).contains(&column) {
                        f32::from(images.pixels[9 + (row * 3 + column) as usize])
                    } else {
                        0.0
                    }
                };
                (0..9).map(at).collect()
            };
            assert!(possible.map(expected).any(|image| image == seen), "{seen:?}");
        }
    }

    #[test]
    fn a_split_keeps_every_image_once() {
        let images = Images { pixels: (0..20).collect(), labels: (0..20).collect(), shape: [1, 1, 1] };
        let (rest, held) = images.split(5, 3);
        assert_eq!((rest.len(), held.len()), (15, 5));
        let mut all: Vec<u8> = rest.labels.iter().chain(&held.labels).copied().collect();
        all.sort_unstable();
        assert_eq!(all, images.labels);
        assert_eq!(images.split(5, 3), (rest, held));
    }

    #[test]
    fn what_is_elsewhere_is_left_out() {
        let images = two();
        let other = Images { labels: vec![0], ..images.select(&[1]) };
        assert_eq!(images.without(&[&other]), images.select(&[0]));
        assert!(images.without(&[&other, &images]).is_empty());
        assert_eq!(images.without(&[]), images);
    }

    #[test]
    fn the_hash_covers_shape_pixels_and_labels() {
        let images = two();
        // Of 24 + 18 + 2 bytes, by another program.
        assert_eq!(images.sha256(), "18a21921e724d53e9afd848ae845cb96024586695ad7fbffd6a57404263b8994");
        assert_ne!(images.sha256(), Images { shape: [9, 1, 1], ..images.clone() }.sha256());
        assert_ne!(images.sha256(), Images { labels: vec![3, 8], ..images.clone() }.sha256());
    }

    #[test]
    fn damaged_idx_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |bytes: &[u8]| std::fs::write(folder.path().join("t10k-labels-idx1-ubyte"), bytes).unwrap();
        let read = || read_idx(folder.path(), "t10k-labels-idx1-ubyte", 1).map_err(|error| error.to_string());
        assert!(read().unwrap_err().contains("neither"));
        write(&[0, 0, 8, 1, 0, 0, 0, 2, 5, 6]);
        assert_eq!(read().unwrap(), (vec![2], vec![5, 6]));
        write(&[0, 0, 8, 1, 0, 0, 0, 2, 5]);
        assert!(read().unwrap_err().contains("announces"));
        write(&[0, 0, 13, 1]);
        assert!(read().unwrap_err().contains("not an IDX file"));
    }
}
