//! Bit operations.

use crate::LayerKey;

/// Bit operations of a layer: `weight_bits * activation_bits * multiply-accumulates`, 0 for an
/// operator without weights. `None` past 64 bits.
///
/// Source: "A Practical Mixed Precision Algorithm for Post-Training Quantization", equation 5.
#[must_use]
pub fn bops(key: &LayerKey) -> Option<u64> {
    let each = u64::from(key.weight_bits) * u64::from(key.activation_bits);
    key.macs()?.checked_mul(each)
}

/// Sum of [`bops`] over layers. `None` past 64 bits.
#[must_use]
pub fn bops_total<'a>(keys: impl IntoIterator<Item = &'a LayerKey>) -> Option<u64> {
    keys.into_iter().try_fold(0_u64, |sum, key| sum.checked_add(bops(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Operator};

    #[test]
    fn by_hand() {
        let bits = Candidate::new(4, 8).unwrap();
        let layers = [
            LayerKey::conv([4, 4], 3, 5, [1, 1], [1, 1], [0; 4], bits).unwrap(),
            LayerKey::fully_connected(2, 10, 7, bits),
            LayerKey::plain(Operator::Add, [4, 4], 5, bits),
        ];
        assert_eq!(bops(&layers[0]), Some(32 * 240));
        assert_eq!(bops(&layers[2]), Some(0));
        assert_eq!(bops_total(&layers), Some(32 * 240 + 32 * 140));
    }

    #[test]
    fn overflow_is_none() {
        let bits = Candidate::new(16, 16).unwrap();
        let mut key = LayerKey::fully_connected(1 << 20, 1 << 20, 1 << 20, bits);
        assert_eq!(bops(&key), None);
        key.rows = 1 << 15;
        assert_eq!(bops(&key), Some(1 << 63));
        assert_eq!(bops_total([&key, &key]), None);
    }
}
