//! NumPy's `.npy` and `.npz`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::Path;

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{
    NpzReader, ReadDataError, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement, WritableElement, WriteDataError, WriteNpyError,
    WriteNpyExt,
};
use py_literal::Value;

use super::{DataError, Dataset, Raw, Shape};

/// More than any calibration or test set: a header that claims more is damaged or hostile.
const ARRAY_BYTES_MAX: usize = 1 << 36;

/// Reads the arrays `x` and, if it is there, `y`; others are left unread.
pub(super) fn load_npz(path: &Path, model_input: &[usize]) -> Result<Dataset, DataError> {
    let npz_error = |source| DataError::Npz { path: path.into(), source };
    let mut npz = NpzReader::new(open(path)?).map_err(npz_error)?;
    let names = npz.names().map_err(npz_error)?;
    let has = |array: &str| names.iter().any(|name| name == array);
    if !has("x") {
        return Err(DataError::MissingArray { path: path.into(), array: "x".into(), found: names });
    }
    let mut file = ArrayFile { path, npz: Some(npz) };
    let x = file.samples()?;
    let y = if has("y") { Some(file.read::<i128>("y", "any integer type")?) } else { None };
    assemble(path, model_input, x, y)
}

/// Reads the samples of a `.npy`, which has no place for labels.
pub(super) fn load_npy(path: &Path, model_input: &[usize]) -> Result<Dataset, DataError> {
    let x = ArrayFile { path, npz: None }.samples()?;
    assemble(path, model_input, x, None)
}

/// Writes an array (f32, u8, i16, ...) in C order. A file that is there is written over.
///
/// # Errors
/// [`DataError::Write`], also where `values` do not fill `shape`.
pub fn write_npy<T: WritableElement>(path: &Path, shape: &[usize], values: &[T]) -> Result<(), DataError> {
    let error = |source| DataError::Write { path: path.into(), source };
    let misfit = |e| error(WriteDataError::FormatData(Box::new(e)).into());
    let view = ArrayViewD::from_shape(shape, values).map_err(misfit)?;
    let mut writer = BufWriter::new(File::create(path).map_err(|e| error(e.into()))?);
    view.write_npy(&mut writer).map_err(error)?;
    writer.into_inner().map(drop).map_err(|e| error(WriteNpyError::Io(e.into_error())))
}

fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    File::open(path).map(BufReader::new).map_err(|source| DataError::Read { path: path.into(), source })
}

/// Values in C order: a list of one type, or [`Raw`].
struct Array<V> {
    shape: Vec<usize>,
    values: V,
}

impl<V> Array<V> {
    fn map<U>(self, values: impl FnOnce(V) -> U) -> Array<U> {
        Array { shape: self.shape, values: values(self.values) }
    }
}

/// A `.npz`, or a `.npy` if there is no archive.
struct ArrayFile<'p> {
    path: &'p Path,
    npz: Option<NpzReader<BufReader<File>>>,
}

impl ArrayFile<'_> {
    /// The array `x` in whichever accepted type it has.
    fn samples(&mut self) -> Result<Array<Raw>, DataError> {
        const ACCEPTED: &str = "u8, i8 or f32";
        match self.read("x", ACCEPTED) {
            Err(DataError::ElementType { .. }) => {}
            other => return other.map(|a| a.map(Raw::U8)),
        }
        match self.read("x", ACCEPTED) {
            Err(DataError::ElementType { .. }) => {}
            other => return other.map(|a| a.map(Raw::I8)),
        }
        self.read("x", ACCEPTED).map(|a| a.map(Raw::F32))
    }

    /// Reads one array. A type that is not `T`'s is an error before any value is read.
    fn read<T: Scalar>(&mut self, array: &str, accepted: &'static str) -> Result<Array<Vec<T>>, DataError> {
        let path = self.path;
        let result: Result<ArrayD<Element<T>>, ReadNpzError> = match &mut self.npz {
            Some(npz) => npz.by_name(array),
            None => ArrayD::read_npy(open(path)?).map_err(ReadNpzError::Npy),
        };
        let read = result.map_err(|source| match source {
            ReadNpzError::Npy(ReadNpyError::WrongDescriptor(found)) => {
                DataError::ElementType { path: path.into(), array: array.into(), found: found.to_string(), accepted }
            }
            ReadNpzError::Npy(source) if self.npz.is_none() => DataError::Npy { path: path.into(), source },
            source => DataError::Npz { path: path.into(), source },
        })?;
        let shape = read.shape().to_vec();
        // In memory order where that is C order already, which spares a copy.
        let values = if read.is_standard_layout() {
            read.into_raw_vec_and_offset().0.into_iter().map(|e| e.0).collect()
        } else {
            read.iter().map(|e| e.0).collect()
        };
        Ok(Array { shape, values })
    }
}

