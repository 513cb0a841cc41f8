//! Inputs that board and tool draw alike.

/// Fills `codes` with bytes that depend on the seed and on the input's number alone.
pub fn fill(seed: u64, input: u32, codes: &mut [u8]) {
    // SplitMix64; eight bytes a step, little-endian.
    let mut state = seed ^ u64::from(input).wrapping_mul(0xd1b5_4a32_d192_ed03);
    for chunk in codes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        for (to, from) in chunk.iter_mut().zip(word.to_le_bytes()) {
            *to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bytes_are_those_of_splitmix64() {
        let mut bytes = [0; 12];
        super::fill(0, 0, &mut bytes);
        // The generator's published first value for seed 0, and half of the second.
        assert_eq!(bytes[..8], 0xe220_a839_7b1d_cdafu64.to_le_bytes());
        assert_eq!(bytes[8..], 0x6e78_9e6a_a1b9_65f4u64.to_le_bytes()[..4]);
        let mut other = [0; 12];
        super::fill(0, 1, &mut other);
        assert_ne!(bytes, other);
    }
}
