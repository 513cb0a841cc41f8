use apq_search::space::{
    Architecture, BlockBits, BlockShape, Choices, Encoding, Policy, Space, SpaceError, sample_architecture, sample_policy,
};
use proptest::prelude::*;

use crate::{bits, five_blocks, rng};

#[test]
fn the_papers_example_has_75_dimensions() {
    let space = five_blocks();
    let encoding = Encoding::new(&space).unwrap();
    assert_eq!(encoding.dimensions(), 75);
    let mut architecture = Architecture(vec![None; 5]);
    let mut policy = Policy(vec![None; 5]);
    architecture.0[0] = Some(BlockShape { kernel: 3, channels: 32 });
    policy.0[0] = Some(BlockBits { pointwise: bits(4, 8), depthwise: bits(8, 4) });
    let mut wanted = vec![0.0; 75];
    wanted[..7].copy_from_slice(&[1., 0., 0., 0., 0., 1., 0.]);
    assert_eq!(encoding.dense(&architecture, None), Ok(wanted.clone()));
    wanted[7..15].copy_from_slice(&[1., 0., 0., 1., 0., 1., 1., 0.]);
    assert_eq!(encoding.dense(&architecture, Some(&policy)), Ok(wanted));
    assert_eq!(encoding.encode(&architecture, Some(&policy)), Ok(vec![0, 5, 7, 10, 12, 13]));
    assert_eq!(encoding.decode(&[0, 5, 7, 10, 12, 13]), Ok((architecture, Some(policy))));
}

#[test]
fn the_dimensions_of_the_presets() {
    // 21 blocks of 3 kernels and 12 bit places; widths as in the published table: (6 - 4) B / 8 + 1 of each block.
    let widths: usize =
        [16, 24, 24, 24, 24, 40, 40, 40, 40, 80, 80, 80, 80, 96, 96, 96, 96, 192, 192, 192, 192].map(|base| base / 4 + 1).iter().sum();
    assert_eq!(Encoding::new(&Space::imagenet()).unwrap().dimensions(), 21 * (3 + 12) + widths);
    assert_eq!(Encoding::new(&Space::fashion()).unwrap().dimensions(), 8 * (3 + 12) + 5 + 4 * 7 + 3 * 11);
}

#[test]
fn what_is_no_encoding_is_refused() {
    let encoding = Encoding::new(&five_blocks()).unwrap();
    let message = |ones: &[u32]| match encoding.decode(ones) {
        Err(SpaceError::Encoding(message)) => message,
        other => panic!("{ones:?}: {other:?}"),
    };
    assert_eq!(message(&[5, 0]), "[5, 0] are not ascending");
    assert_eq!(message(&[0, 0, 5]), "[0, 0] are not ascending");
    assert_eq!(message(&[0, 5, 75]), "75 is past 75 dimensions");
    assert_eq!(message(&[0, 1, 5]), "stages.0.blocks.0: two ones in one of its vectors");
    assert_eq!(message(&[0]), "stages.0.blocks.0: a kernel without a width, or a width without a kernel");
    assert_eq!(message(&[5]), "stages.0.blocks.0: a kernel without a width, or a width without a kernel");
    assert_eq!(message(&[0, 5, 7, 10, 12]), "stages.0.blocks.0: some of its bit widths are missing");
    assert_eq!(message(&[0, 5, 7]), "stages.0.blocks.0: some of its bit widths are missing");
    // A depth that is not there, a hole, bit widths of half the blocks, bit widths of a block that is not there.
    for other in [&[][..], &[0, 5, 15, 20], &[15, 20], &[0, 5, 15, 20, 30, 35, 37, 40, 42, 43], &[0, 5, 7, 10, 12, 13, 22, 25, 27, 28]] {
        assert!(matches!(encoding.decode(other), Err(SpaceError::Depth { .. } | SpaceError::Block { .. })), "{other:?}");
    }
}

#[test]
fn what_is_not_of_the_space_has_no_encoding() {
    let space = five_blocks();
    let encoding = Encoding::new(&space).unwrap();
    let largest = space.largest();
    let choices = Choices::new(&space, None).unwrap();
    let policy = sample_policy(&choices, &largest, &mut rng(1));
    assert!(matches!(encoding.encode(&Space::fashion().largest(), None), Err(SpaceError::Length { found: 8, expected: 5 })));
    assert!(matches!(encoding.encode(&largest, Some(&Policy(Vec::new()))), Err(SpaceError::Length { found: 0, expected: 5 })));
    let mut other = largest.clone();
    other.0[4] = Some(BlockShape { kernel: 3, channels: 20 });
    assert!(matches!(encoding.encode(&other, None), Err(SpaceError::Block { .. })));
    other.0[4] = None;
    assert!(matches!(encoding.encode(&other, Some(&policy)), Err(SpaceError::Block { .. })));
    let mut narrow = policy.clone();
    narrow.0[4] = Some(BlockBits { pointwise: bits(6, 4), depthwise: bits(4, 4) });
    assert!(matches!(encoding.encode(&largest, Some(&narrow)), Err(SpaceError::Block { .. })));
    narrow.0[4] = None;
    assert!(matches!(encoding.encode(&largest, Some(&narrow)), Err(SpaceError::Block { .. })));
}

proptest! {
    #[test]
    fn encode_and_decode_are_inverses(seed: u64, which in 0..3_usize, quantized: bool) {
        let space = [Space::imagenet(), Space::fashion(), five_blocks()][which].clone();
        let encoding = Encoding::new(&space).unwrap();
        let choices = Choices::new(&space, None).unwrap();
        let mut rng = rng(seed);
        let architecture = sample_architecture(&space, &mut rng);
        let policy = quantized.then(|| sample_policy(&choices, &architecture, &mut rng));
        let ones = encoding.encode(&architecture, policy.as_ref()).unwrap();
        let blocks = architecture.0.iter().flatten().count();
        prop_assert_eq!(ones.len(), blocks * if quantized { 6 } else { 2 });
        prop_assert!(ones.windows(2).all(|pair| pair[0] < pair[1]));
        let dense = encoding.dense(&architecture, policy.as_ref()).unwrap();
        let places: Vec<u32> = (0..).zip(&dense).filter(|(_, value)| **value == 1.0).map(|(place, _)| place).collect();
        prop_assert_eq!(&places, &ones);
        prop_assert_eq!(encoding.decode(&ones), Ok((architecture, policy)));
    }

    #[test]
    fn what_decodes_encodes_to_the_same(ones in proptest::collection::btree_set(0..80_u32, 0..32)) {
        let encoding = Encoding::new(&five_blocks()).unwrap();
        let ones: Vec<u32> = ones.into_iter().collect();
        if let Ok((architecture, policy)) = encoding.decode(&ones) {
            prop_assert_eq!(encoding.encode(&architecture, policy.as_ref()), Ok(ones));
        }
    }
}
