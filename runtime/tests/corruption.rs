//! Damaged files: every change is found, and found as what it is.

mod common;

use apq_runtime::build::{ActivationBits, AlignedBytes, WeightBits, seal};
use apq_runtime::{ErrorClass, HEADER_BYTES, LoadError, Model};
use common::residual_net;

fn small_file() -> AlignedBytes {
    residual_net(1, WeightBits::W4, ActivationBits::A4).file()
}

#[test]
fn every_changed_byte_is_found() {
    let file = small_file();
    assert!(Model::new_checked(&file).is_ok());
    let mut damaged = file.clone();
    for at in 0..file.len() {
        for change in [0x01, 0x80, 0xff] {
            damaged[at] = file[at] ^ change;
            let error = Model::new_checked(&damaged).unwrap_err();
            assert_eq!(error.class(), ErrorClass::BadFile, "byte {at}: {error}");
        }
        damaged[at] = file[at];
    }
    assert!(Model::new_checked(&damaged).is_ok());
}

#[test]
fn every_truncation_is_found() {
    let file = small_file();
    for length in 0..file.len() {
        let error = Model::new_checked(&file[..length]).unwrap_err();
        match length {
            0 => assert_eq!(error, LoadError::Magic),
            _ => assert!(matches!(error, LoadError::Length { .. }), "{length}: {error:?}"),
        }
    }
}

#[test]
fn a_length_is_told_as_it_is_stored() {
    let mut file = small_file();
    let text = |file: &[u8]| Model::new_checked(file).unwrap_err().to_string();
    assert!(text(&file[..12]).contains("cut"));
    // The header is there: a length of 0 is what it says.
    file[16..20].fill(0);
    assert_eq!(text(&file), format!("the file has {} bytes, but its header says 0", file.len()));
}

#[test]
fn appended_bytes_are_found() {
    let file = small_file();
    for extra in [1, 2, 15, 16, 1000] {
        for value in [0u8, 0xff] {
            let mut longer = AlignedBytes::zeroed(file.len() + extra);
            longer[..file.len()].copy_from_slice(&file);
            longer[file.len()..].fill(value);
            let error = Model::new_checked(&longer).unwrap_err();
            assert!(matches!(error, LoadError::Length { .. }), "{error:?}");
            // The length and the checksum made right do not help: the sections no longer fill the file.
            seal(&mut longer);
            assert_eq!(Model::new_checked(&longer).unwrap_err(), LoadError::Header);
        }
    }
}

#[test]
fn another_version_is_unsupported_and_only_after_the_checksum() {
    let mut file = small_file();
    file[12] = 2;
    assert_eq!(Model::new_checked(&file).unwrap_err(), LoadError::Checksum);
    seal(&mut file);
    let error = Model::new_checked(&file).unwrap_err();
    assert_eq!(error, LoadError::Version { version: 2 });
    assert_eq!(error.class(), ErrorClass::Unsupported);
}

#[test]
fn an_unknown_arrangement_or_operator_is_named() {
    let file = small_file();
    let rename = |from: &[u8], to: &[u8]| {
        let mut file = file.clone();
        let at = file.windows(from.len()).position(|window| window == from).unwrap();
        assert!(at > HEADER_BYTES);
        file[at..at + to.len()].copy_from_slice(to);
        seal(&mut file);
        Model::new_checked(&file).unwrap_err()
    };
    let error = rename(b"row-major", b"row-minor");
    assert_eq!(error.class(), ErrorClass::Unsupported);
    assert!(error.to_string().contains("`row-minor`"), "{error}");
    let error = rename(b"average-pool", b"averaged-pol");
    assert_eq!(error.class(), ErrorClass::Unsupported);
    assert!(error.to_string().contains("`averaged-pol`"), "{error}");
}

#[test]
fn a_misaligned_file_is_refused() {
    let file = small_file();
    let mut shifted = AlignedBytes::zeroed(file.len() + 16);
    for shift in 1..16 {
        shifted[shift..shift + file.len()].copy_from_slice(&file);
        let error = Model::new_checked(&shifted[shift..shift + file.len()]).unwrap_err();
        assert_eq!(error, LoadError::Misaligned);
        assert_eq!(error.class(), ErrorClass::Misuse);
    }
}