/// Checks shapes and values, and turns labels into class indices.
fn assemble(path: &Path, model_input: &[usize], x: Array<Raw>, y: Option<Array<Vec<i128>>>) -> Result<Dataset, DataError> {
    let grey = |sample: &[usize]| matches!(model_input, [h, w, 1] if sample == [*h, *w]);
    let samples = match x.shape.as_slice() {
        shape if shape == model_input => 1,
        [n, sample @ ..] if sample == model_input || grey(sample) => *n,
        shape => return Err(DataError::Shape { path: path.into(), data: Shape::of(shape), model: model_input.to_vec() }),
    };
    if x.values.is_empty() {
        return Err(DataError::Empty { path: path.into() });
    }
    if let Raw::F32(values) = &x.values
        && let Some(i) = values.iter().position(|v| !v.is_finite())
    {
        let size = values.len() / samples;
        return Err(DataError::NotFinite { path: path.into(), sample: i / size, element: i % size, value: values[i] });
    }
    let labels = y.map(|y| class_indices(path, samples, y)).transpose()?;
    Dataset::new(model_input.to_vec(), x.values, labels, path.display().to_string())
}

fn class_indices(path: &Path, samples: usize, y: Array<Vec<i128>>) -> Result<Vec<u32>, DataError> {
    // A column `[N, 1]` can mean nothing else.
    if y.shape != [samples] && y.shape != [samples, 1] {
        return Err(DataError::LabelCount { path: path.into(), samples, labels: Shape::of(&y.shape) });
    }
    let class =
        |(index, y): (usize, i128)| u32::try_from(y).map_err(|_| DataError::Label { path: path.into(), index, text: y.to_string() });
    y.values.into_iter().enumerate().map(class).collect()
}

/// A number type that arrays may have.
trait Scalar: Copy {
    /// Whether NumPy's type of this kind (`u`, `i`, `f`) and size in bytes is read as `Self`.
    fn accepts(kind: u8, size: usize) -> bool;
    /// From the value's bytes as an unsigned integer.
    fn from_bits(bits: u64, kind: u8, size: usize) -> Self;
}

impl Scalar for u8 {
    fn accepts(kind: u8, size: usize) -> bool {
        (kind, size) == (b'u', 1)
    }

    fn from_bits(bits: u64, _: u8, _: usize) -> u8 {
        bits as u8
    }
}

impl Scalar for i8 {
    fn accepts(kind: u8, size: usize) -> bool {
        (kind, size) == (b'i', 1)
    }

    fn from_bits(bits: u64, _: u8, _: usize) -> i8 {
        bits as u8 as i8
    }
}

impl Scalar for f32 {
    fn accepts(kind: u8, size: usize) -> bool {
        (kind, size) == (b'f', 4)
    }

    fn from_bits(bits: u64, _: u8, _: usize) -> f32 {
        f32::from_bits(bits as u32)
    }
}

/// Every integer type of NumPy.
impl Scalar for i128 {
    fn accepts(kind: u8, size: usize) -> bool {
        matches!((kind, size), (b'u' | b'i', 1 | 2 | 4 | 8))
    }

    fn from_bits(bits: u64, kind: u8, size: usize) -> i128 {
        let unused = 64 - 8 * size as u32;
        if kind == b'i' { i128::from((bits << unused) as i64 >> unused) } else { i128::from(bits) }
    }
}

/// Reads what is in the file instead of allocating what its header claims, so that a damaged header cannot exhaust the memory.
#[derive(Clone, Copy)]
struct Element<T>(T);

impl<T: Scalar> ReadableElement for Element<T> {
    fn read_to_end_exact_vec<R: Read>(mut reader: R, descriptor: &Value, len: usize) -> Result<Vec<Self>, ReadDataError> {
        let wrong = || ReadDataError::WrongDescriptor(descriptor.clone());
        // For example `|u1`, `<i8`, `>f4`: byte order, kind, size.
        let (order, kind, size) = match descriptor {
            Value::String(text) => match text.as_bytes() {
                [order @ (b'<' | b'>' | b'|' | b'='), kind, size @ b'1'..=b'8'] => (*order, *kind, usize::from(size - b'0')),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        if !T::accepts(kind, size) {
            return Err(wrong());
        }
        let bytes = len.checked_mul(size).filter(|&b| b <= ARRAY_BYTES_MAX).ok_or(ReadDataError::MissingData)?;
        let mut data = Vec::new();
        reader.by_ref().take(bytes as u64).read_to_end(&mut data)?;
        if data.len() < bytes {
            return Err(ReadDataError::MissingData);
        }
        // Reading to the end also makes the archive check its checksum.
        let extra = io::copy(&mut reader, &mut io::sink())?;
        if extra > 0 {
            return Err(ReadDataError::ExtraBytes(usize::try_from(extra).unwrap_or(usize::MAX)));
        }
        let big_endian = order == b'>' || (order == b'=' && cfg!(target_endian = "big"));
        let join = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        let value = |bytes: &[u8]| {
            let bits = if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
            Element(T::from_bits(bits, kind, size))
        };
        Ok(data.chunks_exact(size).map(value).collect())
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
