use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use tempfile::{TempDir, tempdir};

use super::*;
use crate::data::{Sample, load, load_at_most};

/// Red is the row, green the column, blue `mark`.
fn rgb(height: u32, width: u32, mark: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([y as u8, x as u8, mark]))
}

/// A folder with images of 4 x 4 pixels that are marked 0, 1, 2.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    for (name, mark) in [("b.png", 0), ("a.PNG", 1), ("c.png", 2)] {
        rgb(4, 4, mark).save_with_format(folder.path().join(name), image::ImageFormat::Png).unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "not an image").unwrap();
    folder
}

/// The mark of every sample.
fn marks(data: &Dataset) -> Vec<u8> {
    let mark = |i| match data.sample(i) {
        Sample::U8(values) => values[2],
        other => panic!("{other:?}"),
    };
    (0..data.len()).map(mark).collect()
}

const MODEL: [usize; 3] = [4, 4, 3];

#[test]
fn without_a_list_images_come_by_name() {
    let folder = folder();
    let data = load(folder.path(), &MODEL).unwrap();
    assert_eq!((marks(&data), data.labels()), (vec![1, 0, 2], None));
    assert_eq!(data.source(), folder.path().display().to_string());
}

#[test]
fn a_list_gives_order_and_labels() {
    let folder = folder();
    std::fs::write(folder.path().join("labels.csv"), "label, file, note\n7, c.png, x\n0, b.png, y\n7, c.png, z\n").unwrap();
    let data = load(folder.path(), &MODEL).unwrap();
    assert_eq!((marks(&data), data.labels()), (vec![2, 0, 2], Some(&[7, 0, 7][..])));
    let data = load_at_most(folder.path(), &MODEL, 2).unwrap();
    assert_eq!((marks(&data), data.labels()), (vec![2, 0], Some(&[7, 0][..])));
}

#[test]
fn an_unusable_list_says_why() {
    let folder = folder();
    let list = folder.path().join("labels.csv");
    let message = |text: &str| {
        std::fs::write(&list, text).unwrap();
        load(folder.path(), &MODEL).unwrap_err().to_string()
    };
    let of_list = |text: &str| format!("{}: {text}", list.display());
    assert_eq!(message("name,label\nb.png,0\n"), of_list("no column 'file' (the first line is `file,label`)"));
    assert_eq!(message("file,class\nb.png,0\n"), of_list("no column 'label' (the first line is `file,label`)"));
    assert_eq!(message("file,label\nb.png,0\nc.png,-1\n"), of_list("label 1 is '-1', not a class index 0, 1, 2, ..."));
    assert_eq!(message("file,label\nb.png,0,1\n"), of_list("not a readable list of labels"));
    assert_eq!(message("file,label\n"), format!("{}: no samples", folder.path().display()));
    assert_eq!(message("file,label\nabsent.png,0\n"), format!("cannot read {}", folder.path().join("absent.png").display()));
}

#[test]
fn the_centre_is_cut_out_with_offsets_rounded_down() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("one.png");
    // Three rows and three columns too many: one in front, two behind.
    rgb(5, 6, 9).save(&path).unwrap();
    let data = load(&path, &[2, 3, 3]).unwrap();
    assert_eq!(data.raw(), &Raw::U8(vec![1, 1, 9, 1, 2, 9, 1, 3, 9, 2, 1, 9, 2, 2, 9, 2, 3, 9]));
}

#[test]
fn an_image_that_is_too_small_says_how_small() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("small.png");
    for (height, width) in [(3, 9), (9, 3)] {
        rgb(height, width, 0).save(&path).unwrap();
        let expected =
            format!("{}: image is {height} x {width} pixels (height x width), smaller than the model's input of 4 x 5", path.display());
        assert_eq!(load(&path, &[4, 5, 3]).unwrap_err().to_string(), expected);
    }
}

#[test]
fn the_first_file_that_is_no_image_is_named() {
    let folder = folder();
    for name in ["bad.png", "worse.jpg"] {
        std::fs::write(folder.path().join(name), "not an image").unwrap();
    }
    let expected = format!("{}: not a readable image", folder.path().join("bad.png").display());
    assert_eq!(load(folder.path(), &MODEL).unwrap_err().to_string(), expected);
    // Beyond the limit nothing is opened: a.PNG and b.png come first.
    assert_eq!(marks(&load_at_most(folder.path(), &MODEL, 2).unwrap()), [1, 0]);

    let whole = std::fs::read(folder.path().join("b.png")).unwrap();
    std::fs::write(folder.path().join("bad.png"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(load(folder.path(), &MODEL).unwrap_err().to_string(), expected);
}

#[test]
fn colours_follow_the_model() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("one.png");
    let values = |channels: usize| match load(&path, &[1, 1, channels]).unwrap().raw() {
        Raw::U8(values) => values.clone(),
        other => panic!("{other:?}"),
    };
    GrayImage::from_pixel(1, 1, Luma([77])).save(&path).unwrap();
    assert_eq!((values(3), values(1)), (vec![77; 3], vec![77]));
    // Green weighs most in luma.
    let luma = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(|colour| {
        RgbImage::from_pixel(1, 1, Rgb(colour)).save(&path).unwrap();
        values(1)[0]
    });
    for (found, weight) in luma.iter().zip([0.2126, 0.7152, 0.0722]) {
        assert!((f64::from(*found) - 255.0 * weight).abs() <= 1.0, "{luma:?}");
    }
    // Transparency is dropped, not blended.
    RgbaImage::from_pixel(1, 1, Rgba([10, 20, 30, 0])).save(&path).unwrap();
    assert_eq!(values(3), [10, 20, 30]);
}

#[test]
fn the_content_counts_and_not_the_ending() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("one.jpg");
    rgb(1, 1, 5).save_with_format(&path, image::ImageFormat::Png).unwrap();
    assert_eq!(load(&path, &[1, 1, 3]).unwrap().raw(), &Raw::U8(vec![0, 0, 5]));
    RgbImage::from_pixel(8, 8, Rgb([200, 100, 50])).save_with_format(&path, image::ImageFormat::Jpeg).unwrap();
    let data = load(&path, &[8, 8, 3]).unwrap();
    let Sample::U8(values) = data.sample(0) else { panic!("images are u8") };
    assert!(values[..3].iter().zip([200_u8, 100, 50]).all(|(value, expected)| value.abs_diff(expected) < 8), "{:?}", &values[..3]);
}

#[test]
fn images_need_a_model_that_takes_images() {
    let folder = folder();
    for (model, shape) in [(vec![640], "[N, 640]"), (vec![4, 4, 4], "[N, 4, 4, 4]"), (vec![1, 4, 4, 3], "[N, 1, 4, 4, 3]")] {
        let expected = format!("images do not fit the model's input of shape {shape}");
        assert_eq!(load(folder.path(), &model).unwrap_err().to_string(), expected);
    }
    let empty = tempdir().unwrap();
    assert!(matches!(load(empty.path(), &MODEL), Err(DataError::Empty { .. })));
}
