//! What can be wrong with the data that a user hands in.

use std::fmt;
use std::path::PathBuf;

/// A file or folder of samples that cannot be used. All of these are bad input (exit code 2), except a failure to write.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file or folder cannot be opened, read or listed.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be created or written.
    #[error("cannot write {}", path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// The reason.
        #[source]
        source: ndarray_npy::WriteNpyError,
    },
    /// The name's ending is none of those that are known.
    #[error("{}: data is a .npz, a .npy, a .png or .jpg image, or a folder of images", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A `.npz` that is not a zip archive of arrays, or is damaged.
    #[error("{}: not a readable .npz file", path.display())]
    Npz {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        #[source]
        source: ndarray_npy::ReadNpzError,
    },
    /// A `.npy` that is not one, or is damaged.
    #[error("{}: not a readable .npy file", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        #[source]
        source: ndarray_npy::ReadNpyError,
    },
    /// A `.npz` without the array that is needed.
    #[error("{}: no array '{array}' (the file has: {})", path.display(), found.join(", "))]
    MissingArray {
        /// The file.
        path: PathBuf,
        /// The array that is needed.
        array: String,
        /// The arrays that are there.
        found: Vec<String>,
    },
    /// An array of an element type that is not accepted.
    #[error("{}: array '{array}' has element type {found}; {accepted} is accepted", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The array.
        array: String,
        /// NumPy's name for the type in the file, such as `'<f8'`.
        found: String,
        /// The types that are accepted.
        accepted: &'static str,
    },
    /// Samples that do not have the shape of the model's input.
    #[error("{}: data has shape {data}, the model's input has shape {}", path.display(), Shape::batch(model))]
    Shape {
        /// The file.
        path: PathBuf,
        /// Shape of the whole array.
        data: Shape,
        /// Shape of the model's input without the batch, channel last.
        model: Vec<usize>,
    },
    /// A data set without samples.
    #[error("{}: no samples", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// NaN or infinity among the values.
    #[error("{}: sample {sample}, element {element} is {value}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Index of the sample.
        sample: usize,
        /// Index of the element in the sample.
        element: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// As many labels as samples are needed.
    #[error("{}: {samples} samples but labels of shape {labels}", path.display())]
    LabelCount {
        /// The file.
        path: PathBuf,
        /// Number of samples.
        samples: usize,
        /// Shape of the labels.
        labels: Shape,
    },
    /// A label that is not a class index.
    #[error("{}: label {index} is '{text}', not a class index 0, 1, 2, ...", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Which label, from 0.
        index: usize,
        /// What stands there.
        text: String,
    },
    /// A `labels.csv` that is not readable as one.
    #[error("{}: not a readable list of labels", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        #[source]
        source: csv::Error,
    },
    /// A `labels.csv` without one of its two columns.
    #[error("{}: no column '{column}' (the first line is `file,label`)", path.display())]
    CsvColumn {
        /// The file.
        path: PathBuf,
        /// The column that is missing.
        column: &'static str,
    },
    /// A file that is not a readable image.
    #[error("{}: not a readable image", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        #[source]
        source: image::ImageError,
    },
    /// An image that cannot be cropped to the model's input.
    #[error(
        "{}: image is {} x {} pixels (height x width), smaller than the model's input of {} x {}",
        path.display(), image[0], image[1], model[0], model[1]
    )]
    ImageTooSmall {
        /// The file.
        path: PathBuf,
        /// Height and width of the image.
        image: [usize; 2],
        /// Height and width of the model's input.
        model: [usize; 2],
    },
    /// A model whose input is not an image of one or three channels.
    #[error("images do not fit the model's input of shape {}", Shape::batch(model))]
    NotAnImageModel {
        /// Shape of the model's input without the batch, channel last.
        model: Vec<usize>,
    },
    /// Samples, labels and shape that contradict each other.
    #[error("{values} values and {labels:?} labels do not make samples of shape {}", Shape::batch(sample_shape))]
    Inconsistent {
        /// Number of values.
        values: usize,
        /// Number of labels.
        labels: Option<usize>,
        /// Shape of a sample.
        sample_shape: Vec<usize>,
    },
    /// A description of random data that says nothing usable.
    #[error("'{text}' is not normal:MEAN,STD with finite numbers and STD >= 0")]
    Normal {
        /// What was given.
        text: String,
    },
}

/// A shape as people read it: `[512, 32, 32, 3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Vec<Option<usize>>);

impl Shape {
    /// The shape of a whole array.
    pub fn of(dimensions: &[usize]) -> Shape {
        Shape(dimensions.iter().copied().map(Some).collect())
    }

    /// The shape of any number of samples: `[N, 32, 32, 3]`.
    pub fn batch(sample: &[usize]) -> Shape {
        Shape(std::iter::once(None).chain(sample.iter().copied().map(Some)).collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dimension) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            match dimension {
                Some(n) => write!(f, "{separator}{n}")?,
                None => write!(f, "{separator}N")?,
            }
        }
        f.write_str("]")
    }
}
