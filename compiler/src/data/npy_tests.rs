use std::path::PathBuf;

use ndarray::{Array, Array1, Array2, Array3, Array4, ArrayD, Dimension};
use ndarray_npy::NpzWriter;
use tempfile::TempDir;

use super::*;
use crate::data::{Sample, load, load_at_most};

/// A folder that goes away with the test, and a file in it.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Scratch {
        Scratch(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A `.npz` with the array `x`, and what `more` adds.
    fn npz<T: WritableElement, D: Dimension>(&self, x: &Array<T, D>, more: impl FnOnce(&mut NpzWriter<File>)) -> PathBuf {
        let path = self.file("data.npz");
        let mut writer = NpzWriter::new_compressed(File::create(&path).unwrap());
        writer.add_array("x", x).unwrap();
        more(&mut writer);
        writer.finish().unwrap();
        path
    }

    /// A `.npy` with any header.
    fn npy(&self, descriptor: &str, shape: &str, data: &[u8]) -> PathBuf {
        let path = self.file("data.npy");
        let header = format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': {shape}}}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// `[N, 2, 2, 3]`, counting up.
fn pixels(samples: usize) -> Array4<u8> {
    Array::from_shape_vec((samples, 2, 2, 3), (0..samples * 12).map(|i| i as u8).collect()).unwrap()
}

const RGB: [usize; 3] = [2, 2, 3];

/// The error's text without the path in front, which differs from run to run.
fn message(path: &Path, result: Result<Dataset, DataError>) -> String {
    let text = result.unwrap_err().to_string();
    let start = format!("{}: ", path.display());
    text.strip_prefix(&start).unwrap_or_else(|| panic!("does not name the file: {text}")).to_owned()
}

#[test]
fn values_keep_their_type() {
    let scratch = Scratch::new();
    let data = load(&scratch.npz(&pixels(2), |_| ()), &RGB).unwrap();
    assert_eq!(data.raw(), &Raw::U8((0..24).collect()));
    assert_eq!((data.len(), data.sample_shape(), data.labels()), (2, &RGB[..], None));

    let data = load(&scratch.npz(&Array2::<i8>::from_elem((3, 5), -128), |_| ()), &[5]).unwrap();
    assert_eq!(data.raw(), &Raw::I8(vec![-128; 15]));

    let x = Array2::from_shape_vec((1, 3), vec![-0.5_f32, f32::MAX, 1e-45]).unwrap();
    let data = load(&scratch.npz(&x, |_| ()), &[3]).unwrap();
    assert_eq!(data.raw(), &Raw::F32(vec![-0.5, f32::MAX, 1e-45]));
}

#[test]
fn labels_may_be_of_any_integer_type() {
    fn labels<T: WritableElement + From<u8>>() -> Option<Vec<u32>> {
        let scratch = Scratch::new();
        let y = Array1::from_iter([3_u8, 0, 127].map(T::from));
        let path = scratch.npz(&pixels(3), |npz| npz.add_array("y", &y).unwrap());
        load(&path, &RGB).unwrap().labels().map(<[u32]>::to_vec)
    }
    let expected = Some(vec![3, 0, 127]);
    let found = [labels::<u8>(), labels::<u16>(), labels::<i16>(), labels::<u32>(), labels::<i32>(), labels::<u64>(), labels::<i64>()];
    assert!(found.iter().all(|labels| *labels == expected), "{found:?}");

    let scratch = Scratch::new();
    let column = Array2::from_shape_vec((3, 1), vec![2_i8, 1, 0]).unwrap();
    let path = scratch.npz(&pixels(3), |npz| npz.add_array("y", &column).unwrap());
    assert_eq!(load(&path, &RGB).unwrap().labels(), Some(&[2, 1, 0][..]));
}

#[test]
fn labels_that_are_no_class_indices_are_refused() {
    let scratch = Scratch::new();
    let with = |y: ArrayD<i64>| {
        let path = scratch.npz(&pixels(3), |npz| npz.add_array("y", &y).unwrap());
        message(&path, load(&path, &RGB))
    };
    let list = |values: &[i64]| Array1::from_vec(values.to_vec()).into_dyn();
    assert_eq!(with(list(&[0, -1, 2])), "label 1 is '-1', not a class index 0, 1, 2, ...");
    assert_eq!(with(list(&[0, 1, 1 << 32])), "label 2 is '4294967296', not a class index 0, 1, 2, ...");
    assert_eq!(with(list(&[0, 1])), "3 samples but labels of shape [2]");
    assert_eq!(with(Array2::zeros((3, 10)).into_dyn()), "3 samples but labels of shape [3, 10]");

    let path = scratch.npz(&pixels(1), |npz| npz.add_array("y", &Array1::from_vec(vec![1.0_f32])).unwrap());
    assert_eq!(message(&path, load(&path, &RGB)), "array 'y' has element type '<f4'; any integer type is accepted");
}

#[test]
fn other_arrays_are_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.npz(&pixels(2), |npz| {
        npz.add_array("logits", &Array1::from_vec(vec![f64::NAN; 7])).unwrap();
        npz.add_array("mask", &Array1::from_vec(vec![true])).unwrap();
    });
    assert_eq!(load(&path, &RGB).unwrap().len(), 2);
}

#[test]
fn an_archive_without_samples_names_what_it_has() {
    let scratch = Scratch::new();
    let path = scratch.file("data.npz");
    let mut writer = NpzWriter::new(File::create(&path).unwrap());
    writer.add_array("images", &pixels(1)).unwrap();
    writer.add_array("y", &Array1::from_vec(vec![0_i64])).unwrap();
    writer.finish().unwrap();
    assert_eq!(message(&path, load(&path, &RGB)), "no array 'x' (the file has: images, y)");
}

#[test]
fn another_shape_shows_both() {
    let scratch = Scratch::new();
    let path = scratch.npz(&pixels(2), |_| ());
    let expected = "data has shape [2, 2, 2, 3], the model's input has shape [N, 32, 32, 3]";
    assert_eq!(message(&path, load(&path, &[32, 32, 3])), expected);
    // Channel first is not guessed.
    assert_eq!(message(&path, load(&path, &[3, 2, 2])), "data has shape [2, 2, 2, 3], the model's input has shape [N, 3, 2, 2]");
    let scalar = scratch.npz(&ndarray::arr0(1_u8), |_| ());
    assert_eq!(message(&scalar, load(&scalar, &[1])), "data has shape [], the model's input has shape [N, 1]");
}

#[test]
fn one_sample_and_grey_images_need_no_extra_dimensions() {
    let scratch = Scratch::new();
    let one = Array3::from_shape_vec((2, 2, 3), (0..12).collect::<Vec<u8>>()).unwrap();
    let data = load(&scratch.npz(&one, |npz| npz.add_array("y", &Array1::from_vec(vec![9_u8])).unwrap()), &RGB).unwrap();
    assert_eq!((data.len(), data.labels()), (1, Some(&[9][..])));

    let grey = Array3::from_shape_vec((3, 2, 4), (0..24).collect::<Vec<u8>>()).unwrap();
    let data = load(&scratch.npz(&grey, |_| ()), &[2, 4, 1]).unwrap();
    assert_eq!((data.len(), data.sample_shape()), (3, &[2, 4, 1][..]));
    assert_eq!(data.sample(2), Sample::U8(&[16, 17, 18, 19, 20, 21, 22, 23]));
}

#[test]
fn nothing_and_not_a_number_are_refused() {
    let scratch = Scratch::new();
    let path = scratch.npz(&pixels(0), |_| ());
    assert_eq!(message(&path, load(&path, &RGB)), "no samples");

    for (value, text) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let mut x = Array2::<f32>::zeros((3, 4));
        x[[1, 2]] = value;
        let path = scratch.npz(&x, |_| ());
        assert_eq!(message(&path, load(&path, &[4])), format!("sample 1, element 2 is {text}"));
    }
}

