//! Learned layers on disk, each under the hash of everything that it depends on.
//!
//! Learning takes minutes where everything else takes seconds. A file that is damaged, or cannot be read or written, is as good as none.

use std::io::Write as _;
use std::path::PathBuf;

use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::adaround::Learner;
use super::descent::Rounded;
use crate::hash::hexadecimal;
use crate::quant::ranges::RangeRule;

/// Raised when the same inputs give another result; a layer of another version is not found.
const ALGORITHM: &str = concat!(env!("CARGO_PKG_VERSION"), " 1");

/// Learned layers in one folder.
#[derive(Debug, Clone)]
pub struct LayerCache {
    folder: PathBuf,
}

impl LayerCache {
    /// Layers below `folder`, which is made when the first one is stored.
    pub fn new(folder: PathBuf) -> LayerCache {
        LayerCache { folder }
    }

    /// What `learner` gives: from the folder, or learned and stored there.
    pub(super) fn round(&self, learner: &Learner<'_>, bits: u8, rule: RangeRule) -> Rounded {
        let path = self.folder.join(key(learner, bits, rule));
        let dimensions = learner.weights.dim();
        if let Some(rounded) = std::fs::read(&path).ok().and_then(|bytes| decode(&bytes, dimensions)) {
            return rounded;
        }
        let rounded = learner.round(bits, rule);
        // Whole or not at all; without a cache the result is the same.
        let _ = std::fs::create_dir_all(&self.folder).and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&encode(&rounded))?;
            file.persist(&path).map_err(|error| error.error)
        });
        rounded
    }
}

fn key(learner: &Learner<'_>, bits: u8, rule: RangeRule) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{ALGORITHM} {bits} {rule} {} {:?} {:?}", learner.seed, learner.clamp, learner.weights.dim()));
    learner.weights.iter().for_each(|w| hash.update(w.to_le_bytes()));
    let rows = |hash: &mut Sha256, rows: &Array2<f32>| rows.iter().for_each(|v| hash.update(v.to_le_bytes()));
    rows(&mut hash, learner.inputs);
    rows(&mut hash, learner.targets);
    hexadecimal(&hash.finalize())
}

/// Scales, codes, and the hash of both.
fn encode(rounded: &Rounded) -> Vec<u8> {
    let mut bytes: Vec<u8> = rounded.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
    bytes.extend(rounded.codes.iter().map(|code| code.to_le_bytes()[0]));
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

fn decode(bytes: &[u8], (outputs, inputs): (usize, usize)) -> Option<Rounded> {
    let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    let (scales, codes) = content.split_at_checked(4 * outputs)?;
    if codes.len() != outputs * inputs || Sha256::digest(content).as_slice() != hash {
        return None;
    }
    let scales = scales.chunks_exact(4).filter_map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?))).collect();
    Some(Rounded { scales, codes: codes.iter().map(|byte| i8::from_le_bytes([*byte])).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Clamp;

    #[test]
    fn a_layer_is_learned_once_and_damage_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let inputs = Array2::from_shape_fn((40, 3), |(row, column)| ((row * 7 + column * 3) % 11) as f32);
        let targets = Array2::from_shape_fn((40, 2), |(row, column)| (row % 5) as f32 - column as f32);
        let weights = Array2::from_shape_fn((2, 3), |(row, column)| row as f64 * 0.37 - column as f64 * 0.21);
        let learner = Learner { inputs: &inputs, targets: &targets, weights: &weights, clamp: Clamp::NONE, seed: 0 };
        let cache = LayerCache::new(folder.path().join("layers"));
        let first = cache.round(&learner, 4, RangeRule::Mse);
        let path = folder.path().join("layers").join(key(&learner, 4, RangeRule::Mse));
        let stored = std::fs::read(&path).expect("the layer is stored");
        assert_eq!(decode(&stored, (2, 3)).map(|rounded| (rounded.scales, rounded.codes)), Some((first.scales, first.codes)));
        for place in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[place] ^= 1;
            assert!(decode(&damaged, (2, 3)).is_none(), "byte {place}");
            assert!(decode(&stored[..place], (2, 3)).is_none(), "{place} bytes");
        }
        assert_ne!(key(&learner, 4, RangeRule::Mse), key(&learner, 8, RangeRule::Mse));
        assert_ne!(key(&learner, 4, RangeRule::Mse), key(&Learner { seed: 1, ..learner }, 4, RangeRule::Mse));
    }
}