#[test]
fn other_element_types_are_named() {
    let scratch = Scratch::new();
    let path = scratch.npz(&Array2::<f64>::zeros((1, 4)), |_| ());
    assert_eq!(message(&path, load(&path, &[4])), "array 'x' has element type '<f8'; u8, i8 or f32 is accepted");
    let path = scratch.npy("<f2", "(1, 4)", &[0; 8]);
    assert_eq!(message(&path, load(&path, &[4])), "array 'x' has element type '<f2'; u8, i8 or f32 is accepted");
}

#[test]
fn byte_and_memory_order_do_not_matter() {
    let scratch = Scratch::new();
    let big: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
    assert_eq!(load(&scratch.npy(">f4", "(2,)", &big), &[2]).unwrap().raw(), &Raw::F32(vec![1.5, -2.0]));

    // A transposed array is stored in Fortran order.
    let columns = Array2::from_shape_vec((3, 2), vec![0_u8, 10, 1, 11, 2, 12]).unwrap().reversed_axes();
    let data = load(&scratch.npz(&columns, |_| ()), &[3]).unwrap();
    assert_eq!(data.raw(), &Raw::U8(vec![0, 1, 2, 10, 11, 12]));
}

#[test]
fn damaged_files_are_bad_input() {
    let scratch = Scratch::new();
    let path = scratch.npz(&pixels(50), |_| ());
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(message(&path, load(&path, &RGB)), "not a readable .npz file", "{length} bytes");
    }
    // One bit in the middle of the compressed values: the checksum tells.
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    assert!(load(&path, &RGB).is_err());

    let cases = [("(2, 4)", 7), ("(2, 4)", 9), ("(1099511627776, 4)", 8), ("(18446744073709551615, 4)", 8), ("(-1, 4)", 8), ("4", 4)];
    for (shape, bytes) in cases {
        let path = scratch.npy("|u1", shape, &vec![0; bytes]);
        assert_eq!(message(&path, load(&path, &[4])), "not a readable .npy file", "{shape} with {bytes} bytes");
    }
}

#[test]
fn a_limit_keeps_the_first_samples() {
    let scratch = Scratch::new();
    let path = scratch.npz(&pixels(3), |npz| npz.add_array("y", &Array1::from_vec(vec![5_u8, 6, 7])).unwrap());
    let data = load_at_most(&path, &RGB, 2).unwrap();
    assert_eq!((data.len(), data.labels()), (2, Some(&[5, 6][..])));
    assert_eq!(data.source(), path.display().to_string());
}

#[test]
fn a_missing_file_and_an_unknown_ending_are_told_apart() {
    let scratch = Scratch::new();
    for name in ["absent.npz", "absent.npy", "absent", "absent.txt"] {
        assert!(matches!(load(&scratch.file(name), &[1]), Err(DataError::Read { .. })), "{name}");
    }
    let path = scratch.file("data.txt");
    std::fs::write(&path, "1 2 3").unwrap();
    assert!(matches!(load(&path, &[1]), Err(DataError::UnknownFormat { .. })));
}

#[test]
fn a_written_array_reads_back() {
    let scratch = Scratch::new();
    let path = scratch.file("out.npy");
    write_npy(&path, &[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.5]).unwrap();
    assert_eq!(load(&path, &[3]).unwrap().raw(), &Raw::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5]));
    assert!(matches!(write_npy(&path, &[2, 2], &[1_u8, 2, 3]), Err(DataError::Write { .. })));
    assert!(matches!(write_npy(&scratch.file("absent/out.npy"), &[1], &[1_u8]), Err(DataError::Write { .. })));
}
